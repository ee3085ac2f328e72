//! Floods: what is kept stays bounded, and a good client is served among them.

use std::time::Duration;

use sipreg::proto::digest::Algorithm;
use sipreg::proto::registrar::service::{Limits, ServerEvent, Service};

use crate::access::{answer, nonce_of};
use crate::world::*;

const MD5: Algorithm = Algorithm::Md5;

fn spoofed(n: u32) -> String {
    format!("{}.{}.{}.9:5060", 1 + n % 200, n / 200 % 250, n / 50_000)
}

/// RAU-018: neither requests without credentials nor malformed ones are remembered.
#[test]
fn a_hundred_thousand_sources_leave_nothing_behind() {
    let mut world = World::new(guarded());
    for n in 0..100_000 {
        let text = match n % 100 {
            0..40 => register(n, "Contact: <sip:a~b>"),
            40..70 => register(n, "no colon"),
            70..99 => request("OPTIONS", "sip:munich.de", n, ""),
            _ => register(
                n,
                "Authorization: Digest username=\"heisenberg\", realm=\"munich.de\", nonce=\"x\", uri=\"sip:munich.de\", response=\"00000000000000000000000000000000\", qop=auth, nc=00000001, cnonce=\"c\"",
            ),
        };
        assert_eq!(world.datagram(&spoofed(n), &text).len(), 1);
        world.told.truncate(10);
    }
    assert_eq!(world.endpoint.next_timeout(), None, "no timer is left, so nothing is kept");
    assert_eq!(world.asked.len(), 0);
    world.stop();
}

/// DSR-002 DSR-006: requests that are let through are bounded too; those that are not are told to come back one after the other.
#[test]
fn requests_that_wait_for_a_dead_location_service_are_bounded() {
    let limits = Limits { pending: 100, ..limits() };
    let mut world = World::new(Service { limits, ..service() });
    world.shelf = Shelf::Slow;
    let mut waits = Vec::new();
    for n in 0..4000 {
        for sent in world.datagram(&spoofed(n), &register(n, "Contact: <sip:a~b>")) {
            assert_eq!(sent.status(), 503);
            waits.push(sent.header("Retry-After").unwrap().parse::<u32>().unwrap());
        }
    }
    assert_eq!(waits.len(), 3900);
    assert!(waits.iter().all(|wait| (5..=15).contains(wait)));
    assert!((6..=12).all(|wait| waits.contains(&wait)), "not all at once");
    world.stop();
}

#[test]
fn ten_thousand_contacts_in_one_request_are_refused_whole() {
    let mut world = World::new(service());
    let contacts: Vec<String> = (0..3000).map(|n| format!("<sip:d{n}~b>")).collect();
    let answer = world.ask(&register(1, &format!("Contact: {}", contacts.join(","))));
    assert_eq!(answer.status(), 503);
    assert_eq!(world.news(), []);
    assert_eq!(bound(&world.ask(&register(2, ""))), [""; 0]);
    world.stop();
}

/// STX-005: the answers kept for copies are bounded in octets.
#[test]
fn answers_kept_for_copies_are_bounded() {
    let limits = Limits { replay: 100_000, ..limits() };
    let mut world = World::new(Service { limits, ..service() });
    for n in 0..2000 {
        world.ask(&register(n + 1, "Contact: <sip:a~b>"));
    }
    // The oldest is forgotten, the youngest is not.
    assert_eq!(world.ask(&register(1, "Contact: <sip:a~b>")).status(), 500);
    let before = world.counters().retransmissions;
    assert_eq!(world.ask(&register(2000, "Contact: <sip:a~b>")).status(), 200);
    assert_eq!(world.counters().retransmissions, before + 1);
    assert!(world.told.iter().all(|what| matches!(what, ServerEvent::Changed { .. })));
    world.stop();
}

/// DSR-002: a source that has not proven who it is gets so many answers a second, and silence beyond; a user who has is
/// answered all the same, and so are others.
#[test]
fn a_source_gets_so_many_answers_before_it_has_proven_who_it_is() {
    let limits = Limits { rate: 10, ..Limits::default() };
    for what in ["REGISTER", "OPTIONS", "INVITE", "no colon", "rubbish"] {
        let mut world = World::new(Service { limits, ..guarded() });
        let mut answered = 0;
        for n in 100..400 {
            let text = match what {
                "REGISTER" => register(n, "Contact: <sip:a~b>"),
                "no colon" => register(n, what),
                "rubbish" => register(n, "").replace("CSeq", "X"),
                method => request(method, "sip:munich.de", n, ""),
            };
            answered += world.datagram(DEVICE, &text).len();
        }
        assert_eq!(answered, 10, "{what}");
        // The password is known: that takes the answers that are left elsewhere, or one of the next second.
        let challenge = world.datagram("192.0.2.8:5070", &register(1, "")).pop().unwrap();
        let nonce = nonce_of(&challenge, MD5);
        let right = answer(&register(2, "Contact: <sip:a~b>"), &nonce, "heisenberg", "uncertainty", MD5, 1);
        assert_eq!(world.datagram(DEVICE, &right)[0].status(), 200, "{what}");
        assert_eq!(world.datagram(DEVICE, &register(3, "")).len(), 0);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.ask(&register(4, "")).status(), 401);
        world.told.retain(|what| matches!(what, ServerEvent::RateLimited { .. }));
        assert_eq!(world.news(), []);
        world.pass(Duration::from_secs(3));
        let source = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(world.news(), [ServerEvent::RateLimited { source, unanswered: 291, logins: 0 }]);
        assert_eq!(world.counters().rate_limited, 291);
        world.stop();
    }
}

/// DSR-002: where so many logins have failed in a minute, none is looked at until it is over; elsewhere the user is served.
#[test]
fn failed_logins_stop_those_of_their_source_and_nobody_elsewhere() {
    let limits = Limits { login_failures: 5, ..Limits::default() };
    let mut world = World::new(Service { limits, ..guarded() });
    let (here, elsewhere) = ("192.0.2.7:5070", "192.0.2.8:5070");
    let mut n = 0;
    let mut login = |world: &mut World, from: &str, user: &str, password: &str| {
        n += 1;
        let challenge = world.datagram(from, &register(n, "")).pop().unwrap();
        let text = register(n, "").replace("sip:heisenberg~", &format!("sip:{user}~"));
        let text = answer(&text, &nonce_of(&challenge, MD5), user, password, MD5, n);
        let sent = world.datagram(from, &text).pop().unwrap();
        (sent.status(), sent.header("Retry-After"))
    };
    assert_eq!(login(&mut world, here, "born", "probability").0, 200);
    for _ in 0..5 {
        assert_eq!(login(&mut world, here, "heisenberg", "wrong").0, 401);
        world.pass(Duration::from_millis(1500));
    }
    // Right or wrong, known to be a user or not: a minute from the first, less the 7.5 s that have passed.
    for (user, password) in
        [("heisenberg", "uncertainty"), ("heisenberg", "x"), ("admin", "root"), ("no", "no")]
    {
        assert_eq!(login(&mut world, here, user, password), (503, Some("53".to_owned())), "{user}");
    }
    assert_eq!(login(&mut world, elsewhere, "heisenberg", "uncertainty").0, 200);
    assert_eq!(login(&mut world, here, "born", "probability").0, 200);
    world.pass(Duration::from_secs(3));
    world.told.retain(|what| matches!(what, ServerEvent::RateLimited { .. }));
    let source = "::ffff:192.0.2.7".parse().unwrap();
    assert_eq!(world.news(), [ServerEvent::RateLimited { source, unanswered: 0, logins: 4 }]);
    world.pass(Duration::from_secs(50));
    assert_eq!(login(&mut world, here, "heisenberg", "uncertainty").0, 200);
    world.stop();
}

/// DSR-002: with nobody to prove who it is, every request counts, and what gets no answer changes nothing.
#[test]
fn where_anybody_may_every_request_counts() {
    let limits = Limits { rate: 3, ..Limits::default() };
    let mut world = World::new(Service { limits, ..service() });
    let answered = (1..=10).flat_map(|n| world.datagram(DEVICE, &register(n, "Contact: <sip:a~b>"))).count();
    assert_eq!((answered, world.asked.len()), (3, 3));
    // A copy is a request, too.
    assert_eq!(world.datagram(DEVICE, &register(1, "Contact: <sip:a~b>")).len(), 0);
    let of_network = |n| format!("[2001:db8::{n}]:5060");
    let spread = (1..=10).flat_map(|n| world.datagram(&of_network(n), &register(n, ""))).count();
    assert_eq!(spread, 3);
    assert_eq!((1..=10).flat_map(|n| world.datagram("127.0.0.1:9", &register(100 + n, ""))).count(), 10);
    world.stop();
}

/// A refusal that no datagram can carry is 513 and no silence; over a connection it is what it is.
#[test]
fn a_refusal_that_is_too_large_is_told_as_513() {
    let tags = (0..9000).map(|n| format!("x{n:05}")).collect::<Vec<_>>();
    let require = format!("Require: {}", tags.join(","));
    for method in ["REGISTER", "OPTIONS"] {
        let mut world = World::new(service());
        let text = request(method, "sip:munich.de", 1, &require);
        assert!(text.len() < 65_500);
        assert_eq!(world.ask(&text).status(), 513, "{method}");
        let peer = "192.0.2.7:40000";
        let flow = world.connect(peer);
        let sent = world.stream(flow, peer, &wire(&text));
        assert!(sent[0].bytes.starts_with(b"SIP/2.0 420 "), "{method}");
        world.stop();
    }
}
