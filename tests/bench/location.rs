//! What the location service in memory costs, with few bindings and with many.
//!
//! `cargo bench --bench location` measures resident memory and CPU time. `tests/bench/location` counts instructions
//! besides: it runs this program under callgrind as `location --count <what> <bindings>`, which says `ready` when there
//! are so many, and goes on when a line comes in; and as `location --count-making <what>`, for what is to be taken off.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::hint::black_box;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use sipreg::proto::binding::{Aor, Change, Operation, Source, Wanted, What};
use sipreg::proto::{FlowId, Time, Transport};
use sipreg::sip::{AnyUri, Uri};
use sipreg::store::{Memory, Store};

/// Operations that are measured at a time.
const TIMES: u32 = 20_000;
const LEASE: u32 = 3600;
/// Seconds in which every binding is refreshed once.
const ROUND: u32 = LEASE * 9 / 20;
const START: Time = Time::from_millis(1_700_000_000_000);

fn aor(number: usize) -> Aor {
    Aor::of(&Uri::parse(format!("sip:user{number:07}@example.com")).unwrap())
}

/// A REGISTER with one contact of 130 octets, and a Call-ID of 36.
fn register(number: usize, cseq: u32, lifetime: u32) -> Operation {
    let [_, a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
    let uri = format!("sip:user{number:07}@10.{a}.{b}.{c}:5060;transport=udp");
    let instance = format!("f81d4fae-7dec-11d0-a765-{number:012}");
    Operation::Change(Change {
        aor: aor(number),
        call_id: format!("843817637684230-998sdasdh09-{number:08}").into(),
        cseq,
        what: What::Contacts(vec![Wanted {
            uri: AnyUri::parse(&uri).unwrap(),
            contact: format!("<{uri}>;reg-id=1;+sip.instance=\"<urn:uuid:{instance}>\"").into(),
            q: None,
            lifetime,
            path: "".into(),
            source: Source { flow: FlowId(1), peer: ([10, a, b, c], 5060).into(), transport: Transport::Udp },
        }]),
        limit: 10,
    })
}

/// A registrar in full swing: the bindings are refreshed one after the other, each before half its lease is over, so that
/// its turn in the queue comes with every second refresh.
struct Swing {
    store: Memory,
    bindings: usize,
    refreshes: usize,
    lookups: usize,
}

impl Swing {
    fn new(bindings: usize) -> Swing {
        let mut swing = Swing { store: Memory::default(), bindings, refreshes: 0, lookups: 0 };
        for at in 0..bindings {
            // half of them in the queue as if they had been there for long
            if at % 2 == 0 {
                swing.perform(register(swing.number(at), 0, ROUND - 1), swing.now());
            }
            let (refresh, now) = swing.refresh();
            swing.perform(refresh, now);
        }
        swing
    }

    /// Goes through all in an order that no cache foresees.
    fn number(&self, at: usize) -> usize {
        at * 7_368_787 % self.bindings
    }

    fn now(&self) -> Time {
        START + Duration::from_secs(ROUND.into()).mul_f64(self.refreshes as f64 / self.bindings as f64)
    }

    fn refresh(&mut self) -> (Operation, Time) {
        let round = u32::try_from(self.refreshes / self.bindings).unwrap();
        let made = (register(self.number(self.refreshes), 1 + round, LEASE), self.now());
        self.refreshes += 1;
        made
    }

    fn make(&mut self, what: &str) -> (Operation, Time) {
        match what {
            "update" => self.refresh(),
            "lookup" => {
                self.lookups += 1;
                (Operation::Fetch(aor(self.number(self.lookups))), self.now())
            }
            _ => panic!("neither update nor lookup: {what}"),
        }
    }

    /// With what is due at that time.
    fn perform(&mut self, operation: Operation, now: Time) {
        let stored = self.store.perform(operation, now).unwrap();
        assert_eq!(black_box(&stored).bindings.len(), 1);
        if stored.next_expiry.is_some_and(|due| due <= now) {
            assert!(self.store.perform(Operation::Expire, now).unwrap().effects.is_empty());
        }
    }

    /// Nanoseconds of CPU time, the median of nine turns. What is performed is made before.
    fn nanoseconds(&mut self, what: &str) -> u128 {
        let mut taken: Vec<_> = (0..9)
            .map(|_| {
                let made: Vec<_> = (0..TIMES).map(|_| self.make(what)).collect();
                let start = cpu();
                made.into_iter().for_each(|(operation, now)| self.perform(operation, now));
                (cpu() - start).as_nanos() / u128::from(TIMES)
            })
            .collect();
        taken.sort_unstable();
        taken[4]
    }
}

/// The half of this program for callgrind.
fn count(what: &str, bindings: usize, performs: bool) {
    let mut swing = Swing::new(bindings);
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    for _ in 0..TIMES {
        let (operation, now) = black_box(swing.make(what));
        if performs {
            swing.perform(operation, now);
        }
    }
    // without taking a million bindings apart
    std::process::exit(0);
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "--count", what, bindings] => return count(what, bindings.parse().unwrap(), true),
        [_, "--count-making", what] => return count(what, 1000, false),
        _ => {}
    }
    println!(
        "{:>10} {:>20} {:>15} {:>15}",
        "bindings", "octets resident each", "ns per update", "ns per lookup"
    );
    for bindings in [1_000, 1_000_000] {
        let before = resident();
        let mut swing = Swing::new(bindings);
        let each = (resident() - before) / bindings;
        let (update, lookup) = (swing.nanoseconds("update"), swing.nanoseconds("lookup"));
        println!("{bindings:>10} {each:>20} {update:>15} {lookup:>15}");
        assert_eq!(swing.store.len(), bindings);
        // with few, the rest of the process weighs more than they do
        assert!(bindings < 1_000_000 || each <= 600, "too much memory");
    }
}
