//! What messages travel over, and where to (RFC 3261 §18, RFC 3263).

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A transport that messages can be sent over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams (RFC 3261 §18.1.1).
    Udp,
    /// A connection.
    Tcp,
}

impl Transport {
    /// Reads a `transport` parameter, in any case; `None` for those that can't be served.
    #[must_use]
    pub fn parse(token: &str) -> Option<Transport> {
        if token.eq_ignore_ascii_case("udp") {
            Some(Transport::Udp)
        } else if token.eq_ignore_ascii_case("tcp") {
            Some(Transport::Tcp)
        } else {
            None
        }
    }

    /// As in a `transport` parameter and in reports: lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }

    /// As in Via: upper case.
    #[must_use]
    pub fn as_via(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }

    /// Whether it is a connection, which retransmits by itself (RFC 3261 §17) and is lost as a whole.
    #[must_use]
    pub fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp => true,
        }
    }

    /// Whether the transport keeps messages apart, so that octets that come in together are one of them. The others are
    /// streams, in which each message says how long it is (RFC 3261 §18.3).
    #[must_use]
    pub fn is_framed(self) -> bool {
        match self {
            Transport::Udp => true,
            Transport::Tcp => false,
        }
    }

    /// The port meant when none is written.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The address, reached by that interface if it is link-local and names none (RFC 4007 §6): an index, which is of this
/// host alone and in no message.
#[must_use]
pub fn in_zone(mut address: SocketAddr, zone: Option<u32>) -> SocketAddr {
    if let (SocketAddr::V6(v6), Some(zone)) = (&mut address, zone)
        && v6.ip().is_unicast_link_local()
        && v6.scope_id() == 0
    {
        v6.set_scope_id(zone);
    }
    address
}

/// Where RFC 3263 says that a request can go. Accounts with the same destination share a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Over what.
    pub transport: Transport,
    /// The address and port of the other end.
    pub address: SocketAddr,
    /// The name that the certificate of the other end has to show (RFC 5922 §7), where there is one. Who shows another
    /// is somebody else, even at the same address.
    pub name: Option<Arc<str>>,
}

impl Destination {
    /// A destination that shows no certificate.
    #[must_use]
    pub const fn new(transport: Transport, address: SocketAddr) -> Destination {
        Destination { transport, address, name: None }
    }
}
