//! Digest authentication, both sides (RFC 7616, RFC 8760, RFC 3261 §22; the RFC 2069 form where a challenge
//! has no qop). The arithmetic is in [`hash`].
//!
//! A client's life cycle: the user's [`Keyring`] is fixed. A 401 or 407 goes to [`Sessions::on_challenge`],
//! which picks what to serve; from then on [`Sessions::authorize`] gives the header rows of every request,
//! nonce counts included, and [`Sessions::on_success`] reads what a 2xx says about them.
//!
//! A server has one [`Verifier`] with its [`Users`]: [`Verifier::check`] says who sent a request, and
//! [`Verifier::challenges`] what a 401 asks for.

use std::fmt;

mod client;
pub mod hash;
mod nonce;
mod server;
mod users;

pub use client::{
    Answered, ChallengeOutcome, Claimant, CredentialsFailure, Proof, Sessions, Skipped, Trust, WhySkipped,
    unreadable,
};
pub use server::{AuthFailure, Presented, Verdict, Verifier};
pub use users::{User, Users, UsersError, UsersFault};

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
    /// MD5 (RFC 1321).
    Md5,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512/256 (FIPS 180-4), which is not SHA-512 cut short.
    Sha512_256,
}

impl Algorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [Algorithm; 3] = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256];

    /// The order in which a server offers them if nobody says another. Clients take the first that they know (RFC 8760
    /// §2.4); some read the first only, and know SHA-256 but not SHA-512-256.
    pub const OFFERED: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5];

    /// Reads the token of a challenge or an option: the algorithm, and whether it is the `-sess` variant.
    /// Any case (RFC 7616 §3.3; tokens are compared without).
    #[must_use]
    pub fn parse(token: &str) -> Option<(Algorithm, Variant)> {
        let (base, variant) = match token.len().checked_sub(5).and_then(|at| token.split_at_checked(at)) {
            Some((base, ending)) if ending.eq_ignore_ascii_case("-sess") => (base, Variant::Session),
            Some(_) | None => (token, Variant::Plain),
        };
        let named = |algorithm: &Algorithm| algorithm.as_str().eq_ignore_ascii_case(base);
        let algorithm = Algorithm::ALL.into_iter().find(named)?;
        Some((algorithm, variant))
    }

    /// How many hex digits a hash has.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Algorithm::Md5 => 32,
            Algorithm::Sha256 | Algorithm::Sha512_256 => 64,
        }
    }

    /// Its name as registered with IANA.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512_256 => "SHA-512-256",
        }
    }
}

/// How A1 is made (RFC 7616 §3.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// From user, realm and password alone.
    Plain,
    /// With nonce and cnonce mixed in: `-sess`.
    Session,
}

/// Quality of protection (RFC 7616 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// The method and the URI are protected.
    Auth,
    /// The body is protected, too.
    AuthInt,
}

impl Qop {
    /// Its token as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }
}

/// A proof of who the user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The password in clear.
    Password(Hidden),
    /// H(username:realm:password) in lower-case hex: serves this algorithm (and its -sess variant) only.
    Ha1 {
        /// The algorithm it was made with.
        algorithm: Algorithm,
        /// The hash in hexadecimal digits.
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
    /// The password or HA1.
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
    /// The weakest algorithm that is answered.
    pub minimum: Algorithm,
}
