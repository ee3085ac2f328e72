//! Streams, sizes and broken flows.

use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::Cause;
use sipreg::proto::client::plan::Timing;
use sipreg::proto::locate::Transport;
use sipreg::sip::{Header, HeaderName};

use crate::world::*;

/// A plan whose first request has this many octets over UDP.
fn of_size(octets: usize) -> sipreg::proto::client::plan::Plan {
    let mut plan = plan();
    let bare = World::answering(&[OK]).run(plan.clone()).sent[0].text.len();
    let row = "X-Pad: \r\n".len();
    let name = HeaderName::parse(b"X-Pad").unwrap();
    plan.headers.push(Header::new(name, "x".repeat(octets - bare - row)).unwrap());
    plan
}

/// TRN-001 TRN-002 TRN-004
#[test]
fn a_request_over_1300_octets_goes_over_tcp() {
    let course = World::answering(&[OK]).run(of_size(1300));
    assert_eq!((course.way().as_str(), course.sent[0].text.len()), ("0 udp 192.0.2.1:5060", 1300));
    let course = World::answering(&[OK]).run(of_size(1301));
    assert_eq!(course.way(), "0 tcp 192.0.2.1:5060");
    assert!(course.sent[0].header("Via").unwrap().starts_with("SIP/2.0/TCP 192.0.2.99:5070;"));
    assert_eq!((course.report.cseq, course.attempts().as_str()), (1, "Status(200)"));
    // The forced transport does not change the rule.
    let mut forced = of_size(1301);
    forced.transport = Some(Transport::Udp);
    assert_eq!(World::answering(&[OK]).run(forced).way(), "0 tcp 192.0.2.1:5060");
}

/// TRN-003 AUT-031
#[test]
fn the_size_is_judged_on_every_request_and_no_nonce_count_is_lost() {
    let course = World::answering(&[MD5, OK]).run(of_size(1200));
    assert_eq!(course.way(), "0 udp 192.0.2.1:5060, 10 tcp 192.0.2.1:5060");
    assert!(course.sent[1].header("Authorization").unwrap().contains("nc=00000001"));
    assert_eq!(course.report.cseq, 2);
}

/// TRN-005
#[test]
fn where_tcp_is_refused_the_large_request_goes_over_udp() {
    let mut world = World::answering(&[MD5, OK]);
    world.open = Box::new(|to| match to.transport {
        Transport::Udp => Ok((0, "192.0.2.99:5070".parse().unwrap())),
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => Err(Cause::Refused),
    });
    let course = world.run(of_size(1301));
    assert_eq!(course.way(), "5 udp 192.0.2.1:5060, 15 udp 192.0.2.1:5060");
    assert_eq!(course.opened, ["udp 192.0.2.1:5060", "tcp 192.0.2.1:5060"]);
    assert!(course.report.result.is_ok());
    // Any other failure is one of the destination.
    let mut world = World::answering(&[OK]);
    world.open = Box::new(|to| match to.transport {
        Transport::Udp => Ok((0, "192.0.2.99:5070".parse().unwrap())),
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => Err(Cause::Unreachable),
    });
    assert_eq!(verdict(&world.run(of_size(1301))), "Unreachable(Network(Unreachable))");
}

/// TRN-026 TRN-027
#[test]
fn a_message_that_never_completes_is_not_waited_for_longer_than_any_other_silence() {
    for t1 in [100, 500, 1000] {
        let mut plan = tcp(plan());
        plan.timing = Timing::with_t1(Duration::from_millis(t1));
        let course = World::new(|request, _, _| {
            let text = String::from_utf8(answer(request, OK).to_vec()).unwrap();
            vec![(10, Reaction::Send(text.replace("Content-Length: 0", "Content-Length: 9999").into()))]
        })
        .run(plan);
        assert_eq!(verdict(&course), "Timeout");
        assert_eq!(course.report.elapsed, Duration::from_millis(64 * t1));
    }
}

/// TRN-026
#[test]
fn each_message_of_a_stream_has_its_own_time_to_be_completed() {
    let mut plan = tcp(plan());
    plan.keyring.credentials.clear();
    plan.keyring.ask = Some("heisenberg".to_owned());
    let mut world = World::new(|request, n, _| {
        if n > 0 {
            return vec![(10, Reaction::Send(answer(request, OK)))];
        }
        let text = [answer(request, MD5), answer(request, MD5)].concat();
        let pieces = [(10, 0..20), (30_000, 20..text.len() - 20), (40_000, text.len() - 20..text.len())];
        pieces.map(|(at, part)| (at, Reaction::Send(Bytes::copy_from_slice(&text[part])))).into()
    });
    world.password = Some("uncertainty");
    let course = world.run(plan);
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
    assert_eq!(course.opened.len(), 1, "the connection is kept while the user thinks");
}

/// RSP-002 TXN-014 TRN-028 TRN-030 TRN-031
#[test]
fn a_broken_flow_ends_the_wait_at_once() {
    for (transport, reaction, expected) in [
        (Transport::Udp, Cause::Refused, "Unreachable(Network(Refused))"),
        (Transport::Udp, Cause::Unreachable, "Unreachable(Network(Unreachable))"),
        (Transport::Tcp, Cause::Reset, "Unreachable(Network(Reset))"),
    ] {
        let mut plan = plan();
        plan.transport = Some(transport);
        let course = World::new(|_, _, _| vec![(10, Reaction::Fail(reaction))]).run(plan);
        assert_eq!((verdict(&course).as_str(), course.report.elapsed.as_millis()), (expected, 10));
    }
    let course = World::new(|_, _, _| vec![(10, Reaction::Close)]).run(tcp(plan()));
    assert_eq!((verdict(&course).as_str(), course.attempts().as_str()), ("Unreachable(Closed)", "Closed"));
}

/// TRN-028 TXN-014
#[test]
fn a_server_that_dies_after_its_challenge_is_noticed_at_once() {
    let course = World::new(|request, n, _| match n {
        0 => vec![(10, Reaction::Send(answer(request, MD5)))],
        _ => vec![(10, Reaction::Fail(Cause::Refused))],
    })
    .run(plan());
    assert_eq!(verdict(&course), "Unreachable(Network(Refused))");
    assert_eq!(course.report.elapsed.as_millis(), 20);
}

/// TRN-030 DES-012: a server that closes the connection behind each of its answers is connected to once more.
#[test]
fn a_connection_that_is_closed_behind_a_challenge_is_opened_again_once() {
    for cause in [None, Some(Cause::Reset)] {
        let lost = || cause.map_or(Reaction::Close, Reaction::Fail);
        let course = World::new(|request, n, _| match n {
            0 => vec![(10, Reaction::Send(answer(request, MD5))), (15, lost())],
            1 => vec![],
            _ => vec![(10, Reaction::Send(answer(request, OK))), (10, lost())],
        })
        .run(tcp(plan()));
        assert!(course.report.result.is_ok(), "{}", verdict(&course));
        assert_eq!((course.opened.len(), course.attempts().as_str()), (2, "Status(200)"));
        let is_answered: Vec<bool> =
            course.sent.iter().map(|s| s.header("Authorization").is_some()).collect();
        assert_eq!(is_answered, [false, true, true]);
        // The third time, nobody can tell it from one that does not like the answer.
        let course = World::new(|request, n, _| match n {
            0 => vec![(10, Reaction::Send(answer(request, MD5))), (15, lost())],
            _ => vec![(10, lost())],
        })
        .run(tcp(plan()));
        assert_eq!((course.opened.len(), course.sent.len()), (2, 3));
        assert!(verdict(&course).starts_with("Unreachable("), "{}", verdict(&course));
    }
}

/// AUT-001 DES-012
#[test]
fn a_connection_lost_while_the_user_thinks_is_opened_again() {
    let mut plan = tcp(plan());
    plan.keyring.credentials.clear();
    plan.keyring.ask = Some("heisenberg".to_owned());
    let mut world = World::new(|request, n, _| match n {
        0 => vec![(10, Reaction::Send(answer(request, MD5))), (5000, Reaction::Close)],
        _ => vec![(10, Reaction::Send(answer(request, OK)))],
    });
    world.password = Some("uncertainty");
    let course = world.run(plan);
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
    assert_eq!(course.opened.len(), 2);
}

/// DES-012 TRN-005
#[test]
fn a_large_request_whose_connection_is_lost_at_the_prompt_still_falls_back_to_a_datagram() {
    let mut plan = of_size(1301);
    plan.keyring.credentials.clear();
    plan.keyring.ask = Some("heisenberg".to_owned());
    let mut world = World::new(|request, n, _| match n {
        0 => vec![(10, Reaction::Send(answer(request, MD5))), (5000, Reaction::Close)],
        _ => vec![(10, Reaction::Send(answer(request, OK)))],
    });
    world.password = Some("uncertainty");
    let mut tcp = 0;
    world.open = Box::new(move |to| {
        tcp += u32::from(to.transport == Transport::Tcp);
        if tcp > 1 && to.transport == Transport::Tcp {
            return Err(Cause::Refused);
        }
        Ok((0, "192.0.2.99:5070".parse().unwrap()))
    });
    let course = world.run(plan);
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
    assert_eq!(course.sent[1].to.transport, Transport::Udp);
}
