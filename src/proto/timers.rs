//! The endpoint's timers: a heap with lazy deletion, so that setting, cancelling and finding the next are O(log n).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::transaction::Timer;
use super::{FlowId, RegistrationId, Time};

/// Which timer. Those due at the same time fire in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKey {
    /// Of a transaction, by its number.
    Transaction(u64, Timer),
    /// A stream in the middle of a message.
    Incomplete(FlowId),
    /// The current destination of a registration has had its time (64·T1, connecting included).
    Destination(RegistrationId),
    /// A try of the registration has had its time.
    TryLimit(RegistrationId),
    /// The registration as a whole has had its time.
    CommandLimit(RegistrationId),
    /// The next try is due.
    Retry(RegistrationId),
    /// An account that is kept bound has something to do.
    Keep(RegistrationId),
    /// What the removal of its binding may take is over.
    Leave(RegistrationId),
    /// Another account may begin.
    Pace,
    /// A call that was refused is repeated, or over.
    Called,
    /// Timer K of the first of those transactions that only absorb copies of their answer.
    Absorbing,
    /// A server transaction is slow or over.
    Served,
    /// A binding runs out.
    Bindings,
    /// A connection has been silent for too long.
    Silent,
}

const KINDS: usize = 16;

impl TimerKey {
    fn kind(self) -> usize {
        match self {
            TimerKey::Transaction(_, Timer::E) => 0,
            TimerKey::Transaction(_, Timer::F) => 1,
            TimerKey::Transaction(_, Timer::K) => 2,
            TimerKey::Incomplete(_) => 3,
            TimerKey::Destination(_) => 4,
            TimerKey::TryLimit(_) => 5,
            TimerKey::CommandLimit(_) => 6,
            TimerKey::Retry(_) => 7,
            TimerKey::Keep(_) => 8,
            TimerKey::Leave(_) => 9,
            TimerKey::Pace => 10,
            TimerKey::Called => 11,
            TimerKey::Served => 12,
            TimerKey::Bindings => 13,
            TimerKey::Silent => 14,
            TimerKey::Absorbing => 15,
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
    pub(super) fn set(&mut self, key: TimerKey, at: Time) {
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

    pub(super) fn cancel(&mut self, key: TimerKey) {
        let Some(count) = self.kinds.get_mut(key.kind()).filter(|count| **count > 0) else { return };
        if self.due.remove(&key).is_some() {
            *count -= 1;
            self.prune();
        }
    }

    /// When it will fire, if it is set.
    pub(super) fn due(&self, key: TimerKey) -> Option<Time> {
        self.due.get(&key).copied()
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
        TimerKey::Transaction(n, Timer::E)
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
