//! Datagrams by the batch: on Linux one system call takes, or sends, up to [`BATCH`] of them.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

/// The most datagrams that are taken, or sent, at a time.
pub(super) const BATCH: usize = 32;

/// The size of the largest datagram, in octets (RFC 3261 §18.1.1: messages up to the maximum datagram size
/// must be handled).
pub(super) const LARGEST: usize = 65_535;

/// A datagram, in or out.
pub(super) struct Datagram {
    /// The sender, or the receiver.
    pub peer: SocketAddr,
    /// The address of ours that it came to, or is to leave from; `None` for the socket's address.
    pub local: Option<IpAddr>,
    /// The octets, without UDP's header.
    pub bytes: Bytes,
}

pub(super) use system::{Buffer, receive, request_local, send};

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

    /// Errors in a row after which the next datagram has to trigger another try.
    const TRIES: usize = 32;

    /// The least datagrams that are asked for.
    const FEWEST: usize = 2;

    /// The buffer for a batch. The system gives its pages when a datagram reaches them.
    pub(crate) struct Buffer {
        octets: Vec<u8>,
        /// The number of datagrams to ask for: more, when that many came. Each costs, whether it comes or
        /// not.
        many: usize,
    }

    impl Buffer {
        pub(crate) fn new() -> Buffer {
            Buffer { octets: vec![0; BATCH * LARGEST], many: FEWEST }
        }
    }

    /// Asks for [`Datagram::local`] of every datagram.
    pub(crate) fn request_local(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
        match address {
            SocketAddr::V4(_) => setsockopt(socket, Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvPacketInfo, &true)?,
        }
        Ok(())
    }

    /// Takes a batch of datagrams that have come in. A batch that is not full takes the socket's readiness
    /// back: the kernel had no more, and the next datagram brings the readiness again.
    pub(crate) fn receive(socket: &UdpSocket, buffer: &mut Buffer, mut take: impl FnMut(Datagram)) {
        let _ = socket.try_io(Interest::READABLE, || {
            let mut taken = 0;
            for _ in 0..TRIES {
                let many = buffer.many.min(BATCH - taken);
                match receive_batch(socket.as_raw_fd(), buffer, many, &mut take) {
                    Ok(count) if count == many => {
                        taken += count;
                        buffer.many = (2 * many).min(BATCH);
                        if taken == BATCH {
                            return Ok(());
                        }
                    }
                    Ok(count) => {
                        buffer.many = count.max(FEWEST);
                        break;
                    }
                    Err(nix::Error::EAGAIN) => break,
                    // An error of a datagram sent earlier says nothing of those that come in.
                    Err(_) => {}
                }
            }
            Err(ErrorKind::WouldBlock.into())
        });
    }

    fn receive_batch(
        fd: i32,
        buffer: &mut Buffer,
        many: usize,
        take: &mut impl FnMut(Datagram),
    ) -> nix::Result<usize> {
        let pieces = buffer.octets.chunks_mut(LARGEST).take(many);
        let mut slices: Vec<_> = pieces.map(|piece| [IoSliceMut::new(piece)]).collect();
        let space = cmsg_space!(libc::in6_pktinfo);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(many, Some(space));
        let messages = recvmmsg(fd, &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
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

    /// The address that a datagram came to. A multicast address is none to answer from.
    fn local<S>(message: &RecvMsg<'_, '_, S>) -> Option<IpAddr> {
        for control in message.cmsgs().ok()? {
            if let ControlMessageOwned::Ipv4PacketInfo(info) = control {
                return Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
            }
            if let ControlMessageOwned::Ipv6PacketInfo(info) = control {
                let to = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                return (!to.is_multicast()).then_some(to.into());
            }
        }
        None
    }

    /// Sends the datagrams at the queue's head that can go at once, and gives their number.
    ///
    /// # Errors
    /// The system's error of the first datagram.
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
        // The socket's readiness is not asked before: of a socket that has just been opened it is not known.
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
        let (slices, peers): (Vec<_>, Vec<_>) = datagrams
            .map(|Datagram { peer, bytes, .. }| ([IoSlice::new(bytes)], Some(SockaddrStorage::from(*peer))))
            .unzip();
        let flags = MsgFlags::MSG_DONTWAIT;
        if let ([slice], [peer]) = (&slices[..], &peers[..]) {
            sendmsg(fd, slice, control, flags, peer.as_ref())?;
            return Ok(1);
        }
        let space = control.first().map(|_| cmsg_space!(libc::in6_pktinfo));
        let mut headers = MultiHeaders::preallocate(slices.len(), space);
        Ok(sendmmsg(fd, &mut headers, &slices, &peers, control, flags)?.count())
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

    /// The buffer for a datagram.
    pub(crate) struct Buffer(Vec<u8>);

    impl Buffer {
        pub(crate) fn new() -> Buffer {
            Buffer(vec![0; LARGEST])
        }
    }

    /// No way to ask is known here: answers leave from the address that the routing table gives.
    pub(crate) fn request_local<S>(_socket: &S, _address: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    /// Takes a batch of datagrams that have come in.
    pub(crate) fn receive(socket: &UdpSocket, buffer: &mut Buffer, mut take: impl FnMut(Datagram)) {
        let mut taken = 0;
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut buffer.0) {
                Ok((n, peer)) => {
                    taken += 1;
                    take(Datagram { peer, local: None, bytes: Bytes::copy_from_slice(&buffer.0[..n]) });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // An error of a datagram sent earlier says nothing of those that come in.
                Err(_) => {}
            }
        }
        if taken == 0 {
            // Nothing but errors came: the next datagram has to trigger another try.
            let none = || io::Result::<()>::Err(ErrorKind::WouldBlock.into());
            let _ = socket.try_io(Interest::READABLE, none);
        }
    }

    /// Sends the first datagram of the queue if it can go at once, and gives the number sent.
    ///
    /// # Errors
    /// The system's error of that datagram.
    pub(crate) fn send(socket: &UdpSocket, queue: &VecDeque<Datagram>) -> io::Result<usize> {
        let Some(first) = queue.front() else { return Ok(0) };
        // The socket's readiness is not asked before: of a socket that has just been opened it is not known.
        match SockRef::from(socket).send_to(&first.bytes, &first.peer.into()) {
            Ok(_) => Ok(1),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.try_io(Interest::WRITABLE, || Err(ErrorKind::WouldBlock.into()))
            }
            Err(error) => Err(error),
        }
    }
}
