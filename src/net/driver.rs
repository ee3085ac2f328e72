//! The driver: hands events to the core, carries out its actions, and brings back what happened.
//!
//! [`Driver`] is the loop; [`Network`] all of it but the core: sockets, connections, the name service, the
//! store.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::alarm::Alarm;
use super::capture::{Capture, Passage};
use super::clock::Clock;
use super::connection::Flow;
use super::dns::{Answer, Resolver};
use super::nameserver::Reply;
use super::netwatch::NetWatch;
use super::sockets::{self, Bind, DryFlows};
use super::stream::{self, Connection, Handshakes, Listeners};
use super::tls::{ProfileSettings, ServerSettings};
use super::udp::{Arrival, UdpSockets};
use crate::proto::binding::{Operation, StoreFailure};
use crate::proto::client::schedule::AccountEvent;
use crate::proto::registrar::service::ServerEvent;
use crate::proto::{
    Action, AskId, Cause, Checkpoint, Command, Destination, Direction, Endpoint, Event, FlowId,
    KeepaliveFault, Lookup, Notice, Profile, QueryId, Question, ResolveError, Time, Transport,
};
use crate::store::{self, Store, StoreEvent};

/// The user's wishes for the network.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to send from, and the port; `None` leaves both to the system.
    pub bind: Option<Bind>,
    /// The port of a binding that is to be refreshed: sockets send from it if it is free and [`Config::bind`]
    /// asks for no other.
    pub port: Option<u16>,
    /// The name servers to ask; empty for those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// The time that a question to the name service may take.
    pub dns_timeout: Duration,
    /// Ask every name server each question, to see which of them answer, and not only one after the other until one does.
    pub asks_every_nameserver: bool,
    /// The settings for TLS and WebSocket that [`Profile`](crate::proto::Profile) counts; without any, those of
    /// [`ProfileSettings::default`].
    pub profiles: Vec<Arc<ProfileSettings>>,
    /// What listeners for TLS and WebSocket show and ask for.
    pub server: Option<Arc<ServerSettings>>,
    /// Open sockets without connecting, and send nothing: a message that would be sent comes back as
    /// [`Notice::Message`] with [`Direction::Sent`](crate::proto::Direction::Sent), and no answer ever
    /// follows. Names are resolved all the same.
    pub dry_run: bool,
}

/// The time that a question to the name service takes at most. Three in a row (NAPTR, SRV, addresses) end within 15
/// seconds.
pub const DNS_PATIENCE: Duration = Duration::from_millis(4500);

impl Default for Config {
    fn default() -> Config {
        Config {
            bind: None,
            port: None,
            nameservers: Vec::new(),
            dns_timeout: DNS_PATIENCE,
            asks_every_nameserver: false,
            profiles: Vec::new(),
            server: None,
            dry_run: false,
        }
    }
}

/// Keeps a checkpoint, which must outlive the process. It is called before the request that makes the
/// checkpoint true is sent, so it must be quick.
pub type Keeper = Box<dyn FnMut(&Checkpoint)>;

/// Notices that memory is kept for.
const NOTICES: usize = 64;

/// The loop around an [`Endpoint`]: events in, actions out, notices to the caller.
///
/// [`Driver::command`] at any time, then [`Driver::next`] until [`Notice::Finished`]; a server gets its
/// location service by [`Driver::store_with`] first, and runs until it has stopped, as
/// [`Command::StopServing`] asks it to. Needs a tokio runtime with I/O and time, as
/// [`runtime`](super::runtime) makes it. [`Driver::close`] ends its connections as they should end. Dropping it
/// closes everything, too, but where the runtime ends with it, messages that the system has not taken by then
/// are lost.
pub struct Driver {
    endpoint: Endpoint,
    network: Network,
    waits: Waits,
    notices: VecDeque<Notice>,
    capture: Option<Capture>,
}

impl Driver {
    /// A driver that has opened nothing yet.
    #[must_use]
    pub fn new(config: Config, endpoint: Endpoint, clock: Clock) -> Driver {
        Driver {
            endpoint,
            network: Network::new(config, clock),
            waits: Waits::default(),
            notices: VecDeque::new(),
            capture: None,
        }
    }

    /// Hands a command over; it is carried out by [`Driver::next`].
    pub fn command(&mut self, command: Command) {
        self.network.push(Event::Command(command));
    }

    /// Carries out [`Action::Checkpoint`](crate::proto::Action::Checkpoint); without a keeper nothing
    /// is kept.
    pub fn remember_with(&mut self, keeper: Keeper) {
        self.network.remember_with(keeper);
    }

    /// Carries out [`Action::Store`](crate::proto::Action::Store); without a store every answer is
    /// [`StoreFailure::Unavailable`](crate::proto::binding::StoreFailure::Unavailable).
    pub fn store_with(&mut self, store: Box<dyn Store>) {
        self.network.store_with(store);
    }

    /// What has been asked of the store.
    #[must_use]
    pub fn store_load(&self) -> StoreLoad {
        self.network.store_load()
    }

    /// Hands copies of the messages that pass ([`Notice::Message`]) over from now on. A server tells them only where
    /// [`Service::tell_messages`](crate::proto::registrar::service::Service::tell_messages) wants it.
    pub fn capture_with(&mut self, capture: Capture) {
        self.capture = Some(capture);
    }

    /// The settings that profiles count from now on; connections that are open keep theirs.
    pub fn set_profiles(&mut self, profiles: Vec<Arc<ProfileSettings>>) {
        self.network.config.profiles = profiles;
    }

    /// What listeners for TLS and WebSocket show and ask for from now on. Connections that are open stay, but for those of
    /// clients whose certificate none of the authorities vouches for any more: they are closed.
    pub fn set_server(&mut self, server: Arc<ServerSettings>) {
        self.network.set_server(server);
    }

    /// Tells the core from now on when an address, a route or an interface has changed. Needs the runtime.
    ///
    /// # Errors
    /// The system does not report changes.
    pub fn watch_network(&mut self) -> io::Result<()> {
        self.waits.netwatch.watch()
    }

    /// Closes everything. Whoever is at the other end of a connection hears of it as the transport wants it: by
    /// close_notify (RFC 8446 §6.1), or a close frame, whose answer is waited for (RFC 6455 §7.1.1). Takes 200 ms at most.
    pub async fn close(self) {
        self.network.end().await;
    }

    /// The core, to read its counters.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Runs until the core has a notice. Can be dropped at any time, as `tokio::select!` does, and called
    /// again: nothing is lost. Without a command it waits for ever.
    pub async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return notice;
            }
            self.notices.shrink_to(NOTICES);
            let due = self.endpoint.next_timeout().map(|(due, _)| due);
            let event = self.network.event(due, &mut self.waits).await;
            self.handle(event);
            // Events that are there already are handled too: the caller waits for much else besides, and that
            // takes time.
            while let Some(event) = self.network.ready_event() {
                self.handle(event);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.notices.extend(self.network.lookups.drain(..).map(Notice::Lookup));
        self.notices.extend(self.network.store_events.drain(..).map(Notice::Server));
        for action in self.endpoint.handle(event, self.network.now()) {
            let notice = self.network.perform(action);
            if let (Some(capture), Some(notice)) = (&mut self.capture, &notice) {
                copy(capture, self.network.clock, notice);
            }
            self.notices.extend(notice);
        }
    }

    /// A notice that is there already, without waiting; the others come by [`Driver::next`].
    pub fn try_next(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The current time by the core's clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.network.now()
    }
}

/// Hands a message over that passes.
fn copy(capture: &mut Capture, clock: Clock, notice: &Notice) {
    if let Notice::Message { direction, transport, local, remote, bytes } = notice {
        capture.take(&Passage {
            at: clock.since_epoch(),
            direction: *direction,
            transport: *transport,
            local: *local,
            remote: *remote,
            message: bytes,
        });
    }
}

/// The time that connections have to end when all of them are closed: people wait for that.
const FAREWELL: Duration = Duration::from_millis(200);

/// Events that may wait for the core. When it is full, flows stop reading.
const EVENTS: usize = 256;

/// Events in a row after which a timer that is due comes first, and then everything else that runs in this
/// thread: a flood must not hold them up.
const STREAK: u32 = 32;

/// Events of connections that are taken before the sockets get their turn.
const TURN: usize = 32;

/// Operations that the store may have under way at a time; what comes beyond is answered as if the store were away.
const OPERATIONS: u64 = 8192;

/// What has been asked of the store since the start, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreLoad {
    /// Operations, those included that were not passed on.
    pub operations: u64,
    /// Those that failed because the store was away or overloaded.
    pub failures: u64,
    /// Those whose answers are waited for.
    pub waiting: u64,
    /// Bindings that are held.
    pub bindings: usize,
    /// Changes that were made anew, because somebody else was quicker.
    pub conflicts: u64,
    /// How long answers took.
    pub latency: Latency,
}

/// How long the answers of a store took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many took no longer than the bound at this place in [`Latency::BOUNDS`], but longer than the one before; the last
    /// is for those that took longer than all.
    pub counts: [u64; Latency::BOUNDS.len() + 1],
    /// What all took together.
    pub total: Duration,
}

impl Latency {
    /// In microseconds.
    pub const BOUNDS: [u64; 10] = [10, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000];

    fn add(&mut self, took: Duration) {
        let place = Latency::BOUNDS.partition_point(|bound| Duration::from_micros(*bound) < took);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.total += took;
    }
}

/// Questions that may be open at a time.
const QUESTIONS: usize = 256;

/// Every socket, the name service and the store.
pub(super) struct Network {
    config: Config,
    clock: Clock,
    keeper: Option<Keeper>,
    store: Option<Box<dyn Store>>,
    store_load: StoreLoad,
    /// When each operation was asked that the store has not answered yet.
    asked: BTreeMap<AskId, Duration>,
    /// What the store has said of itself that nobody has been told yet.
    store_events: Vec<ServerEvent>,
    sockets: UdpSockets,
    listeners: Listeners,
    /// Connections that came in and are not usable yet.
    handshakes: Handshakes,
    /// The number of connections accepted so far, which numbers their flows.
    accepted: u64,
    /// Somebody is to be talked to by an address that is good for one link only.
    talks_on_link: bool,
    connections: BTreeMap<FlowId, Flow>,
    dry: DryFlows,
    resolver: Resolver,
    questions: JoinSet<(QueryId, Answer)>,
    /// What name servers have said that nobody has been told yet.
    lookups: Vec<Lookup>,
    answers: VecDeque<Event>,
    ready: VecDeque<Event>,
    arrived: VecDeque<Arrival>,
    /// Events since the last timeout.
    streak: u32,
    /// Events since the last time that other tasks of this thread had their turn.
    unbroken: u32,
    report: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
}

/// The alarm and the network watch, which the loop waits for besides its sockets.
#[derive(Default)]
pub(super) struct Waits {
    pub(super) alarm: Alarm,
    pub(super) netwatch: NetWatch,
}

impl Network {
    pub(super) fn new(config: Config, clock: Clock) -> Network {
        let (report, events) = mpsc::channel(EVENTS);
        let resolver =
            Resolver::new(config.nameservers.clone(), config.dns_timeout, config.asks_every_nameserver);
        Network {
            config,
            clock,
            keeper: None,
            store: None,
            store_load: StoreLoad::default(),
            asked: BTreeMap::new(),
            store_events: Vec::new(),
            sockets: UdpSockets::default(),
            listeners: Listeners::default(),
            handshakes: Handshakes::default(),
            accepted: 0,
            talks_on_link: false,
            connections: BTreeMap::new(),
            dry: DryFlows::default(),
            resolver,
            questions: JoinSet::new(),
            lookups: Vec::new(),
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

    pub(super) fn store_load(&self) -> StoreLoad {
        let (bindings, conflicts) =
            self.store.as_ref().map_or((0, 0), |store| (store.len(), store.conflicts()));
        StoreLoad { bindings, conflicts, ..self.store_load }
    }

    pub(super) fn set_server(&mut self, server: Arc<ServerSettings>) {
        let before = self.config.server.replace(Arc::clone(&server));
        if before.is_some_and(|before| before.client_roots == server.client_roots) {
            return;
        }
        let now = self.clock.now();
        let unproven = self.connections.iter().filter(|(_, it)| !it.is_proven_by(&server, now));
        for flow in unproven.map(|(flow, _)| *flow).collect::<Vec<_>>() {
            self.connections.remove(&flow);
            self.ready.push_back(Event::Closed { flow });
        }
    }

    /// Whether the client that has come in there is the one that it has proven to be, if it has, by the settings as they are
    /// now: they may have changed in the middle of its handshake.
    fn is_proven(&self, flow: FlowId) -> bool {
        let (Some(connection), Some(server)) = (self.connections.get(&flow), &self.config.server) else {
            return true;
        };
        connection.is_proven_by(server, self.clock.now())
    }

    /// The connections that are open, are being opened, or are in their handshakes.
    #[cfg(test)]
    pub(super) fn connection_count(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Closes everything, and waits until all connections have ended, for a bounded time.
    pub(super) async fn end(self) {
        let Network { connections, report, mut events, .. } = self;
        drop((connections, report));
        // Their tasks have the other ends of this.
        let over = async { while events.recv().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, over).await;
    }

    /// Lets the core see this event next.
    pub(super) fn push(&mut self, event: Event) {
        self.ready.push_back(event);
    }

    /// Carries out one action, without waiting. A notice for the user comes back.
    pub(super) fn perform(&mut self, action: Action) -> Option<Notice> {
        match action {
            Action::Open { flow, destination } if self.config.dry_run => self.open_dry(flow, destination),
            Action::Open { flow, destination } => self.open(flow, destination),
            Action::Close { flow } => self.close(flow),
            Action::Transmit { flow, peer, bytes } => return self.transmit(flow, peer, bytes),
            Action::Resolve { query, question } => self.resolve(query, &question),
            Action::Checkpoint(checkpoint) => {
                if let Some(keep) = &mut self.keeper {
                    keep(&checkpoint);
                }
            }
            Action::Notify(notice) => {
                self.leave_port(&notice);
                return Some(notice);
            }
            Action::Authorize { flow, authorization } => {
                if let Some(connection) = self.connections.get_mut(&flow) {
                    connection.authorize(authorization);
                }
            }
            Action::Listen { flow, transport, address } => self.listen(flow, transport, address),
            Action::Store { ask, operation } => self.ask_store(ask, operation),
            Action::Present(presence) => {
                self.store.iter_mut().for_each(|store| store.present(presence.clone()))
            }
            Action::FindSource { peer } => {
                let local = sockets::source(SocketAddr::new(peer, 5060), self.config.bind).ok();
                self.answers.push_back(Event::SourceFound { peer, local: local.map(|local| local.ip()) });
            }
        }
        None
    }

    /// The next event; [`Event::Timeout`] when `due` comes before any other. Can be dropped at any time and
    /// called again: nothing is lost.
    pub(super) async fn event(&mut self, due: Option<Time>, waits: &mut Waits) -> Event {
        loop {
            if let Some(event) = self.own_event() {
                return event;
            }
            self.ready.shrink_to(TURN);
            if self.streak >= STREAK && due.is_some_and(|due| due <= self.clock.now()) {
                return self.timeout();
            }
            if self.unbroken >= STREAK {
                self.unbroken = 0;
                tokio::task::yield_now().await;
            }
            if let Some(event) = self.arrival() {
                return event;
            }
            let clock = self.clock;
            let check = waits.netwatch.check_due();
            if check.is_some_and(|at| at <= clock.now()) {
                let is_other = waits.netwatch.check(self.talks_on_link);
                let moved = self.moved_flows();
                if is_other || !moved.is_empty() {
                    return Event::NetworkChanged { moved };
                }
                continue;
            }
            let first = [due, check].into_iter().flatten().min();
            let rests = first.is_none_or(|at| at > clock.now());
            tokio::select! {
                biased;
                () = std::future::poll_fn(|context| self.poll(context, rests)) => {}
                () = waits.alarm.until(clock, first) => {
                    if due.is_some_and(|due| due <= clock.now()) {
                        return self.timeout();
                    }
                }
                () = waits.netwatch.change(clock) => {}
            }
        }
    }

    /// An event that is there already, as long as neither a timer nor another task has to have its turn.
    fn ready_event(&mut self) -> Option<Event> {
        if self.streak >= STREAK || self.unbroken >= STREAK {
            None
        } else {
            self.own_event().or_else(|| self.arrival())
        }
    }

    /// An event that came of the core's own actions. It comes before all others, so that the core finds
    /// things as it left them.
    fn own_event(&mut self) -> Option<Event> {
        self.answers.pop_front().or_else(|| self.ready.pop_front())
    }

    /// An event from outside whose flow is still open.
    fn arrival(&mut self) -> Option<Event> {
        loop {
            let Arrival { event, local } = self.arrived.pop_front()?;
            self.streak += 1;
            self.unbroken += 1;
            if self.concerns_open_flow(&event) {
                self.note_address(&event);
                self.sockets.note_local(&event, local);
                return Some(event);
            }
        }
    }

    /// The flows that the system would open from another address now. A flow that it would not open at all is
    /// not among them: a new one would be no better.
    fn moved_flows(&self) -> Vec<FlowId> {
        let connections = self
            .connections
            .iter()
            .filter_map(|(id, connection)| Some((*id, connection.destination.address, connection.local?)));
        let has_moved = |destination, then: SocketAddr| {
            sockets::source(destination, self.config.bind).is_ok_and(|now| now.ip() != then.ip())
        };
        let flows = self.sockets.flows().chain(connections);
        let mut moved: Vec<_> = flows
            .filter(|(_, destination, local)| has_moved(*destination, *local))
            .map(|(id, ..)| id)
            .collect();
        moved.sort_unstable();
        moved
    }

    fn timeout(&mut self) -> Event {
        self.streak = 0;
        self.unbroken += 1;
        Event::Timeout
    }

    /// Sends the messages that wait, and takes from each source its turn of events. Where there are none, the
    /// task rests now if no timer is due.
    fn poll(&mut self, context: &mut Context<'_>, rests: bool) -> Poll<()> {
        for _ in 0..TURN {
            let Poll::Ready(Some(event)) = self.events.poll_recv(context) else { break };
            self.arrived.push_back(Arrival { event, local: None });
        }
        while let Poll::Ready(Some(answer)) = self.questions.poll_join_next(context) {
            let Ok((query, Answer { reply: Reply { answer, ttl }, lookups })) = answer else { continue };
            self.lookups.extend(lookups);
            self.arrived.push_back(Arrival { event: Event::Resolved { query, answer, ttl }, local: None });
        }
        self.poll_store(context);
        self.sockets.poll(context, &mut self.arrived);
        for connection in self.listeners.poll(context) {
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

    /// Whether the event's flow, or listener, is still open. A connection is over after its last event.
    fn concerns_open_flow(&mut self, event: &Event) -> bool {
        match event {
            Event::Opened { flow, .. }
            | Event::Secured { flow, .. }
            | Event::Challenged { flow, .. }
            | Event::LastWords { flow, .. }
            | Event::Received { flow, .. } => {
                self.connections.contains_key(flow)
                    || self.sockets.contains(*flow)
                    || self.listeners.contains(*flow)
            }
            Event::Accepted { listener, flow, remote, .. } => {
                self.handshakes.end(*listener, *remote);
                // One that had to make room may have been done in that moment.
                let listens = self.listeners.contains(*listener)
                    && self.connections.contains_key(flow)
                    && self.is_proven(*flow);
                if !listens {
                    self.close(*flow);
                }
                listens
            }
            Event::HandshakeFailed { listener, remote, .. } => {
                if let Some(flow) = self.handshakes.end(*listener, *remote) {
                    self.connections.remove(&flow);
                }
                self.listeners.contains(*listener)
            }
            Event::Closed { flow } | Event::Failed { flow, .. } => {
                self.sockets.contains(*flow) || self.connections.remove(flow).is_some()
            }
            Event::Stored { .. }
            | Event::Resolved { .. }
            | Event::Command(_)
            | Event::Node { .. }
            | Event::SourceFound { .. }
            | Event::NetworkChanged { .. }
            | Event::Timeout => true,
        }
    }

    /// The next UDP socket takes the port of the first, if it can, so that the device stays reachable at its
    /// Contact. Notes the address of a connection that is open now.
    fn note_address(&mut self, event: &Event) {
        if let Event::Opened { flow, local } = event {
            if let Some(connection) = self.connections.get_mut(flow) {
                connection.local = Some(*local);
            } else if self.sockets.flows().any(|(id, ..)| id == *flow) {
                self.config.port.get_or_insert(local.port());
            }
        }
    }

    /// Where keep-alives have gone unanswered, what stands between may hold the way of that port and lead it nowhere: the next
    /// socket takes another one (RFC 5626 §4.5).
    fn leave_port(&mut self, notice: &Notice) {
        let lost = Some(Cause::Keepalive(KeepaliveFault::Unanswered));
        if let Notice::Account { what: AccountEvent::FlowFailed { cause, .. }, .. } = notice
            && *cause == lost
        {
            self.config.port = None;
        }
    }

    fn open(&mut self, flow: FlowId, destination: Destination) {
        let Config { bind, port, .. } = self.config;
        let Destination { transport, address, .. } = destination;
        self.talks_on_link |= match address.ip() {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let choices = sockets::choices(address, bind, port);
        match transport {
            Transport::Udp => {
                let opened = self.sockets.open(flow, address, &choices);
                self.socket_opened(flow, address, opened);
            }
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                let settings = self.profile(destination.profile);
                let opening = Flow::start(flow, destination, self.report.clone(), |task| async move {
                    stream::run(task, &choices, &settings).await;
                });
                self.connections.insert(flow, opening);
            }
        }
    }

    /// The settings of a profile; those of one that nobody has set are the usual ones.
    fn profile(&self, profile: Profile) -> Arc<ProfileSettings> {
        self.config.profiles.get(usize::from(profile.0)).map(Arc::clone).unwrap_or_default()
    }

    fn listen(&mut self, flow: FlowId, transport: Transport, address: SocketAddr) {
        let opened = match transport {
            Transport::Udp => self.sockets.listen(flow, address),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                self.listeners.open(flow, transport, address)
            }
        };
        self.socket_opened(flow, address, opened);
    }

    /// Queues the event of a socket that was opened, or could not be.
    fn socket_opened(&mut self, flow: FlowId, peer: SocketAddr, opened: io::Result<SocketAddr>) {
        match opened {
            Ok(local) => {
                self.arrived.push_back(Arrival { event: Event::Opened { flow, local }, local: None });
            }
            Err(error) => self.ready.push_back(Event::Failed { flow, peer, cause: sockets::cause(&error) }),
        }
    }

    fn accept(&mut self, Connection { listener, transport, stream, local, remote }: Connection) {
        let flow = FlowId(FlowId::ACCEPTED.0 + self.accepted);
        self.accepted += 1;
        let peer = Destination::new(transport, remote);
        let report = self.report.clone();
        if transport == Transport::Tcp {
            let accepted = Flow::start(flow, peer, report, |task| stream::converse(task, stream));
            self.connections.insert(flow, accepted);
            let event = Event::Accepted { listener, flow, local, remote };
            return self.arrived.push_back(Arrival { event, local: None });
        }
        if let Some((at, oldest)) = self.handshakes.crowded() {
            if let Some(flow) = self.handshakes.end(at, oldest) {
                self.connections.remove(&flow);
            }
            let event = Event::HandshakeFailed { listener: at, remote: oldest, cause: Cause::Exhausted };
            self.arrived.push_back(Arrival { event, local: None });
        }
        if !self.handshakes.begin(listener, flow, remote) {
            let cause = Cause::Exhausted;
            let event = Event::HandshakeFailed { listener, remote, cause };
            return self.arrived.push_back(Arrival { event, local: None });
        }
        let settings = self.config.server.clone().unwrap_or_default();
        let admitted = Flow::start(flow, peer, report, |task| async move {
            stream::admit(task, stream, (listener, local), &settings).await;
        });
        self.connections.insert(flow, admitted);
    }

    fn ask_store(&mut self, ask: AskId, operation: Operation) {
        let (now, asked) = (self.clock.now(), self.clock.elapsed());
        self.store_load.operations += 1;
        let answer = match &mut self.store {
            Some(store) if self.store_load.waiting < OPERATIONS => store.submit(ask, operation, now),
            Some(_) | None => Some(Err(StoreFailure::Unavailable)),
        };
        match answer {
            Some(answer) => {
                let answered = self.answered(ask, answer, asked);
                self.answers.push_back(answered);
            }
            None => {
                self.store_load.waiting += 1;
                self.asked.insert(ask, asked);
            }
        }
    }

    /// `asked`: when, by the clock's [`Clock::elapsed`].
    fn answered(&mut self, ask: AskId, answer: store::Answer, asked: Duration) -> Event {
        self.store_load.latency.add(self.clock.elapsed().saturating_sub(asked));
        if let Err(StoreFailure::Unavailable | StoreFailure::Failed) = answer {
            self.store_load.failures += 1;
        }
        Event::Stored { ask, answer }
    }

    /// Takes a turn of what comes from the store by itself.
    fn poll_store(&mut self, context: &mut Context<'_>) {
        for _ in 0..TURN {
            let Some(Poll::Ready(event)) = self.store.as_mut().map(|store| store.poll(context)) else {
                return;
            };
            match event {
                StoreEvent::Answered { ask, answer } => {
                    self.store_load.waiting = self.store_load.waiting.saturating_sub(1);
                    let asked = self.asked.remove(&ask).unwrap_or_else(|| self.clock.elapsed());
                    let event = self.answered(ask, answer, asked);
                    self.arrived.push_back(Arrival { event, local: None });
                }
                StoreEvent::Failed { why } => self.store_events.push(ServerEvent::StoreFailed { why }),
                StoreEvent::Back => self.store_events.push(ServerEvent::StoreBack),
                StoreEvent::Node { id, peer } => {
                    self.arrived.push_back(Arrival { event: Event::Node { id, peer }, local: None });
                }
            }
        }
    }

    fn close(&mut self, flow: FlowId) {
        self.dry.close(flow);
        self.sockets.close(flow);
        self.listeners.close(flow);
        self.connections.remove(&flow);
        for pending in self.handshakes.close(flow) {
            self.connections.remove(&pending);
        }
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

    /// Queues the event of a flow that does not take its messages. A connection is given up.
    fn fail(&mut self, flow: FlowId, peer: SocketAddr, cause: Cause) {
        let failed = Event::Failed { flow, peer, cause };
        if self.concerns_open_flow(&failed) {
            self.ready.push_back(failed);
        }
    }

    fn resolve(&mut self, query: QueryId, question: &Question) {
        if self.questions.len() >= QUESTIONS {
            return self.ready.push_back(Event::Resolved {
                query,
                answer: Err(ResolveError::ServerFailed),
                ttl: 0,
            });
        }
        let answer = self.resolver.ask(question);
        self.questions.spawn(async move { (query, answer.await) });
    }

    fn open_dry(&mut self, flow: FlowId, destination: Destination) {
        let choices = sockets::choices(destination.address, self.config.bind, self.config.port);
        self.ready.push_back(match self.dry.open(flow, &destination, &choices) {
            Ok(local) => Event::Opened { flow, local },
            Err(error) => Event::Failed { flow, peer: destination.address, cause: sockets::cause(&error) },
        });
    }
}
