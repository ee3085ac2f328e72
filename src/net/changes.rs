//! Notices that something about the network has changed: an address, a route, an interface (DES-016).
//!
//! On Linux the kernel says so (netlink, `man 7 rtnetlink`). What exactly has changed is not read: whoever is told looks
//! for itself which sockets would now send from elsewhere. Elsewhere that is looked at now and then.

use std::io;
use std::time::Duration;

use super::clock::Clock;
use crate::proto::Time;

/// What changes comes in bursts: this long after the last of one it is looked at, and this long after the first at the
/// latest.
const QUIET: Duration = Duration::from_millis(1500);
const LONGEST: Duration = Duration::from_secs(5);

#[cfg(target_os = "linux")]
use linux::Changes;
#[cfg(not(target_os = "linux"))]
use others::Changes;

/// Changes that are watched for, or not, and when to look what they were.
#[derive(Default)]
pub(super) struct Changing {
    changes: Option<Changes>,
    /// When the first and the last came that was not looked at.
    burst: Option<(Time, Time)>,
}

impl Changing {
    /// Watches from now on.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        self.changes = Some(Changes::watch()?);
        Ok(())
    }

    /// When it is time to look, if there is anything to look at.
    pub(super) fn looks_at(&self) -> Option<Time> {
        self.burst.map(|(first, last)| (last + QUIET).min(first + LONGEST))
    }

    /// It was looked at.
    pub(super) fn looked(&mut self) {
        self.burst = None;
    }

    /// Something has changed. Never, when nothing is watched for. Can be dropped at any time.
    pub(super) async fn noticed(&mut self, clock: Clock) {
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

    /// Where the kernel says it. It is no pipe, and reads like one.
    pub(crate) struct Changes(Receiver);

    impl Changes {
        /// Listens from now on.
        pub(crate) fn watch() -> io::Result<Changes> {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let route = SockProtocol::NetlinkRoute;
            let listening = socket(AddressFamily::Netlink, SockType::Raw, flags, route)?;
            bind(listening.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
            Receiver::from_owned_fd_unchecked(listening).map(Changes)
        }

        /// Something has changed. Can be dropped at any time.
        pub(crate) async fn next(&mut self) {
            let mut seen = false;
            while !seen {
                if self.0.readable().await.is_err() {
                    return std::future::pending().await;
                }
                // Here, for this is waited for again at every turn of the loop.
                let mut buffer = [0; 8192];
                loop {
                    match self.0.try_read(&mut buffer) {
                        Ok(0) => return std::future::pending().await,
                        Ok(_) => seen = true,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        // There was more than the socket's buffer holds: that is a change, too.
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

    /// The time between two looks.
    const PERIOD: Duration = Duration::from_secs(15);

    /// A clock that says when to look.
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
