//! What a registrar keeps: bindings of an address-of-record, and the one rule by which a REGISTER changes
//! them (RFC 3261 §10.3, steps 5 to 8).
//!
//! A [`Change`] is what a REGISTER asks for, all its parts judged. [`apply`] is the rule, a pure function
//! from the bindings that are held to those that are held afterwards; a store adds only that nothing comes in
//! between and that nothing is lost. [`Operation`] goes to a store, [`Stored`] or [`StoreFailure`] comes
//! back.

mod aor;
mod rule;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{FlowId, NodeId, Time, Transport};
use crate::sip::{AnyUri, Q};

pub use aor::Aor;
pub use rule::{Applied, apply, expired};

/// One binding: a contact of an address-of-record, until it runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The texts of Contact, Call-ID and Path.
    pub texts: Texts,
    /// Its preference, if it says one.
    pub q: Option<Q>,
    /// The CSeq number of the REGISTER that made or refreshed it last.
    pub cseq: u32,
    /// When it runs out. At that time it is no more.
    pub expires: Time,
    /// When it was made or refreshed last.
    pub refreshed: Time,
    /// Where the REGISTER came from: the way back through a NAT.
    pub source: Source,
}

impl Binding {
    /// `<uri>` and the Contact parameters as they came, without `expires` and `q`: what the list of a 200
    /// says.
    #[must_use]
    pub fn contact(&self) -> &str {
        self.texts.contact()
    }

    /// Of the REGISTER that made or refreshed it last.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.texts.call_id()
    }

    /// The Path values of the REGISTER, in order, as one comma list (RFC 3327 §5.3); empty without.
    #[must_use]
    pub fn path(&self) -> &str {
        self.texts.path()
    }

    /// Whether it is bound at `now`.
    #[must_use]
    pub fn is_live(&self, now: Time) -> bool {
        now < self.expires
    }

    /// What it takes in memory, in octets, about.
    #[must_use]
    pub fn octets(&self) -> usize {
        // The counts of the shared text are as large as two of its lengths.
        size_of::<Binding>() + 2 * size_of::<usize>() + self.texts.joined.len()
    }

    /// The seconds that are left, a part of one counting as whole, so that a lease just granted is told as it
    /// was granted. 0 only when it has run out.
    #[must_use]
    pub fn left(&self, now: Time) -> u32 {
        let left = self.expires - now;
        u32::try_from(left.as_secs() + u64::from(left.subsec_nanos() > 0)).unwrap_or(u32::MAX)
    }
}

/// The texts of a [`Binding`] behind one pointer: there may be a million, and a refresh that repeats them
/// shares them.
#[derive(Clone, PartialEq, Eq)]
pub struct Texts {
    /// Contact, Call-ID and Path without anything between.
    joined: Arc<str>,
    contact_end: u32,
    call_id_end: u32,
}

impl Texts {
    /// As [`Binding::contact`], [`Binding::call_id`] and [`Binding::path`]. Of more than 4 GiB the rest is
    /// cut off.
    #[must_use]
    pub fn new(contact: &str, call_id: &str, path: &str) -> Texts {
        let end = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Texts {
            joined: [contact, call_id, path].concat().into(),
            contact_end: end(contact.len()),
            call_id_end: end(contact.len() + call_id.len()),
        }
    }

    fn contact(&self) -> &str {
        self.joined.get(..self.contact_end as usize).unwrap_or_default()
    }

    fn call_id(&self) -> &str {
        self.joined.get(self.contact_end as usize..self.call_id_end as usize).unwrap_or_default()
    }

    fn path(&self) -> &str {
        self.joined.get(self.call_id_end as usize..).unwrap_or_default()
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries([self.contact(), self.call_id(), self.path()]).finish()
    }
}

/// Where a REGISTER came from, and whether the way back is the way to the contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The socket or connection it came in on.
    pub flow: FlowId,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The transport of that flow.
    pub transport: Transport,
    /// Whether requests for the contact go there, and not to where it says: it is the sender's own, who is behind a NAT
    /// or has connected (RFC 5626 §7). Else the flow is at most the socket to send from.
    pub is_way: bool,
    /// The node whose flow it is.
    pub node: NodeId,
}

/// What one REGISTER asks of the bindings of one address-of-record.
#[derive(Clone, Debug)]
pub struct Change {
    /// The address-of-record.
    pub aor: Aor,
    /// The request's Call-ID.
    pub call_id: Arc<str>,
    /// The request's CSeq number.
    pub cseq: u32,
    /// The bindings to change, and how.
    pub contacts: ContactChange,
    /// How many bindings there may be afterwards, when one is added. Those that are there may always be
    /// refreshed.
    pub limit: usize,
}

/// The bindings that a REGISTER changes.
#[derive(Clone, Debug)]
pub enum ContactChange {
    /// `Contact: *` with a lifetime of 0: remove every one.
    Clear,
    /// The contacts in order. Of those that name the same URI the last counts.
    Contacts(Vec<WantedContact>),
    /// The same; where there would be too many, bindings that the request does not name make room, the one that was
    /// refreshed longest ago first.
    Displacing(Vec<WantedContact>),
}

/// One contact of a REGISTER.
#[derive(Clone, Debug)]
pub struct WantedContact {
    /// The URI, for comparing (RFC 3261 §19.1.4).
    pub uri: AnyUri,
    /// As [`Binding::contact`].
    pub contact: Arc<str>,
    /// Its preference, if it says one.
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
    /// List the bindings, and change none.
    Fetch(Aor),
    /// Drop what has run out, a bounded number at a time.
    Expire,
}

/// What a store did.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Every binding of the AOR that is live now, those that were added first in front; empty for
    /// [`Operation::Expire`].
    pub bindings: Arc<[Binding]>,
    /// What changed since it was last told, the end of bindings that have run out included. The end of each
    /// is told once, by whichever operation comes upon it.
    pub effects: Vec<Effect>,
    /// When to come with [`Operation::Expire`] next: not later than the next binding of all runs out, and at
    /// once when one has. `None`: there is nothing that could run out.
    pub next_expiry: Option<Time>,
}

/// How the binding of one contact changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The address-of-record of the contact.
    pub aor: Aor,
    /// As [`Binding::contact`]; as the REGISTER says it when it was bound or refreshed, else as it was held.
    pub contact: Arc<str>,
    /// Whether it is bound now.
    pub fate: Fate,
}

/// What can become of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was not bound before.
    Bound,
    /// It was bound, and is for longer.
    Refreshed,
    /// A REGISTER removed it, or a newer one took its place.
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
    /// There would be more than [`Change::limit`] bindings: 503, until one ends.
    #[error("too many bindings")]
    TooMany,
    /// All the memory is taken that bindings may have: 503. Those that are there can be refreshed and removed.
    #[error("the location service is full")]
    Full,
    /// The store does not answer or does not take it: 503.
    #[error("the location service is not available")]
    Unavailable,
    /// The store failed in the middle and undid what it had begun: 500.
    #[error("the location service failed")]
    Failed,
}
