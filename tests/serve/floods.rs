//! Floods: what is kept stays bounded, and a good client is served among them.

use sipreg::proto::registrar::service::{Limits, ServerEvent, Service};

use crate::world::*;

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

/// DSR-002: requests that are let through are bounded too.
#[test]
fn requests_that_wait_for_a_dead_location_service_are_bounded() {
    let limits = Limits { pending: 100, ..Limits::default() };
    let mut world = World::new(Service { limits, ..service() });
    world.shelf = Shelf::Slow;
    let mut refused = 0;
    for n in 0..1000 {
        for sent in world.datagram(&spoofed(n), &register(n, "Contact: <sip:a~b>")) {
            assert_eq!((sent.status(), sent.header("Retry-After").is_some()), (503, true));
            refused += 1;
        }
    }
    assert_eq!(refused, 900);
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
    let limits = Limits { replay: 100_000, ..Limits::default() };
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
