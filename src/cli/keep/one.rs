//! One account, as this process sees it.

use crate::cli::exit::Exit;
use crate::cli::report::keeping::Standing;
use crate::proto::Time;
use crate::proto::keep::Kept;

/// One account as this process sees it.
#[derive(Default)]
pub(super) struct One {
    pub(super) aor: String,
    pub(super) until: Option<Time>,
    pub(super) next: Option<Time>,
    pub(super) contact: Option<String>,
    /// The last failure since it was bound.
    pub(super) failure: Option<String>,
    pub(super) tries: u64,
    pub(super) failures: u64,
    pub(super) calls: u64,
    /// It failed for good: how the process would end for that.
    pub(super) gave_up: Option<Exit>,
}

impl One {
    /// Counts what happened.
    pub(super) fn count(&mut self, what: &Kept) {
        match what {
            Kept::Registered { .. } | Kept::Refreshed { .. } => self.tries += 1,
            Kept::Failed { .. } => (self.tries, self.failures) = (self.tries + 1, self.failures + 1),
            Kept::Incoming { .. } => self.calls += 1,
            Kept::Registering
            | Kept::FlowFailed { .. }
            | Kept::NetworkChanged
            | Kept::Unregistered(_)
            | Kept::Stopped(_) => {}
        }
    }

    /// For the user.
    pub(super) fn standing(&self) -> Standing {
        Standing { aor: self.aor.clone(), until: self.until, next: self.next, failure: self.failure.clone() }
    }
}
