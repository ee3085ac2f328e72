//! Digest authentication, the server's side: challenges, and what is made of the answers.

use std::sync::Arc;

use super::claim::{Claim, Name};
use super::hash::{self, Exchange};
use super::nonce::{self, Nonces, Standing};
use super::users::{PerAlgorithm, lower, place};
use super::{Algorithm, Hidden, User, Users, Variant};
use crate::proto::Time;
use crate::proto::ids::Random;
use crate::proto::registrar::service::AuthFailure;
use crate::sip::{Credentials, Method, ParamValue};

/// Decides who sent a request.
///
/// A request without a [`Verdict::Proven`] is answered with 401 and [`Verifier::challenges`], and forgotten: only the
/// nonces of users who proved themselves take memory, and that is bounded.
#[derive(Debug)]
pub struct Verifier {
    users: Users,
    /// Best first; not empty, and none twice.
    algorithms: Vec<Algorithm>,
    nonces: Nonces,
    /// The HA1s of users who don't exist. Nobody knows their password.
    decoys: PerAlgorithm<Hidden>,
    takes_no_qop: bool,
}

/// What a request says about who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The realm that it has to be proven for.
    pub realm: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// Its Request-URI, as it came.
    pub uri: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// Its Authorization values.
    pub credentials: &'a [Credentials],
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sender knows this user's password.
    Proven(Arc<User>),
    /// Challenge it. Nothing was offered, or only what this realm does not take.
    Unproven,
    /// Challenge it with `stale=true`: the password is right, the nonce too old or not made by us.
    Stale,
    /// Challenge it, and tell. With `stale=true` when it was a replay: then the password was right, and a client that
    /// came by its nonce count honestly can go on.
    Refused {
        /// As whom it came.
        username: Arc<str>,
        /// Why.
        why: AuthFailure,
    },
    /// 400: parameters are missing or contradict each other.
    Malformed(&'static str),
}

impl Verifier {
    /// A verifier that takes these algorithms, best first; none at all means every one. Its nonces are good for an hour
    /// and die with it: the key is new.
    #[must_use]
    pub fn new(users: Users, algorithms: &[Algorithm], random: &mut dyn Random) -> Verifier {
        let mut taken: Vec<Algorithm> = Vec::new();
        for algorithm in algorithms {
            if !taken.contains(algorithm) {
                taken.push(*algorithm);
            }
        }
        if taken.is_empty() {
            taken.extend(Algorithm::ALL.iter().rev());
        }
        let nonces = Nonces::new(nonce::LIFETIME, nonce::REMEMBERED, random);
        let nobodys: [u8; 16] = (u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes();
        let decoys =
            Algorithm::ALL.map(|algorithm| Hidden::new(hash::hex_of(algorithm, &[nobodys.as_slice()])));
        Verifier { users, algorithms: taken, nonces, decoys, takes_no_qop: false }
    }

    /// Takes digests without qop, too, as clients of RFC 2069 send them (RFC 3261 §22.4). Their nonces are good for one
    /// request.
    #[must_use]
    pub fn without_qop(mut self, allowed: bool) -> Verifier {
        self.takes_no_qop = allowed;
        self
    }

    /// The users.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Other users from now on. Nonces stay good.
    pub fn replace_users(&mut self, users: Users) {
        self.users = users;
    }

    /// Judges a request. Each good request is to be judged once: its nonce count is used up then.
    ///
    /// Credentials for other realms, by other schemes or other algorithms count as none. What is refused costs the same
    /// work whether the user exists or not.
    pub fn check(&mut self, asked: Asked<'_>, now: Time) -> Verdict {
        let takes = |wanted| self.users.offered(asked.realm, &self.algorithms).any(|taken| taken == wanted);
        match Claim::find(&asked, takes) {
            Err(what) => Verdict::Malformed(what),
            Ok(None) => Verdict::Unproven,
            Ok(Some(claim)) if claim.protection.is_none() && !self.takes_no_qop => Verdict::Unproven,
            Ok(Some(claim)) => self.judge(&claim, &asked, now),
        }
    }

    fn judge(&mut self, claim: &Claim<'_>, asked: &Asked<'_>, now: Time) -> Verdict {
        let standing = self.nonces.judge(claim.nonce, &lower(asked.realm), now);
        let known = match &claim.name {
            Name::Plain(name) => self.users.named(asked.realm, name),
            Name::Hashed(hash) => self.users.hashed(asked.realm, claim.algorithm, hash),
        };
        let ha1 = known.and_then(|known| known.ha1(claim.algorithm));
        let exchange = Exchange {
            algorithm: claim.algorithm,
            variant: Variant::Plain,
            nonce: claim.nonce,
            session_cnonce: "",
            protection: claim.protection,
            uri: claim.uri,
            body: asked.body,
        };
        let decoy = &self.decoys[place(claim.algorithm)];
        let expected = exchange.value(ha1.unwrap_or(decoy).reveal(), asked.method.as_str());
        // A computed decoy proves nothing, however unlikely it is.
        let is_right = expected.is(claim.response) && ha1.is_some();
        let user = known.map(|known| Arc::clone(&known.user));
        let refused = |username: &str, why| Verdict::Refused { username: Arc::from(username), why };
        match (user, standing) {
            (Some(user), Standing::Good(id)) if is_right => {
                if self.nonces.count(id, claim.nc, now) {
                    Verdict::Proven(user)
                } else {
                    refused(&user.name, AuthFailure::Replayed)
                }
            }
            (Some(_), Standing::Stale) if is_right => Verdict::Stale,
            (Some(user), Standing::Good(_) | Standing::Stale) => refused(&user.name, AuthFailure::Wrong),
            (None, Standing::Good(_) | Standing::Stale) => refused(claim.name.as_str(), AuthFailure::Wrong),
        }
    }

    /// The values of the WWW-Authenticate rows for that realm: one for each algorithm, best first, with one fresh nonce
    /// (RFC 7616 §3.7, RFC 8760 §2.3). Keeps nothing.
    pub fn challenges(&self, realm: &str, stale: bool, random: &mut dyn Random, now: Time) -> Vec<String> {
        let realm = lower(realm);
        let nonce = self.nonces.issue(&realm, random, now);
        let nonce = nonce.as_str();
        let stale = if stale { ", stale=true" } else { "" };
        let quoted = ParamValue::Quoted(realm.clone().into_owned());
        let row = |algorithm: Algorithm| {
            let algorithm = algorithm.as_str();
            format!(
                "Digest realm={quoted}, nonce=\"{nonce}\", qop=\"auth,auth-int\", algorithm={algorithm}, \
                 userhash=true, charset=UTF-8{stale}"
            )
        };
        self.users.offered(&realm, &self.algorithms).map(row).collect()
    }
}

#[cfg(test)]
mod tests;
