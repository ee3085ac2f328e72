//! What came of a registration: a [`Report`] is complete, so that a printed line, a JSON object and an exit
//! status can be made of it without asking anybody again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::nat::Asked;
use super::plan::Purpose;
pub use crate::proto::digest::{Answered, Claimant, CredentialsFailure, Proof, Skipped, WhySkipped};
use crate::proto::identity::{LastWords, TlsSession};
use crate::proto::locate::{Origin, Transport};
use crate::proto::{AnswerFault, Cause, RegistrationId, ResolveError, Time};
use crate::sip::{AnyUri, FieldError, FramingError, Host, NameAddr, Q, Uri};

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
    /// The Date of that response, in seconds since 1970, if it has one that can be read.
    pub date: Option<u64>,
    /// What the Warning and Reason rows of that response say.
    pub remarks: Vec<String>,
    /// Credentials were asked for, whether or not that could be answered.
    pub challenged: bool,
    /// Where the last final response has no challenge that can be answered: those of it that can't be read, as they
    /// came, cut short.
    pub unreadable: Vec<String>,
    /// The Request-URI of the last request.
    pub request_uri: Arc<Uri>,
    /// The domain of the AOR, where the Request-URI names an address in its place because the user said so; `None` where it
    /// names the domain, or where a redirect led.
    pub domain: Option<Host>,
    /// Where the last request went; once it is answered, who answered.
    pub hop: Option<Hop>,
    /// The TLS session of that flow; or, where [`Report::result`] is a failure of TLS, that of the destination that failed
    /// so, as far as it came.
    pub tls: Option<Arc<TlsSession>>,
    /// What the last destination said as it closed its WebSocket, or in place of opening one.
    pub last_words: Option<LastWords>,
    /// Challenges that were answered in the last request, in the order of its headers.
    pub auth: Vec<Answered>,
    /// Who answered them.
    pub claimants: Vec<Claimant>,
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
    /// Where the registrar is from now on, as a 301 of this try said (RFC 3261 §21.3.2).
    pub moved_to: Option<Uri>,
    /// One per destination, in the order they were tried; names that could not be resolved are in here too.
    pub attempts: Vec<Attempt>,
    /// A request of it may have taken effect: a 2xx came, whatever it says, or nobody knows what became of one.
    pub took_effect: bool,
    /// The lifetime in seconds that a 423 has raised ours to.
    pub raised_to: Option<u32>,
    /// What a 2xx lists that does not confirm what was asked for.
    pub listed: Vec<NameAddr>,
    /// Oddities that are no failure.
    pub warnings: Vec<Warning>,
    /// Answers to the last request that could not be used, since the last one that could.
    pub unusable: Unusable,
}

/// Answers that came and could not be used, counted by who sent them and what was wrong with each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unusable(Vec<(SocketAddr, AnswerFault, u32)>);

/// So many senders are told apart; what others send is not counted.
const MOST_SENDERS: usize = 16;
/// So many faults are told apart, of all senders together.
const MOST_FAULTS: usize = 64;

impl Unusable {
    /// One more came.
    pub fn add(&mut self, peer: SocketAddr, fault: AnswerFault) {
        let known = self.0.iter_mut().find(|(sender, known, _)| (*sender, *known) == (peer, fault));
        if let Some((.., count)) = known {
            *count = count.saturating_add(1);
            return;
        }
        // Each sender has one entry at least.
        let is_known = self.0.iter().any(|(sender, ..)| *sender == peer);
        if self.0.len() < if is_known { MOST_FAULTS } else { MOST_SENDERS } {
            self.0.push((peer, fault, 1));
        }
    }

    /// Nothing that has come until now counts any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Who sent the most of them, how many, and what was wrong with most of those; `None` when none came.
    #[must_use]
    pub fn most(&self) -> Option<(SocketAddr, u32, AnswerFault)> {
        let of = |peer: SocketAddr| self.0.iter().filter(move |(sender, ..)| *sender == peer);
        let count = |peer: SocketAddr| of(peer).map(|(.., count)| *count).fold(0, u32::saturating_add);
        // The first of several alike.
        let peers = self.0.iter().map(|(peer, ..)| *peer).rev();
        let peer = peers.max_by_key(|peer| count(*peer))?;
        let (_, fault, _) = of(peer).rev().max_by_key(|(.., count)| *count)?;
        Some((peer, count(peer), *fault))
    }
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
    /// What it says of keep-alives, where we offered them.
    pub asked: Asked,
}

/// What the registrar says of one asked contact.
#[derive(Debug)]
pub struct Granted {
    /// The URI that was asked for.
    pub asked: AnyUri,
    /// The URI as the registrar lists it (as asked when it was removed).
    pub uri: AnyUri,
    /// Seconds from [`Report::sent`].
    pub expires: u32,
}

impl Granted {
    /// What a removed contact has got: nothing.
    #[must_use]
    pub fn removed(asked: &AnyUri) -> Granted {
        Granted { asked: asked.clone(), uri: asked.clone(), expires: 0 }
    }
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
    /// Where the address came from; `None` where it stood in a URI, and where there is none.
    pub origin: Option<Arc<Origin>>,
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
    /// The name service gave no address; `None`: the name exists, without an address that may be used.
    Dns(Option<ResolveError>),
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
    /// The domain says that it does not offer the service: an SRV target of "." (RFC 2782).
    NotOffered {
        /// The domain whose services were asked for.
        name: String,
    },
    /// The domain names services, and none that can be used: NAPTR (RFC 3263 §4.1).
    NoService {
        /// The domain whose services were asked for.
        name: String,
        /// One would do, were it over TLS: `sips` goes over nothing else.
        lacks_tls: bool,
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
    /// A stream whose messages can't be told apart any more, or which brings something else than SIP.
    Framing(FramingError),
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
    /// Something in a header that strays from the grammar, and was read for what could be made out.
    Blemish(FieldError),
    /// An entry of a list that can't be read.
    LeftOut(FieldError),
    /// A host that only a redirect named was answered for that realm.
    Strange {
        /// Who asked.
        host: Host,
        /// The realm.
        realm: String,
    },
    /// The binding was only found by looser rules than RFC 3261 §19.1.4 (transport and default port aside, or
    /// our address as the registrar saw it).
    Rewritten,
}
