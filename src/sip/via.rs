//! Via: the way back for responses (RFC 3261 §20.42, RFC 3581 for rport).

use super::error::{Problem, UriError};
use super::host::Host;
use super::params::Params;
use super::scan::{self, Cursor};
use super::uri;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// A Via value: one hop of a request's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS`, `WS`, `WSS` or any other token, spelled as it came.
    pub transport: Cow<'static, str>,
    /// The sender's host, as the sender knows it. An IPv6 address with a zone is a name, brackets and all: only the
    /// sender can tell which address that is.
    pub host: Host,
    /// The sender's port, if written.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, `maddr`, `ttl` and others.
    pub params: Params,
}

impl Via {
    /// Reads one value, without its neighbours in the list.
    ///
    /// The protocol must be `SIP`; its version is not kept, so that a request of another version can be
    /// answered with 505. Writing always says `SIP/2.0`.
    ///
    /// # Errors
    /// [`Problem::Empty`], [`Problem::Protocol`], [`Problem::Uri`] for the sent-by part,
    /// [`Problem::Parameter`].
    pub fn parse(value: &[u8]) -> Result<Via, Problem> {
        let mut cursor = Cursor::of(value)?;
        let via = Via::prefix(&mut cursor)?;
        if cursor.is_at_end() { Ok(via) } else { Err(Problem::Parameter) }
    }

    /// Reads the first value of a list, without looking at the others.
    pub(super) fn first(row: &[u8]) -> Result<Via, Problem> {
        let mut cursor = Cursor::of(row)?;
        let via = Via::prefix(&mut cursor)?;
        if cursor.is_at_end() || cursor.eat(b',') { Ok(via) } else { Err(Problem::Parameter) }
    }

    fn prefix(cursor: &mut Cursor<'_>) -> Result<Via, Problem> {
        let mut via = Via::hop(cursor, Host::read)?;
        via.params = Params::prefix(cursor)?;
        Ok(via)
    }

    /// Reads all but the parameters.
    #[inline(always)]
    pub(super) fn hop(
        cursor: &mut Cursor<'_>,
        read_host: impl Fn(&str) -> Result<Host, UriError>,
    ) -> Result<Via, Problem> {
        if cursor.is_at_end() {
            return Err(Problem::Empty);
        }
        let protocol = cursor.token();
        if !protocol.eq_ignore_ascii_case("SIP") || !cursor.separator(b'/') {
            return Err(Problem::Protocol);
        }
        let version = cursor.token();
        if version.is_empty() || !cursor.separator(b'/') {
            return Err(Problem::Protocol);
        }
        let transport = cursor.token();
        if transport.is_empty() || !cursor.peek().is_some_and(scan::is_space) {
            return Err(Problem::Protocol);
        }
        cursor.skip_space();
        let host = read_host(uri::host_text(cursor))?;
        let port = if cursor.separator(b':') { Some(uri::port(cursor)?) } else { None };
        Ok(Via { transport: transport_name(transport), host, port, params: Params::new() })
    }

    /// The `branch` parameter: the transaction's id when it begins with `z9hG4bK` (RFC 3261 §8.1.1.7).
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch").flatten()
    }

    /// The address the next hop saw (RFC 3261 §18.2.1), an IPv6 address with or without brackets
    /// (RFC 5118 §4.5). `None` when absent or no address.
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.get("received").flatten()?;
        let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        inside.unwrap_or(text).parse().ok()
    }

    /// The `rport` parameter (RFC 3581 §3): `None` when absent, `Some(None)` when the port is asked for,
    /// `Some(Some(port))` when it is given. Without a readable port it counts as asked for.
    pub fn rport(&self) -> Option<Option<u16>> {
        let value = self.params.get("rport")?;
        let port = value.and_then(|text| scan::number(text.as_bytes()));
        Some(port.and_then(|port| u16::try_from(port).ok()))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}

/// The name as a Via holds it; the transports of nearly every Via cost no memory of their own.
fn transport_name(transport: &str) -> Cow<'static, str> {
    match transport {
        "UDP" => Cow::Borrowed("UDP"),
        "TCP" => Cow::Borrowed("TCP"),
        "TLS" => Cow::Borrowed("TLS"),
        other => Cow::Owned(other.to_owned()),
    }
}
