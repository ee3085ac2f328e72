//! SIP and SIPS URIs (RFC 3261 §19.1): reading and writing. Comparison is in `uri_match`.

use super::cursor::Cursor;
use super::host::Host;
use super::params::{Param, ParamValue, Params};
use super::scan;
use std::fmt;

/// What is wrong with a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No scheme, or not one this reader is for.
    #[error("unknown or missing scheme")]
    Scheme,
    /// An empty user part, or a character in it that has to be escaped.
    #[error("malformed user part")]
    User,
    /// A character in the password that has to be escaped.
    #[error("malformed password")]
    Password,
    /// Neither a host name nor an IPv4 address nor an IPv6 address in brackets.
    #[error("malformed host")]
    Host,
    /// Not a number up to 65535.
    #[error("malformed port")]
    Port,
    /// A parameter outside the grammar.
    #[error("malformed URI parameter")]
    Parameter,
    /// A header part (`?name=value`) outside the grammar.
    #[error("malformed URI header")]
    Header,
    /// White space, control or non-ASCII characters, or characters no URI may hold.
    #[error("a character that no URI holds")]
    Character,
}

/// The scheme of a [`Uri`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip`.
    Sip,
    /// `sips`: TLS on every hop (RFC 5630).
    Sips,
}

impl Scheme {
    /// The scheme without its colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
        }
    }
}

/// A SIP or SIPS URI, its parts spelled as they came: escapes are not undone, so that it is written as it was read.
///
/// There is no `==` and no hash: equality of SIP URIs is not transitive (RFC 3261 §19.1.4). Use [`Uri::matches`].
#[derive(Debug, Clone)]
pub struct Uri {
    /// `sip` or `sips`.
    pub scheme: Scheme,
    /// The user part, percent-escaped; [`escape_user`] makes one from text.
    pub user: Option<String>,
    /// The password, percent-escaped; may be empty. RFC 3261 §19.1.1 advises against it.
    pub password: Option<String>,
    /// Host name or address.
    pub host: Host,
    /// The port, if it is written.
    pub port: Option<u16>,
    /// URI parameters, percent-escaped. A repeated name is tolerated; the first counts.
    pub params: Params,
    /// Names and values behind the `?`, percent-escaped, in order.
    pub headers: Vec<(String, String)>,
}

impl Uri {
    /// `sip:host` or `sips:host`, to be filled in.
    pub fn new(scheme: Scheme, host: Host) -> Uri {
        Uri {
            scheme,
            user: None,
            password: None,
            host,
            port: None,
            params: Params::new(),
            headers: Vec::new(),
        }
    }

    /// Reads a SIP or SIPS URI, without angle brackets.
    ///
    /// # Errors
    /// The first part that does not follow RFC 3261 §25.1. A URI parameter with an empty value is tolerated.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Uri, UriError> {
        scan::text(text.as_ref()).map_err(|_| UriError::Character).and_then(Uri::read)
    }

    pub(super) fn read(text: &str) -> Result<Uri, UriError> {
        let mut cursor = Cursor::new(text);
        let uri = Uri::prefix(&mut cursor)?;
        if cursor.is_at_end() { Ok(uri) } else { Err(UriError::Character) }
    }

    /// Reads a URI as far as it goes.
    pub(super) fn prefix(cursor: &mut Cursor<'_>) -> Result<Uri, UriError> {
        let scheme = match cursor.run(|octet| octet.is_ascii_alphabetic()) {
            s if s.eq_ignore_ascii_case("sip") => Scheme::Sip,
            s if s.eq_ignore_ascii_case("sips") => Scheme::Sips,
            _ => return Err(UriError::Scheme),
        };
        if !cursor.eat(b':') {
            return Err(UriError::Scheme);
        }
        let (user, password) = userinfo(cursor)?;
        let (host, port) = hostport(cursor)?;
        let params = params(cursor)?;
        let headers = headers(cursor)?;
        Ok(Uri { scheme, user, password, host, port, params, headers })
    }

    /// The user part with its escapes undone once. `None` without a user part, or when the octets are not UTF-8.
    pub fn user_decoded(&self) -> Option<String> {
        String::from_utf8(self.user_octets()?).ok()
    }

    /// The octets of the user part with its escapes undone once; NUL is data like any other (RFC 4475 §3.1.1.4).
    pub fn user_octets(&self) -> Option<Vec<u8>> {
        self.user.as_ref().map(|user| decode(user.as_bytes()).map(|(octet, _)| octet).collect())
    }

    /// The parameter `name`, also when its name came with escapes (RFC 4475 §3.1.1.3): `None` when absent,
    /// `Some(None)` without a value. The value is as it came.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params
            .iter()
            .find(|(given, _)| {
                given.eq_ignore_ascii_case(name)
                    || given.contains('%')
                        && decode(given.as_bytes())
                            .map(|(octet, _)| octet.to_ascii_lowercase())
                            .eq(name.bytes().map(|octet| octet.to_ascii_lowercase()))
            })
            .map(|(_, value)| value)
    }

    /// The `transport` parameter (RFC 3261 §19.1.1), spelled as it came.
    pub fn transport(&self) -> Option<&str> {
        self.param("transport").flatten()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme.as_str())?;
        f.write_str(":")?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            f.write_str(":")?;
            f.write_str(scan::decimal(port.into(), &mut [0; 10]))?;
        }
        self.params.fmt(f)?;
        for (at, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// Percent-escapes `text` for the user part of a URI: all that RFC 3261 §25.1 does not allow there becomes `%XX`.
pub fn escape_user(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    let mut escaped = String::with_capacity(text.len());
    for &octet in text {
        if scan::is(octet, scan::USER) {
            escaped.push(char::from(octet));
        } else {
            escaped.push('%');
            for half in [octet >> 4, octet & 0xF] {
                escaped.push(char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    escaped
}

/// Whether an octet was written as `%XX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spelling {
    Plain,
    Escaped,
}

/// The octets of `text` with `%XX` undone once.
pub(super) fn decode(text: &[u8]) -> impl Iterator<Item = (u8, Spelling)> {
    let mut rest = text;
    std::iter::from_fn(move || match rest {
        [b'%', high, low, tail @ ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => {
                rest = tail;
                Some((high << 4 | low, Spelling::Escaped))
            }
            _ => plain(&mut rest),
        },
        _ => plain(&mut rest),
    })
}

fn plain(rest: &mut &[u8]) -> Option<(u8, Spelling)> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    Some((*first, Spelling::Plain))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A run of `class` and well-formed escapes; the cursor stops at the first octet that is neither.
fn escaped_run<'a>(cursor: &mut Cursor<'a>, class: u8) -> &'a str {
    let start = *cursor;
    loop {
        cursor.run(|octet| scan::is(octet, class));
        match cursor.octets() {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => cursor.take(3),
            _ => return cursor.since(start),
        };
    }
}

/// `[ user [ ":" password ] "@" ]`. An unescaped `@` occurs here or nowhere (RFC 3261 §25.1).
fn userinfo(cursor: &mut Cursor<'_>) -> Result<(Option<String>, Option<String>), UriError> {
    let mut ahead = *cursor;
    let user = escaped_run(&mut ahead, scan::USER);
    let password = if ahead.eat(b':') { Some(escaped_run(&mut ahead, scan::PASSWORD)) } else { None };
    if ahead.eat(b'@') && !user.is_empty() {
        *cursor = ahead;
        return Ok((Some(user.to_owned()), password.map(str::to_owned)));
    }
    match password {
        _ if !cursor.octets().contains(&b'@') => Ok((None, None)),
        Some(_) => Err(UriError::Password),
        None => Err(UriError::User),
    }
}

fn hostport(cursor: &mut Cursor<'_>) -> Result<(Host, Option<u16>), UriError> {
    let host = Host::read(host_text(cursor))?;
    let port = if cursor.eat(b':') { Some(port(cursor)?) } else { None };
    Ok((host, port))
}

/// The octets that make up a host: an IPv6 reference with its brackets, or up to what no host holds.
pub(super) fn host_text<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    if cursor.peek() != Some(b'[') {
        return cursor.run(|octet| scan::is(octet, scan::HOST));
    }
    let start = *cursor;
    cursor.until([b']']);
    cursor.eat(b']');
    cursor.since(start)
}

/// A port number, leading zeros allowed.
pub(super) fn port(cursor: &mut Cursor<'_>) -> Result<u16, UriError> {
    let digits = cursor.run(|octet| octet.is_ascii_digit());
    scan::number(digits.as_bytes()).and_then(|number| u16::try_from(number).ok()).ok_or(UriError::Port)
}

fn params(cursor: &mut Cursor<'_>) -> Result<Params, UriError> {
    let mut params = Params::new();
    while cursor.eat(b';') {
        let name = escaped_run(cursor, scan::URI_PARAM);
        if name.is_empty() {
            return Err(UriError::Parameter);
        }
        let value = if cursor.eat(b'=') {
            Some(ParamValue::Token(escaped_run(cursor, scan::URI_PARAM).to_owned()))
        } else {
            None
        };
        params.push(Param { name: Param::name(name), value });
    }
    Ok(params)
}

fn headers(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>, UriError> {
    let mut headers = Vec::new();
    let mut separator = b'?';
    while cursor.eat(separator) {
        let name = escaped_run(cursor, scan::URI_HEADER);
        if name.is_empty() || !cursor.eat(b'=') {
            return Err(UriError::Header);
        }
        let value = escaped_run(cursor, scan::URI_HEADER);
        headers.push((name.to_owned(), value.to_owned()));
        separator = b'&';
    }
    Ok(headers)
}
