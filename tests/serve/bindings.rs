//! What a REGISTER does to bindings, and what its answer says of it (RFC 3261 §10.3).

use std::time::Duration;

use sipreg::proto::binding::{Fate, StoreFailure};
use sipreg::proto::registrar::service::{Full, Limits, Policy, ServerEvent, Service};

use crate::world::*;

const A: &str = "<sip:heisenberg~192.0.2.7:5070>";

fn fates(world: &mut World) -> String {
    let news = world.news().into_iter().map(|what| match what {
        ServerEvent::Changed { effect, expires, .. } => {
            let until = expires.map(|at| format!(" {}", at.since(world.now).as_secs())).unwrap_or_default();
            format!("{:?} {}{until}", effect.fate, effect.contact)
        }
        other => format!("{other:?}"),
    });
    news.collect::<Vec<_>>().join(", ")
}

/// RGR-020 RGR-029 RGR-034 RGR-035 RGR-036 RGR-037 RGR-048 RGR-005
#[test]
fn a_contact_is_bound_listed_and_removed() {
    let mut world = World::new(service());
    let ok = world.ask(&register(1, &format!("Contact: {A}|Expires: 600")));
    insta::assert_snapshot!(ok.text().replace("\r\n", "\n"), @r"
    SIP/2.0 200 OK
    Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK1
    From: <sip:heisenberg@munich.de>;tag=f
    To: <sip:heisenberg@munich.de>;tag=fdc21966bcfece01
    Call-ID: c
    CSeq: 1 REGISTER
    Contact: <sip:heisenberg@192.0.2.7:5070>;expires=600
    Date: Wed, 14 Oct 2026 17:46:40 GMT
    Content-Length: 0
    ");
    assert_eq!(fates(&mut world), "Bound <sip:heisenberg@192.0.2.7:5070> 600");

    world.pass(Duration::from_secs(10));
    assert_eq!(bound(&world.ask(&register(2, ""))), ["<sip:heisenberg@192.0.2.7:5070>;expires=590"]);
    assert_eq!(fates(&mut world), "");

    let ok = world.ask(&register(3, &format!("Contact: {A};expires=0")));
    assert_eq!(bound(&ok), [""; 0]);
    assert_eq!(fates(&mut world), "Removed <sip:heisenberg@192.0.2.7:5070>");
    assert_eq!(
        world.asked,
        [
            "change sip:heisenberg@munich.de",
            "fetch sip:heisenberg@munich.de",
            "change sip:heisenberg@munich.de"
        ]
    );
    world.stop();
}

/// RGR-023 RGR-024 RGR-025 RGR-026 RGR-027 REG-003
#[test]
fn the_lifetime_is_what_the_contact_the_header_or_the_policy_says() {
    let grant = |policy: Policy, rows: &str| {
        let mut world = World::new(sipreg::proto::registrar::service::Service { policy, ..service() });
        let answer = world.ask(&register(1, rows));
        let said = match answer.status() {
            200 => bound(&answer).join(" "),
            status => format!("{status} {}", answer.header("Min-Expires").unwrap_or_default()),
        };
        world.stop();
        said.replace("<sip:a@b>;expires=", "")
    };
    let usual = service().policy;
    let strict = Policy { min_expires: 7200, max_expires: 9000, default_expires: 8000, ..usual };
    for (policy, rows, expected) in [
        (usual, "Contact: <sip:a~b>", "3600"),
        (usual, "Contact: <sip:a~b>|Expires: 120", "120"),
        (usual, "Contact: <sip:a~b>;expires=90|Expires: 120", "90"),
        (usual, "Contact: <sip:a~b>;expires=abc|Expires: 120", "3600"),
        (usual, "Contact: <sip:a~b>|Expires: abc", "3600"),
        (usual, "Contact: <sip:a~b>;expires=\"90\"", "3600"),
        (usual, "Contact: <sip:a~b>;expires=-1", "3600"),
        (usual, "Contact: <sip:a~b>;expires=99999999999", "7200"),
        (usual, "Contact: <sip:a~b>;expires=7201", "7200"),
        (usual, "Contact: <sip:a~b>;expires=60", "60"),
        (usual, "Contact: <sip:a~b>;expires=59", "423 60"),
        (usual, "Contact: <sip:a~b>;expires=1", "423 60"),
        (usual, "Contact: <sip:a~b>;expires=0", ""),
        (usual, "Contact: <sip:c~d>, <sip:a~b>;expires=59", "423 60"),
        (strict, "Contact: <sip:a~b>;expires=3599", "423 7200"),
        (strict, "Contact: <sip:a~b>;expires=3600", "3600"),
        (strict, "Contact: <sip:a~b>", "8000"),
        (strict, "Contact: <sip:a~b>;expires=10000", "9000"),
        (strict, "Contact: <sip:a~b>;expires=0", ""),
    ] {
        assert_eq!(grant(policy, rows), expected, "{rows}");
    }
}

/// RGR-007 RGR-030 RGR-031 RGR-032 RGR-043 RGR-028
#[test]
fn call_id_and_cseq_decide_whether_a_contact_may_change() {
    let mut world = World::new(service());
    assert_eq!(bound(&world.ask(&register(5, &format!("Contact: {A}, <sip:b~b>")))).len(), 2);
    // Older, in a transaction of its own: nothing changes, although <sip:c@c> alone could.
    let late = world.ask(&register(4, &format!("Contact: <sip:c~c>, {A};expires=0")));
    assert_eq!(
        (late.status(), late.response().reason.as_str()),
        (500, "Server Internal Error: CSeq is not higher than before")
    );
    let same = register(5, &format!("Contact: {A};expires=0"))
        .replace("z9hG4bK5", "z9hG4bKother")
        .replace("tag=f", "tag=g");
    assert_eq!(world.ask(&same).status(), 500);
    assert_eq!(bound(&world.ask(&register(6, ""))).len(), 2);
    // Another Call-ID may, whatever its number; an upper-case host is the same host.
    let other = register(1, "Contact: <sip:b~B>;expires=90").replace("Call-ID: c", "Call-ID: d");
    assert_eq!(
        bound(&world.ask(&other)),
        ["<sip:heisenberg@192.0.2.7:5070>;expires=3600", "<sip:b@B>;expires=90"]
    );
    assert_eq!(bound(&world.ask(&register(7, "Contact: <sip:nobody~b>;expires=0"))).len(), 2);
    world.stop();
}

/// RGR-021 RGR-022
#[test]
fn a_star_removes_all_and_only_with_a_lifetime_of_0() {
    let mut world = World::new(service());
    world.ask(&register(5, &format!("Contact: {A}, <sip:b~b>")));
    for rows in [
        "Contact: *",
        "Contact: *|Expires: 60",
        "Contact: *, <sip:b~b>|Expires: 0",
        "Contact: *|Contact: *|Expires: 0",
    ] {
        assert_eq!(world.ask(&register(6, rows)).status(), 400, "{rows}");
    }
    assert_eq!(world.ask(&register(4, "Contact: *|Expires: 0")).status(), 500);
    assert_eq!(bound(&world.ask(&register(7, ""))).len(), 2);
    world.news();
    assert_eq!(bound(&world.ask(&register(8, "Contact: *|Expires: 0"))), [""; 0]);
    let fates: Vec<Fate> = world
        .news()
        .iter()
        .filter_map(|what| match what {
            ServerEvent::Changed { effect, .. } => Some(effect.fate),
            _ => None,
        })
        .collect();
    assert_eq!(fates, [Fate::Removed, Fate::Removed]);
    world.stop();
}

/// RGR-044 DSR-001
#[test]
fn a_binding_ends_at_its_time_and_is_told_once() {
    let mut world = World::new(service());
    for n in 1..=10 {
        let ok = world.ask(&register(n, &format!("Contact: {A}|Expires: 60")));
        assert_eq!(bound(&ok), ["<sip:heisenberg@192.0.2.7:5070>;expires=60"]);
        world.pass(Duration::from_millis(1234));
    }
    world.news();
    world.pass(Duration::from_millis(60_000 - 1235));
    assert_eq!(bound(&world.ask(&register(11, ""))).len(), 1);
    world.pass(Duration::from_millis(1));
    assert_eq!(bound(&world.ask(&register(12, ""))), [""; 0]);
    world.pass(Duration::from_secs(5));
    assert_eq!(fates(&mut world), "Expired <sip:heisenberg@192.0.2.7:5070>");
    assert_eq!(world.counters().expired, 1);
    world.stop();
}

/// RGR-045
#[test]
fn one_binding_too_many_is_refused_and_the_others_stay() {
    let mut world = World::new(service());
    let many =
        |from: u32, to: u32| (from..to).map(|n| format!("<sip:d{n}~b>")).collect::<Vec<_>>().join(", ");
    assert_eq!(bound(&world.ask(&register(1, &format!("Contact: {}", many(0, 10))))).len(), 10);
    let full = world.ask(&register(2, "Contact: <sip:x~b>"));
    assert_eq!(
        (full.status(), full.response().reason.as_str()),
        (503, "Service Unavailable: too many bindings")
    );
    assert_eq!(full.header("Retry-After").as_deref(), Some("3600"));
    assert_eq!(bound(&world.ask(&register(3, "Contact: <sip:d1~b>, <sip:d2~b>"))).len(), 10);
    assert_eq!(bound(&world.ask(&register(4, "Contact: <sip:d1~b>;expires=0, <sip:x~b>"))).len(), 10);
    world.stop();
}

/// A place for two.
fn narrow(full: Full) -> World {
    let policy = Policy { max_contacts: 2, ..service().policy };
    let limits = Limits { full, ..limits() };
    World::new(Service { policy, limits, ..service() })
}

/// RGR-045: over UDP and TCP, for one contact and for several, until the first of those that are there ends.
#[test]
fn one_binding_too_many_may_come_when_the_first_has_ended() {
    let mut world = narrow(Full::Refuse);
    world.ask(&register(1, "Contact: <sip:a~b>;expires=100, <sip:c~b>;expires=300"));
    world.pass(Duration::from_millis(10_500));
    let flow = world.connect("192.0.2.9:40000");
    for (n, rows) in [(2, "Contact: <sip:x~b>"), (3, "Contact: <sip:x~b>, <sip:y~b>, <sip:a~b>")] {
        let over_tcp = register(n + 10, rows).replace("SIP/2.0/UDP", "SIP/2.0/TCP");
        for full in
            [world.ask(&register(n, rows)), world.stream(flow, "192.0.2.9:40000", &wire(&over_tcp)).remove(0)]
        {
            assert_eq!(
                (full.status(), full.header("Retry-After").as_deref()),
                (503, Some("90")),
                "{}",
                full.text()
            );
            assert_eq!(full.headers("Contact"), [""; 0]);
        }
    }
    assert_eq!(
        bound(&world.ask(&register(5, "Contact: <sip:a~b>;expires=100, <sip:c~b>;expires=300"))).len(),
        2
    );
    world.pass(Duration::from_secs(100));
    assert_eq!(bound(&world.ask(&register(6, "Contact: <sip:x~b>"))).len(), 2);
    let alone = narrow(Full::Refuse).ask(&register(1, "Contact: <sip:a~b>, <sip:c~b>, <sip:d~b>"));
    assert_eq!((alone.status(), alone.header("Retry-After").as_deref()), (503, Some("3600")));
    world.stop();
}

/// RGR-045: the store may answer late, and the client is answered once, in turn.
#[test]
fn who_finds_no_room_is_answered_before_those_that_came_later() {
    let mut world = narrow(Full::Refuse);
    world.ask(&register(1, "Contact: <sip:a~b>, <sip:c~b>"));
    world.shelf = Shelf::Slow;
    world.asked.clear();
    assert_eq!(world.datagram(DEVICE, &register(2, "Contact: <sip:x~b>")), []);
    assert_eq!(world.datagram(DEVICE, &register(3, "Contact: <sip:a~b>;expires=0")), []);
    let answered = |world: &mut World| {
        world.sent.clear();
        world.answer_store();
        world.sent.iter().map(|sent| (sent.status(), sent.header("CSeq").unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(answered(&mut world), []);
    assert_eq!(answered(&mut world), [(503, "2 REGISTER".to_owned())]);
    assert_eq!(answered(&mut world), [(200, "3 REGISTER".to_owned())]);
    let aor = "sip:heisenberg@munich.de";
    assert_eq!(world.asked, [format!("change {aor}"), format!("fetch {aor}"), format!("change {aor}")]);
    world.stop();
}

/// RGR-045: the one that was refreshed longest ago goes, and is told.
#[test]
fn the_oldest_makes_room_where_that_is_wished() {
    let mut world = narrow(Full::ReplaceOldest);
    world.ask(&register(1, "Contact: <sip:a~b>, <sip:c~b>"));
    world.pass(Duration::from_secs(1));
    world.ask(&register(2, "Contact: <sip:a~b>"));
    world.news();
    world.pass(Duration::from_secs(1));
    let answer = world.ask(&register(3, "Contact: <sip:x~b>"));
    assert_eq!(bound(&answer).len(), 2);
    assert!(answer.text().contains("<sip:a@b>") && answer.text().contains("<sip:x@b>"), "{}", answer.text());
    assert_eq!(fates(&mut world), "Removed <sip:c@b>, Bound <sip:x@b> 3600");
    assert_eq!(bound(&world.ask(&register(4, "Contact: <sip:y~b>, <sip:z~b>"))).len(), 2);
    assert_eq!(
        fates(&mut world),
        "Removed <sip:a@b>, Removed <sip:x@b>, Bound <sip:y@b> 3600, Bound <sip:z@b> 3600"
    );
    assert_eq!(world.ask(&register(5, "Contact: <sip:1~b>, <sip:2~b>, <sip:3~b>")).status(), 503);
    assert_eq!(bound(&world.ask(&register(6, "Contact: <sip:y~b>"))).len(), 2);
    world.stop();
}

/// RGR-017 RGR-018 RGR-019 RGR-001 RGR-015 RGR-016
#[test]
fn the_address_of_record_is_user_and_domain_whatever_its_spelling() {
    let mut world = World::new(service());
    world.ask(&register(1, &format!("Contact: {A}")));
    let to =
        |n: u32, to: &str| register(n, "").replace("To: <sip:heisenberg~munich.de>", &format!("To: {to}"));
    for (n, spelling) in [
        "<sip:%68eisenberg~MUNICH.de;user=phone>",
        "sips:heisenberg~munich.de",
        "H <sip:heisenberg:pw~munich.de:5060>",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(bound(&world.ask(&to(n as u32 + 2, spelling))).len(), 1, "{spelling}");
    }
    assert_eq!(bound(&world.ask(&to(10, "<sip:heisenberg%00~munich.de>"))), [""; 0]);
    assert_eq!(bound(&world.ask(&to(11, "<sip:HEISENBERG~munich.de>"))), [""; 0]);
    for (n, (address, status)) in
        [("<sip:heisenberg~berlin.de>", 404), ("<tel:+4989>", 400), ("<mailto:a~munich.de>", 400)]
            .iter()
            .enumerate()
    {
        assert_eq!(world.ask(&to(n as u32 + 12, address)).status(), *status, "{address}");
    }
    let foreign = register(20, "").replace("REGISTER sip:munich.de", "REGISTER sip:berlin.de");
    assert_eq!(world.ask(&foreign).status(), 404);
    assert_eq!(world.ask(&foreign.replace("Max-Forwards: 70", "Max-Forwards: 0")).status(), 483);
    // The addresses it listens on are its own.
    let by_address =
        register(21, "").replace("sip:munich.de", "sip:192.0.2.1:5060").replace("munich.de", "192.0.2.1");
    assert_eq!(bound(&world.ask(&by_address)), [""; 0]);
    world.stop();
}

/// RGR-038 RGR-039 RGR-040 RGR-049 RGR-004
#[test]
fn contacts_come_back_as_they_came() {
    let mut world = World::new(service());
    for (n, (contact, listed)) in [
        ("sip:+1972~gw.example;unknown", "<sip:+1972@gw.example>;unknown;expires=3600"),
        ("<sip:+1972~gw.example;unknown>", "<sip:+1972@gw.example;unknown>;expires=3600"),
        (
            "<sip:u~example.com?Route=%3Csip:sip.example.com%3E>",
            "<sip:u@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600",
        ),
        (
            "\"Desk, the\" <sip:d~b>;+sip.instance=\"<urn:uuid:1>\";q=0.5;+sip.foo=\"<x>\";expires=90",
            "<sip:d@b>;+sip.instance=\"<urn:uuid:1>\";+sip.foo=\"<x>\";q=0.5;expires=90",
        ),
        ("<mailto:w~munich.de>", "<mailto:w@munich.de>;expires=3600"),
        ("<tel:+4989>;q=2", "<tel:+4989>;expires=3600"),
    ]
    .iter()
    .enumerate()
    {
        let n = n as u32 * 2 + 1;
        let rows = format!("Contact: {contact}|Record-Route: <sip:p>|X-Odd: 1|Content-Type: a/b");
        let ok = world.ask(&register(n, &rows));
        assert_eq!(bound(&ok), [*listed]);
        assert_eq!(ok.header("Record-Route"), None);
        world.ask(&register(n + 1, "Contact: *|Expires: 0"));
    }
    world.stop();
}

/// RGR-041 RGR-042
#[test]
fn the_address_itself_is_no_contact() {
    let mut world = World::new(service());
    for contact in
        ["<sip:heisenberg~munich.de>", "<sip:%68eisenberg~MUNICH.DE>;+sip.instance=\"<urn:uuid:1>\""]
    {
        assert_eq!(world.ask(&register(1, &format!("Contact: {contact}"))).status(), 403, "{contact}");
    }
    for (n, contact) in
        ["<sip:born~munich.de>", "<sip:heisenberg~munich.de:5070>", "<sip:heisenberg~192.0.2.1>"]
            .iter()
            .enumerate()
    {
        assert_eq!(
            world.ask(&register(n as u32 + 2, &format!("Contact: {contact}"))).status(),
            200,
            "{contact}"
        );
    }
    world.stop();
}

/// PTH-001 PTH-002
#[test]
fn a_path_is_kept_and_told_to_those_who_know_what_it_is() {
    let mut world = World::new(service());
    let rows =
        format!("Contact: {A}|Path: <sip:p1.example;lr>, <sip:p2.example;lr>|Path: <sip:p3.example;lr>");
    let unknown = world.ask(&register(1, &rows));
    assert_eq!((unknown.status(), unknown.header("Unsupported").as_deref()), (420, Some("path")));
    let ok = world.ask(&register(2, &format!("{rows}|Supported: gruu, path")));
    assert_eq!(bound(&ok).len(), 1);
    assert_eq!(ok.headers("Path"), ["<sip:p1.example;lr>, <sip:p2.example;lr>", "<sip:p3.example;lr>"]);
    assert_eq!(world.ask(&register(3, "Contact: <sip:x~b>|Path: <sip|Supported: path")).status(), 400);
    world.stop();
}

/// PTH-012
#[test]
fn a_sips_contact_needs_a_sips_request_uri() {
    let mut world = World::new(service());
    assert_eq!(world.ask(&register(1, "Contact: <sips:a~b>")).status(), 400);
    let sips = register(2, "Contact: <sips:a~b>").replace("REGISTER sip:", "REGISTER sips:");
    assert_eq!(bound(&world.ask(&sips)).len(), 1);
    world.stop();
}

/// RGR-008 RGR-003
#[test]
fn what_the_location_service_does_not_take_is_not_confirmed() {
    for (failure, status) in [
        (StoreFailure::Failed, 500),
        (StoreFailure::Unavailable, 503),
        (StoreFailure::OutOfOrder, 500),
        (StoreFailure::TooMany, 503),
        (StoreFailure::Full, 503),
    ] {
        let mut world = World::new(service());
        world.shelf = Shelf::Broken(failure);
        let answer = world.ask(&register(1, &format!("Contact: {A}")));
        assert_eq!((answer.status(), answer.headers("Contact").len()), (status, 0));
        assert_eq!(answer.header("Retry-After").is_some(), status == 503);
        assert_eq!(fates(&mut world), "");
        world.shelf = Shelf::Quick;
        assert_eq!(bound(&world.ask(&register(2, ""))), [""; 0]);
        world.stop();
    }
}

/// RGR-008 DES-008: who comes back while the location service takes no changes is asked to wait longer each time, though lists
/// go on; once it takes one, all is as before.
#[test]
fn who_is_refused_again_waits_longer_until_the_location_service_is_back() {
    let mut world = World::new(service());
    let wait = |world: &mut World, n, contact: &str| {
        let answer = world.ask(&register(n, contact));
        let wait = answer.header("Retry-After").map_or(0, |text| text.parse::<u64>().unwrap());
        world.pass(Duration::from_secs(wait));
        wait
    };
    let contact = format!("Contact: {A}");
    let mut waits = Vec::new();
    for n in 1..6 {
        world.shelf = Shelf::Broken(StoreFailure::Unavailable);
        waits.push(wait(&mut world, 2 * n, &contact));
        world.shelf = Shelf::Quick;
        assert_eq!(wait(&mut world, 2 * n + 1, ""), 0);
    }
    assert!((5..=11).contains(&waits[0]) && waits[4] >= 40 && waits.is_sorted(), "{waits:?}");
    assert_eq!(wait(&mut world, 20, &contact), 0);
    world.shelf = Shelf::Broken(StoreFailure::Unavailable);
    assert!((5..=11).contains(&wait(&mut world, 21, &contact)));
    world.stop();
}

/// RGR-044: what runs out while the location service is away is told when it is back.
#[test]
fn what_could_not_be_dropped_is_dropped_later() {
    let mut world = World::new(service());
    world.ask(&register(1, &format!("Contact: {A};expires=60")));
    fates(&mut world);
    world.asked.clear();
    world.shelf = Shelf::Broken(StoreFailure::Unavailable);
    world.pass(Duration::from_secs(62));
    assert_eq!(world.asked, ["expire"; 3]);
    assert_eq!(fates(&mut world), "");
    world.shelf = Shelf::Quick;
    world.pass(Duration::from_secs(1));
    assert_eq!(fates(&mut world), format!("Expired {}", A.replace('~', "@")));
    world.stop();
}

/// RGR-006 RGR-009
#[test]
fn requests_for_one_address_take_effect_in_the_order_they_came() {
    let mut world = World::new(service());
    world.shelf = Shelf::Slow;
    for (n, rows) in [(1, "Contact: <sip:a~b>"), (2, "Contact: <sip:a~b>;expires=0"), (3, "")] {
        assert_eq!(world.datagram(DEVICE, &register(n, rows)), []);
    }
    // Others are not held up.
    assert_eq!(
        world.datagram(DEVICE, &register(9, "").replace("heisenberg~", "born~").replace("ID: c", "ID: d")),
        []
    );
    assert_eq!(world.asked, ["change sip:heisenberg@munich.de", "fetch sip:born@munich.de"]);
    for _ in 0..4 {
        world.answer_store();
    }
    let answers: Vec<String> = world
        .sent
        .iter()
        .map(|sent| format!("{} {}", sent.header("CSeq").unwrap(), bound(sent).len()))
        .collect();
    assert_eq!(answers, ["1 REGISTER 1", "9 REGISTER 0", "2 REGISTER 0", "3 REGISTER 0"]);
    world.stop();
}

/// RGR-050
#[test]
fn a_long_list_comes_whole_and_one_that_no_datagram_carries_is_refused() {
    let policy = Policy { max_contacts: 10_000, ..service().policy };
    let mut world = World::new(sipreg::proto::registrar::service::Service { policy, ..service() });
    for n in 0..10 {
        let list: Vec<String> = (0..200).map(|d| format!("<sip:device-{n}-{d}~192.0.2.7:5070>")).collect();
        let answer = world.ask(&register(n + 1, &format!("Contact: {}", list.join(", "))));
        let expected = 200 * (n as usize + 1);
        match answer.status() {
            200 => assert_eq!(bound(&answer).len(), expected),
            status => assert!(status == 513 && expected > 1000, "{status} at {expected}"),
        }
    }
    world.stop();
}
