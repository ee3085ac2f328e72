//! Who the other end of a TLS connection is (RFC 5922): what its certificate says, and whether that is the SIP domain
//! that was meant.
//!
//! The driver reads the certificate and verifies the chain; which of its names count, and what they match, is said here.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::Time;
use crate::sip::Uri;

#[cfg(test)]
mod tests;

/// Users of one certificate that count.
const MOST_USERS: usize = 16;

/// What a certificate says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is for, as a distinguished name: `CN=munich.de,O=LMU`.
    pub subject: String,
    /// Who vouches for it, as a distinguished name.
    pub issuer: String,
    /// It is good from then on.
    pub not_before: Time,
    /// It is good until then.
    pub not_after: Time,
    /// URIs among its subject alternative names.
    pub uris: Vec<String>,
    /// DNS names among them.
    pub hosts: Vec<String>,
    /// IP addresses among them.
    pub addresses: Vec<IpAddr>,
    /// It has subject alternative names of any kind, whatever they are.
    pub has_alternatives: bool,
    /// The last common name of its subject.
    pub common_name: Option<String>,
}

/// A TLS session, as far as it came: what is known of the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// `1.2` or `1.3`; `None` until that is agreed.
    pub version: Option<&'static str>,
    /// The cipher suite by its registered name.
    pub cipher: Option<String>,
    /// The certificate that the other end has shown. A client need not show one.
    pub certificate: Option<Certificate>,
    /// The name that the certificate was verified for; `None`: none was.
    pub name: Option<Arc<str>>,
    /// The certificate was verified, and is that of the one who was meant.
    pub verified: bool,
}

/// What is wrong with the other end of a TLS connection, or with ours in its eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The certificate, or one above it, has run out.
    #[error("the certificate has run out")]
    Expired,
    /// The certificate, or one above it, is not good yet.
    #[error("the certificate is not good yet")]
    NotYetValid,
    /// The certificate is for somebody else.
    #[error("the certificate is for another name")]
    Name,
    /// It was issued by somebody who is not trusted.
    #[error("the certificate's issuer is not trusted")]
    Issuer,
    /// It is signed by itself, and not one that is trusted.
    #[error("the certificate is signed by itself")]
    SelfSigned,
    /// A certificate between it and its root was not sent along.
    #[error("a certificate between this one and its root is missing")]
    Incomplete,
    /// It was not issued to prove who a server is (extended key usage).
    #[error("the certificate is not for servers")]
    Purpose,
    /// It is that of an authority (basicConstraints), which signs others and proves nobody.
    #[error("the certificate is an authority's own")]
    Authority,
    /// It can't be read, or one of its signatures is wrong.
    #[error("the certificate is broken")]
    Broken,
    /// The other end wants a certificate of ours, and we have none.
    #[error("a client certificate is wanted: {0}")]
    ClientCertificateWanted(Alert),
    /// The other end does not accept the certificate that we have shown.
    #[error("our certificate was not accepted: {0}")]
    ClientCertificateRefused(Alert),
    /// No version of TLS is common to both ends.
    #[error("no common version of TLS")]
    Version,
    /// What comes back is not TLS.
    #[error("not TLS")]
    NotTls,
    /// The other end broke it off, and said why in a word that none of the above is.
    #[error("the other side ended TLS with the alert {0}")]
    Alert(Alert),
    /// The handshake failed for a reason that has no word of its own here.
    #[error("the TLS handshake failed")]
    Handshake,
}

/// The alert by which the other end of a TLS connection breaks it off (RFC 8446 §6), by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert(pub u8);

impl Alert {
    /// No parameters are common to both ends; until TLS 1.2 also: a certificate is wanted.
    pub const HANDSHAKE_FAILURE: Alert = Alert(40);
    /// No parameters that are strong enough are common to both ends.
    pub const INSUFFICIENT_SECURITY: Alert = Alert(71);
    /// Something at the other end went wrong that has nothing to do with us.
    pub const INTERNAL_ERROR: Alert = Alert(80);
    /// The other end is nobody of the name that was asked for (RFC 6066 §3).
    pub const UNRECOGNIZED_NAME: Alert = Alert(112);
    /// A certificate is wanted, and none was shown.
    pub const CERTIFICATE_REQUIRED: Alert = Alert(116);
    /// None of the protocols above TLS that were offered is spoken there, or none was offered (RFC 7301 §3.2).
    pub const NO_APPLICATION_PROTOCOL: Alert = Alert(120);

    /// Its registered name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => return None,
        })
    }
}

/// Its name, else its number.
impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "number {}", self.0),
        }
    }
}

/// What kept a WebSocket from being opened (RFC 6455, RFC 7118).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeFault {
    /// The server answered with another status than 101.
    #[error("the server answered the WebSocket handshake with {0}")]
    Status(u16),
    /// The other end does not agree on the subprotocol `sip` (RFC 7118 §4).
    #[error("no WebSocket subprotocol sip")]
    Subprotocol,
    /// What came is not the handshake of a WebSocket.
    #[error("not a WebSocket handshake")]
    NotWebSocket,
    /// The handshake is longer than what is read of one.
    #[error("the WebSocket handshake is too long")]
    TooLong,
    /// The page that connects is of an origin that is not allowed.
    #[error("the origin is not allowed")]
    Origin,
}

/// What the server of a WebSocket said as it closed it, or in place of opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastWords {
    /// A close frame (RFC 6455 §5.5.1).
    Close {
        /// Why, by a number (§7.4).
        code: u16,
        /// Why, in words; 123 octets at most.
        reason: String,
    },
    /// The WebSocket is elsewhere: the Location of an answer with 3xx, of a few hundred octets at most.
    Location(String),
}

/// What ended a WebSocket that was open: the other end breaks its rules, or wears it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketFault {
    /// A message, or one frame, is longer than any SIP message here.
    #[error("a WebSocket message is too long")]
    TooLong,
    /// A message, all its fragments together, was not complete in time.
    #[error("a WebSocket message was not complete in time")]
    Slow,
    /// Too many frames a second bring nothing: pings, pongs, and empty ones.
    #[error("too many pings or empty WebSocket frames")]
    Flood,
    /// What came are no frames of a WebSocket, or a text is none (RFC 6455 §5, §8.1).
    #[error("broken WebSocket frames")]
    Broken,
}

/// Whether a `*` in a certificate counts: as its leftmost label, for exactly one label. RFC 5922 §7.2 says no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wildcards {
    /// It matches nothing.
    #[default]
    Refused,
    /// It matches one label.
    Accepted,
}

impl Certificate {
    /// Whether it is the certificate of that SIP domain, or host (RFC 5922 §7): a name, or an address, IPv6 without
    /// brackets. A URI `sip:domain` without a user part counts, and where there is one no DNS name does; else DNS names;
    /// the common name only where there are no alternative names at all. Names are compared whole, in any case. An
    /// address is compared with the addresses of the certificate alone.
    #[must_use]
    pub fn is_for(&self, name: &str, wildcards: Wildcards) -> bool {
        if let Ok(address) = name.parse::<IpAddr>() {
            let address = address.to_canonical();
            return self.addresses.iter().any(|known| known.to_canonical() == address);
        }
        let name = rooted(name);
        let is_name = |known: &str| {
            let known = rooted(known);
            known.eq_ignore_ascii_case(name) || wildcards == Wildcards::Accepted && is_covered(known, name)
        };
        let mut domains = self.uris.iter().filter_map(|uri| domain(uri)).peekable();
        if domains.peek().is_some() {
            return domains.any(is_name);
        }
        let common = self.common_name.as_deref().filter(|_| !self.has_alternatives);
        self.hosts.iter().map(String::as_str).chain(common).any(is_name)
    }

    /// The names that count for [`Certificate::is_for`], as people read them: `sip:munich.de` where it is a URI.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.uris.iter().filter_map(|uri| domain(uri)).map(|name| format!("sip:{name}")).collect();
        if names.is_empty() {
            let common = self.common_name.iter().filter(|_| !self.has_alternatives);
            names.extend(self.hosts.iter().chain(common).cloned());
        }
        names.extend(self.addresses.iter().map(IpAddr::to_string));
        names
    }

    /// The DNS names that do not count, since a URI stands beside them that does.
    #[must_use]
    pub fn uncounted_hosts(&self) -> &[String] {
        let has_domain = self.uris.iter().any(|uri| domain(uri).is_some());
        if has_domain { &self.hosts } else { &[] }
    }

    /// The users that it is for: the URIs `sip:user@domain` and `sips:user@domain` among its subject alternative names
    /// (RFC 5922 §7.1 leaves those with a user part to users). More than a few are left out.
    #[must_use]
    pub fn users(&self) -> Vec<Uri> {
        let uris = self.uris.iter().filter_map(|text| Uri::parse(text).ok());
        uris.filter(|uri| uri.user.is_some()).take(MOST_USERS).collect()
    }
}

/// The domain that a URI of a certificate is the identity of (RFC 5922 §7.1): the host of `sip:` without a user part,
/// whatever its port. An address is none.
fn domain(uri: &str) -> Option<&str> {
    let scheme = uri.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("sip:"))?;
    let rest = &uri[scheme.len()..];
    let host = &rest[..rest.find([';', '?', ':']).unwrap_or(rest.len())];
    let is_name = host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_*".contains(&octet))
        && host.parse::<IpAddr>().is_err();
    (is_name && !rest.contains('@') && !host.is_empty()).then_some(host)
}

/// A name without the dot at its end.
fn rooted(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether a name has one label where the other one has `*` as its leftmost, and the same labels else.
fn is_covered(pattern: &str, name: &str) -> bool {
    let Some(("*", known)) = pattern.split_once('.') else { return false };
    name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(known))
}

/// Its subject.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)
    }
}
