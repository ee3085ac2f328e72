//! Authentication headers: challenges, credentials and the server's answer (RFC 3261 §20.7, §20.27, §20.28, §20.44,
//! RFC 7616, RFC 7615). Only their grammar; what the parameters mean is digest's business.

use super::field::Problem;
use super::params::{Param, ParamValue, Params};
use super::scan::{self, Cursor};
use std::fmt;

/// A scheme and its parameters, in order: what challenges and credentials have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Terms {
    scheme: String,
    /// A bare `token68` (RFC 9110 §11.2) instead of parameters.
    token68: Option<String>,
    params: Params,
}

impl Terms {
    fn new(scheme: &str) -> Terms {
        Terms { scheme: scheme.to_owned(), token68: None, params: Params::new() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).flatten()
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn push(&mut self, name: &str, value: ParamValue) {
        self.params.push(Param { name: Param::name(name), value: Some(value) });
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        if let Some(token68) = &self.token68 {
            write!(f, " {token68}")?;
        }
        write_params(f, &self.params, " ")
    }
}

/// Writes `name=value` lists: `first` before the first one, a comma before the others.
fn write_params(f: &mut fmt::Formatter<'_>, params: &Params, first: &str) -> fmt::Result {
    for (at, param) in params.rows().iter().enumerate() {
        f.write_str(if at == 0 { first } else { ", " })?;
        f.write_str(&param.name)?;
        if let Some(value) = &param.value {
            write!(f, "={value}")?;
        }
    }
    Ok(())
}

/// Takes one row apart.
struct Reader<'a> {
    cursor: Cursor<'a>,
    done: Vec<Terms>,
    current: Option<Terms>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Sound,
    /// The last value was not quoted, so a lone word behind a comma belongs to it: `qop=auth,auth-int`.
    OpenList,
    /// The current one cannot be used.
    Broken,
}

impl<'a> Reader<'a> {
    /// All sound ones of `row`, in order. With `current` given the row begins with parameters, not with a scheme.
    fn read(row: &'a [u8], current: Option<Terms>) -> Vec<Terms> {
        match Cursor::of(row) {
            Ok(cursor) => Reader { cursor, done: Vec::new(), current, state: State::Sound }.finished(),
            Err(_) => Vec::new(),
        }
    }

    fn finished(mut self) -> Vec<Terms> {
        loop {
            self.cursor.run(|octet| scan::is_space(octet) || octet == b',');
            if self.cursor.is_at_end() {
                self.finish();
                return self.done;
            }
            let word = self.cursor.token();
            let mut ahead = self.cursor;
            if word.is_empty() {
                self.spoil();
            } else if self.current.is_some() && ahead.separator(b'=') {
                self.cursor = ahead;
                self.param(word);
            } else if self.current.is_none() || is_param_ahead(self.cursor) {
                self.finish();
                self.begin(word);
            } else {
                self.lone(word);
            }
        }
    }

    fn begin(&mut self, scheme: &str) {
        let mut terms = Terms::new(scheme);
        let mut ahead = self.cursor;
        ahead.skip_space();
        let start = ahead;
        ahead.run(|octet| octet.is_ascii_alphanumeric() || b"-._~+/".contains(&octet));
        ahead.run(|octet| octet == b'=');
        let token68 = ahead.since(start);
        ahead.skip_space();
        if !token68.is_empty() && matches!(ahead.peek(), None | Some(b',')) {
            terms.token68 = Some(token68.to_owned());
            self.cursor = ahead;
        }
        self.current = Some(terms);
        self.state = State::Sound;
    }

    fn finish(&mut self) {
        if let Some(terms) = self.current.take()
            && self.state != State::Broken
        {
            self.done.push(terms);
        }
    }

    fn param(&mut self, name: &str) {
        let quoted = self.cursor.peek() == Some(b'"');
        let value = if quoted {
            self.cursor.quoted().map(|text| ParamValue::Quoted(text.into_owned()))
        } else {
            let value = self.cursor.run(|octet| !scan::is_space(octet) && !matches!(octet, b',' | b'"'));
            Ok(ParamValue::Token(value.to_owned()))
        };
        let (Ok(value), Some(terms)) = (value, &mut self.current) else {
            return self.spoil();
        };
        terms.push(name, value);
        if self.state != State::Broken {
            self.state = if quoted { State::Sound } else { State::OpenList };
        }
    }

    /// A word that is neither parameter nor scheme.
    fn lone(&mut self, word: &str) {
        let last = self.current.as_mut().and_then(|terms| terms.params.last_mut());
        if let (State::OpenList, Some(param)) = (self.state, last) {
            let mut list = match param.value.take() {
                Some(ParamValue::Token(list) | ParamValue::Quoted(list)) => list,
                None => String::new(),
            };
            list.push(',');
            list.push_str(word);
            param.value = Some(ParamValue::Quoted(list));
        }
    }

    /// The current one is lost; goes on behind the next comma.
    fn spoil(&mut self) {
        self.state = State::Broken;
        loop {
            self.cursor.until([b',', b'"']);
            if self.cursor.peek() != Some(b'"') {
                return;
            }
            if self.cursor.quoted() == Err(Problem::UnterminatedQuote) {
                self.cursor.skip_all();
            }
        }
    }
}

/// Whether white space and then `name =` come next, which makes the word before them a scheme.
fn is_param_ahead(mut cursor: Cursor<'_>) -> bool {
    let space = cursor.run(scan::is_space);
    let name = cursor.token();
    !space.is_empty() && !name.is_empty() && cursor.separator(b'=')
}

/// A challenge of WWW-Authenticate or Proxy-Authenticate.
///
/// Values are given without quotes and with quoted-pairs undone, which is what digest computes over
/// (RFC 7616 §3.3 `unq`). When a parameter is repeated the first one counts. `Display` writes the header value.
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

    /// The challenges of one header row: as a rule one (RFC 3261 §7.3.1), but two joined by a comma are separated.
    /// A broken one is left out. An unquoted list such as `qop=auth,auth-int` is read as one value.
    pub fn parse_all(row: &[u8]) -> Vec<Challenge> {
        Reader::read(row, None).into_iter().map(Challenge).collect()
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

    /// What has to come back unchanged; an empty one too (RFC 7616 §3.3).
    pub fn opaque(&self) -> Option<&str> {
        self.get("opaque")
    }

    /// The algorithm token, spelled as it came. Absence means MD5 (RFC 7616 §3.3).
    pub fn algorithm(&self) -> Option<&str> {
        self.get("algorithm")
    }

    /// The offered qualities of protection; `None` when the parameter is absent, which means the form of RFC 2069.
    pub fn qops(&self) -> Option<Vec<&str>> {
        let list = self.get("qop")?;
        Some(list.split([',', ' ', '\t']).filter(|qop| !qop.is_empty()).collect())
    }

    /// Whether the credentials were right and only the nonce too old: `true` in any letter case, quoted or not.
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
    pub(super) fn parse_all(row: &[u8]) -> Vec<Credentials> {
        Reader::read(row, None).into_iter().map(Credentials).collect()
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

fn token_value(value: &str) -> ParamValue {
    let value_is_token = scan::is_token(value.as_bytes());
    if value_is_token { ParamValue::Token(value.to_owned()) } else { ParamValue::Quoted(value.to_owned()) }
}

/// What a server says after it accepted credentials (RFC 7616 §3.5). Texts are unquoted and unescaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthenticationInfo {
    /// The nonce for the next request.
    pub nextnonce: Option<String>,
    /// The server's proof that it knows the password, in hex.
    pub rspauth: Option<String>,
    /// The quality of protection the proof was made with.
    pub qop: Option<String>,
    /// The client's nonce, repeated.
    pub cnonce: Option<String>,
    /// The nonce count, repeated: eight hex digits.
    pub nc: Option<String>,
}

impl AuthenticationInfo {
    /// Reads a header row; `None` when it is broken. Unknown parameters are ignored.
    pub fn parse(row: &[u8]) -> Option<AuthenticationInfo> {
        let terms = Reader::read(row, Some(Terms::new(""))).into_iter().next()?;
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
        write_params(f, &params, "")
    }
}
