//! Watches the network for changes of an address or a route (DES-016).
//!
//! On Linux the kernel reports them (netlink, `man 7 rtnetlink`), and much else: links that come and go, a
//! lifetime that a router renews. The report itself is not read. It has all addresses and routes compared with
//! what they were; news that changed none of them is no news. The driver then checks which sockets would send
//! from another address now. On other systems both is done at regular times.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::mem;
use std::time::Duration;

use super::clock::Clock;
use crate::proto::Time;

/// Changes come in bursts: the check is this long after the last change of a burst.
const QUIET: Duration = Duration::from_millis(1500);
/// The check is this long after the first change of a burst at the latest.
const LONGEST: Duration = Duration::from_secs(5);

#[cfg(target_os = "linux")]
use linux::{Changes, standing};
#[cfg(not(target_os = "linux"))]
use others::{Changes, standing};

/// A watch on the network, which begins with [`NetWatch::watch`], and the time of the next check.
#[derive(Default)]
pub(super) struct NetWatch {
    changes: Option<Changes>,
    /// The times of the first and the last report since the last check.
    burst: Option<(Time, Time)>,
    /// The addresses and routes at the last check; `None`: the system did not say.
    standing: Option<Standing>,
}

/// Addresses and routes as numbers, which are others when they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// All that lead beyond a link.
    beyond: u64,
    /// Addresses that are good for one link only.
    links: u64,
}

impl NetWatch {
    /// Watches the network from now on.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        self.changes = Some(Changes::watch()?);
        self.standing = standing().ok();
        Ok(())
    }

    /// The time of the next check, if anything has been reported since the last one.
    pub(super) fn check_due(&self) -> Option<Time> {
        self.burst.map(|(first, last)| (last + QUIET).min(first + LONGEST))
    }

    /// Checks whether addresses or routes are others than at the last check; those that are good for one link
    /// only if somebody is talked to by such a one. What the system does not say counts as changed.
    pub(super) fn check(&mut self, counts_links: bool) -> bool {
        self.burst = None;
        match (mem::replace(&mut self.standing, standing().ok()), self.standing) {
            (Some(before), Some(now)) => {
                before.beyond != now.beyond || counts_links && before.links != now.links
            }
            (None, _) | (_, None) => true,
        }
    }

    /// Ends when something is reported; never, when nothing is watched. Can be dropped at any time.
    pub(super) async fn change(&mut self, clock: Clock) {
        let Some(changes) = &mut self.changes else { return std::future::pending().await };
        changes.next().await;
        let now = clock.now();
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }
}

fn hash_of(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, ErrorKind};
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
    };
    use tokio::net::unix::pipe::Receiver;

    use super::{Standing, hash_of};

    /// RTMGRP_LINK, and for IPv4 and IPv6 RTMGRP_IFADDR and RTMGRP_ROUTE.
    const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

    /// Message types: NLMSG_ERROR and NLMSG_DONE, RTM_NEWADDR and RTM_NEWROUTE, RTM_GETADDR and RTM_GETROUTE.
    const FAILED: u16 = 2;
    const DONE: u16 = 3;
    const ADDRESS: u16 = 20;
    const ROUTE: u16 = 24;
    const ADDRESSES_WANTED: u16 = 22;
    const ROUTES_WANTED: u16 = 26;
    /// NLM_F_REQUEST with NLM_F_DUMP.
    const ALL_OF_THEM: u16 = 0x301;
    /// AF_INET and AF_INET6.
    const FAMILIES: [u8; 2] = [2, 10];

    /// The octets of a message's head, and those of what it says of an address, and of a route.
    const HEAD: usize = 16;
    const ADDRESS_HEAD: usize = 8;
    const ROUTE_HEAD: usize = 12;

    /// Attributes: IFA_ADDRESS and IFA_LOCAL; RTA_DST; RTA_GATEWAY, RTA_MULTIPATH and RTA_VIA; RTA_CACHEINFO, which
    /// is another each time.
    const ADDRESS_ITSELF: [u16; 2] = [1, 2];
    const LEADS_TO: u16 = 1;
    const BY_GATEWAY: [u16; 3] = [5, 9, 18];
    const STATISTICS: u16 = 12;

    /// RT_SCOPE_LINK: an address that is good for that link only.
    const SCOPE_LINK: u8 = 253;
    /// Route types that follow from addresses: RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST.
    const FOLLOWING: [u8; 3] = [3, 4, 5];
    /// RTM_F_CLONED: no route, but what was learnt of one destination.
    const CLONED: u32 = 0x200;
    /// RTNH_F_DEAD and RTNH_F_LINKDOWN.
    const OUT_OF_USE: u32 = 0x1 | 0x10;

    /// A router of the Internet has a million routes: so many parts, of some hundred routes each, are looked at.
    const MOST_PARTS: usize = 256;

    /// The addresses and routes there are.
    ///
    /// # Errors
    ///
    /// The kernel does not say what there is.
    pub(super) fn standing() -> io::Result<Standing> {
        let mut all = Standing::default();
        for wanted in [ADDRESSES_WANTED, ROUTES_WANTED] {
            for family in FAMILIES {
                add(wanted, family, &mut all)?;
            }
        }
        Ok(all)
    }

    /// Adds all of one kind, in whatever order they come.
    fn add(wanted: u16, family: u8, all: &mut Standing) -> io::Result<()> {
        let asking = netlink()?;
        let mut request = [0; HEAD + ROUTE_HEAD];
        request[..4].copy_from_slice(&((HEAD + ROUTE_HEAD) as u32).to_ne_bytes());
        request[4..6].copy_from_slice(&wanted.to_ne_bytes());
        request[6..8].copy_from_slice(&ALL_OF_THEM.to_ne_bytes());
        request[HEAD] = family;
        sendto(asking.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut buffer = vec![0; 32_768];
        for _ in 0..MOST_PARTS {
            let length = recv(asking.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((kind, message)) = next_message(&mut rest) {
                match kind {
                    DONE => return Ok(()),
                    FAILED => return Err(ErrorKind::Unsupported.into()),
                    ADDRESS if message.first() == Some(&family) => {
                        let (scope, hash) = address(message).unwrap_or_default();
                        let sum = if scope == SCOPE_LINK { &mut all.links } else { &mut all.beyond };
                        *sum = sum.wrapping_add(hash);
                    }
                    ROUTE if message.first() == Some(&family) => {
                        all.beyond = all.beyond.wrapping_add(route(message).unwrap_or(0));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn netlink() -> io::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?)
    }

    /// The type and the content of the next message.
    fn next_message<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
        let length = usize::try_from(u32::from_ne_bytes(*rest.first_chunk()?)).ok()?;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let message = rest.get(HEAD..length)?;
        *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, message))
    }

    /// The types and values of attributes.
    fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
        std::iter::from_fn(move || {
            let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
            let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & 0x3fff;
            let value = rest.get(4..length)?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((kind, value))
        })
    }

    /// The scope of an address, and its hash.
    fn address(message: &[u8]) -> Option<(u8, u64)> {
        let (head, rest) = message.split_first_chunk::<ADDRESS_HEAD>()?;
        let [family, length, _flags, scope, interface @ ..] = head;
        let itself: Vec<_> = attributes(rest).filter(|(kind, _)| ADDRESS_ITSELF.contains(kind)).collect();
        Some((*scope, hash_of((family, length, interface, itself))))
    }

    /// The hash of a route that leads beyond a link. Whether the link is there counts for those by a gateway:
    /// the bridge of an idle host of containers has no link, either.
    fn route(message: &[u8]) -> Option<u64> {
        let (head, rest) = message.split_first_chunk::<ROUTE_HEAD>()?;
        let (what, flags) = head.split_last_chunk::<4>()?;
        let flags = u32::from_ne_bytes(*flags);
        let kind = what.last()?;
        let leads_to = attributes(rest).find(|(kind, _)| *kind == LEADS_TO);
        if FOLLOWING.contains(kind)
            || flags & CLONED != 0
            || leads_to.is_some_and(|(_, destination)| is_of_a_link(destination))
        {
            return None;
        }
        let by_gateway = attributes(rest).any(|(kind, _)| BY_GATEWAY.contains(&kind));
        let state = if by_gateway { flags & OUT_OF_USE } else { 0 };
        let all: Vec<_> = attributes(rest).filter(|(kind, _)| *kind != STATISTICS).collect();
        Some(hash_of((what, state, all)))
    }

    /// Whether a destination is link-local or multicast.
    fn is_of_a_link(destination: &[u8]) -> bool {
        match destination {
            [169, 254, _, _] | [224..=255, _, _, _] => true,
            [_, _, _, _] => false,
            [0xff, ..] => true,
            [0xfe, second, ..] => second & 0xc0 == 0x80,
            _ => false,
        }
    }

    /// The kernel's reports. The socket is no pipe, and reads like one.
    pub(crate) struct Changes(Receiver);

    impl Changes {
        /// Opens the kernel's reports.
        pub(crate) fn watch() -> io::Result<Changes> {
            let listening = netlink()?;
            bind(listening.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
            Receiver::from_owned_fd_unchecked(listening).map(Changes)
        }

        /// Ends when something is reported. Can be dropped at any time.
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
                        // An overflow of the socket's buffer is a report, too.
                        Err(_) if !seen => seen = true,
                        Err(_) => break,
                    }
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
            let length = u16::try_from(4 + value.len()).unwrap();
            let mut octets = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
            octets.extend(value);
            octets.resize(octets.len().next_multiple_of(4), 0);
            octets
        }

        fn new_address(scope: u8, ip: &[u8]) -> Vec<u8> {
            [&[2, 24, 0x80, scope, 7, 0, 0, 0], &attribute(1, ip)[..], &attribute(6, &[1; 16])].concat()
        }

        fn new_route(kind: u8, flags: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
            let mut octets = vec![2, 24, 0, 0, 254, 4, 0, kind];
            octets.extend(flags.to_ne_bytes());
            attributes.iter().for_each(|(kind, value)| octets.extend(attribute(*kind, value)));
            octets
        }

        /// DES-016: of an address only that counts, and where it is.
        #[test]
        fn an_address_is_told_from_another_and_not_from_itself_renewed() {
            let one = address(&new_address(0, &[192, 0, 2, 1]));
            let mut renewed = new_address(0, &[192, 0, 2, 1]);
            renewed[2] = 0;
            *renewed.last_mut().unwrap() = 9;
            assert!(one.is_some() && one == address(&renewed));
            assert_ne!(one, address(&new_address(0, &[192, 0, 2, 2])));
            let of_link = new_address(SCOPE_LINK, &[169, 254, 2, 2]);
            assert_eq!(address(&of_link).map(|(scope, _)| scope), Some(SCOPE_LINK));
        }

        /// DES-016: a route counts by where it leads and how, and a link that is down where a gateway is behind it.
        #[test]
        fn a_route_counts_by_where_it_leads_and_how() {
            let (net, gateway) = ([198, 51, 100, 0], [192, 0, 2, 254]);
            let by = |flags| route(&new_route(1, flags, &[(1, &net), (5, &gateway)]));
            assert!(by(0).is_some() && by(0) == by(0x4) && by(0) != by(0x10));
            let direct = |flags| route(&new_route(1, flags, &[(1, &net), (4, &[7, 0, 0, 0])]));
            assert!(direct(0).is_some() && direct(0) == direct(0x10) && direct(0) != by(0));
            let used = |count| route(&new_route(1, 0, &[(1, &net), (STATISTICS, &[count; 8])]));
            assert_eq!(used(1), used(2));
            assert!(route(&new_route(1, 0, &[(5, &gateway)])).is_some(), "the default route");
            for nowhere in [
                new_route(5, 0, &[(1, &net)]),
                new_route(1, CLONED, &[(1, &net)]),
                new_route(1, 0, &[(1, &[169, 254, 0, 0])]),
                new_route(1, 0, &[(1, &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]),
                new_route(1, 0, &[(1, &[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]),
            ] {
                assert_eq!(route(&nowhere), None, "{nowhere:?}");
            }
        }

        /// Whatever comes, the end of the octets is the end.
        #[test]
        fn what_is_cut_short_is_read_as_far_as_it_goes() {
            let whole = new_route(1, 0, &[(1, &[198, 51, 100, 0]), (5, &[192, 0, 2, 254])]);
            let mut octets = u32::try_from(HEAD + whole.len()).unwrap().to_ne_bytes().to_vec();
            octets.extend(ROUTE.to_ne_bytes());
            octets.resize(HEAD, 0);
            octets.extend(&whole);
            for length in 0..=octets.len() {
                let mut rest = &octets[..length];
                let read = next_message(&mut rest);
                assert_eq!(read.is_some(), length == octets.len());
                let _ = (address(&octets[..length]), route(&octets[..length]));
            }
            for length in [0, 1, 3, 15, u8::MAX] {
                octets[0] = length;
                assert!(next_message(&mut &octets[..]).is_none_or(|(_, message)| message.is_empty()));
                assert_eq!(attributes(&[length, 0, 1, 0, 9]).count(), usize::from(length == 5));
            }
            assert!(standing().is_ok());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod others {
    use std::io;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::time::Duration;

    use super::{Standing, hash_of};
    use crate::net::sockets;

    /// The time between two checks.
    const PERIOD: Duration = Duration::from_secs(15);

    /// The addresses that we would send from to somebody far away (RFC 5737, RFC 3849).
    pub(super) fn standing() -> io::Result<Standing> {
        let far: [IpAddr; 2] =
            [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()];
        let source = |ip| sockets::source(SocketAddr::new(ip, 5060), None).ok().map(|from| from.ip());
        Ok(Standing { beyond: hash_of(far.map(source)), links: 0 })
    }

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
