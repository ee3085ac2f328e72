//! The one clock. It is anchored to the wall clock once, at start, and advances by a clock that counts
//! suspend (`CLOCK_BOOTTIME` on Linux): a registrar's lifetime runs on while the lid is closed, and a step of
//! the wall clock changes nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::proto::Time;

/// The clock. Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Time,
    /// The same, since 1970, as precise as the system has it.
    wall: Duration,
    started: Instant,
    booted: Option<Duration>,
}

impl Clock {
    /// Reads the wall clock: once per process, before anything else asks for the time.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn start() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { anchor: Time::default() + wall, wall, started: Instant::now(), booted: since_boot() }
    }

    /// The current time. Never goes back.
    #[must_use]
    pub fn now(&self) -> Time {
        // Whole milliseconds that have passed, so that nothing seems due before it is.
        let elapsed = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        Time::from_millis(self.anchor.as_millis().saturating_add(elapsed))
    }

    /// The time since 1970, as precise as the system has it: for showing, not for deciding.
    #[must_use]
    pub fn since_epoch(&self) -> Duration {
        self.wall.saturating_add(self.elapsed())
    }

    /// The time since [`Clock::start`], as precise as the system has it: for showing, not for deciding.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match (self.booted, since_boot()) {
            (Some(then), Some(now)) => now.saturating_sub(then),
            (None, _) | (_, None) => self.started.elapsed(),
        }
    }
}

/// Time since boot, suspend included.
#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}

/// On other systems `Instant` has to do. (On Windows it counts suspend, on macOS it doesn't.)
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "compares the one clock with the wall clock")]
    fn the_clock_starts_at_the_wall_clock_and_never_goes_back() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let clock = Clock::start();
        let mut last = clock.now();
        assert!(u128::from(last.as_millis()) >= before);
        assert!(u128::from(last.as_millis()) < before + 10_000);
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn copies_agree_and_the_clock_moves() {
        let clock = Clock::start();
        let copy = clock;
        let start = clock.now();
        while clock.now() == start {
            std::hint::spin_loop();
        }
        assert!(copy.now() > start);
    }
}
