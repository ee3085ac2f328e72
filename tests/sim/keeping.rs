//! Accounts that are kept bound: days in seconds, with registrars that do what registrars do. For each scenario the
//! share of time is printed in which the registrar holds a binding, and held against what is possible.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::ids::Random;
use sipreg::proto::keep::{Kept, Left};
use sipreg::proto::locate::Destination;
use sipreg::proto::plan::Plan;
use sipreg::proto::{
    Action, Cause, Command, Endpoint, Event, FlowId, Notice, RegistrationId, Time, Transport,
};

use crate::dice::Dice;
use crate::hostile;
use crate::world::{plan, uri};

const START: Time = Time::from_millis(1_792_000_000_000);
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What the registrar does with a request.
enum Reply {
    /// Nothing.
    Silent,
    /// A response, as [`hostile::answer`] spells it.
    Say(String),
    /// It grants so many seconds.
    Grant(u64),
    /// It grants them, and closes the connection so many milliseconds later.
    GrantAndClose(u64, u64),
    /// Nobody listens.
    Refuse,
}

/// What it is asked.
struct Asked<'a> {
    /// Milliseconds since the start.
    at: u64,
    text: &'a str,
    to: SocketAddr,
}

/// How long the registrar holds a binding of one account.
#[derive(Default)]
struct Share {
    bound: u64,
    since: u64,
    until: u64,
}

impl Share {
    fn grant(&mut self, at: u64, lease: u64) {
        self.bound += at.min(self.until).saturating_sub(self.since);
        (self.since, self.until) = (at, at + lease);
    }
}

type Server = Box<dyn FnMut(&Asked<'_>) -> Reply>;

struct World {
    endpoint: Endpoint,
    now: Time,
    order: u64,
    agenda: BTreeMap<(Time, u64), Event>,
    flows: BTreeMap<FlowId, Destination>,
    server: Server,
    /// Datagrams lost, of a thousand.
    loss: u64,
    dice: Dice,
    shares: BTreeMap<String, Share>,
    /// Requests, copies aside, by second.
    rate: BTreeMap<u64, u32>,
    last: BTreeMap<FlowId, Bytes>,
    told: Vec<(u64, String)>,
    left: Vec<Left>,
    opened: u32,
}

impl World {
    fn new(server: impl FnMut(&Asked<'_>) -> Reply + 'static) -> World {
        World {
            endpoint: Endpoint::new(Box::new(Dice::new(1, 1))),
            now: START,
            order: 0,
            agenda: BTreeMap::new(),
            flows: BTreeMap::new(),
            server: Box::new(server),
            loss: 0,
            dice: Dice::new(1, 2),
            shares: BTreeMap::new(),
            rate: BTreeMap::new(),
            last: BTreeMap::new(),
            told: Vec::new(),
            left: Vec::new(),
            opened: 0,
        }
    }

    fn keep(&mut self, number: u64, plan: Plan, delay: u64) {
        let registration = RegistrationId(number);
        let delay = Duration::from_millis(delay);
        self.command(Command::Keep { registration, plan: Box::new(plan), delay, probe: None });
    }

    /// One account with a password, at 192.0.2.1 over UDP.
    fn one(server: impl FnMut(&Asked<'_>) -> Reply + 'static) -> World {
        let mut world = World::new(server);
        world.keep(1, plan(), 0);
        world
    }

    fn at(&self) -> u64 {
        self.now.since(START).as_millis() as u64
    }

    fn put(&mut self, after: u64, event: Event) {
        self.order += 1;
        self.agenda.insert((self.now + Duration::from_millis(after), self.order), event);
    }

    fn command(&mut self, command: Command) {
        self.handle(Event::Command(command));
    }

    /// Lets the clock run to so many milliseconds after the start.
    fn run(&mut self, until: u64) {
        let end = START + Duration::from_millis(until);
        loop {
            let first = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let due = self.endpoint.next_timeout().map(|(at, _)| at);
            match (first, due) {
                (Some(at), due) if at <= end && due.is_none_or(|due| at <= due) => {
                    self.now = self.now.max(at);
                    let (_, event) = self.agenda.pop_first().unwrap();
                    self.handle(event);
                }
                (_, Some(due)) if due <= end => {
                    self.now = self.now.max(due);
                    self.handle(Event::Timeout);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        let actions: Vec<Action> = self.endpoint.handle(event, self.now).collect();
        actions.into_iter().for_each(|action| self.act(action));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Open { flow, destination } => {
                self.opened += 1;
                self.flows.insert(flow, destination);
                self.put(1, Event::Opened { flow, local: "192.0.2.99:5070".parse().unwrap() });
            }
            Action::Close { flow } => {
                self.flows.remove(&flow).expect("it is open");
                self.last.remove(&flow);
            }
            Action::Transmit { flow, peer, bytes } => self.transmit(flow, peer, bytes),
            Action::Notify(Notice::Kept { what, .. }) => self.tell(what),
            Action::Notify(_) | Action::Remember(_) => {}
            Action::Resolve { .. } | Action::Listen { .. } | Action::Store { .. } => panic!("{action:?}"),
        }
    }

    fn tell(&mut self, what: Kept) {
        let ms = |time: Time| time.since(START).as_millis();
        let text = match what {
            Kept::Registering => "registering".to_owned(),
            Kept::Registered { .. } => "registered".to_owned(),
            Kept::Refreshed { .. } => "refreshed".to_owned(),
            Kept::Failed { report, next, .. } => {
                format!("failed {:?} {:?}", report.result.err(), next.map(ms))
            }
            Kept::FlowFailed { cause, .. } => format!("flow failed {cause:?}"),
            Kept::Unregistered(_) => "unregistered".to_owned(),
            Kept::Stopped(left) => {
                self.left.push(left);
                format!("stopped {left:?}")
            }
        };
        self.told.push((self.at(), text));
    }

    fn transmit(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes) {
        let to = self.flows[&flow];
        let copy = self.last.insert(flow, bytes.clone()) == Some(bytes.clone());
        if !copy {
            *self.rate.entry(self.at() / 1000).or_default() += 1;
        }
        let datagrams = to.transport == Transport::Udp;
        if datagrams && self.dice.next() % 1000 < self.loss {
            return;
        }
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let asked = Asked { at: self.at(), text: &text, to: to.address };
        let reply = (self.server)(&asked);
        let (said, close) = match reply {
            Reply::Silent => return,
            Reply::Refuse => return self.put(1, Event::Failed { flow, peer, cause: Cause::Refused }),
            Reply::Say(said) => (said, None),
            Reply::Grant(seconds) => (self.grant(&text, seconds), None),
            Reply::GrantAndClose(seconds, after) => (self.grant(&text, seconds), Some(after)),
        };
        let lost = datagrams && self.dice.next() % 1000 < self.loss;
        if !lost {
            let bytes = hostile::answer(&text, &said).into();
            self.put(20, Event::Received { flow, peer, bytes });
        }
        if let Some(after) = close {
            self.put(after, Event::Closed { flow });
        }
    }

    fn grant(&mut self, text: &str, seconds: u64) -> String {
        let to = text.lines().find(|line| line.starts_with("To: ")).unwrap().to_owned();
        let removal = text.contains("\r\nExpires: 0\r\n");
        let lease = if removal { 0 } else { seconds * 1000 };
        let at = self.at() + 10;
        self.shares.entry(to).or_default().grant(at, lease);
        if removal { "200 OK".to_owned() } else { format!("200 OK|Contact: <@>;expires={seconds}") }
    }

    /// Stops everything, and says which share of the time each account was bound: the smallest of all, in percent.
    fn end(mut self, name: &str) -> Ended {
        let at = self.at();
        for share in self.shares.values_mut() {
            share.grant(at, 0);
        }
        let shares = self.shares.values().map(|share| share.bound as f64 * 100.0 / at as f64);
        let share = shares.fold(100.0, f64::min);
        self.command(Command::StopKeeping(None));
        self.run(at + 60_000);
        assert!(self.endpoint.is_idle(), "{name}: something is left");
        assert!(self.flows.is_empty(), "{name}: flows are left open");
        let requests = self.rate.values().sum();
        println!("{name}: bound {share:.3} % of the time, {requests} requests, {} flows", self.opened);
        Ended { share, requests, told: self.told, left: self.left, rate: self.rate }
    }
}

struct Ended {
    share: f64,
    requests: u32,
    told: Vec<(u64, String)>,
    left: Vec<Left>,
    rate: BTreeMap<u64, u32>,
}

impl Ended {
    fn count(&self, what: &str) -> usize {
        self.told.iter().filter(|(_, told)| told.starts_with(what)).count()
    }
}

/// DES-035: and nothing grows.
#[test]
fn thirty_days_with_one_datagram_of_a_thousand_lost() {
    let mut world = World::one(|_| Reply::Grant(3600));
    world.loss = 1;
    world.run(30 * DAY);
    let ended = world.end("30 days at 0.1 % loss");
    assert!(ended.share > 99.999, "{}", ended.share);
    assert_eq!((ended.count("registered"), ended.count("failed"), ended.left), (1, 0, vec![Left::Removed]));
    assert!((700..1000).contains(&ended.requests), "{}", ended.requests);
}

/// DES-001 DES-004
#[test]
fn short_leases_are_kept_too() {
    for (seconds, least) in [(60, 99.99), (20, 99.99), (4, 99.9)] {
        let mut world = World::one(move |_| Reply::Grant(seconds));
        world.run(HOUR);
        let ended = world.end(&format!("leases of {seconds} s"));
        assert!(ended.share > least, "{seconds}: {}", ended.share);
        assert_eq!(ended.count("registered"), 1);
    }
}

/// AUT-041: a refresh with a nonce at hand is one request; one that has become stale costs a second.
#[test]
fn a_nonce_is_used_until_the_registrar_calls_it_stale() {
    let mut seen = 0;
    let mut world = World::one(move |asked| {
        seen += 1;
        let epoch = asked.at / (4 * HOUR);
        let nonce = format!("nonce=\"{epoch}\"");
        let challenge = |stale: &str| {
            Reply::Say(format!(
                "401 Unauthorized|WWW-Authenticate: Digest realm=\"munich.de\", qop=\"auth\", {nonce}{stale}"
            ))
        };
        match asked.text.lines().find(|line| line.starts_with("Authorization: ")) {
            None => challenge(""),
            Some(row) if !row.contains(&nonce) => challenge(", stale=true"),
            Some(_) => Reply::Grant(3600),
        }
    });
    world.run(DAY);
    let ended = world.end("nonces that change every four hours");
    assert!(ended.share > 99.99);
    // 24 to 31 refreshes, and a challenge for each nonce.
    assert!((30..=42).contains(&ended.requests), "{}", ended.requests);
    assert_eq!(ended.count("failed"), 0);
}

/// DES-006 DES-017: an hour of silence costs the hour, and what the last pause was.
#[test]
fn an_hour_of_silence_is_survived() {
    let mut world = World::one(|asked| match asked.at / HOUR {
        3 => Reply::Silent,
        _ => Reply::Grant(600),
    });
    world.run(DAY);
    let ended = world.end("an hour of silence");
    // An hour is 4.2 % of the day; at most 30 minutes and a transaction more until it is tried again, less the lease.
    assert!(ended.share > 93.5, "{}", ended.share);
    assert!((5..20).contains(&ended.count("failed")), "{}", ended.count("failed"));
    assert_eq!(ended.count("registered"), 2);
}

/// DES-008
#[test]
fn a_503_with_retry_after_is_obeyed() {
    let mut world = World::one(|asked| match asked.at {
        HOUR..5_400_000 => Reply::Say("503 Busy|Retry-After: 120".to_owned()),
        _ => Reply::Grant(300),
    });
    world.run(DAY);
    let ended = world.end("half an hour of 503 with Retry-After");
    assert!(ended.share > 96.0, "{}", ended.share);
    let failures: Vec<u64> =
        ended.told.iter().filter(|(_, t)| t.starts_with("failed")).map(|(at, _)| *at).collect();
    assert!(
        failures.len() > 3 && failures.windows(2).all(|pair| pair[1] - pair[0] >= 120_000),
        "{failures:?}"
    );
}

/// DES-018: backoff on repeats, and no fast cycle.
#[test]
fn a_server_that_closes_every_connection_after_a_second_is_not_hammered() {
    let mut world = World::new(|_| Reply::GrantAndClose(3600, 1000));
    world.keep(1, Plan { transport: Some(Transport::Tcp), ..plan() }, 0);
    world.run(DAY);
    let ended = world.end("connections that are closed after a second");
    assert!(ended.share > 99.9, "{}", ended.share);
    assert!((20..200).contains(&ended.requests), "{}", ended.requests);
}

/// DES-012: a registrar that restarts is refused at for a while, over UDP (ICMP).
#[test]
fn a_registrar_that_restarts_and_forgets_is_found_again() {
    let mut world = World::one(|asked| match asked.at {
        7_200_000..7_260_000 => Reply::Refuse,
        _ => Reply::Grant(120),
    });
    world.run(DAY);
    let ended = world.end("a restart of a minute");
    assert!(ended.share > 99.8, "{}", ended.share);
}

/// DES-034: the next destination serves, and the first again at a refresh.
#[test]
fn the_second_address_serves_and_the_first_is_returned_to() {
    let mut world = World::new(|asked| {
        let is_first = asked.to.port() == 5060;
        if is_first && (HOUR..3 * HOUR).contains(&asked.at) { Reply::Silent } else { Reply::Grant(600) }
    });
    // Without names, a redirect is what gives a second address.
    world.keep(1, Plan { registrar: uri("sip:192.0.2.1:5060"), ..plan() }, 0);
    world.run(6 * HOUR);
    let ended = world.end("the first address silent for two hours");
    assert!(ended.share > 60.0, "{}", ended.share);
}

/// DES-009
#[test]
fn a_wrong_password_is_tried_once() {
    let challenge =
        "401 Unauthorized|WWW-Authenticate: Digest realm=\"munich.de\", nonce=\"n\", qop=\"auth\"";
    let mut world = World::one(move |_| Reply::Say(challenge.to_owned()));
    world.run(30 * DAY);
    let ended = world.end("a wrong password");
    assert_eq!((ended.requests, ended.count("failed")), (2, 1));
    assert_eq!(ended.left, [Left::Unbound]);
}

/// DES-010: ten thousand accounts share one socket; their registrar is away for ten minutes.
#[test]
fn ten_thousand_accounts_come_back_one_after_the_other() {
    let mut world = World::new(|asked| match asked.at {
        HOUR..4_200_000 => Reply::Silent,
        _ => Reply::Grant(3600),
    });
    for number in 0..10_000 {
        let aor = uri(&format!("sip:user{number}~munich.de"));
        world.keep(number + 1, Plan { aor, ..plan() }, number % 10_000);
    }
    world.run(4 * HOUR);
    assert_eq!(world.opened, 1);
    let ended = world.end("10,000 accounts, away for ten minutes");
    let running = ended.rate.range(..4 * 3600).map(|(_, requests)| *requests);
    assert!(running.max().unwrap() <= 51, "more than fifty a second");
    // The first needs no wait, the last 200 s.
    assert!(ended.share > 95.0, "{}", ended.share);
    assert_eq!(ended.left.len(), 10_000);
    assert!(ended.left.iter().all(|left| *left == Left::Removed));
}

/// DES-019: confirmed, in time or not, or nothing to remove.
#[test]
fn leaving_takes_four_seconds_at_most() {
    for (answers, left, took) in [(true, Left::Removed, 20), (false, Left::Unconfirmed, 4000)] {
        let mut world = World::one(move |asked| match asked.text.contains("\r\nExpires: 0\r\n") {
            true if !answers => Reply::Silent,
            _ => Reply::Grant(3600),
        });
        world.run(HOUR);
        world.command(Command::StopKeeping(None));
        world.run(2 * HOUR);
        assert_eq!(world.left, [left]);
        assert_eq!(world.told.last().unwrap().0, HOUR + took);
        assert!(world.endpoint.is_idle() && world.flows.is_empty());
    }
}

/// DES-035: a hundred thousand refreshes leave nothing behind.
#[test]
fn a_hundred_thousand_refreshes_need_one_flow() {
    let mut world = World::one(|_| Reply::Grant(4));
    world.run(56 * HOUR);
    assert_eq!((world.flows.len(), world.opened), (1, 1));
    assert!(world.agenda.len() <= 2);
    world.told.clear();
    let ended = world.end("100,000 refreshes");
    assert!(ended.requests > 100_000, "{}", ended.requests);
}
