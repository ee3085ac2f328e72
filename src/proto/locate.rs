//! Locating the server (RFC 3263): from a URI to the addresses to try, in order.
//!
//! One [`Locate`] serves one next hop. It says what to ask, takes the answers in any order, and ends with the list of
//! [`Destination`]s. Numeric hosts need no question (§4.1, §4.2). A name is asked for AAAA and A with the port of the
//! URI or the transport's default; NAPTR and SRV will come before that, as further questions of the same machine.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Answer, Question, ResolveError};
use crate::sip::{Host, Uri};

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

    /// Whether the transport itself retransmits (RFC 3261 §17).
    #[must_use]
    pub fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp => true,
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

/// Where RFC 3263 says that a request can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Over what.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

/// Which address families may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// IPv6 first, then IPv4.
    #[default]
    Both,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}
