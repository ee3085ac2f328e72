//! Calls through the proxy (RFC 3261 §16): a caller, devices that are bound, and what each of them hears.

use std::time::Duration;

use sipreg::proto::digest::hash::{Exchange, Protection, ha1};
use sipreg::proto::digest::{Algorithm, Qop, Variant};
use sipreg::proto::registrar::service::{Crowd, Fork, Limits, Listen, ServerEvent, Service};
use sipreg::proto::{Cause, Event, FlowId, Transport};
use sipreg::sip::{Message, Request};

use crate::world::*;

const CALLER: &str = "192.0.2.99:5060";
const DESK: &str = "192.0.2.11:5060";
const HOME: &str = "192.0.2.12:5060";
const BOAT: &str = "192.0.2.13:5060";

/// What left, a line each: to whom, and the request line or the status.
fn lines(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|one| format!("{} {}", name(&one.peer.to_string()), start(one))).collect()
}

fn name(peer: &str) -> String {
    match peer {
        CALLER => "caller".to_owned(),
        DESK => "desk".to_owned(),
        HOME => "home".to_owned(),
        BOAT => "boat".to_owned(),
        other => other.to_owned(),
    }
}

fn start(sent: &Sent) -> String {
    match Message::parse_datagram(sent.bytes.clone()) {
        Ok(Message::Request(request)) => format!("{} {}", request.method, request.uri),
        Ok(Message::Response(response)) => {
            format!("{} {}", response.status, response.headers.cseq().unwrap().method)
        }
        Err(error) => panic!("{error}: {}", sent.text()),
    }
}

fn request_of(sent: &Sent) -> Request {
    match Message::parse_datagram(sent.bytes.clone()) {
        Ok(Message::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

/// The first row of that name.
fn row(sent: &Sent, name: &str) -> String {
    let text = sent.text();
    let row = text.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    row.unwrap_or_else(|| panic!("no {name}: {text}")).to_owned()
}

fn rows(sent: &Sent, name: &str) -> Vec<String> {
    let text = sent.text();
    text.split("\r\n")
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(str::to_owned)
        .collect()
}

/// A request of the caller for Heisenberg; `n` is CSeq number, Call-ID and branch.
fn calls(method: &str, n: u32, rest: &str) -> String {
    calls_for(method, "sip:heisenberg~munich.de", n, rest)
}

fn calls_for(method: &str, uri: &str, n: u32, rest: &str) -> String {
    let rest = if rest.is_empty() { String::new() } else { format!("|{rest}") };
    format!(
        "{method} {uri} SIP/2.0|Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKc{n}|Max-Forwards: 70|\
         From: <sip:bohr~copenhagen.dk>;tag=f|To: <{uri}>|Call-ID: call{n}|CSeq: {n} {method}|\
         Contact: <sip:bohr~192.0.2.99>{rest}|Content-Length: 0"
    )
}

/// The answer of a device to a request that came to it.
fn responds(to: &Sent, status: u16, tag: &str, rest: &str) -> String {
    let mut text = format!("SIP/2.0 {status} Whatever");
    for line in to.text().split("\r\n\r\n").next().unwrap().split("\r\n").skip(1) {
        let is_kept = ["Via: ", "From: ", "Call-ID: ", "CSeq: ", "Record-Route: "];
        if is_kept.iter().any(|name| line.starts_with(name)) {
            text += &format!("|{line}");
        } else if line.starts_with("To: ") {
            let tag = if line.contains(";tag=") { String::new() } else { format!(";tag={tag}") };
            text += &format!("|{line}{tag}");
        }
    }
    let rest = if rest.is_empty() { String::new() } else { format!("|{rest}") };
    text + &rest + "|Content-Length: 0"
}

impl World {
    /// The device at that address is bound, and has told so itself.
    fn bind(&mut self, device: &str, params: &str) {
        self.bind_for("heisenberg", device, &format!("<sip:heisenberg~{device}>{params}"), "");
    }

    fn bind_for(&mut self, user: &str, device: &str, contact: &str, rest: &str) {
        let rest = if rest.is_empty() { String::new() } else { format!("|{rest}") };
        let (to, id) = (format!("<sip:{user}~munich.de>"), format!("{user}{}", contact.len() + device.len()));
        let text = format!(
            "REGISTER sip:munich.de SIP/2.0|Via: SIP/2.0/UDP {device};branch=z9hG4bK{id}{}|Max-Forwards: 70|\
             From: {to};tag=f|To: {to}|Call-ID: {id}{contact}|CSeq: 1 REGISTER|Contact: {contact}{rest}|Content-Length: 0",
            contact.replace(['<', '>', ':', '@', ';', '='], "")
        );
        let sent = self.datagram(
            device,
            &text.replace(&format!("Call-ID: {id}{contact}"), &format!("Call-ID: {id}{device}{user}")),
        );
        assert_eq!(sent[0].status(), 200, "{}", sent[0].text());
    }

    /// What is said when nothing came in but time has passed.
    fn after(&mut self, seconds: u64) -> Vec<String> {
        self.sent.clear();
        self.pass(Duration::from_secs(seconds));
        lines(&std::mem::take(&mut self.sent))
    }

    fn routed(&mut self) -> Vec<Option<u16>> {
        let routed = |what: ServerEvent| match what {
            ServerEvent::Routed { status, .. } => Some(status),
            _ => None,
        };
        self.news().into_iter().filter_map(routed).collect()
    }
}

/// The whole of a call: two devices ring, one answers, the other is cancelled, and they hang up.
///
/// FRK-001 FRK-002 FRK-004 FRK-005 FRK-016 FRK-018 FRK-019 FRK-025 FRK-027 PRX-019 PRX-025 STX-011
#[test]
fn two_devices_ring_one_answers_the_other_is_cancelled_and_they_hang_up() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    world.bind(HOME, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    assert_eq!(
        lines(&rings),
        [
            "caller 100 INVITE",
            "desk INVITE sip:heisenberg@192.0.2.11:5060",
            "home INVITE sip:heisenberg@192.0.2.12:5060"
        ]
    );
    assert_eq!(world.counters().calls, 1);
    let (desk, home) = (&rings[1], &rings[2]);
    assert_ne!(row(home, "Via"), row(desk, "Via"), "each branch is its own");
    // A copy starts no second fork, and gets the last provisional again.
    assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", 1, ""))), ["caller 100 INVITE"]);
    assert_eq!(lines(&world.datagram(DESK, &responds(desk, 100, "", ""))), [""; 0]);
    let ringing = world.datagram(DESK, &responds(desk, 180, "d", ""));
    assert_eq!(lines(&ringing), ["caller 180 INVITE"]);
    assert!(row(&ringing[0], "To").ends_with(";tag=d") && rows(&ringing[0], "Via").len() == 1);
    let taken = world.datagram(DESK, &responds(desk, 200, "d", "Contact: <sip:heisenberg~192.0.2.11>"));
    // Home has said nothing yet: CANCEL waits for its 1xx.
    assert_eq!(lines(&taken), ["caller 200 INVITE"]);
    assert_eq!(world.routed(), [None, Some(200)]);
    assert_eq!(world.counters().calls, 0);
    let cancelled = world.datagram(HOME, &responds(home, 180, "h", ""));
    assert_eq!(lines(&cancelled), ["home CANCEL sip:heisenberg@192.0.2.12:5060"]);
    assert_eq!(rows(&cancelled[0], "Via"), [row(home, "Via")]);
    // No call was missed there (RFC 3326).
    assert_eq!(row(&cancelled[0], "Reason"), "SIP;cause=200;text=\"Call completed elsewhere\"");
    assert_eq!(lines(&world.datagram(HOME, &responds(&cancelled[0], 200, "h", ""))), [""; 0]);
    let acknowledged = world.datagram(HOME, &responds(home, 487, "h", ""));
    assert_eq!(lines(&acknowledged), ["home ACK sip:heisenberg@192.0.2.12:5060"]);
    assert_eq!(rows(&acknowledged[0], "Via"), [row(home, "Via")]);
    // The caller's ACK and BYE go by the recorded route, each a hop of its own.
    let route = row(&taken[0], "Record-Route");
    let within = |method: &str, n: u32| {
        calls_for(method, "sip:heisenberg~192.0.2.11", n, &format!("Route: {route}"))
            .replace("To: <sip:heisenberg~192.0.2.11>", "To: <sip:heisenberg~munich.de>;tag=d")
            .replace(&format!("Call-ID: call{n}"), "Call-ID: call1")
    };
    let ack = world.datagram(CALLER, &within("ACK", 2));
    assert_eq!(lines(&ack), ["desk ACK sip:heisenberg@192.0.2.11"]);
    assert!(
        rows(&ack[0], "Route").is_empty() && rows(&ack[0], "Record-Route").is_empty(),
        "{}",
        ack[0].text()
    );
    let bye = world.datagram(CALLER, &within("BYE", 3));
    assert_eq!(lines(&bye), ["desk BYE sip:heisenberg@192.0.2.11"]);
    assert_eq!(lines(&world.datagram(DESK, &responds(&bye[0], 200, "", ""))), ["caller 200 BYE"]);
    assert_eq!(world.routed(), [], "within the call nothing is told");
    // A copy of the 200 goes up again: only the caller can stop it.
    let again = responds(desk, 200, "d", "Contact: <sip:heisenberg~192.0.2.11>");
    assert_eq!(lines(&world.datagram(DESK, &again)), ["caller 200 INVITE"]);
    world.pass(Duration::from_secs(40));
    assert_eq!(lines(&world.datagram(DESK, &again)), [""; 0], "by then it is nobody's");
    world.stop();
}

/// FRK-001: what is preferred comes first; the others when all of those have failed.
#[test]
fn devices_are_tried_by_falling_preference() {
    let mut world = World::new(service());
    world.bind(DESK, ";q=0.5");
    world.bind(HOME, "");
    world.bind(BOAT, ";q=0.5");
    let first = world.datagram(CALLER, &calls("INVITE", 1, ""));
    assert_eq!(lines(&first), ["caller 100 INVITE", "home INVITE sip:heisenberg@192.0.2.12:5060"]);
    let next = world.datagram(HOME, &responds(&first[1], 486, "h", ""));
    let ack = "home ACK sip:heisenberg@192.0.2.12:5060";
    let both = ["desk INVITE sip:heisenberg@192.0.2.11:5060", "boat INVITE sip:heisenberg@192.0.2.13:5060"];
    assert_eq!(lines(&next), [ack, both[0], both[1]]);
    world.datagram(DESK, &responds(&next[1], 404, "d", ""));
    let last = world.datagram(BOAT, &responds(&next[2], 500, "b", ""));
    assert_eq!(lines(&last)[1..], ["caller 486 INVITE"], "the first of the lowest class");
    assert_eq!(world.routed(), [None, Some(486)]);
    assert_eq!(lines(&world.datagram(CALLER, &calls("ACK", 1, ""))), [""; 0]);
    world.stop();
}

/// The same preference, one after another; the one that was refreshed last in front.
#[test]
fn a_sequential_search_goes_on_when_one_has_failed() {
    let mut world = World::new(Service { fork: Fork::Sequential, ..service() });
    world.bind(DESK, "");
    world.pass(Duration::from_secs(1));
    world.bind(HOME, "");
    let first = world.datagram(CALLER, &calls("INVITE", 1, ""));
    assert_eq!(lines(&first)[1..], ["home INVITE sip:heisenberg@192.0.2.12:5060"]);
    let second = world.datagram(HOME, &responds(&first[1], 480, "h", ""));
    assert_eq!(lines(&second)[1..], ["desk INVITE sip:heisenberg@192.0.2.11:5060"]);
    let ok = world.datagram(DESK, &responds(&second[1], 200, "d", ""));
    assert_eq!(lines(&ok), ["caller 200 INVITE"]);
    world.pass(Duration::from_secs(40));
    world.stop();
}

/// The best of two refusals.
///
/// FRK-008 FRK-009 FRK-011
#[test]
fn the_caller_hears_the_best_response() {
    for (one, other, best) in [
        (486, 603, 603),
        (603, 486, 603),
        (404, 500, 404),
        (500, 404, 404),
        (404, 407, 407),
        (407, 404, 407),
        (486, 404, 486),
        (404, 415, 415),
        (484, 486, 484),
        (503, 503, 500),
        (503, 404, 404),
        (302, 404, 302),
        (404, 302, 302),
        (503, 502, 502),
    ] {
        let mut world = World::new(service());
        world.bind(DESK, "");
        world.bind(HOME, "");
        let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
        let mut said = world.datagram(HOME, &responds(&rings[2], one, "h", ""));
        said.extend(world.datagram(DESK, &responds(&rings[1], other, "d", "")));
        let up: Vec<_> = lines(&said).into_iter().filter(|line| line.starts_with("caller")).collect();
        // What pends after a 6xx is awaited, and CANCEL waits for a 1xx.
        assert_eq!(up.last().map(String::as_str), Some(&*format!("caller {best} INVITE")), "{one} {other}");
        assert_eq!(up.len(), 1, "{one} {other}: {up:?}");
        world.stop();
    }
}

/// FRK-012 FRK-013: the challenges of all branches reach the caller.
#[test]
fn challenges_are_collected() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    world.bind(HOME, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    let challenge = |name: &str, realm: &str| format!("{name}: Digest realm=\"{realm}\", nonce=\"n\"");
    let two = format!("{}|{}", challenge("Proxy-Authenticate", "a"), challenge("Proxy-Authenticate", "b"));
    world.datagram(HOME, &responds(&rings[2], 407, "h", &two));
    let up = world.datagram(DESK, &responds(&rings[1], 401, "d", &challenge("WWW-Authenticate", "c")));
    let up = up.last().unwrap();
    let realms =
        |name: &str| -> Vec<String> { rows(up, name).iter().map(|row| row[14..15].to_owned()).collect() };
    assert_eq!(
        (realms("Proxy-Authenticate"), realms("WWW-Authenticate")),
        (vec!["a".into(), "b".into()], vec!["c".into()])
    );
    world.stop();
}

/// FRK-007: a 6xx speaks for all: the others are cancelled, nobody else is tried, and it goes up when they are done.
#[test]
fn who_declines_ends_the_search() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    world.bind(HOME, "");
    world.bind(BOAT, ";q=0.1");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    world.datagram(DESK, &responds(&rings[1], 180, "d", ""));
    let declined = world.datagram(HOME, &responds(&rings[2], 603, "h", ""));
    let home = "home ACK sip:heisenberg@192.0.2.12:5060";
    assert_eq!(lines(&declined), [home, "desk CANCEL sip:heisenberg@192.0.2.11:5060"]);
    let ended = world.datagram(DESK, &responds(&rings[1], 487, "d", ""));
    assert_eq!(lines(&ended), ["desk ACK sip:heisenberg@192.0.2.11:5060", "caller 603 INVITE"]);
    assert_eq!(world.counters().cancelled, 1);
    world.stop();
}

/// FRK-003 FRK-020 FRK-021 PRX-016: the caller hangs up before anybody has answered.
#[test]
fn a_caller_who_hangs_up_stops_the_ringing() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    world.bind(HOME, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    world.datagram(DESK, &responds(&rings[1], 180, "d", ""));
    let cancel = calls("CANCEL", 1, "Reason: SIP;cause=487");
    let hung_up = world.datagram(CALLER, &cancel);
    assert_eq!(row(&hung_up[1], "Reason"), "SIP;cause=487", "the caller's own");
    assert_eq!(lines(&hung_up), ["caller 200 CANCEL", "desk CANCEL sip:heisenberg@192.0.2.11:5060"]);
    assert_eq!(lines(&world.datagram(CALLER, &cancel)), ["caller 200 CANCEL"], "once is enough");
    // Who has not said a word hears of it when it does.
    let late = world.datagram(HOME, &responds(&rings[2], 100, "", ""));
    assert_eq!(lines(&late), ["home CANCEL sip:heisenberg@192.0.2.12:5060"]);
    world.datagram(HOME, &responds(&rings[2], 487, "h", ""));
    assert_eq!(lines(&world.datagram(DESK, &responds(&hung_up[1], 200, "d", ""))), [""; 0]);
    let over = world.datagram(DESK, &responds(&rings[1], 487, "d", ""));
    assert_eq!(lines(&over)[1..], ["caller 487 INVITE"]);
    assert_eq!(world.routed(), [None, Some(487)]);
    // Without a call there is nothing to cancel, and nothing is passed on.
    assert_eq!(lines(&world.datagram(CALLER, &calls("CANCEL", 7, ""))), ["caller 481 CANCEL"]);
    world.stop();
}

/// FRK-006 FRK-020: a device answers while it is cancelled: the caller hears both, and the 200 wins.
#[test]
fn an_answer_that_crosses_the_cancel_goes_up() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    world.datagram(DESK, &responds(&rings[1], 180, "d", ""));
    let hung_up = world.datagram(CALLER, &calls("CANCEL", 1, ""));
    assert_eq!(lines(&hung_up).len(), 2);
    assert_eq!(lines(&world.datagram(DESK, &responds(&rings[1], 200, "d", ""))), ["caller 200 INVITE"]);
    assert_eq!(lines(&world.datagram(DESK, &responds(&hung_up[1], 481, "d", ""))), [""; 0]);
    assert_eq!(world.after(40), [""; 0]);
    world.stop();
}

/// FRK-006: two devices answer: the caller hears both.
#[test]
fn two_answers_both_go_up() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    world.bind(HOME, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    assert_eq!(lines(&world.datagram(DESK, &responds(&rings[1], 200, "d", ""))), ["caller 200 INVITE"]);
    let second = world.datagram(HOME, &responds(&rings[2], 200, "h", ""));
    assert_eq!(lines(&second), ["caller 200 INVITE"]);
    assert!(row(&second[0], "To").ends_with("tag=h"));
    assert_eq!(world.routed(), [None, Some(200)]);
    world.pass(Duration::from_secs(40));
    world.stop();
}

/// FRK-010 FRK-022 FRK-023 FRK-024: nobody says a word, or rings for ever.
#[test]
fn a_call_nobody_answers_ends_by_the_timers() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    world.datagram(CALLER, &calls("INVITE", 1, ""));
    let copies = world.after(31);
    assert_eq!(copies, vec!["desk INVITE sip:heisenberg@192.0.2.11:5060"; 5], "Timer A");
    assert_eq!(world.after(1).last().map(String::as_str), Some("caller 408 INVITE"), "Timer B");
    world.datagram(CALLER, &calls("ACK", 1, ""));
    let rings = world.datagram(CALLER, &calls("INVITE", 2, ""));
    world.datagram(DESK, &responds(&rings[1], 180, "d", ""));
    assert_eq!(world.after(180), [""; 0]);
    world.datagram(DESK, &responds(&rings[1], 180, "d", ""));
    assert_eq!(world.after(180), [""; 0], "each 180 sets it anew");
    assert_eq!(world.after(1)[..1], ["desk CANCEL sip:heisenberg@192.0.2.11:5060"]);
    // Who does not answer that either is given up.
    assert_eq!(world.after(33).last().map(String::as_str), Some("caller 408 INVITE"));
    world.datagram(CALLER, &calls("ACK", 2, ""));
    world.pass(Duration::from_secs(40));
    assert_eq!(world.counters().calls_ended, [0, 0, 0, 2, 0, 0]);
    world.stop();
}

/// FRK-017: of other methods than INVITE one final response goes up; nobody hears that there was none (RFC 4320 §4.2).
#[test]
fn other_methods_take_the_same_way() {
    for method in ["MESSAGE", "OPTIONS", "SUBSCRIBE", "NOTIFY", "INFO", "PUBLISH", "NEWMETHOD"] {
        let mut world = World::new(service());
        world.bind(DESK, "");
        world.bind(HOME, "");
        let sent = world.datagram(CALLER, &calls(method, 1, ""));
        let expected = ["desk", "home"].map(|device| {
            let address = if device == "home" { HOME } else { DESK };
            format!("{device} {method} sip:heisenberg@{address}")
        });
        assert_eq!(lines(&sent), expected);
        assert_eq!(rows(&sent[0], "Record-Route").len(), usize::from(method == "SUBSCRIBE"), "{method}");
        assert_eq!(lines(&world.datagram(HOME, &responds(&sent[1], 404, "h", ""))), [""; 0]);
        assert_eq!(lines(&world.datagram(HOME, &responds(&sent[1], 404, "h", ""))), [""; 0]);
        let up = world.datagram(DESK, &responds(&sent[0], 200, "d", ""));
        assert_eq!(lines(&up), [format!("caller 200 {method}")]);
        assert_eq!(lines(&world.datagram(CALLER, &calls(method, 1, ""))), [format!("caller 200 {method}")]);
        let silent = world.datagram(CALLER, &calls(method, 2, ""));
        assert_eq!(silent.len(), 2);
        let heard: Vec<String> =
            world.after(40).into_iter().filter(|line| line.starts_with("caller")).collect();
        assert_eq!(heard, [format!("caller 100 {method}")], "a 100 when it takes long (RFC 4320 §4.1)");
        world.stop();
    }
}

/// PRX-016: nobody is there, or there is no such user. Nothing is left of either.
#[test]
fn nobody_is_480_and_no_such_user_404() {
    let mut world = World::new(guarded());
    for (uri, status) in
        [("sip:born~munich.de", 480), ("sip:nobody~munich.de", 404), ("sip:%62orn~munich.de", 480)]
    {
        for n in 0..50 {
            let sent = world.datagram(CALLER, &calls_for("INVITE", uri, n, ""));
            assert_eq!(lines(&sent), [format!("caller {status} INVITE")], "{uri}");
        }
    }
    assert!(world.endpoint.next_timeout().is_none(), "a flood leaves nothing");
    assert_eq!((world.counters().calls, world.counters().calls_ended), (0, [0, 0, 0, 150, 0, 0]));
    world.stop();
}

/// OBS-020 OBS-019: who registered over TCP is called over that connection, and over no other once it is closed.
#[test]
fn a_connection_is_the_way_to_who_registered_over_it() {
    let mut world = World::new(service());
    let flow = world.connect(DEVICE);
    let contact = "Contact: <sip:heisenberg~192.0.2.7:5070;transport=tcp>";
    let text = wire(&register(1, contact)).replace("/UDP", "/TCP");
    assert_eq!(world.stream(flow, DEVICE, &text)[0].status(), 200);
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    assert_eq!((lines(&rings).len(), rings[1].flow), (2, flow));
    // Two transports, two Record-Routes: that of the callee on top (RFC 5658).
    let recorded = rows(&rings[1], "Record-Route");
    assert!(recorded[0].contains(";transport=tcp") && recorded[1].contains(";transport=udp"), "{recorded:?}");
    // The device goes while it rings: that counts as 503 at once.
    world.sent.clear();
    world.lose(flow, None);
    assert_eq!(lines(&std::mem::take(&mut world.sent)), ["caller 500 INVITE"]);
    // Now its Contact is tried, and nobody listens there.
    let tried = world.datagram(CALLER, &calls("INVITE", 2, ""));
    assert_eq!(lines(&tried), ["caller 100 INVITE"]);
    let (opened, at) = world.opened.pop().unwrap();
    assert_eq!(at.to_string(), DEVICE);
    world.event(Event::Failed { flow: opened, peer: at, cause: Cause::Refused });
    assert_eq!(lines(&std::mem::take(&mut world.sent)), ["caller 480 INVITE"]);
    world.stop();
}

/// PRX-027: who can't be reached does not keep the others waiting.
#[test]
fn a_device_that_is_gone_makes_room_for_the_next_at_once() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    world.bind(HOME, ";q=0.5");
    world.datagram(CALLER, &calls("INVITE", 1, ""));
    world.sent.clear();
    let (flow, peer) = (world.udp, DESK.parse().unwrap());
    world.event(Event::Failed { flow, peer, cause: Cause::Refused });
    let next = std::mem::take(&mut world.sent);
    assert_eq!(lines(&next), ["home INVITE sip:heisenberg@192.0.2.12:5060"]);
    let peer = HOME.parse().unwrap();
    world.event(Event::Failed { flow, peer, cause: Cause::Refused });
    assert_eq!(
        lines(&std::mem::take(&mut world.sent)),
        ["caller 500 INVITE"],
        "a 503 of ours is none of the caller's"
    );
    world.stop();
}

/// PRX-013: however it is spelt.
#[test]
fn an_address_is_looked_up_by_what_it_means() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    for (n, uri) in (1..).zip([
        "sip:%68eisenberg~MUNICH.de",
        "sip:heisenberg~munich.de;user=phone",
        "sip:heisenberg:x~munich.de:5060",
    ]) {
        let sent = world.datagram(CALLER, &calls_for("MESSAGE", uri, n, ""));
        assert_eq!(lines(&sent), ["desk MESSAGE sip:heisenberg@192.0.2.11:5060"], "{uri}");
    }
    let other = world.datagram(CALLER, &calls_for("MESSAGE", "sip:heisenberg~munich.de:5099", 9, ""));
    assert_eq!(lines(&other), ["caller 403 MESSAGE"], "another server of that name");
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// PRX-023 PRX-024: a target with several addresses is tried at each, every time as a new branch.
#[test]
fn the_addresses_of_a_target_are_tried_one_after_another() {
    for (third, heard) in [(200, "caller 200 INVITE"), (0, "caller 408 INVITE")] {
        let mut world = World::new(service());
        world.zone = vec![
            ("pc.munich.de", [192, 0, 2, 11]),
            ("pc.munich.de", [192, 0, 2, 12]),
            ("pc.munich.de", [192, 0, 2, 13]),
        ];
        world.bind_for("heisenberg", DESK, "<sip:heisenberg~pc.munich.de>", "");
        let mut last = world.datagram(CALLER, &calls("INVITE", 1, "")).remove(1);
        let mut branches = vec![row(&last, "Via")];
        let busy = responds(&last, 503, "d", "");
        last = world.datagram(DESK, &busy).remove(1);
        branches.push(row(&last, "Via"));
        world.sent.clear();
        let (flow, peer) = (world.udp, HOME.parse().unwrap());
        world.event(Event::Failed { flow, peer, cause: Cause::Unreachable });
        last = world.sent.remove(0);
        branches.push(row(&last, "Via"));
        branches.sort();
        branches.dedup();
        assert_eq!((branches.len(), last.peer.to_string().as_str()), (3, BOAT));
        let end = if third > 0 {
            lines(&world.datagram(BOAT, &responds(&last, third, "d", "")))
        } else {
            world.after(33)
        };
        assert_eq!(end.last().map(String::as_str), Some(heard));
        world.pass(Duration::from_secs(300));
        world.stop();
    }
    let mut world = World::new(service());
    world.bind_for("heisenberg", DESK, "<sip:heisenberg~nowhere.de>", "");
    assert_eq!(
        lines(&world.datagram(CALLER, &calls("INVITE", 1, ""))),
        ["caller 100 INVITE", "caller 500 INVITE"]
    );
    world.stop();
}

/// LOP-001 LOP-002 LOP-003: addresses that point at each other, and a request that comes back.
#[test]
fn loops_end_with_482() {
    let mut world = World::new(service());
    world.bind_for("heisenberg", DESK, "<sip:born~munich.de>", "");
    world.bind_for("born", DESK, "<sip:heisenberg~munich.de>", "");
    assert_eq!(
        lines(&world.datagram(CALLER, &calls("INVITE", 1, ""))),
        ["caller 100 INVITE", "caller 482 INVITE"]
    );
    world.datagram(CALLER, &calls("ACK", 1, ""));
    // An address that stands for another one's devices is none.
    world.bind_for("born", HOME, "<sip:born~192.0.2.12>", "");
    let sent = world.datagram(CALLER, &calls("INVITE", 2, ""));
    assert_eq!(lines(&sent), ["caller 100 INVITE", "home INVITE sip:born@192.0.2.12"]);
    // What we have forwarded comes back as it was.
    world.bind(BOAT, ";q=0.9");
    let out = world.datagram(CALLER, &calls("MESSAGE", 3, ""));
    let back = out[0].text().replacen("MESSAGE sip:born@192.0.2.12 ", "MESSAGE sip:heisenberg@munich.de ", 1);
    let back = back.replacen("Via: ", "Via: SIP/2.0/UDP 192.0.2.12;branch=z9hG4bKback\r\nVia: ", 1);
    assert_eq!(lines(&world.octets(HOME, back.into())), ["home 482 MESSAGE"]);
    // With another target it is a spiral.
    let spiral =
        out[0].text().replacen("Via: ", "Via: SIP/2.0/UDP 192.0.2.12;branch=z9hG4bKspiral\r\nVia: ", 1);
    let spiral = spiral.replacen("MESSAGE sip:born@192.0.2.12 ", "MESSAGE sip:born@munich.de ", 1);
    assert!(!lines(&world.octets(HOME, spiral.into())).contains(&"home 482 MESSAGE".to_owned()));
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// LOP-005 LOP-006 LOP-007 LOP-008 LOP-009 LOP-010
#[test]
fn no_more_branches_are_at_work_than_the_request_may_have() {
    for (asked, first, shares) in [
        ("", 3, "20 20 20"),
        ("Max-Breadth: 1000", 3, "20 20 20"),
        ("Max-Breadth: 7", 3, "3 2 2"),
        ("Max-Breadth: 2", 2, "1 1"),
        ("Max-Breadth: 1", 1, "1"),
    ] {
        let mut world = World::new(service());
        [DESK, HOME, BOAT].into_iter().for_each(|device| world.bind(device, ""));
        let rings = world.datagram(CALLER, &calls("INVITE", 1, asked));
        let found: Vec<String> = rings[1..].iter().map(|one| row(one, "Max-Breadth")).collect();
        assert_eq!((found.len(), found.join(" ")), (first, shares.to_owned()), "{asked}");
        if first < 3 {
            let next = world.datagram(BOAT, &responds(&rings[1], 486, "b", ""));
            assert_eq!(row(&next[1], "Max-Breadth"), "1", "what is free is used again");
        }
        world.pass(Duration::from_secs(300));
        world.stop();
    }
    let mut world = World::new(service());
    world.bind(DESK, "");
    assert_eq!(row(&world.datagram(CALLER, &calls("INVITE", 1, ""))[1], "Max-Breadth"), "60");
    assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", 2, "Max-Breadth: 0"))), ["caller 440 INVITE"]);
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// PTH-001 PTH-004: the Path of a binding is the way to it.
#[test]
fn the_path_of_a_binding_is_followed() {
    let mut world = World::new(service());
    let path = "Supported: path|Path: <sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>";
    world.bind_for("heisenberg", DESK, "<sip:heisenberg~10.0.0.1>", path);
    let sent = world.datagram(CALLER, &calls("INVITE", 1, ""));
    assert_eq!(lines(&sent)[1..], ["192.0.2.50:5060 INVITE sip:heisenberg@10.0.0.1"]);
    assert_eq!(rows(&sent[1], "Route").join(", "), "<sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>");
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// FRK-014 PRX-015: a device names others in its place.
#[test]
fn a_redirect_of_a_device_is_followed_and_one_of_another_domain_is_not() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    let moved = "Contact: <sip:heisenberg~192.0.2.13:5060>, <tel:+49>";
    let next = world.datagram(DESK, &responds(&rings[1], 302, "d", moved));
    assert_eq!(lines(&next)[1..], ["boat INVITE sip:heisenberg@192.0.2.13:5060"]);
    let up = world.datagram(BOAT, &responds(&next[1], 503, "b", ""));
    assert_eq!(
        (lines(&up)[1..].to_vec(), row(&up[1], "Contact")),
        (vec!["caller 302 INVITE".to_owned()], "<tel:+49>".to_owned())
    );
    // To an address of ours: those who are bound there.
    world.bind_for("born", HOME, "<sip:born~192.0.2.12>", "");
    let rings = world.datagram(CALLER, &calls("INVITE", 2, ""));
    let next = world.datagram(DESK, &responds(&rings[1], 302, "d", "Contact: <sip:born~munich.de>"));
    assert_eq!(lines(&next)[1..], ["home INVITE sip:born@192.0.2.12"]);
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// PRX-028: who asks for TLS all the way is not passed on without.
#[test]
fn a_sips_request_finds_no_sip_contact() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let sent = world.datagram(CALLER, &calls_for("INVITE", "sips:heisenberg~munich.de", 1, ""));
    assert_eq!(lines(&sent), ["caller 480 INVITE"]);
    assert_eq!(row(&sent[0], "Warning"), "380 munich.de \"SIPS Not Allowed\"");
    world.stop();
}

/// PRX-007 PRX-012: other domains are for those who prove to be who they say, and their password stays here.
#[test]
fn nobody_is_relayed_who_does_not_own_the_from() {
    let mut world = World::new(guarded());
    let foreign = |from: &str, n: u32| {
        calls_for("MESSAGE", "sip:x~192.0.2.77", n, "")
            .replace("<sip:bohr~copenhagen.dk>", &format!("<sip:{from}>"))
    };
    assert_eq!(lines(&world.datagram(CALLER, &foreign("bohr~copenhagen.dk", 1))), ["caller 403 MESSAGE"]);
    let text = foreign("heisenberg~munich.de", 2);
    let signed = |world: &mut World, text: &str, user: &str, password: &str| {
        let challenge = world.datagram(CALLER, text).remove(0);
        assert_eq!(challenge.status(), 407);
        let nonce = row(&challenge, "Proxy-Authenticate");
        let nonce = nonce.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        let signed = sign(text, nonce, user, password);
        world.datagram(CALLER, &signed)
    };
    let sent = signed(&mut world, &text, "heisenberg", "uncertainty");
    assert_eq!(lines(&sent), ["192.0.2.77:5060 MESSAGE sip:x@192.0.2.77"]);
    assert!(rows(&sent[0], "Proxy-Authorization").is_empty(), "{}", sent[0].text());
    // Somebody else's password does not make one Heisenberg.
    let spoofed = text.replace("z9hG4bKc2", "z9hG4bKc9");
    assert_eq!(lines(&signed(&mut world, &spoofed, "born", "probability")), ["caller 403 MESSAGE"]);
    let wrong = text.replace("z9hG4bKc2", "z9hG4bKc8");
    assert_eq!(lines(&signed(&mut world, &wrong, "heisenberg", "guess")), ["caller 407 MESSAGE"]);
    assert!(world.news().iter().any(|what| matches!(what, ServerEvent::AuthFailed { .. })));
    // Nor is an address of ours a way to where a Route leads.
    let by_route = calls("MESSAGE", 6, "Route: <sip:192.0.2.77;lr>");
    assert_eq!(lines(&world.datagram(CALLER, &by_route)), ["caller 403 MESSAGE"]);
    // A Route of ours is no way round, unless it was recorded.
    let sneaky = foreign("bohr~copenhagen.dk", 5)
        .replace("|Content-Length", "|Route: <sip:192.0.2.1;lr>|Content-Length");
    assert_eq!(lines(&world.datagram(CALLER, &sneaky)), ["caller 403 MESSAGE"]);
    assert_eq!(lines(&world.datagram(CALLER, &sneaky.replace("MESSAGE", "ACK"))), [""; 0]);
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// The request with credentials for the proxy.
fn sign(text: &str, nonce: &str, user: &str, password: &str) -> String {
    let mut words = text.split(' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap().replace('~', "@"));
    let exchange = Exchange {
        algorithm: Algorithm::Sha256,
        variant: Variant::Plain,
        nonce,
        session_cnonce: "",
        protection: Some(Protection { qop: Qop::Auth, nc: "00000001", cnonce: "me" }),
        uri: &uri,
        body: b"",
    };
    let response = exchange.response(&ha1(Algorithm::Sha256, user, "munich.de", password.as_bytes()), method);
    let row = format!(
        "Proxy-Authorization: Digest username=\"{user}\", realm=\"munich.de\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"me\"|Call-ID"
    );
    text.replacen("Call-ID", &row, 1).replacen("z9hG4bKc", "z9hG4bKs", 1)
}

/// PRX-007: with `--auth-calls` everybody has to say who calls.
#[test]
fn callers_of_own_domains_may_have_to_sign_in() {
    let mut world = World::new(Service { auth_calls: true, ..guarded() });
    assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", 1, ""))), ["caller 407 INVITE"]);
    let own = calls("INVITE", 2, "").replace("<sip:bohr~copenhagen.dk>", "<sip:born~munich.de>");
    assert_eq!(lines(&world.datagram(CALLER, &own)), ["caller 407 INVITE"]);
    assert_eq!(lines(&world.datagram(CALLER, &calls("CANCEL", 1, ""))), ["caller 481 CANCEL"]);
    world.stop();
}

/// More calls than may be in progress get 503, and who registers does not notice.
#[test]
fn calls_beyond_the_limit_get_503() {
    let limits = Limits { calls: 2, ..limits() };
    let mut world = World::new(Service { limits, ..service() });
    world.bind(DESK, "");
    world.news();
    for n in 1..=2 {
        assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", n, ""))).len(), 2);
    }
    for n in 3..=5 {
        let refused = world.datagram(CALLER, &calls("INVITE", n, ""));
        assert_eq!(
            (lines(&refused), row(&refused[0], "Retry-After")),
            (vec!["caller 503 INVITE".into()], "5".into())
        );
    }
    let told = |world: &mut World| -> Vec<u64> {
        let refused = |what: ServerEvent| match what {
            ServerEvent::Overload { what: Crowd::Calls, refused } => Some(refused),
            _ => None,
        };
        world.news().into_iter().filter_map(refused).collect()
    };
    assert_eq!(told(&mut world), [1]);
    world.pass(Duration::from_secs(1));
    assert_eq!(told(&mut world), [2]);
    world.bind(HOME, "");
    let message = world.datagram(CALLER, &calls("MESSAGE", 6, ""));
    assert_eq!(message.len(), 2, "other methods are no calls");
    world.pass(Duration::from_secs(300));
    assert_eq!((world.counters().calls, world.counters().overload), (0, 3));
    assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", 7, ""))).len(), 3);
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// What is in progress when the server ends is ended.
#[test]
fn a_server_that_ends_stops_the_ringing() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    world.datagram(DESK, &responds(&rings[1], 180, "d", ""));
    world.sent.clear();
    world.event(Event::Command(sipreg::proto::Command::StopServing));
    assert_eq!(lines(&world.sent), ["caller 503 INVITE", "desk CANCEL sip:heisenberg@192.0.2.11:5060"]);
    assert!(world.endpoint.is_idle());
}

/// PRX-002 PRX-005 PRX-014 PRX-017 PRX-018: a copy is the request with what a proxy adds, and nothing else.
#[test]
fn what_is_forwarded_is_what_came() {
    let mut world = World::new(service());
    world.bind_for("heisenberg", DESK, "\"W\" <sip:heisenberg~192.0.2.11;method=BYE;x=1?Subject=a>", "");
    let odd = "X-Odd:  a ;; \"b |Subject: caf\u{e9}|x-odd: ,,|Date: never";
    let text = calls("FROBNICATE", 1, odd).replace("Content-Length: 0", "Content-Length: 5") + "||a\0b\r\n";
    let octets = text.replace('|', "\r\n").replace('~', "@");
    let sent = world.octets(CALLER, octets.clone().into());
    assert_eq!(lines(&sent), ["desk FROBNICATE sip:heisenberg@192.0.2.11;x=1"]);
    let forwarded = request_of(&sent[0]);
    assert_eq!(&*forwarded.body, b"a\0b\r\n");
    let text = sent[0].text();
    for row in ["X-Odd: a ;; \"b", "Subject: caf\u{e9}", "x-odd: ,,", "Date: never", "Max-Forwards: 69"] {
        assert!(text.contains(&format!("\r\n{row}\r\n")), "{row}: {text}");
    }
    let missing = calls("MESSAGE", 2, "").replace("Max-Forwards: 70|", "");
    assert_eq!(row(&world.datagram(CALLER, &missing)[0], "Max-Forwards"), "70");
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// PRX-004 PRX-006 PRX-008
#[test]
fn a_proxy_refuses_what_it_must_not_pass_on() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let none_left = calls("INVITE", 1, "").replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(lines(&world.datagram(CALLER, &none_left)), ["caller 483 INVITE"]);
    let refused = world.datagram(CALLER, &calls("INVITE", 2, "Proxy-Require: foo, bar"));
    assert_eq!(
        (lines(&refused), row(&refused[0], "Unsupported")),
        (vec!["caller 420 INVITE".into()], "foo, bar".into())
    );
    assert_eq!(
        lines(&world.datagram(CALLER, &calls("INVITE", 3, "Require: foo"))).len(),
        2,
        "that is for the device"
    );
    // The same call on another way is no error of its sender.
    let other = calls("INVITE", 3, "").replace("z9hG4bKc3", "z9hG4bKother");
    assert_eq!(lines(&world.datagram(CALLER, &other)).len(), 2);
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// FRK-026: a response that answers nothing of ours is not passed on.
#[test]
fn stray_responses_stay_here() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    for change in
        [("z9hG4bK", "z9hG4bKx"), ("CSeq: 1 INVITE", "CSeq: 2 INVITE"), ("Call-ID: call1", "Call-ID: x")]
    {
        let stray = responds(&rings[1], 200, "d", "").replacen(change.0, change.1, 1);
        assert_eq!(lines(&world.datagram(DESK, &stray)), [""; 0], "{change:?}");
    }
    assert_eq!(world.counters().stray, 3);
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// The flow numbers of connections that are opened do not matter to who hears what.
#[test]
fn a_contact_over_tcp_is_connected_to() {
    let mut world = World::new(service());
    world.bind_for("heisenberg", DESK, "<sip:heisenberg~192.0.2.11;transport=tcp>", "");
    assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", 1, ""))), ["caller 100 INVITE"]);
    let (flow, peer) = world.opened.pop().unwrap();
    assert_ne!(flow, FlowId(0));
    world.event(Event::Opened { flow, local: "192.0.2.1:40000".parse().unwrap() });
    let sent = std::mem::take(&mut world.sent);
    assert_eq!(lines(&sent), ["desk INVITE sip:heisenberg@192.0.2.11;transport=tcp"]);
    assert!(row(&sent[0], "Via").starts_with("SIP/2.0/TCP 192.0.2.1:5060;"), "{}", row(&sent[0], "Via"));
    let ok = wire(&responds(&sent[0], 200, "d", ""));
    assert_eq!(lines(&world.stream(flow, &peer.to_string(), &ok)), ["caller 200 INVITE"]);
    // The next call takes the same connection.
    let second = world.datagram(CALLER, &calls("INVITE", 2, ""));
    assert_eq!(second[1].flow, flow);
    world.pass(Duration::from_secs(300));
    assert!(world.closed.contains(&flow), "silent for too long");
    world.stop();
}

/// A host that does not even refuse a connection holds a call up for no longer than one that does not answer.
#[test]
fn who_waits_for_a_connection_waits_no_longer_than_for_an_answer() {
    let mut world = World::new(service());
    world.bind_for("heisenberg", DESK, "<sip:heisenberg~192.0.2.11;transport=tcp>", "");
    world.datagram(CALLER, &calls("INVITE", 1, ""));
    let (flow, _) = world.opened.pop().unwrap();
    assert_eq!((world.after(31), &*world.closed), (Vec::new(), &[][..]));
    assert_eq!(world.after(1), ["caller 500 INVITE"]);
    assert_eq!(world.closed, [flow]);
    world.stop();
}

/// FRK-025: a device may ring for longer than a connection may be silent; then the connection stays, at both ends.
#[test]
fn connections_stay_while_a_call_rings() {
    let mut world = World::new(service());
    world.bind_for("heisenberg", DESK, "<sip:heisenberg~192.0.2.11;transport=tcp>", "");
    let caller = "192.0.2.99:40000";
    let from = world.connect(caller);
    let invite = wire(&calls("INVITE", 1, "").replace("/UDP", "/TCP"));
    assert_eq!(lines(&world.stream(from, caller, &invite)).len(), 1);
    let (to, _) = world.opened.pop().unwrap();
    world.sent.clear();
    world.event(Event::Opened { flow: to, local: "192.0.2.1:40000".parse().unwrap() });
    let rings = std::mem::take(&mut world.sent);
    let says = |world: &mut World, status: u16| {
        let text = wire(&responds(&rings[0], status, "d", ""));
        lines(&world.stream(to, DESK, &text))
    };
    for _ in 0..3 {
        assert_eq!(says(&mut world, 180).len(), 1);
        assert_eq!(world.after(179), [""; 0]);
    }
    assert_eq!(world.closed, []);
    assert_eq!(says(&mut world, 200), ["192.0.2.99:40000 200 INVITE"]);
    world.pass(Duration::from_secs(400));
    assert_eq!(world.closed.len(), 2, "then they go");
    world.stop();
}

/// PRX-030: the caller's side is recorded also when its connection is gone before the request goes on.
#[test]
fn a_caller_whose_connection_is_gone_is_still_on_its_side_of_the_record_route() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let caller = "192.0.2.99:40000";
    let from = world.connect(caller);
    world.shelf = Shelf::Slow;
    let invite = wire(&calls("INVITE", 1, "").replace("/UDP", "/TCP"));
    assert_eq!(world.stream(from, caller, &invite), []);
    world.lose(from, None);
    world.answer_store();
    let recorded = rows(world.sent.last().unwrap(), "Record-Route");
    assert!(recorded[0].contains(";transport=udp") && recorded[1].contains(";transport=tcp"), "{recorded:?}");
    world.pass(Duration::from_secs(40));
    world.stop();
}

/// OBS-019: a connection that goes while the call waits to know what we are called is no way any more, and no address to
/// connect to.
#[test]
fn a_connection_that_goes_before_the_call_leaves_is_not_opened_again() {
    let at = "0.0.0.0:5060".parse().unwrap();
    let listen = [Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, address: at }).to_vec();
    let mut world = World::new(Service { listen, ..service() });
    let peer = "192.0.2.7:40000";
    let flow = world.connect(peer);
    let text = register(1, "Contact: <sip:heisenberg~192.0.2.7:5070;transport=tcp>").replace("/UDP", "/TCP");
    assert_eq!(world.stream(flow, peer, &wire(&text))[0].status(), 200);
    assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", 1, ""))), ["caller 100 INVITE"]);
    let caller = world.sought.pop().unwrap();
    world.lose(flow, None);
    assert_eq!(world.opened, []);
    world.event(Event::SourceFound { peer: caller, local: Some("192.0.2.1".parse().unwrap()) });
    let (opened, to) = world.opened.pop().unwrap();
    assert_eq!(to.to_string(), "192.0.2.7:5070");
    world.sent.clear();
    world.event(Event::Failed { flow: opened, peer: to, cause: Cause::Refused });
    assert_eq!(lines(&std::mem::take(&mut world.sent)), ["caller 480 INVITE"]);
    world.stop();
}

/// PRX-011 PRX-013: a listener at a wildcard address finds out which addresses are its own, before it says no.
#[test]
fn a_wildcard_listener_knows_itself_by_any_address() {
    let at = "0.0.0.0:5060".parse().unwrap();
    let listen = vec![Listen { transport: Transport::Udp, address: at }];
    let ours: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    for (local, options, routed) in [
        (ours, "caller 200 OPTIONS", "caller 480 MESSAGE"),
        ("192.0.2.2".parse().unwrap(), "caller 403 OPTIONS", "caller 403 MESSAGE"),
    ] {
        let mut world = World::new(Service { listen: listen.clone(), ..service() });
        let asks = calls_for("OPTIONS", "sip:192.0.2.1:5060", 1, "");
        assert_eq!(lines(&world.datagram(CALLER, &asks)), [""; 0]);
        assert_eq!(lines(&world.datagram(CALLER, &asks)), [""; 0], "a copy waits, too");
        assert_eq!(world.sought, [ours]);
        world.event(Event::SourceFound { peer: ours, local: Some(local) });
        assert_eq!(lines(&std::mem::take(&mut world.sent)), [options; 2]);
        let preloaded = calls("MESSAGE", 2, "Route: <sip:192.0.2.1;lr>");
        assert_eq!(lines(&world.datagram(CALLER, &preloaded)), [routed]);
        world.stop();
    }
}

/// What requests in progress take is bounded: beyond it there is 503, and it is told.
#[test]
fn requests_beyond_the_memory_get_503() {
    let limits = Limits { forwarded: 20_000, ..limits() };
    let mut world = World::new(Service { limits, ..service() });
    world.bind(DESK, "");
    world.news();
    assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", 1, ""))).len(), 2);
    let large = calls("INVITE", 2, &format!("Subject: {}", "x".repeat(3000)));
    let refused = world.datagram(CALLER, &large);
    assert_eq!(
        (lines(&refused), row(&refused[0], "Retry-After")),
        (vec!["caller 503 INVITE".into()], "5".into())
    );
    let told = world.news();
    assert!(
        told.iter().any(|what| matches!(what, ServerEvent::Overload { what: Crowd::Memory, refused: 1 }))
    );
    world.pass(Duration::from_secs(300));
    assert_eq!(lines(&world.datagram(CALLER, &large)).len(), 2, "by then there is room again");
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// Long provisional answers don't cost others the answers that are kept for their copies.
#[test]
fn who_rings_at_length_leaves_room_for_the_answers_of_others() {
    let limits = Limits { replay: 20_000, ..limits() };
    let mut world = World::new(Service { limits, ..service() });
    world.bind(DESK, "");
    for n in 1..=10 {
        let rings = world.datagram(CALLER, &calls("INVITE", n, ""));
        let early = responds(&rings[1], 183, "d", &format!("Subject: {}", "x".repeat(3000)));
        assert_eq!(lines(&world.datagram(DESK, &early)), ["caller 183 INVITE"]);
    }
    let asked = world.datagram(CALLER, &calls("MESSAGE", 20, ""));
    world.datagram(DESK, &responds(&asked[0], 200, "d", ""));
    assert_eq!(lines(&world.datagram(CALLER, &calls("MESSAGE", 20, ""))), ["caller 200 MESSAGE"]);
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// What is told of a request names no password, and has a status in the end also where nobody hears one.
#[test]
fn what_is_told_of_a_request_has_no_password_and_an_end() {
    let mut world = World::new(service());
    world.bind_for("heisenberg", DESK, "<sip:heisenberg:geheim~192.0.2.11>", "");
    world.news();
    world.datagram(CALLER, &calls("MESSAGE", 1, "").replace("<sip:bohr~", "<sip:bohr:geheim~"));
    world.pass(Duration::from_secs(300));
    let mut told = Vec::new();
    for what in world.news() {
        if let ServerEvent::Routed { from, targets, status, .. } = what {
            told.push((from.to_string(), targets[0].to_string(), status));
        }
    }
    let (from, to) = ("sip:bohr@copenhagen.dk".to_owned(), "sip:heisenberg@192.0.2.11".to_owned());
    assert_eq!(told, [(from.clone(), to.clone(), None), (from, to, Some(408))]);
    world.stop();
}

/// FRK-014: a device that names itself is not tried twice, and its caller is not sent there either.
#[test]
fn a_redirect_to_where_the_call_has_been_leads_nowhere() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let rings = world.datagram(CALLER, &calls("INVITE", 1, ""));
    let moved =
        world.datagram(DESK, &responds(&rings[1], 302, "d", "Contact: <sip:heisenberg~192.0.2.11:5060>"));
    assert_eq!(lines(&moved)[1..], ["caller 480 INVITE"]);
    world.stop();
}

/// FRK-002: a copy that comes after the request was given up goes to nobody again.
#[test]
fn a_late_copy_of_what_nobody_answered_is_not_forwarded_again() {
    let mut world = World::new(service());
    world.bind(DESK, "");
    let text = calls("MESSAGE", 1, "");
    let sent = world.datagram(CALLER, &text);
    // RFC 4320 §4.1: it must not say so, and it is not passed on.
    assert_eq!(lines(&world.datagram(DESK, &responds(&sent[0], 408, "d", ""))), [""; 0]);
    assert_eq!(lines(&world.datagram(CALLER, &text)), [""; 0]);
    let silent = calls("MESSAGE", 2, "");
    world.datagram(CALLER, &silent);
    assert!(world.after(32).len() > 1);
    assert_eq!(lines(&world.datagram(CALLER, &silent)), [""; 0]);
    assert_eq!(world.counters().branches, 2);
    world.pass(Duration::from_secs(40));
    assert!(world.endpoint.next_timeout().is_none_or(|(due, _)| due > world.now + Duration::from_secs(1000)));
    world.stop();
}

/// Too much of one thing and of another: each is told once, and once a second with their number.
#[test]
fn overloads_of_two_kinds_in_turn_are_told_once_a_second() {
    let limits = Limits { calls: 1, forwarded: 20_000, ..limits() };
    let mut world = World::new(Service { limits, ..service() });
    world.bind(DESK, "");
    world.datagram(CALLER, &calls("INVITE", 1, ""));
    world.news();
    let told = |world: &mut World| -> Vec<(Crowd, u64)> {
        let refused = |event: ServerEvent| match event {
            ServerEvent::Overload { what, refused } => Some((what, refused)),
            _ => None,
        };
        world.news().into_iter().filter_map(refused).collect()
    };
    for n in 2..=6 {
        assert_eq!(lines(&world.datagram(CALLER, &calls("INVITE", n, ""))), ["caller 503 INVITE"]);
        let large = calls("MESSAGE", 10 + n, &format!("Subject: {}", "x".repeat(4000)));
        assert_eq!(lines(&world.datagram(CALLER, &large)), ["caller 503 MESSAGE"]);
    }
    assert_eq!(told(&mut world), [(Crowd::Calls, 1), (Crowd::Memory, 1)]);
    world.pass(Duration::from_secs(1));
    assert_eq!(told(&mut world), [(Crowd::Calls, 4), (Crowd::Memory, 4)]);
    world.pass(Duration::from_secs(300));
    assert_eq!(told(&mut world), []);
    world.stop();
}
