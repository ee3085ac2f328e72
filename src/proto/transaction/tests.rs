mod invite;

use super::*;
use crate::proto::ids::Counting;
use crate::proto::transport::Transport;
use crate::proto::{Action, TimerKey};
use crate::sip::{Message, Request};

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

fn path(transport: Transport) -> ReturnPath {
    ReturnPath { flow: FlowId(1), peer: "192.0.2.1:5060".parse().unwrap(), transport, port: 5060 }
}

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

/// A server's transactions, with the flow that their requests came on, and a clock.
struct World(Transactions);

impl World {
    fn new(limit: usize) -> World {
        let mut all = Transactions::new(Box::new(Counting::default()));
        let at = "192.0.2.9:5060".parse().unwrap();
        assert_eq!(all.flows.listen(Transport::Udp, at, &mut all.context), FlowId(1));
        all.bound(Timing::default(), limit);
        all.context.actions.clear();
        World(all)
    }

    fn look_up(&mut self, key: u64, merged: u64) -> Lookup {
        let lookup = self.0.look_up(TransactionKey(key), Some(merged));
        let again = if let Lookup::Copy(Some(bytes)) = &lookup { vec![bytes.clone()] } else { vec![] };
        assert_eq!(self.sent(), again);
        lookup
    }

    fn begin(&mut self, key: u64, merged: u64, transport: Transport) {
        self.0.begin(Owner::Registrar, TransactionKey(key), Some(merged), path(transport));
    }

    /// Whether the answer is the one of the transaction: then it has left.
    fn answer(&mut self, key: u64, bytes: &'static [u8]) -> bool {
        let bytes = Bytes::from_static(bytes);
        let is_first = self.0.complete(TransactionKey(key), bytes.clone());
        assert_eq!(self.sent(), Vec::from_iter(is_first.then_some(bytes)));
        is_first
    }

    fn sent(&mut self) -> Vec<Bytes> {
        let sent = |action| {
            let Action::Transmit { bytes, .. } = action else { panic!("{action:?}") };
            bytes
        };
        self.0.context.actions.drain(..).map(sent).collect()
    }

    fn due(&self) -> Option<Time> {
        self.0.context.timers.due(TransactionTimer::Server)
    }

    /// It is so late now; the transaction that gets a 100.
    fn pass(&mut self, ms: u64) -> Option<u64> {
        self.0.context.now = at(ms);
        let due = self.0.context.timers.pop_due(at(ms));
        assert!(due.is_none_or(|key| key == TimerKey::Transaction(TransactionTimer::Server)));
        let slow = self.0.next_slow();
        self.0.expire();
        slow.map(|(_, TransactionKey(key))| key)
    }

    fn is_left(&self) -> bool {
        !self.0.is_empty() || self.0.octets > 0 || !self.0.merged.is_empty() || self.due().is_some()
    }
}

/// STX-005 STX-006 STX-007 STX-032
#[test]
fn an_answer_is_repeated_for_copies_until_timer_j_and_nothing_is_left() {
    let mut world = World::new(10_000);
    assert_eq!(world.look_up(1, 9), Lookup::New);
    world.begin(1, 9, Transport::Udp);
    assert_eq!(world.look_up(1, 9), Lookup::Copy(None));
    assert_eq!(world.look_up(2, 9), Lookup::Merged);
    assert_eq!(world.due(), Some(at(3500)));
    world.0.context.now = at(10);
    assert!(world.answer(1, b"200"));
    assert!(!world.answer(1, b"500"));
    assert_eq!(world.look_up(1, 9), Lookup::Copy(Some(Bytes::from_static(b"200"))));
    assert_eq!(world.pass(3500), None);
    assert_eq!(world.due(), Some(at(32_010)));
    assert_eq!((world.pass(32_009), world.0.servers.len()), (None, 1));
    assert_eq!((world.pass(32_010), world.is_left()), (None, false));
    assert_eq!(world.look_up(2, 9), Lookup::New);
}

/// STX-004 STX-019
#[test]
fn a_slow_answer_is_announced_by_a_100_that_copies_get_too() {
    let mut world = World::new(10_000);
    world.begin(1, 9, Transport::Udp);
    assert_eq!(world.pass(3499), None);
    assert_eq!(world.pass(3500), Some(1));
    let trying = Bytes::from_static(b"100");
    world.0.proceed(TransactionKey(1), trying.clone());
    assert_eq!(world.sent(), [&trying]);
    assert_eq!(world.look_up(1, 9), Lookup::Copy(Some(trying)));
    assert_eq!((world.pass(9000), world.due()), (None, None));
    assert!(world.answer(1, b"200 OK"));
    assert_eq!((world.pass(41_000), world.is_left()), (None, false));
}

/// STX-006
#[test]
fn over_a_connection_nothing_is_kept_after_the_answer() {
    let mut world = World::new(10_000);
    world.begin(1, 9, Transport::Tcp);
    assert!(world.answer(1, b"200"));
    assert_eq!((world.pass(3500), world.is_left()), (None, false));
}

/// DSR-003
#[test]
fn the_oldest_answers_go_when_their_limit_is_reached() {
    let limit = 10 * (OVERHEAD + 100);
    let mut world = World::new(limit);
    for n in 0..1000 {
        world.0.context.now = at(n);
        world.begin(n, n, Transport::Udp);
        assert!(world.answer(n, &[b'a'; 100]));
        assert!(world.0.octets <= limit);
    }
    assert_eq!(world.0.servers.len(), 10);
    assert_eq!(world.look_up(989, 989), Lookup::New);
    let answer = Bytes::from_static(&[b'a'; 100]);
    assert_eq!(world.look_up(990, 990), Lookup::Copy(Some(answer)));
    assert_eq!((world.pass(100_000), world.is_left()), (None, false));
}

/// TXN-014: nothing of others is touched when a flow goes, and of its own transactions nothing is left.
#[test]
fn what_is_under_way_ends_with_its_flow() {
    let mut world = World::new(10_000);
    let all = &mut world.0;
    let (peer, owner) = ("192.0.2.1:5060".parse().unwrap(), Owner::Registration(RegistrationId(1)));
    for n in 1..=4 {
        let (method, sent_by) = (Method::Register, (Host::parse("192.0.2.9").unwrap(), Some(5060)));
        let (branch, from_tag, call_id) = (Branch(n), Some(Tag(n)), Arc::from("c"));
        let outgoing = Outgoing { bytes: Bytes::new(), method, branch, sent_by, from_tag, call_id, cseq: 1 };
        all.send(owner, outgoing, (FlowId(n % 2), peer), Timing::default());
    }
    let refusal = Bytes::from_static(b"480");
    all.complete_invite(Owner::Device, TransactionKey(1), path(Transport::Udp), refusal);
    all.begin(Owner::Registrar, TransactionKey(2), None, path(Transport::Udp));
    assert_eq!(all.waiting(FlowId(1), peer), [Branch(1), Branch(3)]);
    all.end(FlowId(1));
    assert_eq!((all.waiting(FlowId(1), peer), all.has(TransactionKey(1))), (vec![], false));
    assert_eq!(all.waiting(FlowId(0), peer), [Branch(2), Branch(4)]);
    assert!(all.has(TransactionKey(2)), "a registrar answers also when the connection is gone");
    assert_eq!(all.context.timers.due(TransactionTimer::Invite), None);
}

/// STX-005 STX-006: what a device answers is known when it comes again, and wakes nobody until then.
#[test]
fn a_device_keeps_its_answers_without_a_timer() {
    let mut world = World(Transactions::new(Box::new(Counting::default())));
    for (n, ms, kept) in [(1, 0, 1), (2, 31_999, 2), (3, 32_000, 2), (4, 99_000, 1)] {
        world.0.context.now = at(ms);
        world.0.begin(Owner::Device, TransactionKey(n), None, path(Transport::Udp));
        assert!(world.0.complete(TransactionKey(n), Bytes::from_static(b"200")));
        assert_eq!((world.0.servers.len(), world.0.context.timers.next()), (kept, None));
    }
    assert_eq!(world.0.look_up(TransactionKey(4), None), Lookup::Copy(Some(Bytes::from_static(b"200"))));
    world.0.end(FlowId(1));
    assert!(!world.is_left());
}
