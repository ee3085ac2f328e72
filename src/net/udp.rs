//! UDP (RFC 3261 §18, RFC 3581): one socket per flow, bound to a real address and never connected, so that an answer
//! from another port still comes in (TRN-011, NAT-003) and one socket sends and receives (NAT-002).
//!
//! Life of a task: bind, report the local address, then send and receive until the flow is closed. On Linux the
//! network's complaints come through the socket's error queue ([`super::icmp`]), each with the peer whose datagram it
//! was; elsewhere an unconnected socket hears nothing of them, and Timer F decides.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::cause;
use super::flow::{Ends, Report};
use super::local::{self, Bind};
use super::outbox::Outbox;
use crate::proto::Transport;

/// The largest datagram there is (RFC 3261 §18.1.1: messages up to the maximum datagram size must be handled).
const LARGEST: usize = 65_535;

/// How many datagrams, and how many complaints, are taken before sending gets its turn.
const TURN: usize = 32;

/// Runs one flow until it is closed or broken.
pub(super) async fn run(ends: Ends, wishes: &[Option<Bind>]) {
    let Ends { destination, queue, report } = ends;
    let (socket, local) = match open(destination.address, wishes) {
        Ok(open) => open,
        Err(error) => return report.failed(cause::of(&error)).await,
    };
    report.opened(local).await;
    tokio::select! {
        biased;
        () = exchange(&socket, &queue, &report) => return,
        () = queue.closed() => {}
    }
    while let Some((peer, bytes)) = queue.take() {
        let _ = socket.try_send_to(&bytes, peer);
    }
}

fn open(destination: SocketAddr, wishes: &[Option<Bind>]) -> io::Result<(UdpSocket, SocketAddr)> {
    let mut opened = Err(io::ErrorKind::AddrNotAvailable.into());
    for bind in wishes {
        opened = open_at(destination, *bind);
        if !opened.as_ref().is_err_and(local::is_taken) {
            break;
        }
    }
    opened
}

fn open_at(destination: SocketAddr, bind: Option<Bind>) -> io::Result<(UdpSocket, SocketAddr)> {
    let source = local::source(destination, bind)?;
    let socket = local::socket(Transport::Udp, destination)?;
    local::bind(&socket, Transport::Udp, source)?;
    #[cfg(target_os = "linux")]
    super::icmp::enable(&socket, source)?;
    let local = local::address(&socket)?;
    Ok((UdpSocket::from_std(socket.into())?, local))
}

async fn exchange(socket: &UdpSocket, queue: &Outbox, report: &Report) {
    // Reserved, not written to: what no datagram reaches costs no memory.
    let mut buffer = Vec::with_capacity(LARGEST);
    loop {
        tokio::select! {
            ready = socket.ready(Interest::READABLE | Interest::ERROR) => {
                // An answer that is here already outweighs a complaint.
                let received = match ready {
                    Ok(_) => receive(socket, &mut buffer, report).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = received {
                    return report.failed(cause::of(&error)).await;
                }
                complaints(socket, report).await;
            }
            Some((peer, bytes)) = queue.next() => send(socket, peer, &bytes, report).await,
        }
    }
}

/// Takes what has come in.
async fn receive(socket: &UdpSocket, buffer: &mut Vec<u8>, report: &Report) -> io::Result<()> {
    for _ in 0..TURN {
        buffer.clear();
        match socket.try_recv_buf_from(buffer) {
            Ok((_, peer)) => report.received(peer, Bytes::copy_from_slice(buffer)).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if cause::is_of_a_datagram(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reports the datagrams that the network gave back.
#[cfg(target_os = "linux")]
async fn complaints(socket: &UdpSocket, report: &Report) {
    for _ in 0..TURN {
        // WouldBlock, and only it, takes the readiness back; any other error of the queue would bring us here again
        // at once, for ever.
        let next = || super::icmp::take(socket).map_err(|_| io::ErrorKind::WouldBlock.into());
        match socket.try_io(Interest::ERROR, next) {
            Ok(Some(lost)) => report.undeliverable(lost.peer, lost.cause).await,
            Ok(None) => {}
            Err(_) => break,
        }
    }
}

/// There is no queue to read: takes the readiness back.
#[cfg(not(target_os = "linux"))]
async fn complaints(socket: &UdpSocket, _report: &Report) {
    let _ = socket.try_io(Interest::ERROR, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
}

/// Sends one datagram; once more if the first try was only told of an earlier one's fate.
async fn send(socket: &UdpSocket, peer: SocketAddr, bytes: &Bytes, report: &Report) {
    if socket.send_to(bytes, peer).await.is_ok() {
        return;
    }
    if let Err(error) = socket.send_to(bytes, peer).await
        && !cause::is_loss(&error)
    {
        report.undeliverable(peer, cause::of(&error)).await;
    }
}
