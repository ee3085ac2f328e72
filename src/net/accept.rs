//! TCP sockets that take connections in. The loop polls them itself; each connection has a task of its own
//! ([`super::stream`]).
//!
//! Life of a listener: it is bound when it is opened and served until it is closed. No error ends it: what the network
//! says of one peer, or forges in its name, must not stop what is for the others.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use super::{cause, local};
use crate::proto::{FlowId, Transport};

/// Connections that may wait to be taken in.
const BACKLOG: i32 = 1024;

/// How long no connection is taken in after the system had no descriptor, or no memory, for one.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are taken in before the next socket gets its turn.
const TURN: usize = 32;

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

/// All that take connections in.
#[derive(Default)]
pub(super) struct Acceptors(BTreeMap<FlowId, Acceptor>);

impl Acceptors {
    /// Opens one, and tells its address.
    pub(super) fn open(&mut self, flow: FlowId, at: SocketAddr) -> io::Result<SocketAddr> {
        let (acceptor, local) = Acceptor::open(at)?;
        self.0.insert(flow, acceptor);
        Ok(local)
    }

    /// Whether this flow is one, and open.
    pub(super) fn contains(&self, flow: FlowId) -> bool {
        self.0.contains_key(&flow)
    }

    /// Closes it, if it is one.
    pub(super) fn close(&mut self, flow: FlowId) {
        self.0.remove(&flow);
    }

    /// Takes from each its turn of what has come. What is left, and what comes next, wakes the task.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Vec<Connection> {
        let mut connections = Vec::new();
        for (&listener, acceptor) in &mut self.0 {
            for _ in 0..TURN {
                let Poll::Ready((stream, local, remote)) = acceptor.poll(context) else { break };
                connections.push(Connection { listener, stream, local, remote });
            }
        }
        connections
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
