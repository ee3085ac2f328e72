//! Hosts: names and addresses (RFC 3261 §25.1, IPv6 as corrected by RFC 5954 §4.1).

use super::error::UriError;
use super::scan;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The host of a URI or a Via value. Names are equal in any letter case, addresses when their bits are
/// (RFC 5954 §4.2); a name never equals an address.
#[derive(Debug, Clone, Eq)]
pub enum Host {
    /// A host or domain name, spelled as it came.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; brackets belong to the text, not to the value.
    V6(Ipv6Addr),
}

impl Host {
    /// Reads `[::1]`, `192.0.2.1` or a name.
    ///
    /// Read although the grammar does not have it: an underscore in a name, and the surplus third colon
    /// before an IPv4 part that RFC 3261's own grammar allowed (RFC 5118 §4.10). It is never written.
    ///
    /// # Errors
    /// [`UriError::Host`]: percent escapes, empty labels, a last label of digits only behind others that make
    /// no IPv4 address, an IPv6 address without brackets or with a zone.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Host, UriError> {
        scan::text(text.as_ref()).map_err(|_| UriError::Host).and_then(Host::read)
    }

    pub(super) fn read(text: &str) -> Result<Host, UriError> {
        if let Some(inside) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return v6(inside).map(Host::V6).ok_or(UriError::Host);
        }
        if text.as_bytes().first().is_some_and(u8::is_ascii_digit)
            && let Some(address) = v4(text.as_bytes())
        {
            return Ok(Host::V4(address));
        }
        if is_name(text.as_bytes()) { Ok(Host::Name(text.to_owned())) } else { Err(UriError::Host) }
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address) => Some(IpAddr::V6(*address)),
        }
    }
}

/// Four decimal numbers up to 255 without leading zeros; the reader of `std` takes twice as long.
fn v4(octets: &[u8]) -> Option<Ipv4Addr> {
    let mut parts = [0; 4];
    let mut rest = octets;
    for (at, part) in parts.iter_mut().enumerate() {
        if at > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let mut number = 0u16;
        let mut digits = 0;
        while let [digit @ b'0'..=b'9', tail @ ..] = rest
            && digits < 3
        {
            if digits > 0 && number == 0 {
                return None;
            }
            number = number * 10 + u16::from(digit - b'0');
            digits += 1;
            rest = tail;
        }
        *part = u8::try_from(number).ok().filter(|_| digits > 0)?;
    }
    rest.is_empty().then_some(Ipv4Addr::from(parts))
}

fn v6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| {
        let (before, after) = text.split_once(":::")?;
        let surplus = after.contains('.') && !after.contains(':');
        if surplus { format!("{before}::{after}").parse().ok() } else { None }
    })
}

/// Labels of letters, digits, `-`, `_`; one dot may end it. A last label of digits only is one of an address that was
/// written wrong, unless it stands alone: domains of GB/T 28181 are numbers such as `3402000000`.
fn is_name(octets: &[u8]) -> bool {
    let octets = octets.strip_suffix(b".").unwrap_or(octets);
    let mut label = 0;
    for (at, &octet) in octets.iter().enumerate() {
        if octet == b'.' && at > label {
            label = at + 1;
        } else if octet == b'.' || !scan::is(octet, scan::HOST) {
            return false;
        }
    }
    let is_number = |label: &[u8]| label.iter().all(u8::is_ascii_digit);
    octets.get(label..).is_some_and(|last| !last.is_empty() && (label == 0 || !is_number(last)))
}

impl PartialEq for Host {
    fn eq(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
            (Host::V4(one), Host::V4(two)) => one == two,
            (Host::V6(one), Host::V6(two)) => one == two,
            (Host::Name(_) | Host::V4(_) | Host::V6(_), _) => false,
        }
    }
}

impl fmt::Display for Host {
    /// IPv6 addresses get their brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => {
                for (at, part) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(scan::decimal(part.into(), &mut [0; 10]))?;
                }
                Ok(())
            }
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Host {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}
