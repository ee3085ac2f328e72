//! One header field: its name and its value as it travels, perhaps a comma list of values (RFC 3261 §7.3).

use super::error::Problem;
use super::name::HeaderName;
use super::scan;
use bytes::Bytes;
use std::borrow::Cow;

/// A header that is needed and cannot be read. Headers nobody asks for are never looked into, so that a
/// broken one among them harms nothing (RFC 3261 §8.2.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {problem}")]
pub struct FieldError {
    /// The header that cannot be read.
    pub header: HeaderName,
    /// The fault in its value.
    pub problem: Problem,
}

/// A header value that would break out of its line. Nothing with CR, LF or NUL goes on the wire as a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of {header} holds a line end or NUL at octet {at}")]
pub struct InjectionError {
    /// The header that was to be made.
    pub header: HeaderName,
    /// Offset of the octet in the given value.
    pub at: usize,
}

/// A header field row. Several values in one row stay together as they came; the typed readers of
/// [`Headers`](super::Headers) take them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: HeaderName,
    value: Bytes,
}

impl Header {
    /// Makes a header row; white space round the value is dropped.
    ///
    /// # Errors
    /// The value holds CR, LF or NUL. A NUL behind a backslash in a quoted string is legal (RFC 3261 §25.1).
    pub fn new(name: HeaderName, value: impl Into<Bytes>) -> Result<Header, InjectionError> {
        let value = value.into();
        if let Err(at) = check(&value) {
            return Err(InjectionError { header: name, at });
        }
        let trimmed = value.slice_ref(scan::trim(&value));
        Ok(Header { name, value: trimmed })
    }

    /// A row whose value the scanner has already unfolded, trimmed and checked.
    pub(super) fn checked(name: HeaderName, value: Bytes) -> Header {
        Header { name, value }
    }

    /// The name of the header field.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The value: unfolded (RFC 3261 §7.3.1), no white space at its ends, otherwise as it came.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The value as text.
    ///
    /// # Errors
    /// [`Problem::NotUtf8`].
    pub fn text(&self) -> Result<&str, FieldError> {
        scan::text(&self.value).map_err(|problem| self.error(problem))
    }

    /// The value as text for people to read: octets that are not UTF-8 become U+FFFD.
    pub fn text_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }

    /// The values of this row when its grammar is a comma list.
    pub(super) fn list(&self) -> List<'_> {
        List::new(&self.value)
    }

    /// The row without its first value; `None` when that is the only one.
    pub(super) fn without_first_value(&self) -> Option<Header> {
        let mut list = self.list();
        list.skip_first();
        let others = list.rest()?;
        // Commas alone are no values, and no row to pass on.
        list.find(|value| !value.is_empty())?;
        Some(Header::checked(self.name.clone(), self.value.slice_ref(scan::trim(others))))
    }

    /// The error that `problem` is in this header.
    pub(super) fn error(&self, problem: Problem) -> FieldError {
        FieldError { header: self.name.clone(), problem }
    }
}

/// Whether `value` may be that of a row; the error is the offset of the first octet that may not stand there.
pub(super) fn check(value: &[u8]) -> Result<(), usize> {
    match scan::find_line_control(value) {
        Some(at) if !(value.get(at) == Some(&0) && is_safe(value)) => Err(at),
        Some(_) | None => Ok(()),
    }
}

/// Whether `value` may stand in one line: no CR or LF, and NUL only as a quoted-pair.
fn is_safe(value: &[u8]) -> bool {
    !value.iter().any(|octet| matches!(octet, b'\r' | b'\n')) && scan::nul_is_quoted(value)
}

/// The values of a comma list, each trimmed, in order; quotes and angle brackets protect their commas.
///
/// An empty row yields one empty value, whose meaning the caller knows. A quote or bracket that is
/// never closed costs the value it began in, not those after it.
#[derive(Clone)]
pub(super) struct List<'a> {
    rest: Option<&'a [u8]>,
    quotes: Quotes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Protect,
    /// A quote was never closed: from here on quotes are octets like any others.
    Ignore,
}

/// The quotes or brackets around an octet of a list.
enum Enclosure {
    Open,
    /// Quotes that were opened at this offset.
    Quoted(usize),
    /// Angle brackets, with the offset of the last comma in them.
    Bracketed(Option<usize>),
}

impl<'a> List<'a> {
    pub(super) fn new(row: &'a [u8]) -> List<'a> {
        List { rest: Some(row), quotes: Quotes::Protect }
    }

    /// The row behind the comma that ends the value given last; `None` when that value ends the row.
    pub(super) fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }

    /// Goes behind the first value that is not empty.
    pub(super) fn skip_first(&mut self) {
        let _ = self.find(|value| !value.is_empty());
    }

    /// The end of the first value of `row`.
    fn end(&mut self, row: &[u8]) -> usize {
        let mut enclosure = Enclosure::Open;
        let mut at = 0;
        loop {
            let Some(step) = row.get(at..).and_then(|rest| enclosure.next_mark(rest)) else {
                let Enclosure::Quoted(opened) = enclosure else { return row.len() };
                // The quote is never closed, and so are those that follow: each of them is escaped, or it
                // would have closed this one.
                self.quotes = Quotes::Ignore;
                (enclosure, at) = (Enclosure::Open, opened + 1);
                continue;
            };
            at += step;
            let mark = row.get(at).copied().unwrap_or_default();
            match (&mut enclosure, mark) {
                (Enclosure::Open, b',') => return at,
                (Enclosure::Open, b'"') if self.quotes == Quotes::Protect => {
                    enclosure = Enclosure::Quoted(at)
                }
                (Enclosure::Open, b'<') => enclosure = Enclosure::Bracketed(None),
                (Enclosure::Quoted(_), b'\\') => at += 1,
                (Enclosure::Quoted(_), b'"') | (Enclosure::Bracketed(_), b'>') => enclosure = Enclosure::Open,
                (Enclosure::Bracketed(comma), b',') => *comma = Some(at),
                // No URI holds a `<`: the bracket was never closed, and the value ended at the comma before.
                (Enclosure::Bracketed(Some(comma)), b'<') => return *comma,
                _ => {}
            }
            at += 1;
        }
    }
}

impl Enclosure {
    /// The distance to the next octet that may change the enclosure.
    fn next_mark(&self, rest: &[u8]) -> Option<usize> {
        match self {
            Enclosure::Open => scan::find_mark(rest, [b',', b'"', b'<']),
            Enclosure::Quoted(_) => scan::find_mark(rest, [b'"', b'\\']),
            Enclosure::Bracketed(_) => scan::find_mark(rest, [b'>', b',', b'<']),
        }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let row = self.rest.take()?;
        let end = if scan::find_mark(row, [b',']).is_some() { self.end(row) } else { row.len() };
        let (value, rest) = row.split_at_checked(end).unwrap_or((row, &[]));
        self.rest = rest.get(1..);
        Some(scan::trim(value))
    }
}
