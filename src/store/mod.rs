//! The location service: who is bound where, until when (RFC 3261 §10, §16.5).
//!
//! Every store obeys the same rule, [`crate::proto::binding::apply`], and passes the same battery of tests. What a store adds is
//! that a change is there as a whole or not at all, for whoever asks, and that what has run out is never told.

mod embedded;
mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::proto::binding::{Operation, StoreFailure, Stored};
use crate::proto::node::{Peer, Presence};
use crate::proto::{AskId, NodeId, Time};

#[cfg(feature = "redis")]
pub use self::redis::{
    Address, AddressError, Facts, Node, Redis, Settings as RedisSettings, StoreClock, Trouble,
};
pub use embedded::{Contents, Embedded, OpenError};
pub use memory::Memory;

/// What a store says to one operation: what it did, or why nothing was changed.
pub type Answer = Result<Stored, StoreFailure>;

/// A location service.
///
/// An operation goes in by [`Store::submit`], and its answer comes back from there, or later from [`Store::poll`]. Whoever asks
/// has one change of an address-of-record under way at a time, as the registrar does, so answers may come in any order; and
/// bounds how many wait.
pub trait Store: Send {
    /// Carries out one operation at the time `now`, which never goes back. `None`: the answer will come from [`Store::poll`],
    /// once. A change may be seen by others before it is answered; one that fails is undone.
    fn submit(&mut self, ask: AskId, operation: Operation, now: Time) -> Option<Answer>;

    /// What has happened meanwhile. [`Stored::next_expiry`] of an answer is as true as if it had been asked for now.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StoreEvent>;

    /// What other nodes that share the store are told of this one from now on, as long as it lives. A store that nobody shares
    /// tells nobody.
    fn present(&mut self, _presence: Presence) {}

    /// How many bindings are held, those included that have run out and were not dropped yet; of a store that is shared, how
    /// many are known here.
    fn len(&self) -> usize;

    /// Changes so far that were made anew, because somebody else was quicker. Only a store that is shared has any.
    fn conflicts(&self) -> u64 {
        0
    }

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What comes from a store by itself.
#[derive(Clone, Debug)]
pub enum StoreEvent {
    /// An operation is done, or has failed.
    Answered {
        /// As it was submitted.
        ask: AskId,
        /// What became of it.
        answer: Answer,
    },
    /// It takes no changes from now on: each is answered with [`StoreFailure::Unavailable`].
    Failed {
        /// Which store, and what the matter is, for a person.
        why: Arc<str>,
    },
    /// It takes changes again.
    Back,
    /// As [`Event::Node`](crate::proto::Event::Node).
    Node {
        /// Which node.
        id: NodeId,
        /// Where it is, if it is.
        peer: Option<Box<Peer>>,
    },
}
