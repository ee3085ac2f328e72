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

const PROFILE: Profile = Profile(7);
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
                // Who it has to be, where there is something that says so.
                let name = destination.name.map(|name| format!(" as {name}")).unwrap_or_default();
                let has_settings = !name.is_empty();
                assert_eq!(destination.profile, if has_settings { PROFILE } else { Profile(0) });
                steps.push(format!("{} {}{name}{from}", destination.transport, destination.address));
            }
            Next::Unresolved { name, error } => steps.push(format!("{name}: {error:?}")),
            Next::NotOffered { name } => steps.push(format!("{name}: not offered")),
            Next::NoService { name, lacks_tls } => {
                steps.push(format!("{name}: no service{}", if lacks_tls { " over TLS" } else { "" }));
            }
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
    let locate = Locate::start(&uri(text), None, Families::Both, &[], PROFILE).unwrap();
    walk(locate, zone, &mut Counting::default()).join("\n")
}

/// As [`located`], without the questions.
fn destinations(text: &str, zone: &str) -> String {
    located(text, zone).lines().filter(|step| !step.starts_with('?')).collect::<Vec<_>>().join("\n")
}

fn shown(uri_text: &str, forced: Option<Transport>, families: Families) -> String {
    match Locate::start(&uri(uri_text), forced, families, &[], PROFILE) {
        Ok(locate) => walk(locate, "", &mut Counting::default()).join("; "),
        Err(error) => error.to_string(),
    }
}

/// LOC-001 LOC-002 LOC-003 LOC-012 SEC-023 WSS-014
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
        ("sips:192.0.2.1", None, both, "tls 192.0.2.1:5061 as 192.0.2.1"),
        ("sips:192.0.2.1:5070;transport=tcp", None, both, "tls 192.0.2.1:5070 as 192.0.2.1"),
        ("sips:[2001:DB8::1]", Some(Transport::Tls), both, "tls [2001:db8::1]:5061 as 2001:db8::1"),
        ("sips:192.0.2.1;transport=udp", None, both, "sips does not go over udp"),
        ("sips:192.0.2.1", Some(Transport::Udp), both, "sips does not go over udp"),
        ("sip:192.0.2.1;transport=tls", None, both, "tls 192.0.2.1:5061 as 192.0.2.1"),
        ("sip:192.0.2.1;transport=ws", None, both, "ws 192.0.2.1:80 as 192.0.2.1"),
        ("sip:192.0.2.1;transport=WSS", None, both, "wss 192.0.2.1:443 as 192.0.2.1"),
        ("sips:192.0.2.1;transport=ws", None, both, "wss 192.0.2.1:443 as 192.0.2.1"),
        ("sip:192.0.2.1:5070", Some(Transport::Ws), both, "ws 192.0.2.1:5070 as 192.0.2.1"),
        ("sips:Munich.de.;maddr=192.0.2.9", None, both, "tls 192.0.2.9:5061 as munich.de"),
    ] {
        assert_eq!(shown(text, forced, families), expected, "{text}");
    }
}

/// LOC-002 LOC-004 LOC-005 LOC-010 LOC-011 LOC-012 LOC-020 REQ-036
#[test]
fn a_name_is_asked_for_by_what_its_uri_leaves_open() {
    let all = "? NAPTR munich.de; ? SRV _sip._udp.munich.de, SRV _sip._tcp.munich.de; \
               ? SRV _sips._tcp.munich.de, AAAA munich.de, A munich.de; munich.de: Some(NoSuchName)";
    let sips = "? NAPTR munich.de; ? SRV _sips._tcp.munich.de; ? AAAA munich.de, A munich.de; \
                munich.de: Some(NoSuchName)";
    let tls = "? SRV _sips._tcp.munich.de; ? AAAA munich.de, A munich.de; munich.de: Some(NoSuchName)";
    let ws = "? SRV _sip._ws.munich.de; ? AAAA munich.de, A munich.de; munich.de: Some(NoSuchName)";
    let wss = "? SRV _sips._ws.munich.de; ? AAAA munich.de, A munich.de; munich.de: Some(NoSuchName)";
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
        ("sips:munich.de", None, Families::Both, sips),
        ("sips:munich.de;transport=tcp", None, Families::Both, tls),
        ("sip:munich.de;transport=tls", None, Families::Both, tls),
        ("sip:munich.de", Some(Transport::Tls), Families::Both, tls),
        ("sip:munich.de;transport=ws", None, Families::Both, ws),
        ("sip:munich.de;transport=wss", None, Families::Both, wss),
        ("sips:munich.de;transport=ws", None, Families::Both, wss),
        ("sip:munich.de", Some(Transport::Wss), Families::Both, wss),
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
        ("munich.de NAPTR 1 1 s SIP+D2S _sip._sctp.munich.de\n".to_owned() + at_home, "munich.de: no service"),
        (
            "munich.de NAPTR 1 1 s SIP+D2S _sip._sctp.munich.de\nmunich.de NAPTR 2 1 s SIP+D2U _sip._udp.munich.de\n".to_owned() + servers,
            "udp 192.0.2.1:5070 of a.munich.de, SRV 1 1",
        ),
        // TLS only where there is neither UDP nor TCP.
        ("_sips._tcp.munich.de SRV 1 1 5071 a.munich.de\n".to_owned() + servers, "udp 192.0.2.1:5070 of a.munich.de, SRV 1 1"),
        (
            "_sips._tcp.munich.de SRV 1 1 5071 b.munich.de\nb.munich.de A 192.0.2.2\n".to_owned() + at_home,
            "tls 192.0.2.2:5071 as munich.de of b.munich.de, SRV 1 1",
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
        let mut locate =
            Locate::start(&uri("sip:munich.de:5070"), None, Families::Both, &[], PROFILE).unwrap();
        let mut steps = Vec::new();
        loop {
            match locate.next(NOW) {
                Next::Found(found) => steps.push(found.destination.address.to_string()),
                Next::Unresolved { error, .. } => steps.push(format!("{error:?}")),
                Next::NotOffered { .. } => panic!("it has no SRV record"),
                Next::NoService { .. } => panic!("it has no NAPTR record"),
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

/// A generator of Knuth's, from a seed.
struct Seeded(u64);

impl Random for Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }
}

/// LOC-014: over ten thousand draws each server is in front as often as its weight says, one of weight 0 seldom, but it is.
#[test]
fn servers_of_a_priority_are_in_front_by_their_weight() {
    let zone: Vec<Record> = [(10, "a"), (0, "zero"), (60, "b"), (30, "c")]
        .into_iter()
        .map(|(weight, target)| {
            Record::Srv(Srv { priority: 1, weight, port: 5060, target: target.to_owned() })
        })
        .collect();
    let mut random = Seeded(1);
    let mut firsts = std::collections::BTreeMap::new();
    for _ in 0..10_000 {
        let ordered = by_chance(zone.clone(), &mut random);
        assert_eq!(ordered.len(), 4, "none is lost");
        *firsts.entry(srv(&ordered[0]).unwrap().target.clone()).or_insert(0_u32) += 1;
    }
    for (target, expected) in [("a", 990), ("b", 5941), ("c", 2970), ("zero", 99)] {
        let off = firsts[target].abs_diff(expected);
        // Four standard deviations at most.
        assert!(
            u64::from(off * off) <= 16 * u64::from(expected),
            "{target}: {} for {expected}",
            firsts[target]
        );
    }
    let even: Vec<Record> = (0..3)
        .map(|n| Record::Srv(Srv { priority: 1, weight: 0, port: 5060, target: n.to_string() }))
        .collect();
    let firsts: std::collections::BTreeSet<String> =
        (0..100).map(|_| srv(&by_chance(even.clone(), &mut random)[0]).unwrap().target.clone()).collect();
    assert_eq!(firsts.len(), 3, "without weights each may be in front");
}

/// LOC-013 LOC-019: bounded, whatever the zone holds.
#[test]
fn of_two_hundred_servers_sixteen_are_tried_and_few_are_asked_for() {
    let servers: Vec<String> = (0..200)
        .map(|n| {
            format!("_sip._udp.munich.de SRV {n} 0 5060 s{n}.munich.de\ns{n}.munich.de A 192.0.2.{}", n % 250)
        })
        .collect();
    let steps = located("sip:munich.de;transport=udp", &servers.join("\n"));
    assert_eq!(steps.lines().filter(|step| step.starts_with("udp")).count(), 16);
    let questions: usize =
        steps.lines().filter(|step| step.starts_with('?')).map(|step| step.split(", ").count()).sum();
    assert_eq!(questions, 33);
    assert!(steps.contains("udp 192.0.2.15:5060 of s15.munich.de, SRV 15 0"), "{steps}");
}

/// LOC-020 LOC-022: an IPv4 address is tried when the IPv6 one has not come for 50 ms; what comes later is not lost.
#[test]
fn what_is_known_of_one_family_is_tried_while_the_other_is_still_asked() {
    let random = &mut Counting::default();
    let mut locate = Locate::start(&uri("sip:munich.de:5060"), None, Families::Both, &[], PROFILE).unwrap();
    let Next::Wait { questions, until } = locate.next(NOW) else { panic!("it asks") };
    assert_eq!(until, NOW + PATIENCE);
    let address = |text: &str| Ok(vec![Record::from(text.parse::<IpAddr>().unwrap())]);
    let later = NOW + Duration::from_secs(1);
    locate.answer(&questions[1], address("192.0.2.1"), 60, random, later);
    // Neither a second answer nor one to what was not asked counts.
    locate.answer(&questions[1], Err(ResolveError::NoSuchName), 60, random, later);
    locate.answer(&Question::A("elsewhere.de".to_owned()), address("192.0.2.9"), 60, random, later);
    assert_eq!(locate.next(later), Next::Wait { questions: Vec::new(), until: later + RESOLUTION_DELAY });
    let to = |next: Next| {
        let Next::Found(found) = next else { return format!("{next:?}") };
        found.destination.address.to_string()
    };
    assert_eq!(to(locate.next(later + RESOLUTION_DELAY)), "192.0.2.1:5060");
    assert_eq!(locate.left(), 0);
    locate.answer(&questions[0], address("2001:db8::1"), 5, random, later + Duration::from_secs(30));
    assert_eq!(to(locate.next(later + Duration::from_secs(32))), "[2001:db8::1]:5060");
    assert_eq!(locate.next(later + Duration::from_secs(33)), Next::Over);
    assert_eq!(locate.good_until(), Some(later + Duration::from_secs(35)));
}

/// LOC-026: silence ends, however many questions there would be.
#[test]
fn a_name_service_that_never_answers_is_given_up() {
    let mut locate = Locate::start(&uri("sip:munich.de"), None, Families::Both, &[], PROFILE).unwrap();
    let Next::Wait { questions, until } = locate.next(NOW) else { panic!("it asks") };
    assert_eq!(questions.iter().map(shown_question).collect::<Vec<_>>(), ["NAPTR munich.de"]);
    assert_eq!(until, NOW + PATIENCE);
    let name = "munich.de".to_owned();
    assert_eq!(locate.next(until), Next::Unresolved { name, error: Some(ResolveError::TimedOut) });
    assert_eq!(locate.next(until), Next::Over);
}

/// LOC-026: a resolver that gives up by itself is asked for all that is left in one step.
#[test]
fn silence_about_the_services_has_all_the_rest_asked_at_once() {
    let steps = located(
        "sip:munich.de",
        "munich.de ! silent\n_sip._udp.munich.de ! silent\n_sip._tcp.munich.de ! silent",
    );
    assert_eq!(
        steps,
        "? NAPTR munich.de
? SRV _sip._udp.munich.de, SRV _sip._tcp.munich.de, AAAA munich.de, A munich.de
munich.de: Some(TimedOut)"
    );
}

#[test]
fn a_pinned_address_stands_for_a_host_at_one_port_also_where_srv_leads_there() {
    let pin = |host: &str, port, address: &str| Pinned {
        host: host.to_owned(),
        port,
        address: address.parse().unwrap(),
    };
    let zone = "_sip._udp.munich.de SRV 1 1 5070 a.munich.de\n_sip._udp.munich.de SRV 2 1 5071 a.munich.de\na.munich.de A 192.0.2.1";
    let pinned = [
        pin("A.munich.de", 5070, "192.0.2.77"),
        pin("a.munich.de", 5070, "2001:db8::77"),
        pin("munich.de", 5060, "192.0.2.78"),
    ];
    let walked = |text: &str, families| {
        let locate = Locate::start(&uri(text), None, families, &pinned, PROFILE).unwrap();
        walk(locate, zone, &mut Counting::default()).join("\n")
    };
    assert_eq!(
        walked("sip:munich.de;transport=udp", Families::V4),
        "? SRV _sip._udp.munich.de
udp 192.0.2.77:5070 of a.munich.de, SRV 1 1
? A a.munich.de
udp 192.0.2.1:5071 of a.munich.de, SRV 2 1"
    );
    assert_eq!(walked("sip:munich.de:5060", Families::Both), "udp 192.0.2.78:5060 of munich.de");
}

/// LOC-006 LOC-007 LOC-024: whatever the name service makes of a name, the other end has to be who the URI says.
#[test]
fn services_over_tls_and_websocket_are_taken_in_order_and_sips_takes_no_others() {
    let zone = "
        munich.de NAPTR 1 1 s SIPS+D2T _sips._tcp.example.net
        munich.de NAPTR 2 1 s SIP+D2U _sip._udp.munich.de
        munich.de NAPTR 3 1 s SIP+D2W _sip._ws.munich.de
        munich.de NAPTR 4 1 s sips+d2w _sips._ws.munich.de
        _sips._tcp.example.net SRV 1 1 5071 a.example.net
        _sip._udp.munich.de SRV 1 1 5070 a.example.net
        _sip._ws.munich.de SRV 1 1 8080 a.example.net
        _sips._ws.munich.de SRV 1 1 8443 a.example.net
        a.example.net A 192.0.2.1";
    assert_eq!(
        destinations("sip:munich.de", zone),
        "tls 192.0.2.1:5071 as munich.de of a.example.net, SRV 1 1
udp 192.0.2.1:5070 of a.example.net, SRV 1 1
ws 192.0.2.1:8080 as munich.de of a.example.net, SRV 1 1
wss 192.0.2.1:8443 as munich.de of a.example.net, SRV 1 1"
    );
    assert_eq!(
        destinations("sips:munich.de", zone),
        "tls 192.0.2.1:5071 as munich.de of a.example.net, SRV 1 1
wss 192.0.2.1:8443 as munich.de of a.example.net, SRV 1 1"
    );
    let plain =
        "munich.de NAPTR 1 1 s SIP+D2T _sip._tcp.munich.de\n_sip._tcp.munich.de SRV 1 1 5070 munich.de
        munich.de A 192.0.2.9";
    assert_eq!(destinations("sips:munich.de", plain), "munich.de: no service over TLS");
    let other = "munich.de NAPTR 1 1 s SIP+D2S _sip._sctp.munich.de";
    for text in ["sips:munich.de", "sip:munich.de"] {
        assert_eq!(destinations(text, other), "munich.de: no service");
    }
    // The default port of each.
    let at_home = "munich.de A 192.0.2.9";
    for (text, expected) in [
        ("sips:munich.de", "tls 192.0.2.9:5061 as munich.de of munich.de"),
        ("sip:munich.de;transport=ws", "ws 192.0.2.9:80 as munich.de of munich.de"),
        ("sips:munich.de;transport=ws", "wss 192.0.2.9:443 as munich.de of munich.de"),
        ("sip:munich.de:5066;transport=ws", "ws 192.0.2.9:5066 as munich.de of munich.de"),
    ] {
        assert_eq!(destinations(text, at_home), expected, "{text}");
    }
}
