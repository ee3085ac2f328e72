//! Watches the network for changes: of an address, a route, an interface (DES-016).
//!
//! On Linux the kernel reports them (netlink, `man 7 rtnetlink`). The change itself is not read: the driver
//! checks which sockets would send from another address now. On other systems it checks at regular times.

use std::io;
use std::time::Duration;

use super::clock::Clock;
use crate::proto::Time;

/// Changes come in bursts: the check is this long after the last change of a burst.
const QUIET: Duration = Duration::from_millis(1500);
/// The check is this long after the first change of a burst at the latest.
const LONGEST: Duration = Duration::from_secs(5);

#[cfg(target_os = "linux")]
use linux::Changes;
#[cfg(not(target_os = "linux"))]
use others::Changes;

/// A watch on the network, which begins with [`NetWatch::watch`], and the time of the next check.
#[derive(Default)]
pub(super) struct NetWatch {
    changes: Option<Changes>,
    /// The times of the first and the last change since the last check.
    burst: Option<(Time, Time)>,
}

impl NetWatch {
    /// Watches the network from now on.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        self.changes = Some(Changes::watch()?);
        Ok(())
    }

    /// The time of the next check, if anything has changed since the last one.
    pub(super) fn check_due(&self) -> Option<Time> {
        self.burst.map(|(first, last)| (last + QUIET).min(first + LONGEST))
    }

    /// Forgets the changes that the driver has checked.
    pub(super) fn reset(&mut self) {
        self.burst = None;
    }

    /// Ends when something has changed; never, when nothing is watched. Can be dropped at any time.
    pub(super) async fn change(&mut self, clock: Clock) {
        let Some(changes) = &mut self.changes else { return std::future::pending().await };
        changes.next().await;
        let now = clock.now();
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, ErrorKind};
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
    use tokio::net::unix::pipe::Receiver;

    /// RTMGRP_LINK, and for IPv4 and IPv6 RTMGRP_IFADDR and RTMGRP_ROUTE.
    const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

    /// The kernel's reports. The socket is no pipe, and reads like one.
    pub(crate) struct Changes(Receiver);

    impl Changes {
        /// Opens the kernel's reports.
        pub(crate) fn watch() -> io::Result<Changes> {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let route = SockProtocol::NetlinkRoute;
            let listening = socket(AddressFamily::Netlink, SockType::Raw, flags, route)?;
            bind(listening.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
            Receiver::from_owned_fd_unchecked(listening).map(Changes)
        }

        /// Ends when something has changed. Can be dropped at any time.
        pub(crate) async fn next(&mut self) {
            let mut seen = false;
            while !seen {
                if self.0.readable().await.is_err() {
                    return std::future::pending().await;
                }
                // Not in the future's state, which every turn of the driver's loop makes anew.
                let mut buffer = [0; 8192];
                loop {
                    match self.0.try_read(&mut buffer) {
                        Ok(0) => return std::future::pending().await,
                        Ok(_) => seen = true,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        // An overflow of the socket's buffer is a change, too.
                        Err(_) if !seen => seen = true,
                        Err(_) => break,
                    }
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod others {
    use std::io;
    use std::time::Duration;

    /// The time between two checks.
    const PERIOD: Duration = Duration::from_secs(15);

    /// A timer in the place of reports.
    pub(crate) struct Changes;

    impl Changes {
        pub(crate) fn watch() -> io::Result<Changes> {
            Ok(Changes)
        }

        pub(crate) async fn next(&mut self) {
            tokio::time::sleep(PERIOD).await;
        }
    }
}
