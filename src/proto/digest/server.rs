//! Digest, the server's side: challenges, and what is made of the answers.

use std::borrow::Cow;
use std::sync::Arc;

use super::hash::{self, Exchange, Protection};
use super::nonce::{self, Nonces, Standing, Use};
use super::users::{PerAlgorithm, UserEntry, local_part, lower, place};
use super::{Algorithm, Hidden, Qop, User, Users, Variant};
use crate::proto::Time;
use crate::proto::ids::Random;
use crate::sip::{Credentials, Method, ParamValue, Uri};

/// Decides who sent a request.
///
/// A request without a [`Verdict::Proven`] is answered with 401 and [`Verifier::challenges`], and forgotten:
/// only the nonces of users who proved themselves take memory, and that is bounded.
#[derive(Debug)]
pub struct Verifier {
    users: Users,
    /// In the order of the challenges; not empty, and none twice.
    algorithms: Vec<Algorithm>,
    nonces: Nonces,
    /// The HA1s of users who don't exist. Nobody knows their password.
    decoys: PerAlgorithm<Hidden>,
    takes_no_qop: bool,
}

/// The credentials of a request, with all that they have to fit.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The realm that it has to be proven for.
    pub realm: &'a str,
    /// The method of the request.
    pub method: &'a Method,
    /// The Request-URI, as it came.
    pub uri: &'a str,
    /// The body of the request.
    pub body: &'a [u8],
    /// The Authorization values of the request.
    pub credentials: &'a [Credentials],
}

/// What [`Verifier::check`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sender knows this user's password.
    Proven(Arc<User>),
    /// Challenge it. Nothing was offered, or only what this realm does not take.
    Unproven,
    /// Challenge it with `stale=true`: this user's password is right, the nonce too old, not made by us, or another user's.
    Stale(Arc<User>),
    /// Challenge it, and tell. With `stale=true` when it was a replay: then the password was right, and a
    /// client that came by its nonce count honestly can go on.
    Refused {
        /// The user name of the credentials.
        username: Arc<str>,
        /// What is wrong with the credentials.
        why: AuthFailure,
    },
    /// 400: parameters are missing or contradict each other.
    Malformed(&'static str),
}

/// Why credentials were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// The user does not exist, or the digest is not that of the password.
    #[error("unknown user or wrong password")]
    Wrong,
    /// The nonce count was used before.
    #[error("a replayed nonce count")]
    Replayed,
    /// The user is who they say, and may not change these bindings.
    #[error("another user's address")]
    NotAllowed,
}

impl Verifier {
    /// A verifier that offers these algorithms in this order; none at all means every one, in that of
    /// [`Algorithm::OFFERED`]. Its nonces are good for an hour and die with it: the key is new.
    #[must_use]
    pub fn new(users: Users, algorithms: &[Algorithm], random: &mut dyn Random) -> Verifier {
        let mut taken: Vec<Algorithm> = Vec::new();
        for algorithm in algorithms {
            if !taken.contains(algorithm) {
                taken.push(*algorithm);
            }
        }
        if taken.is_empty() {
            taken.extend(Algorithm::OFFERED);
        }
        let nonces = Nonces::new(nonce::LIFETIME, nonce::REMEMBERED, random);
        let nobodys: [u8; 16] = (u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes();
        let decoys =
            Algorithm::ALL.map(|algorithm| Hidden::new(hash::hex_of(algorithm, &[nobodys.as_slice()])));
        Verifier { users, algorithms: taken, nonces, decoys, takes_no_qop: false }
    }

    /// Takes digests without qop, too, as clients of RFC 2069 send them (RFC 3261 §22.4). Their nonces are
    /// good for one request.
    #[must_use]
    pub fn without_qop(mut self, allowed: bool) -> Verifier {
        self.takes_no_qop = allowed;
        self
    }

    /// All users that it knows.
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
    /// Credentials for other realms, by other schemes or other algorithms count as none. What is refused
    /// costs the same work whether the user exists or not.
    pub fn check(&mut self, presented: Presented<'_>, now: Time) -> Verdict {
        let takes =
            |wanted| self.users.offered(presented.realm, &self.algorithms).any(|taken| taken == wanted);
        match Claim::find(&presented, takes) {
            Err(what) => Verdict::Malformed(what),
            Ok(None) => Verdict::Unproven,
            Ok(Some(claim)) if claim.protection.is_none() && !self.takes_no_qop => Verdict::Unproven,
            Ok(Some(claim)) => self.judge(&claim, &presented, now),
        }
    }

    fn judge(&mut self, claim: &Claim<'_>, presented: &Presented<'_>, now: Time) -> Verdict {
        let standing = self.nonces.judge(claim.nonce, &lower(presented.realm), now);
        let meant = self.meant(claim, presented.realm);
        let exchange = Exchange {
            algorithm: claim.algorithm,
            variant: Variant::Plain,
            nonce: claim.nonce,
            session_cnonce: "",
            protection: claim.protection,
            uri: claim.uri,
            body: presented.body,
        };
        let decoy = &self.decoys[place(claim.algorithm)];
        let fits = |known: &Option<&UserEntry>| {
            let ha1 = known.and_then(|known| known.ha1(claim.algorithm));
            let expected = exchange.value(ha1.unwrap_or(decoy).reveal(), presented.method.as_str());
            // A computed decoy proves nothing, however unlikely it is.
            expected.is(claim.response) && ha1.is_some()
        };
        let proven = meant.iter().find(|known| fits(known));
        let is_right = proven.is_some();
        let user = proven.or(meant.first()).copied().flatten().map(|known| Arc::clone(&known.user));
        let refused = |username: &str, why| Verdict::Refused { username: Arc::from(username), why };
        match (user, standing) {
            (Some(user), Standing::Good(id)) if is_right => {
                match self.nonces.count(id, &user.name, claim.nc, now) {
                    Use::First => Verdict::Proven(user),
                    Use::Again => refused(&user.name, AuthFailure::Replayed),
                    Use::Foreign => Verdict::Stale(user),
                }
            }
            (Some(user), Standing::Stale) if is_right => Verdict::Stale(user),
            (Some(user), Standing::Good(_) | Standing::Stale) => refused(&user.name, AuthFailure::Wrong),
            (None, Standing::Good(_) | Standing::Stale) => refused(claim.name.as_str(), AuthFailure::Wrong),
        }
    }

    /// The algorithms that are offered for that realm, in order.
    pub fn offers(&self, realm: &str) -> impl Iterator<Item = Algorithm> {
        self.users.offered(realm, &self.algorithms)
    }

    /// Who may be meant by the name of a claim: who is called so, and for a name that is a whole address of the realm who
    /// is called as its user part. Their HA1s differ, and either may have been used. `None` where nobody is called so.
    fn meant(&self, claim: &Claim<'_>, realm: &str) -> Vec<Option<&UserEntry>> {
        let (same, short) = match &claim.name {
            ClaimedName::Plain(name) => {
                let short = local_part(name, realm).and_then(|short| self.users.named(realm, short));
                (self.users.named(realm, name), short)
            }
            ClaimedName::Hashed(hash) => self.users.hashed(realm, claim.algorithm, hash),
        };
        match (same, short) {
            (Some(_), Some(_)) => vec![same, short],
            (one, other) => vec![one.or(other)],
        }
    }

    /// The values of the WWW-Authenticate rows for that realm: one for each algorithm, in their order, with one
    /// fresh nonce (RFC 7616 §3.7, RFC 8760 §2.3). Keeps nothing.
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

/// The credentials of one request for one realm.
#[derive(Debug)]
struct Claim<'a> {
    name: ClaimedName<'a>,
    algorithm: Algorithm,
    nonce: &'a str,
    uri: &'a str,
    response: &'a str,
    /// `None`: the form of RFC 2069, without qop.
    protection: Option<Protection<'a>>,
    /// The number in `nc`; 0 without qop.
    nc: u32,
}

/// The user name, in the form in which it came.
#[derive(Debug)]
enum ClaimedName<'a> {
    /// As it is: `username`, or `username*` decoded.
    Plain(Cow<'a, str>),
    /// The hash of it (RFC 7616 §3.4.4).
    Hashed(&'a str),
}

impl ClaimedName<'_> {
    fn as_str(&self) -> &str {
        match self {
            ClaimedName::Plain(name) => name,
            ClaimedName::Hashed(hash) => hash,
        }
    }
}

impl<'a> Claim<'a> {
    /// The first digest credentials for that realm by one of the algorithms that are taken. Other schemes,
    /// realms and algorithms are none of our business; so are those without an answer that IMS devices begin
    /// with (3GPP TS 24.229 §5.1.1.2). `None`: nothing of that kind.
    ///
    /// # Errors
    /// What is missing or contradicts something.
    fn find(
        presented: &Presented<'a>,
        takes: impl Fn(Algorithm) -> bool,
    ) -> Result<Option<Claim<'a>>, &'static str> {
        for credentials in presented.credentials.iter().filter(|credentials| credentials.is_digest()) {
            let realm = credentials.get("realm").ok_or("credentials without a realm")?;
            if !realm.eq_ignore_ascii_case(presented.realm) {
                continue;
            }
            match Algorithm::parse(credentials.get("algorithm").unwrap_or("MD5")) {
                Some((algorithm, Variant::Plain)) if takes(algorithm) => {
                    return Claim::read(credentials, algorithm, presented);
                }
                Some((_, Variant::Plain | Variant::Session)) | None => {}
            }
        }
        Ok(None)
    }

    fn read(
        credentials: &'a Credentials,
        algorithm: Algorithm,
        presented: &Presented<'a>,
    ) -> Result<Option<Claim<'a>>, &'static str> {
        let need = |name, what| credentials.get(name).ok_or(what);
        let nonce = need("nonce", "credentials without a nonce")?;
        let response = need("response", "credentials without a response")?;
        if nonce.is_empty() || response.is_empty() {
            return Ok(None);
        }
        let uri = need("uri", "credentials without a uri")?;
        if !is_same(uri, presented) {
            return Err("credentials for another Request-URI");
        }
        let name = name(credentials)?;
        let (protection, nc) = protection(credentials)?;
        Ok(Some(Claim { name, algorithm, nonce, uri, response, protection, nc }))
    }
}

fn name(credentials: &Credentials) -> Result<ClaimedName<'_>, &'static str> {
    let hashed = match credentials.get("userhash") {
        None => false,
        Some(value) if value.eq_ignore_ascii_case("false") => false,
        Some(value) if value.eq_ignore_ascii_case("true") => true,
        Some(_) => return Err("credentials with a userhash that is neither true nor false"),
    };
    match (credentials.get("username"), credentials.get("username*")) {
        (Some(hash), None) if hashed => Ok(ClaimedName::Hashed(hash)),
        (Some(name), None) => Ok(ClaimedName::Plain(Cow::Borrowed(name))),
        (None, Some(_)) if hashed => Err("credentials with userhash and username*"),
        (None, Some(coded)) => match extended(coded) {
            Some(name) => Ok(ClaimedName::Plain(Cow::Owned(name))),
            None => Err("credentials with a username* that is not UTF-8 by RFC 5987"),
        },
        (Some(_), Some(_)) => Err("credentials with username and username*"),
        (None, None) => Err("credentials without a username"),
    }
}

/// What qop brings along, all or nothing (RFC 7616 §3.4).
fn protection(credentials: &Credentials) -> Result<(Option<Protection<'_>>, u32), &'static str> {
    let (nc, cnonce) = (credentials.get("nc"), credentials.get("cnonce"));
    let Some(qop) = credentials.get("qop") else {
        return match (nc, cnonce) {
            (None, None) => Ok((None, 0)),
            (Some(_), _) | (_, Some(_)) => Err("credentials with nc or cnonce and without qop"),
        };
    };
    let qop = [Qop::Auth, Qop::AuthInt]
        .into_iter()
        .find(|known| known.as_str().eq_ignore_ascii_case(qop))
        .ok_or("credentials with a qop that was not offered")?;
    let nc = nc.ok_or("credentials with qop and without nc")?;
    let cnonce = cnonce.ok_or("credentials with qop and without cnonce")?;
    // Some devices leave the leading zeros out; the digest is over what they sent.
    let is_count = (1..=8).contains(&nc.len()) && nc.bytes().all(|octet| octet.is_ascii_hexdigit());
    match u32::from_str_radix(nc, 16) {
        Ok(count) if is_count => Ok((Some(Protection { qop, nc, cnonce }), count)),
        Ok(_) | Err(_) => Err("credentials with an nc that is not 8 hex digits"),
    }
}

/// Whether `uri` is what was asked for. Proxies change the Request-URI, so that a difference is not
/// necessarily a failure (RFC 3261 §22.4 item 8): it is enough that the client meant our domain, the host of
/// the Request-URI, or an address, as clients do that name the next hop (SIPp, and phones with an outbound
/// proxy). That the credentials are good for one request only is the nonce count's business.
fn is_same(uri: &str, presented: &Presented<'_>) -> bool {
    if uri == presented.uri {
        return true;
    }
    let host = |uri: &str| Uri::parse(uri).ok().map(|uri| uri.host);
    match host(uri) {
        None => false,
        Some(meant) if meant.ip().is_some() => true,
        Some(meant) => {
            meant.to_string().eq_ignore_ascii_case(presented.realm) || host(presented.uri) == Some(meant)
        }
    }
}

/// An ext-value in UTF-8 (RFC 5987 §3.2.1).
fn extended(coded: &str) -> Option<String> {
    let (charset, rest) = coded.split_once('\'')?;
    let (_language, value) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("UTF-8") {
        return None;
    }
    // What stands before the first `%` is no escape.
    let mut parts = value.split('%');
    let mut octets = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        if !digits.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return None;
        }
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        octets.extend_from_slice(plain.as_bytes());
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests;
