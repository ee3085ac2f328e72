//! Chance by seed: the same seed, the same throws. SplitMix64, so that no version of a crate can change them.

use sipreg::proto::ids::Random;

#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice of their own for each purpose, so that one more throw here changes nothing there.
    pub fn new(seed: u64, purpose: u64) -> Dice {
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ purpose);
        dice.next();
        dice
    }

    /// Other dice, whose throws are not these ones'.
    pub fn split(&mut self) -> Dice {
        Dice::new(self.next(), 0)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }
}

impl Random for Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
