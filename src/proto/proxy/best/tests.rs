//! Which of several final responses the caller hears.

use super::*;
use crate::sip::Headers;

fn response(status: u16, rows: &[(HeaderName, &str)]) -> Final {
    let mut response = Response::new(status);
    response.headers = rows.iter().flat_map(|(name, value)| row(name, value)).collect();
    Final::Received(response)
}

fn row(name: &HeaderName, value: &str) -> Option<Header> {
    Header::new(name.clone(), value.to_owned()).ok()
}

fn best_of(all: impl IntoIterator<Item = Final>) -> Best {
    let mut best = Best::default();
    all.into_iter().for_each(|one| best.add(one));
    best
}

/// FRK-008, FRK-009, FRK-011
#[test]
fn a_6xx_is_best_and_then_the_lowest_class_and_in_it_what_helps_the_caller() {
    for (statuses, chosen) in [
        (&[486, 603][..], 603),
        (&[603, 486], 603),
        (&[302, 600, 486], 600),
        (&[404, 500], 404),
        (&[500, 404], 404),
        (&[404, 302], 302),
        (&[404, 407], 407),
        (&[480, 401], 401),
        (&[486, 415], 415),
        (&[486, 420, 404], 420),
        (&[404, 484], 484),
        // Of equals the first.
        (&[486, 404], 486),
        (&[404, 486], 404),
        (&[401, 407], 401),
        (&[603, 600], 603),
        // A branch that was silent or given up says the least, within its class.
        (&[408, 486], 486),
        (&[487, 480], 480),
        (&[408, 500], 408),
        (&[487, 408], 487),
        // A 503 is no news for the caller.
        (&[503], 500),
        (&[503, 503], 500),
        (&[503, 504], 504),
        (&[500, 503], 500),
        (&[503, 404], 404),
        (&[503, 603], 603),
        // What a request other than INVITE has got is not lost.
        (&[404, 200, 603], 200),
        (&[699], 699),
    ] {
        let best = best_of(statuses.iter().map(|status| response(*status, &[])));
        let is_own = *statuses == [503] || *statuses == [503, 503];
        match best.choose().unwrap() {
            Final::Received(response) => assert_eq!((response.status, is_own), (chosen, false)),
            Final::Made(reply) => assert_eq!((reply.status, is_own), (chosen, true), "{statuses:?}"),
        }
    }
}

/// FRK-010, FRK-011
#[test]
fn what_stands_for_a_branch_without_a_response_counts_as_if_it_had_come() {
    assert_eq!(Best::default().choose(), None);

    let made = |status| Final::Made(Reply::new(status));
    assert_eq!(best_of([made(408)]).choose(), Some(made(408)));
    assert_eq!(best_of([made(503)]).choose(), Some(made(500)));
    assert_eq!(best_of([made(408), made(503)]).choose(), Some(made(408)));
    assert_eq!(best_of([made(503), made(480)]).choose(), Some(made(480)));
    let busy = response(486, &[]);
    assert_eq!(best_of([made(408), busy.clone()]).choose(), Some(busy));
}

/// FRK-012, FRK-013
#[test]
fn the_challenges_of_all_branches_are_collected_in_order_and_unchanged() {
    use HeaderName::{ProxyAuthenticate, Subject, To, WwwAuthenticate};
    let (one, two) = (r#"Digest realm="a",  nonce="1", algorithm=SHA-256"#, r#"Digest realm="a", nonce="1""#);
    let three = r#"Digest realm="b" , nonce="2", algorithm=SHA-256"#;
    let four = r#"Digest realm="b", nonce="2", algorithm=MD5"#;
    let five = r#"Basic realm="c""#;
    let best = best_of([
        response(404, &[(WwwAuthenticate, "Digest realm=\"none\", nonce=\"0\"")]),
        response(401, &[(To, "<sip:a@b>;tag=1"), (WwwAuthenticate, one), (WwwAuthenticate, two)]),
        response(407, &[(ProxyAuthenticate, three), (Subject, "x"), (ProxyAuthenticate, four)]),
        Final::Made(Reply::new(408)),
        response(486, &[(WwwAuthenticate, "Digest realm=\"none\", nonce=\"0\"")]),
        response(401, &[(WwwAuthenticate, five)]),
    ]);
    let Some(Final::Received(chosen)) = best.choose() else { panic!("none came") };
    let wanted: Headers = [
        (To, "<sip:a@b>;tag=1"),
        (WwwAuthenticate, one),
        (WwwAuthenticate, two),
        (ProxyAuthenticate, three),
        (ProxyAuthenticate, four),
        (WwwAuthenticate, five),
    ]
    .iter()
    .flat_map(|(name, value)| row(name, value))
    .collect();
    assert_eq!((chosen.status, chosen.headers), (401, wanted));
}

/// FRK-012
#[test]
fn a_challenge_without_a_part_in_the_best_response_is_not_told() {
    let challenge = (HeaderName::WwwAuthenticate, "Digest realm=\"a\", nonce=\"1\"");
    let gone = response(603, &[]);
    let all = [response(401, std::slice::from_ref(&challenge)), gone.clone(), response(401, &[challenge])];
    assert_eq!(best_of(all).choose(), Some(gone));
}

/// FRK-016
#[test]
fn the_best_response_is_as_it_came() {
    let rows = [
        (HeaderName::To, "\"X\" <sip:a@b>;tag=their-own;x"),
        (HeaderName::Contact, "<sip:c@d>;q=0.5, <sip:e@f>"),
        (HeaderName::parse(b"X-Any").unwrap(), "1,, 2"),
    ];
    let moved = response(302, &rows);
    assert_eq!(best_of([response(404, &[]), moved.clone()]).choose(), Some(moved));
}

#[test]
fn what_is_kept_of_many_challenges_is_bounded() {
    let long = format!("Digest realm=\"{}\", nonce=\"1\"", "r".repeat(5000));
    let challenge = (HeaderName::ProxyAuthenticate, &*long);
    let best = best_of((0..64).map(|_| response(407, std::slice::from_ref(&challenge))));
    assert!(best.octets <= CHALLENGES);
    let Some(Final::Received(chosen)) = best.choose() else { panic!("none came") };
    assert_eq!(chosen.headers.len(), 1 + 3);
}
