//! What a registration is to achieve, completely said: a [`Plan`] holds no default that depends on anything
//! but itself, so that the same plan and the same randomness give the same octets.

use std::sync::Arc;
use std::time::Duration;

use super::nat::Keepalive;
use crate::proto::digest::{Algorithm, Keyring};
use crate::proto::locate::{Families, Found, Pinned};
use crate::proto::{Profile, Transport};
use crate::sip::{Header, Host, NameAddr, Q, Uri};

pub use crate::proto::timers::Timing;

/// One REGISTER exchange, from the first request to the final outcome.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether to bind, to list or to remove.
    pub purpose: Purpose,
    /// The address-of-record: To, and From unless [`Plan::from`] says otherwise. Scheme, user, host and
    /// unreserved parameters only (RFC 3261 §19.1.1, table 1).
    pub aor: Uri,
    /// Third-party registration: who registers for the AOR (RFC 3261 §10.2).
    pub from: Option<Box<Uri>>,
    /// The Request-URI: the registrar's domain, without a user part (RFC 3261 §10.2). Plans with the same
    /// registrar may share it.
    pub registrar: Arc<Uri>,
    /// The preloaded route set, each with `lr`; empty means that the Request-URI is the next hop.
    pub route: Vec<Uri>,
    /// Overrides what RFC 3263 would choose for the first hop.
    pub transport: Option<Transport>,
    /// The settings of its connections over TLS and WebSocket.
    pub profile: Profile,
    /// The one destination that requests for [`Plan::registrar`] go to, whatever the name service says: for who looks at each
    /// server of a name by itself. A redirect leads elsewhere all the same.
    pub destination: Option<Box<Found>>,
    /// Which addresses may be used.
    pub families: Families,
    /// Addresses of hosts that the user knows better than the name service.
    pub pinned: Vec<Pinned>,
    /// The interface by which link-local addresses are reached (RFC 4007 §6), by its index: an address of a URI names
    /// none, since no other host knows it by that name.
    pub zone: Option<u32>,
    /// The contacts to bind or remove. Empty: one of this device's own, made from the AOR's user part and the
    /// flow's local address. One whose host is [`OWN_ADDRESS`] is this device's own, too. `expires` and `q` of each
    /// are its Contact parameters.
    pub contacts: Vec<NameAddr>,
    /// Preference of the contacts that don't say their own.
    pub q: Option<Q>,
    /// The address that Via and the own Contact say instead of the local address; port `None` keeps the bound
    /// port.
    pub advertise: Option<Box<(Host, Option<u16>)>>,
    /// The User-Agent header; `None` leaves it out (RFC 3261 §20.41).
    pub user_agent: Option<Arc<str>>,
    /// Further headers, after ours. Never one that the protocol owns.
    pub headers: Vec<Header>,
    /// The credentials that digest challenges are answered with.
    pub keyring: Keyring,
    /// The timers of its transactions.
    pub timing: Timing,
    /// Bound on each try: all destinations of the plan, gone through once.
    pub try_limit: Duration,
    /// Bound on the whole, with all tries.
    pub command_limit: Option<Duration>,
    /// For how long a try that failed is followed by another: after silence, when nobody could be reached,
    /// and after a 503, whose Retry-After is obeyed.
    pub retry_for: Duration,
    /// It is to be registered again: the flow stays open after a success, for refreshes and for whoever
    /// calls.
    pub keep: bool,
    /// Whether keep-alives are sent while it is kept.
    pub keepalive: Keepalive,
    /// What an earlier registration of the same AOR at the same registrar left.
    pub resume: Option<Box<Resume>>,
}

impl Plan {
    /// The simplest plan there is: bind this device for an hour at the registrar of the AOR's own domain,
    /// over UDP or what RFC 3263 says, with nobody's password and RFC 3261's times.
    #[must_use]
    pub fn new(aor: Uri) -> Plan {
        let timing = Timing::default();
        let registrar = Arc::new(Uri { user: None, password: None, headers: Vec::new(), ..aor.clone() });
        Plan {
            purpose: Purpose::Bind { expires: Some(3600) },
            aor,
            from: None,
            registrar,
            route: Vec::new(),
            transport: None,
            profile: Profile::default(),
            destination: None,
            families: Families::Both,
            pinned: Vec::new(),
            zone: None,
            contacts: Vec::new(),
            q: None,
            advertise: None,
            user_agent: None,
            headers: Vec::new(),
            keyring: Keyring { credentials: Vec::new(), ask: None, realm: None, minimum: Algorithm::Md5 },
            timing,
            try_limit: timing.patience().saturating_mul(4),
            command_limit: None,
            retry_for: Duration::ZERO,
            keep: false,
            keepalive: Keepalive::Off,
            resume: None,
        }
    }

    /// The lifetime in seconds that a binding asks for; `None` leaves it to the registrar, or nothing is to
    /// be bound.
    pub(super) fn lifetime(&self) -> Option<u32> {
        match self.purpose {
            Purpose::Bind { expires } => expires,
            Purpose::Remove | Purpose::RemoveAll | Purpose::Fetch => None,
        }
    }

    /// Whether one of the contacts is this device's own: none is named, or one stands at its address.
    #[must_use]
    pub fn has_own(&self) -> bool {
        self.contacts.is_empty() || self.contacts.iter().any(stands_here)
    }

    /// Whether a contact of a request is this device's own, not one that is named as it stands.
    pub(super) fn is_own(&self, contact: &NameAddr) -> bool {
        let mut named = self.contacts.iter().filter(|named| !stands_here(named));
        self.has_own() && !named.any(|named| named.uri.matches(&contact.uri))
    }

    /// Whether the other side is told that keep-alives may be sent (RFC 6223 §4.3).
    pub(super) fn offers_keepalives(&self) -> bool {
        let binds = matches!(self.purpose, Purpose::Bind { .. });
        self.keep && binds && self.keepalive != Keepalive::Off
    }

    /// Whether the own contact says what the other side sees: nobody has said what else it is to say, and it is not one
    /// destination that is looked at.
    pub(super) fn follows_sight(&self) -> bool {
        let is_free = self.contacts.is_empty() && self.advertise.is_none();
        self.keep && is_free && self.destination.is_none()
    }

    /// Those of the contacts of a request that it binds: for longer than 0 seconds.
    pub(super) fn binds<'a>(
        &self,
        contacts: &'a [NameAddr],
        min_expires: Option<u32>,
    ) -> impl Iterator<Item = &'a NameAddr> {
        contacts.iter().filter(move |contact| self.lifetime_of(contact, min_expires) != Some(0))
    }

    /// The lifetime in seconds that `contact` asks for: its own, else the Expires header's; `None` leaves it
    /// to the registrar. `min_expires` is what a 423 has raised it to.
    pub(super) fn lifetime_of(&self, contact: &NameAddr, min_expires: Option<u32>) -> Option<u32> {
        contact.expires().or_else(|| self.expires_header(min_expires))
    }

    /// The Expires header of a request, in seconds.
    pub(super) fn expires_header(&self, min_expires: Option<u32>) -> Option<u32> {
        match self.purpose {
            Purpose::Remove | Purpose::RemoveAll => Some(0),
            Purpose::Fetch => None,
            Purpose::Bind { expires } => match (expires, min_expires) {
                (Some(asked), Some(least)) if asked > 0 => Some(asked.max(least)),
                (None, Some(least)) => Some(least),
                (expires, _) => expires,
            },
        }
    }
}

/// The host of a contact that stands at this device's own address: host and port as in the contact that the device
/// makes for itself. No host of a message is spelled so.
pub const OWN_ADDRESS: &str = "{addr}";

/// Whether a contact of a plan stands at this device's own address.
#[must_use]
pub fn stands_here(contact: &NameAddr) -> bool {
    let host = contact.uri.sip().map(|uri| &uri.host);
    matches!(host, Some(Host::Name(name)) if name == OWN_ADDRESS)
}

/// What has to outlive a process, so that the next one speaks of the same binding (RFC 3261 §10.2: Call-ID
/// and CSeq; DES-024).
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// Call-ID of all requests, and the CSeq number of the last one; `None`: the first request makes a new
    /// Call-ID.
    pub dialogue: Option<(String, u32)>,
    /// The contacts that this device may have bound as its own. One that is not asked for again is removed in
    /// the same request.
    pub own: Vec<NameAddr>,
}

/// What the registrar is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Bind the contacts for `expires` seconds, sent as `Expires`; `None` lets the registrar choose
    /// (RFC 3261 §10.2.1).
    Bind {
        /// The lifetime in seconds.
        expires: Option<u32>,
    },
    /// Remove the contacts: `Expires: 0` (RFC 3261 §10.2.2).
    Remove,
    /// Remove every binding of the AOR: `Contact: *` with `Expires: 0` (RFC 3261 §10.2.2).
    RemoveAll,
    /// Ask for all bindings and change none: no Contact (RFC 3261 §10.2.3).
    Fetch,
}
