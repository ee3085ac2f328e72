//! The rows of authentication headers taken apart: `scheme name=value, name=value` (RFC 3261 §25.1
//! `challenge`, `credentials`).
//!
//! Read with forgiveness where peers are known to slip: several challenges in one row, missing or surplus
//! commas, lists without quotes.

use super::params::{Param, ParamValue, Params};
use super::scan::{self, Cursor};
use std::fmt;

/// A scheme and its parameters, in order: what challenges and credentials have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) scheme: String,
    /// A bare `token68` (RFC 9110 §11.2) instead of parameters.
    pub(super) token68: Option<String>,
    pub(super) params: Params,
}

impl Terms {
    pub(super) fn new(scheme: &str) -> Terms {
        Terms { scheme: scheme.to_owned(), token68: None, params: Params::new() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).flatten()
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn push(&mut self, name: &str, value: ParamValue) {
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
pub(super) fn write_params(f: &mut fmt::Formatter<'_>, params: &Params, first: &str) -> fmt::Result {
    for (at, param) in params.rows().iter().enumerate() {
        f.write_str(if at == 0 { first } else { ", " })?;
        f.write_str(&param.name)?;
        if let Some(value) = &param.value {
            write!(f, "={value}")?;
        }
    }
    Ok(())
}

/// The sound terms of `row`, in order. With `current` given the row begins with parameters, not with a
/// scheme.
pub(super) fn read(row: &[u8], current: Option<Terms>) -> Vec<Terms> {
    match Cursor::of(row) {
        Ok(cursor) => Reader::new(cursor, current).read(),
        Err(_) => read_lossy(row, current),
    }
}

/// The terms of a row that is not UTF-8. Those whose meaning hangs on such octets cannot be used, as a digest is computed
/// over the octets; a remark in another charset harms nobody.
#[cold]
fn read_lossy(row: &[u8], current: Option<Terms>) -> Vec<Terms> {
    let text = String::from_utf8_lossy(scan::trim(row));
    let mut all = Reader::new(Cursor::new(&text), current).read();
    let is_whole = |value: &str| !value.contains(char::REPLACEMENT_CHARACTER);
    all.retain(|terms| {
        let mut params = terms.params.iter();
        params.all(|(name, value)| {
            !MEANINGFUL.contains(&&*name.to_ascii_lowercase()) || value.is_none_or(is_whole)
        })
    });
    all
}

/// The parameters of challenges and credentials that digests are computed over, or that come back as they were.
const MEANINGFUL: [&str; 10] =
    ["realm", "nonce", "opaque", "username", "username*", "uri", "cnonce", "nextnonce", "algorithm", "qop"];

/// A reader that takes one row apart.
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
    /// The current terms cannot be used.
    Broken,
}

impl<'a> Reader<'a> {
    fn new(cursor: Cursor<'a>, current: Option<Terms>) -> Reader<'a> {
        Reader { cursor, done: Vec::new(), current, state: State::Sound }
    }

    fn read(mut self) -> Vec<Terms> {
        loop {
            self.cursor.run(|octet| scan::is_space(octet) || octet == b',');
            if self.cursor.is_at_end() {
                self.finish();
                return self.done;
            }
            let word = self.cursor.token();
            let mut ahead = self.cursor;
            let is_param = ahead.separator(b'=');
            if word.is_empty() || is_param && self.current.is_none() {
                self.spoil();
            } else if is_param {
                self.cursor = ahead;
                self.param(word);
            } else if self.current.is_none() || is_param_ahead(self.cursor) {
                self.finish();
                self.begin(word);
            } else {
                self.list_element(word);
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
            Ok(token_value(value))
        };
        let (Ok(value), Some(terms)) = (value, &mut self.current) else {
            return self.spoil();
        };
        // With parameters behind it, a `token68` was one too: `opaque=, realm="a"`.
        if let Some(word) = terms.token68.take()
            && let Some(name) = word.strip_suffix('=').filter(|name| scan::is_token(name.as_bytes()))
        {
            terms.push(name, token_value(""));
        }
        terms.push(name, value);
        if self.state != State::Broken {
            self.state = if quoted { State::Sound } else { State::OpenList };
        }
    }

    /// Takes a word that is neither parameter nor scheme: it continues an open list, or is ignored.
    fn list_element(&mut self, word: &str) {
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

    /// Gives the current terms up and goes on behind the next comma.
    fn spoil(&mut self) {
        self.state = State::Broken;
        loop {
            self.cursor.until([b',', b'"']);
            if self.cursor.peek() != Some(b'"') {
                return;
            }
            // A quote that is never closed takes all the rest.
            let _ = self.cursor.quoted();
        }
    }
}

/// Whether white space and then `name =` come next, which makes the word before them a scheme. The word is a
/// whole token without `=` behind it, so that neither can be missing.
fn is_param_ahead(mut cursor: Cursor<'_>) -> bool {
    cursor.skip_space();
    cursor.token();
    cursor.separator(b'=')
}

/// A value without quotes, unless it is no token.
pub(super) fn token_value(value: &str) -> ParamValue {
    let value_is_token = scan::is_token(value.as_bytes());
    if value_is_token { ParamValue::Token(value.to_owned()) } else { ParamValue::Quoted(value.to_owned()) }
}
