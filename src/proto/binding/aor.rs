//! The address-of-record as a key.

use std::fmt;
use std::sync::Arc;

use crate::sip::{Host, Uri, escape_user};

/// The address-of-record as the key of its bindings (RFC 3261 §10.3 step 5): the user part with its escapes
/// undone, and the host in lower case. Parameters, password and port are left out; `sip` and `sips` are the
/// same (RFC 5630 §5.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aor(
    /// The user part and `@`, both or neither, and the host, which never holds an `@`.
    Arc<[u8]>,
);

impl Aor {
    /// The key for a To or a Request-URI. Escapes are undone once; a NUL is data like any other (RFC 4475
    /// §3.1.1.4).
    #[must_use]
    pub fn of(uri: &Uri) -> Aor {
        let mut key = uri.user_octets().unwrap_or_default();
        if uri.user.is_some() {
            key.push(b'@');
        }
        match &uri.host {
            Host::Name(name) => key.extend(name.bytes().map(|octet| octet.to_ascii_lowercase())),
            Host::V4(_) | Host::V6(_) => key.extend(uri.host.to_string().into_bytes()),
        }
        Aor(key.into())
    }

    /// The key as stores keep it.
    pub(crate) fn as_octets(&self) -> &[u8] {
        &self.0
    }

    /// The key that a store has kept. `None`: it is none.
    pub(crate) fn from_octets(octets: &[u8]) -> Option<Aor> {
        let host = octets.rsplit(|&octet| octet == b'@').next()?;
        std::str::from_utf8(host).is_ok_and(|host| !host.is_empty()).then(|| Aor(octets.into()))
    }

    /// User part, unescaped, and host.
    #[must_use]
    pub fn parts(&self) -> (Option<&[u8]>, &str) {
        let (user, host) = match self.0.iter().rposition(|&octet| octet == b'@').map(|at| self.0.split_at(at))
        {
            Some((user, [_, host @ ..])) => (Some(user), host),
            Some(_) | None => (None, &*self.0),
        };
        (user, std::str::from_utf8(host).unwrap_or_default())
    }

    /// The number of its octets.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.0.len()
    }

    /// The octets of the user part, unescaped; `None` for the address of a whole domain.
    #[must_use]
    pub fn user(&self) -> Option<&[u8]> {
        self.parts().0
    }

    /// The host: a name in lower case, or an address, IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.parts().1
    }
}

impl fmt::Display for Aor {
    /// As a SIP URI, the user part escaped again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (Some(user), host) => write!(f, "sip:{}@{host}", escape_user(user)),
            (None, host) => write!(f, "sip:{host}"),
        }
    }
}

impl fmt::Debug for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
