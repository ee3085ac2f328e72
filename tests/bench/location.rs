//! What the location service in memory costs, with few bindings and with many: by itself, and as part of a request.
//!
//! `cargo bench --bench location` measures resident memory and CPU time. `tests/bench/location` counts instructions
//! besides: it runs this program under callgrind as `location --count <what> <bindings>`, which says `ready` when there
//! are so many, and goes on when a line comes in; and as `location --count-making <what>`, for what is to be taken off.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use nix::time::{ClockId, clock_gettime};
use sipreg::proto::binding::{Aor, Change, ContactChange, Operation, Source, WantedContact};
use sipreg::proto::client::plan::Timing;
use sipreg::proto::ids::Counting;
use sipreg::proto::registrar::service::{Fork, Limits, Listen, Nodes, Policy, Service};
use sipreg::proto::{Action, Command, Endpoint, Event, FlowId, NodeId, Time, Transport};
use sipreg::sip::{AnyUri, Host, Uri};
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

/// Its text is equally long for all: otherwise a million would cost more for that alone.
fn peer(number: usize) -> SocketAddr {
    let part = |unit: usize| u8::try_from(100 + number / unit % 100).unwrap();
    ([10, part(10_000), part(100), part(1)], 5060).into()
}

fn uri(number: usize) -> String {
    format!("sip:user{number:07}@{};transport=udp", peer(number))
}

/// 130 octets.
fn contact(number: usize) -> String {
    let instance = format!("f81d4fae-7dec-11d0-a765-{number:012}");
    format!("<{}>;reg-id=1;+sip.instance=\"<urn:uuid:{instance}>\"", uri(number))
}

/// 36 octets.
fn call_id(number: usize) -> String {
    format!("843817637684230-998sdasdh09-{number:08}")
}

/// What a REGISTER with one contact asks for.
fn register(number: usize, cseq: u32, lifetime: u32) -> Operation {
    Operation::Change(Change {
        aor: aor(number),
        call_id: call_id(number).into(),
        cseq,
        contacts: ContactChange::Contacts(vec![WantedContact {
            uri: AnyUri::parse(uri(number)).unwrap(),
            contact: contact(number).into(),
            q: None,
            lifetime,
            path: "".into(),
            source: Source {
                flow: FlowId(1),
                peer: peer(number),
                transport: Transport::Udp,
                is_way: false,
                node: NodeId::LOCAL,
            },
        }]),
        limit: 10,
    })
}

/// The same as it comes from the network; without a contact it asks for the list.
fn datagram(number: usize, cseq: u32, contact: &str) -> Bytes {
    let text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{number}-{cseq};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:user{number:07}@example.com>;tag={number}\r\n\
         To: <sip:user{number:07}@example.com>\r\nCall-ID: {}\r\nCSeq: {cseq} REGISTER\r\n{contact}\
         Expires: {LEASE}\r\nContent-Length: 0\r\n\r\n",
        peer(number),
        call_id(number)
    );
    text.into()
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

    fn nanoseconds(&mut self, what: &str) -> u128 {
        median(|| {
            let made: Vec<_> = (0..TIMES).map(|_| self.make(what)).collect();
            let start = cpu();
            made.into_iter().for_each(|(operation, now)| self.perform(operation, now));
            cpu() - start
        })
    }
}

/// A registrar that anybody may use, without sockets: octets in, octets out. It has the same amount of transactions
/// alive, however many bindings there are.
struct Server {
    endpoint: Endpoint,
    swing: Swing,
    flow: FlowId,
    now: Time,
    /// Goes up with every request.
    cseq: u32,
}

/// The time between two requests.
const GAP: Duration = Duration::from_millis(1);

impl Server {
    fn new(swing: Swing) -> Server {
        let address = ([192, 0, 2, 1], 5060).into();
        let service = Service {
            listen: vec![Listen { transport: Transport::Udp, address }],
            domains: vec![Host::parse("example.com").unwrap()],
            policy: Policy { min_expires: 60, max_expires: 7200, default_expires: LEASE, max_contacts: 10 },
            verifier: None,
            fork: Fork::default(),
            auth_calls: false,
            limits: Limits { rate: u32::MAX, login_failures: u32::MAX, ..Limits::default() },
            pinned: Vec::new(),
            timing: Timing::default(),
            tell_messages: false,
            nodes: Nodes::default(),
        };
        let endpoint = Endpoint::new(Box::new(Counting::default()));
        let mut server = Server { endpoint, flow: FlowId(0), now: swing.now(), swing, cseq: 1000 };
        server.handle(Event::Command(Command::Serve(Box::new(service))));
        server
    }

    /// How many answers came of an event.
    fn handle(&mut self, event: Event) -> usize {
        let mut sent = 0;
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.endpoint.handle(event, self.now) {
                match action {
                    Action::Store { ask, operation } => {
                        let answer = self.swing.store.perform(operation, self.now);
                        events.push(Event::Stored { ask, answer });
                    }
                    Action::Listen { flow, address, .. } => {
                        self.flow = flow;
                        events.push(Event::Opened { flow, local: address });
                    }
                    Action::Transmit { bytes, .. } => {
                        assert!(black_box(bytes).starts_with(b"SIP/2.0 200 "));
                        sent += 1;
                    }
                    Action::Open { .. }
                    | Action::FindSource { .. }
                    | Action::Present(_)
                    | Action::Close { .. }
                    | Action::Authorize { .. }
                    | Action::Resolve { .. }
                    | Action::Checkpoint(_)
                    | Action::Notify(_) => {}
                }
            }
        }
        sent
    }

    fn nanoseconds(&mut self, what: &str) -> u128 {
        median(|| {
            let made: Vec<_> = (0..TIMES).map(|_| self.make(what)).collect();
            let start = cpu();
            for (peer, bytes) in made {
                self.now = self.now + GAP;
                if self.endpoint.next_timeout().is_some_and(|(due, _)| due <= self.now) {
                    self.handle(Event::Timeout);
                }
                let sent = self.handle(Event::Received { flow: self.flow, peer, bytes });
                assert_eq!(sent, 1);
            }
            cpu() - start
        })
    }

    fn make(&mut self, what: &str) -> (SocketAddr, Bytes) {
        self.cseq += 1;
        let number = self.swing.number(self.cseq as usize);
        let contact = match what {
            "update" => format!("Contact: {}\r\n", contact(number)),
            _ => String::new(),
        };
        (peer(number), datagram(number, self.cseq, &contact))
    }
}

/// Nanoseconds of CPU time that one of [`TIMES`] takes, the median of nine turns.
fn median(mut turn: impl FnMut() -> Duration) -> u128 {
    let mut taken: Vec<_> = (0..9).map(|_| turn().as_nanos() / u128::from(TIMES)).collect();
    taken.sort_unstable();
    taken[4]
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
        "{:>10} {:>20} {:>15} {:>15} {:>24} {:>24}",
        "bindings",
        "octets resident each",
        "ns per update",
        "ns per lookup",
        "ns per REGISTER, refresh",
        "ns per REGISTER, list"
    );
    for bindings in [1_000, 1_000_000] {
        let before = resident();
        let mut swing = Swing::new(bindings);
        let each = (resident() - before) / bindings;
        let (update, lookup) = (swing.nanoseconds("update"), swing.nanoseconds("lookup"));
        assert_eq!(swing.store.len(), bindings);
        let mut server = Server::new(swing);
        let (refresh, list) = (server.nanoseconds("update"), server.nanoseconds("lookup"));
        println!("{bindings:>10} {each:>20} {update:>15} {lookup:>15} {refresh:>24} {list:>24}");
        assert_eq!(server.swing.store.len(), bindings);
        // with few, the rest of the process weighs more than they do
        assert!(bindings < 1_000_000 || each <= 600, "too much memory");
    }
}
