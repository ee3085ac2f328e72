//! One account, as this process sees it.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::cli::diagnose::diagnose;
use crate::cli::exit::Exit;
use crate::cli::report::keeping::{Standing, others};
use crate::proto::Time;
use crate::proto::client::outcome::Success;
use crate::proto::client::schedule::AccountEvent;

/// One account as this process sees it.
#[derive(Default)]
pub(super) struct One {
    pub(super) aor: Box<str>,
    pub(super) until: Option<Time>,
    pub(super) next: Option<Time>,
    /// As long as a program waits for it.
    pub(super) contact: Option<Box<str>>,
    /// The last failure since it was bound.
    pub(super) failure: Option<Box<str>>,
    /// Tells the bindings of other devices, as the last answer had them, from those of another.
    pub(super) others: Option<u64>,
    pub(super) tries: u32,
    pub(super) failures: u32,
    pub(super) calls: u32,
    /// It failed for good: how the process would end for that.
    pub(super) gave_up: Option<Exit>,
}

impl One {
    /// Something happened.
    pub(super) fn count(&mut self, what: &AccountEvent) {
        match what {
            AccountEvent::Registered { until, next, .. } | AccountEvent::Refreshed { until, next, .. } => {
                self.tries += 1;
                (self.until, self.next, self.failure) = (Some(*until), Some(*next), None);
                self.gave_up = None;
            }
            AccountEvent::Failed { report, until, next } => {
                (self.tries, self.failures) = (self.tries + 1, self.failures + 1);
                (self.until, self.next) = (*until, *next);
                self.failure =
                    report.result.as_ref().err().map(|failure| diagnose(failure, report).message.into());
            }
            AccountEvent::FlowFailed { next, .. } => self.next = Some(*next),
            AccountEvent::Incoming { .. } => self.calls += 1,
            AccountEvent::Unregistered(report) => {
                self.next = None;
                self.until = self.until.filter(|_| report.result.is_err());
            }
            AccountEvent::Registering | AccountEvent::NetworkChanged | AccountEvent::Stopped(_) => {}
        }
    }

    /// Whether other devices are bound than the answer before said.
    pub(super) fn sees(&mut self, success: &Success) -> bool {
        let mut uris: Vec<String> = others(success).collect();
        uris.sort_unstable();
        let mut hasher = DefaultHasher::new();
        uris.hash(&mut hasher);
        let now = hasher.finish();
        self.others.replace(now).is_some_and(|before| before != now)
    }

    /// For the user.
    pub(super) fn standing(&self) -> Standing<'_> {
        Standing { aor: &self.aor, until: self.until, next: self.next, failure: self.failure.as_deref() }
    }
}
