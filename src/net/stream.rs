//! Connections (RFC 3261 §18): one per flow, which the core opened or a listener accepted. Over TCP and TLS messages are
//! not told apart here; octets go up in the pieces they came in. TLS itself is in [`super::tls`], WebSocket in
//! [`super::websocket`].
//!
//! The loop polls the [`Listeners`] itself; each connection has a task of its own, whose ends are in
//! [`super::connection`].
//!
//! Life of a listener: it is bound when it is opened and served until it is closed. No error ends it: what
//! the network says of one peer, or forges in its name, must not stop what is for the others.
//!
//! Life of a task: connect, do the handshakes of TLS and WebSocket, and report the local address; then read and
//! write side by side until either end closes. A connection that breaks says so at once (TRN-030, TRN-031). One
//! that the core closes first sends what it was given before, for a bounded time. While nothing passes, a
//! connection holds no buffer.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Sleep;
use tokio_rustls::{client, server};

use super::connection::{LINGER, Outbox, Report, Task};
use super::sockets::{self, Bind};
use super::tls::{self, ProfileSettings, ServerSettings};
use super::websocket::{self, Refused};
use crate::proto::identity::{LastWords, TlsSession, UpgradeFault};
use crate::proto::{Cause, Destination, Event, FlowId, Transport};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The time in which no connection is accepted after the system had no descriptor, or no memory, for one.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are accepted before the next socket gets its turn.
const ACCEPTS: usize = 32;

/// The time that the handshakes of a connection that came in may take, all together.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes of connections that came in that may be under way, and of one source; those of this host are not counted.
const HANDSHAKES: usize = 1024;
const HANDSHAKES_OF_SOURCE: usize = 64;

/// Octets that are read at once: a response with a few hundred octets of headers fits in one piece.
const READ_SIZE: usize = 4096;

/// A connection that a listener accepted.
pub(super) struct Connection {
    /// The listener that accepted it.
    pub listener: FlowId,
    /// What is to be spoken over it.
    pub transport: Transport,
    /// The connected socket.
    pub stream: TcpStream,
    /// The address of our end.
    pub local: SocketAddr,
    /// The address of the peer's end.
    pub remote: SocketAddr,
}

/// All listeners for connections.
#[derive(Default)]
pub(super) struct Listeners(BTreeMap<FlowId, Listener>);

impl Listeners {
    /// Opens a listener, and gives its address.
    pub(super) fn open(
        &mut self,
        flow: FlowId,
        transport: Transport,
        at: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let (listener, local) = Listener::open(transport, at)?;
        self.0.insert(flow, listener);
        Ok(local)
    }

    /// Whether this flow is an open listener.
    pub(super) fn contains(&self, flow: FlowId) -> bool {
        self.0.contains_key(&flow)
    }

    /// Closes this listener, if it is one.
    pub(super) fn close(&mut self, flow: FlowId) {
        self.0.remove(&flow);
    }

    /// Accepts of each listener its turn of connections. Those that are left, and those to come, wake the
    /// task.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Vec<Connection> {
        let mut connections = Vec::new();
        for (&flow, listener) in &mut self.0 {
            let mut taken = 0;
            while taken < ACCEPTS
                && let Poll::Ready((stream, local, remote)) = listener.poll(context)
            {
                taken += 1;
                let transport = listener.transport;
                connections.push(Connection { listener: flow, transport, stream, local, remote });
            }
            // Nobody else does that: a connection that begins with a handshake leads to no event of its own.
            if taken == ACCEPTS {
                context.waker().wake_by_ref();
            }
        }
        connections
    }
}

/// A TCP socket that accepts connections.
struct Listener {
    transport: Transport,
    listener: TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Listener {
    /// Binds and listens; gives the address too.
    fn open(transport: Transport, address: SocketAddr) -> io::Result<(Listener, SocketAddr)> {
        let socket = sockets::socket(Transport::Tcp, address)?;
        sockets::bind(&socket, Transport::Tcp, address)?;
        // Connections inherit this option: those that linger must not keep the next server from this port. It
        // is not set before binding, lest the system choose a port that another socket is about to listen at.
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        socket.listen(BACKLOG)?;
        let bound = sockets::address(&socket)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok((Listener { transport, listener, pause: None }, bound))
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

/// Whether the error is that of the connection to be accepted, and not our own.
fn is_of_a_connection(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionAborted || sockets::is_of_a_datagram(error)
}

/// Runs a flow that the core opened until it is closed or broken.
pub(super) async fn run(mut task: Task, choices: &[Option<Bind>], settings: &ProfileSettings) {
    let outbox = Arc::clone(&task.outbox);
    let opened = tokio::select! {
        biased;
        () = outbox.closed() => return,
        opened = open(&mut task, choices, settings) => opened,
    };
    match opened {
        Ok(Some((speech, local))) => {
            task.report.opened(local).await;
            speak(task, speech).await;
        }
        Ok(None) => task.report.closed().await,
        Err(cause) => task.report.failed(cause).await,
    }
}

/// Runs a flow that a listener for TLS or WebSocket accepted: it is told to the core once it is usable. `at` is the
/// listener, and our address.
pub(super) async fn admit(
    task: Task,
    stream: TcpStream,
    at: (FlowId, SocketAddr),
    settings: &Arc<ServerSettings>,
) {
    let ((listener, local), remote) = (at, task.report.remote);
    let admitted = tokio::select! {
        biased;
        () = task.outbox.closed() => return,
        admitted = tokio::time::timeout(HANDSHAKE, answer(&task, stream, settings)) => admitted,
    };
    match admitted.unwrap_or(Err(Cause::TimedOut)) {
        Ok((speech, session)) => {
            task.report.send(Event::Accepted { listener, flow: task.report.flow, local, remote }).await;
            if let Some(session) = session {
                task.report.secured(session).await;
            }
            speak(task, speech).await;
        }
        Err(cause) => task.report.send(Event::HandshakeFailed { listener, remote, cause }).await,
    }
}

/// What is spoken over a connection, once its handshakes are done.
enum Speech {
    Tcp(TcpStream),
    ToServer(Box<client::TlsStream<TcpStream>>, tls::Doubt),
    ToClient(Box<server::TlsStream<TcpStream>>),
    Ws(Box<websocket::Socket<TcpStream>>),
    WssToServer(Box<websocket::Socket<client::TlsStream<TcpStream>>>),
    WssToClient(Box<websocket::Socket<server::TlsStream<TcpStream>>>),
}

async fn speak(task: Task, speech: Speech) {
    match speech {
        Speech::Tcp(stream) => converse(task, stream).await,
        Speech::ToServer(stream, doubt) => converse_over(task, *stream, |error| doubt.cause(error)).await,
        Speech::ToClient(stream) => converse_over(task, *stream, tls::cause).await,
        Speech::Ws(socket) => websocket::converse(task, *socket).await,
        Speech::WssToServer(socket) => websocket::converse(task, *socket).await,
        Speech::WssToClient(socket) => websocket::converse(task, *socket).await,
    }
}

/// Connects, and does the handshakes. `None`: the other side has closed the connection in the middle of them.
async fn open(
    task: &mut Task,
    choices: &[Option<Bind>],
    settings: &ProfileSettings,
) -> Result<Option<(Speech, SocketAddr)>, Cause> {
    let mut authorization = None;
    loop {
        let connected = connect(task.destination.address, choices).await;
        let (stream, local) = connected.map_err(|error| sockets::cause(&error))?;
        let asked = match task.destination.transport {
            Transport::Udp | Transport::Tcp => return Ok(Some((Speech::Tcp(stream), local))),
            Transport::Tls => {
                let secured = secure(task, stream, settings).await?;
                return Ok(secured.map(|(stream, doubt)| (Speech::ToServer(Box::new(stream), doubt), local)));
            }
            Transport::Ws => match request(task, stream, settings, authorization.as_deref()).await {
                Ok(socket) => return Ok(Some((Speech::Ws(Box::new(socket)), local))),
                Err(refused) => refused,
            },
            Transport::Wss => {
                let Some((stream, doubt)) = secure(task, stream, settings).await? else { return Ok(None) };
                match request(task, stream, settings, authorization.as_deref()).await {
                    Ok(socket) => return Ok(Some((Speech::WssToServer(Box::new(socket)), local))),
                    Err(Refused::Broken(error)) => return Err(doubt.cause(&error)),
                    Err(refused) => refused,
                }
            }
        };
        let challenges = match asked {
            Refused::Failed(cause) => return Err(cause),
            Refused::Elsewhere(status, location) => {
                task.report.last_words(LastWords::Location(location)).await;
                return Err(Cause::Upgrade(UpgradeFault::Status(status)));
            }
            Refused::Broken(error) => return Err(sockets::cause(&error)),
            Refused::Challenged(challenges) => challenges,
        };
        let unauthorized = Cause::Upgrade(UpgradeFault::Status(401));
        if authorization.is_some() {
            return Err(unauthorized);
        }
        task.report.challenged(settings.path().to_owned(), challenges).await;
        authorization = (&mut task.authorization).await.ok().flatten();
        if authorization.is_none() {
            return Err(unauthorized);
        }
    }
}

/// Does the TLS handshake as a client, and reports what the other end has shown.
async fn secure(
    task: &Task,
    stream: TcpStream,
    settings: &ProfileSettings,
) -> Result<Option<(client::TlsStream<TcpStream>, tls::Doubt)>, Cause> {
    let tls::Handshake { session, stream } = tls::connect(stream, &task.destination, settings).await;
    if let Some(session) = session {
        task.report.secured(session).await;
    }
    stream
}

/// Asks for a WebSocket. The Host has a port unless it is the usual one (RFC 9110 §7.2).
async fn request<S>(
    task: &Task,
    stream: S,
    settings: &ProfileSettings,
    authorization: Option<&str>,
) -> Result<websocket::Socket<S>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Destination { transport, address, name, .. } = &task.destination;
    let name = name.as_deref().map_or_else(|| address.ip().to_string(), str::to_owned);
    let mut host = if name.contains(':') { format!("[{name}]") } else { name };
    if address.port() != transport.default_port() {
        host += &format!(":{}", address.port());
    }
    websocket::request(stream, &host, settings.path(), authorization).await
}

/// Does the handshakes as a server.
async fn answer(
    task: &Task,
    stream: TcpStream,
    settings: &Arc<ServerSettings>,
) -> Result<(Speech, Option<TlsSession>), Cause> {
    let origins = &settings.origins;
    let note = |stream: &server::TlsStream<TcpStream>| {
        tls::Proof::of(stream, settings).map(|proof| task.proof.set(proof));
    };
    Ok(match task.destination.transport {
        Transport::Udp | Transport::Tcp => (Speech::Tcp(stream), None),
        Transport::Tls => {
            let (stream, session) = tls::accept(stream, settings).await?;
            note(&stream);
            (Speech::ToClient(Box::new(stream)), Some(session))
        }
        Transport::Ws => (Speech::Ws(Box::new(websocket::answer(stream, origins).await?)), None),
        Transport::Wss => {
            let (stream, session) = tls::accept(stream, settings).await?;
            note(&stream);
            (Speech::WssToClient(Box::new(websocket::answer(stream, origins).await?)), Some(session))
        }
    })
}

/// The connections that came in and whose handshakes are not done.
#[derive(Default)]
pub(super) struct Handshakes {
    all: BTreeMap<(FlowId, SocketAddr), FlowId>,
    sources: BTreeMap<IpAddr, usize>,
}

impl Handshakes {
    /// The one that has been under way longest, where all places are taken: it makes room, so that others are served whoever
    /// holds the places. Its listener and its source.
    pub(super) fn crowded(&self) -> Option<(FlowId, SocketAddr)> {
        let is_full = self.all.len() >= HANDSHAKES;
        let oldest = self.all.iter().filter(|_| is_full).min_by_key(|(_, flow)| **flow);
        oldest.map(|(key, _)| *key)
    }

    /// Whether one more may begin: a flow of that listener. One that is under way from the same port, as of a source that
    /// has reset its connection and come again, has to end before.
    pub(super) fn begin(&mut self, listener: FlowId, flow: FlowId, remote: SocketAddr) -> bool {
        let source = remote.ip().to_canonical();
        let of_source = self.sources.get(&source).copied().unwrap_or_default();
        let is_full = self.all.len() >= HANDSHAKES;
        let is_flood = of_source >= HANDSHAKES_OF_SOURCE && !source.is_loopback();
        if is_full || is_flood || self.all.contains_key(&(listener, remote)) {
            return false;
        }
        self.all.insert((listener, remote), flow);
        *self.sources.entry(source).or_default() += 1;
        true
    }

    /// It is done, or has failed: that flow.
    pub(super) fn end(&mut self, listener: FlowId, remote: SocketAddr) -> Option<FlowId> {
        let flow = self.all.remove(&(listener, remote))?;
        let source = remote.ip().to_canonical();
        if let Some(left) = self.sources.get_mut(&source) {
            *left -= 1;
            if *left == 0 {
                self.sources.remove(&source);
            }
        }
        Some(flow)
    }

    /// A listener is closed: the flows that will not come to be.
    pub(super) fn close(&mut self, listener: FlowId) -> Vec<FlowId> {
        let of_listener = |(at, _): &&(FlowId, SocketAddr)| *at == listener;
        let remotes: Vec<SocketAddr> =
            self.all.keys().filter(of_listener).map(|(_, remote)| *remote).collect();
        remotes.into_iter().filter_map(|remote| self.end(listener, remote)).collect()
    }
}

/// Runs a flow that is connected until it is closed or broken.
pub(super) async fn converse(task: Task, stream: TcpStream) {
    let Task { outbox, report, .. } = task;
    let stream = outbox.attach(stream);
    let (reading, writing) = (read(stream, &report), outbox.write_to(stream));
    side_by_side(reading, writing, &outbox, &report, sockets::cause).await;
}

/// Runs a flow over what lies on a connection until it is closed or broken. What broke it says `cause`.
async fn converse_over<S: AsyncRead + AsyncWrite>(task: Task, io: S, cause: impl Fn(&io::Error) -> Cause) {
    let Task { outbox, report, .. } = task;
    let (reader, writer) = tokio::io::split(io);
    let (reading, writing) = (read_from(reader, &report), outbox.write_into(writer));
    side_by_side(reading, writing, &outbox, &report, cause).await;
}

/// Reads and writes until the peer has closed, the core has, or something breaks, and reports which.
async fn side_by_side(
    reading: impl Future<Output = io::Result<()>>,
    writing: impl Future<Output = io::Result<()>>,
    outbox: &Outbox,
    report: &Report,
    cause: impl Fn(&io::Error) -> Cause,
) {
    let mut reading = std::pin::pin!(reading);
    let lingering = async {
        outbox.closed().await;
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
        () = lingering => return,
    };
    match end {
        Ok(()) => report.closed().await,
        // Over TLS that is how a connection ends which is closed without saying so before.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => report.closed().await,
        Err(error) => report.failed(cause(&error)).await,
    }
}

/// Reads until the peer has closed, which is `Ok`. While nothing comes, no buffer is held.
async fn read_from(mut reader: impl AsyncRead + Unpin, report: &Report) -> io::Result<()> {
    loop {
        let read = std::future::poll_fn(|context| {
            let mut octets = [0; READ_SIZE];
            let mut buffer = ReadBuf::new(&mut octets);
            std::task::ready!(Pin::new(&mut reader).poll_read(context, &mut buffer))?;
            Poll::Ready(io::Result::Ok(Bytes::copy_from_slice(buffer.filled())))
        });
        let bytes = read.await?;
        if bytes.is_empty() {
            return Ok(());
        }
        report.received(bytes).await;
    }
}

async fn connect(remote: SocketAddr, choices: &[Option<Bind>]) -> io::Result<(TcpStream, SocketAddr)> {
    let mut connected = Err(ErrorKind::AddrNotAvailable.into());
    for bind in choices {
        connected = connect_from(remote, *bind).await;
        if !connected.as_ref().is_err_and(sockets::is_taken) {
            break;
        }
    }
    connected
}

async fn connect_from(remote: SocketAddr, bind: Option<Bind>) -> io::Result<(TcpStream, SocketAddr)> {
    let socket = sockets::socket(Transport::Tcp, remote)?;
    if bind.is_some() {
        sockets::bind(&socket, Transport::Tcp, sockets::source(remote, bind)?)?;
    }
    // A request is one write, and nothing follows that could share its segment.
    socket.set_tcp_nodelay(true)?;
    let stream = TcpSocket::from_std_stream(socket.into()).connect(remote).await?;
    let local = stream.local_addr()?;
    Ok((stream, local))
}

/// Reads until the peer has closed, which is `Ok`.
async fn read(stream: &TcpStream, report: &Report) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match read_once(stream) {
            Ok(bytes) if bytes.is_empty() => return Ok(()),
            Ok(bytes) => report.received(bytes).await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// The octets that have come in, in a buffer of their size.
fn read_once(stream: &TcpStream) -> io::Result<Bytes> {
    let mut buffer = [0; READ_SIZE];
    let n = stream.try_read(&mut buffer)?;
    Ok(Bytes::copy_from_slice(&buffer[..n]))
}
