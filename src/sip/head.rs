//! The lines of a message head (RFC 3261 §7, §25.1): start line, header rows, empty line.
//!
//! Both the parser and the stream framer walk the head with this one scanner. It goes forward only.

use super::name::HeaderName;
use super::scan;
use bytes::Bytes;

/// Largest message that is read, head and body together, in octets: what a UDP datagram can carry
/// (RFC 3261 §18.1.1).
pub const MAX_MESSAGE: usize = 65_535;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFault {
    /// The octets end before the empty line does.
    Unterminated,
    /// CR or LF that is not part of a line end.
    BareLineEnd,
    /// NUL outside a quoted-pair.
    Nul,
    /// No colon, or no token before it.
    Name,
}

/// One header row.
pub(super) struct Row<'a> {
    /// As it came, without the white space before the colon.
    pub(super) name: &'a [u8],
    /// Unfolded and trimmed.
    pub(super) value: Value<'a>,
}

/// A value, which only folding makes different from the octets that came.
pub(super) enum Value<'a> {
    Plain(&'a [u8]),
    Folded(Vec<u8>),
}

impl Value<'_> {
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Value::Plain(octets) => octets,
            Value::Folded(octets) => octets,
        }
    }

    /// The value sharing the memory of `message`, from which it was read, where it can.
    pub(super) fn share(self, message: &Bytes) -> Bytes {
        match self {
            Value::Plain(octets) => message.slice_ref(octets),
            Value::Folded(octets) => Bytes::from(octets),
        }
    }
}

/// The lines of a head, from the first octet of its start line.
pub(super) struct Lines<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// Starts at `message`, line ends before the start line skipped (RFC 3261 §7.5).
    pub(super) fn new(message: &'a [u8]) -> Lines<'a> {
        let mut rest = message;
        while let [b'\r', b'\n', tail @ ..] = rest {
            rest = tail;
        }
        Lines { rest }
    }

    /// The next line, without its end. After a fault the scanner stands behind the line.
    #[inline]
    pub(super) fn line(&mut self) -> Result<&'a [u8], LineFault> {
        if let Some(at) = scan::find_line_control(self.rest)
            && let (line, [b'\r', b'\n', rest @ ..]) = self.rest.split_at(at)
        {
            self.rest = rest;
            return Ok(line);
        }
        self.odd_line()
    }

    /// The next line when its first control character is not its end.
    fn odd_line(&mut self) -> Result<&'a [u8], LineFault> {
        let mut at = 0;
        while let Some(offset) = self.rest.get(at..).and_then(scan::find_line_control) {
            at += offset;
            let (line, end) = self.rest.split_at(at);
            match end {
                [b'\r', b'\n', rest @ ..] => {
                    self.rest = rest;
                    return if scan::nul_is_quoted(line) { Ok(line) } else { Err(LineFault::Nul) };
                }
                [b'\r'] => break,
                [0, ..] => at += 1,
                _ => {
                    self.skip_line();
                    return Err(LineFault::BareLineEnd);
                }
            }
        }
        self.rest = &[];
        Err(LineFault::Unterminated)
    }

    /// Goes behind the next CRLF, whatever stands before it, so that a reader who forgives can go on.
    fn skip_line(&mut self) {
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n");
        self.rest = end.and_then(|at| self.rest.get(at + 2..)).unwrap_or_default();
    }

    /// The next header row; `None` at the empty line, behind which `rest` then stands.
    ///
    /// Inlined by force: handing the row over through memory costs a thirtieth of reading a message.
    #[inline(always)]
    pub(super) fn row(&mut self) -> Option<Result<Row<'a>, LineFault>> {
        let line = match self.line() {
            Ok([]) => return None,
            Ok(line) => line,
            Err(fault) => return Some(Err(fault)),
        };
        let Some(colon) = line.iter().position(|&octet| octet == b':') else {
            return Some(Err(LineFault::Name));
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        let value = if self.continues() {
            match self.unfold(value) {
                Ok(value) => Value::Folded(value),
                Err(fault) => return Some(Err(fault)),
            }
        } else {
            Value::Plain(scan::trim(value))
        };
        match name {
            // White space before a name would be folding, and there is nothing to fold onto.
            [b' ' | b'\t', ..] => Some(Err(LineFault::Name)),
            [.., b' ' | b'\t'] => Some(Ok(Row { name: scan::trim(name), value })),
            name => Some(Ok(Row { name, value })),
        }
    }

    /// The value that begins with `first`, continuation lines joined by one space (RFC 3261 §7.3.1).
    fn unfold(&mut self, first: &[u8]) -> Result<Vec<u8>, LineFault> {
        let mut joined = scan::trim(first).to_vec();
        while self.continues() {
            let more = scan::trim(self.line()?);
            if !joined.is_empty() && !more.is_empty() {
                joined.push(b' ');
            }
            joined.extend_from_slice(more);
        }
        Ok(joined)
    }

    fn continues(&self) -> bool {
        self.rest.first().copied().is_some_and(scan::is_space)
    }
}

/// What the Content-Length rows of a head say (RFC 3261 §20.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none.
    Absent,
    /// So many octets; all rows agree.
    Octets(u64),
    /// Something else than digits.
    Malformed,
    /// Two rows that differ (RFC 4475 §3.3.9).
    Contradictory,
}

impl Length {
    /// What is known when one more row with `value` is met.
    #[must_use]
    pub(super) fn and(self, value: &[u8]) -> Length {
        match (self, scan::number(value)) {
            (Length::Malformed, _) | (_, None) => Length::Malformed,
            (Length::Absent, Some(octets)) => Length::Octets(octets),
            (Length::Octets(known), Some(octets)) if known == octets => self,
            (Length::Octets(_) | Length::Contradictory, Some(_)) => Length::Contradictory,
        }
    }
}

/// Whether `name` is Content-Length, long or compact.
pub(super) fn is_content_length(name: &[u8]) -> bool {
    matches!(HeaderName::parse(name), Ok(HeaderName::ContentLength))
}
