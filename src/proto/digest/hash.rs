//! The arithmetic of digest (RFC 7616 §3.4; RFC 2617 §3.2.2 for MD5 without qop). No policy: any octets go in.

use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};

use super::{Algorithm, Qop, Variant};

/// H() over parts joined by colons, in lower-case hexadecimal.
#[must_use]
pub fn hex_of(algorithm: Algorithm, parts: &[&[u8]]) -> String {
    match algorithm {
        Algorithm::Md5 => joined(Md5::new(), parts),
        Algorithm::Sha256 => joined(Sha256::new(), parts),
        Algorithm::Sha512_256 => joined(Sha512_256::new(), parts),
    }
}

fn joined<D: Digest>(mut hasher: D, parts: &[&[u8]]) -> String {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    let value = hasher.finalize();
    let mut hex = String::with_capacity(2 * value.len());
    for octet in value.iter() {
        hex.extend([octet >> 4, octet & 0xF].map(|half| char::from(b"0123456789abcdef"[usize::from(half)])));
    }
    hex
}

/// H(username:realm:password), the part of A1 that never changes (§3.4.2). The password is octets: AKA's is binary.
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
    /// The hash.
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

/// What a qop brings along.
#[derive(Clone, Copy, Debug)]
pub struct Protection<'a> {
    /// Which.
    pub qop: Qop,
    /// Eight hexadecimal digits.
    pub nc: &'a str,
    /// Of this request.
    pub cnonce: &'a str,
}

impl Exchange<'_> {
    /// The client's `response` (§3.4.1) from H(username:realm:password).
    #[must_use]
    pub fn response(&self, ha1: &str, method: &str) -> String {
        self.value(ha1, method)
    }

    /// The server's `rspauth` (§3.5): the same with an empty method. `body` is the response's.
    #[must_use]
    pub fn rspauth(&self, ha1: &str) -> String {
        self.value(ha1, "")
    }

    /// H(A2) (§3.4.3).
    #[must_use]
    pub fn ha2(&self, method: &str) -> String {
        match self.protection.map(|p| p.qop) {
            None | Some(Qop::Auth) => hex_of(self.algorithm, &[method.as_bytes(), self.uri.as_bytes()]),
            Some(Qop::AuthInt) => {
                let body = hex_of(self.algorithm, &[self.body]);
                hex_of(self.algorithm, &[method.as_bytes(), self.uri.as_bytes(), body.as_bytes()])
            }
        }
    }

    fn value(&self, ha1: &str, method: &str) -> String {
        let a1 = match self.variant {
            Variant::Plain => ha1.to_owned(),
            Variant::Session => hex_of(
                self.algorithm,
                &[ha1.as_bytes(), self.nonce.as_bytes(), self.session_cnonce.as_bytes()],
            ),
        };
        let ha2 = self.ha2(method);
        let (a1, nonce, ha2) = (a1.as_bytes(), self.nonce.as_bytes(), ha2.as_bytes());
        match self.protection {
            None => hex_of(self.algorithm, &[a1, nonce, ha2]),
            Some(p) => hex_of(
                self.algorithm,
                &[a1, nonce, p.nc.as_bytes(), p.cnonce.as_bytes(), p.qop.as_str().as_bytes(), ha2],
            ),
        }
    }
}
