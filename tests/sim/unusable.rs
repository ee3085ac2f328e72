//! Answers that came and cannot be used are no silence: what the report says of them.

use std::net::SocketAddr;
use std::time::Duration;

use sipreg::proto::client::plan::{Plan, Timing};
use sipreg::proto::{AnswerFault, Dropped};
use sipreg::sip::{ParseError, Problem};

use crate::keep_world;
use crate::world::*;

type Spoil = fn(&str) -> String;

fn spoiled(plan: Plan, spoil: Spoil) -> Course {
    World::new(move |request, _, _| {
        let right = String::from_utf8(answer(request, OK).to_vec()).unwrap();
        let wrong = spoil(&right);
        assert_ne!(right, wrong);
        vec![(10, Reaction::Send(wrong.into()))]
    })
    .run(plan)
}

fn quick(mut plan: Plan) -> Plan {
    plan.timing = Timing::with_t1(Duration::from_millis(40));
    plan
}

fn replaced(text: &str, part: &str, by: &str) -> String {
    assert!(text.contains(part), "{part} is not in {text}");
    text.replacen(part, by, 1)
}

const NOT_OURS: [(AnswerFault, Spoil); 10] = [
    (AnswerFault::Branch, |text| replaced(text, "branch=z9hG4bK", "branch=z9hG4bKx")),
    (AnswerFault::Branch, |text| replaced(text, ";branch=", ";x=")),
    (AnswerFault::SentBy, |text| replaced(text, ":5070;branch", ":5071;branch")),
    (AnswerFault::SentBy, |text| replaced(text, "192.0.2.99:5070;branch", "192.0.2.98;branch")),
    (AnswerFault::CallId, |text| replaced(text, "Call-ID: 0", "Call-ID: 1")),
    (AnswerFault::FromTag, |text| replaced(text, ";tag=0", ";tag=1")),
    (AnswerFault::Number, |text| replaced(text, "1 REGISTER", "2 REGISTER")),
    (AnswerFault::Method, |text| replaced(text, "1 REGISTER", "1 OPTIONS")),
    (AnswerFault::Via(Problem::Missing), |text| replaced(text, "Via:", "X:")),
    (AnswerFault::Vias, |text| replaced(text, "From:", "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom:")),
];

/// TXN-011 TXN-012 TXN-013 RSP-005 RSP-028 TRN-001
#[test]
fn what_does_not_fit_is_counted_and_told_at_the_end() {
    for over in [plan, || tcp(plan())] {
        for (fault, spoil) in NOT_OURS {
            let course = spoiled(quick(over()), spoil);
            assert_eq!(verdict(&course), "Timeout", "{fault}");
            let peer: SocketAddr = "192.0.2.1:5060".parse().unwrap();
            assert_eq!(course.report.unusable.most(), Some((peer, 1, fault)));
            assert_eq!(course.dropped[0], Dropped::from(fault));
        }
    }
}

/// TRN-019 TRN-020 TRN-021 COD-025: faults of the message itself.
#[test]
fn what_cannot_be_read_is_counted_too() {
    let cases: [(ParseError, Spoil); 4] = [
        (ParseError::BodyLength, |text| replaced(text, "Content-Length: 0", "Content-Length: 9")),
        (ParseError::ContentLength, |text| replaced(text, "Content-Length: 0", "Content-Length: -1")),
        (ParseError::Status, |text| replaced(text, "SIP/2.0 200", "SIP/2.0 099")),
        (ParseError::HeaderName, |text| replaced(text, "Via: ", "Via ")),
    ];
    for (error, spoil) in cases {
        let course = spoiled(quick(plan()), spoil);
        assert_eq!(verdict(&course), "Timeout", "{error}");
        assert_eq!(course.report.unusable.most().unwrap().2, AnswerFault::Unreadable(error));
    }
    // On a stream the rest of it is waited for.
    let course = spoiled(quick(tcp(plan())), |text| replaced(text, "\r\n\r\n", "\r\n"));
    assert_eq!(verdict(&course), "Timeout");
    let (_, count, fault) = course.report.unusable.most().unwrap();
    assert_eq!((count, fault), (1, AnswerFault::Incomplete));
}

/// Requests, keep-alives and what came before an answer that could be used are no such answers.
#[test]
fn nothing_else_is_counted() {
    for text in [
        "\r\n\r\n",
        "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\r\n",
        "OPTIONS sip:a SIP/2.0\r\nl: x\r\n\r\n",
    ] {
        let course = World::new(move |_, _, _| vec![(10, Reaction::Send(text.into()))]).run(quick(plan()));
        assert_eq!((verdict(&course).as_str(), course.report.unusable.most()), ("Timeout", None), "{text}");
    }
    let course = World::new(|request, n, _| {
        let first = String::from_utf8(answer(request, MD5).to_vec()).unwrap();
        match n {
            0 => vec![
                (10, Reaction::Send(replaced(&first, "Call-ID: ", "Call-ID: x").into())),
                (20, Reaction::Send(first.into())),
            ],
            _ => vec![],
        }
    })
    .run(quick(plan()));
    assert_eq!((verdict(&course).as_str(), course.report.unusable.most()), ("Timeout", None));
}

/// Of accounts that share a flow only the one hears of it that it must have been for.
#[test]
fn an_answer_that_cannot_be_used_concerns_one_account() {
    let mut world = keep_world::World::new(|asked| match asked.text.contains("sip:user0") {
        true => keep_world::Reply::Say("200 OK|Via: SIP/2.0/UDP x;branch=z9hG4bKz".to_owned()),
        false => keep_world::Reply::Silent,
    });
    for number in 0..2 {
        world.keep(number + 1, Plan { aor: uri(&format!("sip:user{number}@munich.de")), ..plan() }, 0);
    }
    world.run(33_000);
    assert_eq!(world.opened, 1);
    let failed: Vec<&String> =
        world.told.iter().map(|(_, told)| told).filter(|told| told.starts_with("failed")).collect();
    assert_eq!(failed.len(), 2);
    // The request and its ten copies.
    assert!(failed[0].ends_with(", 11 unusable: the branch in Via is not ours"), "{failed:?}");
    assert!(!failed[1].contains("unusable"), "{failed:?}");
}

/// The one who sent most is named, with what was wrong with most of that; senders are bounded.
#[test]
fn the_commonest_counts() {
    let course = World::new(|request, _, _| {
        let right = String::from_utf8(answer(request, OK).to_vec()).unwrap();
        let strange = Reaction::Send(replaced(&right, "Call-ID: ", "Call-ID: x").into());
        let junk = |n: u16| Reaction::SendFrom(SocketAddr::from(([192, 0, 2, 77], n)), "junk\r\n\r\n".into());
        let mut all: Vec<(u64, Reaction)> = (1..=15).map(|n| (u64::from(n), junk(n))).collect();
        let junk_of_its_own = || Reaction::Send("junk\r\n\r\n".into());
        all.extend([(20, junk_of_its_own()), (20, strange), (21, junk_of_its_own())]);
        all.extend((22..90).map(|n| (n, junk(u16::try_from(n).unwrap()))));
        all
    })
    .run(quick(plan()));
    let peer: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let expected = (peer, 3, AnswerFault::Unreadable(ParseError::StartLine));
    assert_eq!(course.report.unusable.most(), Some(expected));
}
