//! The location service: who is bound where, until when (RFC 3261 §10, §16.5).
//!
//! Every store obeys the same rule, [`crate::proto::binding::apply`], and passes the same battery of tests. What a store adds is
//! that a change is there as a whole or not at all, for whoever asks, and that what has run out is never told.

mod memory;

use crate::proto::Time;
use crate::proto::binding::{Operation, StoreFailure, Stored};

pub use memory::Memory;

/// A location service.
pub trait Store: Send {
    /// Carries out one operation at the time `now`, which never goes back.
    ///
    /// # Errors
    /// Why nothing was changed.
    fn perform(&mut self, operation: Operation, now: Time) -> Result<Stored, StoreFailure>;

    /// How many bindings are held, those included that have run out and were not dropped yet.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
