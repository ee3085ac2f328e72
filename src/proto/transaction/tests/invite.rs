//! Calls as a proxy sees them: an INVITE that came in, and the INVITE that it forwards.

use super::*;

const FORWARDED: &str = "INVITE sip:werner@192.0.2.1 SIP/2.0|\
     Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK0000000000000001.00000000000000aa|\
     Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKcaller|\
     Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>|Route: <sip:192.0.2.3;lr>|\
     Max-Forwards: 69|From: \"Niels\" <sip:niels@copenhagen.dk>;tag=n|To: <sip:werner@munich.de>|\
     Call-ID: c@copenhagen.dk|CSeq: 7 INVITE|Require: 100rel|Contact: <sip:niels@192.0.2.7>|\
     Content-Length: 4||v=0|";

const OWNER: Owner = Owner::Branch(ContextId(4), 2);

const BRANCH: Branch = Branch(1);

fn wire(text: &str) -> String {
    text.replace('|', "\r\n")
}

/// What a device answers to the INVITE, or to its CANCEL, which has no Via but ours.
fn response(status: u16, cseq: &str, tag: &str) -> Response {
    let vias: &str =
        if cseq.ends_with("CANCEL") { "" } else { "|Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKcaller" };
    let text = format!(
        "SIP/2.0 {status} X|\
         Via: SIP/2.0/UDP 192.0.2.9:5060;rport=5060;branch=z9hG4bK0000000000000001.00000000000000aa{vias}|\
         From: \"Niels\" <sip:niels@copenhagen.dk>;tag=n|To: <sip:werner@munich.de>;tag={tag}|\
         Call-ID: c@copenhagen.dk|CSeq: {cseq}||"
    );
    match Message::parse_datagram(Bytes::from(wire(&text))) {
        Ok(Message::Response(response)) => response,
        other => panic!("{text}: {other:?}"),
    }
}

fn peer() -> SocketAddr {
    "192.0.2.1:5060".parse().unwrap()
}

fn outgoing(method: Method) -> Outgoing {
    let bytes = Bytes::from(wire(FORWARDED).replace("INVITE", method.as_str()));
    let sent_by = (Host::parse("192.0.2.9").unwrap(), Some(5060));
    let (branch, call_id) = (BRANCH, Arc::from("c@copenhagen.dk"));
    Outgoing { bytes, method, branch, sent_by, from_tag: None, call_id, cseq: 7 }
}

impl World {
    /// A world in which the INVITE has left by the UDP listener.
    fn calling() -> World {
        let mut world = World::new(10_000);
        world.forward(Method::Invite, FlowId(1));
        assert_eq!(world.sent(), [wire(FORWARDED)]);
        world
    }

    fn forward(&mut self, method: Method, flow: FlowId) {
        self.0.send(OWNER, outgoing(method), (flow, peer()), Timing::default());
    }

    /// A TCP listener, and a connection that came in there.
    fn connected(&mut self) -> FlowId {
        let (at, id) = ("192.0.2.9:5060".parse().unwrap(), FlowId::ACCEPTED);
        let listener = self.0.flows.listen(Transport::Tcp, at, &mut self.0.context);
        self.0.flows.accept(listener, id, at, peer(), &mut self.0.context);
        self.0.context.actions.clear();
        self.0.context.timers.cancel(crate::proto::timers::FlowTimer::Idle);
        id
    }

    /// A response comes to the INVITE, or to the CANCEL; what its owner hears.
    fn hear(&mut self, status: u16, cseq: &str, tag: &str) -> Result<String, AnswerFault> {
        let heard = self.0.receive(FlowId(1), response(status, cseq, tag), peer());
        heard.map(told).map_err(|unusable| unusable.fault)
    }

    /// Time passes, and all timers fire that are due. What was heard, each with its time.
    fn run(&mut self, until: u64) -> Vec<String> {
        let mut all = Vec::new();
        while let Some((due, _)) = self.0.context.timers.next().filter(|(due, _)| *due <= at(until)) {
            self.0.context.now = due;
            let Some(TimerKey::Transaction(timer)) = self.0.context.timers.pop_due(due) else { panic!() };
            let heard = match timer {
                TransactionTimer::Client(branch, timer) => Vec::from_iter(self.0.fired(branch, timer)),
                TransactionTimer::Absorbing => self.0.absorbed(),
                TransactionTimer::Server => {
                    assert!(self.0.next_slow().is_none(), "nothing is slow here");
                    self.0.expire();
                    Vec::new()
                }
                TransactionTimer::Invite => {
                    self.0.invites_due();
                    Vec::new()
                }
            };
            all.extend(heard.into_iter().map(|heard| format!("{} {}", due.as_millis(), told(Some(heard)))));
        }
        self.0.context.now = at(until);
        all
    }

    fn begin_invite(&mut self, key: u64, transport: Transport) {
        self.0.begin_invite(Owner::Proxy(ContextId(4)), TransactionKey(key), path(transport));
    }

    fn acknowledge(&mut self, key: u64) -> Acknowledged {
        self.0.acknowledge(TransactionKey(key))
    }

    fn begin_register(&mut self, key: u64) {
        self.0.begin(Owner::Proxy(ContextId(4)), TransactionKey(key), None, path(Transport::Udp));
    }
}

fn told(heard: Option<(Owner, Heard)>) -> String {
    let Some((owner, heard)) = heard else { return "nothing".to_owned() };
    assert_eq!(owner, OWNER);
    match heard {
        Heard::Copy => "copy".to_owned(),
        Heard::Provisional(response) => format!("{}", response.status),
        Heard::Final(response, ..) => format!("final {}", response.status),
        Heard::Timeout => "timeout".to_owned(),
        Heard::Undeliverable(cause) => cause.to_string(),
        Heard::Over => "over".to_owned(),
    }
}

fn heard(what: &str) -> Result<String, AnswerFault> {
    Ok(what.to_owned())
}

const ACK: &str = "ACK sip:werner@192.0.2.1 SIP/2.0|\
     Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK0000000000000001.00000000000000aa|\
     Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>|Route: <sip:192.0.2.3;lr>|\
     From: \"Niels\" <sip:niels@copenhagen.dk>;tag=n|To: <sip:werner@munich.de>;tag=w|\
     Call-ID: c@copenhagen.dk|CSeq: 7 ACK|Max-Forwards: 70|Content-Length: 0||";

const CANCEL: &str = "CANCEL sip:werner@192.0.2.1 SIP/2.0|\
     Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK0000000000000001.00000000000000aa|\
     Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>|Route: <sip:192.0.2.3;lr>|\
     From: \"Niels\" <sip:niels@copenhagen.dk>;tag=n|To: <sip:werner@munich.de>|\
     Call-ID: c@copenhagen.dk|CSeq: 7 CANCEL|Max-Forwards: 70|Content-Length: 0||";

/// STX-017 STX-018 FRK-027: octet by octet, with the Route and the branch of the INVITE, and the To of the response.
#[test]
fn a_refusal_and_each_copy_of_it_is_acknowledged_and_heard_once() {
    let mut world = World::calling();
    assert_eq!(world.hear(180, "7 INVITE", "w"), heard("180"));
    assert_eq!(world.hear(486, "7 INVITE", "w"), heard("final 486"));
    assert_eq!(world.sent(), [wire(ACK)]);
    assert_eq!(world.hear(486, "7 INVITE", "w"), heard("nothing"));
    assert_eq!(world.sent(), [wire(ACK)]);
    for late in [180, 200] {
        assert_eq!(world.hear(late, "7 INVITE", "v"), heard("nothing"));
    }
    assert!(world.run(31_999).is_empty());
    assert_eq!(world.hear(486, "7 INVITE", "w"), heard("nothing"));
    assert_eq!(world.sent(), [wire(ACK)]);
    assert!(world.run(32_000).is_empty() && !world.is_left());
    assert_eq!(world.hear(486, "7 INVITE", "w"), Err(AnswerFault::Branch));
    assert_eq!(world.sent(), [""; 0]);
}

/// STX-015 FRK-026: after Timer M a copy of the 200 is a stray.
#[test]
fn every_2xx_is_passed_up_until_timer_m_and_no_request_is_kept_for_it() {
    let mut world = World::calling();
    assert_eq!(world.hear(200, "7 INVITE", "w"), heard("final 200"));
    for tag in ["w", "v"] {
        assert_eq!(world.hear(200, "7 INVITE", tag), heard("final 200"));
    }
    for other in [180, 486] {
        assert_eq!(world.hear(other, "7 INVITE", "u"), heard("nothing"));
    }
    assert_eq!(world.hear(200, "8 INVITE", "w"), Err(AnswerFault::Number));
    assert!(world.0.clients_on(FlowId(1)).is_empty() && world.0.by_flow.is_empty());
    assert!(world.run(31_999).is_empty());
    assert_eq!(world.hear(200, "7 INVITE", "t"), heard("final 200"));
    assert_eq!(world.run(32_000), ["32000 over"]);
    assert!(!world.is_left());
    assert_eq!(world.hear(200, "7 INVITE", "w"), Err(AnswerFault::Branch));
    assert_eq!(world.sent(), [""; 0]);
}

/// STX-016
#[test]
fn a_silent_device_gets_seven_copies_over_udp_and_one_over_a_connection() {
    let mut world = World::calling();
    let copies = ["500 copy", "1500 copy", "3500 copy", "7500 copy", "15500 copy", "31500 copy"];
    assert_eq!(world.run(90_000), [&copies[..], &["32000 timeout"]].concat());
    assert_eq!((world.sent().len(), world.is_left()), (6, false));
    let mut world = World::new(10_000);
    let flow = world.connected();
    world.forward(Method::Invite, flow);
    assert_eq!(world.run(90_000), ["32000 timeout"]);
    assert_eq!((world.sent().len(), world.is_left()), (1, false));
}

/// STX-016: how long a device may ring is not the transaction's business.
#[test]
fn a_1xx_stops_the_copies_and_the_clock() {
    let mut world = World::calling();
    assert_eq!(world.run(600), ["500 copy"]);
    world.sent();
    assert_eq!(world.hear(100, "7 INVITE", "w"), heard("100"));
    assert_eq!(world.0.context.timers.next(), None);
    assert_eq!(world.hear(180, "7 INVITE", "w"), heard("180"));
    assert_eq!((world.run(900_000), world.sent().len()), (vec![], 0));
    assert_eq!(world.hear(603, "7 INVITE", "w"), heard("final 603"));
    assert_eq!((world.sent().len(), world.run(940_000).len(), world.is_left()), (1, 0, false));
}

/// FRK-019 FRK-003: octet by octet; the INVITE has `Require`. What the CANCEL is answered is nobody's business.
#[test]
fn a_cancel_waits_for_a_1xx_and_has_a_transaction_of_its_own() {
    let mut world = World::calling();
    world.0.cancel_invite(BRANCH, None);
    assert_eq!((world.sent().len(), world.run(700)), (0, vec!["500 copy".to_owned()]));
    world.sent();
    assert_eq!(world.hear(180, "7 INVITE", "w"), heard("180"));
    assert_eq!(world.sent(), [wire(CANCEL)]);
    world.0.cancel_invite(BRANCH, None);
    assert_eq!(world.sent(), [""; 0]);
    assert_eq!(world.run(1200), [""; 0]);
    assert_eq!(world.sent(), [wire(CANCEL)]);
    assert_eq!(world.hear(200, "7 CANCEL", "w"), heard("nothing"));
    assert_eq!((world.run(9000).len(), world.sent().len()), (0, 0));
    assert_eq!(world.hear(487, "7 INVITE", "w"), heard("final 487"));
    assert_eq!(world.sent(), [wire(ACK)]);
    world.0.cancel_invite(BRANCH, None);
    assert_eq!(world.sent(), [""; 0]);
    assert!(world.run(41_000).is_empty() && !world.is_left());
}

/// RFC 3261 §9.1: a server that knows no CANCEL goes on ringing.
#[test]
fn an_invite_whose_cancel_leads_to_nothing_times_out() {
    let mut world = World::calling();
    assert_eq!(world.hear(180, "7 INVITE", "w"), heard("180"));
    world.run(100_000);
    world.0.cancel_invite(BRANCH, None);
    assert_eq!(world.run(131_999), [""; 0]);
    assert_eq!((world.run(132_000), world.is_left()), (vec!["132000 timeout".to_owned()], false));
}

/// FRK-019: the race of a 200 with the CANCEL.
#[test]
fn a_2xx_that_crosses_the_cancel_is_heard_all_the_same() {
    let mut world = World::calling();
    assert_eq!(world.hear(180, "7 INVITE", "w"), heard("180"));
    world.0.cancel_invite(BRANCH, None);
    assert_eq!(world.hear(200, "7 INVITE", "w"), heard("final 200"));
    assert_eq!(world.hear(200, "7 CANCEL", "w"), heard("nothing"));
    assert_eq!((world.run(32_000), world.is_left()), (vec!["32000 over".to_owned()], false));
}

/// FRK-003 TXN-011 TXN-013: a response with no Via but ours was for the proxy itself.
#[test]
fn a_response_that_does_not_fit_changes_nothing() {
    let mut world = World::calling();
    let mut alone = response(180, "7 INVITE", "w");
    alone.headers.remove(&HeaderName::Via);
    let via = "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK0000000000000001.00000000000000aa";
    alone.headers.push(crate::sip::Header::new(HeaderName::Via, via).unwrap());
    let fault = world.0.receive(FlowId(1), alone, peer()).map(told).map_err(|unusable| unusable.fault);
    assert_eq!(fault, Err(AnswerFault::Vias));
    assert_eq!(world.hear(180, "8 INVITE", "w"), Err(AnswerFault::Number));
    assert_eq!(world.hear(200, "7 CANCEL", "w"), Err(AnswerFault::Method));
    assert_eq!(world.hear(200, "7 BYE", "w"), Err(AnswerFault::Method));
    assert_eq!(world.run(500), ["500 copy"]);
}

/// TXN-004: 1xx to other requests are told the proxy, and nobody else.
#[test]
fn a_forwarded_message_has_one_final_response() {
    let mut world = World::new(10_000);
    world.forward(Method::Message, FlowId(1));
    assert_eq!(world.hear(100, "7 MESSAGE", "w"), heard("100"));
    assert_eq!(world.hear(200, "7 MESSAGE", "w"), heard("final 200"));
    assert_eq!(world.hear(200, "7 MESSAGE", "v"), heard("nothing"));
    assert!(world.run(5000).is_empty() && !world.is_left());
}

/// STX-015: what was accepted needs no connection, since another 200 may come on any.
#[test]
fn what_a_connection_takes_along_is_told_and_what_was_accepted_stays() {
    let mut world = World::new(10_000);
    let flow = world.connected();
    world.forward(Method::Invite, flow);
    assert_eq!(world.hear(180, "7 INVITE", "w"), heard("180"));
    assert_eq!(world.0.clients_on(flow), [BRANCH]);
    world.0.cancel_invite(BRANCH, None);
    assert_eq!((world.sent().len(), world.0.clients_on(flow)), (2, vec![BRANCH]));
    assert_eq!(told(world.0.fail(BRANCH, Cause::Reset)), "connection reset");
    world.0.end(flow);
    assert!(!world.is_left());
    world.forward(Method::Invite, flow);
    assert_eq!(world.hear(200, "7 INVITE", "w"), heard("final 200"));
    assert!(world.0.clients_on(flow).is_empty());
    world.0.end(flow);
    assert_eq!(world.hear(200, "7 INVITE", "v"), heard("final 200"));
    assert_eq!((world.run(32_000), world.is_left()), (vec!["32000 over".to_owned()], false));
}

/// FRK-027: a refusal that comes when its connection is gone.
#[test]
fn nothing_is_sent_over_a_flow_that_is_gone() {
    let mut world = World::new(10_000);
    let flow = world.connected();
    world.forward(Method::Invite, flow);
    assert_eq!(world.hear(180, "7 INVITE", "w"), heard("180"));
    world.0.flows.forget(flow, &mut world.0.context);
    world.sent();
    world.0.cancel_invite(BRANCH, None);
    assert_eq!(world.hear(486, "7 INVITE", "w"), heard("final 486"));
    assert!(world.sent().is_empty() && !world.is_left());
}

/// TXN-014: the network reports what did not arrive; a device that rings has got its INVITE.
#[test]
fn an_invite_that_rings_is_not_lost_with_another_message() {
    let mut world = World::calling();
    assert_eq!(world.0.waiting(FlowId(1), peer()), [BRANCH]);
    assert!(world.0.waiting(FlowId(1), "192.0.2.2:5060".parse().unwrap()).is_empty());
    assert_eq!(world.hear(180, "7 INVITE", "w"), heard("180"));
    assert!(world.0.waiting(FlowId(1), peer()).is_empty());
    world.0.cancel_invite(BRANCH, None);
    assert_eq!(world.0.waiting(FlowId(1), peer()), [BRANCH]);
    assert_eq!(told(world.0.fail(BRANCH, Cause::Refused)), "connection refused");
    assert!(!world.is_left());
}

/// TXN-010
#[test]
fn what_nobody_waits_for_is_forgotten_with_all_its_timers() {
    let mut world = World::calling();
    world.0.cancel(BRANCH);
    assert!(!world.is_left() && world.0.context.timers.next().is_none());
    let mut world = World::calling();
    world.begin_invite(1, Transport::Udp);
    assert_eq!(world.hear(200, "7 INVITE", "w"), heard("final 200"));
    world.0.cancel(BRANCH);
    assert_eq!(world.hear(200, "7 INVITE", "w"), heard("final 200"));
    world.0.stop_serving();
    assert!(!world.is_left() && world.0.context.timers.next().is_none());
}

/// STX-012 STX-013: a copy of the INVITE after the 200 is absorbed, and the transaction repeats no 200 by itself.
#[test]
fn an_accepted_invite_keeps_nothing_and_passes_what_belongs_to_it_until_timer_l() {
    let mut world = World::new(10_000);
    let (ringing, ok) = (Bytes::from_static(b"180"), Bytes::from_static(b"200"));
    world.begin_invite(1, Transport::Udp);
    assert_eq!(world.0.owner_of(TransactionKey(1)), Some(Owner::Proxy(ContextId(4))));
    assert_eq!(world.look_up(1, 9), Lookup::Copy(None));
    assert_eq!(world.acknowledge(1), Acknowledged::Absorbed);
    for bytes in [Bytes::from_static(b"100"), ringing.clone()] {
        assert!(world.0.provisional(TransactionKey(1), bytes.clone()));
        assert_eq!(world.sent(), [bytes]);
    }
    assert_eq!(world.look_up(1, 9), Lookup::Copy(Some(ringing.clone())));
    assert!(world.run(600_000).is_empty());
    for _ in 0..2 {
        assert!(world.0.accept(TransactionKey(1), ok.clone()));
        assert_eq!(world.sent(), [&ok]);
    }
    assert_eq!(world.0.octets, OVERHEAD);
    assert!(!world.0.provisional(TransactionKey(1), ringing.clone()));
    assert!(!world.0.complete_invite_final(TransactionKey(1), ringing));
    assert_eq!(world.look_up(1, 9), Lookup::Copy(None));
    assert_eq!(world.acknowledge(1), Acknowledged::Accepted);
    assert!(world.run(631_999).is_empty());
    assert_eq!(world.acknowledge(1), Acknowledged::Accepted);
    assert!(world.run(632_000).is_empty() && world.sent().is_empty() && !world.is_left());
    assert_eq!(world.acknowledge(1), Acknowledged::Unknown);
    assert!(!world.0.accept(TransactionKey(1), ok));
}

/// STX-009 STX-010 STX-011
#[test]
fn a_refused_invite_is_answered_until_it_is_acknowledged() {
    let mut world = World::new(10_000);
    let busy = Bytes::from_static(b"486");
    world.begin_invite(1, Transport::Udp);
    assert!(world.0.complete_invite_final(TransactionKey(1), busy.clone()));
    assert_eq!(world.sent(), [&busy]);
    assert!(!world.0.accept(TransactionKey(1), busy.clone()));
    assert_eq!(world.look_up(1, 9), Lookup::Copy(Some(busy.clone())));
    world.run(1600);
    assert_eq!(world.sent(), [&busy; 2]);
    assert_eq!(world.acknowledge(1), Acknowledged::Absorbed);
    assert_eq!(world.look_up(1, 9), Lookup::Copy(None));
    world.run(6599);
    assert!(world.is_left());
    world.run(6600);
    assert!(world.sent().is_empty() && !world.is_left());
    world.begin_invite(2, Transport::Udp);
    assert!(world.0.complete_invite_final(TransactionKey(2), busy));
    world.run(38_600);
    assert!(!world.is_left());
}

/// STX-014: the caller's connection is gone when a device answers.
#[test]
fn an_invite_outlives_the_connection_it_came_on() {
    let mut world = World::new(10_000);
    world.0.begin_invite(
        Owner::Proxy(ContextId(4)),
        TransactionKey(1),
        ReturnPath { flow: FlowId::ACCEPTED, ..path(Transport::Tcp) },
    );
    world.0.end(FlowId::ACCEPTED);
    assert!(world.0.accept(TransactionKey(1), Bytes::from_static(b"200")));
    let opens: Vec<Action> = world.0.context.actions.drain(..).collect();
    assert!(matches!(opens[..], [Action::Open { .. }]));
}

/// Of a request that is not worked on after all nothing is left, and another begins anew.
#[test]
fn a_transaction_that_is_dropped_leaves_no_trace() {
    let mut world = World::new(10_000);
    world.begin_invite(1, Transport::Udp);
    assert!(world.0.provisional(TransactionKey(1), Bytes::from_static(b"180")));
    assert_eq!(world.sent().len(), 1);
    world.0.drop_server(TransactionKey(1));
    assert_eq!((world.look_up(1, 9), world.0.octets), (Lookup::New, 0));
    world.begin_register(2);
    world.run(1000);
    world.0.drop_server(TransactionKey(2));
    world.begin_register(2);
    assert_eq!(world.pass(3500), None);
    assert_eq!(world.pass(4500), Some(2));
    world.0.drop_server(TransactionKey(2));
    assert_eq!(world.pass(40_000), None);
    assert!(!world.is_left());
}

/// STX-012: what ten thousand answered calls leave until Timers L and M, in octets and in timers.
#[test]
fn answered_calls_cost_little() {
    let mut world = World::new(10_000_000);
    for n in 0..10_000 {
        world.0.context.now = at(n);
        world.begin_invite(n, Transport::Udp);
        assert!(world.0.provisional(TransactionKey(n), Bytes::from_static(&[b'a'; 600])));
        assert!(world.0.accept(TransactionKey(n), Bytes::from_static(b"200")));
    }
    assert_eq!((world.0.octets, world.0.context.timers.len()), (10_000 * OVERHEAD, 1));
    assert!(world.run(42_000).is_empty() && !world.is_left());
}

/// What an owner may hear next, after what it has heard.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ear {
    Open,
    Accepted,
    Closed,
}

impl Ear {
    fn hear(self, what: &str) -> Ear {
        match (self, what.rsplit(' ').next().unwrap()) {
            (Ear::Open, "copy" | "100" | "180") => Ear::Open,
            (Ear::Open | Ear::Accepted, "200") => Ear::Accepted,
            (Ear::Open, "486" | "timeout" | "refused") | (Ear::Accepted, "over") => Ear::Closed,
            _ => panic!("{what} comes when the owner is {self:?}"),
        }
    }
}

/// TXN-010 FRK-025 FRK-027: 3,000 calls to which anything happens at any time. Their owners hear what they are promised and no
/// more, a device gets an ACK for each refusal, a caller no more than one final answer, and nothing is left of any.
#[test]
fn whatever_comes_in_whatever_order_nothing_is_left() {
    for seed in 1..=3000_u64 {
        let mut world = World::calling();
        let (mut ear, mut now, mut chance) = (Ear::Open, 0, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (mut refusals, mut finals) = (0, 0);
        world.begin_invite(1, Transport::Udp);
        for _ in 0..14 {
            chance = chance.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let mut heard = Vec::new();
            match (chance >> 33) % 11 {
                0 => heard.extend(world.hear(100, "7 INVITE", "w")),
                1 => heard.extend(world.hear(180, "7 INVITE", "w")),
                2 => heard.extend(world.hear(200, "7 INVITE", "w")),
                3 => heard.extend(world.hear(486, "7 INVITE", "w")),
                4 => heard.extend(world.hear(200, "7 CANCEL", "w")),
                5 => world.0.cancel_invite(BRANCH, None),
                6 if seed % 3 == 0 => heard.push(told(world.0.fail(BRANCH, Cause::Refused))),
                7 => _ = world.0.look_up(TransactionKey(1), None),
                8 => _ = world.acknowledge(1),
                9 if seed % 5 == 0 => {
                    finals += usize::from(world.0.complete_invite_final(TransactionKey(1), Bytes::new()));
                }
                _ => {
                    now += (chance >> 40) % 9000;
                    heard.extend(world.run(now));
                }
            }
            for what in heard.iter().filter(|what| *what != "nothing") {
                refusals += usize::from(what.ends_with("486"));
                ear = ear.hear(if what == "connection refused" { "refused" } else { what });
            }
        }
        finals += usize::from(world.0.complete_invite_final(TransactionKey(1), Bytes::new()));
        assert!(refusals <= 1 && finals == 1);
        let acks = world.sent().iter().filter(|bytes| bytes.starts_with(b"ACK ")).count();
        assert_eq!(acks > 0, refusals > 0);
        if ear == Ear::Open {
            world.0.cancel_invite(BRANCH, None);
            world.hear(180, "7 INVITE", "w").unwrap();
        }
        for what in world.run(now + 70_000) {
            ear = ear.hear(&what);
        }
        assert_eq!(ear, Ear::Closed);
        assert!(!world.is_left() && world.0.context.timers.next().is_none(), "seed {seed}");
    }
}
