//! The battery that every location service passes: the same list of behaviours for each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod battery;
mod crowd;
mod disk;
mod embedded;
mod expiry;
mod model;
#[cfg(feature = "redis")]
mod nodes;
#[cfg(feature = "redis")]
mod redis;
mod script;

use crowd::Late;
use sipreg::store::{Memory, Store};

macro_rules! tests {
    ($make:expr; ($($module:ident: $($behaviour:ident)+;)+)) => {
        $($(
            #[test]
            fn $behaviour() {
                crate::$module::$behaviour(&mut $make);
            }
        )+)+
    };
}

/// A module of tests for each store, a test in it for each behaviour.
macro_rules! stores {
    ($behaviours:tt for $($(#[$when:meta])? $name:ident: $make:expr;)+) => {
        $($(#[$when])? mod $name {
            use super::*;
            tests!($make; $behaviours);
        })+
    };
}

stores! {
    (
        battery:
            what_was_bound_is_told
            a_fetch_changes_nothing
            contacts_of_one_request_are_told_in_its_order_and_later_ones_behind
            a_binding_is_kept_with_all_that_belongs_to_it
            a_known_contact_is_updated
            a_request_that_is_out_of_order_changes_nothing
            a_request_for_too_many_changes_nothing
            the_oldest_makes_room_where_that_is_wished
            removing_tells_what_is_left
            removing_what_is_not_bound_succeeds
            a_star_removes_every_binding_or_none
            addresses_of_record_are_apart
            both_schemes_and_every_spelling_are_one_address_of_record
            two_hundred_bindings_are_told
            a_list_once_told_does_not_change;
        expiry:
            ten_refreshes_tell_the_same_lease
            a_binding_is_told_until_its_time_and_no_longer
            the_end_of_a_binding_is_told_once_whoever_comes_upon_it_first
            a_refused_request_does_not_take_the_end_of_another_binding_along
            what_has_run_out_can_be_bound_anew
            following_next_expiry_finds_each_end_in_its_millisecond
            many_that_run_out_at_once_are_dropped_in_bounded_parts
            refreshing_and_removing_leave_nothing_behind;
        crowd:
            changes_of_many_addresses_at_once_do_not_touch_each_other;
        model:
            ten_thousand_random_operations_are_answered_as_the_naive_model_does;
    )
    for in_memory: Memory::default();
        late: Late::default();
        in_a_file: embedded::fresh();
        #[cfg(feature = "redis")]
        shared: redis::fresh();
}

/// DSR-002: what is beyond the octets that may be taken is refused; refreshes, removals and lists still go, and what has
/// gone makes room.
#[test]
fn a_full_memory_takes_no_more_and_keeps_what_it_has() {
    use script::{at, change, fetch, register, said};
    use sipreg::proto::binding::{Fate, StoreFailure};
    let store = &mut Memory::bounded(10_000);
    let user = |n: usize| format!("sip:u{n}@h");
    let bind = |store: &mut Memory, n: usize, request: &str, contacts: &[&str], ms| {
        change(store, register(&user(n), request, contacts), at(ms))
    };
    let taken = (0..1000).find(|n| bind(store, *n, "a 1", &["<sip:d@x> 60"], 0).is_err()).unwrap();
    assert!((10..40).contains(&taken), "{taken}");
    // Whoever is bound is refreshed, also with somewhat other words, and seen; nothing is added anywhere.
    for n in 0..taken {
        assert!(bind(store, n, "another 2", &["<sip:d@x> 60"], 1).is_ok(), "{n}");
    }
    // What is left is no more than a single one could take.
    let added = (1..taken).filter(|n| bind(store, *n, "b 1", &["<sip:e@x> 60"], 1).is_ok()).count();
    assert!(added <= 1, "{added}");
    assert_eq!(bind(store, 0, "b 1", &["<sip:e@x> 60"], 1), Err(StoreFailure::Full));
    let giant = "x".repeat(2000);
    assert_eq!(bind(store, 0, &format!("{giant} 3"), &["<sip:d@x> 60"], 2), Err(StoreFailure::Full));
    assert_eq!(fetch(store, &user(0), at(2)).bindings.len(), 1);
    let removed = said(&[], &[(Fate::Removed, "<sip:d@x>")]);
    assert_eq!(bind(store, 0, "c 1", &["<sip:d@x> 0"], 3), Ok(removed));
    assert!(bind(store, 0, "c 2", &["<sip:d@x> 60"], 4).is_ok());
    // All has run out.
    assert!(fetch(store, &user(1), at(70_000)).bindings.is_empty());
    while !store.is_empty() {
        script::expire(store, at(70_000));
    }
    let again = (0..1000).find(|n| bind(store, *n, "a 1", &["<sip:d@x> 60"], 70_000).is_err()).unwrap();
    assert_eq!(again, taken);
}
