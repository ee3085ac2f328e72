//! The connections that came in: cut into messages, and closed when they are silent, slow, or one too many.
//!
//! Each is kept until a time of its own: some time after its last message, and as long as a binding that was
//! registered over it. The one whose time is up first is closed when that comes, or when all places are taken and
//! another wants in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{Context, Serving};
use crate::proto::registrar::service::{Overload, ServerEvent};
use crate::proto::{Action, Cause, Direction, FlowId, Time, TimerKey};
use crate::sip::{Frame, Message, StreamFramer};

/// The keep-alive that answers a double CRLF (RFC 5626 §5.4).
const PONG: &[u8] = b"\r\n";

#[derive(Debug, Default)]
pub(super) struct Connections {
    all: BTreeMap<FlowId, Connection>,
    order: BTreeSet<(Time, FlowId)>,
    /// Those in the middle of a message, by the octets of it that are there.
    unfinished: BTreeSet<(usize, FlowId)>,
    /// All those octets.
    octets: usize,
}

#[derive(Debug)]
struct Connection {
    local: SocketAddr,
    peer: SocketAddr,
    framer: StreamFramer,
    keep_until: Time,
    /// As it stands in [`Connections::unfinished`]; 0: not at all.
    waiting: usize,
}

impl Connections {
    pub(super) fn local(&self, flow: FlowId) -> Option<SocketAddr> {
        self.all.get(&flow).map(|connection| connection.local)
    }

    pub(super) fn has(&self, flow: FlowId) -> bool {
        self.all.contains_key(&flow)
    }

    /// Keeps a connection at least until then.
    pub(super) fn keep(&mut self, flow: FlowId, until: Time) {
        let Some(connection) = self.all.get_mut(&flow) else { return };
        // Not for every message: an order by the second is fine enough.
        if until.since(connection.keep_until) >= Duration::from_secs(1) {
            self.order.remove(&(connection.keep_until, flow));
            self.order.insert((until, flow));
            connection.keep_until = until;
        }
    }

    pub(super) fn take_all(&mut self) -> Vec<FlowId> {
        self.order.clear();
        self.unfinished.clear();
        self.octets = 0;
        std::mem::take(&mut self.all).into_keys().collect()
    }

    fn remove(&mut self, flow: FlowId) -> Option<Connection> {
        let connection = self.all.remove(&flow)?;
        self.order.remove(&(connection.keep_until, flow));
        self.unfinished.remove(&(connection.waiting, flow));
        self.octets -= connection.waiting;
        Some(connection)
    }

    /// Notes how much of a message is there that is not complete.
    fn note_unfinished(&mut self, flow: FlowId) {
        let Some(connection) = self.all.get_mut(&flow) else { return };
        let before = std::mem::replace(&mut connection.waiting, connection.framer.waiting());
        let after = connection.waiting;
        if before != after {
            self.unfinished.remove(&(before, flow));
            self.octets = self.octets - before + after;
            if after > 0 {
                self.unfinished.insert((after, flow));
            }
        }
    }

    fn first(&self) -> Option<(Time, FlowId)> {
        self.order.first().copied()
    }
}

impl Serving {
    pub(in crate::proto::endpoint) fn accepted(
        &mut self,
        listener: FlowId,
        flow: FlowId,
        local: SocketAddr,
        peer: SocketAddr,
        outside: &mut Context<'_>,
    ) {
        if !self.listeners.contains_key(&listener) || self.limits.connections == 0 {
            return outside.act(Action::Close { flow });
        }
        self.counters.accepted += 1;
        while self.connections.all.len() >= self.limits.connections
            && let Some((_, first)) = self.connections.first()
        {
            self.drop_connection(first, Overload::Connections, outside);
        }
        let keep_until = outside.now + self.limits.idle;
        let framer = StreamFramer::accepting();
        self.connections.all.insert(flow, Connection { local, peer, framer, keep_until, waiting: 0 });
        self.connections.order.insert((keep_until, flow));
        outside.wake(TimerKey::Silent, Some(keep_until));
    }

    /// Octets of a connection, in whatever pieces.
    pub(super) fn stream(
        &mut self,
        flow: FlowId,
        peer: SocketAddr,
        bytes: &Bytes,
        outside: &mut Context<'_>,
    ) {
        if let Some(connection) = self.connections.all.get_mut(&flow) {
            connection.framer.push(bytes);
        }
        // One message can close the connection: it is looked up again for each.
        while let Some(connection) = self.connections.all.get_mut(&flow) {
            match connection.framer.next() {
                Ok(Some(Frame::Message(bytes))) => {
                    self.connections.keep(flow, outside.now + self.limits.idle);
                    self.tell_message(Direction::Received, flow, peer, &bytes, outside);
                    match Message::parse_framed(bytes.clone()) {
                        Ok(message) => self.message(message, flow, peer, outside),
                        Err(error) => self.unreadable(&bytes, error, flow, peer, outside),
                    }
                }
                Ok(Some(Frame::Ping)) => {
                    outside.act(Action::Transmit { flow, peer, bytes: Bytes::from_static(PONG) });
                }
                Ok(Some(Frame::Pong)) => {}
                Ok(None) => return self.bound_incomplete(flow, outside),
                Err(error) => {
                    self.counters.malformed += 1;
                    outside.tell(ServerEvent::Malformed { peer, what: error.to_string(), status: None });
                    self.drop_connection(flow, Overload::Framing, outside);
                }
            }
        }
    }

    /// A message that has begun must be complete in time, however it dribbles in, and all that have must not be too much.
    fn bound_incomplete(&mut self, flow: FlowId, outside: &mut Context<'_>) {
        let key = TimerKey::Incomplete(flow);
        if !self.connections.all.get(&flow).is_some_and(|connection| connection.framer.partial()) {
            outside.timers.cancel(key);
        } else if outside.timers.due(key).is_none() {
            outside.timers.set(key, outside.now + self.limits.incomplete);
        }
        self.connections.note_unfinished(flow);
        while self.connections.octets > self.limits.unfinished
            && let Some((_, longest)) = self.connections.unfinished.last().copied()
        {
            self.drop_connection(longest, Overload::Unfinished, outside);
        }
    }

    pub(super) fn too_slow(&mut self, flow: FlowId, outside: &mut Context<'_>) {
        self.drop_connection(flow, Overload::Slow, outside);
    }

    /// Closes the connections that have been silent for too long.
    pub(super) fn silent_due(&mut self, outside: &mut Context<'_>) {
        while let Some((until, flow)) = self.connections.first() {
            if until > outside.now {
                return outside.wake(TimerKey::Silent, Some(until));
            }
            self.drop_connection(flow, Overload::Idle, outside);
        }
    }

    fn drop_connection(&mut self, flow: FlowId, why: Overload, outside: &mut Context<'_>) {
        if let Some(connection) = self.connections.remove(flow) {
            self.counters.dropped += 1;
            outside.timers.cancel(TimerKey::Incomplete(flow));
            outside.tell(ServerEvent::Dropped { peer: connection.peer, why });
            outside.act(Action::Close { flow });
        }
    }

    /// The other side closed, or the network gave up. A listener that breaks later is told and not missed: the others
    /// go on.
    pub(in crate::proto::endpoint) fn lost(
        &mut self,
        flow: FlowId,
        cause: Option<Cause>,
        outside: &mut Context<'_>,
    ) {
        if self.connections.has(flow) {
            if cause == Some(Cause::Other(std::io::ErrorKind::WouldBlock)) {
                return self.drop_connection(flow, Overload::Stalled, outside);
            }
            self.connections.remove(flow);
            outside.timers.cancel(TimerKey::Incomplete(flow));
            // What the core has not closed itself, the driver has.
        } else if self.late.remove(&flow).is_none()
            && self.listeners.get(&flow).is_some_and(|listener| listener.local.is_none())
            && let Some(cause) = cause
        {
            self.cannot_listen(flow, cause, outside);
        }
    }
}
