//! Answers that are duplicate, late, foreign or forged.

use sipreg::proto::Dropped;

use crate::world::*;

/// Sends `wrong` in place of a part of a right 200, then the right one a second later.
fn with(part: &str, wrong: &str) -> Course {
    World::new(|request, _, _| {
        let right = String::from_utf8(answer(request, OK).to_vec()).unwrap();
        assert!(right.contains(part), "{part} is not in {right}");
        vec![
            (10, Reaction::Send(right.replacen(part, wrong, 1).into())),
            (1010, Reaction::Send(right.into())),
        ]
    })
    .run(plan())
}

/// TXN-011 TXN-013 TRN-016 RSP-005 RSP-028 TRN-020 COD-025 DES-028 TXN-012
#[test]
fn what_does_not_fit_the_request_is_dropped_and_the_right_answer_still_counts() {
    let via = "Via: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK0000000000000004;rport\r\n";
    let more = format!("{via}Via: SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx\r\n");
    let list = format!("{}, SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx\r\n", via.trim_end());
    for (part, wrong, reason) in [
        ("z9hG4bK0000000000000004", "z9hG4bK0000000000000005", Dropped::Stray),
        ("z9hG4bK0000000000000004", "Z9HG4BK0000000000000004", Dropped::Stray),
        ("1 REGISTER", "1 OPTIONS", Dropped::Stray),
        ("1 REGISTER", "2 REGISTER", Dropped::Forged),
        ("Call-ID: 0", "Call-ID: 1", Dropped::Forged),
        (";tag=0", ";tag=1", Dropped::Forged),
        ("192.0.2.99:5070;branch", "192.0.2.99:5071;branch", Dropped::Forged),
        ("192.0.2.99:5070;branch", "192.0.2.98:5070;branch", Dropped::Forged),
        (via, &more, Dropped::Misrouted),
        (via, &list, Dropped::Misrouted),
        ("Content-Length: 0", "Content-Length: 50", Dropped::Malformed),
        ("SIP/2.0 200", "SIP/2.0 099", Dropped::Malformed),
        ("SIP/2.0 200", "SIP/2.0 700", Dropped::Malformed),
        ("SIP/2.0 200 OK", "OPTIONS sip:a SIP/2.0", Dropped::Request),
        ("1 REGISTER", "one REGISTER", Dropped::Malformed),
    ] {
        let course = with(part, wrong);
        assert_eq!(course.dropped, [reason], "{wrong}");
        assert!(course.report.result.is_ok(), "{wrong}");
        assert_eq!(course.report.round_trip.unwrap().as_millis(), 1010, "{wrong}");
    }
}

/// TXN-004 TXN-016 RSP-004
#[test]
fn provisional_answers_of_any_kind_are_waited_out() {
    for early in ["100 Trying", "180 Ringing", "199 Odd"] {
        let course = World::new(|request, _, _| {
            vec![(100, Reaction::Send(answer(request, early))), (9000, Reaction::Send(answer(request, OK)))]
        })
        .run(plan());
        assert!(course.report.result.is_ok());
        assert_eq!(course.copies, [500, 4500, 8500]);
    }
}
