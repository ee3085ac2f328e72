//! Calls and messages by chance: one to three callers, two to four devices that do as they like, and a network between
//! them that does as it likes. An [`oracle`] that knows the rules and not the proxy watches both sides of it: after each
//! event, what has left is what had to leave.
//!
//! `SIPREG_SEED=n` lives one of them again and prints its whole ladder; `SIPREG_SEEDS=n` lives so many.

mod agent;
mod message;
mod oracle;
mod scenario;
mod world;

use oracle::Tally;
use scenario::Scenario;
use world::World;

/// As many as every change has to pass.
const SEEDS: u64 = 500;

/// So many kinds of events happen in those seeds, or they show less than they say; the rarest may be missing.
const KINDS: usize = 24;

/// Lives one life; its ladder, and what happened. Whatever is wrong with it panics, and its ladder is printed.
fn live(seed: u64, show: bool) -> (String, Tally) {
    let scenario = Scenario::new(seed);
    let mut world = World::new(seed, &scenario);
    world.ladder.whole = show;
    world.ladder.note(0, format_args!("{scenario:#?}"));
    world.run();
    world.judge();
    if show {
        world.ladder.print();
    }
    (world.ladder.text().to_owned(), std::mem::take(&mut world.oracle.tally))
}

/// FRK-001 FRK-002 FRK-004 FRK-005 FRK-006 FRK-007 FRK-008 FRK-009 FRK-010 FRK-011 FRK-012 FRK-014 FRK-016 FRK-018 FRK-019
/// FRK-017 FRK-020 FRK-022 FRK-023 FRK-024 FRK-025 FRK-026 FRK-027 PRX-027 PRX-030 LOP-007
#[test]
fn seeds_end_every_call_as_the_rules_say_and_leave_nothing_behind() {
    if let Ok(seed) = std::env::var("SIPREG_SEED") {
        live(seed.parse().expect("SIPREG_SEED is a number"), true);
        return;
    }
    let seeds = std::env::var("SIPREG_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("a number"));
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let share = |first: u64| {
        let mut sum = Tally::new();
        for seed in (first..seeds).step_by(threads as usize) {
            let (ladder, tally) = live(seed, false);
            if seed.is_multiple_of(20) {
                assert!(live(seed, false).0 == ladder, "seed {seed} has two ladders");
            }
            tally.into_iter().for_each(|(what, count)| *sum.entry(what).or_default() += count);
        }
        sum
    };
    let mut sum = Tally::new();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        for tally in running.into_iter().map(|thread| thread.join().expect("all seeds are fine")) {
            tally.into_iter().for_each(|(what, count)| *sum.entry(what).or_default() += count);
        }
    });
    sum.iter().for_each(|(what, count)| println!("{count:>6}  {what}"));
    assert!(sum.len() >= KINDS || seeds < SEEDS, "{} kinds of events", sum.len());
}
