//! What came of a registration: a [`Report`] is complete, so that a printed line, a JSON object and an exit
//! status can be made of it without asking anybody again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Purpose;
pub use crate::proto::digest::{Answered, CredentialsFailure, Skipped, WhySkipped};
use crate::proto::locate::Transport;
use crate::proto::{Cause, RegistrationId, ResolveError, Time};
use crate::sip::{AnyUri, Host, NameAddr, Q, Uri};

/// The end of one [`super::plan::Plan`].
#[derive(Debug)]
pub struct Report {
    /// The id that the command gave it.
    pub registration: RegistrationId,
    /// What the registrar was asked for.
    pub purpose: Purpose,
    /// The bindings that it confirmed, or why it did not.
    pub result: Result<Success, Failure>,
    /// The last final response: status and reason phrase.
    pub response: Option<(u16, String)>,
    /// The Request-URI of the last request.
    pub request_uri: Arc<Uri>,
    /// The domain of the AOR, where the Request-URI names an address in its place because the user said so; `None` where it
    /// names the domain, or where a redirect led.
    pub domain: Option<Host>,
    /// Where the last request went.
    pub hop: Option<Hop>,
    /// Challenges that were answered in the last request, in the order of its headers.
    pub auth: Vec<Answered>,
    /// The address the other side saw (Via `received` and `rport`), where it differs from [`Hop::local`].
    pub received: Option<SocketAddr>,
    /// The Call-ID of all requests.
    pub call_id: Arc<str>,
    /// The CSeq number of the last request; 0 when none was sent.
    pub cseq: u32,
    /// Requests sent, retransmissions not counted.
    pub requests: u32,
    /// Datagrams sent once more by Timer E.
    pub retransmissions: u32,
    /// When the last request was first sent. Granted lifetimes count from here (RFC 3261 §20.19).
    pub sent: Option<Time>,
    /// From the command to the outcome.
    pub elapsed: Duration,
    /// From the first sending of the last request to its final answer; `None` while it has none.
    pub round_trip: Option<Duration>,
    /// One per destination, in the order they were tried; names that could not be resolved are in here too.
    pub attempts: Vec<Attempt>,
    /// A request of it may have taken effect: a 2xx came, whatever it says, or nobody knows what became of one.
    pub took_effect: bool,
    /// Oddities that are no failure.
    pub warnings: Vec<Warning>,
}

/// The two ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The transport between them.
    pub transport: Transport,
    /// The other side's address.
    pub remote: SocketAddr,
    /// Our address on the flow.
    pub local: SocketAddr,
}

/// A confirmed 2xx.
#[derive(Debug)]
pub struct Success {
    /// What the asked contacts got, in the order they were asked for; removed ones have 0 seconds.
    pub contacts: Vec<Granted>,
    /// Every binding of the 2xx that could be read.
    pub bindings: Vec<Listed>,
    /// Service-Route in order (RFC 3608).
    pub service_route: Vec<NameAddr>,
    /// Path values in order (RFC 3327).
    pub path: Vec<NameAddr>,
}

/// What the registrar says of one asked contact.
#[derive(Debug)]
pub struct Granted {
    /// The URI as the registrar lists it (as asked when it was removed).
    pub uri: AnyUri,
    /// Seconds from [`Report::sent`].
    pub expires: u32,
}

/// One binding as the registrar lists it.
#[derive(Debug)]
pub struct Listed {
    /// URI, display name and all Contact parameters.
    pub contact: NameAddr,
    /// Seconds: its own parameter, else the Expires header of the response (RFC 3261 §10.2.4).
    pub expires: u32,
    /// Its preference, if it says one.
    pub q: Option<Q>,
    /// It is one of the contacts that were asked for.
    pub own: bool,
}

/// One destination that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The transport; `None` when locating failed before one was chosen.
    pub transport: Option<Transport>,
    /// The address; the name when it could not be resolved.
    pub remote: Remote,
    /// How the destination answered.
    pub result: AttemptResult,
}

/// The far end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The address that was tried.
    Address(SocketAddr),
    /// A name that has no address.
    Name(String),
}

/// How one destination answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// A final response.
    Status(u16),
    /// No final response in time.
    Timeout,
    /// The network refused.
    Failed(Cause),
    /// The connection ended without an answer, or its framing was lost.
    Closed,
    /// The name service gave no address.
    Dns(ResolveError),
}

/// Why a registration failed, sorted by whose doing it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The registrar said no.
    Refused(Refusal),
    /// Credentials are missing or were not accepted.
    Credentials(CredentialsFailure),
    /// No final answer in time.
    Timeout,
    /// Nobody could be reached.
    Unreachable(Unreachable),
    /// The registrar broke the protocol.
    Misbehaved(Misbehaviour),
}

/// A final response that ends a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A status that says all there is.
    Status(u16),
    /// 503 or another status with Retry-After, in seconds.
    RetryAfter {
        /// The status of the response.
        status: u16,
        /// The seconds it wants to be left alone.
        seconds: u32,
    },
    /// 423 whose Min-Expires is absent, useless or beyond our cap.
    TooBrief {
        /// The seconds it asked for.
        min_expires: Option<u32>,
    },
    /// 3xx without a target that can be used.
    NoTarget(u16),
    /// 420 or 421 about these option-tags.
    Extension {
        /// The status of the response.
        status: u16,
        /// The tags it names.
        tags: Vec<String>,
    },
}

impl Refusal {
    /// The status that refused.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Refusal::Status(status)
            | Refusal::RetryAfter { status, .. }
            | Refusal::NoTarget(status)
            | Refusal::Extension { status, .. } => *status,
            Refusal::TooBrief { .. } => 423,
        }
    }
}

/// Why nobody was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The name has no address.
    Name {
        /// The name asked for.
        name: String,
        /// What the name service said; `None`: it exists, without an address we may use.
        error: Option<ResolveError>,
    },
    /// The network said no.
    Network(Cause),
    /// The connection was closed without an answer.
    Closed,
}

/// How a registrar broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// 2xx without a live binding of ours.
    NotBound,
    /// 2xx, but what was to be removed is still listed.
    StillBound,
    /// Redirected to where we had been.
    RedirectLoop,
    /// More redirects than the limit allows.
    TooManyRedirects,
    /// A stream whose messages can't be told apart any more.
    Framing,
    /// `rspauth` is wrong: the server does not know the password (RFC 7616 §3.5).
    FalseServer,
}

/// An oddity of the registrar's that is no failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Granted longer than asked; the shorter one should be trusted.
    Lengthened {
        /// The seconds that were asked for.
        asked: u32,
        /// The seconds that were granted.
        granted: u32,
    },
    /// The response requires an option-tag that we never offered.
    UnknownRequire(String),
    /// The binding has no lifetime in the response; the asked one is taken.
    NoLifetime,
    /// Contact values of the response that can't be read.
    UnreadableContacts(usize),
    /// The binding was only found by looser rules than RFC 3261 §19.1.4 (transport and default port aside, or
    /// our address as the registrar saw it).
    Rewritten,
}
