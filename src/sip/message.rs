//! Requests and responses, and reading them whole (RFC 3261 §7 and §18.3). Writing is in `write`.
//!
//! Reading checks the structure: line ends, start line, header names, Content-Length, size. Header values
//! stay octets until a typed reader of [`Headers`] asks for them.

use super::framing::{Length, LineFault, Lines, MAX_MESSAGE};
use super::header::Header;
use super::headers::Headers;
use super::method::Method;
use super::name::HeaderName;
use super::scan;
use super::status::reason_phrase;
use bytes::Bytes;

/// The protocol version of a request line (RFC 3261 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// `SIP/2.0`, in any letter case.
    V2,
    /// Another `SIP/x.y`, as it came: to be answered with 505 (RFC 3261 §21.5.6).
    Other(String),
}

/// A SIP request (RFC 3261 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method: what the client asks for.
    pub method: Method,
    /// The Request-URI exactly as on the wire; digest computes over it. It may be of any scheme, or
    /// malformed.
    pub uri: String,
    /// The version of the request line.
    pub version: Version,
    /// The header rows.
    pub headers: Headers,
    /// The body, perhaps empty.
    pub body: Bytes,
}

/// A SIP response (RFC 3261 §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code, 100 to 699.
    pub status: u16,
    /// The reason phrase, for people; may be empty. Octets that are not UTF-8 have become U+FFFD.
    pub reason: String,
    /// The header rows.
    pub headers: Headers,
    /// The body, perhaps empty.
    pub body: Bytes,
}

/// A message of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request, with a request line.
    Request(Request),
    /// A response, with a status line.
    Response(Response),
}

/// Octets that are no message. A broken request may still be answerable: see [`Request::salvage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing but line ends: a keep-alive, not a message.
    #[error("no message, only line ends")]
    Empty,
    /// More than [`MAX_MESSAGE`] octets.
    #[error("larger than 65535 octets")]
    TooLarge,
    /// The start line is neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// The method is no token.
    #[error("malformed method")]
    Method,
    /// The protocol is not SIP, or a response is not of version 2.0.
    #[error("not SIP, or an unknown version in a response")]
    Version,
    /// The status code is outside 100 to 699 (RFC 4475 §3.1.2.19).
    #[error("status code outside 100 to 699")]
    Status,
    /// Text of the start line that is not UTF-8.
    #[error("start line is not UTF-8")]
    NotUtf8,
    /// A header line without a colon, or with something else than a token before it.
    #[error("malformed header name")]
    HeaderName,
    /// CR or LF inside a line.
    #[error("a CR or LF that is no line end")]
    BareLineEnd,
    /// NUL inside a line.
    #[error("a NUL in the head")]
    Nul,
    /// No empty line behind the headers.
    #[error("the empty line behind the headers is missing")]
    Unterminated,
    /// Content-Length is no number.
    #[error("Content-Length is no number")]
    ContentLength,
    /// Content-Length rows that differ.
    #[error("contradictory Content-Length rows")]
    ContradictoryLength,
    /// Fewer octets than Content-Length says (RFC 3261 §18.3); in a frame also more.
    #[error("the body is not as long as Content-Length says")]
    BodyLength,
}

impl From<LineFault> for ParseError {
    fn from(fault: LineFault) -> ParseError {
        match fault {
            LineFault::Unterminated => ParseError::Unterminated,
            LineFault::BareLineEnd => ParseError::BareLineEnd,
            LineFault::Nul => ParseError::Nul,
            LineFault::Name => ParseError::HeaderName,
        }
    }
}

/// The fate of octets behind the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surplus {
    /// A datagram may hold more than its message.
    ThrownAway,
    /// As in a datagram, where an empty Content-Length says nothing.
    Forgiven,
    /// A frame holds nothing but its message.
    Refused,
}

impl Message {
    /// Reads a datagram (RFC 3261 §18.3): octets behind the body are thrown away, without Content-Length the
    /// body runs to the end. A WebSocket message (RFC 7118 §5) is read the same way.
    ///
    /// A response may lack the empty line behind its headers, when nothing stands behind them anyway, and an empty
    /// Content-Length of its counts as none: that it is whole, the datagram tells.
    ///
    /// # Errors
    /// The first fault of structure. Broken header values are none.
    pub fn parse_datagram(datagram: Bytes) -> Result<Message, ParseError> {
        match parse(&datagram, Surplus::ThrownAway) {
            Err(fault @ (ParseError::Unterminated | ParseError::ContentLength)) => forgive(&datagram, fault),
            parsed => parsed,
        }
    }

    /// Reads exactly one message, as [`StreamFramer`](super::StreamFramer) cuts it.
    ///
    /// # Errors
    /// Those of [`Message::parse_datagram`], and octets behind the body.
    pub fn parse_framed(frame: Bytes) -> Result<Message, ParseError> {
        parse(&frame, Surplus::Refused)
    }

    /// The header rows.
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }
}

fn parse(message: &Bytes, surplus: Surplus) -> Result<Message, ParseError> {
    if message.len() > MAX_MESSAGE {
        return Err(ParseError::TooLarge);
    }
    let mut lines = Lines::new(message);
    if lines.rest.is_empty() {
        return Err(ParseError::Empty);
    }
    let start = Start::parse(lines.line()?)?;
    let mut headers = Headers::with_capacity(16);
    let mut length = Length::Absent;
    while let Some(row) = lines.row() {
        let row = row?;
        let name = HeaderName::parse(row.name).map_err(|_| ParseError::HeaderName)?;
        if matches!(name, HeaderName::ContentLength)
            && !(surplus == Surplus::Forgiven && row.value.octets().is_empty())
        {
            length = length.and(row.value.octets());
        }
        headers.push(Header::checked(name, row.value.share(message)));
    }
    let body = match length {
        Length::Absent => lines.rest,
        Length::Octets(octets) => {
            let (body, rest) = usize::try_from(octets)
                .ok()
                .and_then(|octets| lines.rest.split_at_checked(octets))
                .ok_or(ParseError::BodyLength)?;
            if surplus == Surplus::Refused && !rest.is_empty() {
                return Err(ParseError::BodyLength);
            }
            body
        }
        Length::Malformed => return Err(ParseError::ContentLength),
        Length::Contradictory => return Err(ParseError::ContradictoryLength),
    };
    Ok(start.with(headers, message.slice_ref(body)))
}

/// Reads a response in a datagram once more, as what its sender must have meant.
#[cold]
fn forgive(datagram: &Bytes, fault: ParseError) -> Result<Message, ParseError> {
    let is_response =
        |octets: &[u8]| octets.first_chunk::<4>().is_some_and(|four| four.eq_ignore_ascii_case(b"SIP/"));
    if !is_response(Lines::new(datagram).rest) {
        return Err(fault);
    }
    let mut whole = datagram.clone();
    if fault == ParseError::Unterminated {
        let missing: &[u8] = match &**datagram {
            [.., b'\r', b'\n', b'\r'] => b"\n",
            [.., b'\r', b'\n'] => b"\r\n",
            [.., b'\r'] => b"\n\r\n",
            _ => b"\r\n\r\n",
        };
        whole = [datagram, missing].concat().into();
    }
    parse(&whole, Surplus::Forgiven).map_err(|_| fault)
}

fn split_at_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|&octet| octet == b' ')?;
    let (before, after) = line.split_at(space);
    Some((before, after.get(1..)?))
}

enum Start {
    Request(Method, String, Version),
    Response(u16, String),
}

impl Start {
    fn parse(line: &[u8]) -> Result<Start, ParseError> {
        if line.first_chunk::<4>().is_some_and(|four| four.eq_ignore_ascii_case(b"SIP/")) {
            return Start::status_line(line);
        }
        let (method, rest) = split_at_space(line).ok_or(ParseError::StartLine)?;
        let (uri, version) = split_at_space(rest).ok_or(ParseError::StartLine)?;
        if uri.is_empty() || version.contains(&b' ') {
            return Err(ParseError::StartLine);
        }
        let method = Method::parse(method).map_err(|_| ParseError::Method)?;
        let version = Version::parse(version)?;
        let uri = scan::text(uri).map_err(|_| ParseError::NotUtf8)?;
        Ok(Start::Request(method, uri.to_owned(), version))
    }

    /// `SIP/2.0 code reason`; a missing space before an empty reason is forgiven (RFC 4475 §3.1.1.13).
    fn status_line(line: &[u8]) -> Result<Start, ParseError> {
        let mut parts = line.splitn(3, |&octet| octet == b' ');
        let (Some(version), Some(code)) = (parts.next(), parts.next()) else {
            return Err(ParseError::StartLine);
        };
        if Version::parse(version)? != Version::V2 {
            return Err(ParseError::Version);
        }
        let code = scan::number(code).ok_or(ParseError::StartLine)?;
        let status = u16::try_from(code).ok().filter(|code| (100..=699).contains(code));
        let reason = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        Ok(Start::Response(status.ok_or(ParseError::Status)?, reason))
    }

    fn with(self, headers: Headers, body: Bytes) -> Message {
        match self {
            Start::Request(method, uri, version) => {
                Message::Request(Request { method, uri, version, headers, body })
            }
            Start::Response(status, reason) => Message::Response(Response { status, reason, headers, body }),
        }
    }
}

impl Version {
    fn parse(text: &[u8]) -> Result<Version, ParseError> {
        if text.eq_ignore_ascii_case(b"SIP/2.0") {
            return Ok(Version::V2);
        }
        let is_sip = text.first_chunk::<4>().is_some_and(|four| four.eq_ignore_ascii_case(b"SIP/"));
        let mut numbers = text.get(4..).unwrap_or_default().split(|&octet| octet == b'.');
        let mut digits = || numbers.next().is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
        if !(is_sip && digits() && digits() && numbers.next().is_none()) {
            return Err(ParseError::Version);
        }
        Ok(Version::Other(scan::text(text).map_err(|_| ParseError::NotUtf8)?.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Version::V2 => "SIP/2.0",
            Version::Other(text) => text,
        }
    }
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, uri: impl Into<String>) -> Request {
        Request { method, uri: uri.into(), version: Version::V2, headers: Headers::new(), body: Bytes::new() }
    }

    /// The readable part of a request that [`Message::parse_datagram`] refused, for answering it with 400 or
    /// 505 (RFC 3261 §21.4.1, §18.3): its method and the rows that are whole. Broken lines are left out, the
    /// body is empty, the Request-URI is whatever stood there. `None` for anything that is no request line,
    /// and for ACK, which has no answer.
    pub fn salvage(octets: &Bytes) -> Option<Request> {
        let octets = octets.slice(..octets.len().min(MAX_MESSAGE));
        let mut lines = Lines::new(&octets);
        let line = scan::trim(lines.line().ok()?);
        let first = line.iter().position(|&octet| octet == b' ')?;
        let last = line.iter().rposition(|&octet| octet == b' ')?;
        let method = Method::parse(line.get(..first)?).ok()?;
        let version = Version::parse(line.get(last + 1..)?).ok()?;
        if method == Method::Ack {
            return None;
        }
        let uri = String::from_utf8_lossy(scan::trim(line.get(first..last)?)).into_owned();
        let mut headers = Headers::new();
        while !lines.rest.is_empty()
            && let Some(row) = lines.row()
        {
            if let Ok(row) = row
                && let Ok(name) = HeaderName::parse(row.name)
            {
                headers.push(Header::checked(name, row.value.share(&octets)));
            }
        }
        Some(Request { method, uri, version, headers, body: Bytes::new() })
    }
}

impl Response {
    /// A response with the usual reason phrase, without headers and body.
    pub fn new(status: u16) -> Response {
        let reason = reason_phrase(status).to_owned();
        Response { status, reason, headers: Headers::new(), body: Bytes::new() }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Message {
        Message::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Message {
        Message::Response(response)
    }
}
