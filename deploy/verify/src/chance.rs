//! Chance that can be repeated: the same seed draws the same numbers. For the times of kills and the turns of clients,
//! not for anything secret.

/// A generator of numbers (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `from` to `to`, the latter excluded; `from` where there is nothing between.
    pub(crate) const fn between(&mut self, from: u64, to: u64) -> u64 {
        match self.draw().checked_rem(to.saturating_sub(from)) {
            Some(over) => from + over,
            None => from,
        }
    }
}
