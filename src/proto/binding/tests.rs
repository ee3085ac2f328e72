//! The rule by the sentences of RFC 3261 §10.3, and the key of an address-of-record.

use std::sync::Arc;
use std::time::Duration;

use super::{Aor, Binding, Change, ContactChange, Effect, Fate, Source, StoreFailure, WantedContact, apply};
use crate::proto::{FlowId, NodeId, Time, Transport};
use crate::sip::{AnyUri, Q, Uri};

const NOW: Time = Time::from_millis(1_700_000_000_000);

fn aor(uri: &str) -> Aor {
    Aor::of(&Uri::parse(uri).unwrap())
}

/// `<uri>;params lifetime`.
fn wanted(text: &str) -> WantedContact {
    let (contact, lifetime) = text.rsplit_once(' ').unwrap();
    let uri = contact.split(['<', '>']).nth(1).unwrap();
    WantedContact {
        uri: AnyUri::parse(uri).unwrap(),
        contact: contact.into(),
        q: None,
        lifetime: lifetime.parse().unwrap(),
        path: Arc::default(),
        source: Source {
            flow: FlowId(1),
            peer: "192.0.2.1:5060".parse().unwrap(),
            transport: Transport::Udp,
            is_way: false,
            node: NodeId::LOCAL,
        },
    }
}

/// `*`, or contacts as [`wanted`] has them.
fn change(call_id: &str, cseq: u32, contacts: &[&str]) -> Change {
    let contacts = match contacts {
        ["*"] => ContactChange::Clear,
        contacts => ContactChange::Contacts(contacts.iter().map(|text| wanted(text)).collect()),
    };
    Change { aor: aor("sip:alice@example.com"), call_id: call_id.into(), cseq, contacts, limit: 10 }
}

/// The bindings as `<uri>;params left call-id cseq`.
fn told(bindings: &[Binding], now: Time) -> Vec<String> {
    bindings
        .iter()
        .map(|held| format!("{} {} {} {}", held.contact(), held.left(now), held.call_id(), held.cseq))
        .collect()
}

fn fates(effects: &[Effect]) -> Vec<(Fate, &str)> {
    effects.iter().map(|effect| (effect.fate, &*effect.contact)).collect()
}

/// What is held after these changes, each of which must succeed.
fn held(changes: &[Change]) -> Arc<[Binding]> {
    changes.iter().fold(Arc::default(), |held, change| apply(&held, change, NOW).unwrap().bindings)
}

/// Two devices: `a` with Call-ID one, CSeq 5, `b` with Call-ID two, CSeq 7.
fn two_devices() -> Arc<[Binding]> {
    held(&[change("one", 5, &["<sip:u@a> 60"]), change("two", 7, &["<sip:u@b> 90"])])
}

type Expected<'a> = Result<(&'a [&'a str], &'a [(Fate, &'a str)]), StoreFailure>;

#[track_caller]
fn check(held: &[Binding], change: &Change, expected: Expected<'_>) {
    let applied = apply(held, change, NOW);
    let found = applied.as_ref().map(|applied| (told(&applied.bindings, NOW), fates(&applied.effects)));
    let expected = expected.map(|(bindings, effects)| {
        (bindings.iter().map(|&text| text.to_owned()).collect::<Vec<_>>(), effects.to_vec())
    });
    assert_eq!(found.map_err(|failure| *failure), expected, "{:?}", change.contacts);
}

/// RGR-017: parameters, password and port do not count, and escapes are undone, once. RGR-019: nor does
/// `sips`.
#[test]
fn an_address_of_record_is_one_key_however_it_is_written() {
    for (uri, key) in [
        ("sip:alice@example.com", "sip:alice@example.com"),
        ("sip:%61lice@Example.COM;user=phone", "sip:alice@example.com"),
        ("sips:alice:secret@example.com:5061?subject=x", "sip:alice@example.com"),
        ("sip:Alice@example.com", "sip:Alice@example.com"),
        ("sip:%2561lice@example.com", "sip:%2561lice@example.com"),
        ("sip:a%40b@example.com", "sip:a%40b@example.com"),
        ("sip:%FF%3B;x@example.com", "sip:%FF;;x@example.com"),
        ("sip:alice@[2001:DB8:0::1]:5060", "sip:alice@[2001:db8::1]"),
        ("sip:alice@192.0.2.1", "sip:alice@192.0.2.1"),
        ("sip:Example.com", "sip:example.com"),
    ] {
        assert_eq!(aor(uri).to_string(), key, "{uri}");
        assert_eq!(aor(uri), aor(key), "{uri}");
    }
    assert_eq!(aor("sip:a%40b@Example.com").parts(), (Some(b"a@b".as_slice()), "example.com"));
    assert_eq!(aor("sip:example.com").parts(), (None, "example.com"));
    let all = ["sip:a@b", "sip:A@b", "sip:a%40b@b", "sip:a@b.c", "sip:b", "sip:a%00@b"].map(aor);
    assert_eq!(std::collections::BTreeSet::from(all).len(), 6);
}

/// RGR-018.
#[test]
fn a_nul_does_not_cut_the_key() {
    assert_ne!(aor("sip:null-%00-null@example.com"), aor("sip:null-@example.com"));
    assert_ne!(aor("sip:null-%00-null@example.com"), aor("sip:null-%00-other@example.com"));
    assert_eq!(aor("sip:%00@example.com").user(), Some(b"\0".as_slice()));
    assert_eq!(aor("sip:%00@example.com").to_string(), "sip:%00@example.com");
}

/// RGR-029: a URI that is not bound is added. RGR-030: one bound with another Call-ID is updated or removed,
/// whatever the CSeq. RGR-031: with the same Call-ID, when the CSeq is higher. RGR-043: removing what is not
/// bound succeeds.
#[test]
fn contacts_are_added_updated_and_removed() {
    use Fate::{Bound, Refreshed, Removed};
    for (change, bindings, effects) in [
        (
            change("three", 1, &["<sip:u@c> 30"]),
            &["<sip:u@a> 60 one 5", "<sip:u@b> 90 two 7", "<sip:u@c> 30 three 1"][..],
            &[(Bound, "<sip:u@c>")][..],
        ),
        (
            change("three", 1, &["<sip:u@a>;new 30"]),
            &["<sip:u@a>;new 30 three 1", "<sip:u@b> 90 two 7"],
            &[(Refreshed, "<sip:u@a>;new")],
        ),
        (change("three", 1, &["<sip:u@a> 0"]), &["<sip:u@b> 90 two 7"], &[(Removed, "<sip:u@a>")]),
        (
            change("one", 6, &["<sip:u@a> 30"]),
            &["<sip:u@a> 30 one 6", "<sip:u@b> 90 two 7"],
            &[(Refreshed, "<sip:u@a>")],
        ),
        (change("one", 6, &["<sip:u@a> 0"]), &["<sip:u@b> 90 two 7"], &[(Removed, "<sip:u@a>")]),
        (change("one", 1, &["<sip:u@c> 0"]), &["<sip:u@a> 60 one 5", "<sip:u@b> 90 two 7"], &[]),
        (
            change("three", 1, &["<sip:u@b> 0", "<sip:u@c> 30", "<sip:u@a> 30"]),
            &["<sip:u@a> 30 three 1", "<sip:u@c> 30 three 1"],
            &[(Refreshed, "<sip:u@a>"), (Removed, "<sip:u@b>"), (Bound, "<sip:u@c>")],
        ),
    ] {
        check(&two_devices(), &change, Ok((bindings, effects)));
    }
}

/// RGR-032: the same Call-ID with a CSeq that is not higher makes the whole request fail. RGR-007.
#[test]
fn an_older_request_changes_nothing() {
    for (cseq, contacts) in [
        (5, &["<sip:u@a> 30"][..]),
        (4, &["<sip:u@a> 30"]),
        (5, &["<sip:u@a> 0"]),
        (5, &["<sip:U@c> 30", "<sip:u@b> 0", "<sip:u@A> 30"]),
    ] {
        check(&two_devices(), &change("one", cseq, contacts), Err(StoreFailure::OutOfOrder));
    }
    // what it does not name does not matter
    let passes = apply(&two_devices(), &change("one", 5, &["<sip:u@b> 0", "<sip:u@c> 1"]), NOW).unwrap();
    assert_eq!(told(&passes.bindings, NOW), ["<sip:u@a> 60 one 5", "<sip:u@c> 1 one 5"]);
}

/// RGR-022: `*` removes each binding by the rule for one, or none at all.
#[test]
fn a_star_removes_all_or_none() {
    let gone = [(Fate::Removed, "<sip:u@a>"), (Fate::Removed, "<sip:u@b>")];
    check(&two_devices(), &change("three", 1, &["*"]), Ok((&[], &gone)));
    check(&two_devices(), &change("one", 6, &["*"]), Ok((&[], &gone)));
    check(&two_devices(), &change("one", 5, &["*"]), Err(StoreFailure::OutOfOrder));
    check(&two_devices(), &change("two", 6, &["*"]), Err(StoreFailure::OutOfOrder));
    check(&[], &change("one", 1, &["*"]), Ok((&[], &[])));
}

/// RGR-028: which binding a contact means is told by comparing URIs.
#[test]
fn contacts_are_matched_by_comparing_uris() {
    for (bound, contact, is_same) in [
        ("<sip:u@host>", "<sip:u@HOST>", true),
        ("<sip:u@host>", "<sip:%75@host>", true),
        ("<sip:u@host>", "<SIP:u@host>;reg-id=1", true),
        ("<sip:u@host>", "<sip:u@host;x=1>", true),
        ("<sip:u@host;x=1;y=2>", "<sip:u@host;Y=2;x=1>", true),
        ("<sip:u@host>", "<sip:u@host:5060>", false),
        ("<sip:u@host>", "<sip:U@host>", false),
        ("<sip:u@host>", "<sips:u@host>", false),
        ("<sip:u@host>", "<sip:u@host;transport=tcp>", false),
        ("<sip:u@host;x=1>", "<sip:u@host;x=2>", false),
        ("<tel:+1234>", "<tel:+1234>;q", true),
        ("<tel:+1234>", "<tel:+1235>", false),
    ] {
        let bound = held(&[change("one", 1, &[&format!("{bound} 60")])]);
        let applied = apply(&bound, &change("one", 2, &[&format!("{contact} 60")]), NOW).unwrap();
        let count = applied.bindings.len();
        assert_eq!(count, if is_same { 1 } else { 2 }, "{contact}");
        assert_eq!(applied.bindings[count - 1].contact(), contact);
    }
}

/// RGR-028: comparing is not transitive, so one URI can match several that do not match each other.
#[test]
fn of_several_that_match_the_one_spelled_the_same_is_meant_else_the_first() {
    let several = held(&[change("one", 1, &["<sip:a;x=1> 60", "<sip:a;x=2> 60", "<sip:b> 60"])]);
    for (contacts, left) in [
        (&["<sip:a;x=2> 0"][..], &["<sip:a;x=1>", "<sip:b>"][..]),
        (&["<sip:A;x=2> 0"], &["<sip:a;x=1>", "<sip:b>"]),
        (&["<sip:a> 0"], &["<sip:a;x=2>", "<sip:b>"]),
        // in turn: what the first has removed the second does not find
        (&["<sip:a> 0", "<sip:A> 0"], &["<sip:b>"]),
        (&["<sip:a;x=1> 0", "<sip:a> 60"], &["<sip:a>", "<sip:b>"]),
    ] {
        let applied = apply(&several, &change("one", 2, contacts), NOW).unwrap();
        let found: Vec<_> = applied.bindings.iter().map(Binding::contact).collect();
        assert_eq!(found, left, "{contacts:?}");
    }
}

/// The order of CSeq is between requests, not within one.
#[test]
fn of_the_same_uri_twice_in_a_request_the_last_counts() {
    use Fate::{Bound, Refreshed, Removed};
    let bound = held(&[change("one", 1, &["<sip:a> 60", "<sip:b> 60"])]);
    let a = "<sip:a>";
    for (contacts, bindings, effects) in [
        (
            &["<sip:a> 10", "<sip:A> 20"][..],
            &["<sip:A> 20 one 2", "<sip:b> 60 one 1"][..],
            &[(Refreshed, "<sip:A>")][..],
        ),
        (&["<sip:a> 10", "<sip:a> 0"], &["<sip:b> 60 one 1"], &[(Removed, a)]),
        (&["<sip:a> 0", "<sip:a> 10"], &["<sip:a> 10 one 2", "<sip:b> 60 one 1"], &[(Refreshed, a)]),
        (
            &["<sip:c> 10", "<sip:c> 20"],
            &["<sip:a> 60 one 1", "<sip:b> 60 one 1", "<sip:c> 20 one 2"],
            &[(Bound, "<sip:c>")],
        ),
        (&["<sip:c> 10", "<sip:c> 0"], &["<sip:a> 60 one 1", "<sip:b> 60 one 1"], &[]),
    ] {
        check(&bound, &change("one", 2, contacts), Ok((bindings, effects)));
    }
}

/// RGR-045.
#[test]
fn the_limit_counts_what_is_there_afterwards() {
    let limited = |limit, contacts: &[&str]| {
        let change = Change { limit, ..change("three", 1, contacts) };
        apply(&two_devices(), &change, NOW).map(|applied| applied.bindings.len())
    };
    assert_eq!(limited(3, &["<sip:c> 1"]), Ok(3));
    assert_eq!(limited(2, &["<sip:c> 1"]), Err(StoreFailure::TooMany));
    assert_eq!(limited(2, &["<sip:c> 1", "<sip:u@a> 0"]), Ok(2));
    assert_eq!(limited(2, &["<sip:c> 1", "<sip:d> 1", "<sip:u@a> 0", "<sip:u@b> 0"]), Ok(2));
    assert_eq!(limited(2, &["<sip:c> 1", "<sip:c> 1", "<sip:u@a> 0"]), Ok(2));
    // a limit that was lowered takes nothing away
    assert_eq!(limited(1, &["<sip:u@a> 1"]), Ok(2));
    assert_eq!(limited(1, &["<sip:u@a> 0"]), Ok(1));
    assert_eq!(limited(1, &["<sip:u@a> 0", "<sip:c> 1", "<sip:u@b> 1"]), Err(StoreFailure::TooMany));
    assert_eq!(limited(0, &["*"]), Ok(0));
    // bounded on its way as well: a message full of contacts must not cost the square of its length
    assert_eq!(limited(1, &["<sip:c> 1", "<sip:d> 1", "<sip:c> 0", "<sip:d> 0"]), Err(StoreFailure::TooMany));
}

/// RGR-045: what was refreshed longest ago makes room, never what the request names.
#[test]
fn the_oldest_makes_room_for_what_is_new() {
    let displacing = |limit, cseq, contacts: &[&str]| {
        let contacts = ContactChange::Displacing(contacts.iter().map(|text| wanted(text)).collect());
        Change { limit, contacts, ..change("three", cseq, &[]) }
    };
    let later = |seconds| NOW + Duration::from_secs(seconds);
    // `a` was there first, and `b` is refreshed earlier.
    let bound = held(&[change("one", 1, &["<sip:a> 600", "<sip:b> 600", "<sip:c> 600"])]);
    let bound = apply(&bound, &change("one", 2, &["<sip:a> 600"]), later(10)).unwrap().bindings;
    let now = later(20);
    for (limit, contacts, left, effects) in [
        (
            3,
            &["<sip:d> 60"][..],
            &["a", "c", "d"][..],
            &[(Fate::Removed, "<sip:b>"), (Fate::Bound, "<sip:d>")][..],
        ),
        (4, &["<sip:d> 60"], &["a", "b", "c", "d"], &[(Fate::Bound, "<sip:d>")]),
        (
            3,
            &["<sip:d> 60", "<sip:e> 60"],
            &["a", "d", "e"],
            &[
                (Fate::Removed, "<sip:b>"),
                (Fate::Removed, "<sip:c>"),
                (Fate::Bound, "<sip:d>"),
                (Fate::Bound, "<sip:e>"),
            ],
        ),
        (
            3,
            &["<sip:b> 60", "<sip:d> 60"],
            &["a", "b", "d"],
            &[(Fate::Refreshed, "<sip:b>"), (Fate::Removed, "<sip:c>"), (Fate::Bound, "<sip:d>")],
        ),
        (
            3,
            &["<sip:c> 0", "<sip:d> 60"],
            &["a", "b", "d"],
            &[(Fate::Removed, "<sip:c>"), (Fate::Bound, "<sip:d>")],
        ),
        // Nothing is new: a limit that was lowered takes nothing away.
        (1, &["<sip:c> 60"], &["a", "b", "c"], &[(Fate::Refreshed, "<sip:c>")]),
        (1, &["<sip:c> 0", "<sip:x> 0"], &["a", "b"], &[(Fate::Removed, "<sip:c>")]),
    ] {
        let applied = apply(&bound, &displacing(limit, 1, contacts), now).unwrap();
        let uris: Vec<&str> = applied
            .bindings
            .iter()
            .map(|binding| &binding.contact()["<sip:".len()..binding.contact().len() - 1])
            .collect();
        assert_eq!(
            (uris.as_slice(), fates(&applied.effects).as_slice()),
            (left, effects),
            "{limit} {contacts:?}"
        );
    }
    let alone = apply(&bound, &displacing(1, 1, &["<sip:d> 60", "<sip:e> 60"]), now);
    assert_eq!(alone.err(), Some(StoreFailure::TooMany), "no room for what one request names");
}

/// RGR-044: at its time a binding is no more: its Call-ID and CSeq say nothing, nor does it count for the
/// limit.
#[test]
fn what_has_run_out_does_not_count() {
    let at = |seconds| NOW + Duration::from_secs(seconds);
    let again = Change { limit: 2, ..change("one", 1, &["<sip:u@a> 30", "<sip:u@c> 0"]) };
    assert_eq!(apply(&two_devices(), &again, at(59)).err(), Some(StoreFailure::OutOfOrder));
    let applied = apply(&two_devices(), &again, at(60)).unwrap();
    assert_eq!(told(&applied.bindings, at(60)), ["<sip:u@b> 30 two 7", "<sip:u@a> 30 one 1"]);
    assert_eq!(fates(&applied.effects), [(Fate::Expired, "<sip:u@a>"), (Fate::Bound, "<sip:u@a>")]);
    let applied = apply(&two_devices(), &change("two", 1, &["*"]), at(90)).unwrap();
    assert_eq!(fates(&applied.effects), [(Fate::Expired, "<sip:u@a>"), (Fate::Expired, "<sip:u@b>")]);
}

/// DSR-001.
#[test]
fn a_lease_is_told_as_it_was_granted() {
    let bound = held(&[change("one", 1, &["<sip:a> 60"])]);
    let left = |ms| bound[0].left(NOW + Duration::from_millis(ms));
    assert_eq!([0, 1, 999, 1000, 1001, 59_999].map(left), [60, 60, 60, 59, 59, 1]);
    assert_eq!([60_000, 60_001, 100_000].map(left), [0; 3]);
    assert_eq!(held(&[change("one", 1, &["<sip:a> 4294967295"])])[0].left(NOW), u32::MAX);
}

/// RGR-034: with the rest of what the last REGISTER said.
#[test]
fn a_binding_is_what_the_last_register_said() {
    let source = Source {
        flow: FlowId(9),
        peer: "[2001:db8::9]:40000".parse().unwrap(),
        transport: Transport::Tcp,
        is_way: true,
        node: NodeId::LOCAL,
    };
    let bound = held(&[change("one", 1, &["<sip:a> 60"])]);
    let mut again = change("two", 3, &[]);
    let path: Arc<str> = "<sip:p1;lr>,<sip:p2;lr>".into();
    again.contacts = ContactChange::Contacts(vec![WantedContact {
        q: Q::new(500),
        path: path.clone(),
        source,
        ..wanted("<sip:a>;x 30")
    }]);
    let bound = apply(&bound, &again, NOW).unwrap().bindings;
    let found = &bound[0];
    assert_eq!(
        (found.contact(), found.call_id(), found.path(), found.q, found.cseq, found.source),
        ("<sip:a>;x", "two", &*path, Q::new(500), 3, source)
    );
    assert_eq!((bound.len(), found.expires), (1, NOW + Duration::from_secs(30)));
}

/// There may be a million of them.
#[test]
fn a_binding_takes_no_more_than_it_has_to() {
    assert_eq!((size_of::<Source>(), size_of::<Binding>()), (48, 96));
}
