//! Everything in a message that has to be unpredictable: branch, tag, Call-ID, cnonce.
//!
//! Randomness is injected: `net` gives the operating system's generator, tests count 1, 2, 3. All values are
//! lower-case hexadecimal, so that no two of ours differ by case only (RFC 3261 §7.3.1 compares tokens without case).

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
pub fn branch(number: u64) -> String {
    format!("{COOKIE}{number:016x}")
}

/// The number that [`branch`] made exactly this branch of; `None`: there is none.
pub fn branch_number(branch: &str) -> Option<u64> {
    let digits = branch.strip_prefix(COOKIE)?;
    let is_ours =
        digits.len() == 16 && digits.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// A From tag of the 64 bits of a random number (RFC 3261 §19.3 asks for 32 at least).
pub fn tag(number: u64) -> String {
    format!("{number:016x}")
}

/// A Call-ID of 128 bits without a host, which would only give the address away (RFC 3261 §8.1.1.4).
pub fn call_id(random: &mut dyn Random) -> String {
    format!("{:016x}{:016x}", random.next(), random.next())
}

/// A client nonce of 128 bits (RFC 7616 §3.4).
pub fn cnonce(random: &mut dyn Random) -> String {
    format!("{:016x}{:016x}", random.next(), random.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TXN-011
    #[test]
    fn a_branch_leads_back_to_its_number_and_no_other_text_does() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(branch_number(&branch(number)), Some(number));
        }
        for strange in [
            "",
            "z9hG4bK",
            "z9hG4bK1",
            "Z9HG4BK0000000000000001",
            "z9hG4bK000000000000000A",
            "z9hG4bK+000000000000001",
        ] {
            assert_eq!(branch_number(strange), None, "{strange}");
        }
    }
}
