//! Comma lists (RFC 3261 §7.3.1): where one value ends and the next begins.

use super::scan::{find_mark, trim};

/// The values of a comma list, each trimmed, in order; quotes and angle brackets protect their commas.
///
/// An empty row yields one empty value, so that the caller decides what that means. A quote or bracket that is
/// never closed costs the value it began in, not those after it.
#[derive(Clone)]
pub(super) struct List<'a> {
    rest: Option<&'a [u8]>,
    quotes: Quotes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Protect,
    /// An unterminated one was met: from here on a quote is an octet like any other.
    Ignore,
}

enum Place {
    Open,
    /// In quotes; holds where they were opened.
    Quoted(usize),
    /// In angle brackets; holds where the last comma in them was.
    Bracketed(Option<usize>),
}

impl<'a> List<'a> {
    pub(super) fn new(row: &'a [u8]) -> List<'a> {
        List { rest: Some(row), quotes: Quotes::Protect }
    }

    /// What follows the comma behind the value given last; `None` when that was the last one.
    pub(super) fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }

    /// End of the first value of `row`.
    fn end(&mut self, row: &[u8]) -> usize {
        let mut place = Place::Open;
        let mut at = 0;
        loop {
            let Some(step) = row.get(at..).and_then(|rest| place.next_mark(rest)) else {
                let Place::Quoted(opened) = place else { return row.len() };
                // Never closed. That of all quotes that follow none opens any is the same finding: each of them is
                // escaped, or one would have closed this.
                self.quotes = Quotes::Ignore;
                (place, at) = (Place::Open, opened + 1);
                continue;
            };
            at += step;
            let mark = row.get(at).copied().unwrap_or_default();
            match (&mut place, mark) {
                (Place::Open, b',') => return at,
                (Place::Open, b'"') if self.quotes == Quotes::Protect => place = Place::Quoted(at),
                (Place::Open, b'<') => place = Place::Bracketed(None),
                (Place::Quoted(_), b'\\') => at += 1,
                (Place::Quoted(_), b'"') | (Place::Bracketed(_), b'>') => place = Place::Open,
                (Place::Bracketed(comma), b',') => *comma = Some(at),
                // No URI holds a `<`: the bracket was never closed, and the value ended at the comma before.
                (Place::Bracketed(Some(comma)), b'<') => return *comma,
                _ => {}
            }
            at += 1;
        }
    }
}

impl Place {
    /// How far it is to the next octet that may change the place.
    fn next_mark(&self, rest: &[u8]) -> Option<usize> {
        match self {
            Place::Open => find_mark(rest, [b',', b'"', b'<']),
            Place::Quoted(_) => find_mark(rest, [b'"', b'\\']),
            Place::Bracketed(_) => find_mark(rest, [b'>', b',', b'<']),
        }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let row = self.rest.take()?;
        let end = if find_mark(row, [b',']).is_some() { self.end(row) } else { row.len() };
        let (value, rest) = row.split_at_checked(end).unwrap_or((row, &[]));
        self.rest = rest.get(1..);
        Some(trim(value))
    }
}
