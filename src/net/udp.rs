//! UDP (RFC 3261 §18, RFC 3581): sockets of flows that the core opened, and of listeners. The loop polls them
//! itself, so that a datagram and its answer pass without a task, a queue or a waking in between.
//!
//! A socket is never connected, so that an answer from another port still comes in (TRN-011, NAT-003) and one
//! socket sends and receives (NAT-002). The socket of a flow is bound to a real address, for Via and Contact
//! name it. On Linux the network's errors come through a socket's error queue ([`super::icmp`]), each with the
//! peer whose datagram it was; elsewhere an unconnected socket hears nothing of them, and Timers B and F
//! decide. A listener hears of them too: requests that are forwarded leave by its socket.
//!
//! Life of a socket: it is bound when it is opened and serves until it is closed. No error ends it: what the
//! network says of one peer, or forges in its name, must not stop what is for the others.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::net::UdpSocket;

use super::batch::{self, BATCH, Buffer, Datagram};
use super::sockets::{self, Bind};
use crate::proto::{Cause, Event, FlowId, Transport};

/// The size that a socket's buffers are asked for, in octets; the system gives as much as it allows. A burst
/// waits there.
const BUFFER: usize = 4 << 20;

/// Datagrams that may wait for a socket to take them.
const QUEUE: usize = 256;

/// A UDP socket with the datagrams that wait to be sent.
struct Socket {
    socket: Arc<UdpSocket>,
    /// The address it is bound to.
    local: SocketAddr,
    /// The destination, if it is the socket of a flow that the core opened.
    destination: Option<SocketAddr>,
    waiting: VecDeque<Datagram>,
    /// Peers whose datagrams failed, here or on their way.
    failed: Vec<(SocketAddr, Cause)>,
    /// The sender of the datagram that the core saw last, and the address it came to; at a wildcard address
    /// only.
    last_received: Option<(IpAddr, IpAddr)>,
    error_queue: ErrorQueue,
}

impl Socket {
    /// Opens the socket of a listener, which serves anybody.
    fn listen(address: SocketAddr) -> io::Result<Socket> {
        let socket = sockets::socket(Transport::Udp, address)?;
        sockets::bind(&socket, Transport::Udp, address)?;
        if address.ip().is_unspecified() {
            batch::request_local(&socket, address)?;
        }
        #[cfg(target_os = "linux")]
        super::icmp::enable(&socket, address)?;
        Socket::new(socket, None)
    }

    /// Opens the socket of a flow to that destination, at the first choice that is free.
    fn open(destination: SocketAddr, choices: &[Option<Bind>]) -> io::Result<Socket> {
        sockets::first_free(choices, |bind| Socket::open_at(destination, bind))
    }

    fn open_at(destination: SocketAddr, bind: Option<Bind>) -> io::Result<Socket> {
        let source = sockets::source(destination, bind)?;
        let socket = sockets::socket(Transport::Udp, destination)?;
        sockets::bind(&socket, Transport::Udp, source)?;
        #[cfg(target_os = "linux")]
        super::icmp::enable(&socket, source)?;
        Socket::new(socket, Some(destination))
    }

    fn new(socket: socket2::Socket, destination: Option<SocketAddr>) -> io::Result<Socket> {
        let _ = socket.set_recv_buffer_size(BUFFER);
        let _ = socket.set_send_buffer_size(BUFFER);
        let local = sockets::address(&socket)?;
        Ok(Socket {
            socket: Arc::new(UdpSocket::from_std(socket.into())?),
            local,
            destination,
            waiting: VecDeque::new(),
            failed: Vec::new(),
            last_received: None,
            error_queue: ErrorQueue::default(),
        })
    }

    /// Takes a batch of datagrams that have come in; where there is none, the next one wakes the task.
    fn poll(&mut self, context: &mut Context<'_>, buffer: &mut Buffer, mut take: impl FnMut(Datagram)) {
        let mut taken = 0;
        while taken == 0 && matches!(self.socket.poll_recv_ready(context), Poll::Ready(Ok(()))) {
            batch::receive(&self.socket, buffer, |datagram| {
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
        let local = self.last_received.filter(|(from, _)| *from == peer.ip()).map(|(_, to)| to);
        self.waiting.push_back(Datagram { peer, local, bytes });
        if self.waiting.len() >= BATCH {
            self.flush();
        }
        Ok(())
    }

    /// Sends the datagrams that the system takes at once.
    fn flush(&mut self) {
        let mut again = false;
        while !self.waiting.is_empty() {
            match batch::send(&self.socket, &self.waiting) {
                Ok(sent) => {
                    again = false;
                    drop(self.waiting.drain(..sent));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The error may be of an earlier datagram, which is reported once.
                Err(_) if !again => again = true,
                Err(error) => {
                    again = false;
                    if let Some(lost) = self.waiting.pop_front().filter(|_| !sockets::is_loss(&error)) {
                        self.failed.push((lost.peer, sockets::cause(&error)));
                    }
                }
            }
        }
    }

    /// Sends the datagrams that wait; the task is woken when the rest can be sent.
    fn poll_flush(&mut self, context: &mut Context<'_>) {
        self.flush();
        if !self.waiting.is_empty() && matches!(self.socket.poll_send_ready(context), Poll::Ready(Ok(()))) {
            self.flush();
            // A socket that had an error once counts as ready for ever: the other sockets get their turn
            // meanwhile.
            if !self.waiting.is_empty() {
                context.waker().wake_by_ref();
            }
        }
    }

    /// Takes the errors that the network gave back; the next one wakes the task.
    fn poll_error_queue(&mut self, context: &mut Context<'_>) {
        self.error_queue.poll(&self.socket, context, &mut self.failed);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.flush();
    }
}

/// An event on its way to the core.
pub(super) struct Arrival {
    /// The event that the core gets.
    pub event: Event,
    /// The address of ours that a datagram to a wildcard address came to.
    pub local: Option<IpAddr>,
}

/// All UDP sockets, of flows and of listeners.
#[derive(Default)]
pub(super) struct UdpSockets {
    all: BTreeMap<FlowId, Socket>,
    buffer: Option<Buffer>,
}

impl UdpSockets {
    /// Opens the socket of a listener, and gives its address.
    pub(super) fn listen(&mut self, flow: FlowId, at: SocketAddr) -> io::Result<SocketAddr> {
        let socket = Socket::listen(at)?;
        Ok(self.insert(flow, socket))
    }

    /// Opens the socket of a flow to that destination, at the first choice that is free, and gives its
    /// address.
    pub(super) fn open(
        &mut self,
        flow: FlowId,
        destination: SocketAddr,
        choices: &[Option<Bind>],
    ) -> io::Result<SocketAddr> {
        let socket = Socket::open(destination, choices)?;
        Ok(self.insert(flow, socket))
    }

    fn insert(&mut self, flow: FlowId, socket: Socket) -> SocketAddr {
        let local = socket.local;
        self.all.insert(flow, socket);
        local
    }

    /// Whether this flow has a socket here.
    pub(super) fn contains(&self, flow: FlowId) -> bool {
        self.all.contains_key(&flow)
    }

    /// Closes the socket of this flow, if it has one. Datagrams that the system takes at once are sent
    /// before.
    pub(super) fn close(&mut self, flow: FlowId) {
        self.all.remove(&flow);
    }

    /// The flows that the core opened, each with its destination and the address that it sends from.
    pub(super) fn flows(&self) -> impl Iterator<Item = (FlowId, SocketAddr, SocketAddr)> {
        self.all.iter().filter_map(|(flow, socket)| Some((*flow, socket.destination?, socket.local)))
    }

    /// Notes the datagram that the core sees next: its answer leaves from the address it came to.
    pub(super) fn note_local(&mut self, event: &Event, local: Option<IpAddr>) {
        if let (Event::Received { flow, peer, .. }, Some(local)) = (event, local)
            && let Some(socket) = self.all.get_mut(flow)
        {
            socket.last_received = Some((peer.ip(), local));
        }
    }

    /// Queues a datagram on the socket of this flow, if it has one.
    ///
    /// # Errors
    /// The cause to report when too much waits already.
    pub(super) fn send(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes) -> Result<(), Cause> {
        self.all.get_mut(&flow).map_or(Ok(()), |socket| socket.send(peer, bytes))
    }

    /// Sends the datagrams that wait, and takes from each socket its turn of those that have come. Datagrams
    /// that are left, and those to come, wake the task.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, arrived: &mut VecDeque<Arrival>) {
        for (&flow, socket) in &mut self.all {
            socket.poll_flush(context);
            let buffer = self.buffer.get_or_insert_with(Buffer::new);
            socket.poll(context, buffer, |datagram| {
                let event = Event::Received { flow, peer: datagram.peer, bytes: datagram.bytes };
                arrived.push_back(Arrival { event, local: datagram.local });
            });
            // An answer that is here already outweighs an error.
            socket.poll_error_queue(context);
            for (peer, cause) in socket.failed.drain(..) {
                arrived.push_back(Arrival { event: Event::Failed { flow, peer, cause }, local: None });
            }
        }
    }
}

#[cfg(target_os = "linux")]
use error_queue::ErrorQueue;
#[cfg(target_os = "linux")]
mod error_queue {
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::Context;

    use tokio::io::{Interest, Ready};
    use tokio::net::UdpSocket;

    use crate::net::icmp;
    use crate::proto::Cause;

    /// Errors that are taken before the next socket gets its turn.
    const TURN: usize = 32;

    type Readiness = Pin<Box<dyn Future<Output = io::Result<Ready>> + Send>>;

    /// The error queue of one socket, with what waits for its next error.
    #[derive(Default)]
    pub(super) struct ErrorQueue(Option<Readiness>);

    impl ErrorQueue {
        pub(super) fn poll(
            &mut self,
            socket: &Arc<UdpSocket>,
            context: &mut Context<'_>,
            failed: &mut Vec<(SocketAddr, Cause)>,
        ) {
            loop {
                let waiting = self.0.get_or_insert_with(|| {
                    let socket = Arc::clone(socket);
                    Box::pin(async move { socket.ready(Interest::ERROR).await })
                });
                if waiting.as_mut().poll(context).is_pending() {
                    return;
                }
                self.0 = None;
                for _ in 0..TURN {
                    // WouldBlock, and only it, takes the readiness back; any other error of the queue would
                    // lead here again at once, for ever.
                    let next = || icmp::take(&**socket).map_err(|_| io::ErrorKind::WouldBlock.into());
                    match socket.try_io(Interest::ERROR, next) {
                        Ok(Some(lost)) => failed.push((lost.peer, lost.cause)),
                        Ok(None) => {}
                        Err(_) => break,
                    }
                }
                if !failed.is_empty() {
                    return;
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
use silence::ErrorQueue;
#[cfg(not(target_os = "linux"))]
mod silence {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::task::Context;

    use tokio::net::UdpSocket;

    use crate::proto::Cause;

    /// An unconnected socket hears of no errors.
    #[derive(Default)]
    pub(super) struct ErrorQueue;

    impl ErrorQueue {
        pub(super) fn poll(
            &mut self,
            _socket: &Arc<UdpSocket>,
            _context: &mut Context<'_>,
            _failed: &mut Vec<(SocketAddr, Cause)>,
        ) {
        }
    }
}
