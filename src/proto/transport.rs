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
    /// TLS over a TCP connection (RFC 3261 §26.2.1).
    Tls,
    /// A WebSocket connection (RFC 7118).
    Ws,
    /// A WebSocket connection over TLS (RFC 7118).
    Wss,
}

impl Transport {
    /// Every transport there is.
    pub const ALL: [Transport; 5] =
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];

    /// Reads a `transport` parameter, in any case; `None` for those that can't be served. That `ws` in a `sips` URI is
    /// [`Transport::Wss`] is for [`Transport::secured`] to say.
    #[must_use]
    pub fn parse(token: &str) -> Option<Transport> {
        Transport::ALL.into_iter().find(|transport| token.eq_ignore_ascii_case(transport.as_str()))
    }

    /// As the user says it and in reports: lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        }
    }

    /// As in the `transport` parameter of a URI: there, `ws` stands for both (RFC 7118 §5.2).
    #[must_use]
    pub fn as_param(self) -> &'static str {
        match self {
            Transport::Wss => Transport::Ws.as_str(),
            Transport::Udp | Transport::Tcp | Transport::Tls | Transport::Ws => self.as_str(),
        }
    }

    /// As in Via: upper case.
    #[must_use]
    pub fn as_via(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// Whether it is a connection, which retransmits by itself (RFC 3261 §17) and is lost as a whole.
    #[must_use]
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// Whether the transport keeps messages apart, so that octets that come in together are one of them. The others are
    /// streams, in which each message says how long it is (RFC 3261 §18.3).
    #[must_use]
    pub fn is_framed(self) -> bool {
        match self {
            Transport::Udp | Transport::Ws | Transport::Wss => true,
            Transport::Tcp | Transport::Tls => false,
        }
    }

    /// Whether the other end shows a certificate, and nobody on the way can read along.
    #[must_use]
    pub fn is_secure(self) -> bool {
        match self {
            Transport::Tls | Transport::Wss => true,
            Transport::Udp | Transport::Tcp | Transport::Ws => false,
        }
    }

    /// Whether it is a WebSocket, plain or over TLS (RFC 7118).
    #[must_use]
    pub fn is_websocket(self) -> bool {
        match self {
            Transport::Ws | Transport::Wss => true,
            Transport::Udp | Transport::Tcp | Transport::Tls => false,
        }
    }

    /// The same with TLS, as `sips` wants it; `None` for datagrams, which have none (RFC 3261 §26.2.2).
    #[must_use]
    pub fn secured(self) -> Option<Transport> {
        match self {
            Transport::Udp => None,
            Transport::Tcp | Transport::Tls => Some(Transport::Tls),
            Transport::Ws | Transport::Wss => Some(Transport::Wss),
        }
    }

    /// The port meant when none is written (RFC 3261 §19.1.2, RFC 7118 §5.5).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
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

/// Which of the settings for TLS and WebSocket a connection is made with: an index into those that the driver holds.
/// Accounts with other settings share no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile(pub u16);

/// Where RFC 3263 says that a request can go. Accounts with the same destination share a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Over what.
    pub transport: Transport,
    /// The address and port of the other end.
    pub address: SocketAddr,
    /// The host of the URI that was located, over TLS and WebSocket: the certificate of the other end has to be for it
    /// (RFC 5922 §7), and a WebSocket request names it as its Host. Who shows another is somebody else, even at the same
    /// address. `None` for the other transports.
    pub name: Option<Arc<str>>,
    /// The settings of the connection.
    pub profile: Profile,
}

impl Destination {
    /// A destination that shows no certificate.
    #[must_use]
    pub const fn new(transport: Transport, address: SocketAddr) -> Destination {
        Destination { transport, address, name: None, profile: Profile(0) }
    }
}
