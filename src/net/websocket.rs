//! WebSocket (RFC 6455) as a transport of SIP (RFC 7118), over whatever connection carries it: TCP or TLS.
//!
//! [`upgrade`] has the octets of the opening handshake, `meter` what bounds the frames of a peer in time and number; their
//! size is bounded by the codec. One message of the WebSocket is one of SIP, both ways.
//!
//! Life of a WebSocket: [`request`] or [`answer`] opens it; [`converse`] then reads and writes side by side until either end
//! closes. Who breaks the rules hears why by a close frame, as far as it listens.

mod meter;
pub mod upgrade;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use self::meter::Metered;
use self::upgrade::{Declined, LIMIT, Refusal, Welcome};
use super::connection::{LINGER, Outbox, Report, Task};
use super::tls;
use crate::proto::Cause;
use crate::proto::identity::{LastWords, UpgradeFault, WebSocketFault};

/// Octets of one message, and of one frame, at most: what a datagram holds.
const MESSAGE: usize = 65_535;

/// Octets that wait for the system to take them: one message, with a pong and the end.
const WRITE_SIZE: usize = 2 * MESSAGE;

/// Octets that are read at once.
const READ_SIZE: usize = 4096;

/// The time from the first octet of a message to its last, fragments and all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Octets of a peer that is closed that are still read, so that it can hear why.
const LAST_OCTETS: usize = 256 * 1024;

/// A WebSocket that is open.
pub(super) struct Socket<S>(WebSocketStream<Metered<S>>);

/// What a server said that opens no WebSocket.
#[derive(Debug)]
pub(super) enum Refused {
    /// The answer, or what came in its place, opens none.
    Failed(Cause),
    /// The WebSocket is elsewhere: the status, and where that is.
    Elsewhere(u16, String),
    /// The connection broke. What that means is for whoever made it to say: over TLS 1.3 a server that wants a certificate
    /// says so only now.
    Broken(io::Error),
    /// It wants to know who asks: the values of its WWW-Authenticate fields.
    Challenged(Vec<String>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    async fn open(io: S, ahead: &[u8], role: Role) -> io::Result<Socket<S>> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_SIZE)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_SIZE)
            .max_message_size(Some(MESSAGE))
            .max_frame_size(Some(MESSAGE));
        let io = Metered::new(io, ahead, PATIENCE)?;
        let ahead = ahead.to_vec();
        Ok(Socket(WebSocketStream::from_partially_read(io, ahead, role, Some(config)).await))
    }
}

/// Asks for a WebSocket. `host` has the port unless that is the default one; `path` has the query.
///
/// # Errors
/// What the server said instead. The connection is of no use any more.
pub(super) async fn request<S>(
    mut io: S,
    host: &str,
    path: &str,
    authorization: Option<&str>,
) -> Result<Socket<S>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = Refused::Broken;
    let key = generate_key();
    io.write_all(&upgrade::request(host, path, &key, authorization)).await.map_err(broken)?;
    io.flush().await.map_err(broken)?;
    let mut octets = Vec::new();
    loop {
        let is_worth_reading = more(&mut io, &mut octets).await.map_err(broken)?;
        let is_over = is_worth_reading.is_none();
        if is_worth_reading == Some(false) {
            continue;
        }
        match upgrade::read_answer(&octets, &key) {
            Ok(Some(length)) => {
                return Socket::open(io, &octets[length..], Role::Client).await.map_err(broken);
            }
            Ok(None) if is_over => return Err(Refused::Failed(Cause::Upgrade(UpgradeFault::NotWebSocket))),
            Ok(None) => {}
            Err(Declined::Fault(fault)) => return Err(Refused::Failed(Cause::Upgrade(fault))),
            Err(Declined::Elsewhere(status, location)) => return Err(Refused::Elsewhere(status, location)),
            Err(Declined::Challenged(challenges)) => return Err(Refused::Challenged(challenges)),
        }
    }
}

/// Answers who asks for a WebSocket. A page may connect whose origin is among `origins`; without any, each may.
///
/// # Errors
/// What is wrong with the request; who sent it has been told. The connection is of no use any more.
pub(super) async fn answer<S>(mut io: S, origins: &[String]) -> Result<Socket<S>, Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: io::Error| tls::cause(&error);
    let mut octets = Vec::new();
    loop {
        let is_worth_reading = more(&mut io, &mut octets).await.map_err(broken)?;
        let is_over = is_worth_reading.is_none();
        if is_worth_reading == Some(false) {
            continue;
        }
        match upgrade::read_request(&octets, origins) {
            Ok(Some(Welcome { length, answer })) => {
                io.write_all(&answer).await.map_err(broken)?;
                io.flush().await.map_err(broken)?;
                return Socket::open(io, &octets[length..], Role::Server).await.map_err(broken);
            }
            Ok(None) if is_over && octets.is_empty() => return Err(Cause::Reset),
            Ok(None) if is_over => return Err(Cause::Upgrade(UpgradeFault::NotWebSocket)),
            Ok(None) => {}
            Err(Refusal { fault, answer }) => {
                let _ = tokio::time::timeout(LINGER, part(&mut io, &answer)).await;
                return Err(Cause::Upgrade(fault));
            }
        }
    }
}

/// Reads more of a head. `None`: there is no more; else whether it can be more than was known before, by a new line or as its
/// beginning.
async fn more<S: AsyncRead + Unpin>(io: &mut S, octets: &mut Vec<u8>) -> io::Result<Option<bool>> {
    let mut buffer = [0; READ_SIZE];
    let room = READ_SIZE.min(LIMIT.saturating_sub(octets.len()).max(1));
    let n = io.read(&mut buffer[..room]).await?;
    let new = &buffer[..n];
    let is_worth_reading = octets.is_empty() || new.contains(&b'\n') || octets.len() + n >= LIMIT;
    octets.extend_from_slice(new);
    Ok((n > 0).then_some(is_worth_reading))
}

/// Sends last octets, and reads until the peer has closed too: a connection that is closed with octets unread takes back what
/// was sent.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, last: &[u8]) -> io::Result<()> {
    io.write_all(last).await?;
    io.flush().await?;
    io.shutdown().await?;
    let mut buffer = [0; READ_SIZE];
    let mut read = 0;
    while read < LAST_OCTETS {
        match io.read(&mut buffer).await? {
            0 => break,
            n => read += n,
        }
    }
    Ok(())
}

/// Runs a flow whose WebSocket is open until it is closed or broken.
pub(super) async fn converse<S>(task: Task, socket: Socket<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Task { outbox, report, .. } = task;
    let (mut sink, mut stream) = socket.0.split();
    let lingering = async {
        outbox.closed().await;
        tokio::time::sleep(LINGER).await;
    };
    let end = tokio::select! {
        biased;
        end = both(&mut sink, &mut stream, &outbox, &report) => end,
        () = lingering => return,
    };
    let code = match end {
        Err(error) if !is_end(&error) => {
            let Broken { cause, code } = Broken::of(&error);
            report.failed(cause).await;
            code
        }
        Ok(()) | Err(_) => {
            report.closed().await;
            None
        }
    };
    let Ok(mut socket) = sink.reunite(stream) else { return };
    let parting = async {
        match code {
            Some(code) => dismiss(socket, code).await,
            // TLS wants the end said once more, by close_notify.
            None => socket.get_mut().get_mut().shutdown().await,
        }
    };
    let _ = tokio::time::timeout(LINGER, parting).await;
}

/// Reads and writes side by side, until the peer has closed, or has answered that we have.
async fn both<S>(
    sink: &mut Sink<S>,
    stream: &mut SplitStream<WebSocketStream<Metered<S>>>,
    outbox: &Outbox,
    report: &Report,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reading = std::pin::pin!(read(stream, report));
    tokio::select! {
        biased;
        end = &mut reading => end,
        written = write(sink, outbox) => match written {
            Ok(()) => reading.await,
            // An answer may have come before the connection broke.
            Err(error) => reading.await.and(Err(error)),
        },
    }
}

type Sink<S> = SplitSink<WebSocketStream<Metered<S>>, Message>;

/// Reads until the peer has closed, which is `Ok`. Pings are answered below.
async fn read<S>(stream: &mut SplitStream<WebSocketStream<Metered<S>>>, report: &Report) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = stream.next().await {
        match message? {
            Message::Text(text) => heard(text.as_bytes(), report).await,
            Message::Binary(octets) => heard(&octets, report).await,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(frame) => {
                if let Some(CloseFrame { code, reason }) = frame {
                    let words = LastWords::Close { code: code.into(), reason: reason.to_string() };
                    report.last_words(words).await;
                }
                // The answer goes out; the server closes the connection (RFC 6455 §7.1.1).
                let rest = async { while let Some(Ok(_)) = stream.next().await {} };
                let _ = tokio::time::timeout(LINGER, rest).await;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Passes a message on, in a buffer of its size. An empty one is nothing.
async fn heard(octets: &[u8], report: &Report) {
    if !octets.is_empty() {
        report.received(Bytes::copy_from_slice(octets)).await;
    }
}

/// Writes the messages that wait and those to come, until the queue is closed; then says so.
async fn write<S>(sink: &mut Sink<S>, outbox: &Outbox) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while outbox.more().await {
        while let Some(octets) = outbox.next() {
            let size = octets.len();
            sink.send(message(octets)).await?;
            outbox.written(size);
        }
    }
    sink.send(Message::Close(Some(close(CloseCode::Normal)))).await
}

/// A message as RFC 7118 §4.2 wants it sent: as text, if it is one.
fn message(octets: Bytes) -> Message {
    Utf8Bytes::try_from(octets.clone()).map_or(Message::Binary(octets), Message::Text)
}

fn close(code: CloseCode) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::from_static("") }
}

/// Closes a WebSocket whose peer has broken the rules.
async fn dismiss<S>(mut socket: WebSocketStream<Metered<S>>, code: CloseCode) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = socket.send(Message::Close(Some(close(code)))).await;
    part(socket.get_mut().get_mut(), &[]).await
}

/// Whether the peer has closed, with a handshake or without.
fn is_end(error: &Error) -> bool {
    // Over TLS that is how a connection ends which is closed without saying so before.
    if let Error::Io(error) = error {
        return error.kind() == io::ErrorKind::UnexpectedEof;
    }
    matches!(
        error,
        Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake
                    | ProtocolError::SendAfterClosing
                    | ProtocolError::ReceivedAfterClosing
            )
    )
}

/// How a WebSocket ended that was not closed.
struct Broken {
    cause: Cause,
    /// What its peer is told, if it can be.
    code: Option<CloseCode>,
}

impl Broken {
    fn of(error: &Error) -> Broken {
        let by = |fault, code| Broken { cause: Cause::WebSocket(fault), code: Some(code) };
        match error {
            Error::Io(error) => match error.get_ref().and_then(|fault| fault.downcast_ref()) {
                Some(WebSocketFault::Flood) => by(WebSocketFault::Flood, CloseCode::Policy),
                Some(WebSocketFault::Slow) => by(WebSocketFault::Slow, CloseCode::Policy),
                Some(WebSocketFault::TooLong | WebSocketFault::Broken) | None => {
                    Broken { cause: tls::cause(error), code: None }
                }
            },
            Error::Capacity(_) => by(WebSocketFault::TooLong, CloseCode::Size),
            Error::Utf8(_) => by(WebSocketFault::Broken, CloseCode::Invalid),
            Error::WriteBufferFull(_) => Broken { cause: Cause::TooLarge, code: Some(CloseCode::Normal) },
            Error::ConnectionClosed | Error::AlreadyClosed => Broken { cause: Cause::Reset, code: None },
            Error::Protocol(_)
            | Error::AttackAttempt
            | Error::Tls(_)
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => by(WebSocketFault::Broken, CloseCode::Protocol),
        }
    }
}
