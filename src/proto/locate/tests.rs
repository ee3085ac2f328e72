use super::*;
use crate::proto::ids::Counting;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

/// A zone: `name TYPE data`, one to a line. Names that are not in it don't exist.
fn lookup(zone: &str, question: &Question) -> DnsAnswer {
    let (name, kind) = match question {
        Question::A(name) => (name, "A"),
        Question::Aaaa(name) => (name, "AAAA"),
        Question::Srv(name) => (name, "SRV"),
        Question::Naptr(name) => (name, "NAPTR"),
    };
    let rows: Vec<Vec<&str>> = zone.lines().map(|line| line.split_whitespace().collect()).collect();
    let of_name = || rows.iter().filter(|row| row.first() == Some(&name.as_str()));
    if of_name().next().is_none() {
        return Err(ResolveError::NoSuchName);
    }
    of_name()
        .filter_map(|row| match row[1..] {
            ["!", "failed"] => Some(Err(ResolveError::ServerFailed)),
            ["!", "silent"] => Some(Err(ResolveError::TimedOut)),
            [of, ref data @ ..] if of == kind => Some(Ok(record(kind, data))),
            _ => None,
        })
        .collect()
}

fn record(kind: &str, data: &[&str]) -> Record {
    let number = |n: usize| data[n].parse().unwrap();
    match kind {
        "SRV" => Record::Srv(Srv {
            priority: number(0),
            weight: number(1),
            port: number(2),
            target: data[3].trim_end_matches('.').to_owned(),
        }),
        "NAPTR" => Record::Naptr(Naptr {
            order: number(0),
            preference: number(1),
            flags: data[2].to_owned(),
            service: data[3].to_owned(),
            replacement: data[4].trim_end_matches('.').to_owned(),
        }),
        _ => data[0].parse::<IpAddr>().unwrap().into(),
    }
}

const NOW: Time = Time::from_millis(1_000_000);

fn shown_question(question: &Question) -> String {
    match question {
        Question::A(name) => format!("A {name}"),
        Question::Aaaa(name) => format!("AAAA {name}"),
        Question::Srv(name) => format!("SRV {name}"),
        Question::Naptr(name) => format!("NAPTR {name}"),
    }
}

/// Goes through all destinations, each question answered at once: a line for each step.
fn walk(mut locate: Locate, zone: &str, random: &mut dyn Random) -> Vec<String> {
    let mut steps = Vec::new();
    loop {
        match locate.next(NOW) {
            Next::Found(Found { destination, origin }) => {
                let from = origin.map(|origin| format!(" of {origin}")).unwrap_or_default();
                steps.push(format!("{} {}{from}", destination.transport, destination.address));
            }
            Next::Unresolved { name, error } => steps.push(format!("{name}: {error:?}")),
            Next::NotOffered { name } => steps.push(format!("{name}: not offered")),
            Next::Wait { questions, .. } => {
                assert_ne!(questions, [], "it waits for nothing");
                let asked: Vec<String> = questions.iter().map(shown_question).collect();
                steps.push(format!("? {}", asked.join(", ")));
                // The order of answers doesn't matter.
                for question in questions.iter().rev() {
                    locate.answer(question, lookup(zone, question), 60, random, NOW);
                }
            }
            Next::Over => return steps,
        }
    }
}

fn located(text: &str, zone: &str) -> String {
    let locate = Locate::start(&uri(text), None, Families::Both, &[]).unwrap();
    walk(locate, zone, &mut Counting::default()).join("\n")
}

/// As [`located`], without the questions.
fn destinations(text: &str, zone: &str) -> String {
    located(text, zone).lines().filter(|step| !step.starts_with('?')).collect::<Vec<_>>().join("\n")
}

fn shown(uri_text: &str, forced: Option<Transport>, families: Families) -> String {
    match Locate::start(&uri(uri_text), forced, families, &[]) {
        Ok(locate) => walk(locate, "", &mut Counting::default()).join("; "),
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

/// LOC-002 LOC-004 LOC-005 LOC-010 LOC-011 LOC-012 LOC-020
#[test]
fn a_name_is_asked_for_by_what_its_uri_leaves_open() {
    let all = "? NAPTR munich.de; ? SRV _sip._udp.munich.de, SRV _sip._tcp.munich.de; \
               ? AAAA munich.de, A munich.de; munich.de: Some(NoSuchName)";
    let tcp = "? SRV _sip._tcp.munich.de; ? AAAA munich.de, A munich.de; munich.de: Some(NoSuchName)";
    for (text, forced, families, expected) in [
        (
            "sip:munich.de:5060",
            None,
            Families::Both,
            "? AAAA munich.de, A munich.de; munich.de: Some(NoSuchName)",
        ),
        ("sip:munich.de:5070", None, Families::V4, "? A munich.de; munich.de: Some(NoSuchName)"),
        ("sip:munich.de:5070", None, Families::V6, "? AAAA munich.de; munich.de: Some(NoSuchName)"),
        ("sip:munich.de", None, Families::Both, all),
        ("sip:MUNICH.de.", None, Families::Both, all),
        ("sip:munich.de;transport=tcp", None, Families::Both, tcp),
        ("sip:munich.de", Some(Transport::Tcp), Families::Both, tcp),
        ("sip:munich.de;transport=udp", Some(Transport::Tcp), Families::Both, tcp),
        ("sip:192.0.2.1;maddr=munich.de;transport=tcp", None, Families::Both, tcp),
    ] {
        assert_eq!(shown(text, forced, families), expected, "{text}");
    }
}

/// LOC-005 LOC-009 LOC-013 LOC-019 LOC-021 LOC-023: NAPTR, SRV, AAAA and A, with all that is said of them.
#[test]
fn services_in_order_then_servers_by_priority_then_all_addresses_of_each() {
    let zone = "
        munich.de NAPTR 50 50 s SIP+D2T _sip._tcp.munich.de.
        munich.de NAPTR 10 90 S sip+d2u _sip._udp.munich.de.
        munich.de NAPTR 10 20 u E2U+sip .
        _sip._udp.munich.de SRV 20 0 5060 sip2.munich.de.
        _sip._udp.munich.de SRV 10 60 5080 Sip1.Munich.de.
        _sip._tcp.munich.de SRV 10 10 5061 sip1.munich.de.
        sip1.munich.de A 192.0.2.1
        sip1.munich.de A 192.0.2.2
        sip1.munich.de AAAA 2001:db8::1
        sip2.munich.de A 192.0.2.3
        sip2.munich.de AAAA 2001:db8::3";
    assert_eq!(
        located("sip:munich.de", zone),
        "? NAPTR munich.de
? SRV _sip._udp.munich.de
? AAAA sip1.munich.de, A sip1.munich.de, AAAA sip2.munich.de, A sip2.munich.de
udp [2001:db8::1]:5080 of sip1.munich.de, SRV 10 60
udp 192.0.2.1:5080 of sip1.munich.de, SRV 10 60
udp 192.0.2.2:5080 of sip1.munich.de, SRV 10 60
udp [2001:db8::3]:5060 of sip2.munich.de, SRV 20 0
udp 192.0.2.3:5060 of sip2.munich.de, SRV 20 0
? SRV _sip._tcp.munich.de
tcp [2001:db8::1]:5061 of sip1.munich.de, SRV 10 10
tcp 192.0.2.1:5061 of sip1.munich.de, SRV 10 10
tcp 192.0.2.2:5061 of sip1.munich.de, SRV 10 10"
    );
}

/// LOC-008 LOC-010 LOC-012 LOC-015 LOC-025: what becomes of records that are missing, useless or can't be had.
#[test]
fn records_that_are_missing_lead_to_the_next_kind() {
    let at_home = "munich.de A 192.0.2.9\n";
    let servers = "_sip._udp.munich.de SRV 1 1 5070 a.munich.de\na.munich.de A 192.0.2.1\n";
    for (zone, expected) in [
        // Without NAPTR: UDP first, then TCP.
        (
            "_sip._tcp.munich.de SRV 1 1 5070 b.munich.de\nb.munich.de A 192.0.2.2\n".to_owned() + servers,
            "udp 192.0.2.1:5070 of a.munich.de, SRV 1 1\ntcp 192.0.2.2:5070 of b.munich.de, SRV 1 1",
        ),
        ("_sip._tcp.munich.de SRV 1 1 5070 munich.de\n".to_owned() + at_home, "tcp 192.0.2.9:5070 of munich.de, SRV 1 1"),
        // NAPTR of other protocols doesn't count.
        ("munich.de NAPTR 1 1 s x-eduroam:radius.tls _radsec._tcp.munich.de\n".to_owned() + servers, "udp 192.0.2.1:5070 of a.munich.de, SRV 1 1"),
        // Services that we can't do.
        ("munich.de NAPTR 1 1 s SIP+D2S _sip._sctp.munich.de\n".to_owned() + at_home, "munich.de: None"),
        (
            "munich.de NAPTR 1 1 s SIPS+D2T _sips._tcp.munich.de\nmunich.de NAPTR 2 1 s SIP+D2U _sip._udp.munich.de\n".to_owned() + servers,
            "udp 192.0.2.1:5070 of a.munich.de, SRV 1 1",
        ),
        // Neither, or none behind a NAPTR: the name itself.
        (at_home.to_owned(), "udp 192.0.2.9:5060 of munich.de"),
        ("munich.de NAPTR 1 1 s SIP+D2T _sip._tcp.munich.de\n".to_owned() + at_home, "tcp 192.0.2.9:5060 of munich.de"),
        // Not offered.
        ("_sip._udp.munich.de SRV 0 0 0 .\n".to_owned() + at_home, "munich.de: not offered"),
        (
            "_sip._udp.munich.de SRV 0 0 0 .\n_sip._tcp.munich.de SRV 0 0 5060 munich.de\n".to_owned() + at_home,
            "tcp 192.0.2.9:5060 of munich.de, SRV 0 0",
        ),
        // A server without an address, which is told once.
        (
            "_sip._udp.munich.de SRV 0 0 5060 x.munich.de\n_sip._udp.munich.de SRV 1 0 5061 x.munich.de\n_sip._udp.munich.de SRV 2 0 5060 a.munich.de\n".to_owned() + servers,
            "x.munich.de: Some(NoSuchName)\nudp 192.0.2.1:5070 of a.munich.de, SRV 1 1\nudp 192.0.2.1:5060 of a.munich.de, SRV 2 0",
        ),
        // The same destination twice.
        ("_sip._udp.munich.de SRV 2 1 5070 a.munich.de\n".to_owned() + servers, "udp 192.0.2.1:5070 of a.munich.de, SRV 1 1"),
        // A name server that fails, or is silent.
        ("munich.de ! failed".to_owned(), "munich.de: Some(ServerFailed)"),
        ("munich.de ! silent".to_owned(), "munich.de: Some(TimedOut)"),
        ("munich.de TXT x".to_owned(), "munich.de: None"),
        ("munich.de TXT x\n_sip._udp.munich.de ! failed".to_owned(), "munich.de: Some(ServerFailed)"),
    ] {
        assert_eq!(destinations("sip:munich.de", &zone), expected, "{zone}");
    }
}

/// LOC-020 LOC-025
#[test]
fn answers_of_both_families_are_tried_ipv6_first_and_one_failure_spoils_nothing() {
    let answered = |aaaa: DnsAnswer, a: DnsAnswer| {
        let mut locate = Locate::start(&uri("sip:munich.de:5070"), None, Families::Both, &[]).unwrap();
        let mut steps = Vec::new();
        loop {
            match locate.next(NOW) {
                Next::Found(found) => steps.push(found.destination.address.to_string()),
                Next::Unresolved { error, .. } => steps.push(format!("{error:?}")),
                Next::NotOffered { .. } => panic!("it has no SRV record"),
                Next::Wait { questions, .. } => {
                    for question in questions {
                        let answer =
                            if matches!(question, Question::A(_)) { a.clone() } else { aaaa.clone() };
                        locate.answer(&question, answer, 60, &mut Counting::default(), NOW);
                    }
                }
                Next::Over => return steps.join(" "),
            }
        }
    };
    let record = |text: &str| Record::from(text.parse::<IpAddr>().unwrap());
    let v4: DnsAnswer = Ok(vec![record("192.0.2.1"), record("192.0.2.2")]);
    let v6: DnsAnswer = Ok(vec![record("2001:db8::1")]);
    let none: DnsAnswer = Err(ResolveError::NoSuchName);
    assert_eq!(answered(v6.clone(), v4.clone()), "[2001:db8::1]:5070 192.0.2.1:5070 192.0.2.2:5070");
    assert_eq!(answered(Err(ResolveError::TimedOut), v4), "192.0.2.1:5070 192.0.2.2:5070");
    assert_eq!(answered(v6, Err(ResolveError::ServerFailed)), "[2001:db8::1]:5070");
    assert_eq!(answered(Ok(vec![]), Ok(vec![])), "None");
    assert_eq!(answered(none.clone(), none.clone()), "Some(NoSuchName)");
    assert_eq!(answered(Ok(vec![]), none), "None");
}
