//! Everything between and beyond: the others of a seed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sipreg::proto::client::outcome::Report;
use sipreg::proto::client::plan::Plan;
use sipreg::proto::ids::Random;
use sipreg::proto::locate::Destination;
use sipreg::proto::{
    Action, Cause, Checkpoint, Direction, DnsAnswer, Event, FlowId, Notice, QueryId, Question, Record,
    ResolveError, Time, Transport,
};

use crate::dice::Dice;
use crate::engine::{Others, Stage};
use crate::ladder::Ladder;
use crate::laws::{self, Laws};
use crate::links::{Out, Pipe};
use crate::registrar::{Registrar, far};
use crate::scenario::{Names, Reach, Scenario};
use crate::world;

/// When every life begins.
pub const START: Time = Time::from_millis(1_792_000_000_000);

/// Something arrives at a server.
pub enum Incident {
    Datagram(FlowId, Vec<u8>),
    Segment(FlowId, Vec<u8>),
}

/// One flow as the others see it.
struct Wire {
    transport: Transport,
    server: SocketAddr,
    client: SocketAddr,
    up: Pipe,
    down: Pipe,
    /// What came of a stream and is no whole request yet.
    inbox: Vec<u8>,
    broken: bool,
}

pub struct Internet<'a> {
    scenario: &'a Scenario,
    dice: Dice,
    pub registrar: Registrar,
    pub ladder: Ladder,
    pub laws: Laws,
    wires: BTreeMap<FlowId, Wire>,
    port: u16,
    pub kept: Vec<Checkpoint>,
    pub report: Option<Report>,
}

fn now(stage: &Stage<Incident>) -> u64 {
    stage.now.since(START).as_millis() as u64
}

impl<'a> Internet<'a> {
    pub fn new(seed: u64, scenario: &'a Scenario) -> Internet<'a> {
        Internet {
            scenario,
            dice: Dice::new(seed, 2),
            registrar: Registrar::new(scenario.script),
            ladder: Ladder::new(seed, "seeds"),
            laws: Laws::default(),
            wires: BTreeMap::new(),
            port: 5070,
            kept: Vec::new(),
            report: None,
        }
    }

    /// Another process begins: it knows nothing of the flows of the last one.
    pub fn begin(&mut self, plan: &Plan) {
        self.laws.begin(plan);
        self.wires.clear();
        self.report = None;
    }

    fn reach(&self, ip: IpAddr) -> Reach {
        let known = self.scenario.hosts.iter().find(|host| host.ip == ip).map(|host| host.reach);
        let far = if ip == far().ip() { Reach::Up } else { Reach::Dead };
        known.unwrap_or(far)
    }

    fn open(&mut self, flow: FlowId, to: Destination, stage: &mut Stage<Incident>) {
        self.laws.opened(&to);
        let (weather, dice) = (&self.scenario.weather, &mut self.dice);
        let ip = if to.address.is_ipv4() { "192.0.2.99" } else { "2001:db8::99" };
        let client = SocketAddr::new(ip.parse().unwrap(), self.port);
        if !self.scenario.same_port {
            self.port += 1;
        }
        let (transport, is_framed) = (to.transport, to.transport.is_framed());
        let (up, down) = (Pipe::new(weather, dice, is_framed), Pipe::new(weather, dice, is_framed));
        let wire = Wire { transport, server: to.address, client, up, down, inbox: Vec::new(), broken: false };
        self.wires.insert(flow, wire);
        let opened = Event::Opened { flow, local: client };
        match (to.transport, self.reach(to.address.ip())) {
            (Transport::Udp, _) => stage.event(self.dice.between(0, 1), opened),
            (_, Reach::Dead) => {}
            (_, reach) => {
                let after = 2 * self.scenario.weather.segment(&mut self.dice);
                let refused = Event::Failed { flow, peer: to.address, cause: Cause::Refused };
                let listens = reach == Reach::Up && !self.scenario.no_tcp;
                if listens && to.transport.is_secure() {
                    stage.event(after, Event::Secured { flow, session: world::session(&to, true) });
                }
                stage.event(after, if listens { opened } else { refused });
            }
        }
    }

    fn transmit(&mut self, flow: FlowId, to: Destination, bytes: &Bytes, stage: &mut Stage<Incident>) {
        let (weather, peer) = (&self.scenario.weather, to.address);
        self.ladder.octets(now(stage), format_args!("──▶ {} {peer}", to.transport), bytes);
        self.laws.sent(now(stage), flow, &to, std::str::from_utf8(bytes).unwrap());
        match (to.transport, self.reach(peer.ip())) {
            (Transport::Udp, Reach::Up) => {
                let arrivals = weather.datagram(&mut self.dice, bytes);
                self.fate(stage, &arrivals);
                for (after, octets) in arrivals {
                    stage.incident(after, Incident::Datagram(flow, octets));
                }
            }
            (Transport::Udp, Reach::Refusing) => {
                if let Some(after) = weather.notice(&mut self.dice) {
                    stage.event(after, Event::Failed { flow, peer, cause: Cause::Refused });
                }
            }
            (_, Reach::Dead | Reach::Refusing) => {}
            (_, Reach::Up) => {
                let wire = self.wires.get_mut(&flow).unwrap();
                for (after, out) in wire.up.push(stage.at(), bytes, weather, &mut self.dice) {
                    match out {
                        Out::Octets(octets) => stage.incident(after, Incident::Segment(flow, octets)),
                        Out::Broken if wire.broken => {}
                        Out::Broken => {
                            wire.broken = true;
                            stage.event(after, Event::Failed { flow, peer, cause: Cause::Reset });
                        }
                    }
                }
            }
        }
    }

    fn fate(&mut self, stage: &Stage<Incident>, arrivals: &[(u64, Vec<u8>)]) {
        let times: Vec<String> = arrivals.iter().map(|(after, _)| format!("{after} ms")).collect();
        let fate = if times.is_empty() { "lost".to_owned() } else { format!("takes {}", times.join(", ")) };
        self.ladder.note(now(stage), format_args!("        ({fate})"));
    }

    /// The registrar has a whole request before it.
    fn serve(&mut self, flow: FlowId, transport: Transport, octets: &[u8], stage: &mut Stage<Incident>) {
        let weather = &self.scenario.weather;
        let Wire { server, client, .. } = self.wires[&flow];
        let text = String::from_utf8_lossy(octets);
        for (later, answer) in self.registrar.on_request(server, client, &text, now(stage)) {
            let first = answer.lines().next().unwrap_or_default();
            self.ladder.note(now(stage), format_args!("    {server} answers {first} after {later} ms"));
            match transport {
                Transport::Udp => {
                    let arrivals = weather.datagram(&mut self.dice, answer.as_bytes());
                    self.fate(stage, &arrivals);
                    for (after, octets) in arrivals {
                        let bytes = Bytes::from(octets);
                        stage.event(later + after, Event::Received { flow, peer: server, bytes });
                    }
                }
                Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                    let wire = self.wires.get_mut(&flow).unwrap();
                    let leaves = stage.at() + later;
                    for (after, out) in wire.down.push(leaves, answer.as_bytes(), weather, &mut self.dice) {
                        match out {
                            Out::Octets(octets) if !wire.broken => {
                                let bytes = Bytes::from(octets);
                                stage.event(later + after, Event::Received { flow, peer: server, bytes });
                            }
                            Out::Broken if !wire.broken => {
                                wire.broken = true;
                                stage.event(later + after, Event::Closed { flow });
                            }
                            Out::Octets(_) | Out::Broken => {}
                        }
                    }
                }
            }
        }
    }

    fn resolve(&mut self, query: QueryId, question: &Question, stage: &mut Stage<Incident>) {
        let sixes = matches!(question, Question::Aaaa(_));
        let of = self.scenario.hosts.iter().map(|host| host.ip).filter(|ip| ip.is_ipv6() == sixes);
        let found: Vec<Record> = of.map(Record::from).collect();
        let answer: DnsAnswer = match self.scenario.names {
            Names::Never => return,
            Names::NoSuchName => Err(ResolveError::NoSuchName),
            Names::HalfBroken if found.is_empty() => Err(ResolveError::ServerFailed),
            Names::Unneeded | Names::Good | Names::Late(_) | Names::HalfBroken => Ok(found),
        };
        let late = if let Names::Late(most) = self.scenario.names { most } else { 50 };
        stage.event(self.dice.next() % late, Event::Resolved { query, answer, ttl: 60 });
    }

    fn notice(&mut self, notice: Notice, stage: &Stage<Incident>) {
        let at = now(stage);
        match notice {
            Notice::Message { direction: Direction::Received, transport, remote, bytes, .. } => {
                self.ladder.octets(at, format_args!("◀── {transport} {remote}"), &bytes);
            }
            Notice::Message { direction: Direction::Sent | Direction::SentAgain, .. } => {}
            Notice::Lookup(said) => panic!("the core asks nobody itself: {said:?}"),
            Notice::Dropped { reason, .. } => self.ladder.note(at, format_args!("dropped: {reason}")),
            Notice::PasswordWanted { .. } => panic!("nobody is there to be asked"),
            Notice::Account { what, .. } => panic!("nothing is kept: {what:?}"),
            Notice::Check(what) => panic!("nothing is checked: {what:?}"),
            Notice::Server(what) => panic!("a client serves nobody: {what:?}"),
            Notice::Retrying { failure, wait, .. } => {
                self.ladder.note(at, format_args!("{failure:?}: once more in {} ms", wait.as_millis()));
                self.laws.another_try();
            }
            Notice::Finished(report) => {
                self.ladder.note(at, format_args!("{report:?}"));
                self.laws.finished(&report, stage.at());
                laws::judge(self.scenario, &report, &self.registrar);
                self.report = Some(*report);
            }
        }
    }
}

impl Others for Internet<'_> {
    type Incident = Incident;

    fn act(&mut self, action: Action, stage: &mut Stage<Incident>) {
        let at = now(stage);
        match action {
            Action::Open { flow, destination: to } => {
                self.ladder.note(at, format_args!("opens {flow}: {} {}", to.transport, to.address));
                self.open(flow, to, stage);
            }
            Action::Close { flow } => self.ladder.note(at, format_args!("closes {flow}")),
            Action::Transmit { flow, bytes, .. } => {
                self.transmit(flow, stage.flows[&flow].clone(), &bytes, stage)
            }
            Action::Resolve { query, question } => {
                self.ladder.note(at, format_args!("asks for {question:?}"));
                self.resolve(query, &question, stage);
            }
            Action::Checkpoint(what) => {
                self.laws.remembered(&what);
                self.kept.push(what);
            }
            Action::Notify(notice) => self.notice(notice, stage),
            Action::Authorize { .. } => {}
            Action::Listen { .. } | Action::FindSource { .. } | Action::Present(_) | Action::Store { .. } => {
                unreachable!("the engine has seen to it")
            }
        }
    }

    fn happen(&mut self, incident: Incident, stage: &mut Stage<Incident>) {
        match incident {
            Incident::Datagram(flow, octets) => self.serve(flow, Transport::Udp, &octets, stage),
            Incident::Segment(flow, octets) => {
                let wire = self.wires.get_mut(&flow).unwrap();
                let transport = wire.transport;
                if transport.is_framed() {
                    return self.serve(flow, transport, &octets, stage);
                }
                wire.inbox.extend(octets);
                while let Some(end) = ending(&self.wires[&flow].inbox) {
                    let request: Vec<u8> = self.wires.get_mut(&flow).unwrap().inbox.drain(..end).collect();
                    self.serve(flow, transport, &request, stage);
                }
            }
        }
    }
}

/// Where the first request of a stream ends; none of them has a body.
fn ending(octets: &[u8]) -> Option<usize> {
    octets.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}
