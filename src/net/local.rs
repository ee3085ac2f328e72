//! Sockets and the address they send from (TRN-034, NAT-002): the one that the system would choose for that
//! destination, never a wildcard, because Via and Contact name it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::proto::Transport;

/// Where the user wants to send from: an address and a port, each if they care. An unspecified address (`0.0.0.0`)
/// leaves the choice to the system.
pub type Bind = (IpAddr, Option<u16>);

/// What to bind, in order: the port that is wanted again, then what the user says.
pub(super) fn wishes(destination: SocketAddr, bind: Option<Bind>, port: Option<u16>) -> Vec<Option<Bind>> {
    let any: IpAddr = match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    match (bind, port) {
        (Some((ip, None)), Some(_)) => vec![Some((ip, port)), bind],
        (None, Some(_)) => vec![Some((any, port)), None],
        (Some((_, Some(_))), _) | (_, None) => vec![bind],
    }
}

/// Whether another port may do: this one is taken, lingers from an earlier connection, or needs more rights.
pub(super) fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    [AddrInUse, AddrNotAvailable, PermissionDenied].contains(&error.kind())
}

/// The address and port to bind for this destination; port 0 lets the system choose.
pub(super) fn source(destination: SocketAddr, bind: Option<Bind>) -> io::Result<SocketAddr> {
    let port = bind.and_then(|(_, port)| port).unwrap_or(0);
    match bind {
        Some((ip, _)) if ip.is_ipv4() != destination.is_ipv4() => Err(io::ErrorKind::AddrNotAvailable.into()),
        Some((ip, _)) if !ip.is_unspecified() => Ok(SocketAddr::new(ip, port)),
        Some(_) | None => {
            let mut source = route(destination)?;
            source.set_port(port);
            Ok(source)
        }
    }
}

/// Asks the routing table. A datagram socket sends nothing on being connected.
fn route(destination: SocketAddr) -> io::Result<SocketAddr> {
    let any: IpAddr = match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(destination)?;
    let source = probe.local_addr()?;
    if source.ip().is_unspecified() {
        return Err(io::ErrorKind::NetworkUnreachable.into());
    }
    Ok(source)
}

/// A non-blocking socket, not bound yet, whose addresses are of the destination's own family (never IPv4-mapped).
pub(super) fn socket(transport: Transport, destination: SocketAddr) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
    };
    let socket = Socket::new(Domain::for_address(destination), kind, Some(protocol))?;
    if destination.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Binds. A port that is asked for is taken again although older connections of it linger (RFC 9293 §3.6.1); on
/// Windows that option would let us take over somebody's port.
pub(super) fn bind(socket: &Socket, transport: Transport, source: SocketAddr) -> io::Result<()> {
    if cfg!(unix) && transport.is_reliable() && source.port() != 0 {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&source.into())
}

/// The address that a socket is bound to.
pub(super) fn address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
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
    fn a_wish_is_obeyed_unless_it_is_of_the_other_family() {
        let wish = Some((at("127.0.0.9:0").ip(), Some(5080)));
        assert_eq!(source(at("127.0.0.1:5060"), wish).unwrap(), at("127.0.0.9:5080"));
        let error = source(at("[::1]:5060"), wish).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
