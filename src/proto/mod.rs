//! The protocol as sans-IO state machines: one event in, all its actions out, time and randomness as arguments.
//!
//! Reading order: [`time`], [`ids`] and `timers`; then the layers of RFC 3261 §5, each on those before: `flow` (§18),
//! [`transaction`] (§17), and the users of transactions, [`client`] for the device that registers, [`registrar`] and
//! [`proxy`] for the server, with what every server does in [`uas`], whom it sees behind a `nat`, and the other servers that it
//! shares a location service with ([`node`]). [`locate`]
//! (RFC 3263), [`digest`] (RFC 7616, RFC 8760) and [`binding`] (RFC 3261 §10.3) are leaf machines that return values.
//! [`check`] goes the whole way that a call depends on, and measures it. [`endpoint`] owns them all and hands each event to the layer it is for.
//!
//! Nothing in here opens a socket, reads a clock or draws a random number: the driver does (`crate::net`).

pub mod binding;
pub mod check;
pub mod client;
mod context;
pub mod digest;
pub mod endpoint;
mod flow;
pub mod identity;
pub mod ids;
pub mod locate;
mod names;
mod nat;
pub mod node;
pub mod proxy;
pub mod registrar;
pub mod stun;
pub mod time;
mod timers;
pub mod transaction;
mod transport;
pub mod uas;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::sip::{NameAddr, ParseError, Problem};

pub use endpoint::{Drain, Endpoint};
pub use flow::SentBy;
pub use node::NodeId;
pub use time::Time;
pub use timers::{
    CheckTimer, ClientTimer, FlowTimer, ProxyTimer, RegistrarTimer, TimerKey, Timing, TransactionTimer,
};
pub use transport::{Destination, Profile, Transport, in_zone};

/// Names one UDP socket, one connection, or one listener. It is never used twice. The core makes it up in
/// [`Action::Open`] and [`Action::Listen`], counting from 1; the driver does for connections that come in, counting from
/// [`FlowId::ACCEPTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

impl FlowId {
    /// The first of those that the driver makes up.
    pub const ACCEPTED: FlowId = FlowId(1 << 63);

    /// A connection that an earlier process had: it is never open.
    pub const GONE: FlowId = FlowId(u64::MAX);
}

/// Names one question to the location service, so that its answer finds who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Names one question to the name service, so that its answer finds who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// Names one request that a proxy forwards, with all that comes of it (RFC 3261 §16: a response context).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u64);

/// Names one registration of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(pub u64);

/// What happened outside. The driver hands each to [`Endpoint::handle`] with the current time.
#[derive(Debug)]
pub enum Event {
    /// The user wants something.
    Command(Command),
    /// The flow is usable. `local` is the address others see in our Via and Contact: never a wildcard.
    Opened {
        /// As in [`Action::Open`].
        flow: FlowId,
        /// Where we send from.
        local: SocketAddr,
    },
    /// A connection came in.
    Accepted {
        /// Where: a flow of [`Action::Listen`].
        listener: FlowId,
        /// The name of the connection.
        flow: FlowId,
        /// Our address on the connection.
        local: SocketAddr,
        /// The address of whoever connected.
        remote: SocketAddr,
    },
    /// The TLS session of a connection, or of one that is about to fail. Comes after [`Event::Accepted`], and before
    /// [`Event::Opened`] or [`Event::Failed`].
    Secured {
        /// The connection.
        flow: FlowId,
        /// What is known of the other end.
        session: Arc<identity::TlsSession>,
    },
    /// The server of a WebSocket wants a password before it opens one (RFC 7118 §7). Answer: [`Action::Authorize`].
    Challenged {
        /// As in [`Action::Open`].
        flow: FlowId,
        /// The path and query that are asked for: the URI of the digest.
        path: String,
        /// The values of its WWW-Authenticate headers, in their order.
        challenges: Vec<String>,
    },
    /// What the server of a WebSocket says of its end. Comes before [`Event::Closed`] or [`Event::Failed`].
    LastWords {
        /// The connection.
        flow: FlowId,
        /// What it says.
        words: identity::LastWords,
    },
    /// A connection that came in at a listener ended before it was usable: in the TLS handshake, or in that of a WebSocket.
    HandshakeFailed {
        /// A flow of [`Action::Listen`].
        listener: FlowId,
        /// Who connected.
        remote: SocketAddr,
        /// What went wrong.
        cause: Cause,
    },
    /// The other side closed the connection.
    Closed {
        /// The connection that is gone.
        flow: FlowId,
    },
    /// The flow could not be opened, broke, or (UDP) the network reported a datagram to `peer` as undeliverable.
    Failed {
        /// The flow that it is about.
        flow: FlowId,
        /// Whom it was for; the remote end for connections.
        peer: SocketAddr,
        /// What the network said.
        cause: Cause,
    },
    /// A datagram, or octets of a stream in whatever pieces.
    Received {
        /// Where it came in.
        flow: FlowId,
        /// Who sent it.
        peer: SocketAddr,
        /// The octets, as they were on the wire.
        bytes: Bytes,
    },
    /// The name service answered.
    Resolved {
        /// As in [`Action::Resolve`].
        query: QueryId,
        /// What it said.
        answer: DnsAnswer,
        /// How long that is good, in seconds: the least of its records, CNAMEs included.
        ttl: u32,
    },
    /// The location service answered.
    Stored {
        /// As in [`Action::Store`].
        ask: AskId,
        /// What it did, or why it did nothing.
        answer: Result<binding::Stored, binding::StoreFailure>,
    },
    /// The location service knows of another node, or misses one.
    Node {
        /// Which.
        id: NodeId,
        /// Where it is; `None`: it is no more, or does not say where.
        peer: Option<Box<node::Peer>>,
    },
    /// The system's choice of a source address.
    SourceFound {
        /// As in [`Action::FindSource`].
        peer: IpAddr,
        /// Our address on the way there; `None`: there is no way.
        local: Option<IpAddr>,
    },
    /// An address, a route or an interface has changed.
    NetworkChanged {
        /// The flows that would be opened from elsewhere now.
        moved: Vec<FlowId>,
    },
    /// The time of [`Endpoint::next_timeout`] has come. Fires all that is due, in the order of (time, key).
    Timeout,
}

/// What a user can ask an endpoint to do.
#[derive(Debug)]
pub enum Command {
    /// Carry the plan out once. The answer is one [`Notice::Finished`] under the same id.
    Register {
        /// Chosen by the caller; must not be in use.
        registration: RegistrationId,
        /// What is wanted.
        plan: Box<client::plan::Plan>,
    },
    /// Answers [`Notice::PasswordWanted`]; `None` means that nobody can or wants to tell.
    Password {
        /// Which registration asked.
        registration: RegistrationId,
        /// The password as typed.
        password: Option<digest::Hidden>,
    },
    /// The time for the whole command is over: finish with what is known now.
    GiveUp {
        /// The registration that it is about.
        registration: RegistrationId,
    },
    /// Bind, and keep bound until [`Command::StopKeeping`]. What happens is told by [`Notice::Account`].
    Keep {
        /// As in [`Command::Register`].
        registration: RegistrationId,
        /// As in [`Command::Register`].
        plan: Box<client::plan::Plan>,
        /// When the first try is due, from now: accounts that start together do better not to ask together.
        delay: std::time::Duration,
        /// How often an account that failed for good is tried again; `None`: never.
        probe: Option<std::time::Duration>,
    },
    /// Keep it bound by this plan from the next try on: of the same AOR at the same registrar.
    Revise {
        /// The registration that it is about.
        registration: RegistrationId,
        /// What is wanted from now on.
        plan: Box<client::plan::Plan>,
    },
    /// Look at the whole way that a call to an account depends on. What is found is told by [`Notice::Check`]. One at a time.
    Check(Box<check::CheckPlan>),
    /// End the check: what it has bound is removed, within four seconds.
    StopCheck,
    /// How those are answered who call.
    Answer(client::device::Device),
    /// Register again now what is kept bound, all or one.
    Refresh(Option<RegistrationId>),
    /// Remove what is kept bound within four seconds, all or one.
    StopKeeping(Option<RegistrationId>),
    /// Run a registrar until [`Command::StopServing`]. Once per endpoint.
    Serve(Box<registrar::service::Service>),
    /// The users changed: those of the requests that come from now on.
    Users(Box<digest::Users>),
    /// Answer what has come and no more; [`Stopped`](registrar::service::ServerEvent::Stopped) tells the end.
    StopServing,
}

/// What the core wants done. The driver carries out each, in order, without waiting for its end.
#[derive(Debug)]
pub enum Action {
    /// Bind a UDP socket suited to reach the destination, or connect to it. Answer: [`Event::Opened`] or
    /// [`Event::Failed`].
    Open {
        /// The name of the new flow.
        flow: FlowId,
        /// Where the flow is to lead.
        destination: Destination,
    },
    /// Bind a UDP socket, or listen for connections, at exactly this address; port 0 lets the system choose. Answer:
    /// [`Event::Opened`] or [`Event::Failed`]; a wildcard address is `local` as it is.
    Listen {
        /// The name of the new flow.
        flow: FlowId,
        /// The transport in use there.
        transport: Transport,
        /// The address to bind, exactly.
        address: SocketAddr,
    },
    /// Find out which of our addresses the system would send from to that one. Answer: [`Event::SourceFound`].
    FindSource {
        /// Whom a message is for.
        peer: IpAddr,
    },
    /// Ask the location service. Answer: [`Event::Stored`].
    Store {
        /// Goes back in the answer.
        ask: AskId,
        /// What to do.
        operation: binding::Operation,
    },
    /// Tell other nodes by the location service where this one is, from now on.
    Present(node::Presence),
    /// Close it. No event follows; later events of this flow are ignored.
    Close {
        /// The flow that it is about.
        flow: FlowId,
    },
    /// Send exactly these octets.
    Transmit {
        /// On which flow.
        flow: FlowId,
        /// To whom (UDP); the remote end for connections.
        peer: SocketAddr,
        /// One whole message.
        bytes: Bytes,
    },
    /// Ask for the WebSocket once more, with this Authorization; without one it has failed, and the flow ends with
    /// [`Event::Failed`].
    Authorize {
        /// The flow of [`Event::Challenged`].
        flow: FlowId,
        /// The value of the Authorization header.
        authorization: Option<String>,
    },
    /// Ask the name service. Answer: [`Event::Resolved`].
    Resolve {
        /// Goes back in the answer.
        query: QueryId,
        /// What to ask.
        question: Question,
    },
    /// Keep this before anything that follows is carried out: should the process end in the middle, the next one must
    /// neither repeat a CSeq nor forget a binding. Comes with plans that have a [`client::plan::Resume`].
    Checkpoint(Checkpoint),
    /// Tell the user.
    Notify(Notice),
}

/// What the request that is about to leave will have made true.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The registration that it belongs to.
    pub registration: RegistrationId,
    /// Its Call-ID.
    pub call_id: String,
    /// Its CSeq number.
    pub cseq: u32,
    /// Where it is sent from.
    pub local: SocketAddr,
    /// The contacts it asks to be bound; removed ones are not among them.
    pub contacts: Vec<NameAddr>,
}

/// A question to the name service. One record type each, so that NAPTR and SRV fit beside them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// IPv4 addresses of a host.
    A(String),
    /// IPv6 addresses of a host.
    Aaaa(String),
    /// Servers of a service (RFC 2782): `_sip._udp.munich.de`.
    Srv(String),
    /// Services of a domain (RFC 3403, RFC 3263 §4.1).
    Naptr(String),
}

/// What the name service said. An empty list means: the name exists and has no such record.
pub type DnsAnswer = Result<Vec<Record>, ResolveError>;

/// A record of the name service, of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A server of a service.
    Srv(Srv),
    /// A service of a domain.
    Naptr(Naptr),
}

/// A server of a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// The lowest is tried first.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// Where it listens.
    pub port: u16,
    /// The name of the server, without a dot at its end; empty: the service is not offered.
    pub target: String,
}

/// A service of a domain (RFC 3403 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// The lowest is taken first; others only if that leads nowhere.
    pub order: u16,
    /// The lowest is tried first among those of the same order.
    pub preference: u16,
    /// What the replacement is: `s` for a name with SRV records, in any case.
    pub flags: String,
    /// The service: `SIP+D2U`, in any case.
    pub service: String,
    /// The name to ask for next, without a dot at its end.
    pub replacement: String,
}

impl Question {
    /// The record type and the name.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Question::A(name) => ("A", name),
            Question::Aaaa(name) => ("AAAA", name),
            Question::Srv(name) => ("SRV", name),
            Question::Naptr(name) => ("NAPTR", name),
        }
    }
}

impl Record {
    /// The address that the record holds, if it is of such a type.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Record::A(address) => Some((*address).into()),
            Record::Aaaa(address) => Some((*address).into()),
            Record::Srv(_) | Record::Naptr(_) => None,
        }
    }
}

impl From<IpAddr> for Record {
    fn from(address: IpAddr) -> Record {
        match address {
            IpAddr::V4(address) => Record::A(address),
            IpAddr::V6(address) => Record::Aaaa(address),
        }
    }
}

/// What one name server said to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The question.
    pub question: Question,
    /// Who was asked; `None`: the answer was known without any name server, from the hosts file for one.
    pub server: Option<SocketAddr>,
    /// The answer, or what stands for it: silence, or a failure.
    pub answer: DnsAnswer,
}

/// Why the name service gave no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// NXDOMAIN: there is no such name.
    #[error("no such name")]
    NoSuchName,
    /// The name server answered with a failure (SERVFAIL, REFUSED, garbage).
    #[error("the name server failed")]
    ServerFailed,
    /// No name server answered in time.
    #[error("the name server did not answer")]
    TimedOut,
}

/// Why a flow failed, as the network tells it (RFC 3261 §18.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// TCP RST on connecting, or ICMP port unreachable: nobody listens there.
    #[error("connection refused")]
    Refused,
    /// ICMP host or network unreachable, or no route.
    #[error("network unreachable")]
    Unreachable,
    /// ICMP protocol unreachable: the host does not speak this transport.
    #[error("transport not supported there")]
    ProtocolUnreachable,
    /// The operating system gave up connecting.
    #[error("connecting timed out")]
    TimedOut,
    /// The other side reset the connection.
    #[error("connection reset")]
    Reset,
    /// The message is too large for one datagram.
    #[error("message too large for a datagram")]
    TooLarge,
    /// The local address to send from is not ours or is in use.
    #[error("local address not available")]
    LocalAddress,
    /// The operating system forbade it (a firewall rule, a sandbox).
    #[error("not permitted")]
    Denied,
    /// This process has as many files open as it may, or there is no memory for a socket.
    #[error("too many open files, or no memory for a socket")]
    Exhausted,
    /// The TLS handshake found something wrong.
    #[error("{0}")]
    Untrusted(identity::Untrusted),
    /// The handshake of a WebSocket failed.
    #[error("{0}")]
    Upgrade(identity::UpgradeFault),
    /// A WebSocket that was open was worn out, or its rules were broken.
    #[error("{0}")]
    WebSocket(identity::WebSocketFault),
    /// Keep-alives have shown that the flow leads nowhere any more.
    #[error("{0}")]
    Keepalive(KeepaliveFault),
    /// Whatever has no word of its own here.
    #[error("{0}")]
    Other(std::io::ErrorKind),
}

/// What keep-alives have shown of a flow (RFC 5626 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepaliveFault {
    /// They were answered before, or their answer is owed, and there is none.
    #[error("keep-alives are not answered any more")]
    Unanswered,
    /// What stands between has given us another address.
    #[error("keep-alives come from another address than before")]
    Remapped,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The message went from us to them.
    Sent,
    /// From us, the same octets once more (RFC 3261 §17.1.2.2, Timer E).
    SentAgain,
    /// The message came from them to us.
    Received,
}

/// Why something that arrived was not used. Nothing of this changes any state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It is no SIP message that can be understood (RFC 3261 §18.3).
    #[error("not a SIP message")]
    Malformed,
    /// A response that belongs to no transaction (RFC 3261 §18.1.2): a late copy, or not for us.
    #[error("belongs to no transaction")]
    Stray,
    /// The branch is ours, but Call-ID, From tag, CSeq number or sent-by is not.
    #[error("does not fit the request it claims to answer")]
    Forged,
    /// More than one Via in a response: it was routed to us by mistake (RFC 3261 §8.1.3.3).
    #[error("has more than one Via")]
    Misrouted,
    /// A request; one-shot commands serve none.
    #[error("is a request")]
    Request,
    /// A message that announced more octets than it brought before the time for it was over.
    #[error("was never completed")]
    Incomplete,
}

/// What keeps an answer that came from being used, in words that say what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// It is no SIP message that can be understood (RFC 3261 §18.3).
    #[error("{0}")]
    Unreadable(ParseError),
    /// Its topmost Via can't be read.
    #[error("Via {0}")]
    Via(Problem),
    /// Its CSeq can't be read.
    #[error("CSeq {0}")]
    CSeq(Problem),
    /// No request of ours has the branch of its Via (RFC 3261 §17.1.3).
    #[error("the branch in Via is not ours")]
    Branch,
    /// Its Via names another sender (RFC 3261 §18.1.2).
    #[error("the host or port in Via is not ours")]
    SentBy,
    /// More than one Via: it was routed to us by mistake (RFC 3261 §8.1.3.3). Or none but ours, in the answer to a request
    /// that a server forwarded.
    #[error("there is more than one Via")]
    Vias,
    /// Its Call-ID is another.
    #[error("the Call-ID is not ours")]
    CallId,
    /// Its From tag is another.
    #[error("the tag in From is not ours")]
    FromTag,
    /// The number in its CSeq is another.
    #[error("the number in CSeq is not ours")]
    Number,
    /// The method in its CSeq is another (RFC 3261 §17.1.3).
    #[error("the method in CSeq is not ours")]
    Method,
    /// It announced more octets than it brought.
    #[error("the message is not complete")]
    Incomplete,
}

impl From<AnswerFault> for Dropped {
    fn from(fault: AnswerFault) -> Dropped {
        match fault {
            AnswerFault::Unreadable(_) | AnswerFault::Via(_) | AnswerFault::CSeq(_) => Dropped::Malformed,
            AnswerFault::Branch | AnswerFault::Method => Dropped::Stray,
            AnswerFault::Vias => Dropped::Misrouted,
            AnswerFault::SentBy | AnswerFault::CallId | AnswerFault::FromTag | AnswerFault::Number => {
                Dropped::Forged
            }
            AnswerFault::Incomplete => Dropped::Incomplete,
        }
    }
}

/// What the user is told.
#[derive(Debug)]
pub enum Notice {
    /// A message passed, as it was on the wire.
    Message {
        /// The way that the message went.
        direction: Direction,
        /// The transport in use there.
        transport: Transport,
        /// Our address on the flow.
        local: SocketAddr,
        /// The address of the other side.
        remote: SocketAddr,
        /// The octets, as they were on the wire.
        bytes: Bytes,
    },
    /// A name server was asked.
    Lookup(Lookup),
    /// Something that arrived was not used.
    Dropped {
        /// Who sent it.
        peer: SocketAddr,
        /// What kept it from being used.
        reason: Dropped,
    },
    /// A password is needed and the plan allows to ask. Answer: [`Command::Password`].
    PasswordWanted {
        /// Goes back in the answer.
        registration: RegistrationId,
        /// The user whose password is asked for.
        username: String,
        /// What for (RFC 3261 §22.1: the user is shown the realm).
        realm: String,
        /// Who asks: the host of the Request-URI.
        host: String,
    },
    /// This try failed; another follows.
    Retrying {
        /// The registration that it is about.
        registration: RegistrationId,
        /// How the try ended.
        failure: client::outcome::Failure,
        /// Answers to its last request that could not be used.
        unusable: client::outcome::Unusable,
        /// The time until the next try begins.
        wait: std::time::Duration,
    },
    /// The registration is over.
    Finished(Box<client::outcome::Report>),
    /// Something happened to an account that is kept bound.
    Account {
        /// The registration that keeps it bound.
        registration: RegistrationId,
        /// What happened to it.
        what: client::schedule::AccountEvent,
    },
    /// A check has measured something.
    Check(Box<check::Measured>),
    /// The registrar has something to tell.
    Server(registrar::service::ServerEvent),
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flow {}", self.0)
    }
}
