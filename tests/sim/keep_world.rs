//! The world of accounts that are kept bound: one registrar, and a clock that runs for days.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::client::outcome::Report;
use sipreg::proto::client::plan::Plan;
use sipreg::proto::client::schedule::{AccountEvent, Departure};
use sipreg::proto::identity::Untrusted;
use sipreg::proto::ids::Random;
use sipreg::proto::{
    Action, Cause, Command, Event, FlowId, Notice, Question, Record, RegistrationId, Time, Transport,
};

use crate::dice::Dice;
use crate::engine::{Engine, Others, Stage};
use crate::hostile;
use crate::world::{plan, session};

pub const START: Time = Time::from_millis(1_792_000_000_000);

/// What the registrar does with a request.
pub enum Reply {
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
pub struct Asked<'a> {
    /// Milliseconds since the start.
    pub at: u64,
    pub text: &'a str,
    pub to: SocketAddr,
}

/// How long the registrar holds a binding of one account.
#[derive(Default)]
pub struct Share {
    pub bound: u64,
    pub since: u64,
    pub until: u64,
}

impl Share {
    pub fn grant(&mut self, at: u64, lease: u64) {
        self.bound += at.min(self.until).saturating_sub(self.since);
        (self.since, self.until) = (at, at + lease);
    }
}

pub type Server = Box<dyn FnMut(&Asked<'_>) -> Reply>;

/// The endpoint with its accounts, and the others. Times are milliseconds since the start.
pub struct World {
    pub engine: Engine<Infallible>,
    others: Provider,
}

/// The registrar, the network to it, and what is seen of both.
pub struct Provider {
    server: Server,
    /// Datagrams lost, of a thousand.
    pub loss: u64,
    dice: Dice,
    shares: BTreeMap<String, Share>,
    /// Requests, copies aside, by second.
    pub rate: BTreeMap<u64, u32>,
    /// The last request of each account.
    last: BTreeMap<String, Bytes>,
    pub told: Vec<(u64, String)>,
    pub left: Vec<Departure>,
    /// The accounts that requests of others were for.
    pub called: Vec<u64>,
    pub opened: u32,
    /// The last octets of the addresses that every name has, for a minute at a time.
    pub hosts: Vec<u8>,
    /// Questions to the name service.
    pub questions: u32,
    /// Where the system sends from.
    local: SocketAddr,
    /// The last request.
    pub text: String,
    /// Until then the certificate has run out.
    pub untrusted_until: u64,
}

impl Deref for World {
    type Target = Provider;

    fn deref(&self) -> &Provider {
        &self.others
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Provider {
        &mut self.others
    }
}

impl World {
    pub fn new(server: impl FnMut(&Asked<'_>) -> Reply + 'static) -> World {
        let others = Provider {
            server: Box::new(server),
            loss: 0,
            dice: Dice::new(1, 2),
            shares: BTreeMap::new(),
            rate: BTreeMap::new(),
            last: BTreeMap::new(),
            told: Vec::new(),
            left: Vec::new(),
            called: Vec::new(),
            opened: 0,
            hosts: vec![1, 2],
            questions: 0,
            local: "192.0.2.99:5070".parse().unwrap(),
            text: String::new(),
            untrusted_until: 0,
        };
        World { engine: Engine::new(Box::new(Dice::new(1, 1)), START), others }
    }

    pub fn keep(&mut self, number: u64, plan: Plan, delay: u64) {
        let registration = RegistrationId(number);
        let delay = Duration::from_millis(delay);
        self.command(Command::Keep { registration, plan: Box::new(plan), delay, probe: None });
    }

    /// One account with a password, at 192.0.2.1 over UDP.
    pub fn one(server: impl FnMut(&Asked<'_>) -> Reply + 'static) -> World {
        let mut world = World::new(server);
        world.keep(1, plan(), 0);
        world
    }

    pub fn at(&self) -> u64 {
        self.engine.stage.at()
    }

    pub fn command(&mut self, command: Command) {
        self.handle(Event::Command(command));
    }

    pub fn handle(&mut self, event: Event) {
        self.engine.handle(event, &mut self.others);
    }

    /// The system sends from elsewhere now, and says so.
    pub fn move_to(&mut self, local: &str) {
        self.local = local.parse().unwrap();
        let moved = self.engine.stage.flows.keys().copied().collect();
        self.handle(Event::NetworkChanged { moved });
    }

    /// Lets the clock run to so many milliseconds after the start.
    pub fn run(&mut self, until: u64) {
        while self.engine.step(START + Duration::from_millis(until), &mut self.others) {}
        self.sleep(until);
    }

    /// Nothing runs until so many milliseconds after the start; what came in meanwhile is there then.
    pub fn sleep(&mut self, until: u64) {
        self.engine.stage.now = START + Duration::from_millis(until);
    }

    /// Stops everything, and says which share of the time each account was bound: the smallest of all, in percent.
    pub fn end(mut self, name: &str) -> Ended {
        let at = self.at();
        for share in self.shares.values_mut() {
            share.grant(at, 0);
        }
        let shares = self.shares.values().map(|share| share.bound as f64 * 100.0 / at as f64);
        let share = shares.fold(100.0, f64::min);
        self.command(Command::StopKeeping(None));
        self.run(at + 60_000);
        self.engine.assert_over(name);
        let Provider { told, left, rate, opened, .. } = self.others;
        let requests = rate.values().sum();
        println!("{name}: bound {share:.3} % of the time, {requests} requests, {} flows", opened);
        Ended { share, requests, told, left, rate }
    }
}

impl Others for Provider {
    type Incident = Infallible;

    fn act(&mut self, action: Action, stage: &mut Stage<Infallible>) {
        match action {
            Action::Open { flow, destination } => {
                self.opened += 1;
                let is_trusted = stage.at() >= self.untrusted_until;
                if destination.transport.is_secure() {
                    stage.event(1, Event::Secured { flow, session: session(&destination, is_trusted) });
                }
                stage.event(
                    1,
                    match is_trusted {
                        true => Event::Opened { flow, local: self.local },
                        false => Event::Failed {
                            flow,
                            peer: destination.address,
                            cause: Cause::Untrusted(Untrusted::Expired),
                        },
                    },
                );
            }
            Action::Transmit { flow, peer, bytes } => self.transmit(flow, peer, bytes, stage),
            Action::Notify(Notice::Account { what, registration }) => {
                if let AccountEvent::Incoming { .. } = what {
                    self.called.push(registration.0);
                }
                self.tell(what, stage.at());
            }
            Action::Authorize { .. } | Action::Notify(_) | Action::Checkpoint(_) | Action::Close { .. } => {}
            Action::Resolve { query, question: Question::A(_) } => {
                self.questions += 1;
                let answer = Ok(self.hosts.iter().map(|n| Record::A([192, 0, 2, *n].into())).collect());
                stage.event(1, Event::Resolved { query, answer, ttl: 60 });
            }
            Action::Resolve { query, .. } => {
                self.questions += 1;
                stage.event(1, Event::Resolved { query, answer: Ok(vec![]), ttl: 60 })
            }
            Action::Listen { .. } | Action::FindSource { .. } | Action::Present(_) | Action::Store { .. } => {
                unreachable!("the engine has seen to it")
            }
        }
    }

    fn happen(&mut self, incident: Infallible, _: &mut Stage<Infallible>) {
        match incident {}
    }
}

impl Provider {
    fn tell(&mut self, what: AccountEvent, at: u64) {
        let ms = |time: Time| time.since(START).as_millis();
        let text = match what {
            AccountEvent::Registering => "registering".to_owned(),
            AccountEvent::Registered { report, .. } => format!("registered{}", proven(&report)),
            AccountEvent::Refreshed { report, .. } => format!("refreshed{}", proven(&report)),
            AccountEvent::Failed { report, until, next } => {
                let unusable = report.unusable.most();
                let unusable = unusable.map(|(_, count, fault)| format!(", {count} unusable: {fault}"));
                let end = report.result.err();
                format!("failed {end:?} {:?} bound until {:?}", next.map(ms), until.map(ms))
                    + &unusable.unwrap_or_default()
            }
            AccountEvent::FlowFailed { cause, .. } => format!("flow failed {cause:?}"),
            AccountEvent::Nat { seen, interval } => format!("nat {seen:?} {interval:?}"),
            AccountEvent::NetworkChanged => "network changed".to_owned(),
            AccountEvent::Incoming { method, from, status } => format!("incoming {method} {from} {status}"),
            AccountEvent::Unregistered(_) => "unregistered".to_owned(),
            AccountEvent::Stopped(left) => {
                self.left.push(left);
                format!("stopped {left:?}")
            }
        };
        self.told.push((at, text));
    }

    fn transmit(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes, stage: &mut Stage<Infallible>) {
        let to = stage.flows[&flow].clone();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let copy = self.last.insert(to_line(&text), bytes.clone()) == Some(bytes);
        if !copy {
            *self.rate.entry(stage.at() / 1000).or_default() += 1;
        }
        let datagrams = to.transport == Transport::Udp;
        if datagrams && self.dice.next() % 1000 < self.loss {
            return;
        }
        self.text.clone_from(&text);
        let asked = Asked { at: stage.at(), text: &text, to: to.address };
        let reply = (self.server)(&asked);
        let (said, close) = match reply {
            Reply::Silent => return,
            Reply::Refuse => return stage.event(1, Event::Failed { flow, peer, cause: Cause::Refused }),
            Reply::Say(said) => (said, None),
            Reply::Grant(seconds) => (self.grant(&text, seconds, stage.at()), None),
            Reply::GrantAndClose(seconds, after) => (self.grant(&text, seconds, stage.at()), Some(after)),
        };
        let lost = datagrams && self.dice.next() % 1000 < self.loss;
        if !lost {
            let bytes = hostile::answer(&text, &said).into();
            stage.event(20, Event::Received { flow, peer, bytes });
        }
        if let Some(after) = close {
            stage.event(after, Event::Closed { flow });
        }
    }

    fn grant(&mut self, text: &str, seconds: u64, at: u64) -> String {
        let to = to_line(text);
        let removal = text.contains("\r\nExpires: 0\r\n");
        let lease = if removal { 0 } else { seconds * 1000 };
        self.shares.entry(to).or_default().grant(at + 10, lease);
        if removal { "200 OK".to_owned() } else { format!("200 OK|Contact: <@>;expires={seconds}") }
    }
}

/// Who the other end has proven to be.
fn proven(report: &Report) -> String {
    let name = report.tls.as_ref().and_then(|session| session.name.as_deref());
    name.map(|name| format!(" at {name}")).unwrap_or_default()
}

/// Tells one account from another.
fn to_line(text: &str) -> String {
    text.lines().find(|line| line.starts_with("To: ")).unwrap().to_owned()
}

pub struct Ended {
    pub share: f64,
    pub requests: u32,
    pub told: Vec<(u64, String)>,
    pub left: Vec<Departure>,
    pub rate: BTreeMap<u64, u32>,
}

impl Ended {
    pub fn count(&self, what: &str) -> usize {
        self.told.iter().filter(|(_, told)| told.starts_with(what)).count()
    }
}
