//! What a registrar keeps: bindings of an address-of-record, and the one rule by which a REGISTER changes them
//! (RFC 3261 §10.3, steps 5 to 8).
//!
//! A [`Change`] is what a REGISTER asks for, all its parts judged. [`apply`] is the rule, a pure function from the
//! bindings that are held to those that are held afterwards; a store adds only that nothing comes in between and that
//! nothing is lost. [`Operation`] goes to a store, [`Stored`] or [`StoreFailure`] comes back.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{FlowId, Time, Transport};
use crate::sip::{AnyUri, Q};

/// The address-of-record as the key of its bindings (RFC 3261 §10.3 step 5): the user part with its escapes undone, and
/// the host in lower case. Parameters, password and port are left out; `sip` and `sips` are the same (RFC 5630 §5.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aor(Arc<[u8]>);

/// One binding: a contact of an address-of-record, until it runs out.
#[derive(Clone, Debug)]
pub struct Binding {
    /// `<uri>` and the Contact parameters as they came, without `expires` and `q`: what the list of a 200 says.
    pub contact: Arc<str>,
    /// The preference.
    pub q: Option<Q>,
    /// Of the REGISTER that made or refreshed it last.
    pub call_id: Arc<str>,
    /// Of the same REGISTER.
    pub cseq: u32,
    /// When it runs out. At that time it is no more.
    pub expires: Time,
    /// The Path values of the REGISTER, in order, as one comma list (RFC 3327 §5.3); empty without.
    pub path: Arc<str>,
    /// Where the REGISTER came from: the way back through a NAT.
    pub source: Source,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The socket or connection it came in on.
    pub flow: FlowId,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Over what.
    pub transport: Transport,
}

/// What one REGISTER asks of the bindings of one address-of-record.
#[derive(Clone, Debug)]
pub struct Change {
    /// Whose.
    pub aor: Aor,
    /// Its Call-ID.
    pub call_id: Arc<str>,
    /// Its CSeq number.
    pub cseq: u32,
    /// Which bindings.
    pub what: What,
    /// How many bindings there may be afterwards.
    pub limit: usize,
}

/// Which bindings a REGISTER is about.
#[derive(Clone, Debug)]
pub enum What {
    /// `Contact: *` with a lifetime of 0: remove every one.
    Clear,
    /// The contacts in order. Never empty.
    Contacts(Vec<Wanted>),
}

/// One contact of a REGISTER.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The URI, for comparing (RFC 3261 §19.1.4).
    pub uri: AnyUri,
    /// As [`Binding::contact`].
    pub contact: Arc<str>,
    /// The preference.
    pub q: Option<Q>,
    /// The lifetime that is granted, in seconds; 0 removes.
    pub lifetime: u32,
    /// As [`Binding::path`].
    pub path: Arc<str>,
    /// As [`Binding::source`].
    pub source: Source,
}

/// What a store is asked to do. Each is carried out completely or not at all.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Change bindings by [`apply`].
    Change(Change),
    /// Tell the bindings.
    Fetch(Aor),
    /// Drop what has run out, a bounded number at a time.
    Expire,
}

/// What a store did.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Every binding of the AOR that is live now; empty for [`Operation::Expire`].
    pub bindings: Arc<[Binding]>,
    /// What changed.
    pub effects: Vec<Effect>,
    /// When the next binding of all runs out, as far as is known: not later than it does.
    pub next_expiry: Option<Time>,
}

/// What became of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Whose contact.
    pub aor: Aor,
    /// As [`Binding::contact`].
    pub contact: Arc<str>,
    /// What became of it.
    pub fate: Fate,
}

/// What can become of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was not bound before.
    Bound,
    /// It was bound, and is for longer.
    Refreshed,
    /// A REGISTER removed it.
    Removed,
    /// Its time is over.
    Expired,
}

/// Why a store changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// The same Call-ID came with a CSeq that is not higher (RFC 3261 §10.3 step 7): 500.
    #[error("the request is older than the binding it would change")]
    OutOfOrder,
    /// There would be more than [`Change::limit`] bindings: 403.
    #[error("too many bindings")]
    TooMany,
    /// The store does not answer or does not take it: 503.
    #[error("the location service is not available")]
    Unavailable,
    /// The store failed in the middle and undid what it had begun: 500.
    #[error("the location service failed")]
    Failed,
}
