//! Copies of requests, slow answers, and where answers go (RFC 3261 §17.2.2, §18.2, RFC 3581, RFC 4320).

use std::time::Duration;

use sipreg::proto::{Cause, Event};

use crate::world::*;

/// STX-005 STX-006 RGR-033 STX-022
#[test]
fn a_copy_gets_the_same_answer_and_changes_nothing() {
    let mut world = World::new(service());
    let text = register(1, "Contact: <sip:a~b>");
    let first = world.ask(&text);
    world.pass(Duration::from_secs(31));
    assert_eq!(world.ask(&text), first);
    assert_eq!((world.asked.len(), world.counters().retransmissions), (1, 1));
    // Timer J is over: to the registrar it is a request of its own, and an old one.
    world.pass(Duration::from_secs(1));
    assert_eq!(world.ask(&text).status(), 500);
    world.stop();
}

/// STX-003 STX-004 STX-019 STX-020
#[test]
fn a_slow_location_service_shows_as_one_100_after_3500_ms() {
    let mut world = World::new(service());
    world.shelf = Shelf::Slow;
    let text = register(1, "Contact: <sip:a~b>|Timestamp: 54");
    assert_eq!(world.datagram(DEVICE, &text), []);
    world.pass(Duration::from_millis(3499));
    assert_eq!(world.datagram(DEVICE, &text), []);
    world.pass(Duration::from_millis(1));
    let trying = world.sent.pop().expect("a 100");
    assert_eq!((trying.status(), trying.header("Timestamp").as_deref()), (100, Some("54")));
    assert_eq!(trying.header("To").as_deref(), Some("<sip:heisenberg@munich.de>"));
    assert_eq!(world.datagram(DEVICE, &text), [trying]);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.sent, []);
    world.answer_store();
    let ok = world.sent.pop().expect("a 200");
    assert_eq!((ok.status(), world.sent.len()), (200, 0));
    assert_eq!(world.datagram(DEVICE, &text), [ok]);
    world.stop();
}

/// STX-023 STX-024 STX-025 STX-026 STX-027
#[test]
fn answers_go_where_the_via_and_the_source_say() {
    let peer = "198.51.100.9:40000";
    for (via, to, noted) in [
        ("192.0.2.7:5070", "198.51.100.9:5070", ";received=198.51.100.9"),
        ("192.0.2.7", "198.51.100.9:5060", ";received=198.51.100.9"),
        ("192.0.2.7:5070;rport", peer, ";rport=40000;received=198.51.100.9"),
        ("192.0.2.7;rport=1", peer, ";rport=40000;received=198.51.100.9"),
        ("198.51.100.9:5070", "198.51.100.9:5070", ""),
        ("198.51.100.9:40000;rport", peer, ";rport=40000;received=198.51.100.9"),
        ("device.example:5070", "198.51.100.9:5070", ";received=198.51.100.9"),
        ("192.0.2.7;maddr=203.0.113.5", "198.51.100.9:5060", ";maddr=203.0.113.5;received=198.51.100.9"),
        ("192.0.2.7;maddr=203.0.113.5;rport", peer, ";maddr=203.0.113.5;received=198.51.100.9"),
        ("192.0.2.7:5070;maddr=198.51.100.9", "198.51.100.9:5070", ";received=198.51.100.9"),
        ("192.0.2.7;maddr=224.0.1.75", "224.0.1.75:5060", ";maddr=224.0.1.75;received=198.51.100.9"),
        ("192.0.2.7:5070;maddr=2001:db8::1", "198.51.100.9:5070", ";received=198.51.100.9"),
        ("192.0.2.7:5070;received=10.0.0.1", "198.51.100.9:5070", ";received=198.51.100.9"),
        ("198.51.100.9:5070;received=10.0.0.1", "198.51.100.9:5070", ";received=198.51.100.9"),
    ] {
        let mut world = World::new(service());
        let text = register(1, "").replace("UDP 192.0.2.7:5070;", &format!("UDP {via};"));
        let sent = world.datagram(peer, &text);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].peer.to_string(), to, "{via}");
        let row = sent[0].header("Via").unwrap();
        let noted_all =
            noted.split(';').all(|part| row.split(';').any(|found| found == part || part.is_empty()));
        assert!(noted_all && row.contains("branch=z9hG4bK1"), "{via}: {row}");
        assert_eq!(row.matches("received").count(), usize::from(!noted.is_empty()), "{row}");
        world.stop();
    }
}

/// STX-024: all Vias come back, and only the topmost is ours to write in.
#[test]
fn every_via_comes_back_in_order() {
    let mut world = World::new(service());
    let text = register(1, "").replace(
        "|Max-Forwards",
        ", SIP/2.0/TCP b;branch=z9hG4bKb|v: SIP/2.0/UDP c;branch=z9hG4bKc|Max-Forwards",
    );
    let ok = world.ask(&text);
    assert_eq!(
        ok.headers("Via"),
        [
            "SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK1, SIP/2.0/TCP b;branch=z9hG4bKb",
            "SIP/2.0/UDP c;branch=z9hG4bKc"
        ]
    );
    world.stop();
}

/// STX-032
#[test]
fn a_request_that_comes_on_two_ways_is_served_once() {
    let mut world = World::new(service());
    let text = register(1, "Contact: <sip:a~b>");
    assert_eq!(world.ask(&text).status(), 200);
    assert_eq!(world.ask(&text.replace("z9hG4bK1", "z9hG4bKfork")).status(), 482);
    assert_eq!(world.asked.len(), 1);
    world.stop();
}

/// STX-028
#[test]
fn an_answer_goes_back_on_its_connection_or_on_a_new_one() {
    let mut world = World::new(service());
    let peer = "192.0.2.7:40000";
    let flow = world.connect(peer);
    let sent = world.stream(flow, peer, &wire(&register(1, "Contact: <sip:a~b>")));
    assert_eq!(
        sent.iter().map(|sent| (sent.flow, sent.peer, sent.status())).collect::<Vec<_>>(),
        [(flow, peer.parse().unwrap(), 200)]
    );

    world.shelf = Shelf::Slow;
    assert_eq!(world.stream(flow, peer, &wire(&register(2, ""))), []);
    world.lose(flow, None);
    world.answer_store();
    assert_eq!(world.sent, []);
    let (late, address) = world.opened.pop().expect("a connection is opened");
    assert_eq!(address.to_string(), "192.0.2.7:5070");
    world.event(Event::Opened { flow: late, local: "192.0.2.1:40001".parse().unwrap() });
    assert_eq!(world.sent.pop().map(|sent| (sent.flow, sent.status())), Some((late, 200)));
    assert_eq!(world.closed, [late]);

    let flow = world.connect(peer);
    assert_eq!(world.stream(flow, peer, &wire(&register(3, ""))), []);
    world.lose(flow, Some(Cause::Reset));
    world.answer_store();
    let (late, _) = world.opened.pop().expect("a connection is opened");
    world.lose(late, Some(Cause::Refused));
    assert_eq!(world.sent, []);
    world.stop();
}

/// STX-031 TRN-023
#[test]
fn a_connection_carries_messages_in_any_pieces_and_pings_between_them() {
    let mut world = World::new(service());
    let peer = "192.0.2.7:40000";
    let flow = world.connect(peer);
    let pong = world.stream(flow, peer, "\r\n\r\n");
    assert_eq!(pong.iter().map(|sent| sent.bytes.as_ref()).collect::<Vec<_>>(), [b"\r\n"]);
    let two = wire(&register(1, "Contact: <sip:a~b>")) + &wire(&register(2, ""));
    let mut answers = Vec::new();
    for piece in two.as_bytes().chunks(7) {
        answers.extend(world.stream(flow, peer, std::str::from_utf8(piece).unwrap()));
    }
    let cseqs: Vec<_> = answers.iter().map(|sent| sent.header("CSeq").unwrap()).collect();
    assert_eq!(cseqs, ["1 REGISTER", "2 REGISTER"]);
    world.stop();
}
