//! From a domain to its registrar by the name service (RFC 3263), through the program: a name server in the test, and
//! registrars on loopback.

use std::net::UdpSocket;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use serde_json::{Value, json};

use crate::nameserver::{NameServer, Play, a, alias, naptr, srv};
use crate::registrar::{Registrar, Request, must};
use crate::run::{Ran, sipreg};

const AOR: &str = "sip:werner@munich.de";

/// Registers, asking these name servers.
fn register(servers: &[&str], more: &[&str]) -> Ran {
    let servers = servers.iter().flat_map(|server| ["--nameserver", *server]);
    let words = ["register", AOR, "--stateless", "--json"].into_iter().chain(servers);
    sipreg(&words.chain(more.iter().copied()).collect::<Vec<_>>())
}

fn yes() -> Registrar {
    Registrar::udp(|_, request: &Request| request.as_asked())
}

/// An address that nobody listens on.
fn closed() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The attempts: result and target of each.
fn attempts(object: &Value) -> Vec<(&str, &str)> {
    let all = object["attempts"].as_array().unwrap().iter();
    all.map(|attempt| (attempt["result"].as_str().unwrap(), attempt["target"].as_str().unwrap_or("null")))
        .collect()
}

/// A zone without NAPTR: these SRV records for UDP, and 127.0.0.1 for every host.
fn by_srv(records: Vec<RData>) -> impl Fn(&str, &str) -> Play {
    move |name, kind| match kind {
        "SRV" if name == "_sip._udp.munich.de" => Play::Say(records.clone()),
        "A" => Play::Say(vec![a(1)]),
        _ => Play::Say(vec![]),
    }
}

/// LOC-005 LOC-009 LOC-011 LOC-020 LOC-023: NAPTR, SRV and AAAA lead to a registrar over TCP; a service that can't be
/// used yet is said.
#[test]
fn a_domain_with_all_records_is_enough() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else { return };
    let registrar = Registrar::listening(listener, |_, request| request.as_asked());
    let at = registrar.address.clone();
    let server = NameServer::new(move |name, kind| match (kind, name) {
        ("NAPTR", "munich.de") => Play::Say(vec![
            naptr(30, "SIP+D2U", "_sip._udp.munich.de"),
            naptr(10, "SIP+D2S", "_sip._sctp.munich.de"),
            naptr(20, "SIP+D2T", "_sip._tcp.munich.de"),
        ]),
        ("SRV", "_sip._tcp.munich.de") => Play::Say(vec![srv(10, 60, &at, "sip1.munich.de")]),
        ("AAAA", "sip1.munich.de") => Play::Say(vec![RData::AAAA(std::net::Ipv6Addr::LOCALHOST.into())]),
        _ => Play::Say(vec![]),
    });
    let ran = register(&[&server.address], &["-v"]);
    let object = must(&ran, 0);
    assert_eq!(object["registrar"]["transport"], "tcp");
    assert_eq!(attempts(&object), [("200", "sip1.munich.de")]);
    for said in ["SIP+D2S _sip._sctp.munich.de (skipped)", "sip1.munich.de, SRV 10 60", &server.address] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.all());
    }
    assert_eq!(registrar.requests()[0].text.lines().next(), Some("REGISTER sip:munich.de SIP/2.0"));
}

/// LOC-013 LOC-016 LOC-017: the first server is gone, the second overloaded, the third registers.
#[test]
fn the_next_server_is_gone_to_when_one_fails() {
    let busy = Registrar::udp(|_, request| request.answer("503 Service Unavailable", &[]));
    let registrar = yes();
    let records = vec![
        srv(30, 0, &registrar.address, "sip3.munich.de"),
        srv(10, 0, &closed(), "sip1.munich.de"),
        srv(20, 0, &busy.address, "sip2.munich.de"),
    ];
    let server = NameServer::new(by_srv(records));
    let object = must(&register(&[&server.address], &[]), 0);
    let expected = [("refused", "sip1.munich.de"), ("503", "sip2.munich.de"), ("200", "sip3.munich.de")];
    assert_eq!(attempts(&object), expected);
    let (busy, came) = (busy.requests(), registrar.requests());
    assert_eq!(busy[0].header("Call-ID"), came[0].header("Call-ID"));
    assert_ne!(busy[0].header("Via"), came[0].header("Via"));
}

/// LOC-026: a name server that is not there costs nothing, and one that is cut short answers over TCP.
#[test]
fn another_name_server_answers_and_tcp_carries_what_does_not_fit() {
    let registrar = yes();
    let records: Vec<RData> =
        (0..200u16).map(|n| srv(n, 0, &registrar.address, &format!("sip{n}.munich.de"))).collect();
    let server = NameServer::new(move |_, kind| match kind {
        "SRV" => Play::Cut(records.clone()),
        "A" => Play::Say(vec![a(1)]),
        _ => Play::Say(vec![]),
    });
    let ran = register(&[&closed(), &server.address], &["-v"]);
    let object = must(&ran, 0);
    assert_eq!(attempts(&object), [("200", "sip0.munich.de")]);
    assert!(object["elapsed_ms"].as_f64().unwrap() < 2000.0, "{}", ran.all());
}

/// LOC-015: an SRV target of "." ends it; nobody is asked for an address of the domain, and nothing was tried.
#[test]
fn a_service_that_is_not_offered_is_not_tried() {
    let server = NameServer::new(by_srv(vec![srv(0, 0, ":5060", ".")]));
    let ran = register(&[&server.address], &["--transport", "udp"]);
    let object = must(&ran, 5);
    assert_eq!((&object["error"]["cause"], &object["attempts"]), (&json!("service_not_offered"), &json!([])));
    assert_eq!(server.asked(), ["SRV _sip._udp.munich.de"]);
}

/// LOC-019: a server without an address is one attempt, and the next one is gone to.
#[test]
fn a_server_without_an_address_is_passed_over() {
    let registrar = yes();
    let records = vec![srv(1, 0, ":5060", "gone.munich.de"), srv(2, 0, &registrar.address, "sip.munich.de")];
    let zone = by_srv(records);
    let server = NameServer::new(move |name, kind| match name {
        "gone.munich.de" => Play::Fail(ResponseCode::NXDomain),
        name => zone(name, kind),
    });
    let object = must(&register(&[&server.address], &[]), 0);
    assert_eq!(attempts(&object), [("no_such_name", "gone.munich.de"), ("200", "sip.munich.de")]);
    assert_eq!(
        (&object["attempts"][0]["remote"], &object["attempts"][0]["transport"]),
        (&Value::Null, &Value::Null)
    );
}

/// LOC-026: aliases are followed; a circle of them ends soon.
#[test]
fn aliases_are_followed_and_a_circle_ends() {
    let registrar = yes();
    let port = registrar.address.rsplit(':').next().unwrap().to_owned();
    let server = NameServer::new(|name, kind| match (name, kind) {
        ("one.munich.de", "A") => Play::Chain(vec![
            ("one.munich.de", alias("two.munich.de")),
            ("two.munich.de", alias("three.munich.de")),
        ]),
        ("three.munich.de", "A") => Play::Say(vec![a(1)]),
        ("circle.munich.de", _) => Play::Say(vec![alias("back.munich.de")]),
        ("back.munich.de", _) => Play::Say(vec![alias("circle.munich.de")]),
        _ => Play::Say(vec![]),
    });
    let object = must(&register(&[&server.address], &["--registrar", &format!("one.munich.de:{port}")]), 0);
    assert_eq!(attempts(&object), [("200", "one.munich.de")]);
    let object = must(&register(&[&server.address], &["--registrar", "circle.munich.de:5060"]), 5);
    assert_eq!(attempts(&object), [("dns_failed", "circle.munich.de")]);
    assert!(object["elapsed_ms"].as_f64().unwrap() < 2000.0);
}

/// LOC-025: four ways to find nothing, told apart in words, causes and attempts.
#[test]
fn four_ways_to_find_nothing_are_told_apart() {
    let plays: [(fn() -> Play, _, _, _); 4] = [
        (|| Play::Fail(ResponseCode::NXDomain), "no_such_name", "name_unknown", "does not exist"),
        (|| Play::Say(vec![]), "no_records", "no_records", "no address that may be used"),
        (|| Play::Fail(ResponseCode::ServFail), "dns_failed", "nameserver_failed", "the name server failed"),
        (|| Play::Silence, "dns_silent", "nameserver_silent", "no name server answered"),
    ];
    for (play, result, cause, words) in plays {
        let server = NameServer::new(move |_, _| play());
        let ran = register(&[&server.address], &["--t1", "50ms"]);
        let object = must(&ran, 5);
        assert_eq!(attempts(&object), [(result, "munich.de")], "{}", ran.all());
        assert_eq!(object["error"]["cause"], cause);
        assert!(object["error"]["message"].as_str().unwrap().contains(words), "{}", ran.all());
        assert!(object["elapsed_ms"].as_f64().unwrap() < 15_000.0);
        assert_eq!(object["requests"], 0);
    }
}

/// LOC-006: a domain whose services can't be used is told as that, with what they lack, and not as one without addresses.
#[test]
fn services_that_do_not_do_are_told_as_what_they_lack() {
    for (registrar, service, said, advised) in [
        ("sips:munich.de", "SIP+D2U", "not over TLS, which a sips: address needs", "no service over TLS"),
        ("sips:munich.de", "SIP+D2T", "not over TLS, which a sips: address needs", "no service over TLS"),
        ("sips:munich.de", "SIP+D2S", "by no transport that sipreg has", "other services only"),
        ("sip:munich.de", "SIP+D2S", "by no transport that sipreg has", "other services only"),
    ] {
        let server = NameServer::new(move |name, kind| match (kind, name) {
            ("NAPTR", "munich.de") => Play::Say(vec![naptr(10, service, "_sip.munich.de")]),
            _ => Play::Say(vec![a(1)]),
        });
        let ran = register(&[&server.address], &["--registrar", registrar]);
        let object = must(&ran, 5);
        assert_eq!(attempts(&object), [("no_records", "munich.de")], "{}", ran.all());
        let error = &object["error"];
        assert_eq!((&error["kind"], &error["cause"]), (&"unreachable".into(), &"no_records".into()));
        assert!(error["message"].as_str().unwrap().ends_with(said), "{error}");
        assert!(error["hint"].as_str().unwrap().contains(advised), "{error}");
        assert_eq!(server.asked(), ["NAPTR munich.de"]);
    }
}

/// LOC-026: the time for the whole is over while only the name service was waited for.
#[test]
fn silence_of_the_name_server_is_not_that_of_a_registrar() {
    let server = NameServer::new(|_, _| Play::Silence);
    let object = must(&register(&[&server.address], &["--timeout", "300ms"]), 5);
    assert_eq!(attempts(&object), [("dns_silent", "munich.de")]);
    assert_eq!(object["error"]["cause"], "nameserver_silent");
}

/// LOC-004: with a port only addresses are asked for, and a domain that has none is told what to do.
#[test]
fn a_port_keeps_srv_records_out_and_the_hint_says_so() {
    let registrar = yes();
    let records = vec![srv(1, 0, &registrar.address, "sip.munich.de")];
    let zone = by_srv(records);
    let server = NameServer::new(move |name, kind| match name {
        "munich.de" => Play::Say(vec![]),
        name => zone(name, kind),
    });
    let object = must(&register(&[&server.address], &["--registrar", "munich.de:5060"]), 5);
    let hint = object["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("SRV") && hint.contains("port"), "{hint}");
    assert_eq!(server.asked(), ["A munich.de", "AAAA munich.de"]);
    must(&register(&[&server.address], &[]), 0);
}

/// LOC-003: numeric registrars ask nobody.
#[test]
fn an_address_asks_no_name_server() {
    let registrar = yes();
    let server = NameServer::new(|_, _| Play::Silence);
    let object = must(&register(&[&server.address], &["--registrar", &registrar.address]), 0);
    assert_eq!((attempts(&object), server.asked()), (vec![("200", "null")], vec![]));
}

/// LOC-023: `--resolve` says where a host is, where an SRV record leads there too; records of it are not asked for.
#[test]
fn resolve_takes_the_place_of_addresses() {
    let registrar = yes();
    let port = registrar.address.rsplit(':').next().unwrap();
    let server = NameServer::new(by_srv(vec![srv(1, 0, &registrar.address, "sip.munich.de")]));
    let pinned = format!("SIP.munich.de:{port}:127.0.0.1");
    let object = must(&register(&[&server.address], &["--resolve", &pinned, "--transport", "udp"]), 0);
    assert_eq!(attempts(&object), [("200", "sip.munich.de")]);
    assert!(!server.asked().iter().any(|asked| asked.contains(" sip.munich.de")), "{:?}", server.asked());
}

/// A domain is typed as people write it, sent and asked for in A-labels, and shown as it was typed.
#[test]
fn a_domain_of_any_script_is_sent_in_a_labels() {
    let server = NameServer::new(|_, _| Play::Fail(ResponseCode::NXDomain));
    let words = ["register", "werner@münchen.de", "--stateless", "--nameserver", &server.address];
    let ran = sipreg(&words);
    assert_eq!(ran.code, Some(5), "{}", ran.all());
    assert!(ran.stderr.contains("the name \"münchen.de\" does not exist"), "{}", ran.all());
    assert!(server.asked().iter().all(|asked| asked.ends_with("xn--mnchen-3ya.de")), "{:?}", server.asked());
}
