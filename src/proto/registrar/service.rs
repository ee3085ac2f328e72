//! What a server is to do, completely said: a [`Service`]; and what it tells: [`ServerEvent`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::binding::{Aor, Effect};
use crate::proto::client::plan::Timing;
pub use crate::proto::digest::AuthFailure;
use crate::proto::digest::Verifier;
use crate::proto::{Cause, Time, Transport};
use crate::sip::Host;

/// A registrar with its listeners.
#[derive(Debug)]
pub struct Service {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// The domains it is responsible for. The addresses it listens on always count.
    pub domains: Vec<Host>,
    /// What it grants.
    pub policy: Policy,
    /// Who may register; `None`: anybody.
    pub verifier: Option<Verifier>,
    /// How much of others it bears.
    pub limits: Limits,
    /// The timers of RFC 3261 table 4.
    pub timing: Timing,
    /// Tell every message that passes ([`Notice::Message`](crate::proto::Notice::Message)).
    pub tell_messages: bool,
}

/// A place to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// For what.
    pub transport: Transport,
    /// Where; port 0 lets the system choose.
    pub address: SocketAddr,
}

/// What a registrar grants (RFC 3261 §10.3 step 7). Lifetimes are seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A shorter wish gets 423, unless it is an hour or more.
    pub min_expires: u32,
    /// The most that is granted.
    pub max_expires: u32,
    /// Granted when none is asked for.
    pub default_expires: u32,
    /// Bindings per address-of-record.
    pub max_contacts: usize,
}

/// How much of others a server bears before it lets go of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. When all are taken, the one that has been silent longest makes room; those without a
    /// registration go first.
    pub connections: usize,
    /// How long a connection without a registration may be silent.
    pub idle: Duration,
    /// How long a message may take from its first octet to its last.
    pub incomplete: Duration,
    /// Octets of messages that are not complete, of all connections together. When there are more, the connection with
    /// the longest is closed.
    pub unfinished: usize,
    /// Octets of answers that are kept to be repeated.
    pub replay: usize,
    /// Requests that may wait for the location service.
    pub pending: usize,
}

impl Default for Limits {
    /// Enough for a test or a small office: 8192 connections, 16 MiB of unfinished messages, 64 MiB of answers.
    fn default() -> Limits {
        Limits {
            connections: 8192,
            idle: Duration::from_secs(120),
            incomplete: Duration::from_secs(10),
            unfinished: 16 << 20,
            replay: 64 << 20,
            pending: 10_000,
        }
    }
}

/// What a server tells its user. Each is something that happened; counts are in [`Counters`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// It listens here; one for each of [`Service::listen`], in their order.
    Listening {
        /// For what.
        transport: Transport,
        /// Where, with the port that the system chose.
        address: SocketAddr,
    },
    /// It cannot listen there, and therefore does not serve.
    CannotListen {
        /// For what.
        transport: Transport,
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: Cause,
    },
    /// A contact was bound, refreshed or removed, or ran out.
    Changed {
        /// Which, and what became of it.
        effect: Effect,
        /// Until when it is bound; `None` when it no longer is.
        expires: Option<Time>,
        /// Who asked for it; `None` when its time was over.
        peer: Option<SocketAddr>,
    },
    /// A request without the credentials it needs was refused: wrong ones, or somebody else's.
    AuthFailed {
        /// Who sent it.
        peer: SocketAddr,
        /// Whose bindings it was about.
        aor: Aor,
        /// As whom; empty when it didn't say.
        username: Arc<str>,
        /// Why it was refused.
        why: AuthFailure,
    },
    /// Something came that is no SIP, or cannot be served as it is.
    Malformed {
        /// Who sent it.
        peer: SocketAddr,
        /// What is wrong with it.
        what: String,
        /// The status it was answered with; `None`: not answered.
        status: Option<u16>,
    },
    /// A connection was closed because it was silent, slow, or one too many.
    Dropped {
        /// Whose.
        peer: SocketAddr,
        /// Why.
        why: Overload,
    },
    /// It serves no more; nothing follows.
    Stopped,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    /// [`Limits::connections`].
    #[error("too many connections")]
    Connections,
    /// [`Limits::idle`].
    #[error("silent for too long")]
    Idle,
    /// [`Limits::incomplete`].
    #[error("too slow with a message")]
    Slow,
    /// [`Limits::unfinished`].
    #[error("too much is unfinished")]
    Unfinished,
    /// The messages of a stream could not be told apart.
    #[error("not SIP")]
    Framing,
    /// The other side does not take its answers.
    #[error("does not take its answers")]
    Stalled,
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests by what was done with them.
    pub requests: u64,
    /// Copies of requests, answered from memory.
    pub retransmissions: u64,
    /// Answers sent, by class: 1xx to 6xx.
    pub responses: [u64; 6],
    /// Contacts bound.
    pub bound: u64,
    /// Contacts refreshed.
    pub refreshed: u64,
    /// Contacts removed by a request.
    pub removed: u64,
    /// Contacts that ran out.
    pub expired: u64,
    /// Credentials refused.
    pub auth_failed: u64,
    /// Messages that were no SIP or could not be served.
    pub malformed: u64,
    /// Responses that nobody waits for.
    pub stray: u64,
    /// Connections that came in.
    pub accepted: u64,
    /// Connections closed by a limit.
    pub dropped: u64,
}
