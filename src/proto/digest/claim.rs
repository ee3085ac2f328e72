//! What a request's credentials say (RFC 7616 §3.4), before anybody believes it.

use std::borrow::Cow;

use super::hash::Protection;
use super::verify::Asked;
use super::{Algorithm, Qop, Variant};
use crate::sip::{Credentials, Uri};

/// The credentials of one request for one realm.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub name: Name<'a>,
    pub algorithm: Algorithm,
    pub nonce: &'a str,
    pub uri: &'a str,
    pub response: &'a str,
    /// `None`: the form of RFC 2069, without qop.
    pub protection: Option<Protection<'a>>,
    /// The number in `nc`; 0 without qop.
    pub nc: u32,
}

/// How the user name came.
#[derive(Debug)]
pub(super) enum Name<'a> {
    /// As it is: `username`, or `username*` decoded.
    Plain(Cow<'a, str>),
    /// Hashed (RFC 7616 §3.4.4).
    Hashed(&'a str),
}

impl Name<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Name::Plain(name) => name,
            Name::Hashed(hash) => hash,
        }
    }
}

impl<'a> Claim<'a> {
    /// The first digest credentials for that realm by one of the algorithms that are taken. Other schemes, realms and
    /// algorithms are none of our business; so are those without an answer that IMS devices begin with (3GPP TS 24.229
    /// §5.1.1.2). `None`: nothing of that kind.
    ///
    /// # Errors
    /// What is missing or contradicts something.
    pub fn find(
        asked: &Asked<'a>,
        takes: impl Fn(Algorithm) -> bool,
    ) -> Result<Option<Claim<'a>>, &'static str> {
        for credentials in asked.credentials.iter().filter(|credentials| credentials.is_digest()) {
            let realm = credentials.get("realm").ok_or("credentials without a realm")?;
            if !realm.eq_ignore_ascii_case(asked.realm) {
                continue;
            }
            match Algorithm::parse(credentials.get("algorithm").unwrap_or("MD5")) {
                Some((algorithm, Variant::Plain)) if takes(algorithm) => {
                    return Claim::read(credentials, algorithm, asked);
                }
                Some((_, Variant::Plain | Variant::Session)) | None => {}
            }
        }
        Ok(None)
    }

    fn read(
        credentials: &'a Credentials,
        algorithm: Algorithm,
        asked: &Asked<'a>,
    ) -> Result<Option<Claim<'a>>, &'static str> {
        let need = |name, what| credentials.get(name).ok_or(what);
        let nonce = need("nonce", "credentials without a nonce")?;
        let response = need("response", "credentials without a response")?;
        if nonce.is_empty() || response.is_empty() {
            return Ok(None);
        }
        let uri = need("uri", "credentials without a uri")?;
        if !is_same(uri, asked) {
            return Err("credentials for another Request-URI");
        }
        let name = name(credentials)?;
        let (protection, nc) = protection(credentials)?;
        Ok(Some(Claim { name, algorithm, nonce, uri, response, protection, nc }))
    }
}

fn name(credentials: &Credentials) -> Result<Name<'_>, &'static str> {
    let hashed = match credentials.get("userhash") {
        None => false,
        Some(value) if value.eq_ignore_ascii_case("false") => false,
        Some(value) if value.eq_ignore_ascii_case("true") => true,
        Some(_) => return Err("credentials with a userhash that is neither true nor false"),
    };
    match (credentials.get("username"), credentials.get("username*")) {
        (Some(hash), None) if hashed => Ok(Name::Hashed(hash)),
        (Some(name), None) => Ok(Name::Plain(Cow::Borrowed(name))),
        (None, Some(_)) if hashed => Err("credentials with userhash and username*"),
        (None, Some(coded)) => match extended(coded) {
            Some(name) => Ok(Name::Plain(Cow::Owned(name))),
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
    let is_count = nc.len() == 8 && nc.bytes().all(|octet| octet.is_ascii_hexdigit());
    match u32::from_str_radix(nc, 16) {
        Ok(count) if is_count => Ok((Some(Protection { qop, nc, cnonce }), count)),
        Ok(_) | Err(_) => Err("credentials with an nc that is not 8 hex digits"),
    }
}

/// Whether `uri` is what was asked for. Proxies change the Request-URI, so that a difference is not necessarily a
/// failure (RFC 3261 §22.4 item 8): it is enough that the client meant our domain, the host of the Request-URI, or an
/// address, as clients do that name the next hop (SIPp, and phones with an outbound proxy). That the credentials are good
/// for one request only is the nonce count's business.
fn is_same(uri: &str, asked: &Asked<'_>) -> bool {
    if uri == asked.uri {
        return true;
    }
    let host = |uri: &str| Uri::parse(uri).ok().map(|uri| uri.host);
    match host(uri) {
        None => false,
        Some(meant) if meant.ip().is_some() => true,
        Some(meant) => meant.to_string().eq_ignore_ascii_case(asked.realm) || host(asked.uri) == Some(meant),
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
