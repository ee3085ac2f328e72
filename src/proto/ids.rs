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

/// A Via branch: the magic cookie of RFC 3261 §8.1.1.7 and 64 random bits.
pub fn branch(random: &mut dyn Random) -> String {
    format!("z9hG4bK{:016x}", random.next())
}

/// A From tag of 64 bits (RFC 3261 §19.3 asks for 32 at least).
pub fn tag(random: &mut dyn Random) -> String {
    format!("{:016x}", random.next())
}

/// A Call-ID of 128 bits without a host, which would only give the address away (RFC 3261 §8.1.1.4).
pub fn call_id(random: &mut dyn Random) -> String {
    format!("{:016x}{:016x}", random.next(), random.next())
}

/// A client nonce of 128 bits (RFC 7616 §3.4).
pub fn cnonce(random: &mut dyn Random) -> String {
    format!("{:016x}{:016x}", random.next(), random.next())
}
