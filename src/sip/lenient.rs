//! Addresses and Via values that stray from the grammar, read for what can be made out: a peer's slip in one place need
//! not cost the whole value.
//!
//! The strict readers come first, and come here with what they refuse: nothing in here is on the way of a message that
//! keeps to RFC 3261. What is taken is still one value of one row: line ends cannot occur in it, and whoever writes it
//! again is held to [`Header::new`](super::Header::new).

use super::error::{Problem, UriError};
use super::host::Host;
use super::name_addr::{AnyUri, NameAddr};
use super::params::{Param, ParamValue, Params};
use super::scan::{self, Cursor};
use super::uri::{self, Scheme, Uri};
use super::via::Via;

/// How much of an address may stray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Display name and parameters: the URI is sound. For those who keep the address and route by it.
    AroundUri,
    /// All of it, as long as scheme and host are there. For those who only look for something in a list.
    Everything,
}

/// So many `@` are tried as the one before the host: a message is at most 64 KiB, and looking for a host at each of them
/// must not cost the square of that.
const MOST_AT_SIGNS: usize = 8;

/// The longest IPv6 address in brackets, with a zone.
const LONGEST_ADDRESS: usize = 80;

/// An address that [`NameAddr::parse`] refuses.
#[cold]
pub(super) fn name_addr(value: &[u8], scope: Scope) -> Result<NameAddr, Problem> {
    let text = String::from_utf8_lossy(value);
    let text = text.trim_matches(SPACE);
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    let Parts { display, uri, params } = Parts::of(text, scope)?;
    let uri = match scope {
        Scope::AroundUri => AnyUri::read(uri)?,
        Scope::Everything => any_uri(uri)?,
    };
    Ok(NameAddr { display, uri, params: header_params(params, scope)? })
}

/// A Via value that [`Via::parse`] refuses: its parameters stray, or its host is an IPv6 address with a zone.
#[cold]
pub(super) fn via(value: &[u8]) -> Result<Via, Problem> {
    let text = String::from_utf8_lossy(value);
    let mut cursor = Cursor::new(text.trim_matches(SPACE));
    let mut via = Via::hop(&mut cursor, zoned)?;
    cursor.skip_space();
    if !matches!(cursor.peek(), None | Some(b';')) {
        return Err(Problem::Parameter);
    }
    for piece in Pieces::of(cursor.rest()) {
        if let Some((name, value)) = named(piece) {
            // It goes back as it came: its sender has to know it again.
            let value = value.map(|text| quoted(text).unwrap_or_else(|| ParamValue::Token(text.to_owned())));
            via.params.push(Param { name: Param::name(name), value });
        }
    }
    Ok(via)
}

const SPACE: [char; 2] = [' ', '\t'];

/// The host of a Via; a zone stays a part of it, as nobody else knows that address.
fn zoned(text: &str) -> Result<Host, UriError> {
    Host::read(text).or_else(|error| without_zone(text).map(|_| Host::Name(text.to_owned())).ok_or(error))
}

/// The address of `[fe80::1%eth0]` (RFC 6874 has `%25` for the `%`).
fn without_zone(text: &str) -> Option<Host> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let (address, zone) = inside.split_once('%')?;
    let is_zone = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~%".contains(&octet);
    if zone.is_empty() || !zone.bytes().all(is_zone) {
        return None;
    }
    address.parse().ok().map(Host::V6)
}

/// An address cut in three.
struct Parts<'a> {
    display: Option<String>,
    uri: &'a str,
    params: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str, scope: Scope) -> Result<Parts<'a>, Problem> {
        let mut cursor = Cursor::new(text);
        if cursor.peek() == Some(b'"')
            && let Ok(display) = cursor.quoted()
        {
            cursor.skip_space();
            if cursor.eat(b'<') {
                return Parts::bracketed(Some(display.into_owned()), cursor.rest(), scope);
            }
        }
        let Some((words, rest)) = text.split_once('<') else { return Parts::bare(text, scope) };
        if words.contains(['"', ',']) && scope == Scope::AroundUri {
            return Err(Problem::DisplayName);
        }
        let words = words.trim_matches(SPACE);
        Parts::bracketed((!words.is_empty()).then(|| words.to_owned()), rest, scope)
    }

    fn bracketed(display: Option<String>, rest: &'a str, scope: Scope) -> Result<Parts<'a>, Problem> {
        match rest.split_once('>') {
            Some((uri, params)) => Ok(Parts { display, uri, params }),
            None if scope == Scope::Everything => Ok(Parts { display, ..Parts::bare(rest, scope)? }),
            None => Err(Problem::UnterminatedBracket),
        }
    }

    /// Without brackets all from the first `;` on belongs to the header (RFC 8217 §3).
    fn bare(text: &'a str, scope: Scope) -> Result<Parts<'a>, Problem> {
        let (uri, params) = text.split_at(text.find(';').unwrap_or(text.len()));
        let is_ambiguous = uri.contains(['?', ',']) || params.contains('@');
        if is_ambiguous && scope == Scope::AroundUri {
            return Err(Problem::BareUri);
        }
        Ok(Parts { display: None, uri: uri.trim_matches(SPACE), params })
    }
}

/// Texts between semicolons, quoted strings kept together.
struct Pieces<'a> {
    rest: &'a str,
    /// A quote was never closed: from there on quotes are octets like any others.
    ignores_quotes: bool,
}

impl<'a> Pieces<'a> {
    fn of(text: &'a str) -> Pieces<'a> {
        Pieces { rest: text, ignores_quotes: false }
    }

    /// Where the next piece ends.
    fn end(&mut self) -> usize {
        let octets = self.rest.as_bytes();
        let (mut at, mut opened) = (0, None);
        while let Some(octet) = octets.get(at) {
            match (octet, opened) {
                (b'"', None) if !self.ignores_quotes => opened = Some(at),
                (b'"', Some(_)) => opened = None,
                (b'\\', Some(_)) => at += 1,
                (b';', None) => return at,
                _ => {}
            }
            at += 1;
        }
        let Some(opened) = opened else { return octets.len() };
        self.ignores_quotes = true;
        self.rest.get(opened..).and_then(|rest| rest.find(';')).map_or(octets.len(), |end| opened + end)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.end();
        let (piece, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest.get(1..).unwrap_or_default();
        Some(piece.trim_matches(SPACE))
    }
}

/// The name and the value of a header parameter; `None` without a name that is a token.
fn named(piece: &str) -> Option<(&str, Option<&str>)> {
    let (name, value) = match piece.split_once('=') {
        Some((name, value)) => (name.trim_matches(SPACE), Some(value.trim_matches(SPACE))),
        None => (piece, None),
    };
    scan::is_token(name.as_bytes()).then_some((name, value.filter(|value| !value.is_empty())))
}

/// The text of a whole quoted string.
fn quoted(text: &str) -> Option<ParamValue> {
    let mut cursor = Cursor::new(text);
    let inside = cursor.quoted().ok()?.into_owned();
    cursor.is_at_end().then_some(ParamValue::Quoted(inside))
}

/// The parameters behind a URI. What is no token, host or quoted string gets the quotes that it should have come in.
fn header_params(text: &str, scope: Scope) -> Result<Params, Problem> {
    let text = text.trim_matches(SPACE);
    let is_strict = scope == Scope::AroundUri;
    if is_strict && !text.is_empty() && !text.starts_with(';') {
        return Err(Problem::Parameter);
    }
    let mut params = Params::new();
    for piece in Pieces::of(text).filter(|piece| !piece.is_empty()) {
        let Some((name, value)) = named(piece) else {
            if is_strict {
                return Err(Problem::Parameter);
            }
            continue;
        };
        let value = match value {
            None => None,
            Some(text) if text.bytes().all(|octet| scan::is(octet, scan::VALUE)) => {
                Some(ParamValue::Token(text.to_owned()))
            }
            Some(text) => match quoted(text) {
                Some(value) => Some(value),
                None if is_strict && text.starts_with('"') => return Err(Problem::UnterminatedQuote),
                None if is_strict && text.contains(['"', ' ', '\t']) => return Err(Problem::Parameter),
                None => Some(ParamValue::Quoted(text.to_owned())),
            },
        };
        params.push(Param { name: Param::name(name), value });
    }
    Ok(params)
}

fn any_uri(text: &str) -> Result<AnyUri, UriError> {
    let text = text.trim_matches([' ', '\t', '<', '>']);
    let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
    let scheme = scheme.trim_end_matches(SPACE);
    if scheme.eq_ignore_ascii_case("sip") {
        return sip(Scheme::Sip, rest).map(AnyUri::Sip);
    }
    if scheme.eq_ignore_ascii_case("sips") {
        return sip(Scheme::Sips, rest).map(AnyUri::Sip);
    }
    AnyUri::read(text)
}

/// What stands behind `sip:`. The user part ends at the first `@` that a host and the end of the URI or its parameters
/// follow.
fn sip(scheme: Scheme, text: &str) -> Result<Uri, UriError> {
    let ends = text.match_indices('@').take(MOST_AT_SIGNS);
    let behind = |(at, _): (usize, &str)| Some((at, hostport(text.get(at + 1..)?)?));
    let (user, (host, port, rest)) = match ends.filter_map(behind).next() {
        Some((at, hostport)) => (text.get(..at), hostport),
        None => (None, hostport(text).ok_or(UriError::Host)?),
    };
    let mut uri = Uri { port, ..Uri::new(scheme, host) };
    if let Some(user) = user {
        let (user, password) = user.split_once(':').map_or((user, None), |(user, rest)| (user, Some(rest)));
        uri.user = Some(user.trim_matches(SPACE).to_owned());
        uri.password = password.map(str::to_owned);
    }
    let (params, headers) = rest.split_once('?').unwrap_or((rest, ""));
    // An empty one stays: it is written again as it came.
    for piece in Pieces::of(params.strip_prefix(';').unwrap_or(params)) {
        let (name, value) = piece.split_once('=').map_or((piece, None), |(name, value)| (name, Some(value)));
        let value = value.map(|text| ParamValue::Token(text.to_owned()));
        uri.params.push(Param { name: Param::name(name), value });
    }
    if params.ends_with(';') {
        uri.params.push(Param { name: Param::name(""), value: None });
    }
    for header in headers.split('&').filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        uri.headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(uri)
}

/// A host and a port, and what stands behind them: parameters, headers or nothing.
fn hostport(text: &str) -> Option<(Host, Option<u16>, &str)> {
    let mut cursor = Cursor::new(text);
    cursor.skip_space();
    let is_address = cursor.peek() == Some(b'[');
    if is_address && !cursor.octets().iter().take(LONGEST_ADDRESS).any(|octet| *octet == b']') {
        return None;
    }
    let host = uri::host_text(&mut cursor);
    let host = Host::read(host).ok().or_else(|| without_zone(host))?;
    let mut port = None;
    if cursor.separator(b':') && cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        port = Some(uri::port(&mut cursor).ok()?);
    }
    cursor.skip_space();
    matches!(cursor.peek(), None | Some(b';' | b'?')).then(|| (host, port, cursor.rest()))
}
