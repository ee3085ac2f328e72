//! The error queue of a UDP socket on Linux (`IP_RECVERR`, `IPV6_RECVERR`): which datagram failed, and why
//! (RFC 3261 §18.4). ICMP of RFC 792, ICMPv6 of RFC 4443.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::cmsg_space;
use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
    sockopt::{Ipv4RecvErr, Ipv6RecvErr},
};

use crate::proto::Cause;

/// One datagram that the network gave back.
pub(super) struct Undeliverable {
    /// The peer that the datagram was for.
    pub peer: SocketAddr,
    /// The cause that the network gave.
    pub cause: Cause,
}

/// Asks the kernel to keep errors with their datagram.
pub(super) fn enable(socket: &impl AsFd, local: SocketAddr) -> io::Result<()> {
    match local {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// Takes one error off the queue; `None` for an error that means nothing to a transaction.
///
/// # Errors
/// [`ErrorKind::WouldBlock`] when the queue is empty.
pub(super) fn take(socket: &impl AsRawFd) -> io::Result<Option<Undeliverable>> {
    // A socket at a wildcard address says besides which of ours the datagram left from.
    let mut space = cmsg_space!(libc::in6_pktinfo, libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], Some(&mut space), flags)?;
    let Some(peer) = message.address.as_ref().and_then(address) else { return Ok(None) };
    let mut cause = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) =
            control
        {
            cause = meaning(error.ee_origin, error.ee_type, error.ee_code);
        }
    }
    Ok(cause.map(|cause| Undeliverable { peer, cause }))
}

pub(super) fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

/// Host, network, port, protocol unreachable and parameter problem are failures; source quench and time
/// exceeded are not (RFC 3261 §18.4). Nor is "too big": the kernel has learned the path's MTU and fragments
/// the next copy. Refusals by the kernel itself (`SO_EE_ORIGIN_LOCAL`) the send has returned already.
fn meaning(origin: u8, kind: u8, code: u8) -> Option<Cause> {
    match (origin, kind, code) {
        (libc::SO_EE_ORIGIN_ICMP, 3, 2) => Some(Cause::ProtocolUnreachable),
        (libc::SO_EE_ORIGIN_ICMP, 3, 3) => Some(Cause::Refused),
        (libc::SO_EE_ORIGIN_ICMP, 3, 4) => None,
        (libc::SO_EE_ORIGIN_ICMP, 3, _) => Some(Cause::Unreachable),
        (libc::SO_EE_ORIGIN_ICMP, 12, _) => Some(Cause::Other(ErrorKind::InvalidInput)),
        (libc::SO_EE_ORIGIN_ICMP6, 1, 4) => Some(Cause::Refused),
        (libc::SO_EE_ORIGIN_ICMP6, 1, _) => Some(Cause::Unreachable),
        (libc::SO_EE_ORIGIN_ICMP6, 4, 1) => Some(Cause::ProtocolUnreachable),
        (libc::SO_EE_ORIGIN_ICMP6, 4, _) => Some(Cause::Other(ErrorKind::InvalidInput)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TRN-028, TRN-029
    #[test]
    fn failures_differ_from_noise() {
        let (v4, v6) = (libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6);
        let parameter = Some(Cause::Other(ErrorKind::InvalidInput));
        for (name, origin, kind, code, cause) in [
            ("network unreachable", v4, 3, 0, Some(Cause::Unreachable)),
            ("host unreachable", v4, 3, 1, Some(Cause::Unreachable)),
            ("protocol unreachable", v4, 3, 2, Some(Cause::ProtocolUnreachable)),
            ("port unreachable", v4, 3, 3, Some(Cause::Refused)),
            ("fragmentation needed", v4, 3, 4, None),
            ("prohibited by a filter", v4, 3, 13, Some(Cause::Unreachable)),
            ("source quench", v4, 4, 0, None),
            ("time to live exceeded", v4, 11, 0, None),
            ("reassembly time exceeded", v4, 11, 1, None),
            ("parameter problem", v4, 12, 0, parameter),
            ("no route", v6, 1, 0, Some(Cause::Unreachable)),
            ("address unreachable", v6, 1, 3, Some(Cause::Unreachable)),
            ("port unreachable", v6, 1, 4, Some(Cause::Refused)),
            ("packet too big", v6, 2, 0, None),
            ("hop limit exceeded", v6, 3, 0, None),
            ("header field problem", v6, 4, 0, parameter),
            ("next header unknown", v6, 4, 1, Some(Cause::ProtocolUnreachable)),
            ("the kernel's own", libc::SO_EE_ORIGIN_LOCAL, 0, 0, None),
        ] {
            assert_eq!(meaning(origin, kind, code), cause, "{name}");
        }
    }
}
