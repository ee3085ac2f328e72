//! Carries out what the core wants done, and brings back what happened: all of the driver but the core.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::accept::{Acceptors, Connection};
use super::alarm::Alarm;
use super::changes::Changing;
use super::clock::Clock;
use super::dns::Resolver;
use super::dry::DryFlows;
use super::flow::Flow;
use super::sockets::{Arrival, Sockets};
use super::{Config, Keeper, cause, local, stream};
use crate::proto::binding::{Operation, StoreFailure};
use crate::proto::{
    Action, AskId, Cause, Destination, Direction, Event, FlowId, Notice, QueryId, Question, ResolveError,
    Time, Transport,
};
use crate::store::Store;

/// Events that may wait for the core. When it is full, flows stop reading.
const EVENTS: usize = 256;

/// Events in a row after which a timer that is due comes first, and then everything else that runs in this thread: a
/// flood must not hold them up.
const FAIR: u32 = 32;

/// Events of connections that are taken before the sockets get their turn.
const TURN: usize = 32;

/// Questions that may be open at a time.
const QUESTIONS: usize = 256;

/// Every socket, and the name service.
pub(super) struct Network {
    config: Config,
    clock: Clock,
    keeper: Option<Keeper>,
    store: Option<Box<dyn Store>>,
    sockets: Sockets,
    acceptors: Acceptors,
    accepted: u64,
    connections: BTreeMap<FlowId, Flow>,
    dry: DryFlows,
    resolver: Resolver,
    questions: JoinSet<()>,
    answers: VecDeque<Event>,
    ready: VecDeque<Event>,
    arrived: VecDeque<Arrival>,
    streak: u32,
    unbroken: u32,
    report: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
}

/// What the loop waits for besides its sockets.
#[derive(Default)]
pub(super) struct Waits {
    pub(super) alarm: Alarm,
    pub(super) changes: Changing,
}

impl Network {
    pub(super) fn new(config: Config, clock: Clock) -> Network {
        let (report, events) = mpsc::channel(EVENTS);
        let resolver = Resolver::new(config.nameservers.clone(), config.dns_timeout);
        Network {
            config,
            clock,
            keeper: None,
            store: None,
            sockets: Sockets::default(),
            acceptors: Acceptors::default(),
            accepted: 0,
            connections: BTreeMap::new(),
            dry: DryFlows::default(),
            resolver,
            questions: JoinSet::new(),
            answers: VecDeque::new(),
            ready: VecDeque::new(),
            arrived: VecDeque::new(),
            streak: 0,
            unbroken: 0,
            report,
            events,
        }
    }

    pub(super) fn remember_with(&mut self, keeper: Keeper) {
        self.keeper = Some(keeper);
    }

    pub(super) fn store_with(&mut self, store: Box<dyn Store>) {
        self.store = Some(store);
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Lets the core see this event next.
    pub(super) fn push(&mut self, event: Event) {
        self.ready.push_back(event);
    }

    /// Carries out one action, without waiting. What is for the user comes back.
    pub(super) fn perform(&mut self, action: Action) -> Option<Notice> {
        match action {
            Action::Open { flow, destination } if self.config.dry_run => self.open_dry(flow, destination),
            Action::Open { flow, destination } => self.open(flow, destination),
            Action::Close { flow } => self.close(flow),
            Action::Transmit { flow, peer, bytes } => return self.transmit(flow, peer, bytes),
            Action::Resolve { query, question } => self.resolve(query, &question),
            Action::Checkpoint(what) => {
                if let Some(keep) = &mut self.keeper {
                    keep(&what);
                }
            }
            Action::Notify(notice) => return Some(notice),
            Action::Listen { flow, transport, address } => self.listen(flow, transport, address),
            Action::Store { ask, operation } => self.ask_store(ask, operation),
        }
        None
    }

    /// The next thing that happens; [`Event::Timeout`] when that is that `due` has come. Can be dropped at any time
    /// and called again: nothing is lost.
    pub(super) async fn event_with(&mut self, due: Option<Time>, waits: &mut Waits) -> Event {
        loop {
            if let Some(event) = self.own() {
                return event;
            }
            self.ready.shrink_to(TURN);
            if self.streak >= FAIR && due.is_some_and(|due| due <= self.clock.now()) {
                return self.timeout();
            }
            if self.unbroken >= FAIR {
                self.unbroken = 0;
                tokio::task::yield_now().await;
            }
            if let Some(event) = self.arrival() {
                return event;
            }
            let clock = self.clock;
            let looks = waits.changes.looks_at();
            if looks.is_some_and(|at| at <= clock.now()) {
                waits.changes.looked();
                return Event::NetworkChanged { moved: self.moved() };
            }
            let first = [due, looks].into_iter().flatten().min();
            let rests = first.is_none_or(|at| at > clock.now());
            tokio::select! {
                biased;
                () = std::future::poll_fn(|context| self.poll(context, rests)) => {}
                () = waits.alarm.until(clock, first) => {
                    if due.is_some_and(|due| due <= clock.now()) {
                        return self.timeout();
                    }
                }
                () = waits.changes.noticed(clock) => {}
            }
        }
    }

    /// What is there already, as long as nobody else has to have a turn.
    pub(super) fn at_hand(&mut self) -> Option<Event> {
        if self.streak >= FAIR || self.unbroken >= FAIR {
            None
        } else {
            self.own().or_else(|| self.arrival())
        }
    }

    /// What came of the core's own actions: first of all, so that it finds things as it left them.
    fn own(&mut self) -> Option<Event> {
        self.answers.pop_front().or_else(|| self.ready.pop_front())
    }

    fn arrival(&mut self) -> Option<Event> {
        loop {
            let Arrival { event, local } = self.arrived.pop_front()?;
            self.streak += 1;
            self.unbroken += 1;
            if self.is_wanted(&event) {
                self.keep_port(&event);
                self.sockets.note(&event, local);
                return Some(event);
            }
        }
    }

    /// As [`Network::event_with`], for tests that wait for nothing else.
    #[cfg(test)]
    pub(super) async fn event(&mut self, due: Option<Time>) -> Event {
        self.event_with(due, &mut Waits::default()).await
    }

    /// The flows that the system would open from another address now; one that it would not open at all is not among
    /// them, for there is nothing better.
    fn moved(&self) -> Vec<FlowId> {
        let connections = self
            .connections
            .iter()
            .filter_map(|(id, connection)| Some((*id, connection.destination.address, connection.local?)));
        let moved = |destination, then: SocketAddr| {
            local::source(destination, self.config.bind).is_ok_and(|now| now.ip() != then.ip())
        };
        let flows = self.sockets.flows().chain(connections);
        let mut moved: Vec<_> =
            flows.filter(|(_, destination, local)| moved(*destination, *local)).map(|(id, ..)| id).collect();
        moved.sort_unstable();
        moved
    }

    fn timeout(&mut self) -> Event {
        self.streak = 0;
        self.unbroken += 1;
        Event::Timeout
    }

    /// Sends what there is to send, and takes from everything its turn of what has come. Where nothing has, the task rests now if
    /// no timer is due.
    fn poll(&mut self, context: &mut Context<'_>, rests: bool) -> Poll<()> {
        for _ in 0..TURN {
            let Poll::Ready(Some(event)) = self.events.poll_recv(context) else { break };
            self.arrived.push_back(Arrival { event, local: None });
        }
        self.sockets.poll(context, &mut self.arrived);
        for connection in self.acceptors.poll(context) {
            self.accept(connection);
        }
        if self.arrived.is_empty() {
            if rests {
                self.unbroken = 0;
            }
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Whether the event's flow is still open. A connection is over after its last event.
    fn is_wanted(&mut self, event: &Event) -> bool {
        match event {
            Event::Opened { flow, .. } | Event::Received { flow, .. } => {
                self.connections.contains_key(flow)
                    || self.sockets.contains(*flow)
                    || self.acceptors.contains(*flow)
            }
            Event::Accepted { listener, flow, .. } => {
                let wanted = self.acceptors.contains(*listener);
                if !wanted {
                    self.close(*flow);
                }
                wanted
            }
            Event::Closed { flow } | Event::Failed { flow, .. } => {
                self.sockets.contains(*flow) || self.connections.remove(flow).is_some()
            }
            Event::Stored { .. }
            | Event::Resolved { .. }
            | Event::Command(_)
            | Event::NetworkChanged { .. }
            | Event::Timeout => true,
        }
    }

    /// The next socket for datagrams takes the port of the first, if it can: the device stays where it said it is.
    fn keep_port(&mut self, event: &Event) {
        if let Event::Opened { flow, local } = event {
            if let Some(connection) = self.connections.get_mut(flow) {
                connection.local = Some(*local);
            } else if self.sockets.flows().any(|(id, ..)| id == *flow) {
                self.config.port.get_or_insert(local.port());
            }
        }
    }

    fn open(&mut self, flow: FlowId, destination: Destination) {
        let Config { bind, port, .. } = self.config;
        let Destination { transport, address, .. } = destination;
        let wishes = local::wishes(address, bind, port);
        match transport {
            Transport::Udp => {
                let opened = self.sockets.open(flow, address, &wishes);
                self.bound(flow, address, opened);
            }
            Transport::Tcp => {
                let opening = Flow::start(flow, destination, self.report.clone(), |ends| async move {
                    stream::run(ends, &wishes).await;
                });
                self.connections.insert(flow, opening);
            }
        }
    }

    fn listen(&mut self, flow: FlowId, transport: Transport, address: SocketAddr) {
        let opened = match transport {
            Transport::Udp => self.sockets.listen(flow, address),
            Transport::Tcp => self.acceptors.open(flow, address),
        };
        self.bound(flow, address, opened);
    }

    /// Says whether a socket could be opened.
    fn bound(&mut self, flow: FlowId, peer: SocketAddr, opened: io::Result<SocketAddr>) {
        match opened {
            Ok(local) => {
                self.arrived.push_back(Arrival { event: Event::Opened { flow, local }, local: None });
            }
            Err(error) => self.ready.push_back(Event::Failed { flow, peer, cause: cause::of(&error) }),
        }
    }

    fn accept(&mut self, Connection { listener, stream, local, remote }: Connection) {
        let flow = FlowId(FlowId::ACCEPTED.0 + self.accepted);
        self.accepted += 1;
        let theirs = Destination::new(Transport::Tcp, remote);
        let report = self.report.clone();
        let accepted = Flow::start(flow, theirs, report, |ends| stream::converse(ends, stream));
        self.connections.insert(flow, accepted);
        let event = Event::Accepted { listener, flow, local, remote };
        self.arrived.push_back(Arrival { event, local: None });
    }

    fn ask_store(&mut self, ask: AskId, operation: Operation) {
        let now = self.clock.now();
        let answer = match &mut self.store {
            Some(store) => store.perform(operation, now),
            None => Err(StoreFailure::Unavailable),
        };
        self.answers.push_back(Event::Stored { ask, answer });
    }

    fn close(&mut self, flow: FlowId) {
        self.dry.close(flow);
        self.sockets.close(flow);
        self.acceptors.close(flow);
        self.connections.remove(&flow);
    }

    fn transmit(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes) -> Option<Notice> {
        if let Some((transport, local)) = self.dry.source(flow) {
            return Some(Notice::Message {
                direction: Direction::Sent,
                transport,
                local,
                remote: peer,
                bytes,
            });
        }
        let sent = match self.connections.get(&flow) {
            Some(connection) => connection.send(bytes),
            None => self.sockets.send(flow, peer, bytes),
        };
        if let Err(cause) = sent {
            self.fail(flow, peer, cause);
        }
        None
    }

    /// A flow that does not take its messages is given up, if it is a connection.
    fn fail(&mut self, flow: FlowId, peer: SocketAddr, cause: Cause) {
        let failed = Event::Failed { flow, peer, cause };
        if self.is_wanted(&failed) {
            self.ready.push_back(failed);
        }
    }

    fn resolve(&mut self, query: QueryId, question: &Question) {
        while self.questions.try_join_next().is_some() {}
        if self.questions.len() >= QUESTIONS {
            return self.ready.push_back(Event::Resolved { query, answer: Err(ResolveError::ServerFailed) });
        }
        let answer = self.resolver.ask(question);
        let report = self.report.clone();
        self.questions.spawn(async move {
            let answer = answer.await;
            let _ = report.send(Event::Resolved { query, answer }).await;
        });
    }

    fn open_dry(&mut self, flow: FlowId, destination: Destination) {
        let peer = destination.address;
        let wishes = local::wishes(peer, self.config.bind, self.config.port);
        self.ready.push_back(match self.dry.open(flow, destination, wishes) {
            Ok(local) => Event::Opened { flow, local },
            Err(error) => Event::Failed { flow, peer, cause: cause::of(&error) },
        });
    }
}
