//! The core's only notion of time.
//!
//! A [`Time`] is an argument of every call that needs one: tests write it, snapshots print it, and the state file
//! keeps it. `net::clock` anchors it to the wall clock once, at start, and advances it by a clock that counts
//! suspend, so that a step of the wall clock changes nothing.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The time `ms` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Time {
        Time(ms)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This time, or the next that is a whole second: what need not be punctual is done together.
    pub(super) const fn full_second(self) -> Time {
        Time(self.0.div_ceil(1000).saturating_mul(1000))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Rounds up to a whole millisecond, so that a timer never fires early.
    fn add(self, span: Duration) -> Time {
        let ms = span.as_micros().div_ceil(1000);
        Time(self.0.saturating_add(u64::try_from(ms).unwrap_or(u64::MAX)))
    }
}

impl Sub<Time> for Time {
    type Output = Duration;

    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
