//! What only a store in a file can get wrong: what it confirms survives, what it does not confirm is undone, and what is
//! damaged is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::RngExt;
use sipreg::proto::binding::{Fate, Operation, StoreFailure};
use sipreg::proto::{AskId, Time};
use sipreg::store::{Contents, Embedded, OpenError, Store, StoreEvent};

use crate::disk::{Disk, Trouble, dice};
use crate::script::{
    ALICE, BOB, Said, aor, assert_ends_empty, at, change, expire, fetch, next_event, perform, register, said,
    wanted,
};

const ROOM: usize = 128 << 20;

/// A store on a disk of its own.
pub fn fresh() -> Embedded {
    on(&Disk::default())
}

fn on(disk: &Disk) -> Embedded {
    Embedded::open_with("bindings.db", disk.backend(), ROOM, at(0)).unwrap().0
}

fn opened(disk: &Disk, now: Time) -> (Embedded, Contents) {
    Embedded::open_with("bindings.db", disk.backend(), ROOM, now).unwrap()
}

/// RGR-034, RGR-044: all of it, and nothing that has run out; what is bound then runs out at its time.
#[test]
fn what_was_bound_is_there_again() {
    let disk = Disk::default();
    let mut store = on(&disk);
    let contacts = ["<sip:a>;+x=\"ä\" 60", "<sip:b> 90", "<tel:+1> 120"];
    change(&mut store, register(ALICE, "one 5", &contacts), at(0)).unwrap();
    change(&mut store, register(BOB, "two 1", &["<sip:c> 60"]), at(0)).unwrap();
    change(&mut store, register("sip:%FF%00@h", "three 1", &["<sip:d> 3600"]), at(0)).unwrap();
    change(&mut store, register("sip:gone@h", "four 1", &["<sip:e> 3600"]), at(0)).unwrap();
    change(&mut store, register("sip:gone@h", "four 2", &["*"]), at(0)).unwrap();
    let before = perform(&mut store, Operation::Fetch(aor(ALICE)), at(0)).unwrap();
    drop(store);

    let (mut store, contents) = opened(&disk, at(1));
    assert_eq!((contents.aors, contents.live, contents.expired), (3, 5, 0));
    let after = perform(&mut store, Operation::Fetch(aor(ALICE)), at(1)).unwrap();
    assert_eq!(after.bindings, before.bindings);
    // The order of requests holds on.
    let old = change(&mut store, register(ALICE, "one 5", &["<sip:b> 60"]), at(1));
    assert_eq!(old, Err(StoreFailure::OutOfOrder));
    drop(store);

    let (mut store, contents) = opened(&disk, at(60_000));
    assert_eq!((contents.aors, contents.live, contents.expired, store.len()), (3, 3, 2, 3));
    let left = said(&["<sip:b> 30 one 5", "<tel:+1> 60 one 5"], &[]);
    assert_eq!(fetch(&mut store, ALICE, at(60_000)), left);
    assert_eq!(fetch(&mut store, BOB, at(60_000)), Said::default());
    assert_eq!(expire(&mut store, at(60_000)), (vec![], Some(at(90_000))));
    let end = (Fate::Expired, "<sip:b>".to_owned());
    assert_eq!(expire(&mut store, at(90_000)), (vec![end], Some(at(120_000))));
    assert_ends_empty(&mut store);
    drop(store);
    let (store, contents) = opened(&disk, at(0));
    assert_eq!((contents.aors, store.len()), (0, 0), "what has run out is removed from the file as well");
}

/// DSR-002: what there is counts for what there may be.
#[test]
fn the_bounds_are_known_after_a_start() {
    let disk = Disk::default();
    let bind = |store: &mut Embedded, n: u32| {
        change(store, register(&format!("sip:u{n}@h"), "a 1", &["<sip:d@x> 60"]), at(0)).map(|_| ())
    };
    let open = || Embedded::open_with("x", disk.backend(), 10_000, at(0)).unwrap().0;
    let mut store = open();
    let taken = (0..1000).find(|n| bind(&mut store, *n).is_err()).unwrap();
    drop(store);
    let mut store = open();
    assert_eq!(store.len(), usize::try_from(taken).unwrap());
    assert_eq!(bind(&mut store, taken), Err(StoreFailure::Full));
}

/// Changes that come while others are written are written together.
#[test]
fn many_changes_need_few_syncs() {
    let disk = Disk::default();
    let mut store = on(&disk);
    let before = disk.syncs();
    for n in 0..500 {
        let change = register(&format!("sip:u{n}@h"), "a 1", &["<sip:d@x> 60"]);
        assert!(store.submit(AskId(n), Operation::Change(change), at(0)).is_none());
    }
    for n in 0..500 {
        let StoreEvent::Answered { ask, answer: Ok(_) } = next_event(&mut store) else { panic!("{n}") };
        assert_eq!(ask, AskId(n));
    }
    assert!(disk.syncs() - before < 100, "{} syncs", disk.syncs() - before);
}

/// RGR-007, RGR-008: whatever the disk refuses, a change that is not confirmed is undone, lists go on, and all is well when the
/// disk is.
#[test]
fn a_change_that_is_not_written_is_undone_and_the_store_comes_back() {
    for trouble in [Trouble::Full, Trouble::WriteFails, Trouble::SyncFails] {
        let disk = Disk::default();
        let mut store = on(&disk);
        change(&mut store, register(ALICE, "one 1", &["<sip:a> 60"]), at(0)).unwrap();
        disk.set(trouble);
        // Until it needs room that the file does not have yet.
        let long = "x".repeat(3000);
        let mut confirmed = 0;
        let ask = |n: u64| {
            let change = register(&format!("sip:u{n}@h"), "a 1", &[&format!("<sip:{long}@x> 3600")]);
            Operation::Change(change)
        };
        let why = loop {
            assert!(store.submit(AskId(confirmed), ask(confirmed), at(0)).is_none(), "{trouble:?}");
            match next_event(&mut store) {
                StoreEvent::Answered { answer: Ok(_), .. } => confirmed += 1,
                StoreEvent::Failed { why } => break why,
                other @ (StoreEvent::Answered { .. } | StoreEvent::Back | StoreEvent::Node { .. }) => {
                    panic!("{other:?}")
                }
            }
            assert!(confirmed < 10_000);
        };
        assert!(why.starts_with("bindings.db: "), "{why}");
        let refused = next_event(&mut store);
        let StoreEvent::Answered { ask: AskId(last), answer: Err(StoreFailure::Unavailable) } = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!(last, confirmed);
        let gone = format!("sip:u{last}@h");
        assert_eq!(fetch(&mut store, &gone, at(0)), Said::default());
        // Lists go on, changes don't.
        let bound = said(&["<sip:a> 60 one 1"], &[]);
        assert_eq!(fetch(&mut store, ALICE, at(0)), bound);
        for contact in ["<sip:a> 90", "<sip:a> 0", "<sip:b> 60"] {
            let refused = change(&mut store, register(ALICE, "one 2", &[contact]), at(0));
            assert_eq!(refused, Err(StoreFailure::Unavailable));
        }
        assert_eq!(fetch(&mut store, ALICE, at(0)), bound);
        // What runs out meanwhile is told, and is out of the file as well when all is over.
        let end = (Fate::Expired, "<sip:a>".to_owned());
        assert_eq!(expire(&mut store, at(60_000)).0, [end]);
        disk.set(Trouble::None);
        assert!(matches!(next_event(&mut store), StoreEvent::Back), "{trouble:?}");
        let now = at(61_000);
        change(&mut store, register(ALICE, "one 1", &["<sip:new> 60"]), now).unwrap();
        assert_eq!(store.len(), usize::try_from(confirmed).unwrap() + 1);
        drop(store);
        let (mut store, contents) = opened(&disk, now);
        assert_eq!(contents.live, usize::try_from(confirmed).unwrap() + 1);
        assert_eq!(fetch(&mut store, &gone, now), Said::default());
        assert_eq!(fetch(&mut store, ALICE, now), said(&["<sip:new> 60 one 1"], &[]));
    }
}

/// What runs out while the disk fails does not keep the store from coming back, and is removed then.
#[test]
fn a_store_comes_back_while_bindings_run_out() {
    let disk = Disk::default();
    let mut store = on(&disk);
    for n in 0..80 {
        let contact = format!("<sip:d@x> {}", n + 1);
        change(&mut store, register(&format!("sip:u{n}@h"), "a 1", &[&contact]), at(0)).unwrap();
    }
    disk.set(Trouble::WriteFails);
    let bind = register(ALICE, "one 1", &["<sip:a> 3600"]);
    assert!(store.submit(AskId(7), Operation::Change(bind), at(0)).is_none());
    assert!(matches!(next_event(&mut store), StoreEvent::Failed { .. }));
    disk.set(Trouble::None);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut is_back = false;
    for seconds in 1..80 {
        assert_eq!(expire(&mut store, at(seconds * 1000)).0.len(), 1);
        std::thread::sleep(std::time::Duration::from_millis(50));
        is_back |= std::iter::from_fn(|| match store.poll(&mut context) {
            std::task::Poll::Ready(event) => Some(event),
            std::task::Poll::Pending => None,
        })
        .any(|event| matches!(event, StoreEvent::Back));
        if is_back {
            break;
        }
    }
    assert!(is_back);
    let left = store.len();
    drop(store);
    let (_, contents) = opened(&disk, at(0));
    assert_eq!((contents.live, contents.aors), (left, left));
}

/// A full disk at the start: what is there can be listed, nothing is written, and changes go when there is room.
#[test]
fn a_store_opens_on_a_full_disk_and_can_be_changed_later() {
    let mut random = dice(1);
    let disk = Disk::default();
    let mut store = on(&disk);
    change(&mut store, register(ALICE, "one 1", &["<sip:a> 60"]), at(0)).unwrap();
    // It was not closed, so it has to be repaired.
    let disk = disk.after_power_failure(&mut random);
    disk.set(Trouble::WriteFails);
    let mut store = on(&disk);
    assert!(matches!(next_event(&mut store), StoreEvent::Failed { .. }));
    assert_eq!(fetch(&mut store, ALICE, at(0)), said(&["<sip:a> 60 one 1"], &[]));
    let refused = change(&mut store, register(ALICE, "one 2", &["<sip:a> 90"]), at(0));
    assert_eq!(refused, Err(StoreFailure::Unavailable));
    disk.set(Trouble::None);
    assert!(matches!(next_event(&mut store), StoreEvent::Back));
    change(&mut store, register(ALICE, "one 2", &["<sip:a> 90"]), at(0)).unwrap();
}

/// RGR-006, RGR-008: the power fails at any moment, and of what was not synced any part is lost: what was confirmed is there, as
/// confirmed or as asked for later, and nothing that was not asked for.
#[test]
fn what_was_confirmed_survives_power_failures() {
    for seed in 0..60 {
        let mut random = dice(seed);
        let mut disk = Disk::default();
        // By user: the CSeq that was confirmed, and those asked for since.
        let mut model: BTreeMap<u64, (u32, Vec<u32>)> = BTreeMap::new();
        let mut cseq = 0;
        for round in 0..4 {
            let (mut store, _) = opened(&disk, at(0));
            for (user, (confirmed, asked)) in &mut model {
                let found = fetch(&mut store, &format!("sip:u{user}@h"), at(0)).bindings;
                let found: Vec<u32> =
                    found.iter().map(|text| text.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
                let is_known = match found[..] {
                    [] => *confirmed == 0,
                    [found] => found == *confirmed || asked.contains(&found),
                    _ => false,
                };
                assert!(is_known, "seed {seed}, round {round}: {user}: {found:?}, not {confirmed} {asked:?}");
                *confirmed = found.first().copied().unwrap_or(0);
                asked.clear();
            }
            assert_eq!(store.len(), model.values().filter(|(confirmed, _)| *confirmed > 0).count());
            let mut failed = None;
            let last = random.random_range(1..40);
            for step in 0..=last {
                for user in 0..random.random_range(1..20) {
                    cseq += 1;
                    let contact = format!("<sip:{}@x> 60", "x".repeat(random.random_range(1..600)));
                    let request = register(&format!("sip:u{user}@h"), &format!("a {cseq}"), &[&contact]);
                    let contacts = sipreg::proto::binding::ContactChange::Displacing(vec![wanted(&contact)]);
                    let request = sipreg::proto::binding::Change { limit: 1, contacts, ..request };
                    model.entry(user).or_insert((0, vec![])).1.push(cseq);
                    let ask = AskId(user << 32 | u64::from(cseq));
                    assert!(store.submit(ask, Operation::Change(request), at(0)).is_none());
                }
                if step == last {
                    // In the middle of what is being written now, or behind it.
                    std::thread::sleep(std::time::Duration::from_micros(random.random_range(0..2000)));
                    failed = Some(disk.after_power_failure(&mut random));
                }
                while model.values().any(|(_, asked)| !asked.is_empty()) && failed.is_none() {
                    let StoreEvent::Answered { ask: AskId(ask), answer: Ok(_) } = next_event(&mut store)
                    else {
                        panic!("the disk is sound")
                    };
                    let (confirmed, asked) = model.get_mut(&(ask >> 32)).unwrap();
                    *confirmed = u32::try_from(ask & 0xffff_ffff).unwrap();
                    asked.retain(|asked| asked > confirmed);
                }
            }
            disk = failed.unwrap();
        }
    }
}

/// A store with some history, closed or not, and what is bound in it.
fn small(is_closed: bool) -> (Vec<u8>, BTreeMap<&'static str, Vec<String>>) {
    let disk = Disk::default();
    let mut store = on(&disk);
    for round in 1..4 {
        for uri in [ALICE, BOB] {
            change(&mut store, register(uri, &format!("one {round}"), &["<sip:a@b> 3600"]), at(0)).unwrap();
        }
    }
    let octets = disk.octets();
    let bound = [ALICE, BOB].map(|uri| (uri, fetch(&mut store, uri, at(0)).bindings)).into();
    drop(store);
    (if is_closed { disk.octets() } else { octets }, bound)
}

/// Opens what may be damaged: whatever comes up was there once. Whether it is all that was there last.
fn survives(octets: Vec<u8>, what: &str) -> Result<(bool, Contents), OpenError> {
    let before = octets.clone();
    let disk = Disk::with(octets);
    let opened = Embedded::open_with("x", disk.backend(), ROOM, at(0));
    let (mut store, contents) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            assert!(disk.octets() == before, "{what}: it is refused, but was written to");
            return Err(error);
        }
    };
    let mut is_last = true;
    for uri in [ALICE, BOB] {
        let bindings = fetch(&mut store, uri, at(0)).bindings;
        is_last &= bindings == ["<sip:a@b> 3600 one 3"];
        for binding in bindings {
            let was_bound = (1..4).any(|round| binding == format!("<sip:a@b> 3600 one {round}"));
            assert!(was_bound, "{what}: {binding}");
        }
    }
    assert!(store.len() <= 2, "{what}");
    // It takes changes, which are there again.
    change(&mut store, register("sip:new@h", "one 1", &["<sip:n@b> 3600"]), at(0)).unwrap();
    drop(store);
    let mut again = on(&disk);
    assert_eq!(fetch(&mut again, "sip:new@h", at(0)).bindings.len(), 1, "{what}");
    drop(again);
    Ok((is_last, contents))
}

/// Every octet of the parts that are in use, and some of each page besides, is changed: what comes up is sound or it is refused.
#[test]
fn a_damaged_file_is_refused_or_comes_up_sound() {
    for is_closed in [true, false] {
        let (octets, bound) = small(is_closed);
        assert_eq!(bound[ALICE], ["<sip:a@b> 3600 one 3"]);
        let (mut refused, mut sound) = (0, 0);
        for at in 0..octets.len() {
            // Of a stretch of nothing, one octet tells for all.
            let is_blank =
                octets[at.saturating_sub(8)..(at + 8).min(octets.len())].iter().all(|octet| *octet == 0);
            if is_blank && at % 509 != 0 {
                continue;
            }
            for mask in [1 << (at % 8), 0xff].into_iter().take(if at % 7 == 0 { 2 } else { 1 }) {
                let mut damaged = octets.clone();
                damaged[at] ^= mask;
                match survives(damaged, &format!("octet {at} ^ {mask}, closed: {is_closed}")) {
                    Ok((is_last, _)) => {
                        assert!(
                            is_last,
                            "octet {at} ^ {mask}: what was confirmed last is lost, and nothing tells"
                        );
                        sound += 1;
                    }
                    Err(OpenError::Damaged(_) | OpenError::Foreign | OpenError::Newer(_)) => refused += 1,
                    Err(error) => panic!("{at}: {error}"),
                }
            }
        }
        assert!(refused > 1000 && sound > 100, "{refused} refused, {sound} sound");
    }
}

/// A file of which only a part is there comes up with a note, or is refused.
#[test]
fn a_file_cut_short_is_refused_or_told() {
    for is_closed in [true, false] {
        let (octets, _) = small(is_closed);
        let mut lengths: Vec<usize> = (0..700).chain((0..octets.len()).step_by(4096)).collect();
        lengths.extend((0..octets.len()).step_by(1013));
        for length in lengths {
            match survives(octets[..length].to_vec(), &format!("{length} octets, closed: {is_closed}")) {
                // An empty one is a new one.
                Ok(_) if length == 0 => {}
                Ok((is_last, contents)) => assert!(is_last && contents.is_cut, "{length}"),
                Err(OpenError::Damaged(_) | OpenError::Foreign) => {}
                Err(error) => panic!("{length}: {error}"),
            }
        }
        let (_, contents) = survives(octets, "whole").unwrap();
        assert!(!contents.is_cut);
    }
}

fn open(path: &Path) -> Result<(Embedded, Contents), OpenError> {
    Embedded::open(path, ROOM, at(0))
}

/// The file is made for its owner alone, has one server at a time, and is there again.
#[test]
fn a_file_is_made_and_has_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bindings.db");
    let (mut store, contents) = open(&path).unwrap();
    assert_eq!((contents.aors, contents.format, contents.is_cut), (0, 1, false));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(matches!(open(&path), Err(OpenError::InUse)));
    assert!(matches!(Embedded::check(&path, at(0)), Err(OpenError::InUse)));
    change(&mut store, register(ALICE, "one 1", &["<sip:a> 60", "<sip:b> 90"]), at(0)).unwrap();
    drop(store);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    let checked = Embedded::check(&path, at(60_000)).unwrap();
    assert_eq!((checked.aors, checked.live, checked.expired), (1, 1, 1));
    assert_eq!(open(&path).unwrap().0.len(), 2);
    assert!(matches!(open(folder.path()), Err(OpenError::Foreign | OpenError::Io(_))));
    assert!(matches!(open(&folder.path().join("no/bindings.db")), Err(OpenError::Io(_))));
    assert!(matches!(Embedded::check(&folder.path().join("none.db"), at(0)), Err(OpenError::Io(_))));
}

/// Files of others, and of the future, are refused and left as they are.
#[test]
fn other_files_are_refused_and_left_alone() {
    const ABOUT: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("sipreg");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bindings.db");
    let refused = |expected: &str| {
        let before = fs::read(&path).unwrap();
        for result in [open(&path).map(|(_, contents)| contents), Embedded::check(&path, at(0))] {
            let said = result.unwrap_err().to_string();
            assert!(said.starts_with(expected), "{said}, not {expected}");
        }
        assert!(fs::read(&path).unwrap() == before, "{expected}: it was written to");
        fs::remove_file(&path).unwrap();
    };
    fs::write(&path, "alice:example.com:0123456789abcdef\n").unwrap();
    refused("is no store of sipreg");
    fs::write(&path, "").unwrap();
    refused("is damaged: it is empty");
    drop(redb::Database::create(&path).unwrap());
    refused("is no store of sipreg");
    drop(open(&path).unwrap());
    {
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(ABOUT).unwrap().insert("format", 2).unwrap();
        transaction.commit().unwrap();
    }
    refused("was written by a newer sipreg (format 2)");
    drop(open(&path).unwrap());
    let mut octets = fs::read(&path).unwrap();
    let middle = octets.iter().rposition(|octet| *octet != 0).unwrap();
    octets[middle - 4] ^= 1;
    octets[100] ^= 1;
    octets[230] ^= 1;
    fs::write(&path, octets).unwrap();
    refused("is damaged: ");
}
