//! Listeners: UDP sockets that serve anybody, and TCP sockets that take connections in. The loop polls them itself, so
//! that a datagram and its answer pass without a task, a queue or a waking in between.
//!
//! Life of a listener: it is bound when it is opened and served until it is closed. No error ends it: what the network
//! says of one peer, or forges in its name, must not stop what is for the others.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::Sleep;

use super::datagrams::{self, BATCH, Datagram, Room};
use super::{cause, local};
use crate::proto::{Cause, Event, FlowId, Transport};

/// What a socket's buffers are asked to hold, in octets; the system gives what it allows. A burst waits there.
const BUFFER: usize = 4 << 20;

/// Datagrams that may wait for a socket to take them.
const QUEUE: usize = 256;

/// Connections that may wait to be taken in.
const BACKLOG: i32 = 1024;

/// How long no connection is taken in after the system had no descriptor, or no memory, for one.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are taken in before the next socket gets its turn.
const TURN: usize = 32;

/// An event on its way to the core.
pub(super) struct Arrival {
    /// The event.
    pub event: Event,
    /// Of a datagram to a wildcard address: which of our addresses it came to.
    pub local: Option<IpAddr>,
}

/// A connection that came in.
pub(super) struct Connection {
    /// Where.
    pub listener: FlowId,
    /// The connection.
    pub stream: TcpStream,
    /// Our end.
    pub local: SocketAddr,
    /// Their end.
    pub remote: SocketAddr,
}

/// All listeners.
#[derive(Default)]
pub(super) struct Listeners {
    datagrams: BTreeMap<FlowId, Datagrams>,
    acceptors: BTreeMap<FlowId, Acceptor>,
    room: Option<Room>,
}

impl Listeners {
    /// Opens one, and tells its address.
    pub(super) fn open(
        &mut self,
        flow: FlowId,
        transport: Transport,
        at: SocketAddr,
    ) -> io::Result<SocketAddr> {
        match transport {
            Transport::Udp => {
                let (datagrams, local) = Datagrams::open(at)?;
                self.datagrams.insert(flow, datagrams);
                Ok(local)
            }
            Transport::Tcp => {
                let (acceptor, local) = Acceptor::open(at)?;
                self.acceptors.insert(flow, acceptor);
                Ok(local)
            }
        }
    }

    /// Whether this flow is an open listener.
    pub(super) fn contains(&self, flow: FlowId) -> bool {
        self.datagrams.contains_key(&flow) || self.acceptors.contains_key(&flow)
    }

    /// Closes it, if it is one. What can be sent at once still is.
    pub(super) fn close(&mut self, flow: FlowId) {
        if let Some(mut datagrams) = self.datagrams.remove(&flow) {
            datagrams.flush();
        }
        self.acceptors.remove(&flow);
    }

    /// The core hears of this datagram next: its answer leaves from where it came to.
    pub(super) fn note(&mut self, event: &Event, local: Option<IpAddr>) {
        if let (Event::Received { flow, peer, .. }, Some(local)) = (event, local)
            && let Some(datagrams) = self.datagrams.get_mut(flow)
        {
            datagrams.heard = Some((peer.ip(), local));
        }
    }

    /// Takes a datagram to be sent, if this is a listener that sends.
    ///
    /// # Errors
    /// The cause to report when too much waits already.
    pub(super) fn send(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes) -> Result<(), Cause> {
        self.datagrams.get_mut(&flow).map_or(Ok(()), |datagrams| datagrams.send(peer, bytes))
    }

    /// Sends what waits, and takes from each its turn of what has come. What is left, and what comes next, wakes the
    /// task.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        arrived: &mut VecDeque<Arrival>,
        connections: &mut Vec<Connection>,
    ) {
        for (&flow, datagrams) in &mut self.datagrams {
            datagrams.poll_flush(context);
            for (peer, cause) in datagrams.refused.drain(..) {
                arrived.push_back(Arrival { event: Event::Failed { flow, peer, cause }, local: None });
            }
            let room = self.room.get_or_insert_with(Room::new);
            datagrams.poll(context, room, |Datagram { peer, local, bytes }| {
                arrived.push_back(Arrival { event: Event::Received { flow, peer, bytes }, local });
            });
        }
        for (&listener, acceptor) in &mut self.acceptors {
            for _ in 0..TURN {
                let Poll::Ready((stream, local, remote)) = acceptor.poll(context) else { break };
                connections.push(Connection { listener, stream, local, remote });
            }
        }
    }
}

/// A UDP socket that serves anybody.
struct Datagrams {
    socket: UdpSocket,
    waiting: VecDeque<Datagram>,
    /// Whom the system took no datagram for.
    refused: Vec<(SocketAddr, Cause)>,
    /// Of the last datagram the core heard of, on a wildcard address: who sent it, and which address of ours to.
    heard: Option<(IpAddr, IpAddr)>,
}

impl Datagrams {
    /// Binds.
    fn open(address: SocketAddr) -> io::Result<(Datagrams, SocketAddr)> {
        let socket = local::socket(Transport::Udp, address)?;
        local::bind(&socket, Transport::Udp, address)?;
        let _ = socket.set_recv_buffer_size(BUFFER);
        let _ = socket.set_send_buffer_size(BUFFER);
        if address.ip().is_unspecified() {
            datagrams::tell_local(&socket, address)?;
        }
        let bound = local::address(&socket)?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok((Datagrams { socket, waiting: VecDeque::new(), refused: Vec::new(), heard: None }, bound))
    }

    /// Takes a batch of what has come in; sees to it that the next to come wakes the task if there is nothing.
    fn poll(&mut self, context: &mut Context<'_>, room: &mut Room, mut take: impl FnMut(Datagram)) {
        let mut taken = 0;
        while taken == 0 && matches!(self.socket.poll_recv_ready(context), Poll::Ready(Ok(()))) {
            datagrams::receive(&self.socket, room, |datagram| {
                taken += 1;
                take(datagram);
            });
        }
    }

    /// Queues a datagram. A whole batch leaves at once, the rest when the core has nothing more to do.
    fn send(&mut self, peer: SocketAddr, bytes: Bytes) -> Result<(), Cause> {
        if self.waiting.len() >= QUEUE {
            return Err(Cause::Other(io::ErrorKind::WouldBlock));
        }
        let local = self.heard.filter(|(from, _)| *from == peer.ip()).map(|(_, to)| to);
        self.waiting.push_back(Datagram { peer, local, bytes });
        if self.waiting.len() >= BATCH {
            self.flush();
        }
        Ok(())
    }

    /// Sends what the system takes at once.
    fn flush(&mut self) {
        while !self.waiting.is_empty() {
            match datagrams::send(&self.socket, &self.waiting) {
                Ok(sent) => drop(self.waiting.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if let Some(lost) = self.waiting.pop_front().filter(|_| !cause::is_loss(&error)) {
                        self.refused.push((lost.peer, cause::of(&error)));
                    }
                }
            }
        }
    }

    /// Sends what waits; sees to it that the task is woken when the rest can be sent.
    fn poll_flush(&mut self, context: &mut Context<'_>) {
        self.flush();
        while !self.waiting.is_empty() && matches!(self.socket.poll_send_ready(context), Poll::Ready(Ok(())))
        {
            self.flush();
        }
    }
}

/// A TCP socket that takes connections in.
struct Acceptor {
    listener: TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Acceptor {
    /// Binds and listens.
    fn open(address: SocketAddr) -> io::Result<(Acceptor, SocketAddr)> {
        let socket = local::socket(Transport::Tcp, address)?;
        local::bind(&socket, Transport::Tcp, address)?;
        // Connections inherit it: those that linger must not keep the next server from this port. Not before binding, lest the
        // system chooses a port that another socket is about to listen at.
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        socket.listen(BACKLOG)?;
        let bound = local::address(&socket)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok((Acceptor { listener, pause: None }, bound))
    }

    /// The next connection, with our address and theirs.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(TcpStream, SocketAddr, SocketAddr)> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match std::task::ready!(self.listener.poll_accept(context)) {
                Ok((stream, remote)) => {
                    // An answer is one write, and nothing follows that could share its segment.
                    if let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) {
                        return Poll::Ready((stream, local, remote));
                    }
                }
                Err(error) if is_of_a_connection(&error) => {}
                Err(_) => self.pause = Some(Box::pin(tokio::time::sleep(PAUSE))),
            }
        }
    }
}

/// Whether the error is that of the connection that would have come, and not our own.
fn is_of_a_connection(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionAborted || cause::is_of_a_datagram(error)
}
