//! SIP and SIPS URIs (RFC 3261 §19.1): reading, writing and comparing.

use super::error::UriError;
use super::host::Host;
use super::params::{Param, ParamValue, Params};
use super::scan::{self, Cursor};
use std::fmt;

/// The scheme of a [`Uri`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`, over any transport.
    Sip,
    /// `sips:`, over TLS on every hop (RFC 5630).
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

/// A SIP or SIPS URI, its parts spelled as they came: escapes are not undone, so that it is written as it was
/// read.
///
/// There is no `==` and no hash: equality of SIP URIs is not transitive (RFC 3261 §19.1.4). Use
/// [`Uri::matches`].
#[derive(Debug, Clone)]
pub struct Uri {
    /// The scheme, `sip` or `sips`.
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

    /// The user part with its escapes undone once. `None` without a user part, or when the octets are not
    /// UTF-8.
    pub fn user_decoded(&self) -> Option<String> {
        String::from_utf8(self.user_octets()?).ok()
    }

    /// The octets of the user part with its escapes undone once; NUL is data like any other (RFC 4475
    /// §3.1.1.4).
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

    /// Whether both URIs name the same resource (RFC 3261 §19.1.4, addresses by RFC 5954 §4.2).
    ///
    /// Symmetric but not transitive: a parameter that only one side has is ignored unless it is `user`,
    /// `ttl`, `method`, `maddr` or `transport`. A public GRUU therefore matches its address of record (RFC
    /// 5627 §5.4). Header parts compare without letter case, except Call-ID.
    pub fn matches(&self, other: &Uri) -> bool {
        self.scheme == other.scheme
            && self.host == other.host
            && self.port == other.port
            && same_text(self.user.as_deref(), other.user.as_deref())
            && same_text(self.password.as_deref(), other.password.as_deref())
            && same_params(self, other)
            && same_headers(self, other)
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

/// Percent-escapes `text` for the user part of a URI: all that RFC 3261 §25.1 does not allow there becomes
/// `%XX`.
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
    let text = host_text(cursor);
    let host = Host::read(text)?;
    // A number before what is no port is an IPv6 address without brackets rather than a host.
    let is_number = || text.bytes().all(|octet| octet.is_ascii_digit());
    let wrong = |error| if is_number() { UriError::Host } else { error };
    let port = if cursor.eat(b':') { Some(port(cursor).map_err(wrong)?) } else { None };
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

/// Parameters that make a difference even when only one URI has them: their default does not stand for
/// absence.
const DECISIVE: [&str; 5] = ["maddr", "method", "transport", "ttl", "user"];

/// A text in a form that equals another exactly when RFC 3261 §19.1.4 says so: escapes of unreserved
/// characters undone, escapes of reserved ones kept apart from the character itself.
type Key = Vec<(u8, Spelling)>;

fn keyed(text: &str) -> impl Iterator<Item = (u8, Spelling)> {
    decode(text.as_bytes()).map(|(octet, spelling)| {
        let reserved = matches!(octet, b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',');
        (octet, if reserved { spelling } else { Spelling::Plain })
    })
}

fn caseless(text: &str) -> Key {
    keyed(text).map(|(octet, spelling)| (octet.to_ascii_lowercase(), spelling)).collect()
}

fn same_text(one: Option<&str>, two: Option<&str>) -> bool {
    match (one, two) {
        (None, None) => true,
        (Some(one), Some(two)) => keyed(one).eq(keyed(two)),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The parameters sorted by name, the first of each name.
fn param_keys(uri: &Uri) -> Vec<(Key, Option<Key>)> {
    let mut keys: Vec<_> =
        uri.params.iter().map(|(name, value)| (caseless(name), value.map(caseless))).collect();
    keys.sort_by(|(one, _), (two, _)| one.cmp(two));
    keys.dedup_by(|(later, _), (first, _)| later == first);
    keys
}

fn is_decisive(name: &Key) -> bool {
    DECISIVE.iter().any(|decisive| is(name, decisive))
}

fn is(name: &Key, text: &str) -> bool {
    name.iter().map(|(octet, _)| *octet).eq(text.bytes())
}

fn same_params(one: &Uri, two: &Uri) -> bool {
    if one.params.is_empty() && two.params.is_empty() {
        return true;
    }
    let (one, two) = (param_keys(one), param_keys(two));
    let (mut ones, mut twos) = (one.iter().peekable(), two.iter().peekable());
    loop {
        let alone = match (ones.peek(), twos.peek()) {
            (None, None) => return true,
            (Some((name, _)), None) => {
                ones.next();
                name
            }
            (None, Some((name, _))) => {
                twos.next();
                name
            }
            (Some((left, value)), Some((right, other))) => match left.cmp(right) {
                std::cmp::Ordering::Equal if value != other => return false,
                std::cmp::Ordering::Equal => {
                    ones.next();
                    twos.next();
                    continue;
                }
                std::cmp::Ordering::Less => {
                    ones.next();
                    left
                }
                std::cmp::Ordering::Greater => {
                    twos.next();
                    right
                }
            },
        };
        if is_decisive(alone) {
            return false;
        }
    }
}

/// Headers of a URI that are brought into an order to be compared; more must be the same as they stand.
const MOST_HEADERS: usize = 64;

fn same_headers(one: &Uri, other: &Uri) -> bool {
    if one.headers.len() != other.headers.len() {
        return false;
    }
    if one.headers.len() > MOST_HEADERS {
        return one.headers == other.headers;
    }
    header_keys(one) == header_keys(other)
}

fn header_keys(uri: &Uri) -> Vec<(Key, Key)> {
    let mut keys: Vec<_> = uri
        .headers
        .iter()
        .map(|(name, value)| {
            let name = caseless(name);
            let value = if is(&name, "call-id") { keyed(value).collect() } else { caseless(value) };
            (name, value)
        })
        .collect();
    keys.sort();
    keys
}
