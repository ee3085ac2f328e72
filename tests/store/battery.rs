//! What is bound, changed and told.

use std::sync::Arc;

use sipreg::proto::binding::{Change, ContactChange, Fate, Operation, Source, StoreFailure, WantedContact};
use sipreg::proto::{FlowId, NodeId, Transport};
use sipreg::sip::Q;
use sipreg::store::Store;

use crate::script::{
    ALICE, BOB, Said, aor, assert_ends_empty, at, change, fetch, perform, register, said, wanted,
};

use Fate::{Bound, Refreshed, Removed};

/// Alice's two devices: `a` by `one 5`, `b` by `two 7`.
fn two_devices(store: &mut dyn Store) {
    change(store, register(ALICE, "one 5", &["<sip:u@a> 60"]), at(0)).unwrap();
    change(store, register(ALICE, "two 7", &["<sip:u@b> 90"]), at(0)).unwrap();
}

const TWO_DEVICES: [&str; 2] = ["<sip:u@a> 60 one 5", "<sip:u@b> 90 two 7"];

/// RGR-029, RGR-035: the answer has all of them.
pub fn what_was_bound_is_told(store: &mut dyn Store) {
    for (request, contact, expected) in [
        ("one 1", "<sip:u@a> 60", &["<sip:u@a> 60 one 1"][..]),
        ("two 1", "<sip:u@b> 90", &["<sip:u@a> 60 one 1", "<sip:u@b> 90 two 1"]),
        ("three 1", "<tel:+1> 1", &["<sip:u@a> 60 one 1", "<sip:u@b> 90 two 1", "<tel:+1> 1 three 1"]),
    ] {
        let bound = contact.split(' ').next().unwrap();
        let answer = change(store, register(ALICE, request, &[contact]), at(0));
        assert_eq!(answer, Ok(said(expected, &[(Bound, bound)])));
        assert_eq!(fetch(store, ALICE, at(0)), said(expected, &[]));
        assert_eq!(store.len(), expected.len());
    }
    assert_ends_empty(store);
}

/// RGR-020.
pub fn a_fetch_changes_nothing(store: &mut dyn Store) {
    assert_eq!(fetch(store, ALICE, at(0)), Said::default());
    assert!(store.is_empty());
    two_devices(store);
    for seconds in [0, 1, 59] {
        let now = at(seconds * 1000);
        let left = [format!("<sip:u@a> {} one 5", 60 - seconds), format!("<sip:u@b> {} two 7", 90 - seconds)];
        assert_eq!(fetch(store, ALICE, now), said(&[&left[0], &left[1]], &[]));
    }
    assert_ends_empty(store);
}

/// RGR-028.
pub fn contacts_of_one_request_are_told_in_its_order_and_later_ones_behind(store: &mut dyn Store) {
    let contacts = ["<sip:c> 60", "<sip:a> 60", "<sip:b> 60"];
    let effects = [(Bound, "<sip:c>"), (Bound, "<sip:a>"), (Bound, "<sip:b>")];
    let answer = change(store, register(ALICE, "one 1", &contacts), at(0));
    let expected = ["<sip:c> 60 one 1", "<sip:a> 60 one 1", "<sip:b> 60 one 1"];
    assert_eq!(answer, Ok(said(&expected, &effects)));

    let answer = change(store, register(ALICE, "one 2", &["<sip:d> 60", "<sip:B> 60", "<sip:c> 60"]), at(0));
    let expected = ["<sip:c> 60 one 2", "<sip:a> 60 one 1", "<sip:B> 60 one 2", "<sip:d> 60 one 2"];
    let effects = [(Refreshed, "<sip:c>"), (Refreshed, "<sip:B>"), (Bound, "<sip:d>")];
    assert_eq!(answer, Ok(said(&expected, &effects)));
    assert_eq!(fetch(store, ALICE, at(0)).bindings, expected);
    assert_ends_empty(store);
}

/// RGR-034; RGR-038..040: what is said of a contact stays as it came, at its place.
pub fn a_binding_is_kept_with_all_that_belongs_to_it(store: &mut dyn Store) {
    let contact = "<sip:+1;ext=9@h.example;unknownparam?Route=%3Csip:x%3E>;+sip.foo=\"<x>\";unknown";
    let source = Source {
        flow: FlowId(9),
        peer: "[2001:db8::9]:40000".parse().unwrap(),
        transport: Transport::Tcp,
        is_way: true,
        node: NodeId::LOCAL,
    };
    let path: Arc<str> = "<sip:p1;lr>,<sip:p2;lr>".into();
    let full =
        WantedContact { q: Q::new(707), path: path.clone(), source, ..wanted(&format!("{contact} 60")) };
    let mut request = register(ALICE, "a,b\"c> 4294967295", &[]);
    request.contacts = ContactChange::Contacts(vec![full, wanted("<sip:plain> 7")]);
    change(store, request, at(0)).unwrap();

    let told = perform(store, Operation::Fetch(aor(ALICE)), at(1)).unwrap().bindings;
    let [full, plain] = &told[..] else { panic!("not two: {told:?}") };
    assert_eq!((full.contact(), full.call_id(), full.path()), (contact, "a,b\"c>", &*path));
    assert_eq!((full.q, full.cseq, full.source), (Q::new(707), u32::MAX, source));
    assert_eq!((full.expires, plain.expires), (at(60_000), at(7000)));
    assert_eq!((plain.q, plain.path(), plain.source), (None, "", wanted("<sip:plain> 7").source));
    assert_ends_empty(store);
}

/// RGR-030: by another Call-ID. RGR-031: by the same with a higher CSeq.
pub fn a_known_contact_is_updated(store: &mut dyn Store) {
    two_devices(store);
    for request in ["one 6", "three 1", "one 1", "one 2"] {
        let answer = change(store, register(ALICE, request, &["<sip:u@A>;new 30"]), at(0));
        let first = format!("<sip:u@A>;new 30 {request}");
        assert_eq!(answer, Ok(said(&[&first, TWO_DEVICES[1]], &[(Refreshed, "<sip:u@A>;new")])));
        assert_eq!(fetch(store, ALICE, at(0)), said(&[&first, TWO_DEVICES[1]], &[]));
        assert_eq!(store.len(), 2);
    }
    assert_ends_empty(store);
}

/// RGR-007, RGR-032.
pub fn a_request_that_is_out_of_order_changes_nothing(store: &mut dyn Store) {
    two_devices(store);
    for contacts in [
        &["<sip:u@a> 30"][..],
        &["<sip:u@a> 0"],
        &["<sip:new> 30", "<sip:u@b> 0", "<sip:u@a> 30"],
        &["<sip:u@b> 30", "<sip:u@a> 0", "<sip:new> 30"],
        &["*"],
    ] {
        for request in ["one 5", "one 4", "one 0"] {
            let answer = change(store, register(ALICE, request, contacts), at(0));
            assert_eq!(answer, Err(StoreFailure::OutOfOrder), "{request} {contacts:?}");
            assert_eq!(fetch(store, ALICE, at(0)), said(&TWO_DEVICES, &[]));
            assert_eq!(store.len(), 2);
        }
    }
    assert_ends_empty(store);
}

/// RGR-045: with the end of the one that makes room.
pub fn the_oldest_makes_room_where_that_is_wished(store: &mut dyn Store) {
    two_devices(store);
    change(store, register(ALICE, "one 6", &["<sip:u@a> 60"]), at(1000)).unwrap();
    let contacts = ContactChange::Displacing(vec![wanted("<sip:new> 60")]);
    let request = Change { limit: 2, contacts, ..register(ALICE, "three 1", &[]) };
    let expected = ["<sip:u@a> 59 one 6", "<sip:new> 60 three 1"];
    let effects = [(Removed, "<sip:u@b>"), (Bound, "<sip:new>")];
    assert_eq!(change(store, request, at(2000)), Ok(said(&expected, &effects)));
    assert_eq!(fetch(store, ALICE, at(2000)), said(&expected, &[]));
    assert_eq!(store.len(), 2);
    assert_ends_empty(store);
}

/// RGR-007, RGR-045: counted when all is removed that the request removes; refreshing is always possible.
pub fn a_request_for_too_many_changes_nothing(store: &mut dyn Store) {
    let limited = |limit, contacts: &[&str]| Change { limit, ..register(ALICE, "three 1", contacts) };
    assert_eq!(change(store, limited(0, &["<sip:new> 1"]), at(0)), Err(StoreFailure::TooMany));
    assert!(store.is_empty());
    two_devices(store);
    for (limit, contacts) in [
        (2, &["<sip:new> 1"][..]),
        (2, &["<sip:u@a> 0", "<sip:x> 1", "<sip:y> 1"]),
        (1, &["<sip:u@a> 0", "<sip:x> 1"]),
    ] {
        assert_eq!(change(store, limited(limit, contacts), at(0)), Err(StoreFailure::TooMany));
        assert_eq!(fetch(store, ALICE, at(0)), said(&TWO_DEVICES, &[]));
    }
    let answer = change(store, limited(1, &["<sip:u@a> 30"]), at(0)).unwrap();
    assert_eq!(answer.bindings, ["<sip:u@a> 30 three 1", "<sip:u@b> 90 two 7"]);
    let answer = change(store, limited(2, &["<sip:new> 1", "<sip:u@b> 0"]), at(0));
    assert_eq!(
        answer,
        Ok(said(
            &["<sip:u@a> 30 three 1", "<sip:new> 1 three 1"],
            &[(Removed, "<sip:u@b>"), (Bound, "<sip:new>")]
        ))
    );
    assert_ends_empty(store);
}

/// RGR-035: the others.
pub fn removing_tells_what_is_left(store: &mut dyn Store) {
    two_devices(store);
    let answer = change(store, register(ALICE, "one 6", &["<sip:u@A>;other 0"]), at(0));
    assert_eq!(answer, Ok(said(&TWO_DEVICES[1..], &[(Removed, "<sip:u@a>")])));
    let answer = change(store, register(ALICE, "one 7", &["<sip:u@b> 0"]), at(0));
    assert_eq!(answer, Ok(said(&[], &[(Removed, "<sip:u@b>")])));
    assert!(store.is_empty());
    assert_ends_empty(store);
}

/// RGR-043.
pub fn removing_what_is_not_bound_succeeds(store: &mut dyn Store) {
    assert_eq!(change(store, register(ALICE, "one 1", &["<sip:u@c> 0"]), at(0)), Ok(Said::default()));
    assert!(store.is_empty());
    two_devices(store);
    let answer = change(store, register(ALICE, "one 1", &["<sip:u@c> 0"]), at(0));
    assert_eq!(answer, Ok(said(&TWO_DEVICES, &[])));
    assert_ends_empty(store);
}

/// RGR-022.
pub fn a_star_removes_every_binding_or_none(store: &mut dyn Store) {
    assert_eq!(change(store, register(ALICE, "one 1", &["*"]), at(0)), Ok(Said::default()));
    for request in ["one 6", "two 8", "three 1"] {
        two_devices(store);
        change(store, register(BOB, "bob 1", &["<sip:u@a> 60"]), at(0)).unwrap();
        let answer = change(store, register(ALICE, request, &["*"]), at(0));
        assert_eq!(answer, Ok(said(&[], &[(Removed, "<sip:u@a>"), (Removed, "<sip:u@b>")])));
        assert_eq!(fetch(store, ALICE, at(0)), Said::default());
        assert_eq!(
            change(store, register(BOB, "bob 2", &["*"]), at(0)),
            Ok(said(&[], &[(Removed, "<sip:u@a>")]))
        );
        assert!(store.is_empty());
    }
    assert_ends_empty(store);
}

/// RGR-018: a NUL in one makes a difference like any other octet.
pub fn addresses_of_record_are_apart(store: &mut dyn Store) {
    let all =
        ["sip:a@b", "sip:A@b", "sip:a@c", "sip:b", "sip:a%00@b", "sip:a%00x@b", "sip:a%40b@b", "sip:%FF@b"];
    for (number, uri) in all.iter().enumerate() {
        let contact = format!("<sip:h{number}> 60");
        change(store, register(uri, "one 1", &[&contact]), at(0)).unwrap();
    }
    assert_eq!(store.len(), all.len());
    for (number, uri) in all.iter().enumerate() {
        assert_eq!(fetch(store, uri, at(0)), said(&[&format!("<sip:h{number}> 60 one 1")], &[]));
    }
    assert_ends_empty(store);
}

/// RGR-017, RGR-019.
pub fn both_schemes_and_every_spelling_are_one_address_of_record(store: &mut dyn Store) {
    two_devices(store);
    for uri in
        ["sips:alice@example.com", "sip:%61lice@Example.COM:5070;user=phone", "sip:alice:pw@example.com?a=b"]
    {
        assert_eq!(fetch(store, uri, at(0)), said(&TWO_DEVICES, &[]), "{uri}");
    }
    assert_ends_empty(store);
}

/// However many there are, RGR-035.
pub fn two_hundred_bindings_are_told(store: &mut dyn Store) {
    let mut expected = Vec::new();
    for number in 0..200 {
        expected.push(format!("<sip:u@h{number}> 60 one {number}"));
        let contact = format!("<sip:u@h{number}> 60");
        let request = Change { limit: 200, ..register(ALICE, &format!("one {number}"), &[&contact]) };
        assert_eq!(change(store, request, at(0)).unwrap().bindings, expected);
    }
    assert_eq!(fetch(store, ALICE, at(0)).bindings, expected);
    assert_eq!(store.len(), 200);
    assert_ends_empty(store);
}

/// RGR-009: who reads has all of an update or nothing of it.
pub fn a_list_once_told_does_not_change(store: &mut dyn Store) {
    two_devices(store);
    let before = perform(store, Operation::Fetch(aor(ALICE)), at(0)).unwrap();
    let two = Said::of(&before, at(0));
    change(store, register(ALICE, "three 1", &["<sip:u@a> 0", "<sip:u@b> 30", "<sip:u@c> 30"]), at(0))
        .unwrap();
    let between = perform(store, Operation::Fetch(aor(ALICE)), at(0)).unwrap();
    change(store, register(ALICE, "four 1", &["*"]), at(0)).unwrap();
    assert_eq!(Said::of(&before, at(0)), two);
    assert_eq!(Said::of(&between, at(0)), said(&["<sip:u@b> 30 three 1", "<sip:u@c> 30 three 1"], &[]));
    assert_ends_empty(store);
}
