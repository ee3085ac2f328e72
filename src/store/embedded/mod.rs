//! The location service in a file: what was confirmed survives a power failure.
//!
//! All bindings are in memory as well, where lists and calls find them. A change is made there first and goes to the
//! [`Writer`], a thread of its own, which writes all that has come while it was writing as one transaction, syncs it, and
//! then reports. A change that could not be written is undone in memory and answered with [`StoreFailure::Unavailable`]; the
//! next ones are refused at once, until the writer has managed to write again. So a call may be routed by a binding, or by the
//! lack of one, that is not confirmed yet: that does no harm, because its device has asked for it.
//!
//! [`record`] is how bindings are written, [`file`] how a file is made, judged and read.

mod file;
mod record;
mod writer;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use redb::StorageBackend;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Answer, Memory, Store, StoreEvent};
use crate::proto::binding::{Aor, Binding, Effect, Operation, StoreFailure, Stored};
use crate::proto::{AskId, Time};
use file::{Judged, Storage};
use writer::{Job, Report, Writer};

pub use file::{Contents, OpenError};

/// Bindings in a file.
#[derive(Debug)]
pub struct Embedded {
    memory: Memory,
    writer: Writer,
    reports: UnboundedReceiver<Report>,
    /// The changes that the writer has not reported yet, in the order in which it got them.
    pending: VecDeque<Pending>,
    ready: VecDeque<StoreEvent>,
    /// The writer can't write.
    is_away: bool,
}

/// A change that is made in memory only.
#[derive(Debug)]
struct Pending {
    ask: AskId,
    stored: Stored,
    aor: Aor,
    /// What was bound before.
    before: Arc<[Binding]>,
}

impl Embedded {
    /// Opens the store in the file `path`, or makes one, with bindings that take `limit` octets of memory at most, as
    /// [`Memory::bounded`] counts them. What is in the file is taken whatever it takes, but for what has run out at `now`.
    ///
    /// A full disk does not keep it from opening: it begins as one that can't be changed.
    ///
    /// # Errors
    /// The file is left as it was.
    pub fn open(path: &Path, limit: usize, now: Time) -> Result<(Embedded, Contents), OpenError> {
        Embedded::begin(&path.display().to_string(), file::open(path)?, limit, now)
    }

    /// The same where the store is kept by a backend of redb, which is locked already, for a store that is known as `name`.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_with(
        name: &str,
        backend: Arc<dyn StorageBackend>,
        limit: usize,
        now: Time,
    ) -> Result<(Embedded, Contents), OpenError> {
        let storage = Storage(backend);
        if storage.0.len()? == 0 {
            file::begin(&storage).map_err(file::judge)?;
        }
        Embedded::begin(name, storage, limit, now)
    }

    /// What is in a file, without changing it, while no server has it.
    ///
    /// # Errors
    /// It is not sound, or can't be read.
    pub fn check(path: &Path, now: Time) -> Result<Contents, OpenError> {
        file::read(&file::open_read_only(path)?, now).map(|judged| judged.contents)
    }

    fn begin(
        name: &str,
        storage: Storage,
        limit: usize,
        now: Time,
    ) -> Result<(Embedded, Contents), OpenError> {
        let Judged { contents, bindings, stale } = file::read(&storage, now)?;
        let mut memory = Memory::bounded(limit);
        for (aor, bindings) in bindings {
            memory.put(aor, bindings, now);
        }
        let (writer, reports) = Writer::start(name, storage, stale)?;
        let (pending, ready) = (VecDeque::new(), VecDeque::new());
        Ok((Embedded { memory, writer, reports, pending, ready, is_away: false }, contents))
    }

    fn change(&mut self, ask: AskId, operation: Operation, aor: Aor, now: Time) -> Option<Answer> {
        if self.is_away {
            return Some(Err(StoreFailure::Unavailable));
        }
        let before = self.memory.bindings(&aor);
        let stored = match self.memory.perform(operation, now) {
            Ok(stored) if stored.bindings != before => stored,
            unchanged => return Some(unchanged),
        };
        let job = Job::Write { aor: aor.clone(), before: before.clone(), after: stored.bindings.clone() };
        self.writer.send(job);
        self.pending.push_back(Pending { ask, stored, aor, before });
        None
    }

    /// Has records removed of which nothing is left.
    fn forget(&self, effects: &[Effect]) {
        for group in effects.chunk_by(|one, next| one.aor == next.aor) {
            if let Some(Effect { aor, .. }) = group.first()
                && self.memory.bindings(aor).is_empty()
            {
                self.writer.send(Job::Settle { aor: aor.clone(), bindings: Arc::default() });
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Written { changes } => {
                for Pending { ask, stored, .. } in self.pending.drain(..changes.min(self.pending.len())) {
                    self.ready.push_back(StoreEvent::Answered { ask, answer: Ok(stored) });
                }
            }
            Report::Failed { changes, why } => {
                if !self.is_away {
                    self.is_away = true;
                    self.ready.push_back(StoreEvent::Failed { why });
                }
                for Pending { ask, aor, before, .. } in self.pending.drain(..changes.min(self.pending.len()))
                {
                    self.memory.put(aor.clone(), before.clone(), Time::default());
                    // What the change had bound may have run out meanwhile, and the record be removed.
                    self.writer.send(Job::Settle { aor, bindings: before });
                    let answer = Err(StoreFailure::Unavailable);
                    self.ready.push_back(StoreEvent::Answered { ask, answer });
                }
            }
            Report::Back => {
                self.is_away = false;
                self.ready.push_back(StoreEvent::Back);
            }
        }
    }
}

impl Store for Embedded {
    fn submit(&mut self, ask: AskId, operation: Operation, now: Time) -> Option<Answer> {
        if let Operation::Change(change) = &operation {
            let aor = change.aor.clone();
            return self.change(ask, operation, aor, now);
        }
        let answer = self.memory.perform(operation, now);
        if let Ok(stored) = &answer {
            self.forget(&stored.effects);
        }
        Some(answer)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StoreEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(event);
            }
            match self.reports.poll_recv(context) {
                Poll::Ready(Some(report)) => self.take(report),
                // The writer is no more, which it never should be.
                Poll::Ready(None) if !self.is_away || !self.pending.is_empty() => {
                    self.take(Report::Failed { changes: usize::MAX, why: "the writer has ended".into() });
                }
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn len(&self) -> usize {
        self.memory.len()
    }
}
