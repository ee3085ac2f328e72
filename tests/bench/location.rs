//! What the location service in memory costs, with few bindings and with many.
//!
//! `cargo bench --bench location` measures resident memory and CPU time. `tests/bench/location` counts instructions
//! besides: it runs this program under callgrind as `location --count <what> <bindings>`, which says `ready` when all is
//! prepared, and does what is to be counted when a line comes in.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::hint::black_box;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use sipreg::proto::binding::{Aor, Change, Operation, Source, Wanted, What};
use sipreg::proto::{FlowId, Time, Transport};
use sipreg::sip::{AnyUri, Uri};
use sipreg::store::{Memory, Store};

/// Operations that are measured at a time, made beforehand.
const PREPARED: usize = 20_000;
const LEASE: u32 = 3600;
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

/// A registrar in full swing: every binding is refreshed once in half its lease, so that its turn in the queue comes with
/// every second refresh.
struct Swing {
    store: Memory,
    bindings: usize,
    refreshes: usize,
    lookups: usize,
}

impl Swing {
    fn new(bindings: usize) -> Swing {
        let mut swing = Swing { store: Memory::default(), bindings, refreshes: 0, lookups: 0 };
        while swing.refreshes < bindings {
            let (number, now) = (swing.number(swing.refreshes), swing.now());
            if number % 2 == 0 {
                swing.store.perform(register(number, 1, LEASE / 2), now).unwrap();
            }
            swing.store.perform(register(number, 2, LEASE), now).unwrap();
            swing.refreshes += 1;
        }
        swing
    }

    /// Goes through all in an order that no cache foresees.
    fn number(&self, at: usize) -> usize {
        at * 7_368_787 % self.bindings
    }

    fn now(&self) -> Time {
        let span = Duration::from_secs(u64::from(LEASE / 2));
        START + span.mul_f64(self.refreshes as f64 / self.bindings as f64)
    }

    /// The next `times` of what is to be measured, made beforehand.
    fn prepare(&mut self, what: &str, times: usize) -> Vec<(Operation, Time)> {
        let operations = (0..times).map(|_| match what {
            "update" => {
                let cseq = 2 + u32::try_from(self.refreshes / self.bindings).unwrap();
                let operation = register(self.number(self.refreshes), cseq, LEASE);
                self.refreshes += 1;
                (operation, self.now())
            }
            "lookup" => {
                self.lookups += 1;
                (Operation::Fetch(aor(self.number(self.lookups))), self.now())
            }
            _ => panic!("neither update nor lookup: {what}"),
        });
        operations.collect()
    }
}

fn perform(store: &mut Memory, operations: Vec<(Operation, Time)>) {
    for (operation, now) in operations {
        let stored = store.perform(operation, now).unwrap();
        assert_eq!(black_box(&stored).bindings.len(), 1);
        if stored.next_expiry.is_some_and(|due| due <= now) {
            assert!(store.perform(Operation::Expire, now).unwrap().effects.is_empty());
        }
    }
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The median of nine turns, in nanoseconds each.
fn nanoseconds(swing: &mut Swing, what: &str) -> u128 {
    let mut taken: Vec<_> = (0..9)
        .map(|_| {
            let operations = swing.prepare(what, PREPARED);
            let start = cpu();
            perform(&mut swing.store, operations);
            (cpu() - start).as_nanos() / PREPARED as u128
        })
        .collect();
    taken.sort_unstable();
    taken[4]
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, "--count", what, bindings] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let mut swing = Swing::new(bindings.parse().unwrap());
        let operations = swing.prepare(what, PREPARED);
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        perform(&mut swing.store, operations);
        // without taking a million bindings apart
        std::process::exit(0);
    }
    println!(
        "{:>10} {:>20} {:>15} {:>15}",
        "bindings", "octets resident each", "ns per update", "ns per lookup"
    );
    for bindings in [1_000, 1_000_000] {
        let before = resident();
        let mut swing = Swing::new(bindings);
        let each = (resident() - before) / bindings;
        let (update, lookup) = (nanoseconds(&mut swing, "update"), nanoseconds(&mut swing, "lookup"));
        println!("{bindings:>10} {each:>20} {update:>15} {lookup:>15}");
        assert_eq!(swing.store.len(), bindings);
        // with few, the rest of the process weighs more than they do
        assert!(bindings < 1_000_000 || each <= 600, "too much memory");
    }
}
