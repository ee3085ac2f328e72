//! The opening handshake of a WebSocket that carries SIP (RFC 6455 §4, RFC 7118 §4.1): requests and answers as octets, nothing
//! of which is sent or read here.
//!
//! Both sides read a head of at most [`LIMIT`] octets, and see at its first line that it is none: SIP or TLS at a port for
//! WebSocket is named at once.

use std::fmt::Write as _;

use httparse::{EMPTY_HEADER, Header, Status};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::proto::identity::UpgradeFault;

/// Octets of a head that are read at most.
pub const LIMIT: usize = 16 * 1024;

/// Header fields of a head at most.
const FIELDS: usize = 64;

/// Octets of a Location at most that is told.
const LONGEST_LOCATION: usize = 512;

/// The subprotocol (RFC 7118 §4).
const SUBPROTOCOL: &str = "sip";

/// Why a server opens no WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// It does not want to, or is no such server.
    Fault(UpgradeFault),
    /// The WebSocket is elsewhere (3xx): the status, and the Location.
    Elsewhere(u16, String),
    /// It wants to know who asks (401): the values of its WWW-Authenticate fields.
    Challenged(Vec<String>),
}

/// Why a client is not served, and what it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong with its request.
    pub fault: UpgradeFault,
    /// The whole answer.
    pub answer: Vec<u8>,
}

/// A request that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The length of the request: frames follow it.
    pub length: usize,
    /// The whole answer.
    pub answer: Vec<u8>,
}

/// The request of a client. `host` has the port unless that is the default one; `path` has the query, and starts with a slash
/// if it does not; `key` is 16 random octets in base64.
#[must_use]
pub fn request(host: &str, path: &str, key: &str, authorization: Option<&str>) -> Vec<u8> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut text = format!("GET {slash}{path} HTTP/1.1\r\nHost: {host}\r\n");
    text += "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let _ = write!(text, "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n");
    let _ = write!(text, "Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n");
    if let Some(credentials) = authorization {
        let _ = write!(text, "Authorization: {credentials}\r\n");
    }
    text += "\r\n";
    text.into_bytes()
}

/// Reads the answer to a request with that key. `None`: there is more to come; else the length of its head, which frames
/// follow.
///
/// # Errors
/// No WebSocket was opened: RFC 6455 §4.1 has what an answer needs.
pub fn read_answer(octets: &[u8], key: &str) -> Result<Option<usize>, Declined> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let length = match answer.parse(octets) {
        Ok(Status::Complete(length)) if length <= LIMIT => length,
        Ok(Status::Partial) if octets.len() < LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Declined::Fault(UpgradeFault::TooLong)),
        Err(_) => return Err(Declined::Fault(UpgradeFault::NotWebSocket)),
    };
    let fields = Fields(answer.headers);
    match answer.code {
        Some(101) if answer.version == Some(1) => {}
        Some(101) | None => return Err(Declined::Fault(UpgradeFault::NotWebSocket)),
        Some(401) if fields.has("www-authenticate") => {
            return Err(Declined::Challenged(fields.texts("www-authenticate")));
        }
        Some(status) => {
            let location = fields.sole("location").filter(|text| text.len() <= LONGEST_LOCATION);
            let location = location.and_then(|text| std::str::from_utf8(text).ok());
            return Err(match location.filter(|_| (300..400).contains(&status)) {
                Some(location) => Declined::Elsewhere(status, location.to_owned()),
                None => Declined::Fault(UpgradeFault::Status(status)),
            });
        }
    }
    let accepts = fields.sole("sec-websocket-accept") == Some(derive_accept_key(key.as_bytes()).as_bytes());
    // No extension was offered.
    if !accepts || !fields.upgrades() || fields.has("sec-websocket-extensions") {
        return Err(Declined::Fault(UpgradeFault::NotWebSocket));
    }
    if fields.sole("sec-websocket-protocol") != Some(SUBPROTOCOL.as_bytes()) {
        return Err(Declined::Fault(UpgradeFault::Subprotocol));
    }
    Ok(Some(length))
}

/// Reads the request of a client. `None`: there is more to come. A page may connect whose origin is among `origins`; without
/// any, each may. Who says no origin is no page.
///
/// # Errors
/// What is no request for a WebSocket that carries SIP, with the answer: RFC 6455 §4.2.1 has what a request needs.
pub fn read_request(octets: &[u8], origins: &[String]) -> Result<Option<Welcome>, Refusal> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(octets) {
        Ok(Status::Complete(length)) if length <= LIMIT => length,
        Ok(Status::Partial) if octets.len() < LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::too_long()),
        Err(_) => return Err(Refusal::new("400 Bad Request", UpgradeFault::NotWebSocket, "")),
    };
    let (method, version, fields) = (request.method, request.version, Fields(request.headers));
    let no = |status, more| Err(Refusal::new(status, UpgradeFault::NotWebSocket, more));
    if method != Some("GET") {
        return no("405 Method Not Allowed", "Allow: GET\r\n");
    }
    if version != Some(1) || fields.sole("host").is_none() {
        return no("400 Bad Request", "");
    }
    if !fields.upgrades() {
        return no("426 Upgrade Required", "Upgrade: websocket\r\n");
    }
    if fields.sole("sec-websocket-version") != Some(b"13") {
        return no("426 Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    }
    let Some(key) = fields.sole("sec-websocket-key").filter(|key| is_key(key)) else {
        return no("400 Bad Request", "");
    };
    let is_allowed = |origin: &[u8]| origins.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(origin));
    if !origins.is_empty() && !fields.of("origin").all(is_allowed) {
        return Err(Refusal::new("403 Forbidden", UpgradeFault::Origin, ""));
    }
    if !fields.tokens("sec-websocket-protocol").any(|offered| offered == SUBPROTOCOL.as_bytes()) {
        return Err(Refusal::new("400 Bad Request", UpgradeFault::Subprotocol, ""));
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n",
        derive_accept_key(key)
    );
    Ok(Some(Welcome { length, answer: answer.into_bytes() }))
}

impl Refusal {
    /// An answer with that status line and those fields.
    fn new(status: &str, fault: UpgradeFault, fields: &str) -> Refusal {
        let body = match fault {
            UpgradeFault::Subprotocol => "The WebSocket subprotocol here is sip.\n",
            UpgradeFault::Origin => "Pages of this origin may not connect.\n",
            UpgradeFault::TooLong => "The request is too long.\n",
            UpgradeFault::NotWebSocket | UpgradeFault::Status(_) => "SIP over WebSocket is served here.\n",
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\n{fields}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        Refusal { fault, answer: answer.into_bytes() }
    }

    fn too_long() -> Refusal {
        Refusal::new("431 Request Header Fields Too Large", UpgradeFault::TooLong, "")
    }
}

/// Whether this is 16 octets in base64 (RFC 6455 §4.1).
fn is_key(text: &[u8]) -> bool {
    let is_digit = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    text.len() == 24 && text.strip_suffix(b"==").is_some_and(|digits| digits.iter().all(is_digit))
}

/// The header fields of a head.
struct Fields<'a>(&'a [Header<'a>]);

impl<'a> Fields<'a> {
    /// The values of the fields of that name, in their order.
    fn of(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii())
    }

    fn has(&self, name: &'static str) -> bool {
        self.of(name).next().is_some()
    }

    /// The value of the only field of that name.
    fn sole(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut values = self.of(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// The members of lists.
    fn tokens(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.of(name).flat_map(|value| value.split(|octet| *octet == b',')).map(<[u8]>::trim_ascii)
    }

    /// Values as texts; those that are none are left out.
    fn texts(&self, name: &'static str) -> Vec<String> {
        self.of(name).filter_map(|value| std::str::from_utf8(value).ok()).map(str::to_owned).collect()
    }

    /// Whether both ends go on with a WebSocket.
    fn upgrades(&self) -> bool {
        let says =
            |name, token: &str| self.tokens(name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()));
        says("upgrade", "websocket") && says("connection", "upgrade")
    }
}
