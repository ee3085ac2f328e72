//! What every user agent server does with a request before its method matters (RFC 3261 §8.2), how its answers are
//! made (§8.2.6), and where they go (§18.2, RFC 3581 §4).
//!
//! Life of a request: as an `Incoming` it has noted in its Via where it came from, and knows where its responses go;
//! [`Head::read`] reads what every request must have, or says what it is refused with; a [`Reply`] becomes a response
//! by [`respond`], with a transaction (`Transactions::answer`) or without (`Transactions::refuse`).

use std::borrow::Cow;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::flow::ReturnPath;
use super::transaction::{Owner, TransactionKey, Transactions};
use super::transport::Transport;
use super::{Direction, FlowId};
use crate::sip::{
    AnyUri, CSeq, FieldError, Header, HeaderName, Headers, Host, InjectionError, Method, NameAddr, Params,
    Problem, Request, Response, Scheme, Version, Via,
};

/// Methods that a request may have which is refused with 405, not with 501: those of RFC 3261 and its extensions.
fn is_known(method: &Method) -> bool {
    !matches!(method, Method::Other(_))
}

/// The domains that a server is responsible for.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    names: Vec<Host>,
    /// It listens on all addresses of the host, so that any address may be meant for it.
    all_addresses: bool,
}

impl Domains {
    /// One more domain, or address.
    pub fn add(&mut self, domain: Host) {
        if !self.serves(&domain) {
            self.names.push(domain);
        }
    }

    /// Every address: it listens on a wildcard, and does not know which are its own.
    pub fn add_all_addresses(&mut self) {
        self.all_addresses = true;
    }

    /// Whether it is one of those that were named.
    #[must_use]
    pub fn names(&self, domain: &Host) -> bool {
        self.names.contains(domain)
    }

    /// Whether the server is responsible for a domain.
    #[must_use]
    pub fn serves(&self, domain: &Host) -> bool {
        self.names(domain) || self.all_addresses && domain.ip().is_some()
    }
}

impl From<Vec<Host>> for Domains {
    fn from(names: Vec<Host>) -> Domains {
        Domains { names, all_addresses: false }
    }
}

/// What is answered, before it is made a response to a certain request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// What the reason phrase says after the usual one and a colon, if anything.
    pub detail: Option<Cow<'static, str>>,
    /// Rows besides those that every response has.
    pub rows: Vec<Header>,
}

impl Reply {
    /// With the usual reason phrase and no rows of its own.
    #[must_use]
    pub fn new(status: u16) -> Reply {
        Reply { status, detail: None, rows: Vec::new() }
    }

    /// With a reason phrase that says more than the usual one.
    #[must_use]
    pub fn because(status: u16, detail: impl Into<Cow<'static, str>>) -> Reply {
        Reply { status, detail: Some(detail.into()), rows: Vec::new() }
    }

    /// 400, with a reason that names the header (§21.4.1).
    #[must_use]
    pub fn bad(header: impl Display, problem: impl Display) -> Reply {
        Reply::because(400, format!("{header}: {problem}"))
    }

    /// And this row. A value that cannot stand in a row is left out: it came from a request, so it could.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<bytes::Bytes>) -> Reply {
        self.rows.extend(Header::new(name, value));
        self
    }
}

impl From<FieldError> for Reply {
    /// 400, with a reason that names the header (§21.4.1).
    fn from(error: FieldError) -> Reply {
        Reply::because(400, error.to_string())
    }
}

/// What every request has (§8.1.1), read.
#[derive(Clone, Debug)]
pub struct Head {
    /// Whom it is about.
    pub to: NameAddr,
    /// The tag of who sends it.
    pub from_tag: Option<String>,
    /// Its place in the order of its Call-ID.
    pub cseq: CSeq,
    /// Hops it may still take.
    pub max_forwards: Option<u8>,
    /// The Request-URI, without its brackets.
    pub uri: AnyUri,
}

impl Head {
    /// Reads the rows that every request has.
    ///
    /// # Errors
    /// The answer that the request gets instead: 505 for another version, 400 for what is missing or malformed, 416 for
    /// a Request-URI that is neither sip nor sips (§8.2.2.1).
    pub fn read(request: &Request) -> Result<Head, Reply> {
        if request.version != Version::V2 {
            return Err(Reply::new(505));
        }
        let headers = &request.headers;
        let to = headers.to()?;
        let from_tag = headers.from()?.tag().map(str::to_owned);
        headers.call_id()?;
        let cseq = headers.cseq()?;
        if cseq.method != request.method {
            return Err(Reply::bad("CSeq", "has another method than the request"));
        }
        let max_forwards = headers.max_forwards()?;
        let uri = AnyUri::parse(&request.uri).map_err(|error| Reply::bad("Request-URI", error))?;
        match &uri {
            AnyUri::Sip(_) => Ok(Head { to, from_tag, cseq, max_forwards, uri }),
            AnyUri::Other(_) => Err(Reply::new(416)),
        }
    }
}

/// A request with where it came from and where its responses go.
pub(super) struct Incoming {
    pub request: Request,
    /// The topmost Via.
    pub via: Via,
    pub peer: SocketAddr,
    pub path: ReturnPath,
    /// The topmost Via can't be read, and the request is refused: `via` is what it must have meant.
    pub fault: Option<FieldError>,
    /// Its answer counts among those that its source may have, or need not: where a server limits them.
    pub is_admitted: bool,
}

/// What a datagram can carry over IPv4, in octets.
const LARGEST: usize = 65_507;

/// How a server takes requests and answers them.
impl Transactions {
    /// Takes in a request that came on an open flow. `None`: it has no Via of SIP, and so its sender would not know the
    /// answer. One whose Via can't be read otherwise is answered where it came from.
    pub fn incoming(&self, mut request: Request, flow: FlowId, peer: SocketAddr) -> Option<Incoming> {
        let transport = self.flows.get(flow)?.transport;
        let (via, fault) = match receive(&mut request, peer) {
            Ok(via) => (via, None),
            Err(FieldError { problem: Problem::Missing | Problem::Empty | Problem::Protocol, .. }) => {
                return None;
            }
            Err(error) => (sent_by(peer, transport), Some(error)),
        };
        let port = via.port.unwrap_or(transport.default_port());
        let path = ReturnPath { flow, peer: return_address(&via, peer, transport), transport, port };
        Some(Incoming { request, via, peer, path, fault, is_admitted: false })
    }

    /// Answers and forgets: without a transaction, and with the same tag whenever the same request comes (§8.2.7). Gives
    /// the status.
    pub fn refuse(&mut self, incoming: &Incoming, reply: Reply) -> u16 {
        let tag = self.keys().tag(&incoming.request);
        let (status, bytes) = self.written(&incoming.request, reply, &tag, incoming.path.transport);
        self.flows.respond(incoming.path, bytes, Direction::Sent, &mut self.context);
        status
    }

    /// Answers in a transaction. Gives the status; `None`: it was answered before, or is no more.
    pub fn answer(&mut self, key: TransactionKey, request: &Request, reply: Reply) -> Option<u16> {
        let path = self.path(key)?;
        let tag = self.keys().tag(request);
        let (status, bytes) = self.written(request, reply, &tag, path.transport);
        self.complete(key, bytes).then_some(status)
    }

    /// Refuses an INVITE: after a 100, at which its client stops repeating it (RFC 3261 §17.2.1), with a final answer that
    /// is repeated until it is acknowledged.
    pub fn refuse_invite(&mut self, owner: Owner, key: TransactionKey, incoming: &Incoming, reply: Reply) {
        let trying = self.context.write(&respond(&incoming.request, Reply::new(100), ""));
        self.flows.respond(incoming.path, trying, Direction::Sent, &mut self.context);
        let tag = self.keys().tag(&incoming.request);
        let (_, bytes) = self.written(&incoming.request, reply, &tag, incoming.path.transport);
        self.complete_invite(owner, key, incoming.path, bytes);
    }

    /// The octets of an answer, and its status. What no datagram can carry does not arrive: the client hears that much, with
    /// 513.
    fn written(&mut self, request: &Request, reply: Reply, tag: &str, transport: Transport) -> (u16, Bytes) {
        let status = reply.status;
        let bytes = self.context.write(&respond(request, reply, tag));
        if transport.is_reliable() || bytes.len() <= LARGEST {
            return (status, bytes);
        }
        (513, self.context.write(&respond(request, Reply::new(513), tag)))
    }

    /// Tells the client of a transaction that its request is being worked on (RFC 4320 §4.1). Gives the status.
    pub fn trying(&mut self, key: TransactionKey, request: &Request) -> u16 {
        // RFC 3261 §8.2.6.2: a 100 needs no tag.
        let bytes = self.context.write(&respond(request, Reply::new(100), ""));
        self.proceed(key, bytes);
        100
    }
}

/// The answer to a method that is not served (§8.2.1): 405 with what is, or 501 for one that is not known at all.
#[must_use]
pub fn refuse_method(method: &Method, allowed: &'static str) -> Reply {
    let status = if is_known(method) { 405 } else { 501 };
    Reply::new(status).with(HeaderName::Allow, allowed)
}

/// The answer to a request that requires what is not supported (§8.2.2.3), if it does.
#[must_use]
pub fn refuse_extensions(request: &Request, supported: &[&str]) -> Option<Reply> {
    let foreign: Vec<String> = request
        .headers
        .option_tags(&HeaderName::Require)
        .into_iter()
        .filter(|tag| !supported.iter().any(|known| known.eq_ignore_ascii_case(tag)))
        .collect();
    (!foreign.is_empty()).then(|| Reply::new(420).with(HeaderName::Unsupported, foreign.join(", ")))
}

/// Notes in the topmost Via where the request came from (§18.2.1, RFC 3581 §4), and gives that Via.
///
/// # Errors
/// Without a Via that can be read there is no way back.
pub fn receive(request: &mut Request, peer: SocketAddr) -> Result<Via, FieldError> {
    let mut via = request.headers.top_via()?;
    let source = peer.ip().to_canonical();
    let asks_for_port = via.params.has("rport");
    // A peer must not say for itself where it was seen.
    let claims = via.params.remove("received");
    if !asks_for_port && !claims && via.host.ip() == Some(source) {
        return Ok(via);
    }
    via.params.set("received", Some(&source.to_string()));
    if asks_for_port {
        via.params.set("rport", Some(&peer.port().to_string()));
    }
    request.headers.set_first_value(&HeaderName::Via, &via.to_string()).map_err(injected)?;
    Ok(via)
}

/// The Via of a sender of whom no more is known than where its request came from.
fn sent_by(peer: SocketAddr, transport: Transport) -> Via {
    let (host, port) = (Host::from(peer.ip()), Some(peer.port()));
    Via { transport: transport.as_via().into(), host, port, params: Params::new() }
}

fn injected(error: InjectionError) -> FieldError {
    FieldError { header: error.header, problem: Problem::Parameter }
}

/// Where the answer of a request goes that came over UDP (§18.2.2, RFC 3581 §4): to the address it came from, at the
/// port that it came from or that its Via says. Over a connection it goes back on that.
///
/// `maddr` was made for multicast, and is obeyed where it is that or the source itself. Any other address is not: a
/// request would make this host send to whomever it names, and nobody would have to forge an address for it.
#[must_use]
pub fn return_address(via: &Via, peer: SocketAddr, transport: Transport) -> SocketAddr {
    if transport.is_reliable() {
        return peer;
    }
    let at_port = |mut address: SocketAddr| {
        address.set_port(via.port.unwrap_or(transport.default_port()));
        address
    };
    match maddr(via) {
        Some(group) if group.is_multicast() && group.is_ipv4() == peer.is_ipv4() => {
            at_port(SocketAddr::new(group, 0))
        }
        Some(source) if source.to_canonical() == peer.ip().to_canonical() => at_port(peer),
        Some(_) | None if via.params.has("rport") => peer,
        Some(_) | None => at_port(peer),
    }
}

/// The address in `maddr`, of IPv6 with or without brackets; `None` where it is a name or missing.
fn maddr(via: &Via) -> Option<IpAddr> {
    via.params.get("maddr").flatten()?.trim_matches(['[', ']']).parse().ok()
}

/// The status of a response, as it was written; 0 for anything else.
pub(super) fn status(response: &[u8]) -> u16 {
    let digits = response.get(8..11).and_then(|digits| str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// What a response has as its request has it.
const COPIED: [HeaderName; 4] = [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq];

/// Makes an answer the response to a request (§8.2.6.2): its Vias, From, To with our tag, Call-ID and CSeq, then the
/// answer's own rows. What a broken request lacks is missing in its answer, too.
#[must_use]
pub fn respond(request: &Request, answer: Reply, tag: &str) -> Response {
    let mut response = Response::new(answer.status);
    response.headers = Headers::with_capacity(COPIED.len() + 1 + answer.rows.len());
    if let Some(detail) = answer.detail {
        response.reason = format!("{}: {detail}", response.reason);
    }
    for row in &request.headers {
        let name = row.name();
        // RFC 3261 §8.2.6.1: a 100 tells how long the request has been on its way.
        let is_timed = answer.status == 100 && *name == HeaderName::Timestamp;
        if is_timed || COPIED.contains(name) {
            response.headers.push(row.clone());
        } else if *name == HeaderName::To {
            response.headers.push(tagged(row, tag));
        }
    }
    answer.rows.into_iter().for_each(|row| response.headers.push(row));
    response
}

/// The To row with our tag, unless it has one (§8.2.6.2).
fn tagged(row: &Header, tag: &str) -> Header {
    // Mostly it is no more than `<uri>`, and need not be read.
    let end = row.value().iter().position(|octet| *octet == b'>');
    let is_plain = row.value().starts_with(b"<") && end.is_some_and(|end| end + 1 == row.value().len());
    if tag.is_empty() || (!is_plain && has_tag(row)) {
        return row.clone();
    }
    let mut value = Vec::with_capacity(row.value().len() + 5 + tag.len());
    value.extend_from_slice(row.value());
    value.extend_from_slice(b";tag=");
    value.extend_from_slice(tag.as_bytes());
    Header::new(HeaderName::To, value).unwrap_or_else(|_| row.clone())
}

/// Whether a To has a tag, or nobody can tell.
fn has_tag(row: &Header) -> bool {
    let alone: Headers = [row.clone()].into_iter().collect();
    alone.to().map_or(true, |to| to.tag().is_some())
}

/// Whether a URI asks for TLS on every hop.
#[must_use]
pub fn is_secure(uri: &AnyUri) -> bool {
    uri.sip().is_some_and(|uri| uri.scheme == Scheme::Sips)
}

#[cfg(test)]
mod tests;
