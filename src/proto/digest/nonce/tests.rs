use super::*;
use crate::proto::ids::Counting;

const START: Time = Time::from_millis(1_700_000_000_000);
const REALM: &str = "munich.de";

fn after(ms: u64) -> Time {
    START + Duration::from_millis(ms)
}

fn nonces(capacity: usize) -> Nonces {
    Nonces::new(LIFETIME, capacity, &mut Counting::default())
}

/// A nonce made that many milliseconds after the start; all have the same random part.
fn made(nonces: &Nonces, ms: u64) -> String {
    nonces.issue(REALM, &mut Counting::default(), after(ms)).to_string()
}

fn good(nonces: &Nonces, nonce: &str, now: Time) -> Id {
    match nonces.judge(nonce, REALM, now) {
        Standing::Good(id) => id,
        Standing::Stale => panic!("{nonce} is stale"),
    }
}

/// RAU-007, RAU-008: an hour from when it was made, for its realm, and as long as the server runs.
#[test]
fn a_nonce_is_good_for_an_hour_in_its_realm_at_the_server_that_made_it() {
    let nonces = nonces(10);
    let nonce = made(&nonces, 0);
    good(&nonces, &nonce, START);
    let hour = 3_600_000;
    let id = good(&nonces, &nonce, after(hour - 1));
    assert_eq!(id.issued, START);
    assert_eq!(nonces.judge(&nonce, REALM, after(hour)), Standing::Stale);
    assert_eq!(nonces.judge(&nonce, "helgoland.de", START), Standing::Stale);
    let mut random = Counting::default();
    let _first_server = Nonces::new(LIFETIME, 10, &mut random);
    let other_server = Nonces::new(LIFETIME, 10, &mut random);
    assert_eq!(other_server.judge(&nonce, REALM, START), Standing::Stale);
}

/// RAU-007: no digit can be changed, and no text that is none of ours gets by.
#[test]
fn a_forged_nonce_is_not_good() {
    let nonces = nonces(10);
    let nonce = made(&nonces, 0);
    assert_eq!(nonce.len(), 48);
    for at in 0..nonce.len() {
        for digit in "0123456789abcdef".chars().filter(|digit| !nonce[at..].starts_with(*digit)) {
            let forged = format!("{}{digit}{}", &nonce[..at], &nonce[at + 1..]);
            assert_eq!(nonces.judge(&forged, REALM, START), Standing::Stale, "{forged}");
        }
    }
    let moved = format!("{nonce}0");
    for forged in ["", "0", &nonce[1..], &moved, &nonce.to_uppercase(), &"ä".repeat(24), &"0".repeat(48)] {
        assert_eq!(nonces.judge(forged, REALM, START), Standing::Stale, "{forged}");
    }
}

/// RAU-007: two challenges in the same millisecond have two nonces.
#[test]
fn no_two_nonces_are_the_same() {
    let nonces = nonces(10);
    let mut random = Counting::default();
    let mut seen: Vec<_> = (0..1000).map(|_| nonces.issue(REALM, &mut random, START).to_string()).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1000);
}

/// RAU-010: each count once, in any order within 64; what is further behind may have been used.
#[test]
fn a_nonce_count_is_taken_once() {
    let mut nonces = nonces(10);
    let id = good(&nonces, &made(&nonces, 0), START);
    for (nc, is_new) in [
        (1, true),
        (1, false),
        (3, true),
        (2, true),
        (2, false),
        (3, false),
        (66, true),
        (2, false),
        (4, true),
        (66, false),
        (65, true),
        (130, true),
        (66, false),
        (67, true),
        (u32::MAX, true),
        (u32::MAX, false),
        (130, false),
        (u32::MAX - 63, true),
        (u32::MAX - 63, false),
        (u32::MAX - 64, false),
        (0, false),
    ] {
        assert_eq!(nonces.count(id, "werner", nc, START) == Use::First, is_new, "{nc}");
    }
}

/// RAU-010: the memory is bounded; what is forgotten, and all that is older, is stale and never good again.
#[test]
fn a_forgotten_nonce_is_stale_and_so_is_every_older_one() {
    let mut nonces = nonces(3);
    let all: Vec<String> = (0..6).map(|n| made(&nonces, n)).collect();
    // The first is never used.
    for nonce in &all[1..4] {
        let id = good(&nonces, nonce, after(10));
        assert_eq!(nonces.count(id, "werner", 1, after(10)), Use::First);
    }
    good(&nonces, &all[0], after(10));
    let fifth = good(&nonces, &all[4], after(10));
    assert_eq!(nonces.count(fifth, "werner", 1, after(10)), Use::First);
    assert_eq!(nonces.counts.len(), 3);
    for nonce in &all[..2] {
        assert_eq!(nonces.judge(nonce, REALM, after(10)), Standing::Stale);
    }
    for nonce in &all[2..5] {
        let id = good(&nonces, nonce, after(10));
        assert_eq!(nonces.count(id, "werner", 1, after(10)), Use::Again, "a replay");
        assert_eq!(nonces.count(id, "werner", 2, after(10)), Use::First);
    }
    good(&nonces, &all[5], after(10));
}

/// RAU-010: when the memory holds only younger ones, the one that comes is taken once and forgotten.
#[test]
fn an_old_nonce_that_finds_no_room_is_taken_once() {
    let mut nonces = nonces(2);
    let old = made(&nonces, 0);
    for ms in [1, 2] {
        let id = good(&nonces, &made(&nonces, ms), after(10));
        assert_eq!(nonces.count(id, "werner", 1, after(10)), Use::First);
    }
    let id = good(&nonces, &old, after(10));
    assert_eq!(nonces.count(id, "werner", 1, after(10)), Use::First);
    assert_eq!(nonces.judge(&old, REALM, after(10)), Standing::Stale);
    assert_eq!(nonces.counts.len(), 2);
}

/// Nonces whose time is over make room without a timer, a few at a time.
#[test]
fn memory_of_nonces_whose_time_is_over_is_given_back() {
    let mut nonces = nonces(1000);
    for ms in 0..100 {
        let id = good(&nonces, &made(&nonces, ms), after(200));
        assert_eq!(nonces.count(id, "werner", 1, after(200)), Use::First);
    }
    let later = 4_000_000;
    for ms in later..later + 100 {
        let id = good(&nonces, &made(&nonces, ms), after(later + 200));
        assert_eq!(nonces.count(id, "werner", 1, after(later + 200)), Use::First);
    }
    assert_eq!(nonces.counts.len(), 100);
    assert_eq!(nonces.forgotten, None);
}

/// The key is nowhere in what is printed.
#[test]
fn what_is_printed_of_nonces_has_no_key() {
    let said = format!("{:?}", nonces(10));
    assert_eq!(said, "Nonces { lifetime: 3600s, remembered: 0, forgotten: None, .. }");
}

/// RAU-010: whoever knows a password of his own uses up no count of somebody else, and gets a nonce for himself.
#[test]
fn a_nonce_belongs_to_the_user_who_uses_it_first() {
    let mut nonces = nonces(4);
    let id = good(&nonces, &made(&nonces, 0), START);
    assert_eq!(nonces.count(id, "werner", 1, START), Use::First);
    assert_eq!(nonces.count(id, "max", 2, START), Use::Foreign);
    assert_eq!(nonces.count(id, "werner", 2, START), Use::First);
    assert_eq!(nonces.count(id, "max", 2, START), Use::Foreign);
    assert_eq!(nonces.count(id, "werner", 2, START), Use::Again);
}
