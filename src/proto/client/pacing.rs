//! When the tries of many accounts begin: one after the other, so that a registrar that comes back, or a
//! socket over which thousands leave, is not met by all at once (DES-010).
//!
//! Refreshes in their time are no concern of this: leases spread them. Whatever else makes accounts try or
//! leave may concern all of them in the same moment. Those wait here for their turn.
//!
//! The machine is pure and knows accounts by their ids only. [`crate::proto::endpoint`] asks it who may
//! begin, and comes back at [`Pacing::next_turn`].

use std::collections::VecDeque;
use std::time::Duration;

use crate::proto::{RegistrationId, Time};

/// The time between two tries: fifty begin in a second. When there are more than five hundred accounts, all
/// of them begin within the round.
const GAP: Duration = Duration::from_millis(20);
const ROUND: Duration = Duration::from_secs(10);

/// The same for removals, for which nobody can wait long: buffers that hold a few hundred datagrams overflow
/// if all of ten thousand leave at once.
const REMOVAL_GAP: Duration = Duration::from_micros(200);
const REMOVAL_ROUND: Duration = Duration::from_secs(2);

/// Turns of so long ago may still be taken: a loop that comes late makes up for it.
const MADE_UP: Duration = Duration::from_millis(20);

/// The accounts that are kept bound, as far as they have to wait for each other.
#[derive(Debug, Default)]
pub(in crate::proto) struct Pacing {
    /// How many accounts there are.
    count: u32,
    origin: Time,
    tries: Turns,
    removals: Turns,
    /// The time between two removals: from how many accounts there were when the first had to leave.
    removal_gap: Duration,
}

/// Accounts that wait, the first in front, and when that one may begin, since the epoch: there may be more
/// than one turn in a millisecond.
#[derive(Debug, Default)]
struct Turns {
    waiting: VecDeque<RegistrationId>,
    next: Duration,
}

impl Pacing {
    /// Whether there is no account, and nobody waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.tries.waiting.is_empty() && self.removals.waiting.is_empty()
    }

    /// When the first of the accounts joined: what their refreshes have in common counts from there, and with
    /// another process nothing.
    pub fn origin(&self) -> Time {
        self.origin
    }

    /// There is one account more.
    pub fn join(&mut self, now: Time) {
        if self.count == 0 {
            self.origin = now;
        }
        self.count += 1;
    }

    /// There is one account less. After the last one nobody waits.
    pub fn part(&mut self) {
        self.count = self.count.saturating_sub(1);
        if self.count == 0 {
            self.tries.waiting.clear();
            self.removals.waiting.clear();
        }
    }

    /// Whether the try of an account begins now. If not, [`Pacing::next_try`] gives it its turn.
    pub fn begins(&mut self, id: RegistrationId, now: Time) -> bool {
        let gap = self.gap();
        if self.tries.waiting.is_empty() && self.tries.take(gap, now) {
            return true;
        }
        self.tries.waiting.push_back(id);
        false
    }

    /// The next account whose try begins now. Those whose try `is_due` no longer wait for none.
    pub fn next_try(&mut self, now: Time, is_due: impl Fn(RegistrationId) -> bool) -> Option<RegistrationId> {
        let gap = self.gap();
        while let Some(id) = self.tries.waiting.front().copied() {
            let is_due = is_due(id);
            if is_due && !self.tries.take(gap, now) {
                return None;
            }
            self.tries.waiting.pop_front();
            if is_due {
                return Some(id);
            }
        }
        None
    }

    /// Has an account wait for the turn to remove its binding.
    pub fn leave(&mut self, id: RegistrationId) {
        if self.removals.waiting.is_empty() {
            self.removal_gap = REMOVAL_GAP.min(REMOVAL_ROUND / self.count.max(1));
        }
        self.removals.waiting.push_back(id);
    }

    /// The next account whose removal begins now.
    pub fn next_removal(&mut self, now: Time) -> Option<RegistrationId> {
        let begins = !self.removals.waiting.is_empty() && self.removals.take(self.removal_gap, now);
        if begins { self.removals.waiting.pop_front() } else { None }
    }

    /// When the next of those that wait may begin.
    pub fn next_turn(&self) -> Option<Time> {
        [self.tries.due(), self.removals.due()].into_iter().flatten().min()
    }

    fn gap(&self) -> Duration {
        GAP.min(ROUND / self.count.max(1))
    }
}

impl Turns {
    /// Whether a turn has come; then it is taken, and the next comes after the `gap`.
    fn take(&mut self, gap: Duration, now: Time) -> bool {
        let now = Duration::from_millis(now.as_millis());
        if self.next > now {
            return false;
        }
        self.next = self.next.max(now.saturating_sub(MADE_UP)) + gap;
        true
    }

    fn due(&self) -> Option<Time> {
        self.waiting.front()?;
        let ms = self.next.as_nanos().div_ceil(1_000_000);
        Some(Time::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_700_000_000_000;

    fn at(ms: u64) -> Time {
        Time::from_millis(START + ms)
    }

    /// So many accounts that have all become due, or shall leave, in the same moment.
    fn of(count: u64, wait: impl Fn(&mut Pacing, RegistrationId)) -> Pacing {
        let mut pacing = Pacing::default();
        (0..count).for_each(|_| pacing.join(at(0)));
        (0..count).for_each(|id| wait(&mut pacing, RegistrationId(id)));
        pacing
    }

    /// When each begins, in milliseconds, if the loop comes back at every turn.
    fn begin(
        pacing: &mut Pacing,
        next: impl Fn(&mut Pacing, Time) -> Option<RegistrationId>,
    ) -> Vec<(u64, u64)> {
        let mut begun = Vec::new();
        while let Some(turn) = pacing.next_turn() {
            let before = begun.len();
            while let Some(RegistrationId(id)) = next(pacing, turn) {
                begun.push((turn.as_millis() - START, id));
            }
            assert!(begun.len() > before, "a turn that nobody can take");
        }
        begun
    }

    fn all_due(pacing: &mut Pacing, now: Time) -> Option<RegistrationId> {
        pacing.next_try(now, |_| true)
    }

    /// DES-010: the loop that was idle before makes up for one turn, so that the second begins with the
    /// first.
    #[test]
    fn tries_begin_one_after_the_other_fifty_a_second() {
        let mut pacing = of(5, |pacing, id| {
            assert_eq!(pacing.begins(id, at(0)), id.0 < 2);
        });
        assert_eq!(begin(&mut pacing, all_due), [(20, 2), (40, 3), (60, 4)]);
    }

    /// DES-010
    #[test]
    fn of_ten_thousand_the_last_try_begins_within_ten_seconds() {
        let mut pacing = of(10_000, |pacing, id| {
            let _ = pacing.begins(id, at(0));
        });
        let begun = begin(&mut pacing, all_due);
        assert!((9_970..10_000).contains(&begun.len()), "{}", begun.len());
        assert!(begun.is_sorted() && begun.last().is_some_and(|(ms, id)| *ms <= 10_000 && *id == 9_999));
    }

    #[test]
    fn an_account_that_is_due_no_longer_takes_no_turn() {
        let mut pacing = of(6, |pacing, id| {
            let _ = pacing.begins(id, at(0));
        });
        let odd = |pacing: &mut Pacing, now| pacing.next_try(now, |id| id.0 % 2 == 1);
        assert_eq!(odd(&mut pacing, at(20)), Some(RegistrationId(3)));
        assert_eq!(odd(&mut pacing, at(20)), None);
        assert_eq!(odd(&mut pacing, at(40)), Some(RegistrationId(5)));
        assert_eq!(pacing.next_turn(), None);
    }

    #[test]
    fn a_loop_that_comes_late_makes_up_for_one_turn_and_not_for_all() {
        let mut pacing = of(9, |pacing, id| {
            let _ = pacing.begins(id, at(0));
        });
        let late = std::iter::from_fn(|| all_due(&mut pacing, at(1000))).count();
        assert_eq!((late, pacing.next_turn()), (2, Some(at(1020))));
    }

    #[test]
    fn removals_are_five_a_millisecond_and_of_many_the_last_begins_within_two_seconds() {
        for (count, last) in [(1, 0), (1000, 180), (10_000, 1980), (100_000, 1980)] {
            let mut pacing = of(count, Pacing::leave);
            let mut begun = 0;
            let mut now = at(0);
            while let Some(turn) = pacing.next_turn() {
                now = now.max(turn);
                begun += std::iter::from_fn(|| pacing.next_removal(now)).count();
            }
            assert_eq!((begun, now), (usize::try_from(count).unwrap(), at(last)), "{count}");
        }
    }

    #[test]
    fn nobody_waits_after_the_last_account_has_gone() {
        let mut pacing = of(3, |pacing, id| {
            let _ = pacing.begins(id, at(0));
            pacing.leave(id);
        });
        assert_eq!(pacing.origin(), at(0));
        for left in [2, 1, 0] {
            assert!(!pacing.is_empty() && pacing.next_turn().is_some(), "{left}");
            pacing.part();
        }
        assert!(pacing.is_empty() && pacing.next_turn().is_none());
        pacing.join(at(7));
        assert_eq!(pacing.origin(), at(7));
    }
}
