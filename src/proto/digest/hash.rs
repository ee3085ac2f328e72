//! The arithmetic of digest (RFC 7616 §3.4; RFC 2617 §3.2.2 for MD5 without qop). No policy: any octets go
//! in.

use std::fmt;

use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};
use subtle::ConstantTimeEq;

use super::{Algorithm, Qop, Variant};

/// The longest hash in hexadecimal.
const LONGEST: usize = 64;

/// A hash in lower-case hexadecimal, without memory of its own: a server makes several for every request.
#[derive(Clone, Copy)]
pub(super) struct Hex {
    digits: [u8; LONGEST],
    length: usize,
}

impl Hex {
    /// Writes up to 32 octets in hexadecimal.
    pub fn of(octets: &[u8]) -> Hex {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = Hex { digits: [0; LONGEST], length: LONGEST.min(2 * octets.len()) };
        for (pair, octet) in hex.digits.chunks_exact_mut(2).zip(octets) {
            pair.copy_from_slice(&[DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 0xF)]]);
        }
        hex
    }

    /// The digits as octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// Whether `text` is this hash in any letter case. How long that takes does not depend on where they
    /// differ.
    pub fn is(&self, text: &str) -> bool {
        let mut digits = [0; LONGEST];
        let Some(given) = digits.get_mut(..text.len()) else { return false };
        given.copy_from_slice(text.as_bytes());
        given.make_ascii_lowercase();
        bool::from(self.as_bytes().ct_eq(given))
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// H() over parts joined by colons, in lower-case hexadecimal.
#[must_use]
pub fn hex_of(algorithm: Algorithm, parts: &[&[u8]]) -> String {
    hash(algorithm, parts).to_string()
}

/// As [`hex_of`], without a `String`.
pub(super) fn hash(algorithm: Algorithm, parts: &[&[u8]]) -> Hex {
    match algorithm {
        Algorithm::Md5 => joined(Md5::new(), parts),
        Algorithm::Sha256 => joined(Sha256::new(), parts),
        Algorithm::Sha512_256 => joined(Sha512_256::new(), parts),
    }
}

fn joined<D: Digest>(mut hasher: D, parts: &[&[u8]]) -> Hex {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    Hex::of(&hasher.finalize())
}

/// H(username:realm:password), the part of A1 that never changes (§3.4.2). The password is octets: AKA's is
/// binary.
#[must_use]
pub fn ha1(algorithm: Algorithm, username: &str, realm: &str, password: &[u8]) -> String {
    hex_of(algorithm, &[username.as_bytes(), realm.as_bytes(), password])
}

/// H(username:realm), sent instead of the name when the challenge has `userhash=true` (§3.4.4).
#[must_use]
pub fn userhash(algorithm: Algorithm, username: &str, realm: &str) -> String {
    hex_of(algorithm, &[username.as_bytes(), realm.as_bytes()])
}

/// All that goes into one `response`. Texts are as they are hashed: without quotes, escapes undone.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The hash algorithm.
    pub algorithm: Algorithm,
    /// Plain or `-sess`.
    pub variant: Variant,
    /// The server's nonce.
    pub nonce: &'a str,
    /// The cnonce that goes into A1 of `-sess`: the one of the session's first request (§3.4.2).
    pub session_cnonce: &'a str,
    /// qop with the nonce count and cnonce it needs; `None` is the RFC 2069 form.
    pub protection: Option<Protection<'a>>,
    /// The Request-URI, octet by octet as sent (RFC 3261 §22.4).
    pub uri: &'a str,
    /// The body, hashed by auth-int only.
    pub body: &'a [u8],
}

/// A qop with the nonce count and the cnonce that it needs.
#[derive(Clone, Copy, Debug)]
pub struct Protection<'a> {
    /// The quality of protection.
    pub qop: Qop,
    /// The nonce count: eight hexadecimal digits.
    pub nc: &'a str,
    /// The cnonce of this request.
    pub cnonce: &'a str,
}

impl Exchange<'_> {
    /// The client's `response` (§3.4.1) from H(username:realm:password).
    #[must_use]
    pub fn response(&self, ha1: &str, method: &str) -> String {
        self.value(ha1, method).to_string()
    }

    /// The server's `rspauth` (§3.5): the same with an empty method. `body` is the response's.
    #[must_use]
    pub fn rspauth(&self, ha1: &str) -> String {
        self.value(ha1, "").to_string()
    }

    /// H(A2) (§3.4.3).
    #[must_use]
    pub fn ha2(&self, method: &str) -> String {
        self.second(method).to_string()
    }

    fn second(&self, method: &str) -> Hex {
        match self.protection.map(|p| p.qop) {
            None | Some(Qop::Auth) => hash(self.algorithm, &[method.as_bytes(), self.uri.as_bytes()]),
            Some(Qop::AuthInt) => {
                let body = hash(self.algorithm, &[self.body]);
                hash(self.algorithm, &[method.as_bytes(), self.uri.as_bytes(), body.as_bytes()])
            }
        }
    }

    /// As [`Exchange::response`], without a `String`.
    pub(super) fn value(&self, ha1: &str, method: &str) -> Hex {
        let mixed;
        let a1 = match self.variant {
            Variant::Plain => ha1.as_bytes(),
            Variant::Session => {
                let parts = [ha1.as_bytes(), self.nonce.as_bytes(), self.session_cnonce.as_bytes()];
                mixed = hash(self.algorithm, &parts);
                mixed.as_bytes()
            }
        };
        let ha2 = self.second(method);
        let (nonce, ha2) = (self.nonce.as_bytes(), ha2.as_bytes());
        match self.protection {
            None => hash(self.algorithm, &[a1, nonce, ha2]),
            Some(p) => hash(
                self.algorithm,
                &[a1, nonce, p.nc.as_bytes(), p.cnonce.as_bytes(), p.qop.as_str().as_bytes(), ha2],
            ),
        }
    }
}
