//! Ten thousand lives by chance, over every transport. `SIPREG_SEED=n` lives one of them again and prints its whole ladder.

use std::collections::BTreeMap;
use std::time::Duration;

use sipreg::proto::client::plan::{Plan, Purpose, Resume};
use sipreg::sip::NameAddr;

use crate::dice::Dice;
use crate::engine::run;
use crate::internet::{Internet, START};
use crate::links::Weather;
use crate::registrar::SPARE;
use crate::scenario::{LOSSES, Scenario};
use crate::script::{Ending, SCRIPTS, Script};
use crate::world;

const SEEDS: u64 = 10_000;

/// How each command of a life ended, with the ladder.
struct Life {
    ladder: String,
    endings: Vec<(Purpose, Ending)>,
}

/// What a device keeps between two processes.
#[derive(Default)]
struct AccountEvent {
    dialogue: Option<(String, u32)>,
    own: Vec<String>,
}

impl AccountEvent {
    /// Asked to be bound, it may be; confirmed, it alone is.
    fn settle(&mut self, net: &mut Internet<'_>, named: &[String]) {
        let report = net.report.take().unwrap();
        let mut asked: Vec<String> = Vec::new();
        for what in net.kept.drain(..) {
            self.dialogue = Some((what.call_id, what.cseq));
            asked = what.contacts.iter().map(|contact| contact.uri.to_string()).collect();
            let new: Vec<String> = asked.iter().filter(|uri| !self.own.contains(uri)).cloned().collect();
            self.own.extend(new);
        }
        match (report.purpose, report.result) {
            (Purpose::Bind { .. }, Ok(_)) if !asked.is_empty() => self.own = asked,
            // A process that keeps nothing tells the user, who names it to the next one.
            (Purpose::Bind { .. }, Ok(success)) => {
                self.own = success.contacts.iter().map(|granted| granted.uri.to_string()).collect();
            }
            (Purpose::Remove, Ok(_)) => self.own.retain(|own| !named.contains(own)),
            (Purpose::RemoveAll, Ok(_)) => self.own.clear(),
            (Purpose::Fetch, Ok(_)) | (_, Err(_)) => {}
        }
    }
}

/// Lives one life. Whatever is wrong with it panics, and its ladder is printed.
fn live(seed: u64, show: bool) -> Life {
    let scenario = Scenario::new(seed);
    let mut net = Internet::new(seed, &scenario);
    net.ladder.whole = show;
    net.ladder.note(0, format_args!("{scenario:?}"));
    let mut random = Dice::new(seed, 3);
    let (mut kept, mut endings, mut now) = (AccountEvent::default(), Vec::new(), START);
    for purpose in scenario.wishes {
        let plan = wish(&scenario, *purpose, &kept);
        let named: Vec<String> = plan.contacts.iter().map(|contact| contact.uri.to_string()).collect();
        net.begin(&plan);
        net.ladder.note(now.since(START).as_millis() as u64, format_args!("{purpose:?}"));
        now = run(plan, Box::new(random.split()), now, &mut net) + Duration::from_secs(60);
        endings.extend(net.report.iter().map(|report| (*purpose, Ending::of(report))));
        kept.settle(&mut net, &named);
    }
    if show {
        net.ladder.print();
    }
    Life { ladder: net.ladder.text().to_owned(), endings }
}

fn contacts(uris: &[String]) -> Vec<NameAddr> {
    uris.iter().map(|uri| world::contact(&format!("<{uri}>"))).collect()
}

fn wish(scenario: &Scenario, purpose: Purpose, kept: &AccountEvent) -> Plan {
    let mut plan = scenario.plan(purpose);
    if scenario.remembers {
        let outdated = |(call_id, cseq): (String, u32)| {
            let lost = u32::from(scenario.outdated).min(cseq);
            (call_id, cseq - lost)
        };
        plan.resume = Some(Box::new(Resume {
            dialogue: kept.dialogue.clone().map(outdated),
            own: contacts(&kept.own),
        }));
    }
    if purpose == Purpose::Remove {
        plan.contacts = contacts(&kept.own);
        if plan.contacts.is_empty() {
            plan.contacts.push(world::contact(&format!("<{SPARE}>")));
        }
    }
    plan
}

/// Endings by script and loss.
type Count = BTreeMap<(usize, usize), [u32; 6]>;

/// Those of binding and of removing, and what came of binding where only the loss could be in the way.
#[derive(Default)]
struct Tally {
    bind: Count,
    remove: Count,
    clear: BTreeMap<usize, (u32, u32)>,
}

impl Tally {
    fn add(&mut self, seed: u64, life: &Life) {
        let scenario = Scenario::new(seed);
        let script = SCRIPTS.iter().position(|script| script.name == scenario.script.name).unwrap();
        let loss = LOSSES.iter().position(|loss| *loss == scenario.weather.loss).unwrap();
        for (purpose, ending) in &life.endings {
            let binds = matches!(purpose, Purpose::Bind { .. });
            let count = if binds { &mut self.bind } else { &mut self.remove };
            count.entry((script, loss)).or_default()[*ending as usize] += 1;
            let calm = Weather { loss: 0, ..scenario.weather.clone() };
            let would = Scenario { weather: calm, ..Scenario::new(seed) }.allowed(*purpose);
            if binds && would == [Ending::Done] {
                let (done, all) = self.clear.entry(loss).or_default();
                *done += u32::from(*ending == Ending::Done);
                *all += 1;
            }
        }
    }

    fn merge(&mut self, other: Tally) {
        for (mine, theirs) in [(&mut self.bind, other.bind), (&mut self.remove, other.remove)] {
            for (key, counts) in theirs {
                let sum = mine.entry(key).or_default();
                sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
        for (loss, (done, all)) in other.clear {
            let sum = self.clear.entry(loss).or_default();
            *sum = (sum.0 + done, sum.1 + all);
        }
    }

    fn print(&self) {
        for (title, done, count) in
            [("register", "registered", &self.bind), ("unregister", "unregistered", &self.remove)]
        {
            println!("\n{title}: {done}/refused/timed out/other, by loss of datagrams");
            let heads: String = LOSSES.iter().map(|loss| format!("{:>18}", format!("{loss} %"))).collect();
            println!("{:<20}{heads}", "");
            for (script, Script { name, .. }) in SCRIPTS.iter().enumerate() {
                let cell = |loss: usize| {
                    let [done, refused, credentials, timeout, unreachable, misbehaved] =
                        count.get(&(script, loss)).copied().unwrap_or_default();
                    format!("{done}/{}/{timeout}/{}", refused + credentials, unreachable + misbehaved)
                };
                let cells: String = (0..LOSSES.len()).map(|loss| format!("{:>18}", cell(loss))).collect();
                println!("{name:<20}{cells}");
            }
        }
        for (loss, (done, all)) in &self.clear {
            let share = f64::from(*done) * 100.0 / f64::from(*all);
            println!(
                "at {} % loss {done} of {all} registrations succeed that could: {share:.1} %",
                LOSSES[*loss]
            );
        }
    }
}

/// DES-027 TXN-006 REG-018 DES-012 DES-023 DES-024 DES-030
#[test]
fn ten_thousand_seeds_end_as_their_scripts_allow_and_leave_nothing_behind() {
    if let Ok(seed) = std::env::var("SIPREG_SEED") {
        live(seed.parse().expect("SIPREG_SEED is a number"), true);
        return;
    }
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let share = |first: u64| {
        let mut tally = Tally::default();
        for seed in (first..SEEDS).step_by(threads as usize) {
            let life = live(seed, false);
            // Every fifth meets every script at every loss, and is enough.
            if seed.is_multiple_of(5) {
                assert!(live(seed, false).ladder == life.ladder, "seed {seed} has two ladders");
            }
            tally.add(seed, &life);
        }
        tally
    };
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        for thread in running {
            tally.merge(thread.join().expect("all seeds are fine"));
        }
    });
    tally.print();
}
