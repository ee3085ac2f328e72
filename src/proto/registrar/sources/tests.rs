use super::*;

fn at(ms: u64) -> Time {
    Time::from_millis(1_792_000_000_000 + ms)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// DSR-002
#[test]
fn a_source_gets_so_many_answers_a_second() {
    let (keys, mut answers) = (Keys::new(7), Answers::new(3));
    let mut admitted = |address: &str, ms| answers.admit(ip(address), keys, at(ms));
    let first: Vec<bool> = (0..5).map(|n| admitted("192.0.2.7", n)).collect();
    assert_eq!(first, [true, true, true, false, false]);
    // Another source has its own; the same by another name has not.
    assert!(admitted("192.0.2.8", 5) && !admitted("::ffff:192.0.2.7", 6));
    assert!(!admitted("192.0.2.7", 999) && admitted("192.0.2.7", 1000));
    // Of IPv6 a network is one source.
    let spread: Vec<bool> = (0..5).map(|n| admitted(&format!("2001:db8:0:1:{n}::{n}"), 2000)).collect();
    assert_eq!(spread, [true, true, true, false, false]);
    assert!(admitted("2001:db8:0:2::1", 2000));
    for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert!((0..100).all(|_| admitted(address, 3000)), "{address}");
    }
}

/// DSR-002: what is remembered is of a fixed size, and whoever has had most is forgotten last.
#[test]
fn a_hundred_thousand_sources_don_t_make_one_forgotten_that_floods() {
    let (keys, mut answers) = (Keys::new(7), Answers::new(10));
    let flooder = ip("192.0.2.7");
    assert_eq!((0..20).filter(|_| answers.admit(flooder, keys, at(0))).count(), 10);
    for n in 0..100_000_u32 {
        assert!(answers.admit(Ipv6Addr::from(u128::from(n) << 64).into(), keys, at(1)), "{n}");
    }
    assert!(!answers.admit(flooder, keys, at(2)));
    assert_eq!(answers.0.slots.len(), WAYS * SETS);
}

/// DSR-002
#[test]
fn failed_logins_are_limited_by_source_and_never_by_user_alone() {
    let mut logins = Logins::new(3, Keys::new(7));
    let (office, home) = (ip("192.0.2.7"), ip("198.51.100.9"));
    logins.succeed(office, "born", at(0));
    for ms in 0..3 {
        assert_eq!(logins.wait(office, "alice", at(ms)), None);
        logins.fail(office, "alice", at(ms));
    }
    let wait = Some(Duration::from_millis(59_997));
    assert_eq!(logins.wait(office, "alice", at(3)), wait);
    // Whoever is unknown there waits, too; who is known doesn't, and nobody does elsewhere.
    assert_eq!(logins.wait(office, "bob", at(3)), wait);
    assert_eq!(logins.wait(office, "born", at(3)), None);
    assert_eq!(logins.wait(home, "alice", at(3)), None);
    // To be known is no leave to guess.
    (0..3).for_each(|_| logins.fail(office, "born", at(4)));
    assert_eq!(logins.wait(office, "born", at(4)), Some(Duration::from_secs(60)));
    assert_eq!(logins.wait(office, "alice", at(60_000)), None);
    (0..100).for_each(|_| logins.fail(ip("127.0.0.1"), "alice", at(5)));
    assert_eq!(logins.wait(ip("127.0.0.1"), "alice", at(5)), None);
}

/// DSR-002
#[test]
fn a_stretch_is_told_once_with_its_count() {
    let mut stretches = Stretches::default();
    for n in 0..100 {
        stretches.note(ip("192.0.2.7"), Limit::Answer, at(n * 10));
        assert_eq!(stretches.over(at(n * 10)), []);
    }
    stretches.note(ip("2001:db8::7"), Limit::Login, at(2000));
    assert_eq!(stretches.next(), Some(at(990 + 3000)));
    let told = stretches.over(at(3990));
    assert_eq!(told.iter().map(|told| (told.answers, told.logins)).collect::<Vec<_>>(), [(100, 0)]);
    assert_eq!(
        stretches.rest().iter().map(|told| told.source.to_string()).collect::<Vec<_>>(),
        ["2001:db8::"]
    );
    assert_eq!(stretches.next(), None);
    // A flood without end is told every half a minute; ten thousand sources take no more than so much.
    let mut told = 0;
    for n in 0..600 {
        stretches.note(ip("192.0.2.7"), Limit::Answer, at(n * 100));
        told += stretches.over(at(n * 100)).len();
    }
    assert_eq!(told, 1);
    for n in 0..10_000_u32 {
        stretches.note(IpAddr::V4(n.into()), Limit::Answer, at(60_000));
        told += stretches.over(at(60_000)).len();
        assert!(stretches.0.len() <= STRETCHES);
    }
    assert_eq!(told + stretches.rest().len(), 10_002);
}
