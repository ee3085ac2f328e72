//! The one source of randomness: ChaCha, seeded by the operating system (RFC 3261 §19.3 wants cryptographic
//! tags, RFC 7616 §5.12 unpredictable client nonces). One system call at start, none per number.

use rand::rngs::{StdRng, SysError, SysRng};
use rand::{Rng, SeedableRng};

use crate::proto::ids::Random;

/// A cryptographic generator with a seed of its own. It is not `Clone`: two with the same seed would make the
/// same tags.
pub struct SystemRandom(StdRng);

/// The operating system gave no seed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system has no random numbers: {0}")]
pub struct NoEntropy(SysError);

impl SystemRandom {
    /// Takes a seed from the operating system.
    ///
    /// # Errors
    /// [`NoEntropy`] when the operating system has none to give, as in a sandbox without the system call.
    pub fn new() -> Result<SystemRandom, NoEntropy> {
        StdRng::try_from_rng(&mut SysRng).map(SystemRandom).map_err(NoEntropy)
    }
}

impl Random for SystemRandom {
    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REQ-009 REQ-012
    #[test]
    fn two_generators_differ_and_none_repeats() {
        let (mut one, mut other) = (SystemRandom::new().unwrap(), SystemRandom::new().unwrap());
        let mut seen: Vec<u64> = (0..500).flat_map(|_| [one.next(), other.next()]).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }
}
