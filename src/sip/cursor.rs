//! A place in a header value, moving forward: the reader under every typed field.

use super::field::Problem;
use super::scan::{self, TOKEN};
use std::borrow::Cow;

/// A place in a value, moving forward.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    /// What has not been read yet.
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text }
    }

    /// At the start of `value`, white space at both ends left out.
    pub(super) fn of(value: &'a [u8]) -> Result<Cursor<'a>, Problem> {
        scan::text(scan::trim(value)).map(Cursor::new)
    }

    /// What has not been read yet.
    pub(super) fn octets(&self) -> &'a [u8] {
        self.rest.as_bytes()
    }

    /// What lies between `start`, an earlier place of the same cursor, and here.
    pub(super) fn since(&self, start: Cursor<'a>) -> &'a str {
        start.rest.get(..start.rest.len() - self.rest.len()).unwrap_or_default()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.octets().first().copied()
    }

    /// Takes the next `count` octets, which must end between two characters.
    pub(super) fn take(&mut self, count: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// The next character.
    pub(super) fn char(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Steps over `octet`, an ASCII character, if it comes next.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.take(1);
        }
        found
    }

    pub(super) fn skip_space(&mut self) {
        while self.peek().is_some_and(scan::is_space) {
            self.take(1);
        }
    }

    /// White space, `octet`, white space: the separators of RFC 3261 §25.1 (`SEMI`, `EQUAL`, `SLASH` …).
    /// Without `octet` only the white space is consumed.
    pub(super) fn separator(&mut self, octet: u8) -> bool {
        self.skip_space();
        let found = self.eat(octet);
        if found {
            self.skip_space();
        }
        found
    }

    /// The longest run of octets for which `wanted` holds, perhaps empty. `wanted` judges all octets above 0x7F
    /// alike.
    pub(super) fn run(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let end = self.octets().iter().position(|&octet| !wanted(octet)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// All up to the first of `marks`, which are ASCII characters, or to the end.
    pub(super) fn until<const N: usize>(&mut self, marks: [u8; N]) -> &'a str {
        let end = scan::find_mark(self.octets(), marks).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// A `token`, perhaps empty.
    pub(super) fn token(&mut self) -> &'a str {
        self.run(|octet| scan::is(octet, TOKEN))
    }

    /// A `quoted-string`, which must come next: its text with the quoted-pairs undone once. One without its second
    /// quote is read to the end.
    pub(super) fn quoted(&mut self) -> Result<Cow<'a, str>, Problem> {
        if !self.eat(b'"') {
            return Err(Problem::UnterminatedQuote);
        }
        let plain = self.until([b'"', b'\\']);
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut unescaped = plain.to_owned();
        while self.eat(b'\\') {
            unescaped.extend(self.char());
            unescaped.push_str(self.until([b'"', b'\\']));
        }
        if self.eat(b'"') { Ok(Cow::Owned(unescaped)) } else { Err(Problem::UnterminatedQuote) }
    }
}
