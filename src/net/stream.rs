//! TCP (RFC 3261 §18): one connection per flow, of ours or one that came in. Messages are not told apart here; octets
//! go up in the pieces they came in.
//!
//! Life of a task: connect and report the local address; then read and write side by side until either end closes. A
//! connection that breaks says so at once (TRN-030, TRN-031). One that the core closes first sends what it was given
//! before, for a bounded time. While nothing passes, a connection holds no buffer.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::net::{TcpSocket, TcpStream};

use super::cause;
use super::flow::{Ends, LINGER, Report};
use super::local::{self, Bind};
use crate::proto::Transport;

/// Room for what comes in at once: a response with a few hundred octets of headers fits in one piece.
const PIECE: usize = 4096;

/// Runs one flow of ours until it is closed or broken.
pub(super) async fn run(ends: Ends, wishes: &[Option<Bind>]) {
    let connected = tokio::select! {
        biased;
        () = ends.queue.closed() => return,
        connected = connect(ends.destination.address, wishes) => connected,
    };
    match connected {
        Ok((stream, local)) => {
            ends.report.opened(local).await;
            converse(ends, stream).await;
        }
        Err(error) => ends.report.failed(cause::of(&error)).await,
    }
}

/// Runs a flow that is connected until it is closed or broken.
pub(super) async fn converse(ends: Ends, stream: TcpStream) {
    let Ends { queue, report, .. } = ends;
    let stream = queue.carry(stream);
    let mut reading = std::pin::pin!(read(stream, &report));
    let writing = queue.write_to(stream);
    let last_words = async {
        queue.closed().await;
        tokio::time::sleep(LINGER).await;
    };
    let end = tokio::select! {
        biased;
        end = &mut reading => end,
        written = writing => match written {
            Ok(()) => return,
            // An answer may have come before the connection broke.
            Err(error) => reading.await.and(Err(error)),
        },
        () = last_words => return,
    };
    match end {
        Ok(()) => report.closed().await,
        Err(error) => report.failed(cause::of(&error)).await,
    }
}

async fn connect(remote: SocketAddr, wishes: &[Option<Bind>]) -> io::Result<(TcpStream, SocketAddr)> {
    let mut connected = Err(io::ErrorKind::AddrNotAvailable.into());
    for bind in wishes {
        connected = connect_from(remote, *bind).await;
        if !connected.as_ref().is_err_and(local::is_taken) {
            break;
        }
    }
    connected
}

async fn connect_from(remote: SocketAddr, bind: Option<Bind>) -> io::Result<(TcpStream, SocketAddr)> {
    let socket = local::socket(Transport::Tcp, remote)?;
    if bind.is_some() {
        local::bind(&socket, Transport::Tcp, local::source(remote, bind)?)?;
    }
    // A request is one write, and nothing follows that could share its segment.
    socket.set_tcp_nodelay(true)?;
    let stream = TcpSocket::from_std_stream(socket.into()).connect(remote).await?;
    let local = stream.local_addr()?;
    Ok((stream, local))
}

/// Ends with `Ok` when the other side has closed.
async fn read(stream: &TcpStream, report: &Report) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match take(stream) {
            Ok(bytes) if bytes.is_empty() => return Ok(()),
            Ok(bytes) => report.received(bytes).await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// What has come in; its buffer is as large as it is.
fn take(stream: &TcpStream) -> io::Result<Bytes> {
    let mut buffer = [0; PIECE];
    let n = stream.try_read(&mut buffer)?;
    Ok(Bytes::copy_from_slice(&buffer[..n]))
}
