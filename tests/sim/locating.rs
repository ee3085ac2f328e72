//! Names, several addresses, and moving on from one to the next.

use sipreg::proto::locate::Families;
use sipreg::proto::{Cause, DnsAnswer, Question, ResolveError};

use crate::world::*;

fn addresses(question: &Question) -> Option<DnsAnswer> {
    Some(match question {
        Question::A(_) => Ok(vec![record("192.0.2.1"), record("192.0.2.2")]),
        Question::Aaaa(_) => Ok(vec![record("2001:db8::1")]),
        Question::Srv(_) | Question::Naptr(_) => Ok(vec![]),
    })
}

fn named() -> sipreg::proto::client::plan::Plan {
    let mut plan = plan();
    plan.registrar = uri("sip:munich.de:5060").into();
    plan
}

/// LOC-016 LOC-017 LOC-019 RSP-002 RSP-024 REQ-022 TXN-014 TXN-019 REG-021
#[test]
fn the_next_address_is_tried_after_a_failure_a_503_and_silence() {
    let mut world = World::new(|request, n, _| match n {
        0 => vec![(10, Reaction::Send(answer(request, "503 Busy")))],
        1 => vec![],
        _ => vec![(10, Reaction::Send(answer(request, OK)))],
    });
    world.names = Box::new(|question| {
        Some(match question {
            Question::A(_) => Ok((1..=4).map(|n| record(&format!("192.0.2.{n}"))).collect()),
            Question::Aaaa(_) => Err(ResolveError::ServerFailed),
            Question::Srv(_) | Question::Naptr(_) => Ok(vec![]),
        })
    });
    let mut opened = 0;
    world.open = Box::new(move |_| {
        opened += 1;
        if opened == 2 { Err(Cause::Unreachable) } else { Ok((0, "192.0.2.99:5070".parse().unwrap())) }
    });
    let course = world.run(named());
    assert_eq!(course.way(), "3 udp 192.0.2.1:5060, 18 udp 192.0.2.3:5060, 32018 udp 192.0.2.4:5060");
    assert_eq!(course.attempts(), "Status(503), Failed(Unreachable), Timeout, Status(200)");
    let branches: std::collections::BTreeSet<String> =
        course.sent.iter().map(|s| s.header("Via").unwrap()).collect();
    assert_eq!(branches.len(), 3);
    assert_eq!(course.report.cseq, 3);
    assert!(course.report.result.is_ok());
}

/// LOC-003 LOC-004 LOC-012
#[test]
fn only_names_are_asked_for_and_only_once_per_target() {
    let mut world = World::answering(&[MD5, OK]);
    world.names = Box::new(addresses);
    let course = world.run(named());
    assert_eq!(format!("{:?}", course.asked), r#"[Aaaa("munich.de"), A("munich.de")]"#);
    assert_eq!(World::answering(&[MD5, OK]).run(plan()).asked, []);
}

/// LOC-018
#[test]
fn any_other_answer_stops_the_walk() {
    let mut world = World::answering(&["403 Forbidden"]);
    world.names = Box::new(addresses);
    let course = world.run(named());
    assert_eq!(course.way(), "3 udp [2001:db8::1]:5060");
    assert_eq!(verdict(&course), "Refused(Status(403))");
}

/// LOC-020 LOC-025
#[test]
fn a_name_without_address_is_an_attempt_that_dns_ended() {
    let both = Families::Both;
    for (answer, families, expected) in [
        (
            Err(ResolveError::NoSuchName),
            both,
            "Unreachable(Name { name: \"munich.de\", error: Some(NoSuchName) })",
        ),
        (
            Err(ResolveError::TimedOut),
            both,
            "Unreachable(Name { name: \"munich.de\", error: Some(TimedOut) })",
        ),
        (Ok(vec![]), Families::V6, "Unreachable(Name { name: \"munich.de\", error: None })"),
    ] {
        let mut world = World::answering(&[OK]);
        world.names = Box::new(move |_| Some(answer.clone()));
        let mut plan = named();
        plan.families = families;
        let course = world.run(plan);
        assert_eq!(verdict(&course), expected);
        assert_eq!((course.report.requests, course.report.attempts.len()), (0, 1));
        assert!(course.report.hop.is_none());
    }
}

/// LOC-026
#[test]
fn a_resolver_that_never_answers_is_not_waited_for_longer_than_all_its_questions_may_take() {
    let mut world = World::answering(&[OK]);
    world.names = Box::new(|_| None);
    let course = world.run(named());
    assert_eq!(course.report.elapsed.as_secs(), 14);
    assert_eq!(verdict(&course), "Unreachable(Name { name: \"munich.de\", error: Some(TimedOut) })");
}

/// RSP-001 LOC-016
#[test]
fn the_verdict_over_several_destinations_follows_the_order_of_the_exit_statuses() {
    // Each destination: an answer, silence (-), refused (r), closed (c), framing lost (f).
    for (fates, expected) in [
        (&["503 Busy", "-"][..], "Refused(Status(503))"),
        (&["-", "503 Busy"], "Refused(Status(503))"),
        (&["503 Busy", "f"], "Refused(Status(503))"),
        (&["f", "-"], "Misbehaved(Framing(Http))"),
        (&["-", "r"], "Timeout"),
        (&["r", "-"], "Timeout"),
        (&["r", "c"], "Unreachable(Closed)"),
        (&["c", "r"], "Unreachable(Network(Reset))"),
    ] {
        let mut world = World::new(move |request, n, _| match fates[n] {
            "-" => vec![],
            "r" => vec![(5, Reaction::Fail(Cause::Reset))],
            "c" => vec![(5, Reaction::Close)],
            "f" => vec![(5, Reaction::Send("HTTP/1.1 400 Bad Request\r\n\r\n".into()))],
            text => vec![(5, Reaction::Send(answer(request, text)))],
        });
        world.names = Box::new(|question| {
            Some(match question {
                Question::A(_) => Ok(vec![record("192.0.2.1"), record("192.0.2.2")]),
                Question::Aaaa(_) | Question::Srv(_) | Question::Naptr(_) => Ok(vec![]),
            })
        });
        let course = world.run(tcp(named()));
        assert_eq!(verdict(&course), expected, "{fates:?}");
    }
}
