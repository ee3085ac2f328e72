//! When those are asked to come back whom the registrar has no time for (RFC 3261 §20.33): one after the other.
//!
//! The devices of a server that has died, or of a town whose power is back, come all at once. If all were told the same time,
//! they would be back all at once, and again, until their patience is over. So whoever is refused is lined up behind those who
//! were refused before, and the line is as long as it takes to serve it. While nobody is served at all, as when the store is away,
//! the wait grows with the time for which that has been so: a client believes a Retry-After only a few times in a row.

use std::time::Duration;

use crate::proto::Time;
use crate::proto::ids::{Random, jitter};

/// Nobody is asked to come back sooner.
const LEAST: Duration = Duration::from_secs(5);

/// The line is never longer. Who would be beyond comes in its second half, at a random time.
const LONGEST: Duration = Duration::from_secs(300);

/// Requests a second that a server is taken to serve as long as it has not served more: to refuse so many again costs little.
const LEAST_PACE: u32 = 1000;

/// How many times as fast as it is served the line comes back. Who is refused once more loses little, and a server that waits for
/// those whom it has sent away loses all that it could have served; and many of them are served elsewhere by then.
const HASTE: u32 = 2;

/// The part of the pace that is forgotten in a second in which something was served.
const FORGOTTEN: u32 = 64;

/// Those who were refused for lack of time, and how fast the server can see to them.
#[derive(Debug, Default)]
pub struct Line {
    /// When the last of them is to come back, since the epoch: there may be many turns in a millisecond.
    last: Duration,
    /// What was served within the second that began then.
    second: u64,
    served: u32,
    /// The most requests a second that were served not long ago.
    pace: u32,
    /// Since when nobody was served, if somebody was refused after that.
    away: Option<Time>,
}

impl Line {
    /// A request was served.
    pub fn served(&mut self, now: Time) {
        self.away = None;
        let second = now.as_millis() / 1000;
        if second != self.second {
            let rest = self.pace - self.pace.div_ceil(FORGOTTEN).min(self.pace);
            self.pace = rest.max(self.served);
            (self.second, self.served) = (second, 0);
        }
        self.served = self.served.saturating_add(1);
    }

    /// A request is refused for lack of time: how many seconds later it is asked to come back.
    pub fn turn(&mut self, random: &mut dyn Random, now: Time) -> u32 {
        let away = now.since(*self.away.get_or_insert(now));
        let least = away.clamp(LEAST, LONGEST / 2);
        let now = Duration::from_millis(now.as_millis());
        let gap = Duration::from_secs(1) / self.pace.max(self.served).saturating_mul(HASTE).max(LEAST_PACE);
        let after = self.last.max(now + least) + gap - now;
        let wait = if after + least <= LONGEST {
            self.last = now + after;
            after + jitter(least, random)
        } else {
            LONGEST - jitter(LONGEST / 2, random)
        };
        u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ids::Counting;

    fn at(ms: u64) -> Time {
        Time::from_millis(1_700_000_000_000 + ms)
    }

    /// Of so many who are refused in that moment, how many are to come back in which second.
    fn refused(line: &mut Line, count: u32, now: Time) -> Vec<u32> {
        let mut random = Counting::default();
        let mut seconds = Vec::new();
        for _ in 0..count {
            let after = line.turn(&mut random, now) as usize;
            seconds.resize(seconds.len().max(after + 1), 0);
            seconds[after] += 1;
        }
        seconds
    }

    /// DES-008
    #[test]
    fn the_few_who_are_refused_come_back_between_five_and_ten_seconds_later() {
        let (mut line, mut random) = (Line::default(), Counting::default());
        let mut turn = |n: u64| {
            line.served(at(n * 100));
            line.turn(&mut random, at(n * 100))
        };
        let turns: Vec<u32> = (0..1000).map(&mut turn).collect();
        assert!(turns.iter().all(|seconds| (6..=11).contains(seconds)), "{turns:?}");
        assert!((6..=10).all(|seconds| turns.contains(&seconds)));
    }

    /// DSR-006
    #[test]
    fn a_crowd_comes_back_a_little_faster_than_it_is_served() {
        let mut line = Line::default();
        let seconds = refused(&mut line, 100_000, at(0));
        assert!(seconds.iter().all(|count| *count <= 1100), "{seconds:?}");
        assert_eq!(seconds.len() - 1, 5 + 100 + 5);
        // What is served in the meantime says how fast that may be.
        let mut line = Line::default();
        (0..20_000).for_each(|n| line.served(at(n / 10)));
        let seconds = refused(&mut line, 100_000, at(2000));
        assert!(seconds.iter().all(|count| *count <= 21_000), "{seconds:?}");
        assert_eq!(seconds.len() - 1, 5 + 5 + 5);
    }

    #[test]
    fn a_second_crowd_is_lined_up_behind_the_first() {
        let mut line = Line::default();
        refused(&mut line, 50_000, at(0));
        let seconds = refused(&mut line, 50_000, at(1000));
        assert_eq!(seconds.iter().position(|count| *count > 0), Some(55));
        // Whose turn has passed is no longer in it.
        line.served(at(199_000));
        let seconds = refused(&mut line, 1000, at(200_000));
        assert!(seconds.len() <= 12, "{seconds:?}");
    }

    #[test]
    fn nobody_is_sent_away_for_more_than_five_minutes() {
        let mut line = Line::default();
        let seconds = refused(&mut line, 1_000_000, at(0));
        assert_eq!(seconds.len() - 1, 300);
        // Those beyond the line are spread over half of it.
        assert!(seconds[160..290].iter().all(|count| (5000..6000).contains(count)), "{seconds:?}");
    }

    /// DES-008: whoever comes back when asked to comes four times in a minute and a half, and not ten or more.
    #[test]
    fn while_nobody_is_served_they_come_back_ever_more_seldom() {
        let (mut line, mut random) = (Line::default(), Counting::default());
        let mut seconds = 0;
        let turns: Vec<u32> = std::iter::from_fn(|| {
            let turn = line.turn(&mut random, at(u64::from(seconds) * 1000));
            seconds += turn;
            Some(turn)
        })
        .take(7)
        .collect();
        assert!(turns.is_sorted() && turns[0] <= 11, "{turns:?}");
        assert!(turns.windows(2).all(|two| two[1] <= 3 * two[0]), "{turns:?}");
        assert!((4..=5).contains(&turns.iter().take_while(|turn| **turn < 60).count()), "{turns:?}");
        assert!((150..=301).contains(&turns[6]), "{turns:?}");
        line.served(at(2_000_000));
        assert!(line.turn(&mut random, at(2_000_000)) <= 11);
    }

    #[test]
    fn what_was_served_long_ago_is_forgotten() {
        let mut line = Line::default();
        (0..20_000).for_each(|n| line.served(at(n / 10)));
        let length = |line: &mut Line, now| refused(line, 60_000, now).len() - 11;
        assert_eq!(length(&mut line, at(3000)), 3);
        // A minute without anything served says nothing of the pace, and a few minutes with little do.
        line.served(at(63_000));
        assert_eq!(length(&mut line, at(63_000)), 3);
        (0..3000).for_each(|n| line.served(at(100_000 + n * 100)));
        assert!(length(&mut line, at(400_000)) > 50);
    }
}
