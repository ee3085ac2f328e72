//! Everything in a message that has to be unpredictable: branch, tag, Call-ID, cnonce.
//!
//! Randomness is injected: `net` gives the operating system's generator, tests count 1, 2, 3. All values are
//! lower-case hexadecimal, so that no two of ours differ by case only (RFC 3261 §7.3.1 compares tokens without case).

use std::fmt;
use std::time::Duration;

/// A source of random numbers. Real ones are cryptographic (RFC 3261 §19.3 for tags, §8.1.1.7 for branches).
pub trait Random {
    /// The next 64 bits.
    fn next(&mut self) -> u64;
}

/// Counts 1, 2, 3: for tests and examples, where every byte of a message should be known beforehand.
#[derive(Clone, Debug, Default)]
pub struct Counting(u64);

impl Random for Counting {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// The magic cookie (RFC 3261 §8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// A Via branch: the magic cookie of RFC 3261 §8.1.1.7 and the 64 bits of a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch(pub u64);

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(COOKIE)?;
        f.write_str(hex(self.0, &mut [0; 16]))
    }
}

impl Branch {
    /// Reads a branch of ours. That of a request which we forwarded has a second part, a dot and 16 digits more, by which
    /// loops are found (RFC 5393 §4.2.1); the number is the first part. `None`: it is nobody's, or spelt otherwise than
    /// we do.
    #[must_use]
    pub fn parse(branch: &str) -> Option<Branch> {
        let digits = branch.strip_prefix(COOKIE)?;
        let (number, second) =
            digits.split_once('.').map_or((digits, None), |(first, rest)| (first, Some(rest)));
        if second.is_some_and(|second| !is_hex(second)) || !is_hex(number) {
            return None;
        }
        u64::from_str_radix(number, 16).ok().map(Branch)
    }
}

/// A From tag: the 64 bits of a random number (RFC 3261 §19.3 asks for 32 at least).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(pub u64);

impl Tag {
    /// Whether a tag is this one, spelt as we do.
    #[must_use]
    pub fn is(self, tag: &str) -> bool {
        tag == hex(self.0, &mut [0; 16])
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex(self.0, &mut [0; 16]))
    }
}

/// Whether it is a number as [`hex`] writes it.
fn is_hex(digits: &str) -> bool {
    digits.len() == 16 && digits.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
}

/// All 16 digits, in `room`.
pub(super) fn hex(number: u64, room: &mut [u8; 16]) -> &str {
    for (octet, pair) in number.to_be_bytes().into_iter().zip(room.as_chunks_mut().0) {
        *pair = [octet >> 4, octet & 0xF].map(|half| if half < 10 { b'0' + half } else { b'a' + half - 10 });
    }
    std::str::from_utf8(room).unwrap_or_default()
}

/// A Call-ID of 128 bits without a host, which would only give the address away (RFC 3261 §8.1.1.4).
pub fn call_id(random: &mut dyn Random) -> String {
    format!("{:016x}{:016x}", random.next(), random.next())
}

/// A client nonce of 128 bits (RFC 7616 §3.4).
pub fn cnonce(random: &mut dyn Random) -> String {
    format!("{:016x}{:016x}", random.next(), random.next())
}

/// A random part of a span of time: nothing to all of it, in thousandths.
pub(super) fn jitter(span: Duration, random: &mut dyn Random) -> Duration {
    let thousandths = u32::try_from(random.next() % 1001).unwrap_or(0);
    span.saturating_mul(thousandths) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TXN-012
    #[test]
    fn a_branch_leads_back_to_its_number_and_no_other_text_does() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let branch = Branch(number).to_string();
            assert_eq!(branch, format!("z9hG4bK{number:016x}"));
            assert_eq!(Branch::parse(&branch), Some(Branch(number)));
            assert_eq!(Branch::parse(&format!("{branch}.0123456789abcdef")), Some(Branch(number)));
            assert!(Tag(number).is(&Tag(number).to_string()) && !Tag(number).is("z"));
        }
        for strange in [
            "",
            "z9hG4bK",
            "z9hG4bK1",
            "Z9HG4BK0000000000000001",
            "z9hG4bK000000000000000A",
            "z9hG4bK+000000000000001",
            "z9hG4bK0000000000000001.",
            "z9hG4bK0000000000000001.1",
            "z9hG4bK0000000000000001.000000000000000A",
            "z9hG4bK0000000000000001.0000000000000001.",
            "z9hG4bK.0000000000000001",
        ] {
            assert_eq!(Branch::parse(strange), None, "{strange}");
        }
    }
}
