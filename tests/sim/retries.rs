//! `--retry-for`: trying again what may pass by itself.

use std::time::Duration;

use sipreg::proto::{Cause, Question, ResolveError};

use crate::world::*;

fn patient(seconds: u64) -> sipreg::proto::client::plan::Plan {
    let mut plan = plan();
    plan.retry_for = Duration::from_secs(seconds);
    plan
}

/// DES-006 DES-008 RSP-025
#[test]
fn a_503_is_tried_again_after_what_it_asks_for() {
    let course =
        World::answering(&["503 Busy|Retry-After: 7", "503 Busy|Retry-After: 7", OK]).run(patient(60));
    assert!(course.report.result.is_ok());
    assert!(course.pauses.iter().all(|pause| (7000..=7700).contains(pause)), "{:?}", course.pauses);
    assert_eq!((course.report.requests, course.report.cseq), (3, 3));
    assert_eq!(course.attempts(), "Status(200)", "one entry per destination: the last try's");
    // What asks for longer than there is time is not waited for.
    let course = World::answering(&["503 Busy|Retry-After: 61"]).run(patient(60));
    assert_eq!(verdict(&course), "Refused(RetryAfter { status: 503, seconds: 61 })");
    assert_eq!(course.report.elapsed.as_millis(), 10);
}

/// DES-006 REG-023 RSP-001 COD-010
#[test]
fn silence_and_refused_connections_are_tried_again_at_growing_distance() {
    let mut opened = 0;
    let mut world = World::answering(&[OK]);
    world.open = Box::new(move |_| {
        opened += 1;
        if opened < 8 { Err(Cause::Refused) } else { Ok((0, "192.0.2.99:5070".parse().unwrap())) }
    });
    let course = world.run(tcp(patient(600)));
    assert!(course.report.result.is_ok());
    let bounds = [1, 2, 4, 8, 16, 30, 30].map(|seconds| seconds * 1000);
    assert_eq!(course.pauses.len(), bounds.len());
    for (pause, bound) in course.pauses.iter().zip(bounds) {
        assert!((bound / 2..=bound).contains(pause), "{pause} of {bound}");
    }
    let course = World::new(|_, _, _| vec![]).run(patient(40));
    assert_eq!((verdict(&course).as_str(), course.report.requests), ("Timeout", 2));
    assert_eq!(course.report.elapsed.as_secs(), 64);
    let course = World::answering(&["408 Request Timeout", OK]).run(patient(40));
    assert_eq!((course.report.result.is_ok(), course.pauses.len()), (true, 1));
}

/// RSP-023 COD-004 COD-006 AUT-009 COD-020
#[test]
fn what_will_not_pass_by_itself_is_not_tried_again() {
    for answer in ["403 Forbidden", "404 Not Found", "500 Broken", "480 Away|Retry-After: 5", "200 OK", MD5] {
        let mut plan = patient(600);
        plan.keyring = keyring("wrong");
        let course = World::answering(&[answer]).run(plan);
        assert!(course.pauses.is_empty(), "{answer}");
        assert!(course.report.result.is_err());
    }
}

#[test]
fn the_bound_on_the_whole_ends_a_pause_and_a_try_and_keeps_the_last_verdict() {
    let mut plan = patient(600);
    plan.command_limit = Some(Duration::from_secs(5));
    let course = World::answering(&["503 Busy|Retry-After: 3"]).run(plan.clone());
    assert_eq!(verdict(&course), "Refused(RetryAfter { status: 503, seconds: 3 })");
    assert_eq!((course.report.elapsed.as_secs(), course.report.requests), (5, 2));
    let course = World::new(|_, _, _| vec![]).run(plan);
    assert_eq!((verdict(&course).as_str(), course.report.elapsed.as_secs()), ("Timeout", 5));
}

/// LOC-025
#[test]
fn a_name_is_looked_up_afresh_with_every_try() {
    let mut asked = 0;
    let mut world = World::answering(&[OK]);
    world.names = Box::new(move |question| {
        asked += 1;
        Some(match question {
            Question::A(_) if asked > 2 => Ok(vec![record("192.0.2.1")]),
            Question::A(_) | Question::Aaaa(_) => Err(ResolveError::ServerFailed),
            Question::Srv(_) | Question::Naptr(_) => Ok(vec![]),
        })
    });
    let mut plan = patient(60);
    plan.registrar = uri("sip:munich.de:5060").into();
    let course = world.run(plan);
    assert!(course.report.result.is_ok());
    assert_eq!((course.asked.len(), course.pauses.len()), (4, 1));
}
