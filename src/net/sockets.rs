//! Sockets: the address that they send from, how they are bound, the ports that a dry run holds, and what
//! errors of the operating system mean to the core (RFC 3261 §18.4).
//!
//! A socket sends from the address that the system would choose for its destination (TRN-034, NAT-002), never
//! from a wildcard, because Via and Contact name it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::proto::{Cause, Destination, FlowId, Transport, in_zone};

/// The address and the port that the user wants to send from, each if they care. An unspecified address
/// (`0.0.0.0`) leaves the choice to the system.
pub type Bind = (IpAddr, Option<u16>);

/// The addresses to bind for this destination, in order: with the port of an earlier binding, then as the
/// user says.
pub(super) fn choices(destination: SocketAddr, bind: Option<Bind>, port: Option<u16>) -> Vec<Option<Bind>> {
    match (bind, port) {
        (Some((ip, None)), Some(_)) => vec![Some((ip, port)), bind],
        (None, Some(_)) => vec![Some((unspecified(destination), port)), None],
        (Some((_, Some(_))), _) | (_, None) => vec![bind],
    }
}

/// Opens a socket at the first choice whose port is not taken, or gives the error of the last.
pub(super) fn first_free<T>(
    choices: &[Option<Bind>],
    open: impl Fn(Option<Bind>) -> io::Result<T>,
) -> io::Result<T> {
    let mut opened = Err(ErrorKind::AddrNotAvailable.into());
    for bind in choices {
        opened = open(*bind);
        if !opened.as_ref().is_err_and(is_taken) {
            break;
        }
    }
    opened
}

/// Whether another port may do: this one is taken, lingers from an earlier connection, or needs more rights.
pub(super) fn is_taken(error: &io::Error) -> bool {
    use ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    [AddrInUse, AddrNotAvailable, PermissionDenied].contains(&error.kind())
}

/// The address and port to bind for this destination; port 0 lets the system choose.
pub(super) fn source(destination: SocketAddr, bind: Option<Bind>) -> io::Result<SocketAddr> {
    let port = bind.and_then(|(_, port)| port).unwrap_or(0);
    match bind {
        Some((ip, _)) if ip.is_ipv4() != destination.is_ipv4() => Err(ErrorKind::AddrNotAvailable.into()),
        Some((ip, _)) if !ip.is_unspecified() => {
            let zone = if let SocketAddr::V6(to) = destination { Some(to.scope_id()) } else { None };
            Ok(in_zone(SocketAddr::new(ip, port), zone))
        }
        Some(_) | None => {
            let mut source = route(destination)?;
            source.set_port(port);
            Ok(source)
        }
    }
}

/// The address that the routing table gives for this destination. (A datagram socket sends nothing on being
/// connected.)
fn route(destination: SocketAddr) -> io::Result<SocketAddr> {
    let probe = UdpSocket::bind((unspecified(destination), 0))?;
    probe.connect(destination)?;
    let source = probe.local_addr()?;
    if source.ip().is_unspecified() {
        return Err(ErrorKind::NetworkUnreachable.into());
    }
    Ok(source)
}

fn unspecified(destination: SocketAddr) -> IpAddr {
    match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A non-blocking socket, not bound yet, whose addresses are of the destination's own family (never
/// IPv4-mapped).
pub(super) fn socket(transport: Transport, destination: SocketAddr) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => (Type::STREAM, Protocol::TCP),
    };
    let socket = Socket::new(Domain::for_address(destination), kind, Some(protocol))?;
    if destination.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Binds a socket. A port that is asked for is bound although older connections of it linger (RFC 9293
/// §3.6.1); on Windows that option would let us take over somebody's port.
pub(super) fn bind(socket: &Socket, transport: Transport, source: SocketAddr) -> io::Result<()> {
    if cfg!(unix) && transport.is_reliable() && source.port() != 0 {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&source.into())
}

/// The address that a socket is bound to.
pub(super) fn address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| ErrorKind::AddrNotAvailable.into())
}

/// The flows of a dry run: each holds the port that a real one would have, and sends nothing.
#[derive(Default)]
pub(super) struct DryFlows(BTreeMap<FlowId, (Transport, SocketAddr, Socket)>);

impl DryFlows {
    /// Opens a flow at the first choice that is free, and gives its address.
    pub(super) fn open(
        &mut self,
        flow: FlowId,
        destination: &Destination,
        choices: &[Option<Bind>],
    ) -> io::Result<SocketAddr> {
        let (transport, remote) = (destination.transport, destination.address);
        let (local, held) = first_free(choices, |choice| {
            let from = source(remote, choice)?;
            let held = socket(transport, remote)?;
            bind(&held, transport, from)?;
            Ok((address(&held)?, held))
        })?;
        self.0.insert(flow, (transport, local, held));
        Ok(local)
    }

    /// The transport and the address that a flow would send with; `None` for a flow of no dry run.
    pub(super) fn source(&self, flow: FlowId) -> Option<(Transport, SocketAddr)> {
        self.0.get(&flow).map(|(transport, local, _)| (*transport, *local))
    }

    /// Releases the port of a flow, if it is one of these.
    pub(super) fn close(&mut self, flow: FlowId) {
        self.0.remove(&flow);
    }
}

/// The cause that an error of opening, sending or receiving is to the core (RFC 3261 §18.4).
#[must_use]
pub fn cause(error: &io::Error) -> Cause {
    if let Some(cause) = error.raw_os_error().and_then(of_errno) {
        return cause;
    }
    #[allow(clippy::wildcard_enum_match_arm, reason = "a list of the standard library's that grows")]
    match error.kind() {
        ErrorKind::ConnectionRefused => Cause::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Cause::Unreachable
        }
        ErrorKind::TimedOut => Cause::TimedOut,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => Cause::Reset,
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => Cause::LocalAddress,
        ErrorKind::PermissionDenied => Cause::Denied,
        other => Cause::Other(other),
    }
}

/// Whether the error is of a datagram that was sent earlier. The socket reports it once, by whichever call
/// comes next, and without the datagram's peer; the error queue has that.
pub(super) fn is_of_a_datagram(error: &io::Error) -> bool {
    match cause(error) {
        Cause::Refused
        | Cause::Unreachable
        | Cause::ProtocolUnreachable
        | Cause::TooLarge
        | Cause::Denied => true,
        // Windows' word for port unreachable. (Aborted is what an administrator does to a socket.)
        Cause::Reset => error.kind() == ErrorKind::ConnectionReset,
        Cause::Other(kind) => matches!(kind, ErrorKind::InvalidInput | ErrorKind::Interrupted),
        Cause::TimedOut
        | Cause::LocalAddress
        | Cause::Exhausted
        | Cause::Untrusted(_)
        | Cause::Upgrade(_)
        | Cause::WebSocket(_)
        | Cause::Keepalive(_) => false,
    }
}

/// Whether the datagram was lost on the way out, as it could be anywhere else: Timer E sends it again. Linux
/// reports a full interface queue only because of `IP_RECVERR`.
#[cfg(target_os = "linux")]
pub(super) fn is_loss(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ENOBUFS)
}

/// No system but Linux reports it.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_loss(_error: &io::Error) -> bool {
    false
}

/// Errors for which the standard library has no word.
#[cfg(target_os = "linux")]
fn of_errno(code: i32) -> Option<Cause> {
    use nix::libc;
    match code {
        libc::EMSGSIZE => Some(Cause::TooLarge),
        libc::ENOPROTOOPT => Some(Cause::ProtocolUnreachable),
        libc::EHOSTDOWN | libc::ENONET | libc::EAFNOSUPPORT | libc::EPFNOSUPPORT => Some(Cause::Unreachable),
        libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => Some(Cause::Exhausted),
        libc::EPROTO => Some(Cause::Other(ErrorKind::InvalidInput)),
        _ => None,
    }
}

/// Errors for which the standard library has no word (BSD's numbers, macOS included).
#[cfg(all(unix, not(target_os = "linux")))]
fn of_errno(code: i32) -> Option<Cause> {
    match code {
        12 | 23 | 24 | 55 => Some(Cause::Exhausted),
        40 => Some(Cause::TooLarge),
        47 | 64 => Some(Cause::Unreachable),
        _ => None,
    }
}

/// Errors for which the standard library has no word (Winsock's numbers).
#[cfg(windows)]
fn of_errno(code: i32) -> Option<Cause> {
    match code {
        10024 | 10055 => Some(Cause::Exhausted),
        10040 => Some(Cause::TooLarge),
        10047 | 10064 => Some(Cause::Unreachable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// TRN-034, NAT-002
    #[test]
    fn the_source_is_the_systems_choice_and_never_a_wildcard() {
        assert_eq!(source(at("127.0.0.1:5060"), None).unwrap(), at("127.0.0.1:0"));
        assert_eq!(source(at("[::1]:5060"), None).unwrap().ip(), at("[::1]:0").ip());
        let wildcard = Some((Ipv4Addr::UNSPECIFIED.into(), Some(5080)));
        assert_eq!(source(at("127.0.0.1:5060"), wildcard).unwrap(), at("127.0.0.1:5080"));
    }

    #[test]
    fn the_users_address_is_bound_unless_it_is_of_the_other_family() {
        let link_local = Some((at("[fe80::7]:0").ip(), Some(5080)));
        assert_eq!(source(at("[fe80::1%3]:5060"), link_local).unwrap(), at("[fe80::7%3]:5080"));
        let bind = Some((at("127.0.0.9:0").ip(), Some(5080)));
        assert_eq!(source(at("127.0.0.1:5060"), bind).unwrap(), at("127.0.0.9:5080"));
        let error = source(at("[::1]:5060"), bind).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn every_error_has_its_cause() {
        for (kind, expected) in [
            (ErrorKind::ConnectionRefused, Cause::Refused),
            (ErrorKind::NetworkUnreachable, Cause::Unreachable),
            (ErrorKind::HostUnreachable, Cause::Unreachable),
            (ErrorKind::TimedOut, Cause::TimedOut),
            (ErrorKind::BrokenPipe, Cause::Reset),
            (ErrorKind::AddrInUse, Cause::LocalAddress),
            (ErrorKind::AddrNotAvailable, Cause::LocalAddress),
            (ErrorKind::PermissionDenied, Cause::Denied),
            (ErrorKind::OutOfMemory, Cause::Other(ErrorKind::OutOfMemory)),
        ] {
            assert_eq!(cause(&kind.into()), expected, "{kind}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn errors_without_a_kind_have_theirs() {
        use nix::libc;
        for (code, expected) in [
            (libc::EMSGSIZE, Cause::TooLarge),
            (libc::ENOPROTOOPT, Cause::ProtocolUnreachable),
            (libc::EAFNOSUPPORT, Cause::Unreachable),
            (libc::EPERM, Cause::Denied),
            (libc::EMFILE, Cause::Exhausted),
            (libc::ENFILE, Cause::Exhausted),
            (libc::ENOMEM, Cause::Exhausted),
            (libc::EACCES, Cause::Denied),
            (libc::ECONNRESET, Cause::Reset),
            (libc::ENETDOWN, Cause::Unreachable),
        ] {
            assert_eq!(cause(&io::Error::from_raw_os_error(code)), expected, "{code}");
        }
        assert!(is_loss(&io::Error::from_raw_os_error(libc::ENOBUFS)));
    }
}
