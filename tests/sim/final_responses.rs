//! What is made of final answers: which are a success, and how each failure is sorted.

use sipreg::proto::client::plan::Purpose;

use crate::world::*;

fn outcome(answer: &str) -> String {
    verdict(&World::answering(&[answer]).run(plan()))
}

const MINE: &str = "sip:werner.heisenberg@192.0.2.99:5070";

/// REG-001 REG-010 REG-012..015 REG-030 REG-035 REG-036 COD-002 DES-020 DES-030 URI-004 URI-012 HDR-001 HDR-005
/// RSP-003 RSP-029 RSP-030 REG-020 HDR-013 HDR-019
#[test]
fn the_own_binding_is_found_among_others_and_its_own_lifetime_counts() {
    for (answer, granted) in [
        ("200 OK|Contact: <@>;expires=60|Expires: 3600", 60),
        ("202 Accepted|Contact: <@>;expires=60", 60),
        ("299 Fine|m: <@>;expires=60", 60),
        // Among strangers: first, last, in one row or several, another device with the same user part, a broken one.
        ("200 OK|Contact: <sip:x~y>;expires=5, <@>;expires=60, <sip:z~y>;expires=7", 60),
        (
            "200 OK|Contact: \"Doe, J\" <sip:x~y;a=b>;q=0.1;expires=1, <mailto:a~b>|Contact: <@>;expires=60",
            60,
        ),
        ("200 OK|Contact: <sip:werner.heisenberg~192.0.2.50:5070>;expires=5, <@>;expires=60", 60),
        ("200 OK|Contact: <sip:bro ken>;expires=5|Contact: <@>;expires=60", 60),
        ("200 OK|Contact: <@;rinstance=1;ob>;expires=60;+sip.instance=\"<urn:x>\"", 60),
        ("200 OK|Contact: <sip:%77erner.heisenberg~192.0.2.99:5070>;expires=60", 60),
        // Rewritten by the registrar: transport added, or the address it saw.
        ("200 OK|Contact: <@;transport=udp>;expires=60", 60),
        // The closest likeness counts, not the longest life.
        ("200 OK|Contact: <@>;expires=60, <@;transport=tcp>;expires=7000", 60),
        ("200 OK|Contact: <@>;expires=60|Date: Sat, 13 Nov 2010 23:29:00 GMT", 60),
        ("200 OK|Contact: <@>;expires=60|Max-Forwards: 1|Route: <sip:x>|Date: never|X-Junk: \"", 60),
    ] {
        let course = World::answering(&[answer]).run(plan());
        let shown = verdict(&course);
        assert!(
            shown.starts_with("ok: sip:") && shown.ends_with(&format!(" for {granted}")),
            "{answer}: {shown}"
        );
        let success = course.report.result.as_ref().unwrap();
        assert_eq!(success.bindings.iter().filter(|b| b.own).count(), 1, "{answer}");
    }
}

/// REG-037
#[test]
fn an_associated_uri_is_no_binding() {
    let ok = format!("{OK}|P-Associated-URI: <sip:boss~munich.de>, <@>");
    let success = World::answering(&[&ok]).run(plan()).report.result.unwrap();
    let uris: Vec<String> = success.bindings.iter().map(|b| b.contact.uri.to_string()).collect();
    assert_eq!((uris, success.contacts.len()), (vec![MINE.to_owned()], 1));
    let alone = World::answering(&["200 OK|P-Associated-URI: <@>"]).run(plan());
    assert_eq!(verdict(&alone), "Misbehaved(NotBound)");
}

/// DES-020 NAT-004
#[test]
fn a_binding_at_the_address_that_the_registrar_saw_is_ours() {
    let course = World::new(|request, _, _| {
        let text = "200 OK|Via: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK0000000000000004;received=203.0.113.5;\
                    rport=40000|Contact: <sip:werner.heisenberg~203.0.113.5:40000>;expires=60";
        vec![(10, Reaction::Send(answer(request, text)))]
    })
    .run(plan());
    assert_eq!(verdict(&course), "ok: sip:werner.heisenberg@203.0.113.5:40000 for 60");
    assert_eq!(course.report.received, Some("203.0.113.5:40000".parse().unwrap()));
    assert_eq!(format!("{:?}", course.report.warnings), "[Rewritten]");
    // Without `received` the address was what Via says.
    let mut advertised = plan();
    advertised.advertise = Some(Box::new((sipreg::sip::Host::parse("203.0.113.5").unwrap(), Some(4444))));
    let ok = "200 OK|Via: SIP/2.0/UDP 203.0.113.5:4444;branch=z9hG4bK0000000000000004;rport=4444|Contact: <@>;expires=60";
    let course = World::answering(&[ok]).run(advertised);
    assert_eq!(course.report.received, Some("203.0.113.5:4444".parse().unwrap()));
}

/// NAT-004: an address that can't be that of the device, or that is of the other family, says nothing, nor does its port.
#[test]
fn an_address_that_nobody_can_have_is_not_taken_for_ours() {
    for (params, seen) in [
        (";received=203.0.113.5;rport=40000", Some("203.0.113.5:40000")),
        (";received=203.0.113.5", Some("203.0.113.5:5070")),
        (";rport=40000", Some("192.0.2.99:40000")),
        (";received=203.0.113.5;rport=0", Some("203.0.113.5:5070")),
        (";received=[2001:db8::5];rport=40000", None),
        (";received=0.0.0.0;rport=40000", None),
        (";received=224.0.0.5;rport=40000", None),
        (";received=255.255.255.255;rport=40000", None),
        (";rport=0", None),
        (";rport", None),
    ] {
        let ok = format!(
            "200 OK|Via: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK0000000000000004{params}|Contact: <@>;expires=60"
        );
        let course = World::answering(&[&ok]).run(plan());
        assert_eq!(course.report.received, seen.map(|seen| seen.parse().unwrap()), "{params}");
    }
}

/// REG-003 REG-015
#[test]
fn a_binding_without_lifetime_is_listed_with_the_one_asked_for() {
    let mut plan = plan();
    plan.purpose = Purpose::Bind { expires: Some(60) };
    let success = World::answering(&["200 OK|Contact: <@>"]).run(plan).report.result.unwrap();
    assert_eq!((success.contacts[0].expires, success.bindings[0].expires), (60, 60));
}

/// REG-004 DES-020
#[test]
fn contacts_that_are_equal_by_the_rfc_may_be_one_binding_or_two() {
    let mut twice = plan();
    twice.contacts = vec![contact("<sip:a~192.0.2.20>"), contact("<sip:a~192.0.2.20;x=1>")];
    for (answer, expected, own) in [
        (
            "200 OK|Contact: <sip:a~192.0.2.20>;expires=60",
            "sip:a@192.0.2.20 for 60, sip:a@192.0.2.20 for 60",
            1,
        ),
        (
            "200 OK|Contact: <sip:a~192.0.2.20>;expires=60, <sip:a~192.0.2.20;x=1>;expires=50",
            "sip:a@192.0.2.20 for 60, sip:a@192.0.2.20;x=1 for 50",
            2,
        ),
    ] {
        let course = World::answering(&[answer]).run(twice.clone());
        assert_eq!(verdict(&course), format!("ok: {expected}"), "{answer}");
        assert_eq!(course.report.result.unwrap().bindings.iter().filter(|b| b.own).count(), own, "{answer}");
    }
}

/// REG-004 DES-020
#[test]
fn a_named_contact_is_bound_also_when_the_registrar_adds_the_default_port_and_a_transport() {
    let mut named = plan();
    named.contacts = vec![contact("<sip:desk~192.0.2.20>")];
    let ok = "200 OK|Contact: <sip:desk~192.0.2.20:5060;transport=udp>;expires=60";
    let course = World::answering(&[ok]).run(named);
    assert_eq!(verdict(&course), "ok: sip:desk@192.0.2.20:5060;transport=udp for 60");
    assert_eq!(format!("{:?}", course.report.warnings), "[Rewritten]");
}

/// DES-020 OUT-006
#[test]
fn a_contact_with_an_instance_is_found_by_it_wherever_the_registrar_says_it_is() {
    let mut plan = plan();
    plan.contacts = vec![contact("<sip:a~192.0.2.20>;+sip.instance=\"<urn:uuid:1>\";reg-id=1")];
    let run = |instance: &str, reg_id: u32| {
        let ok = format!(
            "200 OK|Contact: <sip:gateway~203.0.113.9>;+sip.instance=\"<urn:uuid:{instance}>\";reg-id={reg_id};expires=60"
        );
        verdict(&World::answering(&[&ok]).run(plan.clone()))
    };
    assert_eq!(run("1", 1), "ok: sip:gateway@203.0.113.9 for 60");
    assert_eq!(run("2", 1), "Misbehaved(NotBound)");
    assert_eq!(run("1", 2), "Misbehaved(NotBound)");
}

/// REG-010 DES-030 DES-020
#[test]
fn a_2xx_without_a_live_binding_of_ours_is_no_success() {
    for answer in [
        "200 OK|Contact: <sip:other~192.0.2.99:5070>;expires=60",
        "200 OK|Contact: <sip:werner.heisenberg~192.0.2.50:5070>;expires=60",
        "200 OK|Contact: <sips:werner.heisenberg~192.0.2.99:5070>;expires=60",
    ] {
        let course = World::answering(&[answer]).run(plan());
        assert_eq!(verdict(&course), "Misbehaved(NotBound)", "{answer}");
    }
}

/// REG-026 DES-023
#[test]
fn a_removed_contact_must_be_gone_and_a_423_does_not_add_it_again() {
    let mut remove = plan();
    remove.purpose = Purpose::Remove;
    for (answer, expected) in [
        ("200 OK", format!("ok: {MINE} for 0")),
        ("200 OK|Contact: <@>;expires=0", format!("ok: {MINE} for 0")),
        ("200 OK|Contact: <@>;expires=10", "Misbehaved(StillBound)".to_owned()),
        ("423 Interval Too Brief|Min-Expires: 60", "Refused(TooBrief { min_expires: Some(60) })".to_owned()),
    ] {
        let course = World::answering(&[answer]).run(remove.clone());
        assert_eq!(verdict(&course), expected, "{answer}");
        assert_eq!(course.report.requests, 1);
    }
}

/// RSP-001 RSP-003 RSP-023 RSP-025 RSP-026 RSP-027 COD-003..008 COD-010..013 COD-015..021
/// COD-023 COD-024 TXN-017 LOC-018
#[test]
fn every_final_refusal_is_sorted_and_asked_for_once() {
    for (answer, expected) in [
        ("400 Bad Request", "Refused(Status(400))"),
        ("403 Forbidden", "Refused(Status(403))"),
        ("404 Not Found", "Refused(Status(404))"),
        ("405 Method Not Allowed|Allow: INVITE", "Refused(Status(405))"),
        ("406 Not Acceptable", "Refused(Status(406))"),
        ("408 Request Timeout", "Timeout"),
        ("410 Gone", "Refused(Status(410))"),
        ("413 Request Entity Too Large", "Refused(Status(413))"),
        ("414 Request-URI Too Long", "Refused(Status(414))"),
        ("416 Unsupported URI Scheme", "Refused(Status(416))"),
        ("430 Flow Failed", "Refused(Status(430))"),
        ("439 First Hop Lacks Outbound Support", "Refused(Status(439))"),
        ("440 Max-Breadth Exceeded", "Refused(Status(440))"),
        ("480 Gone For Lunch|Retry-After: 20", "Refused(RetryAfter { status: 480, seconds: 20 })"),
        ("482 Loop Detected", "Refused(Status(482))"),
        ("483 Too Many Hops", "Refused(Status(483))"),
        ("484 Address Incomplete", "Refused(Status(484))"),
        ("485 Ambiguous", "Refused(Status(485))"),
        ("494 Security Agreement Required", "Refused(Status(494))"),
        ("499 What", "Refused(Status(499))"),
        ("500 Server Internal Error", "Refused(Status(500))"),
        ("501 Not Implemented", "Refused(Status(501))"),
        ("502 Bad Gateway", "Refused(Status(502))"),
        ("503 Service Unavailable", "Refused(Status(503))"),
        ("504 Server Time-out", "Refused(Status(504))"),
        ("505 Version Not Supported", "Refused(Status(505))"),
        ("513 Message Too Large", "Refused(Status(513))"),
        ("555 Push Notification Service Not Supported", "Refused(Status(555))"),
        ("599 Odd", "Refused(Status(599))"),
        ("600 Busy Everywhere", "Refused(Status(600))"),
        ("603 Decline", "Refused(Status(603))"),
        ("604 Does Not Exist Anywhere", "Refused(Status(604))"),
        ("606 Not Acceptable", "Refused(Status(606))"),
        ("699 Odd", "Refused(Status(699))"),
        (
            "421 Extension Required|Require: outbound",
            r#"Refused(Extension { status: 421, tags: ["outbound"] })"#,
        ),
    ] {
        assert_eq!(outcome(answer), expected, "{answer}");
        let course = World::answering(&[answer]).run(plan());
        assert_eq!(course.report.requests, 1, "{answer}");
        let status: u16 = answer[..3].parse().unwrap();
        assert_eq!(course.report.response.as_ref().map(|r| r.0), Some(status));
    }
}

/// REG-024 REG-025 REG-031 DES-026 REG-004
#[test]
fn a_423_raises_every_lifetime_to_min_expires_at_most_twice() {
    let mut brief = plan();
    brief.purpose = Purpose::Bind { expires: Some(60) };
    brief.contacts = vec![contact("<sip:a~192.0.2.20>"), contact("<sip:b~192.0.2.20>;expires=90")];
    let refuse = |min: u32| format!("423 Interval Too Brief|Min-Expires: {min}");
    let texts = [refuse(120), refuse(240), refuse(480)];
    let answers: Vec<&str> = texts.iter().map(String::as_str).collect();
    let course = World::answering(&answers).run(brief);
    let asked: Vec<String> = course
        .sent
        .iter()
        .map(|s| format!("{} {}", s.header("Expires").unwrap(), s.headers("Contact").join(" ")))
        .collect();
    assert_eq!(
        asked,
        [
            "60 <sip:a@192.0.2.20> <sip:b@192.0.2.20>;expires=90",
            "120 <sip:a@192.0.2.20> <sip:b@192.0.2.20>;expires=120",
            "240 <sip:a@192.0.2.20> <sip:b@192.0.2.20>;expires=240",
        ]
    );
    assert_eq!(verdict(&course), "Refused(TooBrief { min_expires: Some(480) })");
    assert_eq!(course.report.cseq, 3);
}

/// REG-024 REG-006 DES-023
#[test]
fn a_423_raises_no_lifetime_of_0() {
    let mut mixed = plan();
    mixed.purpose = Purpose::Bind { expires: Some(0) };
    mixed.contacts =
        ["a~b>;expires=60", "c~d>", "e~f>;expires=0"].map(|text| contact(&format!("<sip:{text}"))).to_vec();
    let brief = "423 Interval Too Brief|Min-Expires: 120";
    let course = World::answering(&[brief, "200 OK|Contact: <sip:a~b>;expires=120"]).run(mixed.clone());
    assert_eq!(
        course.sent[1].headers("Contact").join(" "),
        "<sip:a@b>;expires=120 <sip:c@d> <sip:e@f>;expires=0"
    );
    assert_eq!(course.sent[1].header("Expires").unwrap(), "0");
    assert_eq!(verdict(&course), "ok: sip:a@b for 120, sip:c@d for 0, sip:e@f for 0");
    // Nothing is left to raise.
    mixed.contacts.remove(0);
    let course = World::answering(&[brief]).run(mixed);
    assert_eq!((course.report.requests, verdict(&course).contains("TooBrief")), (1, true));
}

/// RSP-021 COD-013 COD-014
#[test]
fn a_420_drops_a_tag_once_and_a_421_does_not_bring_it_back() {
    let no_path = "420 Bad Extension|Unsupported: outbound, path, gruu";
    let need_path = "421 Extension Required|Require: path";
    let supported = |course: &Course| {
        let all: Vec<String> =
            course.sent.iter().map(|s| s.header("Supported").unwrap_or_default()).collect();
        all.join("/")
    };
    let course = World::answering(&[no_path, OK]).run(plan());
    assert_eq!((supported(&course).as_str(), course.report.result.is_ok()), ("path/", true));
    let course = World::answering(&[no_path]).run(plan());
    assert_eq!(supported(&course), "path/");
    assert!(verdict(&course).starts_with("Refused(Extension { status: 420"));
    let course = World::answering(&[no_path, need_path]).run(plan());
    assert_eq!(supported(&course), "path/");
    let course = World::answering(&[need_path]).run(plan());
    assert_eq!(supported(&course), "path");
    assert!(verdict(&course).starts_with("Refused(Extension { status: 421"));
}

/// RSP-031 REG-031
#[test]
fn what_is_odd_in_a_success_is_a_warning() {
    let odd = "200 OK|Contact: <@>;expires=7200, <sip:bro ken>|Require: x-unknown, path";
    let course = World::answering(&[odd]).run(plan());
    assert_eq!(
        format!("{:?}", course.report.warnings),
        "[UnknownRequire(\"x-unknown\"), UnreadableContacts(1), Lengthened { asked: 3600, granted: 7200 }]"
    );
    assert!(World::answering(&[OK]).run(plan()).report.warnings.is_empty());
}

/// EXT-002 EXT-004
#[test]
fn service_route_and_path_are_reported_in_order() {
    let ok = "200 OK|Contact: <@>;expires=60|Service-Route: <sip:a;lr>, <sip:b;lr>|Path: <sip:p;lr>|Service-Route: <sip:c;lr>";
    let course = World::answering(&[ok]).run(plan());
    let success = course.report.result.unwrap();
    let shown = |list: &[sipreg::sip::NameAddr]| list.iter().map(|a| a.uri.to_string()).collect::<Vec<_>>();
    assert_eq!(shown(&success.service_route), ["sip:a;lr", "sip:b;lr", "sip:c;lr"]);
    assert_eq!(shown(&success.path), ["sip:p;lr"]);
}
