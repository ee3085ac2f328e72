//! Many accounts of one process: what makes all of them try at once is spread, what spreads by itself is left alone, and
//! nobody starves.

use std::cell::RefCell;
use std::rc::Rc;

use sipreg::proto::client::plan::Plan;
use sipreg::proto::client::schedule::Departure;
use sipreg::proto::{Command, RegistrationId};

use crate::keep_world::{Asked, Reply, World};
use crate::world::{plan, uri};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

fn crowd(accounts: u64, spread: u64, server: impl FnMut(&Asked<'_>) -> Reply + 'static) -> World {
    let mut world = World::new(server);
    for number in 0..accounts {
        let aor = uri(&format!("sip:user{number}~munich.de"));
        world.keep(number + 1, Plan { aor, ..plan() }, number * spread / accounts);
    }
    world
}

/// DES-010: four thousand accounts share one socket; their registrar is away for ten minutes, as long as their leases are.
#[test]
fn thousands_of_accounts_come_back_one_after_the_other() {
    const AWAY: u64 = 12 * MINUTE;
    const BACK: u64 = 22 * MINUTE;
    let mut world = crowd(4000, 10 * SECOND, |asked| match asked.at {
        AWAY..BACK => Reply::Silent,
        _ => Reply::Grant(600),
    });
    world.run(40 * MINUTE);
    assert_eq!(world.opened, 1);
    let registered = world.told.iter().filter(|(at, told)| *at > BACK && told == "registered");
    let last = registered.map(|(at, _)| *at).max().unwrap();
    let ended = world.end("4,000 accounts, away for ten minutes");
    let most = ended.rate.range(..2400).map(|(_, requests)| *requests).max().unwrap();
    assert!(most <= 430, "{most} a second");
    // The last of 30, 60, 120 and 240 s may just have begun, and 480 s of those whose lease ran out early.
    assert!(last < BACK + 9 * MINUTE, "somebody waits until {last}");
    // Ten minutes of forty, and the wait of the one that was last.
    assert!(ended.share > 100.0 * (40.0 - 10.0 - 9.0) / 40.0, "{}", ended.share);
    assert_eq!(ended.left.len(), 4000);
    assert!(ended.left.iter().all(|left| *left == Departure::Removed));
}

/// DES-010: the limit is for storms. A hundred accounts with leases of four seconds need 50 requests a second and more,
/// all the time, and get them.
#[test]
fn short_leases_of_many_are_no_storm() {
    let mut world = crowd(100, 8 * SECOND, |_| Reply::Grant(4));
    world.run(10 * MINUTE);
    let ended = world.end("100 accounts, leases of 4 s");
    assert_eq!((ended.count("registered"), ended.count("failed")), (100, 0));
    // All but the time before the first answer of each.
    assert!(ended.share > 98.6, "{}", ended.share);
}

/// DES-010 DES-015: a process that slept through the leases of all its accounts does not wake with a storm.
#[test]
fn two_thousand_accounts_wake_one_after_the_other() {
    let mut world = crowd(2000, 10 * SECOND, |_| Reply::Grant(3600));
    world.run(MINUTE);
    world.sleep(2 * HOUR);
    world.run(2 * HOUR + MINUTE);
    let again = world.told.iter().filter(|(at, told)| *at > HOUR && told == "registered");
    let (count, last) = again.fold((0, 0), |(count, last), (at, _)| (count + 1, last.max(*at)));
    assert_eq!(count, 2000);
    assert!(last < 2 * HOUR + 11 * SECOND, "{last}");
    let ended = world.end("2,000 accounts wake");
    let most = ended.rate.range(7200..7260).map(|(_, requests)| *requests).max().unwrap();
    assert!(most <= 210, "{most} a second");
}

/// DES-010 DES-019: many leave well within their four seconds, and not all at once.
#[test]
fn many_accounts_leave_one_after_the_other() {
    for accounts in [1000, 20_000] {
        let mut world = crowd(accounts, 10 * SECOND, |_| Reply::Grant(3600));
        world.run(MINUTE);
        let ended = world.end(&format!("{accounts} accounts leave"));
        let leaving: Vec<u64> = ended.rate.range(60..).map(|(_, requests)| (*requests).into()).collect();
        let most = (accounts / 2).max(5000) + 200;
        assert!(leaving.iter().all(|requests| *requests <= most), "{leaving:?}");
        assert_eq!(leaving.iter().sum::<u64>(), accounts);
        let last = ended.told.iter().map(|(at, _)| *at).max().unwrap();
        assert!(last < 62_100, "{last}");
        assert_eq!(ended.left, vec![Departure::Removed; accounts as usize]);
    }
}

/// DES-001: of many with the same lease a good part is refreshed at the same time, within what is right for each.
#[test]
fn refreshes_of_many_meet() {
    let mut world = crowd(400, 10 * SECOND, |_| Reply::Grant(20));
    world.run(MINUTE);
    world.told.clear();
    world.run(2 * MINUTE);
    let mut at: Vec<u64> =
        world.told.iter().filter(|(_, told)| told == "refreshed").map(|(at, _)| *at).collect();
    let refreshes = at.len();
    at.dedup();
    assert!((2400..=2700).contains(&refreshes), "{refreshes}");
    assert!(at.len() < 240, "{refreshes} at {} times", at.len());
    world.end("400 accounts with leases of 20 s");
}

/// DES-019 DES-035: one that leaves takes what it has under way with it, and nothing of the one that stays on the same flow.
#[test]
fn who_leaves_sends_no_more_copies() {
    let sent: Rc<RefCell<Vec<u64>>> = Rc::default();
    let seen = Rc::clone(&sent);
    let mut world = crowd(2, 0, move |asked| {
        if !asked.text.contains("\r\nExpires: 0\r\n") || asked.at > 2 * MINUTE {
            return Reply::Grant(600);
        }
        seen.borrow_mut().push(asked.at);
        Reply::Silent
    });
    world.run(MINUTE);
    world.command(Command::StopKeeping(Some(RegistrationId(1))));
    world.run(30 * MINUTE);
    assert_eq!(*sent.borrow(), [0, 500, 1500, 3500].map(|after| MINUTE + after));
    assert_eq!((world.left.as_slice(), world.opened), (&[Departure::Unconfirmed][..], 1));
    let ended = world.end("one of two leaves");
    assert_eq!(ended.left, [Departure::Unconfirmed, Departure::Removed]);
}
