//! What typed reading of headers has in common: its errors, and the small values CSeq, q and Retry-After.

use super::cursor::Cursor;
use super::method::Method;
use super::name::HeaderName;
use super::scan;
use super::uri::UriError;
use std::fmt;

/// A header that is needed and cannot be read. Headers nobody asks for are never looked into, so that a broken one
/// among them harms nothing (RFC 3261 §8.2.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {problem}")]
pub struct FieldError {
    /// Which header.
    pub header: HeaderName,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a header value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The header is needed and not there.
    #[error("is missing")]
    Missing,
    /// A header that may occur once occurs again (RFC 4475 §3.3.8).
    #[error("occurs more than once")]
    Repeated,
    /// No value, or an empty element in a list.
    #[error("has an empty value")]
    Empty,
    /// Octets that are not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// A quote without its second one.
    #[error("has an unterminated quote")]
    UnterminatedQuote,
    /// `<` without `>`.
    #[error("has an unterminated angle bracket")]
    UnterminatedBracket,
    /// A display name that is neither quoted nor made of tokens (RFC 4475 §3.1.2.15).
    #[error("has a display name that needs quotes")]
    DisplayName,
    /// No URI, or a broken one.
    #[error("has a bad URI: {0}")]
    Uri(#[from] UriError),
    /// A URI that needs angle brackets and has none (RFC 3261 §20, RFC 8217 §3).
    #[error("has a URI that needs angle brackets")]
    BareUri,
    /// A parameter outside the grammar, or something else behind the value.
    #[error("has a malformed parameter")]
    Parameter,
    /// No number where one belongs, or one out of its range.
    #[error("has a malformed number or one out of range")]
    Number,
    /// No method where one belongs.
    #[error("has a malformed method")]
    Method,
    /// The protocol part of a Via value.
    #[error("has a malformed protocol")]
    Protocol,
    /// A Call-ID with white space in it.
    #[error("is not one word")]
    Word,
    /// A date in another form than RFC 1123 with GMT.
    #[error("has a malformed date")]
    Date,
    /// `*` beside other contacts (RFC 3261 §10.2.2).
    #[error("has `*` beside other values")]
    StarAmongOthers,
}

/// Sequence number and method of a request (RFC 3261 §20.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2³¹ (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method; that it equals the request's is for the caller to check.
    pub method: Method,
}

impl CSeq {
    /// Reads a CSeq value.
    ///
    /// # Errors
    /// [`Problem::Number`] and [`Problem::Method`].
    pub fn parse(value: &[u8]) -> Result<CSeq, Problem> {
        let mut cursor = Cursor::of(value)?;
        let digits = cursor.run(|octet| octet.is_ascii_digit());
        let number = scan::number(digits.as_bytes()).ok_or(Problem::Number)?;
        let number = u32::try_from(number).ok().filter(|&n| n < 1 << 31).ok_or(Problem::Number)?;
        if !cursor.peek().is_some_and(scan::is_space) {
            return Err(Problem::Number);
        }
        cursor.skip_space();
        let method = Method::parse(cursor.octets()).map_err(|_| Problem::Method)?;
        Ok(CSeq { number, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// A preference between 0 and 1 in thousandths (RFC 3261 §25.1 `qvalue`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Q(u16);

impl Q {
    /// The highest preference, which also holds where none is given.
    pub const ONE: Q = Q(1000);

    /// `thousandths` of one; `None` above 1000.
    pub fn new(thousandths: u16) -> Option<Q> {
        (thousandths <= 1000).then_some(Q(thousandths))
    }

    /// The value in thousandths, 0 to 1000.
    pub fn thousandths(self) -> u16 {
        self.0
    }

    /// Reads `0.5`, `1`, `1.000`; also `.5` and more than three decimals, which the grammar does not know (the
    /// surplus is cut). `None` for anything else and for values above 1.
    pub fn parse(text: &str) -> Option<Q> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && decimals.is_empty() || !decimals.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { scan::number(whole.as_bytes())? };
        let digit = |place: usize| u16::from(decimals.as_bytes().get(place).map_or(0, |octet| octet - b'0'));
        let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
        Q::new(u16::try_from(whole.checked_mul(1000)?).ok()?.checked_add(thousandths)?)
    }
}

impl fmt::Display for Q {
    /// At most three decimals, no more than needed: `1`, `0.5`, `0.125`, `0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / 1000, self.0 % 1000);
        if decimals == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{decimals:03}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// When to come back (RFC 3261 §20.33).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds to wait, held at `u32::MAX` when larger.
    pub seconds: u32,
    /// The comment in parentheses, quoted-pairs undone.
    pub comment: Option<String>,
    /// How long the peer will then be reachable, in seconds.
    pub duration: Option<u32>,
}

impl RetryAfter {
    /// Reads a Retry-After value. Only the seconds have to be right; what follows them is taken as far as it can be
    /// read. `None` without digits at the start.
    pub fn parse(value: &[u8]) -> Option<RetryAfter> {
        let mut cursor = Cursor::of(value).ok()?;
        let seconds = scan::seconds(cursor.run(|octet| octet.is_ascii_digit()).as_bytes())?;
        if cursor.peek().is_some_and(|octet| !scan::is_space(octet) && !matches!(octet, b'(' | b';')) {
            return None;
        }
        cursor.skip_space();
        let comment = comment(&mut cursor);
        let params = super::Params::parse(&mut cursor).unwrap_or_default();
        let duration = params.token("duration").and_then(|text| scan::seconds(text.as_bytes()));
        Some(RetryAfter { seconds, comment, duration })
    }
}

/// A `comment` of RFC 3261 §25.1: parentheses may nest.
fn comment(cursor: &mut Cursor<'_>) -> Option<String> {
    if !cursor.eat(b'(') {
        return None;
    }
    let mut depth = 1u32;
    let mut inside = String::new();
    loop {
        match cursor.char()? {
            '(' => {
                depth += 1;
                inside.push('(');
            }
            ')' if depth == 1 => return Some(inside),
            ')' => {
                depth -= 1;
                inside.push(')');
            }
            '\\' => inside.push(cursor.char()?),
            other => inside.push(other),
        }
    }
}
