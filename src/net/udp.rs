//! One UDP socket (RFC 3261 §18, RFC 3581): never connected, so that an answer from another port still comes in (TRN-011,
//! NAT-003) and one socket sends and receives (NAT-002). That of a flow is bound to a real address, for Via and Contact
//! name it, and on Linux the network's complaints come through its error queue ([`super::icmp`]), each with the peer whose
//! datagram it was; elsewhere an unconnected socket hears nothing of them, and Timer F decides. That of a listener
//! wants to hear of none.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::net::UdpSocket;

use super::cause;
use super::datagrams::{self, BATCH, Datagram, Room};
use super::local::{self, Bind};
use crate::proto::{Cause, Transport};

/// What a socket's buffers are asked to hold, in octets; the system gives what it allows. A burst waits there.
const BUFFER: usize = 4 << 20;

/// Datagrams that may wait for a socket to take them.
const QUEUE: usize = 256;

/// A socket with what waits for it.
pub(super) struct Socket {
    socket: Arc<UdpSocket>,
    /// The address it is bound to.
    pub local: SocketAddr,
    /// Where it leads, if it is that of a flow of ours.
    pub destination: Option<SocketAddr>,
    waiting: VecDeque<Datagram>,
    /// Whom no datagram reached, or the system took none for.
    pub refused: Vec<(SocketAddr, Cause)>,
    /// Of the last datagram the core heard of, on a wildcard address: who sent it, and which address of ours to.
    pub heard: Option<(IpAddr, IpAddr)>,
    complaints: Complaints,
}

impl Socket {
    /// One that serves anybody.
    pub(super) fn listen(address: SocketAddr) -> io::Result<Socket> {
        let socket = local::socket(Transport::Udp, address)?;
        local::bind(&socket, Transport::Udp, address)?;
        if address.ip().is_unspecified() {
            datagrams::tell_local(&socket, address)?;
        }
        Socket::new(socket, None)
    }

    /// One of a flow of ours to that destination.
    pub(super) fn open(destination: SocketAddr, wishes: &[Option<Bind>]) -> io::Result<Socket> {
        let mut opened = Err(io::ErrorKind::AddrNotAvailable.into());
        for bind in wishes {
            opened = Socket::open_at(destination, *bind);
            if !opened.as_ref().is_err_and(local::is_taken) {
                break;
            }
        }
        opened
    }

    fn open_at(destination: SocketAddr, bind: Option<Bind>) -> io::Result<Socket> {
        let source = local::source(destination, bind)?;
        let socket = local::socket(Transport::Udp, destination)?;
        local::bind(&socket, Transport::Udp, source)?;
        #[cfg(target_os = "linux")]
        super::icmp::enable(&socket, source)?;
        Socket::new(socket, Some(destination))
    }

    fn new(socket: socket2::Socket, destination: Option<SocketAddr>) -> io::Result<Socket> {
        let _ = socket.set_recv_buffer_size(BUFFER);
        let _ = socket.set_send_buffer_size(BUFFER);
        let local = local::address(&socket)?;
        Ok(Socket {
            socket: Arc::new(UdpSocket::from_std(socket.into())?),
            local,
            destination,
            waiting: VecDeque::new(),
            refused: Vec::new(),
            heard: None,
            complaints: Complaints::default(),
        })
    }

    /// Takes a batch of what has come in; sees to it that the next to come wakes the task if there is nothing.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        room: &mut Room,
        mut take: impl FnMut(Datagram),
    ) {
        let mut taken = 0;
        while taken == 0 && matches!(self.socket.poll_recv_ready(context), Poll::Ready(Ok(()))) {
            datagrams::receive(&self.socket, room, |datagram| {
                taken += 1;
                take(datagram);
            });
        }
    }

    /// Queues a datagram. A whole batch leaves at once, the rest when the core has nothing more to do.
    pub(super) fn send(&mut self, peer: SocketAddr, bytes: Bytes) -> Result<(), Cause> {
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
        let mut again = false;
        while !self.waiting.is_empty() {
            match datagrams::send(&self.socket, &self.waiting) {
                Ok(sent) => {
                    again = false;
                    drop(self.waiting.drain(..sent));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It may only be told of an earlier one's fate, and is, once.
                Err(_) if !again => again = true,
                Err(error) => {
                    again = false;
                    if let Some(lost) = self.waiting.pop_front().filter(|_| !cause::is_loss(&error)) {
                        self.refused.push((lost.peer, cause::of(&error)));
                    }
                }
            }
        }
    }

    /// Sends what waits; sees to it that the task is woken when the rest can be sent.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) {
        self.flush();
        if !self.waiting.is_empty() && matches!(self.socket.poll_send_ready(context), Poll::Ready(Ok(()))) {
            self.flush();
            // A socket that had an error once counts as ready for ever: the others get their turn meanwhile.
            if !self.waiting.is_empty() {
                context.waker().wake_by_ref();
            }
        }
    }

    /// Takes what the network gave back; sees to it that the next complaint wakes the task.
    pub(super) fn poll_complaints(&mut self, context: &mut Context<'_>) {
        if self.destination.is_some() {
            self.complaints.poll(&self.socket, context, &mut self.refused);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(target_os = "linux")]
use complaints::Complaints;
#[cfg(target_os = "linux")]
mod complaints {
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::Context;

    use tokio::io::{Interest, Ready};
    use tokio::net::UdpSocket;

    use crate::net::icmp;
    use crate::proto::Cause;

    /// How many are taken before the next socket gets its turn.
    const TURN: usize = 32;

    type Waiting = Pin<Box<dyn Future<Output = io::Result<Ready>> + Send>>;

    /// What waits for the next complaint.
    #[derive(Default)]
    pub(super) struct Complaints(Option<Waiting>);

    impl Complaints {
        pub(super) fn poll(
            &mut self,
            socket: &Arc<UdpSocket>,
            context: &mut Context<'_>,
            refused: &mut Vec<(SocketAddr, Cause)>,
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
                    // WouldBlock, and only it, takes the readiness back; any other error of the queue would bring us here
                    // again at once, for ever.
                    let next = || icmp::take(&**socket).map_err(|_| io::ErrorKind::WouldBlock.into());
                    match socket.try_io(Interest::ERROR, next) {
                        Ok(Some(lost)) => refused.push((lost.peer, lost.cause)),
                        Ok(None) => {}
                        Err(_) => break,
                    }
                }
                if !refused.is_empty() {
                    return;
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
use silence::Complaints;
#[cfg(not(target_os = "linux"))]
mod silence {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::task::Context;

    use tokio::net::UdpSocket;

    use crate::proto::Cause;

    /// An unconnected socket hears none.
    #[derive(Default)]
    pub(super) struct Complaints;

    impl Complaints {
        pub(super) fn poll(
            &mut self,
            _socket: &Arc<UdpSocket>,
            _context: &mut Context<'_>,
            _refused: &mut Vec<(SocketAddr, Cause)>,
        ) {
        }
    }
}
