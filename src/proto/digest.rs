//! Digest authentication, the client's side (RFC 7616, RFC 8760, RFC 3261 §22; the RFC 2069 form where a challenge has
//! no qop).

use std::fmt;

use zeroize::Zeroizing;

/// A secret text. Wiped when dropped; never printed, whatever asks for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Zeroizing<String>);

impl Hidden {
    /// Hides a text.
    #[must_use]
    pub fn new(text: String) -> Hidden {
        Hidden(Zeroizing::new(text))
    }

    /// The text itself, for computing only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// A hash algorithm, in rising strength (RFC 7616 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// RFC 1321.
    Md5,
    /// FIPS 180-4.
    Sha256,
    /// FIPS 180-4 SHA-512/256, which is not SHA-512 cut short.
    Sha512_256,
}

/// What proves who the user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The password.
    Password(Hidden),
    /// H(username:realm:password) in lower-case hex: serves this algorithm (and its -sess variant) only.
    Ha1 {
        /// The algorithm it was made with.
        algorithm: Algorithm,
        /// Hex digits.
        hex: Hidden,
    },
}

/// One user in one realm, or in any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The realm it is for, compared exactly; `None`: any.
    pub realm: Option<String>,
    /// The user name, not escaped.
    pub username: String,
    /// Password or HA1.
    pub secret: Secret,
}

/// All that the user told about who they are, and what may be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// Tried in order; the first whose realm fits serves the challenge.
    pub credentials: Vec<Credential>,
    /// Whose password to ask for when no credential fits and somebody can be asked; `None`: nobody can.
    pub ask: Option<String>,
    /// Answer challenges of this realm only.
    pub realm: Option<String>,
    /// Skip weaker challenges.
    pub minimum: Algorithm,
}
