//! What is said of many times: the middle one, the one that ninety-nine of a hundred stay below, and the longest.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::report::median;

/// Of some times in one unit.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) longest: f64,
}

impl Quantiles {
    /// All 0 of nothing.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = (values.len() * 99).div_ceil(100).saturating_sub(1);
        let p99 = values.get(at).copied().unwrap_or_default();
        let longest = values.last().copied().unwrap_or_default();
        Self { median: median(values), p99, longest }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} (p99 {:.1}, longest {:.1})", self.median, self.p99, self.longest)
    }
}

/// A time in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_nine_of_a_hundred_stay_below() {
        let values = (1..=100).rev().map(f64::from).collect();
        assert_eq!(Quantiles::of(values), Quantiles { median: 50.5, p99: 99.0, longest: 100.0 });
        assert_eq!(Quantiles::of(vec![7.0]), Quantiles { median: 7.0, p99: 7.0, longest: 7.0 });
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }
}
