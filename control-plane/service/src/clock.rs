//! What time it is. The only file that reads the system's clock.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use contract::time::UnixMillis;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time in whole milliseconds, so that what is stored and what is shown are equal.
    fn now(&self) -> DateTime<Utc>;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the shell that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        whole_millis(Utc::now())
    }
}

/// A clock that stands still until it is moved: for tests.
#[derive(Debug)]
pub struct FixedClock(Mutex<DateTime<Utc>>);

impl FixedClock {
    /// A clock that says `now`.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(whole_millis(now)))
    }

    /// Moves it on, or back.
    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_millis(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(time)
}

/// The same moment as the two planes exchange it; what is before 1970 is 1970.
#[must_use]
pub fn millis(time: DateTime<Utc>) -> UnixMillis {
    UnixMillis(u64::try_from(time.timestamp_millis()).unwrap_or(0))
}

/// The moment of a number of milliseconds; what no calendar reaches is its end.
#[must_use]
pub fn time(millis: UnixMillis) -> DateTime<Utc> {
    i64::try_from(millis.0).ok().and_then(DateTime::from_timestamp_millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
