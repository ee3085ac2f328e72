//! Everything ends: budgets of requests, destinations and time.

use std::time::Duration;

use sipreg::proto::Question;
use sipreg::proto::client::plan::{Purpose, Resume, Timing};

use crate::world::*;

/// DES-027 TXN-001 TXN-006 REG-023
#[test]
fn a_silent_destination_has_64_t1_and_is_not_asked_again() {
    for (t1, expected) in [(500, 32_000), (20, 1280)] {
        let mut plan = plan();
        plan.timing = Timing::with_t1(Duration::from_millis(t1));
        let course = World::new(|_, _, _| vec![]).run(plan);
        assert_eq!(verdict(&course), "Timeout");
        assert_eq!(course.report.elapsed, Duration::from_millis(expected));
        assert_eq!((course.report.requests, course.attempts().as_str()), (1, "Timeout"));
    }
}

/// DES-027
#[test]
fn connecting_counts_towards_the_time_of_a_destination() {
    let mut world = World::new(|_, _, _| vec![]);
    world.open = Box::new(|_| Ok((20_000, "192.0.2.99:5070".parse().unwrap())));
    let course = world.run(tcp(plan()));
    assert_eq!((verdict(&course).as_str(), course.report.elapsed.as_secs()), ("Timeout", 32));
    let mut world = World::new(|_, _, _| vec![]);
    world.open = Box::new(|_| Ok((50_000, "192.0.2.99:5070".parse().unwrap())));
    let course = world.run(tcp(plan()));
    assert_eq!((verdict(&course).as_str(), course.report.elapsed.as_secs()), ("Timeout", 32));
    assert_eq!(course.report.requests, 0);
}

/// DES-027
#[test]
fn sixteen_destinations_are_tried_within_the_total_time() {
    let many = |question: &Question| {
        Some(match question {
            Question::A(_) => Ok((1..=100).map(|n| record(&format!("192.0.2.{n}"))).collect()),
            Question::Aaaa(_) | Question::Srv(_) | Question::Naptr(_) => Ok(vec![]),
        })
    };
    let mut plan = plan();
    plan.registrar = uri("sip:munich.de").into();
    plan.try_limit = Duration::from_secs(100_000);
    let mut world = World::new(|_, _, _| vec![]);
    world.names = Box::new(many);
    let course = world.run(plan.clone());
    assert_eq!((course.report.attempts.len(), course.report.elapsed.as_secs()), (16, 16 * 32));
    plan.try_limit = Duration::from_secs(128);
    let mut world = World::new(|_, _, _| vec![]);
    world.names = Box::new(many);
    let course = world.run(plan);
    assert_eq!(
        (course.report.attempts.len(), course.report.elapsed.as_secs()),
        (16, 128),
        "each has its part"
    );
}

/// DES-027 AUT-012 REQ-014
#[test]
fn a_server_that_mixes_everything_ends_it_with_its_fourth_challenge() {
    let mut plan = plan();
    plan.resume = Some(Box::new(Resume::default()));
    let answers = [
        "500 CSeq too low",
        "407 P|Proxy-Authenticate: Digest realm=\"a\", nonce=\"1\", qop=\"auth\"",
        "420 B|Unsupported: path",
        "423 T|Min-Expires: 4000",
        "401 U|WWW-Authenticate: Digest realm=\"b\", nonce=\"2\", qop=\"auth\"",
        "423 T|Min-Expires: 5000",
        "401 U|WWW-Authenticate: Digest realm=\"b\", nonce=\"3\", qop=\"auth\", stale=true",
        "401 U|WWW-Authenticate: Digest realm=\"b\", nonce=\"4\", qop=\"auth\", stale=true",
    ];
    let course = World::answering(&answers).run(plan);
    assert_eq!((course.report.requests, verdict(&course).as_str()), (8, "Credentials(Endless)"));
    let cseq: Vec<String> = course.sent[1..].iter().map(|s| s.header("CSeq").unwrap()).collect();
    assert_eq!(cseq, (1..=7).map(|n| format!("{n} REGISTER")).collect::<Vec<_>>());
}

/// DES-027 TXN-018
#[test]
fn giving_up_reports_the_last_answer_that_was_held_else_silence() {
    let course = World::new(|_, _, _| vec![(700, Reaction::GiveUp)]).run(plan());
    assert_eq!((verdict(&course).as_str(), course.attempts().as_str()), ("Timeout", "Timeout"));
    assert_eq!((course.report.elapsed.as_millis(), course.sent.len()), (700, 1), "no CANCEL");
    let mut plan = plan();
    plan.registrar = uri("sip:munich.de").into();
    plan.try_limit = Duration::from_secs(5);
    let mut world = World::new(|request, n, _| match n {
        0 => vec![(10, Reaction::Send(answer(request, "503 Busy|Retry-After: 7")))],
        _ => vec![],
    });
    world.names = Box::new(|question| {
        Some(match question {
            Question::A(_) => Ok(vec![record("192.0.2.1"), record("192.0.2.2")]),
            Question::Aaaa(_) | Question::Srv(_) | Question::Naptr(_) => Ok(vec![]),
        })
    });
    let course = world.run(plan);
    assert_eq!(verdict(&course), "Refused(RetryAfter { status: 503, seconds: 7 })");
    assert_eq!(course.report.elapsed.as_secs(), 5);
}

/// DES-026
#[test]
fn the_cap_of_a_423_is_a_day_or_what_was_asked_if_that_is_more() {
    let mut plan = plan();
    plan.purpose = Purpose::Bind { expires: Some(100_000) };
    plan.contacts = vec![contact("<sip:a~192.0.2.20>;expires=60"), contact("<sip:b~192.0.2.20>")];
    let ok = "200 OK|Contact: <sip:a~192.0.2.20>;expires=90000, <sip:b~192.0.2.20>;expires=100000";
    let course = World::new(|request, n, _| {
        let text = if n == 0 { "423 T|Min-Expires: 90000" } else { ok };
        vec![(10, Reaction::Send(answer(request, text)))]
    })
    .run(plan);
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
    assert_eq!(
        course.sent[1].headers("Contact").join(" "),
        "<sip:a@192.0.2.20>;expires=90000 <sip:b@192.0.2.20>"
    );
    assert_eq!(course.sent[1].header("Expires").unwrap(), "100000");
}

/// DES-027
#[test]
fn forty_requests_are_the_most_over_all_destinations() {
    let mut plan = plan();
    plan.registrar = uri("sip:munich.de").into();
    // The last request is the last one to its destination, or not.
    for (each, destinations, expected) in [(4, 10, "Refused(Status(503))"), (3, 14, "Credentials(Endless)")] {
        let mut world = World::new(|request, n, _| {
            let text = match n % each {
                0 => MD5.to_owned(),
                last if last == each - 1 => "503 Busy".to_owned(),
                _ => format!("{MD5}, stale=true").replace("n1", &format!("n{n}")),
            };
            vec![(1, Reaction::Send(answer(request, &text)))]
        });
        world.names = Box::new(|question| {
            Some(match question {
                Question::A(_) => Ok((1..=100).map(|n| record(&format!("192.0.2.{n}"))).collect()),
                Question::Aaaa(_) | Question::Srv(_) | Question::Naptr(_) => Ok(vec![]),
            })
        });
        let course = world.run(plan.clone());
        assert_eq!((course.report.requests, course.report.attempts.len()), (40, destinations));
        assert_eq!(verdict(&course), expected);
    }
}
