//! Waiting for a time of our clock, which counts suspend: on Linux with a timer of the kernel that does the
//! same (`timerfd`, CLOCK_BOOTTIME) and wakes nobody before; elsewhere with naps, since a sleep does not
//! count suspend.

use std::time::Duration;

use super::clock::Clock;
use crate::proto::Time;

/// A sleep up to this long is as good as the kernel's timer: suspend adds no more to it than this, and no
/// timer has to be set. A longer sleep of the runtime would wake the process now and then just to set itself
/// anew.
const NAP: Duration = Duration::from_secs(if cfg!(target_os = "linux") { 1 } else { 15 });

/// The alarm of one loop.
#[derive(Default)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<linux::Timer>,
}

impl Alarm {
    /// Ends when our clock reaches `due`; never without one. Can be dropped at any time.
    pub(super) async fn until(&mut self, clock: Clock, due: Option<Time>) {
        let Some(due) = due else { return std::future::pending().await };
        loop {
            let left = due.since(clock.now());
            if left.is_zero() {
                return;
            }
            #[cfg(target_os = "linux")]
            if left > NAP && self.timer(due, left).await {
                continue;
            }
            tokio::time::sleep(left.min(NAP)).await;
        }
    }
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// Waits with the kernel's timer; false where there is none.
    async fn timer(&mut self, due: Time, left: Duration) -> bool {
        if self.timer.is_none() {
            self.timer = linux::Timer::new().ok();
        }
        match &mut self.timer {
            Some(timer) => timer.wait(due, left).await.is_ok(),
            None => false,
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::net::unix::pipe::Receiver;

    use crate::proto::Time;

    pub(super) struct Timer {
        timer: TimerFd,
        /// The timer as a file to read: it is no pipe, and reads like one.
        expired: Receiver,
        /// The time that it is set to. A later one, which a busy loop often asks for, leaves it as it is.
        set: Option<Time>,
    }

    impl Timer {
        pub(super) fn new() -> io::Result<Timer> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
            let expired = Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
            Ok(Timer { timer, expired, set: None })
        }

        /// Ends at `due`, or earlier.
        pub(super) async fn wait(&mut self, due: Time, left: Duration) -> io::Result<()> {
            if self.set.is_none_or(|set| due < set) {
                let once = Expiration::OneShot(TimeSpec::from_duration(left));
                self.timer.set(once, TimerSetTimeFlags::empty())?;
                self.set = Some(due);
            }
            self.expired.readable().await?;
            self.set = None;
            // The read gives the number of expirations, and takes the readiness back.
            let _ = self.expired.try_read(&mut [0; 8]);
            Ok(())
        }
    }
}
