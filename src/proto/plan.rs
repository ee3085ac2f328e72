//! What a registration is to achieve, completely said: a [`Plan`] holds no default that depends on anything but
//! itself, so that the same plan and the same randomness give the same octets.

use std::time::Duration;

use super::digest::Keyring;
use super::locate::{Families, Transport};
use crate::sip::{Header, Host, NameAddr, Q, Uri};

/// One REGISTER exchange, from the first request to the final outcome.
#[derive(Clone, Debug)]
pub struct Plan {
    /// To bind, to list or to remove.
    pub purpose: Purpose,
    /// The address-of-record: To, and From unless [`Plan::from`] says otherwise. Scheme, user, host and unreserved
    /// parameters only (RFC 3261 §19.1.1, table 1).
    pub aor: Uri,
    /// Third-party registration: who registers for the AOR (RFC 3261 §10.2).
    pub from: Option<Uri>,
    /// The Request-URI: the registrar's domain, without a user part (RFC 3261 §10.2).
    pub registrar: Uri,
    /// The preloaded route set, each with `lr`; empty means that the Request-URI is the next hop.
    pub route: Vec<Uri>,
    /// Overrides what RFC 3263 would choose for the first hop.
    pub transport: Option<Transport>,
    /// Which addresses may be used.
    pub families: Families,
    /// The contacts to bind or remove. Empty: one of this device's own, made from the AOR's user part and the flow's
    /// local address. `expires` and `q` of each are its Contact parameters.
    pub contacts: Vec<NameAddr>,
    /// Preference of the contacts that don't say their own.
    pub q: Option<Q>,
    /// What Via and the own Contact say instead of the local address; port `None` keeps the bound port.
    pub advertise: Option<(Host, Option<u16>)>,
    /// The User-Agent header; `None` leaves it out (RFC 3261 §20.41).
    pub user_agent: Option<String>,
    /// Further headers, after ours. Never one that the protocol owns.
    pub headers: Vec<Header>,
    /// Who the user is for digest.
    pub keyring: Keyring,
    /// T1 and what follows from it.
    pub timing: Timing,
    /// Bound on everything, from the command to the outcome.
    pub total: Duration,
}

/// What is wanted of the registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Bind the contacts for `expires` seconds, sent as `Expires`; `None` lets the registrar choose
    /// (RFC 3261 §10.2.1).
    Bind {
        /// Seconds.
        expires: Option<u32>,
    },
    /// Remove the contacts: `Expires: 0` (RFC 3261 §10.2.2).
    Remove,
}

/// The timers of RFC 3261 table 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Estimate of the round trip; 500 ms unless the link is slower.
    pub t1: Duration,
    /// Longest gap between retransmissions: 4 s.
    pub t2: Duration,
    /// Longest life of a message in the network: 5 s.
    pub t4: Duration,
}

impl Timing {
    /// The RFC's T2 and T4 with another T1. T2 is never shorter than T1.
    #[must_use]
    pub fn with_t1(t1: Duration) -> Timing {
        Timing { t1, t2: t1.max(Duration::from_secs(4)), t4: Duration::from_secs(5) }
    }

    /// 64·T1: Timer F, and the time one destination may take, connecting included.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

impl Default for Timing {
    fn default() -> Timing {
        Timing::with_t1(Duration::from_millis(500))
    }
}
