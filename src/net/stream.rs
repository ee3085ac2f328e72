//! TCP (RFC 3261 §18): one connection per flow. Messages are not told apart here; octets go up in the pieces they
//! came in.
//!
//! Life of a task: connect, report the local address, then read and write side by side until either end closes. A
//! connection that breaks says so at once (TRN-030, TRN-031). One that the core closes first sends what it was given
//! before, for a bounded time.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::cause;
use super::flow::{Ends, LINGER, Outgoing, Report};
use super::local::{self, Bind};
use crate::proto::Transport;

/// Room for what comes in at once: a response with a few hundred octets of headers fits in one piece.
const PIECE: usize = 4096;

/// Runs one flow until it is closed or broken.
pub(super) async fn run(ends: Ends, wishes: &[Option<Bind>]) {
    let Ends { destination, mut queue, mut closed, report } = ends;
    let remote = destination.address;
    let connected = tokio::select! {
        biased;
        _ = &mut closed => return,
        connected = connect(remote, wishes) => connected,
    };
    let (stream, local) = match connected {
        Ok(connected) => connected,
        Err(error) => return report.failed(cause::of(&error)).await,
    };
    report.opened(local).await;

    let (mut reader, mut writer) = stream.into_split();
    let mut reading = std::pin::pin!(read(&mut reader, remote, &report));
    let mut writing = std::pin::pin!(write(&mut writer, &mut queue));
    let last_words = async {
        let _ = closed.await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        biased;
        end = &mut reading => tell(end, &report).await,
        written = &mut writing => {
            if let Err(error) = written {
                // An answer may have come before the connection broke.
                let end = reading.await;
                tell(end.and(Err(error)), &report).await;
            }
        }
        () = last_words => {}
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
async fn read(reader: &mut OwnedReadHalf, remote: SocketAddr, report: &Report) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        if reader.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        report.received(remote, buffer.split().freeze()).await;
    }
}

/// Ends with `Ok` when all is written and nothing more will come.
async fn write(writer: &mut OwnedWriteHalf, queue: &mut mpsc::Receiver<Outgoing>) -> io::Result<()> {
    while let Some((_, bytes)) = queue.recv().await {
        writer.write_all(&bytes).await?;
    }
    Ok(())
}

async fn tell(end: io::Result<()>, report: &Report) {
    match end {
        Ok(()) => report.closed().await,
        Err(error) => report.failed(cause::of(&error)).await,
    }
}
