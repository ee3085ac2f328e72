//! What the user is told.

use crate::proto::outcome::Report;
use crate::proto::{Cause, Time};

/// What the user is told of an account that is kept bound (DES-029).
#[derive(Debug)]
pub enum Kept {
    /// A try begins that would bind what is not bound.
    Registering,
    /// It is bound, and was not before.
    Registered {
        /// How.
        report: Box<Report>,
        /// Until when.
        until: Time,
        /// When the next try is due.
        next: Time,
    },
    /// It was bound, and is for longer.
    Refreshed {
        /// How.
        report: Box<Report>,
        /// Until when.
        until: Time,
        /// When the next try is due.
        next: Time,
    },
    /// A try failed.
    Failed {
        /// How.
        report: Box<Report>,
        /// Until when it is bound nevertheless.
        until: Option<Time>,
        /// When the next try is due; `None`: it failed for good.
        next: Option<Time>,
    },
    /// The connection broke over which it was bound.
    FlowFailed {
        /// What the network said; `None`: the other side closed it.
        cause: Option<Cause>,
        /// When the next try is due.
        next: Time,
    },
    /// The system would send from another address now, so that it is bound anew.
    NetworkChanged,
    /// Somebody called, and was answered.
    Incoming {
        /// What they wanted.
        method: String,
        /// Who they said they are: the URI of From.
        from: String,
        /// What they were answered.
        status: u16,
    },
    /// The removal has ended.
    Unregistered(Box<Report>),
    /// It is kept no longer; nothing follows.
    Stopped(Left),
}

/// How it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing was bound.
    Unbound,
    /// The registrar confirmed that it is removed.
    Removed,
    /// The registrar did not, in time.
    Unconfirmed,
}
