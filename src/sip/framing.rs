//! Framing: messages and keep-alives out of a byte stream, and the lines of a message's head
//! (RFC 3261 §7.5, §18.3 and §25.1, RFC 5626 §3.5.1 and §4.4.1).
//!
//! The stream framer and the parser of messages walk the head with one scanner, [`Lines`]. It goes forward
//! only.

use super::name::HeaderName;
use super::scan;
use bytes::{Buf, Bytes, BytesMut};

/// Largest message that is read, head and body together, in octets: what a UDP datagram can carry
/// (RFC 3261 §18.1.1).
pub const MAX_MESSAGE: usize = 65_535;

/// A message or a keep-alive, as a stream carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A whole message, for [`Message::parse_framed`](super::Message::parse_framed).
    Message(Bytes),
    /// CRLF CRLF between messages: the peer asks for a pong.
    Ping,
    /// A single CRLF between messages: the answer to a ping.
    Pong,
}

/// The stream is out of step and has to be closed (RFC 4475 §3.1.2.3, §3.3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A message without Content-Length.
    #[error("a message without Content-Length on a stream")]
    NoLength,
    /// A Content-Length that is no number.
    #[error("a Content-Length that is no number")]
    BadLength,
    /// Two Content-Length rows that differ.
    #[error("contradictory Content-Length rows")]
    Contradictory,
    /// Head and body together are larger than [`MAX_MESSAGE`].
    #[error("a message larger than 65535 octets")]
    TooLarge,
    /// A record of TLS, where none was agreed on: a handshake or an alert.
    #[error("TLS on a plain connection")]
    Tls,
    /// A message of HTTP.
    #[error("HTTP instead of SIP")]
    Http,
    /// The greeting of a server of another protocol, which speaks first: SSH, mail, FTP.
    #[error("the greeting of another protocol")]
    Greeting,
}

/// The meaning of a single CRLF at the end of the octets at hand, which depends on who opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SingleCrlf {
    /// A pong, at once: the keep-alive timer waits for it.
    Pong,
    /// Perhaps the first half of a ping: the octets that follow decide.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    /// In a head whose first `scanned` octets hold no end.
    Head {
        scanned: usize,
    },
    /// In a message of `total` octets, head and body.
    Body {
        total: usize,
    },
    Lost(FramingError),
}

/// Cuts a stream into frames, whatever its segmentation. [`push`](StreamFramer::push) octets, then call
/// [`next`](StreamFramer::next) until it gives `None`. After an error it gives the same error for ever.
///
/// A message that never completes holds at most [`MAX_MESSAGE`] octets and the last push; bound it in time
/// with a timer that runs while [`partial`](StreamFramer::partial).
#[derive(Debug)]
pub struct StreamFramer {
    buffer: BytesMut,
    state: State,
    single_crlf: SingleCrlf,
}

impl StreamFramer {
    /// For the side that opened the connection and sends the pings: a single CRLF is a pong as soon as it is
    /// there.
    pub fn new() -> StreamFramer {
        StreamFramer { buffer: BytesMut::new(), state: State::Between, single_crlf: SingleCrlf::Pong }
    }

    /// For the side that accepted the connection and answers pings: a single CRLF waits for what follows, so
    /// that a ping is seen also when it comes in two pieces.
    pub fn accepting() -> StreamFramer {
        StreamFramer { single_crlf: SingleCrlf::Wait, ..StreamFramer::new() }
    }

    /// Appends octets, in whatever pieces they were read.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Whether a message has begun and is not complete.
    pub fn partial(&self) -> bool {
        match self.state {
            State::Between => !matches!(*self.buffer, [] | [b'\r', ..]),
            State::Head { .. } | State::Body { .. } => true,
            State::Lost(_) => false,
        }
    }

    /// The number of octets that wait for the rest of their message.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame; `None` when more octets are needed.
    ///
    /// # Errors
    /// The stream is out of step: no frame will come any more.
    #[expect(clippy::should_implement_trait, reason = "it is fallible, and more may come after None")]
    pub fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        let frame = self.step();
        if let Err(error) = frame {
            self.state = State::Lost(error);
            self.buffer = BytesMut::new();
        }
        frame
    }

    fn step(&mut self) -> Result<Option<Frame>, FramingError> {
        loop {
            match self.state {
                State::Between => match (&*self.buffer, self.single_crlf) {
                    ([b'\r', b'\n', b'\r', b'\n', ..], _) => return Ok(self.keepalive(4, Frame::Ping)),
                    ([] | [b'\r'], _) | ([b'\r', b'\n'] | [b'\r', b'\n', b'\r'], SingleCrlf::Wait) => {
                        return Ok(None);
                    }
                    ([b'\r', b'\n', ..], _) => return Ok(self.keepalive(2, Frame::Pong)),
                    _ => self.state = State::Head { scanned: 0 },
                },
                // A handshake (0x16) or an alert (0x15) of any version since SSL 3 (RFC 8446 §5.1).
                State::Head { .. } if matches!(*self.buffer, [0x15 | 0x16, 3, ..]) => {
                    return Err(FramingError::Tls);
                }
                State::Head { .. } if is_greeting(&self.buffer) => return Err(FramingError::Greeting),
                State::Head { scanned } => match self.head_end(scanned) {
                    Some(end) => self.state = State::Body { total: self.total(end)? },
                    None if self.buffer.len() >= MAX_MESSAGE => return Err(FramingError::TooLarge),
                    None => {
                        // An end may be cut in two after three of its octets.
                        self.state = State::Head { scanned: self.buffer.len().saturating_sub(3) };
                        return Ok(None);
                    }
                },
                State::Body { total } if self.buffer.len() >= total => {
                    self.state = State::Between;
                    return Ok(Some(Frame::Message(self.buffer.split_to(total).freeze())));
                }
                State::Body { .. } => return Ok(None),
                State::Lost(error) => return Err(error),
            }
        }
    }

    fn keepalive(&mut self, octets: usize, frame: Frame) -> Option<Frame> {
        self.buffer.advance(octets);
        Some(frame)
    }

    /// The end of the head, behind its empty line, looked for from `scanned` on.
    fn head_end(&self, scanned: usize) -> Option<usize> {
        let fresh = self.buffer.get(scanned..)?;
        fresh.windows(4).position(|four| four == b"\r\n\r\n").map(|at| scanned + at + 4)
    }

    /// The size in octets of the message whose head is the first `head` octets of the buffer.
    fn total(&self, head: usize) -> Result<usize, FramingError> {
        let mut lines = Lines::new(self.buffer.get(..head).unwrap_or_default());
        let mut length = Length::Absent;
        // A broken line is the parser's to report; the stream stays in step as long as the length is sound.
        let start = lines.line().unwrap_or_default();
        let mut has_via = false;
        while let Some(row) = lines.row() {
            if lines.rest.is_empty() {
                break;
            }
            let Ok(row) = row else { continue };
            if is_content_length(row.name) {
                length = length.and(row.value.octets());
            }
            has_via |= row.name.eq_ignore_ascii_case(b"Via") || row.name.eq_ignore_ascii_case(b"v");
        }
        // A message of SIP with a spoilt version still has a Via, and may have a length.
        if !has_via && is_http(start) {
            return Err(FramingError::Http);
        }
        let body = match length {
            Length::Octets(octets) => octets,
            Length::Absent => return Err(FramingError::NoLength),
            Length::Malformed => return Err(FramingError::BadLength),
            Length::Contradictory => return Err(FramingError::Contradictory),
        };
        usize::try_from(body)
            .ok()
            .and_then(|body| body.checked_add(head))
            .filter(|&total| total <= MAX_MESSAGE)
            .ok_or(FramingError::TooLarge)
    }
}

/// Whether a start line is that of an answer or a request of HTTP (RFC 9112 §3, §4).
fn is_http(start: &[u8]) -> bool {
    start.starts_with(b"HTTP/1.") || start.ends_with(b" HTTP/1.1") || start.ends_with(b" HTTP/1.0")
}

/// Whether these octets begin with the greeting of a server that speaks first, its line complete (RFC 4253 §4.2, RFC 5321
/// §4.3, RFC 1939 §4, RFC 3501 §7.1). A method of SIP may begin so, too (RFC 3261 §25.1, `token`), behind which the line names
/// SIP.
fn is_greeting(octets: &[u8]) -> bool {
    const GREETINGS: [&[u8]; 5] = [b"SSH-", b"220 ", b"220-", b"+OK ", b"* OK "];
    let line = || Some(octets.get(..octets.iter().position(|octet| *octet == b'\n')?)?.trim_ascii_end());
    GREETINGS.iter().any(|greeting| octets.starts_with(greeting))
        && line().is_some_and(|line| !line.ends_with(b" SIP/2.0"))
}

impl Default for StreamFramer {
    fn default() -> StreamFramer {
        StreamFramer::new()
    }
}

/// A fault in a line of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFault {
    /// The octets end before the empty line does.
    Unterminated,
    /// CR or LF that is not part of a line end.
    BareLineEnd,
    /// NUL outside a quoted-pair.
    Nul,
    /// No colon, or no token before it.
    Name,
}

/// A header row, as it stands in the head.
pub(super) struct Row<'a> {
    /// The name as it came, without the white space before the colon.
    pub(super) name: &'a [u8],
    /// The value, unfolded and trimmed.
    pub(super) value: Value<'a>,
}

/// The value of a row: the octets that came, or, where it was folded, a copy in one line.
pub(super) enum Value<'a> {
    Plain(&'a [u8]),
    Folded(Vec<u8>),
}

impl Value<'_> {
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Value::Plain(octets) => octets,
            Value::Folded(octets) => octets,
        }
    }

    /// The value as part of `message`, from which it was read; a folded one has memory of its own.
    pub(super) fn share(self, message: &Bytes) -> Bytes {
        match self {
            Value::Plain(octets) => message.slice_ref(octets),
            Value::Folded(octets) => Bytes::from(octets),
        }
    }
}

/// The lines of a head, from the first octet of its start line.
pub(super) struct Lines<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// Starts at `message`, line ends before the start line skipped (RFC 3261 §7.5).
    pub(super) fn new(message: &'a [u8]) -> Lines<'a> {
        let mut rest = message;
        while let [b'\r', b'\n', tail @ ..] = rest {
            rest = tail;
        }
        Lines { rest }
    }

    /// The next line, without its end. After a fault the scanner stands behind the line.
    #[inline]
    pub(super) fn line(&mut self) -> Result<&'a [u8], LineFault> {
        if let Some(at) = scan::find_line_control(self.rest)
            && let (line, [b'\r', b'\n', rest @ ..]) = self.rest.split_at(at)
        {
            self.rest = rest;
            return Ok(line);
        }
        self.odd_line()
    }

    /// The next line when its first control character is not its end.
    fn odd_line(&mut self) -> Result<&'a [u8], LineFault> {
        let mut at = 0;
        while let Some(offset) = self.rest.get(at..).and_then(scan::find_line_control) {
            at += offset;
            let (line, end) = self.rest.split_at(at);
            match end {
                [b'\r', b'\n', rest @ ..] => {
                    self.rest = rest;
                    return if scan::nul_is_quoted(line) { Ok(line) } else { Err(LineFault::Nul) };
                }
                [b'\r'] => break,
                [0, ..] => at += 1,
                _ => {
                    self.skip_line();
                    return Err(LineFault::BareLineEnd);
                }
            }
        }
        self.rest = &[];
        Err(LineFault::Unterminated)
    }

    /// Goes behind the next CRLF, whatever stands before it, so that a reader who forgives can go on.
    fn skip_line(&mut self) {
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n");
        self.rest = end.and_then(|at| self.rest.get(at + 2..)).unwrap_or_default();
    }

    /// The next header row; `None` at the empty line, behind which `rest` then stands.
    ///
    /// Inlined by force: handing the row over through memory costs a thirtieth of reading a message.
    #[inline(always)]
    pub(super) fn row(&mut self) -> Option<Result<Row<'a>, LineFault>> {
        let line = match self.line() {
            Ok([]) => return None,
            Ok(line) => line,
            Err(fault) => return Some(Err(fault)),
        };
        let Some(colon) = line.iter().position(|&octet| octet == b':') else {
            return Some(Err(LineFault::Name));
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        let value = if self.continues() {
            match self.unfold(value) {
                Ok(value) => Value::Folded(value),
                Err(fault) => return Some(Err(fault)),
            }
        } else {
            Value::Plain(scan::trim(value))
        };
        match name {
            // White space before a name would be folding, and there is nothing to fold onto.
            [b' ' | b'\t', ..] => Some(Err(LineFault::Name)),
            [.., b' ' | b'\t'] => Some(Ok(Row { name: scan::trim(name), value })),
            name => Some(Ok(Row { name, value })),
        }
    }

    /// The value that begins with `first`, continuation lines joined by one space (RFC 3261 §7.3.1).
    fn unfold(&mut self, first: &[u8]) -> Result<Vec<u8>, LineFault> {
        let mut joined = scan::trim(first).to_vec();
        while self.continues() {
            let more = scan::trim(self.line()?);
            if !joined.is_empty() && !more.is_empty() {
                joined.push(b' ');
            }
            joined.extend_from_slice(more);
        }
        Ok(joined)
    }

    fn continues(&self) -> bool {
        self.rest.first().copied().is_some_and(scan::is_space)
    }
}

/// The length of the body as the Content-Length rows of a head give it (RFC 3261 §20.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// The head has no such row.
    Absent,
    /// The number of octets, on which all rows agree.
    Octets(u64),
    /// A row holds anything but digits.
    Malformed,
    /// Two rows differ (RFC 4475 §3.3.9).
    Contradictory,
}

impl Length {
    /// The length after one more row, which holds `value`.
    #[must_use]
    pub(super) fn and(self, value: &[u8]) -> Length {
        match (self, scan::number(value)) {
            (Length::Malformed, _) | (_, None) => Length::Malformed,
            (Length::Absent, Some(octets)) => Length::Octets(octets),
            (Length::Octets(known), Some(octets)) if known == octets => self,
            (Length::Octets(_) | Length::Contradictory, Some(_)) => Length::Contradictory,
        }
    }
}

/// Whether `name` is Content-Length, long or compact.
pub(super) fn is_content_length(name: &[u8]) -> bool {
    matches!(HeaderName::parse(name), Ok(HeaderName::ContentLength))
}
