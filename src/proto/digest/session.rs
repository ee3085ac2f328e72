//! One nonce in use: what goes into its answers.

use unicode_normalization::UnicodeNormalization;

use super::hash::{self, Exchange, Protection};
use super::sessions::{Kind, Terms};
use super::{Algorithm, Credential, Hidden, Qop, Secret, Variant};
use crate::proto::client::outcome::Answered;
use crate::sip::{AuthenticationInfo, Challenge, Credentials};

/// A nonce in use.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub kind: Kind,
    pub realm: String,
    pub nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As the challenge spelled it; `None`: it had none, and the answer has none (RFC 7616 §3.3).
    algorithm_token: Option<String>,
    variant: Variant,
    qop: Option<Qop>,
    name: NameForm,
    pub username: String,
    ha1: Hidden,
    /// One cnonce for the life of a nonce: servers that compute A1 of -sess once and servers that compute it for
    /// every request then agree.
    cnonce: String,
    pub nc: u32,
    /// The last request carried this session's answer.
    pub sent: bool,
    /// The answer was accepted at least once: another challenge is about the nonce, not about the user.
    pub proven: bool,
}

/// How the user name goes into the header (RFC 7616 §3.4, §3.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameForm {
    /// `username="..."`.
    Quoted,
    /// `username*=UTF-8''...` (RFC 5987), for names beyond ASCII when the challenge says UTF-8.
    Extended,
    /// `username` hashed, and `userhash=true`.
    Hashed,
}

impl Session {
    pub fn begin(
        kind: Kind,
        challenge: &Challenge,
        terms: &Terms<'_>,
        credential: &Credential,
        cnonce: String,
    ) -> Session {
        let utf8 = challenge.charset().is_some_and(|charset| charset.eq_ignore_ascii_case("UTF-8"));
        let normal = |text: &str| if utf8 { text.nfc().collect() } else { text.to_owned() };
        let username = normal(&credential.username);
        let ha1 = match &credential.secret {
            Secret::Password(password) => {
                let password = Hidden::new(normal(password.reveal()));
                let octets = password.reveal().as_bytes();
                Hidden::new(hash::ha1(terms.algorithm, &username, terms.realm, octets))
            }
            Secret::Ha1 { hex, .. } => hex.clone(),
        };
        let name = if challenge.userhash() {
            NameForm::Hashed
        } else if utf8 && !username.is_ascii() {
            NameForm::Extended
        } else {
            NameForm::Quoted
        };
        Session {
            kind,
            realm: terms.realm.to_owned(),
            nonce: terms.nonce.to_owned(),
            opaque: challenge.opaque().map(str::to_owned),
            algorithm: terms.algorithm,
            algorithm_token: challenge.algorithm().map(str::to_owned),
            variant: terms.variant,
            qop: terms.qop,
            name,
            username,
            ha1,
            cnonce,
            nc: 0,
            sent: false,
            proven: false,
        }
    }

    fn with_exchange<T>(&self, uri: &str, body: &[u8], f: impl FnOnce(&Exchange<'_>) -> T) -> T {
        let nc = format!("{:08x}", self.nc);
        f(&Exchange {
            algorithm: self.algorithm,
            variant: self.variant,
            nonce: &self.nonce,
            session_cnonce: &self.cnonce,
            protection: self.qop.map(|qop| Protection { qop, nc: &nc, cnonce: &self.cnonce }),
            uri,
            body,
        })
    }

    pub fn credentials(&self, method: &str, uri: &str, body: &[u8]) -> Credentials {
        let response = self.with_exchange(uri, body, |e| e.response(self.ha1.reveal(), method));
        let out = Credentials::new("Digest");
        let mut out = match self.name {
            NameForm::Quoted => out.quoted("username", &self.username),
            NameForm::Extended => out.token("username*", &extended(&self.username)),
            NameForm::Hashed => {
                out.quoted("username", &hash::userhash(self.algorithm, &self.username, &self.realm))
            }
        };
        out = out.quoted("realm", &self.realm).quoted("nonce", &self.nonce);
        out = out.quoted("uri", uri).quoted("response", &response);
        if let Some(token) = &self.algorithm_token {
            out = out.token("algorithm", token);
        }
        // -sess needs the cnonce for A1 even in the form without qop.
        if self.qop.is_some() || self.variant == Variant::Session {
            out = out.quoted("cnonce", &self.cnonce);
        }
        if let Some(opaque) = &self.opaque {
            out = out.quoted("opaque", opaque);
        }
        if let Some(qop) = self.qop {
            out = out.token("qop", qop.as_str()).token("nc", &format!("{:08x}", self.nc));
        }
        if self.name == NameForm::Hashed {
            out = out.token("userhash", "true");
        }
        out
    }

    /// Whether a `rspauth`, if there is one, was made with our password for our request.
    pub fn proves(&self, info: &AuthenticationInfo, uri: &str, body: &[u8]) -> bool {
        let Some(rspauth) = &info.rspauth else { return true };
        let expected = self.with_exchange(uri, body, |e| e.rspauth(self.ha1.reveal()));
        rspauth.eq_ignore_ascii_case(&expected)
    }

    pub fn answered(&self) -> Answered {
        let algorithm = match self.variant {
            Variant::Plain => self.algorithm.as_str().to_owned(),
            Variant::Session => format!("{}-sess", self.algorithm.as_str()),
        };
        Answered { scheme: "Digest", algorithm, qop: self.qop.map(Qop::as_str), realm: self.realm.clone() }
    }
}

/// RFC 5987 ext-value in UTF-8.
fn extended(name: &str) -> String {
    let mut out = String::from("UTF-8''");
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}
