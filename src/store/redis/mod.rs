//! The location service in a Redis or Valkey, which several servers share.
//!
//! What is bound is what is in the shared store: lists and calls ask it, and each change is written only if nobody has written
//! meanwhile; else it is applied anew to what is there ([`hash`], [`script`]). The rule is
//! [`apply`](crate::proto::binding::apply), as everywhere. What was read or written last is known here as well
//! ([`known`]): it saves a round trip for refreshes, and calls go by it while the store is away; who lists gets it then, too,
//! or [`StoreFailure::Unavailable`](crate::proto::binding::StoreFailure::Unavailable) where nothing is known.
//!
//! Servers that share it find each other by it ([`node`]).
//!
//! [`client`] is a thread of its own, which speaks to the servers ([`connection`]), many operations at a time. A change that was
//! not answered in time is [`StoreFailure::Unavailable`](crate::proto::binding::StoreFailure::Unavailable), and may have
//! been made all the same; it never is after its time, nor asked for again.

mod address;
mod client;
mod connection;
mod hash;
mod known;
mod node;
mod record;
mod script;
mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Answer, Store, StoreEvent};
use crate::proto::binding::{Operation, StoreFailure};
use crate::proto::node::Presence;
use crate::proto::{AskId, Time};
use client::Job;

pub use address::{Address, AddressError};
pub use connection::{Facts, Trouble};
pub use node::Node;

/// What a shared store is used with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// Certificates of authorities for TLS, in PEM; `None`: those of the system.
    pub roots: Option<Vec<u8>>,
    /// Who takes the bindings.
    pub node: Node,
    /// How many replicas must have a change before it is answered.
    pub replicas: u32,
    /// Octets of what is known of it here, about.
    pub limit: usize,
    /// A number that other servers don't have: pauses differ by it.
    pub seed: u64,
    /// Whose clock counts.
    pub clock: StoreClock,
}

/// By whose clock bindings run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreClock {
    /// That of the store, so that servers agree whose clocks do not.
    Own,
    /// That of whoever asks, as tests need it that move the time.
    Asker,
}

/// Bindings in a store that is shared.
#[derive(Debug)]
pub struct Redis {
    jobs: Option<UnboundedSender<Job>>,
    events: UnboundedReceiver<StoreEvent>,
    presence: watch::Sender<Option<Presence>>,
    figures: Arc<Figures>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread counts.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Bindings that are known.
    bindings: AtomicUsize,
    /// Changes that somebody else was quicker than.
    conflicts: AtomicU64,
}

impl Redis {
    /// Connects; within a few seconds, for which it blocks.
    ///
    /// # Errors
    /// What keeps it from being used.
    pub fn open(settings: Settings, now: Time) -> Result<(Redis, Facts), Trouble> {
        let figures = Arc::new(Figures::default());
        let (presence, presented) = watch::channel(None);
        let started = client::start(settings, now, figures.clone(), presented)?;
        let client::Started { jobs, events, facts, thread } = started;
        Ok((Redis { jobs: Some(jobs), events, presence, figures, thread: Some(thread) }, facts))
    }
}

impl Store for Redis {
    fn submit(&mut self, ask: AskId, operation: Operation, now: Time) -> Option<Answer> {
        let job = Job { ask, operation, now, at: Instant::now() };
        match self.jobs.as_ref().map(|jobs| jobs.send(job)) {
            Some(Ok(())) => None,
            // The thread is no more, which it never should be.
            Some(Err(_)) | None => Some(Err(StoreFailure::Unavailable)),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StoreEvent> {
        match self.events.poll_recv(context) {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn present(&mut self, presence: Presence) {
        // The thread asks, where it is no more nobody does.
        let _ = self.presence.send(Some(presence));
    }

    fn len(&self) -> usize {
        self.figures.bindings.load(Ordering::Relaxed)
    }

    fn conflicts(&self) -> u64 {
        self.figures.conflicts.load(Ordering::Relaxed)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
