//! Time as a session is told it.

/// Milliseconds of a clock that never goes back, since a moment that the caller chooses and keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// So many milliseconds later.
    #[inline]
    #[must_use]
    pub const fn after(self, millis: u32) -> Self {
        Self(self.0.saturating_add(millis as u64))
    }
}
