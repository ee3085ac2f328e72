//! Times: those of RFC 3261 table 4, and the endpoint's timers, a heap with lazy deletion, so that setting, cancelling
//! and finding the next are O(log n).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use super::ids::Branch;
use super::{ContextId, FlowId, RegistrationId, Time};

/// The times of RFC 3261 table 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Estimate of the round trip; 500 ms unless the link is slower.
    pub t1: Duration,
}

impl Timing {
    /// The RFC's T2 and T4 with another T1.
    #[must_use]
    pub const fn with_t1(t1: Duration) -> Timing {
        Timing { t1 }
    }

    /// Longest gap between retransmissions: 4 s, and never shorter than T1.
    #[must_use]
    pub fn t2(&self) -> Duration {
        self.t1.max(Duration::from_secs(4))
    }

    /// Longest life of a message in the network: 5 s.
    #[must_use]
    pub const fn t4(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// 64·T1: Timer F, and the time one destination may take, connecting included.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

impl Default for Timing {
    fn default() -> Timing {
        Timing::with_t1(Duration::from_millis(500))
    }
}

/// Which timer, by the layer it belongs to. Those due at the same time fire in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKey {
    /// Of the transactions.
    Transaction(TransactionTimer),
    /// Of the flows.
    Flow(FlowTimer),
    /// Of the registrations.
    Client(ClientTimer),
    /// Of the registrar.
    Registrar(RegistrarTimer),
    /// Of the proxy.
    Proxy(ProxyTimer),
    /// Of the check.
    Check(CheckTimer),
}

/// The timers of the transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionTimer {
    /// Of one client transaction.
    Client(Branch, Timer),
    /// Timer K, D or M of the first of those client transactions that have their final response.
    Absorbing,
    /// A server transaction is slow, or the first Timer J runs out.
    Server,
    /// An INVITE that was answered: its refusal is repeated (Timer G), or it is over (Timers H, I and L).
    Invite,
}

/// The timers of client transactions: A, B, D and M where the request is an INVITE (RFC 3261 §17.1.1, RFC 6026 §7.2), E,
/// F and K where it is not (RFC 3261 §17.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The INVITE is sent once more (RFC 3261 §17.1.1.2).
    A,
    /// The client gives up waiting for a response to its INVITE, or for the final one after it was cancelled (§9.1).
    B,
    /// End of acknowledging copies of the response that refused the INVITE.
    D,
    /// The request is sent once more (RFC 3261 §17.1.2.2).
    E,
    /// The client gives up waiting for a final response.
    F,
    /// End of absorbing.
    K,
    /// End of passing up what accepts the INVITE.
    M,
}

/// The timers of the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowTimer {
    /// A stream is in the middle of a message, or a connection that is to carry one is not open yet.
    Incomplete(FlowId),
    /// An accepted connection has been silent for too long.
    Idle,
    /// A flow that accounts are bound over needs a keep-alive, or misses the answer to one.
    Keepalive(FlowId),
}

/// The timers of the registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientTimer {
    /// The current destination of a registration has had its time (64·T1, connecting included).
    Destination(RegistrationId),
    /// A try of the registration has had its time.
    TryLimit(RegistrationId),
    /// The registration as a whole has had its time.
    CommandLimit(RegistrationId),
    /// The name service was waited for long enough.
    Lookup(RegistrationId),
    /// The next try is due.
    Retry(RegistrationId),
    /// The registrar may have another nonce by now.
    Nonce(RegistrationId),
    /// An account that is kept bound has something to do.
    Keep(RegistrationId),
    /// The removal of its binding has had its time.
    Leave(RegistrationId),
    /// Another account may begin.
    Pace,
}

/// The timers of the registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistrarTimer {
    /// A binding runs out.
    Bindings,
    /// The last challenge of a device that never answers has had its time.
    Unanswered,
    /// A stretch in which a source was limited may be over.
    RateLimited,
    /// It may be told how many requests could not be taken.
    Crowded,
    /// It may be told how many handshakes have failed.
    Handshakes,
}

/// The timers of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyTimer {
    /// Timer C of one branch (RFC 3261 §16.6 step 11), by the number of the branch.
    C(ContextId, u16),
    /// One branch has waited for the name service long enough.
    Lookup(ContextId, u16),
}

/// The timers of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckTimer {
    /// A probe or an experiment is due, or the whole has had its time.
    Due,
}

impl From<CheckTimer> for TimerKey {
    fn from(timer: CheckTimer) -> TimerKey {
        TimerKey::Check(timer)
    }
}

impl From<TransactionTimer> for TimerKey {
    fn from(timer: TransactionTimer) -> TimerKey {
        TimerKey::Transaction(timer)
    }
}

impl From<FlowTimer> for TimerKey {
    fn from(timer: FlowTimer) -> TimerKey {
        TimerKey::Flow(timer)
    }
}

impl From<ClientTimer> for TimerKey {
    fn from(timer: ClientTimer) -> TimerKey {
        TimerKey::Client(timer)
    }
}

impl From<RegistrarTimer> for TimerKey {
    fn from(timer: RegistrarTimer) -> TimerKey {
        TimerKey::Registrar(timer)
    }
}

impl From<ProxyTimer> for TimerKey {
    fn from(timer: ProxyTimer) -> TimerKey {
        TimerKey::Proxy(timer)
    }
}

const KINDS: usize = 30;

impl TimerKey {
    fn kind(self) -> usize {
        match self {
            TimerKey::Transaction(TransactionTimer::Client(_, Timer::A)) => 0,
            TimerKey::Transaction(TransactionTimer::Client(_, Timer::B)) => 1,
            TimerKey::Transaction(TransactionTimer::Client(_, Timer::D)) => 2,
            TimerKey::Transaction(TransactionTimer::Client(_, Timer::E)) => 3,
            TimerKey::Transaction(TransactionTimer::Client(_, Timer::F)) => 4,
            TimerKey::Transaction(TransactionTimer::Client(_, Timer::K)) => 5,
            TimerKey::Transaction(TransactionTimer::Client(_, Timer::M)) => 6,
            TimerKey::Transaction(TransactionTimer::Absorbing) => 7,
            TimerKey::Transaction(TransactionTimer::Server) => 8,
            TimerKey::Transaction(TransactionTimer::Invite) => 9,
            TimerKey::Flow(FlowTimer::Incomplete(_)) => 10,
            TimerKey::Flow(FlowTimer::Idle) => 11,
            TimerKey::Client(ClientTimer::Destination(_)) => 12,
            TimerKey::Client(ClientTimer::TryLimit(_)) => 13,
            TimerKey::Client(ClientTimer::CommandLimit(_)) => 14,
            TimerKey::Client(ClientTimer::Retry(_)) => 15,
            TimerKey::Client(ClientTimer::Keep(_)) => 16,
            TimerKey::Client(ClientTimer::Leave(_)) => 17,
            TimerKey::Client(ClientTimer::Pace) => 18,
            TimerKey::Registrar(RegistrarTimer::Bindings) => 19,
            TimerKey::Registrar(RegistrarTimer::Unanswered) => 20,
            TimerKey::Registrar(RegistrarTimer::RateLimited) => 21,
            TimerKey::Registrar(RegistrarTimer::Crowded) => 22,
            TimerKey::Proxy(ProxyTimer::C(..)) => 23,
            TimerKey::Client(ClientTimer::Lookup(_)) => 24,
            TimerKey::Proxy(ProxyTimer::Lookup(..)) => 25,
            TimerKey::Registrar(RegistrarTimer::Handshakes) => 26,
            TimerKey::Flow(FlowTimer::Keepalive(_)) => 27,
            TimerKey::Check(CheckTimer::Due) => 28,
            TimerKey::Client(ClientTimer::Nonce(_)) => 29,
        }
    }
}

/// All timers of an endpoint. Each key is set at most once; setting it again moves it.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<TimerKey, Time>,
    /// How many of each kind are set: most that are cancelled are of a kind that is never set, while all goes well.
    kinds: [usize; KINDS],
    heap: BinaryHeap<Reverse<(Time, TimerKey)>>,
}

impl Timers {
    pub(super) fn set(&mut self, key: impl Into<TimerKey>, at: Time) {
        let key = key.into();
        let moved = self.due.insert(key, at).is_some();
        if !moved && let Some(count) = self.kinds.get_mut(key.kind()) {
            *count += 1;
        }
        self.heap.push(Reverse((at, key)));
        // Timers that are moved far more often than they fire must not pile up behind a distant one, and what many have needed
        // once is given back.
        let most = self.due.len() + self.due.len() / 2 + 64;
        if self.heap.len() > most || self.heap.capacity() > 2 * most {
            self.heap = self.due.iter().map(|(key, at)| Reverse((*at, *key))).collect();
        } else if moved {
            self.prune();
        }
    }

    pub(super) fn cancel(&mut self, key: impl Into<TimerKey>) {
        let key = key.into();
        let Some(count) = self.kinds.get_mut(key.kind()).filter(|count| **count > 0) else { return };
        if self.due.remove(&key).is_some() {
            *count -= 1;
            self.prune();
        }
    }

    /// When it will fire, if it is set.
    pub(super) fn due(&self, key: impl Into<TimerKey>) -> Option<Time> {
        self.due.get(&key.into()).copied()
    }

    /// The earliest, if any is set.
    pub(super) fn next(&self) -> Option<(Time, TimerKey)> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    /// Takes the earliest if it is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<TimerKey> {
        let (at, key) = self.next()?;
        if at > now {
            return None;
        }
        self.cancel(key);
        Some(key)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// Keeps the invariant that the top of the heap is a live timer.
    fn prune(&mut self) {
        while let Some(Reverse((at, key))) = self.heap.peek() {
            if self.due.get(key) == Some(at) {
                return;
            }
            self.heap.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> TimerKey {
        TimerKey::Transaction(TransactionTimer::Client(Branch(n), Timer::E))
    }

    #[test]
    fn timers_fire_in_the_order_of_time_and_key_and_leave_nothing() {
        let mut timers = Timers::default();
        for (n, at) in [(3, 20), (1, 10), (2, 10), (4, 30), (5, 5)] {
            timers.set(key(n), Time::from_millis(at));
        }
        timers.cancel(key(5));
        timers.set(key(4), Time::from_millis(1));
        assert_eq!(timers.next(), Some((Time::from_millis(1), key(4))));
        let mut fired = Vec::new();
        while let Some(key) = timers.pop_due(Time::from_millis(20)) {
            fired.push(key);
        }
        assert_eq!(fired, [key(4), key(1), key(2), key(3)]);
        assert_eq!((timers.next(), timers.len()), (None, 0));
    }

    #[test]
    fn a_timer_moved_many_times_fires_once() {
        let mut timers = Timers::default();
        for at in (0..1000).rev() {
            timers.set(key(1), Time::from_millis(at));
        }
        timers.set(key(1), Time::from_millis(5000));
        for at in 6000..20_000 {
            timers.set(key(2), Time::from_millis(at));
        }
        timers.cancel(key(2));
        assert!(timers.heap.len() < 100, "stale entries pile up");
        assert_eq!(timers.pop_due(Time::from_millis(4999)), None);
        assert_eq!(timers.pop_due(Time::from_millis(5000)), Some(key(1)));
        assert_eq!(timers.pop_due(Time::from_millis(9000)), None);
    }
}
