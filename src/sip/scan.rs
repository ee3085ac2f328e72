//! Scanning: octet classes of RFC 3261 §25.1, finding octets, numbers, quoting, and the [`Cursor`] that reads
//! every typed field.
//!
//! All of it works on octets and goes forward only, so that a hostile 64 KiB value costs 64 K steps. Values
//! come here unfolded: white space is SP and HTAB, line ends cannot occur.

use super::error::Problem;
use std::borrow::Cow;

/// `token` of RFC 3261 §25.1.
pub(super) const TOKEN: u8 = 1;
/// Octets that may stand unescaped in the user part of a URI (RFC 3261 §25.1 `user`), `%` left out.
pub(super) const USER: u8 = 1 << 1;
/// Octets that may stand unescaped in the password of a URI.
pub(super) const PASSWORD: u8 = 1 << 2;
/// Octets that may stand unescaped in URI parameters (`paramchar`).
pub(super) const URI_PARAM: u8 = 1 << 3;
/// Octets that may stand unescaped in URI headers (`hnv-unreserved / unreserved`).
pub(super) const URI_HEADER: u8 = 1 << 4;
/// Host names; the underscore is not in the grammar but in the field.
pub(super) const HOST: u8 = 1 << 5;
/// An unquoted value of a header parameter: token, host, IPv6 reference with or without brackets, and `/`,
/// `@`, which senders put there although the grammar wants quotes.
pub(super) const VALUE: u8 = 1 << 6;

static CLASS: [u8; 256] = classes();

const fn mark(mut table: [u8; 256], octets: &[u8], class: u8) -> [u8; 256] {
    let mut i = 0;
    while i < octets.len() {
        table[octets[i] as usize] |= class;
        i += 1;
    }
    table
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let all = TOKEN | USER | PASSWORD | URI_PARAM | URI_HEADER | HOST | VALUE;
    let uri = USER | PASSWORD | URI_PARAM | URI_HEADER;
    table = mark(table, b"abcdefghijklmnopqrstuvwxyz", all);
    table = mark(table, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", all);
    table = mark(table, b"0123456789", all);
    table = mark(table, b"-_.!~*'()", uri);
    table = mark(table, b"&=+$,;?/", USER);
    table = mark(table, b"&=+$,", PASSWORD);
    table = mark(table, b"[]/:&+$", URI_PARAM);
    table = mark(table, b"[]/?:+$", URI_HEADER);
    table = mark(table, b"-._", HOST);
    table = mark(table, b"-.!%*_+`'~", TOKEN | VALUE);
    mark(table, b"[]:/@", VALUE)
}

/// Whether `octet` belongs to `class`.
pub(super) fn is(octet: u8, class: u8) -> bool {
    CLASS[octet as usize] & class != 0
}

/// Whether `text` is one non-empty `token`.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&octet| is(octet, TOKEN))
}

/// SP or HTAB.
pub(super) fn is_space(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

/// `text` without white space at both ends.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// The octets as text.
pub(super) fn text(octets: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(octets).map_err(|_| Problem::NotUtf8)
}

/// A number in decimal digits, in `room`; the writer of `std` minds width and sign and takes several times as
/// long.
pub(super) fn decimal(mut number: u32, room: &mut [u8; 10]) -> &str {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&room[at..]).unwrap_or_default()
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES * 0x80;

/// Position of the first octet that is `wanted`, eight octets at a step.
///
/// `suspects` gets eight octets and raises bit 7 of those that may be wanted; it may raise too many, never
/// too few.
fn find(octets: &[u8], suspects: impl Fn(u64) -> u64, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, tail) = octets.as_chunks::<8>();
    for (at, octets) in words.iter().enumerate() {
        let mut raised = suspects(u64::from_le_bytes(*octets));
        while raised != 0 {
            let offset = (raised.trailing_zeros() / 8) as usize;
            if octets.get(offset).copied().is_some_and(&wanted) {
                return Some(at * 8 + offset);
            }
            raised &= raised - 1;
        }
    }
    tail.iter().position(|&octet| wanted(octet)).map(|offset| words.len() * 8 + offset)
}

/// Position of the first CR, LF or NUL: all below 0x0E.
pub(super) fn find_line_control(octets: &[u8]) -> Option<usize> {
    find(octets, |word| word.wrapping_sub(ONES * 0x0E) & !word & HIGHS, is_line_control)
}

/// Position of the first octet that is one of `marks`.
pub(super) fn find_mark<const N: usize>(octets: &[u8], marks: [u8; N]) -> Option<usize> {
    let equal = |word: u64, mark: u8| {
        let zero_where_equal = word ^ (ONES * u64::from(mark));
        zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHS
    };
    find(
        octets,
        |word| marks.iter().fold(0, |raised, &mark| raised | equal(word, mark)),
        |octet| marks.contains(&octet),
    )
}

fn is_line_control(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n' | 0)
}

/// Whether every NUL in `value` is the second octet of a quoted-pair inside a quoted string, the one place
/// where RFC 3261 §25.1 allows it (RFC 4475 §3.1.1.2).
pub(super) fn nul_is_quoted(value: &[u8]) -> bool {
    let mut quoted = false;
    let mut octets = value.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                octets.next();
            }
            0 => return false,
            _ => {}
        }
    }
    true
}

/// Reads all of `digits` as a decimal number; above `u64::MAX` it stays there. `None` when anything but
/// digits is in it, or nothing.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

/// `delta-seconds` of RFC 3261 §25.1, held at `u32::MAX` when larger (§10.2 lets a receiver do so).
pub(super) fn seconds(digits: &[u8]) -> Option<u32> {
    number(digits).map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// Appends `text` as a `quoted-string`, escaping what must be.
///
/// CR and LF have no escape (RFC 3261 §25.1); they go through as they are and are refused where the header is
/// made.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        let control = c.is_ascii_control() && !matches!(c, '\t' | '\r' | '\n');
        if matches!(c, '"' | '\\') || control {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// A place in a value, which moves forward.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    /// The part of the value that has not been read yet.
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `text`.
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text }
    }

    /// A cursor at the start of `value`, white space at both ends left out.
    pub(super) fn of(value: &'a [u8]) -> Result<Cursor<'a>, Problem> {
        text(trim(value)).map(Cursor::new)
    }

    /// The octets that have not been read yet.
    pub(super) fn octets(&self) -> &'a [u8] {
        self.rest.as_bytes()
    }

    /// The text that has not been read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// The text between `start`, an earlier place of the same cursor, and this place.
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

    /// Takes the next character.
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
        while self.peek().is_some_and(is_space) {
            self.take(1);
        }
    }

    /// Takes white space, `octet`, white space: the separators of RFC 3261 §25.1 (`SEMI`, `EQUAL`, `SLASH`
    /// …). Without `octet` only the white space is consumed.
    pub(super) fn separator(&mut self, octet: u8) -> bool {
        self.skip_space();
        let found = self.eat(octet);
        if found {
            self.skip_space();
        }
        found
    }

    /// Takes the longest run of octets for which `wanted` holds, perhaps none. `wanted` judges all octets
    /// above 0x7F alike.
    pub(super) fn run(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let end = self.octets().iter().position(|&octet| !wanted(octet)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Takes the text up to the first of `marks`, which are ASCII characters, or to the end.
    pub(super) fn until<const N: usize>(&mut self, marks: [u8; N]) -> &'a str {
        let end = find_mark(self.octets(), marks).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Takes a `token`, perhaps an empty one.
    pub(super) fn token(&mut self) -> &'a str {
        self.run(|octet| is(octet, TOKEN))
    }

    /// Takes a `quoted-string`, which must come next: its text with the quoted-pairs undone once. A string
    /// without its second quote is read to the end.
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
