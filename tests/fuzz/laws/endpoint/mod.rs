//! The client endpoint in a world that does as the octets say: whatever comes, and whenever, it asks a bounded number
//! of times, never at once more than it should, and ends in its time with nothing left.

mod ledger;
mod peer;
mod plans;

use super::input::Input;
use bytes::Bytes;
use ledger::Ledger;
use sipreg::proto::digest::Hidden;
use sipreg::proto::ids::Counting;
use sipreg::proto::{
    Action, Cause, Command, Destination, DnsAnswer, Endpoint, Event, FlowId, Notice, QueryId, RegistrationId,
    ResolveError, Time, Transport,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const ID: RegistrationId = RegistrationId(1);

/// A flow as the driver sees it.
struct Flow {
    destination: Destination,
    local: Option<SocketAddr>,
    /// Different requests sent on it.
    requests: u32,
}

struct World<'a> {
    input: Input<'a>,
    endpoint: Endpoint,
    now: Time,
    flows: BTreeMap<FlowId, Flow>,
    queries: Vec<QueryId>,
    /// A password is wanted, since then.
    asked: Option<Time>,
    ledger: Ledger,
    /// Flows and questions need no word of the input to be answered.
    obliging: bool,
}

/// A plan, and what happens to it.
pub fn everything_ends(octets: &[u8]) {
    let mut input = Input::new(octets);
    let plan = plans::plan(&mut input);
    let start = Time::from_millis(1_792_000_000_000);
    let mut world = World {
        obliging: input.chance(),
        input,
        endpoint: Endpoint::new(Box::new(Counting::default())),
        now: start,
        flows: BTreeMap::new(),
        queries: Vec::new(),
        asked: None,
        ledger: Ledger::new(&plan, start),
    };
    world.happens(Event::Command(Command::Register { registration: ID, plan: Box::new(plan) }));
    while !world.input.is_empty() && !world.ledger.is_over() {
        world.one_thing();
    }
    world.end();
}

impl World<'_> {
    /// Hands an event over and carries out what it leads to.
    fn happens(&mut self, event: Event) {
        let quiet = self.is_foreign_datagram(&event);
        let size = if let Event::Received { bytes, .. } = &event { bytes.len() } else { 0 };
        let was_timeout = matches!(event, Event::Timeout);
        let actions: Vec<_> = self.endpoint.handle(event, self.now).collect();
        assert!(actions.len() <= 64 + size / 4, "{} actions of one event", actions.len());
        for action in actions {
            self.carry_out(action, quiet);
        }
        if let Some((at, key)) = self.endpoint.next_timeout() {
            assert!(at >= self.now && !(was_timeout && at == self.now), "{key:?} is late");
        }
        if self.ledger.is_over() {
            assert!(self.endpoint.is_idle() && self.flows.is_empty(), "something is left");
        }
    }

    fn carry_out(&mut self, action: Action, quiet: bool) {
        assert!(!quiet || matches!(action, Action::Notify(_)), "a stranger's datagram led to {action:?}");
        match action {
            Action::Authorize { flow, .. } => assert!(self.flows.contains_key(&flow), "{flow} is not open"),
            Action::Open { flow, destination } => {
                self.ledger.opens();
                let known = self.flows.insert(flow, Flow { destination, local: None, requests: 0 });
                assert!(known.is_none(), "{flow} is used twice");
            }
            Action::Close { flow } => assert!(self.flows.remove(&flow).is_some(), "{flow} is not open"),
            Action::Transmit { flow, peer, bytes } => {
                let flow = self.flows.get_mut(&flow).expect("an open flow");
                assert!(flow.local.is_some() && flow.destination.address == peer);
                if self.ledger.transmits(flow.destination.transport, bytes) {
                    flow.requests += 1;
                    assert!(flow.requests <= 8, "more than 8 requests to one destination");
                }
            }
            Action::Resolve { query, .. } => self.queries.push(query),
            Action::Checkpoint(what) => self.ledger.remembers(&what),
            Action::Notify(Notice::PasswordWanted { .. }) => {
                assert!(self.asked.is_none(), "asked twice");
                self.asked = Some(self.now);
            }
            Action::Notify(Notice::Retrying { .. }) => self.ledger.begins_another_try(),
            Action::Notify(Notice::Finished(report)) => {
                if let Some(since) = self.asked.take() {
                    self.ledger.thought += self.now.since(since);
                }
                self.ledger.finishes(&report, self.now);
            }
            Action::Notify(Notice::Message { .. } | Notice::Dropped { .. } | Notice::Lookup(_)) => {}
            Action::Listen { .. }
            | Action::FindSource { .. }
            | Action::Present(_)
            | Action::Store { .. }
            | Action::Notify(Notice::Server(_) | Notice::Check(_) | Notice::Account { .. }) => {
                panic!("a one-shot client serves nobody and keeps nothing")
            }
        }
    }

    /// Octets on a datagram's flow without a branch of ours in them: no answer to us.
    fn is_foreign_datagram(&self, event: &Event) -> bool {
        let Event::Received { flow, bytes, .. } = event else { return false };
        let udp = |flow: &Flow| flow.destination.transport == Transport::Udp;
        self.flows.get(flow).is_some_and(udp) && !self.ledger.names_a_branch(bytes)
    }

    /// Time passes, but not beyond the next timer.
    fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        match self.endpoint.next_timeout() {
            Some((at, _)) if at <= until => {
                self.now = at;
                self.happens(Event::Timeout);
            }
            _ => self.now = until,
        }
    }

    fn one_thing(&mut self) {
        if self.obliging {
            self.oblige();
        }
        match self.input.below(16) {
            0..=4 => self.answer(),
            5 | 6 => {
                let octets = self.input.octets().to_vec();
                self.arrives(octets);
            }
            7 => {
                let span = Duration::from_millis(u64::from(self.input.number()));
                self.wait(span);
            }
            8 => self.wait(Duration::from_secs(100)),
            9 => self.flow_event(),
            10 => self.open_one(),
            11 => self.resolve_one(),
            12 => self.fails(),
            13 => self.tells_password(),
            14 if self.input.octet() == 7 => {
                self.happens(Event::Command(Command::GiveUp { registration: ID }));
            }
            _ => self.happens(Event::Timeout),
        }
    }

    /// A response to one of the last requests.
    fn answer(&mut self) {
        let back = self.input.below(8).saturating_sub(5);
        let Some(request) = self.ledger.request(back).cloned() else {
            self.oblige();
            return;
        };
        let octets = peer::response(&mut self.input, &request);
        self.arrives(octets);
    }

    /// Octets come in, from the right address or another, in one piece or two.
    fn arrives(&mut self, octets: Vec<u8>) {
        let Some((flow, peer)) = self.some_flow() else { return };
        let whole = Bytes::from(octets);
        let cut =
            if self.input.below(4) == 3 { usize::from(self.input.number()) % (whole.len() + 1) } else { 0 };
        for bytes in [whole.slice(..cut), whole.slice(cut..)] {
            if !bytes.is_empty() || cut == 0 && whole.is_empty() {
                self.happens(Event::Received { flow, peer, bytes });
            }
        }
    }

    /// As a rule the newest flow, perhaps one that is closed or never was.
    fn some_flow(&mut self) -> Option<(FlowId, SocketAddr)> {
        let stranger = "198.51.100.7:5060".parse().unwrap();
        match self.input.below(8) {
            7 => Some((FlowId(u64::from(self.input.octet())), stranger)),
            6 => self.flows.keys().next().map(|flow| (*flow, stranger)),
            _ => self.flows.iter().next_back().map(|(flow, known)| (*flow, known.destination.address)),
        }
    }

    fn flow_event(&mut self) {
        let Some((flow, _)) = self.some_flow() else { return };
        self.happens(Event::Closed { flow });
        if let Some(known) = self.flows.get(&flow) {
            panic!("{flow} to {} outlives its end", known.destination.address);
        }
    }

    fn fails(&mut self) {
        let causes = [
            Cause::Refused,
            Cause::Unreachable,
            Cause::ProtocolUnreachable,
            Cause::TimedOut,
            Cause::Reset,
            Cause::TooLarge,
            Cause::LocalAddress,
            Cause::Denied,
            Cause::Other(std::io::ErrorKind::Other),
        ];
        let cause = self.input.one(&causes);
        let Some((flow, peer)) = self.some_flow() else { return };
        self.happens(Event::Failed { flow, peer, cause });
    }

    fn open_one(&mut self) {
        let waiting = self.flows.iter().filter(|(_, flow)| flow.local.is_none());
        let Some((id, to)) = waiting.map(|(id, flow)| (*id, flow.destination.address)).next() else { return };
        let ip = if to.is_ipv4() { "192.0.2.99" } else { "2001:db8::99" };
        let local = SocketAddr::new(ip.parse().unwrap(), 5070);
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.local = Some(local);
        }
        self.happens(Event::Opened { flow: id, local });
    }

    fn resolve_one(&mut self) {
        if self.queries.is_empty() {
            return;
        }
        let at = self.input.below(self.queries.len());
        let query = self.queries.remove(at);
        let answer: DnsAnswer = match self.input.below(8) {
            7 => Err(ResolveError::NoSuchName),
            6 => Err(ResolveError::ServerFailed),
            5 => Err(ResolveError::TimedOut),
            some => (0..some * some).map(|n| Ok(IpAddr::from([192, 0, 2, 10 + n as u8]).into())).collect(),
        };
        self.happens(Event::Resolved { query, answer, ttl: 60 });
    }

    fn oblige(&mut self) {
        while self.flows.values().any(|flow| flow.local.is_none()) {
            self.open_one();
        }
        while !self.queries.is_empty() {
            self.resolve_one();
        }
    }

    fn tells_password(&mut self) {
        let password = self.input.chance().then(|| Hidden::new(self.input.text()));
        self.answers_question(password);
    }

    fn answers_question(&mut self, password: Option<Hidden>) {
        if let Some(since) = self.asked.take() {
            self.ledger.thought += self.now.since(since);
        }
        self.happens(Event::Command(Command::Password { registration: ID, password }));
    }

    /// Nothing comes any more.
    fn end(&mut self) {
        for _ in 0..10_000 {
            if let Some((at, _)) = self.endpoint.next_timeout() {
                self.now = self.now.max(at);
                self.happens(Event::Timeout);
            } else if self.asked.is_some() {
                self.answers_question(None);
            } else {
                assert!(self.ledger.is_over(), "it waits for nothing");
                return self.nothing_moves_it();
            }
        }
        panic!("it does not come to an end");
    }

    /// What comes late is nobody's.
    fn nothing_moves_it(&mut self) {
        let peer = "192.0.2.1:5060".parse().unwrap();
        for flow in (0..4).map(FlowId) {
            let bytes = Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n");
            for event in [
                Event::Received { flow, peer, bytes },
                Event::Failed { flow, peer, cause: Cause::Refused },
                Event::Closed { flow },
                Event::Resolved { query: QueryId(flow.0), answer: Ok(Vec::new()), ttl: 60 },
                Event::Command(Command::Password { registration: ID, password: None }),
                Event::Timeout,
            ] {
                assert_eq!(self.endpoint.handle(event, self.now).count(), 0);
            }
        }
        assert!(self.endpoint.is_idle());
    }
}
