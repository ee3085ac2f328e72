//! Datagrams by the batch: on Linux a system call for up to [`BATCH`] of them, in each direction.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

/// The most that is taken, or sent, at a time.
pub(super) const BATCH: usize = 32;

/// The largest datagram there is (RFC 3261 §18.1.1: messages up to the maximum datagram size must be handled).
pub(super) const LARGEST: usize = 65_535;

/// A datagram, in or out.
pub(super) struct Datagram {
    /// Who sent it, or is to get it.
    pub peer: SocketAddr,
    /// The address of ours that it came to, or is to leave from; `None`: that of the socket.
    pub local: Option<IpAddr>,
    /// The octets.
    pub bytes: Bytes,
}

pub(super) use system::{Room, receive, send, tell_local};

#[cfg(target_os = "linux")]
mod system {
    use std::collections::VecDeque;
    use std::io::{ErrorKind, IoSlice, IoSliceMut};
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::os::fd::{AsFd, AsRawFd};

    use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
    use nix::sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg,
        sendmmsg, sendmsg, setsockopt,
    };
    use nix::{cmsg_space, libc};
    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    use super::*;
    use crate::net::icmp::address;

    /// Errors in a row after which it is left to the next datagram to try again.
    const TRIES: usize = 32;

    /// The least that is asked for.
    const FEWEST: usize = 2;

    /// Where a batch comes in. The system gives its pages when a datagram reaches them.
    pub(crate) struct Room {
        octets: Vec<u8>,
        /// How many are asked for: more, when that many came. Every one costs, also where none is.
        many: usize,
    }

    impl Room {
        pub(crate) fn new() -> Room {
            Room { octets: vec![0; BATCH * LARGEST], many: FEWEST }
        }
    }

    /// Asks for [`Datagram::local`] of every datagram.
    pub(crate) fn tell_local(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
        match address {
            SocketAddr::V4(_) => setsockopt(socket, Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvPacketInfo, &true)?,
        }
        Ok(())
    }

    /// Takes a batch of what has come in. A batch that is not full leaves the socket's readiness taken back: the kernel
    /// had no more, and the next datagram brings it again.
    pub(crate) fn receive(socket: &UdpSocket, room: &mut Room, mut take: impl FnMut(Datagram)) {
        let _ = socket.try_io(Interest::READABLE, || {
            let mut taken = 0;
            for _ in 0..TRIES {
                let many = room.many.min(BATCH - taken);
                match receive_batch(socket.as_raw_fd(), room, many, &mut take) {
                    Ok(count) if count == many => {
                        taken += count;
                        room.many = (2 * many).min(BATCH);
                        if taken == BATCH {
                            return Ok(());
                        }
                    }
                    Ok(count) => {
                        room.many = count.max(FEWEST);
                        break;
                    }
                    Err(nix::Error::EAGAIN) => break,
                    // Of a datagram sent earlier: it says nothing of those that come in.
                    Err(_) => {}
                }
            }
            Err(ErrorKind::WouldBlock.into())
        });
    }

    fn receive_batch(
        fd: i32,
        room: &mut Room,
        many: usize,
        take: &mut impl FnMut(Datagram),
    ) -> nix::Result<usize> {
        let places = room.octets.chunks_mut(LARGEST).take(many);
        let mut places: Vec<_> = places.map(|place| [IoSliceMut::new(place)]).collect();
        let space = cmsg_space!(libc::in6_pktinfo);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(many, Some(space));
        let messages = recvmmsg(fd, &mut headers, places.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let mut count = 0;
        for message in messages {
            count += 1;
            if let Some(peer) = message.address.as_ref().and_then(address) {
                let bytes = message.iovs().next().map(Bytes::copy_from_slice).unwrap_or_default();
                take(Datagram { peer, local: local(&message), bytes });
            }
        }
        Ok(count)
    }

    /// Of a datagram to many, the address it came to is none to answer from.
    fn local<S>(message: &RecvMsg<'_, '_, S>) -> Option<IpAddr> {
        for control in message.cmsgs().ok()? {
            #[allow(clippy::wildcard_enum_match_arm, reason = "a list of the system's")]
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    return Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    let to = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    return (!to.is_multicast()).then_some(to.into());
                }
                _ => {}
            }
        }
        None
    }

    /// Sends of the queue's head what can go at once, and tells how many that were.
    ///
    /// # Errors
    /// What the system says of the first.
    pub(crate) fn send(socket: &UdpSocket, queue: &VecDeque<Datagram>) -> io::Result<usize> {
        let Some(first) = queue.front() else { return Ok(0) };
        let alike = queue.iter().take(BATCH).take_while(|datagram| datagram.local == first.local);
        let (v4, v6) = match first.local {
            Some(IpAddr::V4(local)) => (Some(info_v4(local)), None),
            Some(IpAddr::V6(local)) => (None, Some(info_v6(local))),
            None => (None, None),
        };
        let v4 = v4.as_ref().map(ControlMessage::Ipv4PacketInfo);
        let control = v4.or_else(|| v6.as_ref().map(ControlMessage::Ipv6PacketInfo));
        // Not asked before whether it is ready: a socket that has just been opened is not known to be.
        match send_batch(socket.as_raw_fd(), alike, control.as_slice()) {
            Ok(sent) => Ok(sent),
            Err(nix::Error::EAGAIN) => {
                socket.try_io(Interest::WRITABLE, || Err(ErrorKind::WouldBlock.into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn send_batch<'a>(
        fd: i32,
        datagrams: impl Iterator<Item = &'a Datagram>,
        control: &[ControlMessage<'_>],
    ) -> nix::Result<usize> {
        let (places, peers): (Vec<_>, Vec<_>) = datagrams
            .map(|Datagram { peer, bytes, .. }| ([IoSlice::new(bytes)], Some(SockaddrStorage::from(*peer))))
            .unzip();
        let flags = MsgFlags::MSG_DONTWAIT;
        if let ([place], [peer]) = (&places[..], &peers[..]) {
            sendmsg(fd, place, control, flags, peer.as_ref())?;
            return Ok(1);
        }
        let space = control.first().map(|_| cmsg_space!(libc::in6_pktinfo));
        let mut headers = MultiHeaders::preallocate(places.len(), space);
        Ok(sendmmsg(fd, &mut headers, &places, &peers, control, flags)?.count())
    }

    fn info_v4(local: Ipv4Addr) -> libc::in_pktinfo {
        let any = libc::in_addr { s_addr: 0 };
        let spec = libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
        libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec, ipi_addr: any }
    }

    fn info_v6(local: Ipv6Addr) -> libc::in6_pktinfo {
        libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: local.octets() }, ipi6_ifindex: 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::collections::VecDeque;
    use std::io::ErrorKind;

    use socket2::SockRef;
    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    use super::*;

    /// Where a datagram comes in.
    pub(crate) struct Room(Vec<u8>);

    impl Room {
        pub(crate) fn new() -> Room {
            Room(vec![0; LARGEST])
        }
    }

    /// Not known how: answers leave from where the routing table says.
    pub(crate) fn tell_local<S>(_socket: &S, _address: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    /// Takes a batch of what has come in.
    pub(crate) fn receive(socket: &UdpSocket, room: &mut Room, mut take: impl FnMut(Datagram)) {
        let mut taken = 0;
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut room.0) {
                Ok((n, peer)) => {
                    taken += 1;
                    take(Datagram { peer, local: None, bytes: Bytes::copy_from_slice(&room.0[..n]) });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Of a datagram sent earlier: it says nothing of those that come in.
                Err(_) => {}
            }
        }
        if taken == 0 {
            // Nothing but errors: it is left to the next datagram to try again.
            let none = || io::Result::<()>::Err(ErrorKind::WouldBlock.into());
            let _ = socket.try_io(Interest::READABLE, none);
        }
    }

    /// Sends the first of the queue if it can go at once, and tells how many that were.
    ///
    /// # Errors
    /// What the system says of it.
    pub(crate) fn send(socket: &UdpSocket, queue: &VecDeque<Datagram>) -> io::Result<usize> {
        let Some(first) = queue.front() else { return Ok(0) };
        // Not asked before whether it is ready: a socket that has just been opened is not known to be.
        match SockRef::from(socket).send_to(&first.bytes, &first.peer.into()) {
            Ok(_) => Ok(1),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.try_io(Interest::WRITABLE, || Err(ErrorKind::WouldBlock.into()))
            }
            Err(error) => Err(error),
        }
    }
}
