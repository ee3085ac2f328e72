//! Flows (RFC 3261 §18, RFC 5626 §3.2): every socket, listener and connection of the endpoint, in one table.
//!
//! Life of a flow: it is opened for a destination, listened on, or accepted; from [`Flows::opened`] on octets go both
//! ways. What comes in is cut into messages by [`Flows::next`]; what goes out leaves by [`Flows::send`], or by
//! [`Flows::respond`], which opens a connection for a response whose own is gone (§18.2.2).
//!
//! A one-shot registration has flows of its own. Accounts that are kept bound share one for each destination: ten
//! thousand of them need one socket. It is closed when the last one leaves it.
//!
//! A connection of the server, accepted or opened to forward requests, is kept until a time of its own: some time after
//! its last message, and as long as a binding that was registered over it. The one whose time is up first is closed when
//! that comes, or when all places are taken and another wants in.

mod reach;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::binding::{Aor, Source};
use super::context::Context;
use super::identity::TlsSession;
use super::stun::{self, Stun};
use super::timers::FlowTimer;
use super::transport::{Destination, Transport};
use super::{Action, Direction, FlowId, Notice, RegistrationId, Time};
use sources::Sources;

pub(super) use reach::Reach;
pub use reach::SentBy;

use crate::sip::{Frame, FramingError, Message, ParseError, StreamFramer};

/// The keep-alive that answers a double CRLF (RFC 5626 §5.4).
const PONG: &[u8] = b"\r\n";

/// CRLFCRLF, the keep-alive that asks for one (RFC 5626 §4.4.1): between the messages of a stream, or as a datagram or message of
/// its own (RFC 7118 §6).
pub(super) const PING: &[u8] = b"\r\n\r\n";

/// Connections that may be under way at a time for responses whose own is gone.
const RETURNS: usize = 64;

/// How long connecting may take until nobody waits for it any more: Timer B of RFC 3261 with its usual T1.
const CONNECTING: Duration = Duration::from_secs(32);

/// A socket, a listener, or a connection.
pub(super) struct Flow {
    pub transport: Transport,
    /// Our address, once it is open.
    pub local: Option<SocketAddr>,
    role: Role,
    /// Its TLS session.
    session: Option<Arc<TlsSession>>,
    /// Whom the certificate of who connected is for, of a flow that came in.
    proven: Vec<Aor>,
    /// Cuts a stream into messages.
    framer: Option<StreamFramer>,
    /// How long a message may take from its first octet to its last.
    patience: Duration,
    /// Octets of a message that is not complete, as they stand in [`Flows::unfinished`]; 0: the flow is not in there.
    unfinished: usize,
    /// Whether every message that passes is told.
    is_told: bool,
    /// Whether it is the listener where other nodes hand requests over, or has come in there.
    is_for_nodes: bool,
}

/// How a flow came to be.
enum Role {
    /// Registrations opened it.
    Client(Destination),
    /// A server waits there for what comes.
    Listener,
    /// It came in at a listener, and may be silent until then.
    Accepted { peer: SocketAddr, until: Time },
    /// It is opened to forward requests there, and may be silent until then.
    Forward { destination: Destination, until: Time },
    /// It is opened to send this response there, and closed again.
    Return(SocketAddr, Bytes),
}

/// Whose what comes in on a flow is, unless it belongs to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The device's that is bound there.
    Client,
    /// The server's.
    Server,
}

impl Flow {
    pub fn side(&self) -> Side {
        match self.role {
            Role::Client(_) => Side::Client,
            Role::Listener | Role::Accepted { .. } | Role::Forward { .. } | Role::Return(..) => Side::Server,
        }
    }

    /// The other end, of a flow that has only one.
    pub fn remote(&self) -> Option<SocketAddr> {
        match &self.role {
            Role::Client(destination) | Role::Forward { destination, .. } => Some(destination.address),
            Role::Accepted { peer, .. } | Role::Return(peer, _) => Some(*peer),
            Role::Listener => None,
        }
    }

    /// Whether a message has begun to come in and is not complete.
    pub fn is_unfinished(&self) -> bool {
        self.framer.as_ref().is_some_and(StreamFramer::partial)
    }

    /// Whether it waits for whoever comes: what the network says of one of them does not end it.
    pub fn is_listener(&self) -> bool {
        matches!(self.role, Role::Listener)
    }
}

/// What a server bears of those who connect to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections at a time, those that came in and those that were opened to forward requests.
    pub connections: usize,
    /// How long one of them may be silent.
    pub idle: Duration,
    /// How long a message may take from its first octet to its last.
    pub incomplete: Duration,
    /// Octets of messages that are not complete, of all connections together.
    pub unfinished: usize,
    /// Whether every message that passes is told.
    pub tells: bool,
}

/// Which limit a flow has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    /// One connection too many: of all of them, it was the first whose time would be up.
    #[error("too many connections")]
    Connections,
    /// No message came for too long.
    #[error("silent for too long")]
    Idle,
    /// A message was not complete in time.
    #[error("too slow with a message")]
    Slow,
    /// Messages that are not complete were too long together, and this flow had the longest.
    #[error("too much is unfinished")]
    Unfinished,
    /// The messages of a stream could not be told apart.
    #[error("not SIP")]
    Framing,
    /// The other side does not take its answers.
    #[error("does not take its answers")]
    Stalled,
    /// Too many frames of a WebSocket brought nothing.
    #[error("too many pings")]
    Flood,
}

/// What came in.
pub(super) enum Arrival {
    Message(Message),
    /// The octets of a message that cannot be read.
    Unreadable(Bytes, ParseError),
    /// The answer to a ping (RFC 5626 §4.4.1), to a device; or two of them, which look like a ping of the server's own.
    Pong,
    Pongs,
    /// STUN, to a device.
    Stun(Stun),
    /// The messages of the stream cannot be told apart any more: it has to be closed.
    OutOfStep(FramingError),
}

/// Where the responses of a request go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReturnPath {
    /// The flow that the request came in on.
    pub flow: FlowId,
    pub peer: SocketAddr,
    pub transport: Transport,
    /// The port where the client listens, by its Via: for when the connection is gone (§18.2.2).
    pub port: u16,
}

/// All flows of an endpoint.
pub(super) struct Flows {
    all: BTreeMap<FlowId, Flow>,
    /// Which registrations use which flow, both ways round.
    users: BTreeSet<(FlowId, RegistrationId)>,
    used: BTreeSet<(RegistrationId, FlowId)>,
    /// The flow that a new account to this destination shares.
    shared: BTreeMap<Destination, FlowId>,
    /// Connections of the server by the time until which they may be silent.
    silent: BTreeSet<(Time, FlowId)>,
    /// The listeners that are open, with their addresses, in the order they were asked for.
    listeners: Vec<(FlowId, Transport, SocketAddr)>,
    /// The one where other nodes hand requests over, once it is open: nobody else is reached from there, or hears of it.
    for_nodes: Option<(FlowId, Transport, SocketAddr)>,
    /// The connections that were opened to forward requests.
    forward: BTreeMap<Destination, FlowId>,
    /// The connections that came in, by their other end.
    accepted: BTreeMap<(Transport, SocketAddr), FlowId>,
    sources: Sources,
    /// Flows in the middle of a message, by the octets of it that are there.
    unfinished: BTreeSet<(usize, FlowId)>,
    /// All those octets.
    octets: usize,
    /// Connections that are opened for one response.
    returns: usize,
    bounds: Bounds,
}

impl Default for Flows {
    fn default() -> Flows {
        Flows {
            all: BTreeMap::new(),
            users: BTreeSet::new(),
            used: BTreeSet::new(),
            shared: BTreeMap::new(),
            silent: BTreeSet::new(),
            listeners: Vec::new(),
            for_nodes: None,
            forward: BTreeMap::new(),
            accepted: BTreeMap::new(),
            sources: Sources::default(),
            unfinished: BTreeSet::new(),
            octets: 0,
            returns: 0,
            bounds: Bounds {
                connections: 0,
                idle: Duration::ZERO,
                incomplete: Duration::ZERO,
                unfinished: 16 << 20,
                tells: false,
            },
        }
    }
}

/// What is open, and who uses it.
impl Flows {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn get(&self, id: FlowId) -> Option<&Flow> {
        self.all.get(&id)
    }

    pub fn has(&self, id: FlowId) -> bool {
        self.all.contains_key(&id)
    }

    /// Where a REGISTER came from, by the UDP socket that is there now. An earlier process may have kept it, which numbered
    /// its listeners as this one does if it had the same; else the first that talks to such addresses is as good as any.
    pub fn standing(&self, source: Source) -> Source {
        if source.transport != Transport::Udp {
            return source;
        }
        let fits = |(_, transport, at): &&(FlowId, Transport, SocketAddr)| {
            *transport == Transport::Udp && at.is_ipv4() == source.peer.is_ipv4()
        };
        let mut fitting = self.listeners.iter().filter(fits).map(|(id, ..)| *id);
        let flow = fitting.clone().find(|id| *id == source.flow).or_else(|| fitting.next());
        Source { flow: flow.unwrap_or(source.flow), ..source }
    }

    /// The flows of the server: connections that came in first, then listeners and those that it opened.
    pub fn of_server(&self) -> Vec<FlowId> {
        let of_server = |(id, flow): (&FlowId, &Flow)| (flow.side() == Side::Server).then_some(*id);
        let accepted = self.all.range(FlowId::ACCEPTED..);
        accepted.chain(self.all.range(..FlowId::ACCEPTED)).filter_map(of_server).collect()
    }

    /// Who uses a flow, in the order of their numbers.
    pub fn users(&self, flow: FlowId) -> Vec<RegistrationId> {
        let range = (flow, RegistrationId(0))..=(flow, RegistrationId(u64::MAX));
        self.users.range(range).map(|(_, user)| *user).collect()
    }

    /// The flows of a registration, in the order they were opened.
    pub fn of(&self, user: RegistrationId) -> impl DoubleEndedIterator<Item = FlowId> {
        let range = (user, FlowId(0))..=(user, FlowId(u64::MAX));
        self.used.range(range).map(|(_, flow)| *flow)
    }

    /// The flow that an account to this destination would share.
    pub fn shared(&self, destination: &Destination) -> Option<FlowId> {
        self.shared.get(destination).copied()
    }

    fn join(&mut self, flow: FlowId, user: RegistrationId) {
        self.users.insert((flow, user));
        self.used.insert((user, flow));
    }

    /// Whether nobody uses the flow any more.
    pub fn leave(&mut self, flow: FlowId, user: RegistrationId) -> bool {
        self.users.remove(&(flow, user));
        self.used.remove(&(user, flow));
        let first = self.users.range((flow, RegistrationId(0))..).next();
        first.is_none_or(|(of, _)| *of != flow)
    }

    /// No other account shares it from now on.
    pub fn retire(&mut self, id: FlowId) {
        if let Some(Flow { role: Role::Client(destination), .. }) = self.all.get(&id)
            && self.shared.get(destination) == Some(&id)
        {
            self.shared.remove(destination);
        }
    }
}

/// How flows begin and end.
impl Flows {
    /// Opens a flow for a registration or, if it `shares`, joins one that leads there, which may be open already.
    pub fn open(
        &mut self,
        destination: Destination,
        user: RegistrationId,
        shares: bool,
        patience: Duration,
        context: &mut Context,
    ) -> FlowId {
        if shares && let Some(id) = self.shared(&destination) {
            self.join(id, user);
            return id;
        }
        let id = FlowId(context.new_id());
        if shares {
            self.shared.insert(destination.clone(), id);
        }
        let framer = (!destination.transport.is_framed()).then(StreamFramer::new);
        self.all.insert(
            id,
            Flow {
                transport: destination.transport,
                local: None,
                role: Role::Client(destination.clone()),
                session: None,
                proven: Vec::new(),
                framer,
                patience,
                unfinished: 0,
                is_told: true,
                is_for_nodes: false,
            },
        );
        self.join(id, user);
        context.push(Action::Open { flow: id, destination });
        id
    }

    /// It is known who the other end of a connection is.
    pub fn secured(&mut self, id: FlowId, session: Arc<TlsSession>) {
        let Some(flow) = self.all.get_mut(&id) else { return };
        if let (Role::Accepted { .. }, true, Some(certificate)) =
            (&flow.role, session.verified, &session.certificate)
        {
            flow.proven = certificate.users().iter().map(Aor::of).collect();
        }
        flow.session = Some(session);
    }

    /// The users that who connected has proven to be, by a certificate.
    pub fn proven(&self, id: FlowId) -> &[Aor] {
        self.all.get(&id).map(|flow| &*flow.proven).unwrap_or_default()
    }

    /// Who the other end of a connection is.
    pub fn session(&self, id: FlowId) -> Option<&Arc<TlsSession>> {
        self.all.get(&id)?.session.as_ref()
    }

    /// What the flows of a server have to keep to, from now on.
    pub fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    pub fn listen(&mut self, transport: Transport, address: SocketAddr, context: &mut Context) -> FlowId {
        let id = FlowId(context.new_id());
        self.all.insert(id, self.of_role(Role::Listener, transport, None));
        context.push(Action::Listen { flow: id, transport, address });
        id
    }

    /// Listens for other nodes.
    pub fn listen_for_nodes(
        &mut self,
        transport: Transport,
        address: SocketAddr,
        context: &mut Context,
    ) -> FlowId {
        let id = self.listen(transport, address, context);
        if let Some(flow) = self.all.get_mut(&id) {
            flow.is_for_nodes = true;
        }
        id
    }

    /// A connection came in.
    pub fn accept(
        &mut self,
        listener: FlowId,
        id: FlowId,
        local: SocketAddr,
        peer: SocketAddr,
        context: &mut Context,
    ) {
        let Some(listener) = self.all.get(&listener) else { return };
        let (transport, is_for_nodes) = (listener.transport, listener.is_for_nodes);
        let until = context.now + self.bounds.idle;
        let flow = self.of_role(Role::Accepted { peer, until }, transport, Some(local));
        self.all.insert(id, Flow { is_for_nodes, ..flow });
        self.accepted.insert((transport, peer), id);
        self.sources.note_own(local.ip());
        self.silent.insert((until, id));
        context.wake(FlowTimer::Idle, Some(until));
    }

    fn of_role(&self, role: Role, transport: Transport, local: Option<SocketAddr>) -> Flow {
        let framer = match role {
            Role::Accepted { .. } => (!transport.is_framed()).then(StreamFramer::accepting),
            Role::Client(_) | Role::Forward { .. } => (!transport.is_framed()).then(StreamFramer::new),
            Role::Listener | Role::Return(..) => None,
        };
        Flow {
            transport,
            local,
            role,
            session: None,
            proven: Vec::new(),
            framer,
            patience: self.bounds.incomplete,
            unfinished: 0,
            is_told: self.bounds.tells,
            is_for_nodes: false,
        }
    }

    /// The flow is usable.
    pub fn opened(&mut self, id: FlowId, local: SocketAddr, context: &mut Context) {
        let Some(flow) = self.all.get_mut(&id) else { return };
        flow.local = Some(local);
        match &mut flow.role {
            Role::Return(peer, bytes) => {
                let (peer, bytes) = (*peer, std::mem::take(bytes));
                self.send(id, peer, bytes, Direction::Sent, context);
                self.close(id, context);
            }
            Role::Listener if flow.is_for_nodes => self.for_nodes = Some((id, flow.transport, local)),
            Role::Listener => {
                let transport = flow.transport;
                self.listeners.push((id, transport, local));
                self.listeners.sort_unstable_by_key(|(id, ..)| *id);
            }
            Role::Forward { .. } => {
                self.sources.note_own(local.ip());
                context.timers.cancel(FlowTimer::Incomplete(id));
                self.keep(id, context.now + self.bounds.idle);
            }
            Role::Client(_) | Role::Accepted { .. } => {}
        }
    }

    /// Closes a flow. Who used it.
    pub fn close(&mut self, id: FlowId, context: &mut Context) -> Vec<RegistrationId> {
        let is_open = self.has(id);
        let users = self.forget(id, context);
        if is_open {
            context.push(Action::Close { flow: id });
        }
        users
    }

    /// Forgets a flow that is closed already. Who used it.
    pub fn forget(&mut self, id: FlowId, context: &mut Context) -> Vec<RegistrationId> {
        self.retire(id);
        let users = self.users(id);
        users.iter().for_each(|user| _ = self.leave(id, *user));
        let Some(flow) = self.all.remove(&id) else { return users };
        match flow.role {
            Role::Accepted { peer, until } => {
                let key = (flow.transport, peer);
                if self.accepted.get(&key) == Some(&id) {
                    self.accepted.remove(&key);
                }
                self.hush(until, id, context);
            }
            Role::Forward { destination, until } => {
                if self.forward.get(&destination) == Some(&id) {
                    self.forward.remove(&destination);
                }
                self.hush(until, id, context);
            }
            Role::Return(..) => self.returns -= 1,
            Role::Listener => {
                self.listeners.retain(|(listener, ..)| *listener != id);
                self.for_nodes.take_if(|(listener, ..)| *listener == id);
                if self.listeners.is_empty() {
                    self.sources = Sources::default();
                }
            }
            Role::Client(_) => {}
        }
        self.unfinished.remove(&(flow.unfinished, id));
        self.octets -= flow.unfinished;
        context.timers.cancel(FlowTimer::Incomplete(id));
        users
    }

    /// A connection that is gone needs no time any more.
    fn hush(&mut self, until: Time, id: FlowId, context: &mut Context) {
        self.silent.remove(&(until, id));
        if self.silent.is_empty() {
            context.timers.cancel(FlowTimer::Idle);
        }
    }
}

/// What comes in and what goes out.
impl Flows {
    /// What comes next of the octets of one event. The first call takes them; one message can close the flow, so that
    /// it is looked up again for each.
    pub fn next(
        &mut self,
        id: FlowId,
        peer: SocketAddr,
        octets: &mut Option<Bytes>,
        context: &mut Context,
    ) -> Option<Arrival> {
        let flow = self.all.get_mut(&id)?;
        let is_server = flow.side() == Side::Server;
        let Some(framer) = &mut flow.framer else {
            let bytes = octets.take()?;
            let is_stream = flow.transport.is_websocket();
            if !is_stream && stun::is_stun(&bytes) {
                if is_server {
                    answer_stun(id, peer, &bytes, context);
                    return None;
                }
                return stun::read(&bytes).map(Arrival::Stun);
            }
            if bytes.iter().all(|octet| matches!(octet, b'\r' | b'\n')) && (is_server || is_stream) {
                // RFC 7118 §6: line ends keep a WebSocket alive as they do a stream. A datagram of them needs no answer
                // (RFC 5626 §4.4.2 has STUN for those).
                if is_server && is_stream && *bytes == *PING {
                    context.push(Action::Transmit { flow: id, peer, bytes: Bytes::from_static(PONG) });
                }
                let pong = if *bytes == *PONG { Arrival::Pong } else { Arrival::Pongs };
                return (!is_server).then_some(pong);
            }
            if is_stream {
                self.keep(id, context.now + self.bounds.idle);
            }
            self.tell(id, Direction::Received, peer, bytes.clone(), context);
            return Some(arrival(Message::parse_datagram(bytes.clone()), bytes));
        };
        if let Some(octets) = octets.take() {
            framer.push(&octets);
        }
        loop {
            match framer.next() {
                Ok(Some(Frame::Message(bytes))) => {
                    context.timers.cancel(FlowTimer::Incomplete(id));
                    self.keep(id, context.now + self.bounds.idle);
                    self.tell(id, Direction::Received, peer, bytes.clone(), context);
                    return Some(arrival(Message::parse_framed(bytes.clone()), bytes));
                }
                // RFC 5626 §3.5.1: pings only go from client to server, and a pong needs no answer.
                Ok(Some(Frame::Ping)) if is_server => {
                    context.push(Action::Transmit { flow: id, peer, bytes: Bytes::from_static(PONG) });
                }
                Ok(Some(Frame::Ping)) => return Some(Arrival::Pongs),
                Ok(Some(Frame::Pong)) if !is_server => return Some(Arrival::Pong),
                Ok(Some(Frame::Pong)) => {}
                Ok(None) => {
                    self.bound_incomplete(id, context);
                    return None;
                }
                Err(error) => return Some(Arrival::OutOfStep(error)),
            }
        }
    }

    /// A message that has begun must be complete in time, however it dribbles in, so that a silent sender holds nothing
    /// for ever; and how much of it is there is noted. What waits for the rest of it has begun to wait earlier: to it,
    /// this is silence.
    fn bound_incomplete(&mut self, id: FlowId, context: &mut Context) {
        let Some(Flow { framer: Some(framer), patience, unfinished, .. }) = self.all.get_mut(&id) else {
            return;
        };
        let key = FlowTimer::Incomplete(id);
        if !framer.partial() {
            context.timers.cancel(key);
        } else if context.timers.due(key).is_none() {
            context.timers.set(key, context.now + *patience);
        }
        let before = std::mem::replace(unfinished, framer.waiting());
        let after = *unfinished;
        if before != after {
            self.unfinished.remove(&(before, id));
            self.octets = self.octets - before + after;
            if after > 0 {
                self.unfinished.insert((after, id));
            }
        }
    }

    /// Sends a message, and tells it.
    pub fn send(
        &mut self,
        id: FlowId,
        peer: SocketAddr,
        bytes: Bytes,
        direction: Direction,
        context: &mut Context,
    ) {
        context.push(Action::Transmit { flow: id, peer, bytes: bytes.clone() });
        self.tell(id, direction, peer, bytes, context);
    }

    fn tell(
        &self,
        id: FlowId,
        direction: Direction,
        remote: SocketAddr,
        bytes: Bytes,
        context: &mut Context,
    ) {
        if let Some(Flow { transport, local: Some(local), is_told: true, .. }) = self.all.get(&id) {
            let (transport, local) = (*transport, *local);
            context.notify(Notice::Message { direction, transport, local, remote, bytes });
        }
    }

    /// Sends a response. Where the connection of its request is gone another is opened, to where the client listens.
    pub fn respond(&mut self, path: ReturnPath, bytes: Bytes, direction: Direction, context: &mut Context) {
        let ReturnPath { flow, peer, transport, port } = path;
        if self.has(flow) {
            return self.send(flow, peer, bytes, direction, context);
        }
        // Who is behind a WebSocket is nowhere else, and nobody knows what name one has to show who has connected by TLS.
        if transport == Transport::Tcp && self.returns < RETURNS {
            self.returns += 1;
            let id = FlowId(context.new_id());
            // Not a new address: that of a link has its zone.
            let mut address = peer;
            address.set_port(port);
            self.all.insert(id, self.of_role(Role::Return(address, bytes), transport, None));
            context.push(Action::Open { flow: id, destination: Destination::new(transport, address) });
        }
    }
}

/// Answers a Binding request of a device that keeps its NAT open (RFC 5626 §5.4), and passes over all other STUN: what has
/// its first octet was meant for no SIP parser. No state, no event, and no limit: an answer is 12 or 24 octets longer than the
/// 20 of the shortest request, one to attributes that nobody knows about twice as long as that request with its headers of IP
/// and UDP, so that whoever forges a source makes us send no more than could be sent there anyway.
fn answer_stun(flow: FlowId, peer: SocketAddr, octets: &[u8], context: &mut Context) {
    if let Some(Stun::Request { id, unknown }) = stun::read(octets) {
        // A socket for both families sees an IPv4 address as a mapped one, which its owner would not know again.
        let seen = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        context.push(Action::Transmit { flow, peer, bytes: stun::answer(id, seen, &unknown) });
    }
}

fn arrival(read: Result<Message, ParseError>, bytes: Bytes) -> Arrival {
    match read {
        Ok(message) => Arrival::Message(message),
        Err(error) => Arrival::Unreadable(bytes, error),
    }
}

/// Which connections have to go.
impl Flows {
    /// Keeps a connection of the server at least until then.
    pub fn keep(&mut self, id: FlowId, at_least: Time) {
        let Some(flow) = self.all.get_mut(&id) else { return };
        let (Role::Accepted { until, .. } | Role::Forward { until, .. }) = &mut flow.role else { return };
        // Not for every message: an order by the second is fine enough.
        if at_least.since(*until) >= Duration::from_secs(1) {
            self.silent.remove(&(*until, id));
            self.silent.insert((at_least, id));
            *until = at_least;
        }
    }

    /// The connection that makes room for one more, if that is needed.
    pub fn crowded(&self) -> Option<FlowId> {
        let is_full = self.silent.len() >= self.bounds.connections;
        self.silent.first().filter(|_| is_full).map(|(_, flow)| *flow)
    }

    /// The connection that has to go because [`Flows::reach`] has opened one too many.
    pub fn overcrowded(&self) -> Option<FlowId> {
        let is_too_many = self.silent.len() > self.bounds.connections;
        self.silent.first().filter(|_| is_too_many).map(|(_, flow)| *flow)
    }

    /// A connection that has been silent for too long. Without one, the timer is set for the next.
    pub fn idle(&mut self, context: &mut Context) -> Option<FlowId> {
        let (until, flow) = self.silent.first().copied()?;
        if until > context.now {
            context.wake(FlowTimer::Idle, Some(until));
            return None;
        }
        Some(flow)
    }

    /// The flow with the longest message that is not complete, if all of them are too much.
    pub fn overflowing(&self) -> Option<FlowId> {
        let is_too_much = self.octets > self.bounds.unfinished;
        self.unfinished.last().filter(|_| is_too_much).map(|(_, flow)| *flow)
    }
}
