//! Notifications to systemd for a service of `Type=notify` (`man 3 sd_notify`). Without `NOTIFY_SOCKET` there
//! are none.

use std::time::Duration;

/// The connection to the service manager.
pub(super) struct Manager {
    listens: bool,
    ready: bool,
    status: String,
    watchdog: Option<tokio::time::Interval>,
}

impl Manager {
    /// The manager that the environment names. Needs the runtime.
    pub(super) fn of_environment() -> Manager {
        let period = system::watchdog().map(|period| (period / 2).max(Duration::from_millis(1)));
        Manager {
            listens: std::env::var_os("NOTIFY_SOCKET").is_some(),
            ready: false,
            status: String::new(),
            watchdog: period.map(tokio::time::interval),
        }
    }

    /// Whether a service manager listens.
    pub(super) fn listens(&self) -> bool {
        self.listens
    }

    /// Notifies that so many of the accounts are bound, and the first time when each has been tried.
    pub(super) fn stands(&mut self, bound: usize, all: usize, all_tried: bool) {
        let status = format!("{bound} of {all} bound");
        if self.status != status {
            system::tell(system::Say::Status(&status));
            self.status = status;
        }
        if all_tried && !self.ready {
            self.ready = true;
            system::tell(system::Say::Ready);
        }
    }

    /// The configuration is being read again.
    pub(super) fn reloads(&self) {
        system::tell(system::Say::Reloading);
    }

    /// The configuration has been read again.
    pub(super) fn reloaded(&self) {
        system::tell(system::Say::Ready);
    }

    /// The bindings are being removed, and the process ends.
    pub(super) fn stops(&self) {
        system::tell(system::Say::Stopping);
    }

    /// Feeds the watchdog, as often as it asks for, and ends each time; never ends without a watchdog. Can be
    /// dropped at any time.
    pub(super) async fn beat(&mut self) {
        match &mut self.watchdog {
            Some(period) => {
                period.tick().await;
                system::tell(system::Say::Alive);
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::time::Duration;

    use sd_notify::NotifyState;

    pub(super) enum Say<'a> {
        Status(&'a str),
        Ready,
        Reloading,
        Stopping,
        Alive,
    }

    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    /// Errors are ignored: a manager that does not listen is no fault.
    pub(super) fn tell(what: Say<'_>) {
        let _ = match what {
            Say::Status(text) => sd_notify::notify(&[NotifyState::Status(text)]),
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

    pub(super) enum Say<'a> {
        Status(#[allow(dead_code, reason = "nobody listens here")] &'a str),
        Ready,
        Reloading,
        Stopping,
        Alive,
    }

    pub(super) fn watchdog() -> Option<Duration> {
        None
    }

    pub(super) fn tell(_what: Say<'_>) {}
}
