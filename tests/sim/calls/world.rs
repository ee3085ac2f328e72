//! The proxy, who calls, who is called, and what is between them; at the end, what holds of them all.
//!
//! The file is long because every event is both carried out and foretold here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::binding::Operation;
use sipreg::proto::client::plan::Timing;
use sipreg::proto::registrar::service::{Limits, Listen, Nodes, Policy, ServerEvent, Service};
use sipreg::proto::{
    Action, AskId, Cause, Command, Endpoint, Event, FlowId, Notice, RegistrarTimer, Time, TimerKey, Transport,
};
use sipreg::sip::Host;
use sipreg::store::Memory;

use super::agent::{Agent, Do, Tick};
use super::message::{Msg, PROXY, cut};
use super::oracle::{Left, Oracle, Way, Ways};
use super::scenario::{Death, Device, Scenario};
use crate::dice::Dice;
use crate::ladder::Ladder;
use crate::links::{Out, Pipe};

pub const START: Time = Time::from_millis(1_792_000_000_000);

/// When everything has to be over, with all that anybody could still wait for: before the bindings run out.
const END: Duration = Duration::from_secs(7000);

/// How long the proxy waits for a connection.
const CONNECTING: Duration = Duration::from_secs(32);

/// How long a message may take from its first octet to its last.
const INCOMPLETE: Duration = Duration::from_secs(10);

/// Where the agent of that number is: devices first, callers behind them.
pub fn address(agent: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 10 + agent as u8], 5060))
}

enum Next {
    Event(Event),
    Tick(usize, Tick),
    /// A datagram for an agent.
    Datagram(usize, Vec<u8>),
    /// Octets of a connection come out, at the proxy or at the agent.
    Up(FlowId, Vec<u8>),
    Down(FlowId, Vec<u8>),
    Breaks(FlowId),
    Dies(usize, Death),
}

/// A connection between an agent and the proxy.
struct Conn {
    agent: usize,
    remote: SocketAddr,
    is_by_proxy: bool,
    /// The proxy knows it; both may send.
    is_open: bool,
    /// The proxy has begun to open it then.
    since: Option<Time>,
    is_broken: bool,
    up: Pipe,
    down: Pipe,
    at_proxy: Vec<u8>,
    /// A message at the proxy has begun then and is not complete.
    partial: Option<Time>,
    at_agent: Vec<u8>,
}

/// The network, as the proxy sees it.
struct Net {
    udp: FlowId,
    conns: BTreeMap<FlowId, Conn>,
    devices: Vec<Device>,
    /// The connections that devices were registered over.
    bound: Vec<Option<FlowId>>,
    /// Whom the system is asked the way to.
    asking: BTreeSet<IpAddr>,
}

impl Ways for Net {
    fn way(&self, device: usize) -> Way {
        let is_tcp = self.devices.get(device).is_none_or(|device| device.is_tcp);
        let mut there = self.conns.values().filter(|conn| conn.agent == device);
        let is_open = |conn: &Conn| conn.is_open && (conn.is_by_proxy || conn.remote == address(device));
        if !is_tcp {
            Way::Now
        } else if there.clone().any(|conn| conn.since.is_some()) || !there.any(is_open) {
            Way::Opens
        } else {
            Way::Now
        }
    }

    fn is_bound(&self, device: usize) -> bool {
        self.bound.get(device).copied().flatten().is_some_and(|by| self.is_open(by))
    }

    fn is_severed(&self, device: usize) -> bool {
        self.bound.get(device).copied().flatten().is_some_and(|by| !self.is_open(by))
    }

    fn at(&self, at: &str) -> usize {
        let at: SocketAddr = at.parse().expect("an address");
        (0..).find(|agent| address(*agent) == at).expect("an agent")
    }

    fn is_asked(&self, agent: usize) -> bool {
        self.asking.contains(&address(agent).ip())
    }

    fn is_open(&self, flow: FlowId) -> bool {
        flow == self.udp || self.conns.get(&flow).is_some_and(|conn| conn.is_open)
    }
}

pub struct World<'a> {
    scenario: &'a Scenario,
    endpoint: Endpoint,
    store: Memory,
    dice: Dice,
    now: Time,
    order: u64,
    agenda: BTreeMap<(Time, u64), Next>,
    net: Net,
    pub agents: Vec<Agent>,
    pub oracle: Oracle,
    /// Which call the location service was asked for, and whether for the second address.
    asked: BTreeMap<AskId, (String, bool)>,
    listener: FlowId,
    count: u64,
    ports: u16,
    told: Vec<Option<u16>>,
    pub ladder: Ladder,
}

fn service(scenario: &Scenario) -> Service {
    let at = if scenario.is_wildcard { "0.0.0.0:5060" } else { PROXY };
    let at: SocketAddr = at.parse().unwrap();
    Service {
        listen: [Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, address: at }).to_vec(),
        domains: vec![Host::parse("munich.de").unwrap()],
        policy: Policy { min_expires: 60, max_expires: 7200, default_expires: 7200, max_contacts: 10 },
        verifier: None,
        fork: scenario.fork,
        auth_calls: false,
        limits: Limits { rate: u32::MAX, ..Limits::default() },
        timing: Timing::default(),
        pinned: Vec::new(),
        tell_messages: false,
        nodes: Nodes::default(),
    }
}

impl<'a> World<'a> {
    pub fn new(seed: u64, scenario: &'a Scenario) -> World<'a> {
        let devices = scenario.devices.iter().map(|device| device.is_tcp);
        let all: Vec<bool> = devices.chain(scenario.calls.iter().map(|call| call.is_tcp)).collect();
        let count = scenario.devices.len();
        let name = |at: usize| if at < count { format!("d{at}") } else { format!("c{}", at - count) };
        let agent = |(at, is_tcp): (usize, &bool)| Agent::new(name(at), address(at), *is_tcp);
        let agents: Vec<Agent> = all.iter().enumerate().map(agent).collect();
        let names = agents.iter().map(|agent| agent.name.clone()).collect();
        let net = Net {
            udp: FlowId(0),
            conns: BTreeMap::new(),
            devices: scenario.devices.clone(),
            bound: vec![None; scenario.devices.len()],
            asking: BTreeSet::new(),
        };
        let mut world = World {
            scenario,
            endpoint: Endpoint::new(Box::new(Dice::new(seed, 21))),
            store: Memory::default(),
            dice: Dice::new(seed, 22),
            now: START,
            order: 0,
            agenda: BTreeMap::new(),
            net,
            agents,
            oracle: Oracle::new(scenario, names),
            asked: BTreeMap::new(),
            listener: FlowId(0),
            count: 0,
            ports: 40_000,
            told: Vec::new(),
            ladder: Ladder::new(seed, "calls"),
        };
        let serve = Event::Command(Command::Serve(Box::new(service(scenario))));
        world.proxy(serve);
        world.bind();
        world.plan();
        world
    }

    /// All devices but the last one register, one a second; then the other address is bound beside them.
    fn bind(&mut self) {
        for at in 0..self.scenario.devices.len() - 1 {
            let device = &self.scenario.devices[at];
            let user = if self.scenario.born.contains(&at) { "born" } else { "heisenberg" };
            let contact = self.agents[at].contact();
            let (flow, peer) = if device.is_tcp {
                let flow = self.connect(at, device.is_same_port);
                self.net.bound[at] = Some(flow);
                self.accepted(flow);
                (flow, self.net.conns[&flow].remote)
            } else {
                (self.net.udp, address(at))
            };
            self.register(at, user, &contact, if user == "born" { None } else { device.q }, (flow, peer));
        }
        if let Some(q) = self.scenario.alias {
            // Another device does that, which is called by nobody.
            let at = self.scenario.devices.len() - 1;
            self.register(at, "heisenberg", "<sip:born@munich.de>", q, (self.net.udp, address(at)));
        }
    }

    fn register(
        &mut self,
        at: usize,
        user: &str,
        contact: &str,
        q: Option<&str>,
        from: (FlowId, SocketAddr),
    ) {
        let (flow, peer) = from;
        let q = q.map(|q| format!(";q={q}")).unwrap_or_default();
        let transport = if flow == self.net.udp { "UDP" } else { "TCP" };
        let to = format!("<sip:{user}@munich.de>");
        let text = format!(
            "REGISTER sip:munich.de SIP/2.0\r\nVia: SIP/2.0/{transport} {};branch=z9hG4bKr{at}\r\nMax-Forwards: 70\r\n\
             From: {to};tag=r{at}\r\nTo: {to}\r\nCall-ID: reg{at}\r\nCSeq: 1 REGISTER\r\nContact: {contact}{q}\r\n\
             Content-Length: 0\r\n\r\n",
            address(at)
        );
        self.now = self.now + Duration::from_secs(1);
        self.proxy(Event::Received { flow, peer, bytes: text.into() });
        while let Some((_, Next::Event(event))) = self.agenda.pop_first() {
            self.proxy(event);
        }
    }

    fn plan(&mut self) {
        self.now = START + Duration::from_secs(10);
        let count = self.scenario.devices.len();
        for (at, device) in self.scenario.devices.iter().enumerate() {
            if let Some((after, death)) = device.dies {
                self.put(after, Next::Dies(at, death));
            }
        }
        for (at, call) in self.scenario.calls.iter().enumerate() {
            let id = format!("call{at}");
            self.agents[count + at].plan(id.clone(), call.clone(), 0);
            (0..count).for_each(|device| self.agents[device].plan(id.clone(), call.clone(), device));
            self.put(call.at, Next::Tick(count + at, Tick::Call));
            if let Some(after) = call.dies {
                self.put(call.at + after, Next::Dies(count + at, Death::Silent));
            }
        }
    }

    fn put(&mut self, after: u64, next: Next) {
        self.order += 1;
        self.agenda.insert((self.now + Duration::from_millis(after), self.order), next);
    }

    fn at(&self) -> u64 {
        self.now.since(START).as_millis() as u64
    }

    /// Lives until nothing is to come any more.
    pub fn run(&mut self) {
        let stops = self.scenario.stops.map(|after| self.now + Duration::from_millis(after));
        let end = stops.unwrap_or(START + END);
        loop {
            let due = self.endpoint.next_timeout().map(|(due, _)| due).filter(|due| *due <= end);
            match self.agenda.first_key_value().map(|((at, _), _)| *at) {
                Some(at) if at > end => return,
                Some(at) if due.is_none_or(|due| at <= due) => {
                    self.now = self.now.max(at);
                    let (_, next) = self.agenda.pop_first().expect("it is there");
                    self.happens(next);
                }
                _ => {
                    let Some(due) = due else { return };
                    self.now = self.now.max(due);
                    self.proxy(Event::Timeout);
                }
            }
        }
    }

    fn happens(&mut self, next: Next) {
        match next {
            Next::Event(event) => self.proxy(event),
            Next::Tick(agent, tick) => {
                if !self.agents[agent].is_dead {
                    self.agents[agent].tick(tick);
                    self.carry_out(agent);
                }
            }
            Next::Datagram(agent, octets) => self.deliver(agent, &octets, None),
            Next::Up(flow, octets) => {
                let Some(conn) = self.net.conns.get(&flow).filter(|conn| conn.is_open) else { return };
                self.proxy(Event::Received { flow, peer: conn.remote, bytes: octets.into() });
            }
            Next::Down(flow, octets) => {
                let Some(conn) = self.net.conns.get_mut(&flow).filter(|conn| !conn.is_broken) else { return };
                conn.at_agent.extend(octets);
                let (agent, messages) = (conn.agent, cut(&mut conn.at_agent));
                for message in messages {
                    self.deliver(agent, &message, Some(flow));
                }
            }
            Next::Breaks(flow) => self.breaks(flow),
            Next::Dies(agent, death) => self.dies(agent, death),
        }
    }

    fn breaks(&mut self, flow: FlowId) {
        let is_reset = self.dice.chance(50);
        let Some(conn) = self.net.conns.get_mut(&flow) else { return };
        conn.is_broken = true;
        let (was_open, peer) = (std::mem::replace(&mut conn.is_open, false), conn.remote);
        if was_open {
            self.proxy(if is_reset {
                Event::Failed { flow, peer, cause: Cause::Reset }
            } else {
                Event::Closed { flow }
            });
        }
    }

    fn dies(&mut self, agent: usize, death: Death) {
        self.ladder.note(self.at(), format_args!("{} dies: {death:?}", self.agents[agent].name));
        self.agents[agent].is_dead = true;
        if death == Death::Told {
            let conns = &self.net.conns;
            let its: Vec<FlowId> =
                conns.iter().filter(|(_, conn)| conn.agent == agent).map(|(flow, _)| *flow).collect();
            its.into_iter().for_each(|flow| self.breaks(flow));
        }
    }

    /// What is to become of messages to a dead agent.
    fn death(&self, agent: usize) -> Option<Death> {
        let dies = self.scenario.devices.get(agent).and_then(|device| device.dies);
        self.agents[agent].is_dead.then(|| dies.map_or(Death::Silent, |(_, death)| death))
    }

    fn deliver(&mut self, agent: usize, octets: &[u8], flow: Option<FlowId>) {
        let name = &self.agents[agent].name;
        self.ladder.octets(self.at(), format_args!("        -> {name}"), octets);
        match self.death(agent) {
            Some(Death::Silent) => {}
            Some(Death::Told) => {
                if let Some(after) = self.scenario.weather.notice(&mut self.dice).filter(|_| flow.is_none()) {
                    let (flow, peer) = (self.net.udp, address(agent));
                    self.put(after, Next::Event(Event::Failed { flow, peer, cause: Cause::Refused }));
                }
            }
            None => {
                self.agents[agent].receive(&Msg::parse(octets), flow);
                self.carry_out(agent);
            }
        }
    }

    fn carry_out(&mut self, agent: usize) {
        for wish in std::mem::take(&mut self.agents[agent].wishes) {
            match wish {
                Do::After(wait, tick) => self.put(wait, Next::Tick(agent, tick)),
                Do::Send(text, flow) => self.send(agent, text.as_bytes(), flow),
            }
        }
    }

    /// From an agent to the proxy.
    fn send(&mut self, agent: usize, octets: &[u8], flow: Option<FlowId>) {
        let name = &self.agents[agent].name;
        self.ladder.octets(self.at(), format_args!("{name} ->"), octets);
        if !self.agents[agent].is_tcp {
            for (after, octets) in self.scenario.weather.datagram(&mut self.dice, octets) {
                let (flow, peer) = (self.net.udp, address(agent));
                self.put(after, Next::Event(Event::Received { flow, peer, bytes: octets.into() }));
            }
            return;
        }
        let conns = &self.net.conns;
        let is_open = |flow: &FlowId| conns.get(flow).is_some_and(|conn| conn.is_open);
        let any = || conns.iter().rev().find(|(flow, conn)| conn.agent == agent && is_open(flow));
        let flow = flow.filter(is_open).or_else(|| any().map(|(flow, _)| *flow));
        let flow = flow.unwrap_or_else(|| {
            let flow = self.connect(agent, false);
            self.accepted(flow);
            flow
        });
        let now = self.at();
        let conn = self.net.conns.get_mut(&flow).expect("it is open");
        let out = conn.up.push(now, octets, &self.scenario.weather, &mut self.dice);
        self.flows_out(flow, out, Next::Up);
    }

    fn flows_out(&mut self, flow: FlowId, out: Vec<(u64, Out)>, next: fn(FlowId, Vec<u8>) -> Next) {
        for (after, out) in out {
            match out {
                Out::Octets(octets) => self.put(after, next(flow, octets)),
                Out::Broken => self.put(after, Next::Breaks(flow)),
            }
        }
    }

    /// An agent connects to the proxy.
    fn connect(&mut self, agent: usize, is_same_port: bool) -> FlowId {
        let flow = FlowId(FlowId::ACCEPTED.0 + self.count);
        self.count += 1;
        self.ports += 1;
        let mut remote = address(agent);
        if !is_same_port {
            remote.set_port(self.ports);
        }
        let conn = self.conn(agent, remote, false);
        self.net.conns.insert(flow, conn);
        flow
    }

    fn conn(&mut self, agent: usize, remote: SocketAddr, is_by_proxy: bool) -> Conn {
        let weather = &self.scenario.weather;
        Conn {
            agent,
            remote,
            is_by_proxy,
            is_open: false,
            since: None,
            is_broken: false,
            up: Pipe::new(weather, &mut self.dice, false),
            down: Pipe::new(weather, &mut self.dice, false),
            at_proxy: Vec::new(),
            partial: None,
            at_agent: Vec::new(),
        }
    }

    fn accepted(&mut self, flow: FlowId) {
        let conn = self.net.conns.get_mut(&flow).expect("it was made");
        conn.is_open = true;
        let (listener, remote, local) = (self.listener, conn.remote, PROXY.parse().unwrap());
        self.proxy(Event::Accepted { listener, flow, local, remote });
    }

    /// One event for the proxy, and what it makes of it, watched by the oracle.
    fn proxy(&mut self, event: Event) {
        self.oracle.begin(self.now);
        let is_timeout = matches!(event, Event::Timeout);
        let mut call_id = None;
        self.foretell(&event, &mut call_id);
        let mut left = Vec::new();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions: Vec<Action> = self.endpoint.handle(event, self.now).collect();
            for action in actions {
                events.extend(self.perform(action, call_id.as_deref(), &mut left));
            }
        }
        self.oracle.check(left, is_timeout, &self.net);
    }

    fn foretell(&mut self, event: &Event, call_id: &mut Option<String>) {
        match event {
            Event::Received { flow, peer, bytes } => {
                let is_udp = *flow == self.net.udp;
                let (from, messages) = if is_udp {
                    (self.net.at(&peer.to_string()), vec![bytes.to_vec()])
                } else {
                    let conn = self.net.conns.get_mut(flow).expect("it is open");
                    conn.at_proxy.extend_from_slice(bytes);
                    let messages = cut(&mut conn.at_proxy);
                    let since = conn.partial.filter(|_| messages.is_empty()).unwrap_or(self.now);
                    conn.partial = (!conn.at_proxy.is_empty()).then_some(since);
                    (conn.agent, messages)
                };
                for message in messages {
                    self.ladder.octets(self.at(), format_args!("        proxy <-"), &message);
                    let msg = Msg::parse(&message);
                    let number = msg.call_id().strip_prefix("call").and_then(|at| at.parse::<usize>().ok());
                    let Some(call) = number.and_then(|at| self.scenario.calls.get(at)) else { continue };
                    if msg.start.starts_with("INVITE") || msg.start.starts_with("MESSAGE") {
                        *call_id = Some(msg.call_id().to_owned());
                    }
                    self.oracle.arrives(from, *flow, is_udp, &msg, &call.manners, &self.net);
                }
            }
            Event::Stored { ask, .. } => match self.asked.remove(ask) {
                Some((call_id, false)) => self.oracle.located(&call_id, &self.net),
                Some((call_id, true)) => self.oracle.relocated(&call_id, &self.net),
                None => {}
            },
            Event::Failed { flow, peer, .. } if *flow == self.net.udp => {
                let agent = self.net.at(&peer.to_string());
                self.ladder.note(self.at(), format_args!("ICMP of {peer}"));
                self.oracle.undeliverable(*flow, agent, &self.net);
            }
            Event::Failed { flow, .. } | Event::Closed { flow } => self.foretell_lost(*flow),
            Event::Opened { flow, .. } => {
                if let Some(conn) = self.net.conns.get_mut(flow) {
                    (conn.is_open, conn.since) = (true, None);
                    let agent = conn.agent;
                    self.ladder.note(self.at(), format_args!("{flow:?} is open"));
                    self.oracle.opened(agent);
                }
            }
            Event::Timeout => {
                let late = |conn: &Conn| {
                    let is_slow = conn.partial.is_some_and(|since| self.now - since >= INCOMPLETE);
                    conn.since.is_some_and(|since| self.now - since >= CONNECTING) || conn.is_open && is_slow
                };
                let late = self.net.conns.iter().filter(|(_, conn)| late(conn)).map(|(flow, _)| *flow);
                let late: Vec<FlowId> = late.collect();
                late.into_iter().for_each(|flow| self.foretell_lost(flow));
                self.oracle.timeout(&self.net);
            }
            Event::SourceFound { peer, .. } => {
                self.net.asking.remove(peer);
                let agent = self.net.at(&SocketAddr::new(*peer, 5060).to_string());
                self.oracle.found(agent, &self.net);
            }
            Event::Secured { .. }
            | Event::LastWords { .. }
            | Event::Challenged { .. }
            | Event::HandshakeFailed { .. }
            | Event::Command(_)
            | Event::Accepted { .. }
            | Event::Node { .. }
            | Event::Resolved { .. }
            | Event::NetworkChanged { .. } => {}
        }
    }

    fn foretell_lost(&mut self, flow: FlowId) {
        let Some(conn) = self.net.conns.get_mut(&flow) else { return };
        let to = conn.since.take().map(|_| conn.agent);
        conn.is_open = false;
        self.ladder.note(self.at(), format_args!("{flow:?} is lost"));
        self.oracle.lost(flow, to, &self.net);
    }

    fn perform(&mut self, action: Action, call_id: Option<&str>, left: &mut Vec<Left>) -> Option<Event> {
        match action {
            Action::Listen { flow, transport, address } => {
                match transport {
                    Transport::Udp => self.net.udp = flow,
                    Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => self.listener = flow,
                }
                return Some(Event::Opened { flow, local: address });
            }
            Action::Transmit { flow, peer, bytes } => self.transmit(flow, peer, &bytes, left),
            Action::Store { ask, operation } => {
                if let Operation::Fetch(aor) = &operation {
                    let is_second = aor.to_string().contains("born");
                    let id =
                        if is_second { self.oracle.asks.pop_front() } else { call_id.map(str::to_owned) };
                    self.asked.insert(ask, (id.expect("a call asks"), is_second));
                }
                let answer = self.store.perform(operation, self.now);
                let (least, most) = self.scenario.store;
                let after = self.dice.between(least, most);
                self.put(after, Next::Event(Event::Stored { ask, answer }));
            }
            Action::Open { flow, destination } => self.open(flow, destination.address),
            Action::Close { flow } => {
                if let Some(conn) = self.net.conns.get_mut(&flow) {
                    (conn.is_open, conn.since) = (false, None);
                }
                self.ladder.note(self.at(), format_args!("the proxy closes {flow:?}"));
            }
            Action::Notify(Notice::Server(ServerEvent::Routed { status, .. })) => self.told.push(status),
            Action::Notify(_) => {}
            Action::FindSource { peer } => {
                assert!(self.net.asking.insert(peer), "{peer} is asked for twice");
                let (after, local) = (self.dice.between(0, 200), PROXY.parse::<SocketAddr>().unwrap().ip());
                self.put(after, Next::Event(Event::SourceFound { peer, local: Some(local) }));
            }
            Action::Authorize { .. }
            | Action::Resolve { .. }
            | Action::Checkpoint(_)
            | Action::Present(_) => {
                panic!("nobody needs that: {action:?}")
            }
        }
        None
    }

    fn transmit(&mut self, flow: FlowId, peer: SocketAddr, bytes: &Bytes, left: &mut Vec<Left>) {
        let agent = self.net.at(&SocketAddr::new(peer.ip(), 5060).to_string());
        let name = self.agents[agent].name.clone();
        let msg = Msg::parse(bytes);
        let is_call = msg.call_id().starts_with("call");
        self.ladder.octets(self.at(), format_args!("        proxy -> {name}"), bytes);
        if flow == self.net.udp {
            assert_eq!(peer, address(agent), "{msg:?} goes to nobody");
            if is_call {
                for (after, octets) in self.scenario.weather.datagram(&mut self.dice, bytes) {
                    self.put(after, Next::Datagram(agent, octets));
                }
            }
        } else {
            let now = self.at();
            let conn = self.net.conns.get_mut(&flow).expect("a connection");
            assert!(conn.is_open && conn.remote == peer, "{msg:?} goes nowhere");
            if is_call {
                let out = conn.down.push(now, bytes, &self.scenario.weather, &mut self.dice);
                self.flows_out(flow, out, Next::Down);
            }
        }
        if is_call {
            left.push(Left { agent, name, flow, msg, bytes: bytes.to_vec() });
        }
    }

    /// The proxy connects to an agent.
    fn open(&mut self, flow: FlowId, peer: SocketAddr) {
        let agent = self.net.at(&peer.to_string());
        self.ladder.note(self.at(), format_args!("{flow:?} opens to {}", self.agents[agent].name));
        let mut conn = self.conn(agent, peer, true);
        conn.since = Some(self.now);
        self.net.conns.insert(flow, conn);
        let after = self.dice.between(1, 100);
        let listens = self.scenario.devices.get(agent).is_none_or(|device| device.listens);
        self.ports += 1;
        let local = SocketAddr::from(([192, 0, 2, 1], self.ports));
        match self.death(agent) {
            Some(Death::Silent) => {}
            None if listens => self.put(after, Next::Event(Event::Opened { flow, local })),
            Some(Death::Told) | None => {
                self.put(after, Next::Event(Event::Failed { flow, peer, cause: Cause::Refused }));
            }
        }
    }

    /// What holds at the end of every life.
    pub fn judge(&mut self) {
        if self.scenario.stops.is_none() {
            self.judge_calls();
        }
        let stop = Event::Command(Command::StopServing);
        self.endpoint.handle(stop, self.now).for_each(drop);
        assert!(self.endpoint.is_idle(), "something is left: {:?}", self.endpoint.next_timeout());
    }

    fn judge_calls(&mut self) {
        self.oracle.assert_over();
        let counters = self.endpoint.counters().expect("it serves");
        let left = (counters.calls, counters.forwarding, counters.forwarding_octets);
        assert_eq!(left, (0, 0, 0), "calls, requests or octets are left");
        let mut classes = [0; 6];
        self.oracle.statuses.iter().for_each(|status| classes[usize::from(status / 100) - 1] += 1);
        assert_eq!(counters.calls_ended, classes);
        let mut finals: Vec<u16> = self.told.iter().flatten().copied().collect();
        let mut statuses = self.oracle.finals.clone();
        finals.sort_unstable();
        statuses.sort_unstable();
        assert_eq!(finals, statuses, "told");
        for agent in self.agents.iter().filter(|agent| !agent.is_dead) {
            assert!(agent.is_quiet(), "{} waits", agent.name);
            if let Some(call) = &agent.call {
                assert!(call.refusals.len() <= 1, "{} hears {:?}", agent.name, call.refusals);
                assert!(!call.accepted || call.refusals.is_empty(), "{} hears both", agent.name);
            }
        }
        if self.scenario.is_calm() {
            self.judge_calm();
        }
        let next = self.endpoint.next_timeout().map(|(_, key)| key);
        let is_left =
            |key: TimerKey| !matches!(key, TimerKey::Registrar(RegistrarTimer::Bindings) | TimerKey::Flow(_));
        assert!(!next.is_some_and(is_left), "a timer is left: {next:?}");
    }

    /// What holds where everything arrives that is sent.
    fn judge_calm(&self) {
        let count = self.scenario.devices.len();
        for (at, caller) in self.agents[count..].iter().enumerate().filter(|(_, caller)| !caller.is_dead) {
            let (name, call) = (&caller.name, caller.call.as_ref().expect("it has called"));
            let answered = self.oracle.answered(&format!("call{at}")).expect("it was answered");
            assert_eq!(call.accepted, answered < 300, "{name} hears otherwise");
            let hears_nothing = answered == 408 && self.scenario.calls[at].is_message;
            assert_eq!(call.refusals.len(), usize::from(answered >= 300 && !hears_nothing), "{name}");
        }
        let alive = |agent: &&Agent| !agent.is_dead;
        let is_one_dead = self.agents.iter().any(|agent| agent.is_dead);
        for device in self.agents[..count].iter().filter(alive) {
            for server in device.servers.values().filter(|server| !server.is_forgotten()) {
                let name = &device.name;
                match server.status {
                    Some(300..) => assert!(server.is_acked, "{name}: no ACK of the refusal"),
                    Some(_) => assert!(server.is_acked || is_one_dead, "{name}: no ACK of the 2xx"),
                    None => assert!(server.is_cancelled || !server.rang, "{name} rings for ever"),
                }
            }
        }
        if is_one_dead {
            return;
        }
        for agent in &self.agents {
            for (tags, dialog) in agent.dialogs.iter().filter(|(tags, _)| !agent.is_forgotten(&tags.0)) {
                let other = (tags.1.clone(), tags.0.clone());
                let other = self.agents.iter().find_map(|agent| agent.dialogs.get(&other));
                let other = other.unwrap_or_else(|| panic!("{tags:?} has one end"));
                assert!(dialog.heard_bye || other.heard_bye, "{tags:?}: no BYE");
                assert!(
                    dialog.said_bye.is_none_or(|status| status == 200),
                    "{tags:?}: {:?}",
                    dialog.said_bye
                );
            }
        }
    }
}
