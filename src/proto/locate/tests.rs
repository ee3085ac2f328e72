use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

fn shown(uri_text: &str, forced: Option<Transport>, families: Families) -> String {
    match Locate::start(&uri(uri_text), forced, families) {
        Ok(Start::Found(found)) => {
            found.iter().map(|d| format!("{} {}", d.transport, d.address)).collect::<Vec<_>>().join(", ")
        }
        Ok(Start::Ask(_, questions)) => format!("{questions:?}"),
        Err(error) => error.to_string(),
    }
}

/// LOC-001 LOC-002 LOC-003 LOC-012
#[test]
fn a_numeric_host_needs_no_question_and_takes_transport_and_port_from_the_uri() {
    let both = Families::Both;
    for (text, forced, families, expected) in [
        ("sip:192.0.2.1", None, both, "udp 192.0.2.1:5060"),
        ("sip:192.0.2.1:5070", None, both, "udp 192.0.2.1:5070"),
        ("sip:192.0.2.1;transport=TCP", None, both, "tcp 192.0.2.1:5060"),
        ("sip:192.0.2.1;transport=tcp", Some(Transport::Udp), both, "udp 192.0.2.1:5060"),
        ("sip:[2001:db8::1]:5070;transport=udp", None, both, "udp [2001:db8::1]:5070"),
        ("sip:[::ffff:192.0.2.1]", None, both, "udp 192.0.2.1:5060"),
        ("sip:munich.de;maddr=192.0.2.9", None, both, "udp 192.0.2.9:5060"),
        ("sip:192.0.2.1", None, Families::V4, "udp 192.0.2.1:5060"),
        ("sip:192.0.2.1", None, Families::V6, "192.0.2.1 is of an address family that was excluded"),
        ("sip:192.0.2.1;transport=sctp", None, both, "transport sctp is not supported"),
        ("sips:192.0.2.1", None, both, "sips needs TLS, which is not supported"),
    ] {
        assert_eq!(shown(text, forced, families), expected, "{text}");
    }
}

/// LOC-004 LOC-020
#[test]
fn a_name_is_asked_for_both_families_or_the_one_allowed() {
    for (families, expected) in [
        (Families::Both, r#"[Aaaa("munich.de"), A("munich.de")]"#),
        (Families::V4, r#"[A("munich.de")]"#),
        (Families::V6, r#"[Aaaa("munich.de")]"#),
    ] {
        assert_eq!(shown("sip:munich.de:5060", None, families), expected);
    }
}

fn answered(aaaa: DnsAnswer, a: DnsAnswer) -> Result<Vec<String>, Option<ResolveError>> {
    let Ok(Start::Ask(mut locate, questions)) =
        Locate::start(&uri("sip:munich.de:5070"), None, Families::Both)
    else {
        panic!("a name is asked for");
    };
    // The order of answers doesn't matter: the last question is answered first.
    assert!(locate.answer(&questions[1], a).is_none());
    let found = locate.answer(&questions[0], aaaa).expect("all answered");
    found.map(|found| found.iter().map(|d| d.address.to_string()).collect())
}

/// LOC-020 LOC-025
#[test]
fn answers_of_both_families_are_tried_ipv6_first_and_one_failure_spoils_nothing() {
    let record = |text: &str| Record::from(text.parse::<IpAddr>().unwrap());
    let v4: DnsAnswer = Ok(vec![record("192.0.2.1"), record("192.0.2.2")]);
    let v6: DnsAnswer = Ok(vec![record("2001:db8::1")]);
    let all = ["[2001:db8::1]:5070", "192.0.2.1:5070", "192.0.2.2:5070"].map(str::to_owned);
    assert_eq!(answered(v6.clone(), v4.clone()), Ok(all.to_vec()));
    assert_eq!(answered(Err(ResolveError::TimedOut), v4), Ok(all[1..].to_vec()));
    assert_eq!(answered(v6, Err(ResolveError::ServerFailed)), Ok(all[..1].to_vec()));
    assert_eq!(answered(Ok(vec![]), Ok(vec![])), Err(None));
    assert_eq!(
        answered(Err(ResolveError::NoSuchName), Err(ResolveError::NoSuchName)),
        Err(Some(ResolveError::NoSuchName))
    );
}
