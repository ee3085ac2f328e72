//! Authentication headers: challenges, credentials and the server's answer (RFC 3261 §20.7, §20.27, §20.28,
//! §20.44, RFC 7616, RFC 7615). Only their grammar; what the parameters mean is digest's business.

use super::error::Problem;
use super::params::{Param, ParamValue, Params};
use super::scan;
use super::terms::{self, Terms, token_value};
use std::fmt;

/// A challenge of WWW-Authenticate or Proxy-Authenticate.
///
/// Values are given without quotes and with quoted-pairs undone, which is what digest computes over (RFC 7616
/// §3.3 `unq`). When a parameter is repeated the first one counts. `Display` writes the header value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(Terms);

impl Challenge {
    /// A challenge without parameters yet, for a server to fill.
    pub fn new(scheme: &str) -> Challenge {
        Challenge(Terms::new(scheme))
    }

    /// Adds a parameter that is written in quotes.
    #[must_use]
    pub fn quoted(mut self, name: &str, value: &str) -> Challenge {
        self.0.push(name, ParamValue::Quoted(value.to_owned()));
        self
    }

    /// Adds a parameter that is written without quotes, unless its value is no token.
    #[must_use]
    pub fn token(mut self, name: &str, value: &str) -> Challenge {
        self.0.push(name, token_value(value));
        self
    }

    /// The challenges of one header row: as a rule one (RFC 3261 §7.3.1), but two joined by a comma are
    /// separated. A broken one is left out. An unquoted list such as `qop=auth,auth-int` is read as one
    /// value.
    pub fn parse_all(row: &[u8]) -> Vec<Challenge> {
        terms::read(row, None).into_iter().map(Challenge).collect()
    }

    /// The scheme, spelled as it came.
    pub fn scheme(&self) -> &str {
        &self.0.scheme
    }

    /// Whether the scheme is Digest, in any letter case.
    pub fn is_digest(&self) -> bool {
        self.0.scheme.eq_ignore_ascii_case("Digest")
    }

    /// The first parameter of this name, in any letter case, unquoted and unescaped.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// All parameters, in order.
    pub fn params(&self) -> &Params {
        &self.0.params
    }

    /// The protection domain, compared octet by octet (RFC 3261 §22.1).
    pub fn realm(&self) -> Option<&str> {
        self.get("realm")
    }

    /// The server's nonce.
    pub fn nonce(&self) -> Option<&str> {
        self.get("nonce")
    }

    /// The opaque value, which the client sends back unchanged, an empty one too (RFC 7616 §3.3).
    pub fn opaque(&self) -> Option<&str> {
        self.get("opaque")
    }

    /// The algorithm token, spelled as it came. Absence means MD5 (RFC 7616 §3.3), and an empty one is as good as none.
    pub fn algorithm(&self) -> Option<&str> {
        self.get("algorithm").filter(|token| !token.trim().is_empty())
    }

    /// The offered qualities of protection; `None` when the parameter is absent or empty, which means the form of
    /// RFC 2069.
    pub fn qops(&self) -> Option<Vec<&str>> {
        let list = self.get("qop")?;
        let qops: Vec<&str> = list.split([',', ' ', '\t']).filter(|qop| !qop.is_empty()).collect();
        (!qops.is_empty()).then_some(qops)
    }

    /// Whether the credentials were right and only the nonce too old: `true` in any letter case, quoted or
    /// not.
    pub fn stale(&self) -> bool {
        self.0.is_true("stale")
    }

    /// Whether the server takes a hashed user name (RFC 7616 §3.4.4).
    pub fn userhash(&self) -> bool {
        self.0.is_true("userhash")
    }

    /// The charset for user name and password (RFC 7616 §4), spelled as it came.
    pub fn charset(&self) -> Option<&str> {
        self.get("charset")
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The value of an Authorization or Proxy-Authorization header: built by a client, read by a server.
///
/// Parameters are written in the order they were added. When one is repeated on reading the first one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials(Terms);

impl Credentials {
    /// Credentials without parameters yet.
    pub fn new(scheme: &str) -> Credentials {
        Credentials(Terms::new(scheme))
    }

    /// Adds a parameter that is written in quotes; `\` and `"` in it are escaped.
    #[must_use]
    pub fn quoted(mut self, name: &str, value: &str) -> Credentials {
        self.0.push(name, ParamValue::Quoted(value.to_owned()));
        self
    }

    /// Adds a parameter that is written without quotes, unless its value is no token.
    #[must_use]
    pub fn token(mut self, name: &str, value: &str) -> Credentials {
        self.0.push(name, token_value(value));
        self
    }

    /// Reads one header row.
    ///
    /// # Errors
    /// [`Problem::Empty`] without a scheme, [`Problem::Parameter`] when a parameter is broken.
    pub fn parse(row: &[u8]) -> Result<Credentials, Problem> {
        if scan::trim(row).is_empty() {
            return Err(Problem::Empty);
        }
        Credentials::parse_all(row).into_iter().next().ok_or(Problem::Parameter)
    }

    /// The credentials of one row, also when several were wrongly joined in it; broken ones are left out.
    pub(crate) fn parse_all(row: &[u8]) -> Vec<Credentials> {
        terms::read(row, None).into_iter().map(Credentials).collect()
    }

    /// The scheme, spelled as it came.
    pub fn scheme(&self) -> &str {
        &self.0.scheme
    }

    /// Whether the scheme is Digest, in any letter case.
    pub fn is_digest(&self) -> bool {
        self.0.scheme.eq_ignore_ascii_case("Digest")
    }

    /// The first parameter of this name, in any letter case, unquoted and unescaped.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// The bare token of schemes without parameters, such as Bearer (RFC 9110 §11.2).
    pub fn token68(&self) -> Option<&str> {
        self.0.token68.as_deref()
    }

    /// All parameters, in order.
    pub fn params(&self) -> &Params {
        &self.0.params
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Authentication-Info: the server's proof and its next nonce, after it accepted credentials (RFC 7616 §3.5).
/// Texts are unquoted and unescaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthenticationInfo {
    /// The nonce for the next request.
    pub nextnonce: Option<String>,
    /// The server's proof that it knows the password, in hex.
    pub rspauth: Option<String>,
    /// The quality of protection the proof was made with.
    pub qop: Option<String>,
    /// The client's nonce, as the request had it.
    pub cnonce: Option<String>,
    /// The nonce count, as the request had it: eight hex digits.
    pub nc: Option<String>,
}

impl AuthenticationInfo {
    /// Reads a header row; `None` when it is broken. Unknown parameters are ignored.
    pub fn parse(row: &[u8]) -> Option<AuthenticationInfo> {
        let terms = terms::read(row, Some(Terms::new(""))).into_iter().next()?;
        let get = |name: &str| terms.get(name).map(str::to_owned);
        Some(AuthenticationInfo {
            nextnonce: get("nextnonce"),
            rspauth: get("rspauth"),
            qop: get("qop"),
            cnonce: get("cnonce"),
            nc: get("nc"),
        })
    }
}

impl fmt::Display for AuthenticationInfo {
    /// In the order and with the quotes of RFC 7616 §3.5.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut params = Params::new();
        let mut put = |name: &str, value: &Option<String>, make: fn(&str) -> ParamValue| {
            if let Some(value) = value {
                params.push(Param { name: Param::name(name), value: Some(make(value)) });
            }
        };
        let quoted: fn(&str) -> ParamValue = |value| ParamValue::Quoted(value.to_owned());
        put("nextnonce", &self.nextnonce, quoted);
        put("qop", &self.qop, token_value);
        put("rspauth", &self.rspauth, quoted);
        put("cnonce", &self.cnonce, quoted);
        put("nc", &self.nc, token_value);
        terms::write_params(f, &params, "")
    }
}
