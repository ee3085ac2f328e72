//! Notifications to systemd for a service of `Type=notify` (`man 3 sd_notify`). Without `NOTIFY_SOCKET` there
//! are none.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// The least time between two statuses.
const PACE: Duration = Duration::from_secs(1);

/// The connection to the service manager.
pub(super) struct Manager {
    teller: Option<system::Teller>,
    ready: bool,
    /// What is so, and what was told of it.
    status: String,
    told: String,
    pace: Interval,
    watchdog: Option<Interval>,
}

impl Manager {
    /// The manager that the environment names. Needs the runtime.
    pub(super) fn of_environment() -> Manager {
        let period = system::watchdog().map(|period| (period / 2).max(Duration::from_millis(1)));
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Manager {
            teller: std::env::var_os("NOTIFY_SOCKET").and_then(|_| system::Teller::start()),
            ready: false,
            status: String::new(),
            told: String::new(),
            pace,
            watchdog: period.map(interval),
        }
    }

    /// Whether a service manager listens.
    pub(super) fn listens(&self) -> bool {
        self.teller.is_some()
    }

    /// Notifies that so many of the accounts are bound, and the first time when each has been tried.
    pub(super) fn stands(&mut self, bound: usize, all: usize, all_tried: bool) {
        self.status = format!("{bound} of {all} bound");
        if all_tried && !self.ready {
            self.ready = true;
            self.tell_status();
            self.tell(system::Say::Ready);
        }
    }

    fn tell_status(&mut self) {
        if self.tell(system::Say::Status(self.status.clone())) {
            self.told.clone_from(&self.status);
        }
    }

    /// Whether it is going to be told.
    fn tell(&self, what: system::Say) -> bool {
        self.teller.as_ref().is_some_and(|teller| teller.tell(what))
    }

    /// The configuration is being read again.
    pub(super) fn reloads(&self) {
        self.tell(system::Say::Reloading);
    }

    /// The configuration has been read again.
    pub(super) fn reloaded(&self) {
        self.tell(system::Say::Ready);
    }

    /// The bindings are being removed, and the process ends.
    pub(super) fn stops(&self) {
        self.tell(system::Say::Stopping);
    }

    /// Feeds the watchdog as often as it asks for, tells a status that is new, and ends each time; never ends where
    /// there is nothing to tell. Can be dropped at any time.
    pub(super) async fn beat(&mut self) {
        let has_news = self.listens() && self.status != self.told;
        let feed = async {
            match &mut self.watchdog {
                Some(period) => period.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = feed => { self.tell(system::Say::Alive); }
            _ = self.pace.tick(), if has_news => self.tell_status(),
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Duration;

    use sd_notify::NotifyState;

    pub(super) enum Say {
        Status(String),
        Ready,
        Reloading,
        Stopping,
        Alive,
    }

    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    /// A thread that tells, since telling waits while nobody reads the manager's socket.
    pub(super) struct Teller {
        queue: SyncSender<Say>,
        untold: Arc<AtomicUsize>,
    }

    impl Teller {
        /// More than is ever told beside statuses and the watchdog's food, unless nobody reads.
        const QUEUE: usize = 64;

        /// `None` where no thread is to be had.
        pub(super) fn start() -> Option<Teller> {
            let (queue, told) = sync_channel(Teller::QUEUE);
            let untold = Arc::new(AtomicUsize::new(0));
            let waiting = Arc::clone(&untold);
            let thread = std::thread::Builder::new().name("systemd".to_owned());
            thread.spawn(move || run(&told, &waiting)).ok()?;
            Some(Teller { queue, untold })
        }

        /// Tells it as soon as the manager reads. What it would hear again soon is left out while something waits.
        pub(super) fn tell(&self, what: Say) -> bool {
            let comes_again = matches!(what, Say::Status(_) | Say::Alive);
            if comes_again && self.untold.load(Ordering::Acquire) > 1 {
                return false;
            }
            self.untold.fetch_add(1, Ordering::AcqRel);
            let is_taken = self.queue.try_send(what).is_ok();
            if !is_taken {
                self.untold.fetch_sub(1, Ordering::AcqRel);
            }
            is_taken
        }
    }

    fn run(told: &Receiver<Say>, untold: &AtomicUsize) {
        for what in told {
            notify(what);
            untold.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Errors are ignored: a manager that does not listen is no fault.
    fn notify(what: Say) {
        let _ = match what {
            Say::Status(text) => sd_notify::notify(&[NotifyState::Status(&text)]),
            Say::Ready => sd_notify::notify(&[NotifyState::Ready]),
            Say::Reloading => NotifyState::monotonic_usec_now()
                .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
            Say::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
            Say::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        };
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    pub(super) enum Say {
        Status(#[allow(dead_code, reason = "nobody listens here")] String),
        Ready,
        Reloading,
        Stopping,
        Alive,
    }

    pub(super) fn watchdog() -> Option<Duration> {
        None
    }

    /// There is no such manager.
    pub(super) enum Teller {}

    impl Teller {
        pub(super) fn start() -> Option<Teller> {
            None
        }

        pub(super) fn tell(&self, _what: Say) -> bool {
            match *self {}
        }
    }
}
