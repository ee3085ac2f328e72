//! Digest authentication, the server's side.

use std::sync::Arc;

use super::{Algorithm, User, Users};
use crate::proto::Time;
use crate::proto::ids::Random;
use crate::proto::service::AuthFailure;
use crate::sip::{Credentials, Method};

/// Decides who sent a request.
#[derive(Debug)]
pub struct Verifier {
    users: Users,
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
    /// Challenge it with `stale=true`: the password is right, the nonce too old.
    Stale,
    /// Challenge it without `stale`, and tell.
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
    /// A verifier that takes these algorithms, best first.
    #[must_use]
    pub fn new(users: Users, _algorithms: &[Algorithm], _random: &mut dyn Random) -> Verifier {
        Verifier { users }
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

    /// Judges a request.
    pub fn check(&mut self, _asked: Asked<'_>, _now: Time) -> Verdict {
        Verdict::Unproven
    }

    /// The values of the WWW-Authenticate rows for that realm.
    pub fn challenges(
        &self,
        _realm: &str,
        _stale: bool,
        _random: &mut dyn Random,
        _now: Time,
    ) -> Vec<String> {
        Vec::new()
    }
}
