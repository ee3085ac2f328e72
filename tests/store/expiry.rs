//! How bindings end by themselves.

use sipreg::proto::binding::{Fate, Operation, StoreFailure};
use sipreg::store::Store;

use crate::script::{
    ALICE, BOB, Said, assert_ends_empty, at, change, expire, fetch, perform, register, said,
};

use Fate::{Bound, Expired, Refreshed};

/// DSR-001.
pub fn ten_refreshes_tell_the_same_lease(store: &mut dyn Store) {
    for round in 0..10 {
        let now = at(round * 30_001);
        let answer = change(store, register(ALICE, &format!("one {round}"), &["<sip:a> 60"]), now).unwrap();
        assert_eq!(answer.bindings, [format!("<sip:a> 60 one {round}")]);
        assert_eq!(fetch(store, ALICE, now).bindings, answer.bindings);
    }
    assert_ends_empty(store);
}

/// RGR-044.
pub fn a_binding_is_told_until_its_time_and_no_longer(store: &mut dyn Store) {
    change(store, register(ALICE, "one 1", &["<sip:a> 60", "<sip:b> 90"]), at(0)).unwrap();
    assert_eq!(fetch(store, ALICE, at(59_999)), said(&["<sip:a> 1 one 1", "<sip:b> 31 one 1"], &[]));
    assert_eq!(fetch(store, ALICE, at(60_000)), said(&["<sip:b> 30 one 1"], &[(Expired, "<sip:a>")]));
    assert_eq!(fetch(store, ALICE, at(60_000)), said(&["<sip:b> 30 one 1"], &[]));
    assert_eq!(fetch(store, ALICE, at(200_000)), said(&[], &[(Expired, "<sip:b>")]));
    assert!(store.is_empty());
    assert_ends_empty(store);
}

/// RGR-044.
pub fn the_end_of_a_binding_is_told_once_whoever_comes_upon_it_first(store: &mut dyn Store) {
    let end = [(Expired, "<sip:a>".to_owned())];
    for (round, first) in (0..).zip(["expire", "fetch", "change"]) {
        let at = |ms: u64| at(round * 100_000 + ms);
        change(store, register(ALICE, "one 1", &["<sip:a> 60"]), at(0)).unwrap();
        change(store, register(BOB, "one 1", &["<sip:a> 61"]), at(0)).unwrap();
        let effects = match first {
            "expire" => expire(store, at(60_000)).0,
            "fetch" => fetch(store, ALICE, at(60_000)).effects,
            _ => change(store, register(ALICE, "two 1", &["<sip:x> 0"]), at(60_000)).unwrap().effects,
        };
        assert_eq!(effects, end, "{first}");
        assert_eq!(store.len(), 1);
        assert_eq!(expire(store, at(60_000)), (vec![], Some(at(61_000))), "{first}");
        assert_eq!(fetch(store, ALICE, at(60_000)), Said::default(), "{first}");
        assert_eq!(change(store, register(BOB, "two 1", &["*"]), at(60_000)).unwrap().effects.len(), 1);
        assert_eq!(expire(store, at(60_000)), (vec![], None), "{first}");
    }
    assert_ends_empty(store);
}

/// RGR-007.
pub fn a_refused_request_does_not_take_the_end_of_another_binding_along(store: &mut dyn Store) {
    change(store, register(ALICE, "one 5", &["<sip:a> 60", "<sip:b> 90"]), at(0)).unwrap();
    let refused = change(store, register(ALICE, "one 5", &["<sip:b> 90"]), at(60_000));
    assert_eq!(refused, Err(StoreFailure::OutOfOrder));
    assert_eq!(expire(store, at(60_000)), (vec![(Expired, "<sip:a>".to_owned())], Some(at(90_000))));
    assert_eq!(fetch(store, ALICE, at(60_000)), said(&["<sip:b> 30 one 5"], &[]));
    assert_ends_empty(store);
}

/// RGR-029, RGR-044: a binding that is over is a new one when it comes again, even with the old Call-ID and CSeq.
pub fn what_has_run_out_can_be_bound_anew(store: &mut dyn Store) {
    change(store, register(ALICE, "one 5", &["<sip:a> 60"]), at(0)).unwrap();
    let answer = change(store, register(ALICE, "one 1", &["<sip:a> 60"]), at(60_000));
    assert_eq!(answer, Ok(said(&["<sip:a> 60 one 1"], &[(Expired, "<sip:a>"), (Bound, "<sip:a>")])));
    assert_eq!(store.len(), 1);
    assert_ends_empty(store);
}

/// RGR-044: of one address-of-record or of several, refreshed for longer or for less.
pub fn following_next_expiry_finds_each_end_in_its_millisecond(store: &mut dyn Store) {
    let requests = [
        (0, ALICE, "one 1", &["<sip:a1> 60", "<sip:a2> 10"][..]),
        (1, BOB, "one 1", &["<sip:b1> 3600"]),
        (2, ALICE, "one 2", &["<sip:a2> 100", "<sip:a3> 3600"]),
        (3, BOB, "one 2", &["<sip:b1> 20", "<sip:b2> 3600", "<sip:b3> 30"]),
        (4, BOB, "one 3", &["<sip:b2> 0", "<sip:b3> 3600"]),
        (5, "sip:carol@example.com", "one 1", &["<sip:c> 20"]),
        (6, "sip:carol@example.com", "one 2", &["<sip:c> 0"]),
        (7, ALICE, "one 3", &["<sip:a3> 1"]),
    ];
    let mut next = None;
    for (ms, uri, request, contacts) in requests {
        let change = Operation::Change(register(uri, request, contacts));
        next = perform(store, change, at(ms)).unwrap().next_expiry;
    }
    let mut ends = Vec::new();
    let mut visits = 0;
    while let Some(now) = next {
        let (effects, then) = expire(store, now);
        ends.extend(effects.into_iter().map(|(_, contact)| (now, contact)));
        assert!(then.is_none_or(|then| then > now));
        (next, visits) = (then, visits + 1);
    }
    let expected = [
        (1007, "<sip:a3>"),
        (20_003, "<sip:b1>"),
        (60_000, "<sip:a1>"),
        (100_002, "<sip:a2>"),
        (3_600_004, "<sip:b3>"),
    ];
    assert_eq!(ends, expected.map(|(ms, contact)| (at(ms), contact.to_owned())));
    assert!(visits <= 2 * expected.len(), "{visits} visits");
    assert_ends_empty(store);
}

/// One operation holds up nothing for long, however much there is to drop.
pub fn many_that_run_out_at_once_are_dropped_in_bounded_parts(store: &mut dyn Store) {
    let contacts: Vec<_> = (0..5).map(|number| format!("<sip:h{number}> 60")).collect();
    let contacts: Vec<_> = contacts.iter().map(String::as_str).collect();
    for user in 0..2500 {
        change(store, register(&format!("sip:{user}@h"), "one 1", &contacts), at(0)).unwrap();
    }
    let now = at(60_000);
    let mut ends = Vec::new();
    loop {
        let stored = perform(store, Operation::Expire, now).unwrap();
        assert!((1..=5000).contains(&stored.effects.len()), "{} at a time", stored.effects.len());
        ends.extend(stored.effects.iter().map(|effect| (effect.aor.clone(), effect.contact.clone())));
        assert_eq!(store.len() + ends.len(), 12_500);
        // what is not dropped yet is not told either
        assert_eq!(fetch(store, "sip:none@h", now), Said::default());
        match stored.next_expiry {
            Some(next) => assert_eq!(next, now),
            None => break,
        }
    }
    ends.sort();
    ends.dedup();
    assert_eq!(ends.len(), 12_500);
    assert_ends_empty(store);
}

/// A client that refreshes every second, or comes and goes, costs no more than one that stays.
pub fn refreshing_and_removing_leave_nothing_behind(store: &mut dyn Store) {
    for second in 0..3000 {
        let now = at(second * 1000);
        let request = format!("one {second}");
        let lease = if second % 2 == 0 { 3600 } else { 60 };
        let answer = change(store, register(ALICE, &request, &[&format!("<sip:a> {lease}")]), now).unwrap();
        assert_eq!(answer.effects, [(if second == 0 { Bound } else { Refreshed }, "<sip:a>".to_owned())]);
        change(store, register(BOB, &request, &[&format!("<sip:b> {lease}")]), now).unwrap();
        change(store, register(BOB, &format!("two {second}"), &["*"]), now).unwrap();
        assert_eq!(store.len(), 1);
    }
    change(store, register(ALICE, "two 1", &["*"]), at(3_000_000)).unwrap();
    assert_eq!(expire(store, at(3_000_000)), (vec![], None));
    assert_ends_empty(store);
}
