//! UDP sockets, of flows of ours and of listeners. The loop polls them itself, so that a datagram and its answer pass
//! without a task, a queue or a waking in between.
//!
//! Life of a socket: it is bound when it is opened and serves until it is closed. No error ends it: what the network
//! says of one peer, or forges in its name, must not stop what is for the others.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Context;

use bytes::Bytes;

use super::datagrams::Room;
use super::local::Bind;
use super::udp::Socket;
use crate::proto::{Cause, Event, FlowId};

/// An event on its way to the core.
pub(super) struct Arrival {
    /// The event.
    pub event: Event,
    /// Of a datagram to a wildcard address: which of our addresses it came to.
    pub local: Option<IpAddr>,
}

/// All UDP sockets.
#[derive(Default)]
pub(super) struct Sockets {
    all: BTreeMap<FlowId, Socket>,
    room: Option<Room>,
}

impl Sockets {
    /// Opens one that serves anybody, and tells its address.
    pub(super) fn listen(&mut self, flow: FlowId, at: SocketAddr) -> io::Result<SocketAddr> {
        let socket = Socket::listen(at)?;
        Ok(self.insert(flow, socket))
    }

    /// Opens one for a flow of ours to that destination, and tells its address.
    pub(super) fn open(
        &mut self,
        flow: FlowId,
        destination: SocketAddr,
        wishes: &[Option<Bind>],
    ) -> io::Result<SocketAddr> {
        let socket = Socket::open(destination, wishes)?;
        Ok(self.insert(flow, socket))
    }

    fn insert(&mut self, flow: FlowId, socket: Socket) -> SocketAddr {
        let local = socket.local;
        self.all.insert(flow, socket);
        local
    }

    /// Whether this flow is one of them, and open.
    pub(super) fn contains(&self, flow: FlowId) -> bool {
        self.all.contains_key(&flow)
    }

    /// Closes it, if it is one. What can be sent at once still is.
    pub(super) fn close(&mut self, flow: FlowId) {
        self.all.remove(&flow);
    }

    /// The flows of ours: which, where to, where from.
    pub(super) fn flows(&self) -> impl Iterator<Item = (FlowId, SocketAddr, SocketAddr)> {
        self.all.iter().filter_map(|(flow, socket)| Some((*flow, socket.destination?, socket.local)))
    }

    /// The core hears of this datagram next: its answer leaves from where it came to.
    pub(super) fn note(&mut self, event: &Event, local: Option<IpAddr>) {
        if let (Event::Received { flow, peer, .. }, Some(local)) = (event, local)
            && let Some(socket) = self.all.get_mut(flow)
        {
            socket.heard = Some((peer.ip(), local));
        }
    }

    /// Takes a datagram to be sent, if this is one of them.
    ///
    /// # Errors
    /// The cause to report when too much waits already.
    pub(super) fn send(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes) -> Result<(), Cause> {
        self.all.get_mut(&flow).map_or(Ok(()), |socket| socket.send(peer, bytes))
    }

    /// Sends what waits, and takes from each its turn of what has come. What is left, and what comes next, wakes the
    /// task.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, arrived: &mut VecDeque<Arrival>) {
        for (&flow, socket) in &mut self.all {
            socket.poll_flush(context);
            let room = self.room.get_or_insert_with(Room::new);
            socket.poll(context, room, |datagram| {
                let event = Event::Received { flow, peer: datagram.peer, bytes: datagram.bytes };
                arrived.push_back(Arrival { event, local: datagram.local });
            });
            // An answer that is here already outweighs a complaint.
            socket.poll_complaints(context);
            for (peer, cause) in socket.refused.drain(..) {
                arrived.push_back(Arrival { event: Event::Failed { flow, peer, cause }, local: None });
            }
        }
    }
}
