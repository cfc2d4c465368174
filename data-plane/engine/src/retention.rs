//! How long a stored message is kept at least: a few classes, so that what is dropped together lies together. A
//! tenant's own, finer retention is applied when its messages are read.

const DAY_SECS: u64 = 86_400;

/// One of the lengths of time for which messages are kept together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum RetentionClass {
    /// One day.
    Day = 1,
    /// Three days.
    ThreeDays = 2,
    /// Seven days.
    Week = 3,
    /// Thirty days: the longest there is.
    Month = 4,
}

impl RetentionClass {
    /// Every class, the shortest first.
    pub const ALL: [Self; 4] = [Self::Day, Self::ThreeDays, Self::Week, Self::Month];

    /// How long its messages are kept.
    #[must_use]
    pub const fn secs(self) -> u64 {
        match self {
            Self::Day => DAY_SECS,
            Self::ThreeDays => 3 * DAY_SECS,
            Self::Week => 7 * DAY_SECS,
            Self::Month => 30 * DAY_SECS,
        }
    }

    /// The shortest class that keeps a message for so long; the longest, where none does.
    #[must_use]
    pub fn for_secs(secs: u64) -> Self {
        Self::ALL.into_iter().find(|class| class.secs() >= secs).unwrap_or(Self::Month)
    }

    /// The number in a record.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// The class of this number in a record.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::Day),
            2 => Some(Self::ThreeDays),
            3 => Some(Self::Week),
            4 => Some(Self::Month),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_keeps_at_least_as_long_as_asked() {
        for (secs, class) in [
            (0, RetentionClass::Day),
            (60, RetentionClass::Day),
            (86_400, RetentionClass::Day),
            (86_401, RetentionClass::ThreeDays),
            (259_200, RetentionClass::ThreeDays),
            (604_800, RetentionClass::Week),
            (604_801, RetentionClass::Month),
            (2_592_000, RetentionClass::Month),
            (u64::MAX, RetentionClass::Month),
        ] {
            assert_eq!(RetentionClass::for_secs(secs), class, "{secs}");
        }
    }

    #[test]
    fn each_class_has_a_number_of_its_own() {
        for class in RetentionClass::ALL {
            assert_eq!(RetentionClass::from_bits(class.bits()), Some(class));
        }
        assert_eq!((RetentionClass::from_bits(0), RetentionClass::from_bits(5)), (None, None));
    }
}
