use super::*;
use crate::sip::Message;

fn request(text: &str) -> Request {
    let octets = Bytes::from(text.replace('|', "\r\n") + "\r\n\r\n");
    match Message::parse_datagram(octets) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text}: {other:?}"),
    }
}

fn key_of(keys: Keys, request: &Request) -> TransactionKey {
    keys.of(request, &request.headers.top_via().unwrap()).unwrap()
}

const REST: &str = "|From: <sip:a@b>;tag=f|To: <sip:a@b>|Call-ID: c|CSeq: 1 REGISTER";

fn via(method: &str, via: &str) -> Request {
    request(&format!("{method} sip:b SIP/2.0|Via: {via}{REST}"))
}

/// STX-001
#[test]
fn a_request_is_known_by_branch_sent_by_and_method() {
    let keys = Keys::new(7);
    let first = key_of(keys, &via("REGISTER", "SIP/2.0/UDP Host.example:5070;branch=z9hG4bK1"));
    let same = key_of(keys, &via("REGISTER", "SIP/2.0/UDP hOST.example:5070;rport;branch=z9hG4bK1;x"));
    assert_eq!(first, same);
    for (method, other) in [
        ("OPTIONS", "SIP/2.0/UDP host.example:5070;branch=z9hG4bK1"),
        ("REGISTER", "SIP/2.0/UDP host.example:5071;branch=z9hG4bK1"),
        ("REGISTER", "SIP/2.0/UDP host.example;branch=z9hG4bK1"),
        ("REGISTER", "SIP/2.0/UDP other.example:5070;branch=z9hG4bK1"),
        ("REGISTER", "SIP/2.0/UDP host.example:5070;branch=z9hG4bK2"),
    ] {
        assert_ne!(key_of(keys, &via(method, other)), first, "{method} {other}");
    }
    assert_ne!(
        key_of(Keys::new(8), &via("REGISTER", "SIP/2.0/UDP host.example:5070;branch=z9hG4bK1")),
        first
    );
}

/// STX-002
#[test]
fn a_client_of_rfc_2543_is_known_by_all_that_its_copies_share() {
    let keys = Keys::new(7);
    let old = |uri: &str, rest: &str| {
        key_of(keys, &request(&format!("REGISTER {uri} SIP/2.0|Via: SIP/2.0/UDP host;branch=1{rest}")))
    };
    let first = old("sip:b", REST);
    assert_eq!(first, old("sip:b", REST));
    assert_ne!(first, old("sip:c", REST));
    for (before, after) in [
        ("CSeq: 1", "CSeq: 2"),
        ("ID: c", "ID: d"),
        ("tag=f", "tag=g"),
        ("To: <sip:a@b>", "To: <sip:a@b>;tag=t"),
    ] {
        assert_ne!(first, old("sip:b", &REST.replace(before, after)), "{after}");
    }
}

fn way() -> ReturnPath {
    let peer = "192.0.2.1:5060".parse().unwrap();
    ReturnPath { flow: FlowId(1), peer, listens: peer }
}

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

/// STX-005 STX-006 STX-007 STX-032
#[test]
fn an_answer_is_repeated_for_copies_until_timer_j_and_nothing_is_left() {
    let mut all = Transactions::new(Timing::default(), 10_000);
    let (key, other) = (TransactionKey(1), TransactionKey(2));
    let answer = Bytes::from_static(b"200");
    assert_eq!(all.look_up(key, 9), Lookup::New);
    all.begin(key, 9, false, way(), at(0));
    assert_eq!(all.look_up(key, 9), Lookup::Waiting);
    assert_eq!(all.look_up(other, 9), Lookup::Merged);
    assert_eq!(all.next_due(), Some(at(3500)));
    assert_eq!(all.answer(key, &answer, at(10)), Some(way()));
    assert_eq!(all.answer(key, &Bytes::from_static(b"500"), at(11)), None);
    assert_eq!(all.look_up(key, 9), Lookup::Answered(way(), answer));
    assert_eq!(all.next_due(), Some(at(32_010)));
    all.expire(at(32_009));
    assert_eq!((all.len(), all.next_slow(at(32_009))), (1, None));
    all.expire(at(32_010));
    assert_eq!((all.is_empty(), all.octets, all.merged.len(), all.next_due()), (true, 0, 0, None));
    assert_eq!(all.look_up(other, 9), Lookup::New);
}

/// STX-004 STX-019
#[test]
fn a_slow_answer_is_announced_by_a_100_that_copies_get_too() {
    let mut all = Transactions::new(Timing::default(), 10_000);
    let key = TransactionKey(1);
    all.begin(key, 9, false, way(), at(0));
    assert_eq!(all.next_slow(at(3499)), None);
    assert_eq!(all.next_slow(at(3500)), Some((key, way())));
    let trying = Bytes::from_static(b"100");
    all.trying(key, trying.clone());
    assert_eq!(all.look_up(key, 9), Lookup::Answered(way(), trying));
    assert_eq!((all.next_slow(at(9000)), all.next_due()), (None, None));
    assert_eq!(all.answer(key, &Bytes::from_static(b"200 OK"), at(9000)), Some(way()));
    all.expire(at(41_000));
    assert_eq!((all.is_empty(), all.octets), (true, 0));
}

/// STX-006
#[test]
fn over_a_connection_nothing_is_kept_after_the_answer() {
    let mut all = Transactions::new(Timing::default(), 10_000);
    all.begin(TransactionKey(1), 9, true, way(), at(0));
    assert_eq!(all.answer(TransactionKey(1), &Bytes::from_static(b"200"), at(1)), Some(way()));
    assert_eq!((all.is_empty(), all.octets, all.next_due()), (true, 0, None));
}

/// DSR-003
#[test]
fn the_oldest_answers_go_when_their_limit_is_reached() {
    let mut all = Transactions::new(Timing::default(), 10 * (OVERHEAD + 100));
    let answer = Bytes::from(vec![b'a'; 100]);
    for n in 0..1000 {
        all.begin(TransactionKey(n), n, false, way(), at(n));
        all.answer(TransactionKey(n), &answer, at(n));
        assert!(all.octets <= all.limit);
    }
    assert_eq!(all.len(), 10);
    assert_eq!(all.look_up(TransactionKey(989), 989), Lookup::New);
    assert_eq!(all.look_up(TransactionKey(990), 990), Lookup::Answered(way(), answer));
    all.expire(at(100_000));
    assert_eq!((all.is_empty(), all.octets), (true, 0));
}
