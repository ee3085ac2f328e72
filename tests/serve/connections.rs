//! Connections that are silent, slow, too many, or not SIP: what is closed, and who stays.

use std::time::Duration;

use sipreg::proto::Cause;
use sipreg::proto::registrar::service::{Limits, Overload, ServerEvent, Service};

use crate::world::*;

fn limited(connections: usize) -> Service {
    Service { limits: Limits { connections, ..limits() }, ..service() }
}

fn dropped(world: &mut World) -> Vec<Overload> {
    let why = |what: &ServerEvent| match what {
        ServerEvent::Dropped { why, .. } => Some(*why),
        _ => None,
    };
    world.news().iter().filter_map(why).collect()
}

fn peer(n: u32) -> String {
    format!("198.51.100.{}:{}", n % 250, 1024 + n / 250)
}

/// TRN-028: a message that dribbles in has ten seconds, however busy it looks.
#[test]
fn a_slow_message_ends_its_connection() {
    let mut world = World::new(service());
    let flow = world.connect(DEVICE);
    for octet in "REGISTER sip:munich.de SIP/2.0".chars().take(10) {
        assert_eq!(world.stream(flow, DEVICE, &octet.to_string()), []);
        world.pass(Duration::from_millis(999));
    }
    assert_eq!(world.closed, []);
    world.pass(Duration::from_millis(20));
    assert_eq!((world.closed.clone(), dropped(&mut world)), (vec![flow], vec![Overload::Slow]));
    assert_eq!(world.stream(flow, DEVICE, "x"), []);
    world.stop();
}

#[test]
fn a_silent_connection_is_closed_and_pings_do_not_keep_it() {
    let mut world = World::new(service());
    let flow = world.connect(DEVICE);
    for _ in 0..11 {
        assert_eq!(world.stream(flow, DEVICE, "\r\n\r\n").len(), 1);
        world.pass(Duration::from_secs(10));
    }
    assert_eq!(world.closed, []);
    world.pass(Duration::from_secs(10));
    assert_eq!((world.closed.clone(), dropped(&mut world)), (vec![flow], vec![Overload::Idle]));
    world.stop();
}

#[test]
fn a_connection_with_a_registration_is_kept_as_long_as_that() {
    let mut world = World::new(service());
    let flow = world.connect(DEVICE);
    let ok = world.stream(flow, DEVICE, &wire(&register(1, "Contact: <sip:a~b>|Expires: 3600")));
    assert_eq!(ok.len(), 1);
    world.pass(Duration::from_secs(3700));
    assert_eq!(world.closed, []);
    world.pass(Duration::from_secs(30));
    assert_eq!(world.closed, [flow]);
    world.stop();
}

/// A newcomer always gets in; who has nothing registered makes room first, the longest silent before all.
#[test]
fn when_all_places_are_taken_the_longest_silent_without_a_registration_goes() {
    let mut world = World::new(limited(3));
    let registered = world.connect(&peer(1));
    world.stream(registered, &peer(1), &wire(&register(1, "Contact: <sip:a~b>")));
    world.news();
    world.pass(Duration::from_secs(2));
    let (second, third) = (world.connect(&peer(2)), world.connect(&peer(3)));
    world.pass(Duration::from_secs(2));
    world.stream(second, &peer(2), &wire(&request("OPTIONS", "sip:munich.de", 1, "")));
    let fourth = world.connect(&peer(4));
    assert_eq!((world.closed.clone(), dropped(&mut world)), (vec![third], vec![Overload::Connections]));
    world.pass(Duration::from_secs(2));
    world.connect(&peer(5));
    world.connect(&peer(6));
    assert_eq!(world.closed.len(), 3);
    assert!(!world.closed.contains(&registered));
    assert!(world.closed.contains(&second) && world.closed.contains(&fourth));
    world.stop();
}

#[test]
fn ten_thousand_connections_that_say_nothing_do_not_keep_a_good_client_out() {
    let mut world = World::new(limited(1000));
    for n in 0..10_000 {
        world.connect(&peer(n));
    }
    assert_eq!(world.closed.len(), 9000);
    let flow = world.connect(DEVICE);
    assert_eq!(world.stream(flow, DEVICE, &wire(&register(1, "Contact: <sip:a~b>"))).len(), 1);
    world.pass(Duration::from_secs(130));
    assert_eq!(world.closed.len(), 10_000);
    assert!(!world.closed.contains(&flow));
    assert_eq!(world.counters().dropped, 10_000);
    world.stop();
}

/// What is complete, or short, is not what fills the memory.
#[test]
fn of_too_much_that_is_unfinished_the_longest_goes() {
    let limits = Limits { unfinished: 100_000, ..limits() };
    let mut world = World::new(Service { limits, ..service() });
    let half = |length: usize| {
        wire(&register(1, "")).replace("Content-Length: 0", "Content-Length: 60000") + &"x".repeat(length)
    };
    let short = world.connect(&peer(1));
    world.stream(short, &peer(1), &half(0));
    let giants: Vec<_> = (2..5).map(|n| world.connect(&peer(n))).collect();
    world.stream(giants[0], &peer(2), &half(40_000));
    world.stream(giants[1], &peer(3), &half(50_000));
    assert_eq!(world.closed, []);
    world.stream(giants[2], &peer(4), &half(20_000));
    assert_eq!((world.closed.clone(), dropped(&mut world)), (vec![giants[1]], vec![Overload::Unfinished]));
    // One that goes, or is complete, no longer counts.
    world.lose(giants[0], None);
    world.stream(short, &peer(1), &"x".repeat(60_000));
    for n in 6..8 {
        let flow = world.connect(&peer(n));
        world.stream(flow, &peer(n), &half(30_000));
    }
    assert_eq!(world.closed, [giants[1]]);
    world.stop();
}

/// TRN-025 TRN-027
#[test]
fn what_is_not_sip_ends_its_connection_and_is_told() {
    for text in [
        "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(),
        wire(&register(1, "").replace("Content-Length: 0", "Content-Length: 99999999")),
        wire(&register(1, "").replace("|Content-Length: 0", "")),
        "x".repeat(70_000),
    ] {
        let mut world = World::new(service());
        let flow = world.connect(DEVICE);
        assert_eq!(world.stream(flow, DEVICE, &text), []);
        assert_eq!(world.closed, [flow], "{text}");
        assert!(matches!(
            world.news().as_slice(),
            [
                ServerEvent::Malformed { status: None, .. },
                ServerEvent::Dropped { why: Overload::Framing, .. }
            ]
        ));
        world.stop();
    }
}

#[test]
fn a_client_that_does_not_take_its_answers_is_given_up() {
    let mut world = World::new(service());
    let flow = world.connect(DEVICE);
    world.lose(flow, Some(Cause::Other(std::io::ErrorKind::WouldBlock)));
    assert_eq!(dropped(&mut world), [Overload::Stalled]);
    world.stop();
}

/// WSS-004: who wears a WebSocket out, or breaks its rules, is told.
#[test]
fn a_websocket_that_is_worn_out_or_broken_is_told() {
    use sipreg::proto::identity::WebSocketFault;
    for (fault, expected, is_malformed) in [
        (WebSocketFault::Flood, Overload::Flood, false),
        (WebSocketFault::Slow, Overload::Slow, false),
        (WebSocketFault::TooLong, Overload::Framing, true),
        (WebSocketFault::Broken, Overload::Framing, true),
    ] {
        let mut world = World::new(service());
        let flow = world.connect(DEVICE);
        world.lose(flow, Some(Cause::WebSocket(fault)));
        let news = world.news();
        let is_expected = match news.as_slice() {
            [ServerEvent::Dropped { why, .. }] => !is_malformed && *why == expected,
            [ServerEvent::Malformed { what, status: None, .. }, ServerEvent::Dropped { why, .. }] => {
                is_malformed && *what == fault.to_string() && *why == expected
            }
            _ => false,
        };
        assert!(is_expected, "{fault:?}: {news:?}");
        world.stop();
    }
}

#[test]
fn a_listener_that_cannot_be_had_ends_the_service_before_it_begins() {
    use sipreg::proto::{Action, Command, Endpoint, Event, Notice, Time, ids::Counting};
    let mut endpoint = Endpoint::new(Box::new(Counting::default()));
    let now = Time::from_millis(1);
    let flows: Vec<_> = endpoint
        .handle(Event::Command(Command::Serve(Box::new(service()))), now)
        .map(|action| match action {
            Action::Listen { flow, address, .. } => (flow, address),
            other => panic!("{other:?}"),
        })
        .collect();
    let (first, second) = (flows[0], flows[1]);
    assert_eq!(endpoint.handle(Event::Opened { flow: first.0, local: first.1 }, now).count(), 0);
    let event = Event::Failed { flow: second.0, peer: second.1, cause: Cause::LocalAddress };
    let actions: Vec<String> = endpoint
        .handle(event, now)
        .map(|action| match action {
            Action::Close { .. } => "close".to_owned(),
            Action::Notify(Notice::Server(ServerEvent::CannotListen { address, cause, .. })) => {
                format!("{address} {cause}")
            }
            Action::Notify(Notice::Server(ServerEvent::Stopped)) => "stopped".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(actions, ["192.0.2.1:5060 local address not available", "close", "stopped"]);
    assert!(endpoint.is_idle());
}
