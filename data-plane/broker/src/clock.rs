//! The two clocks of a node: one that never goes back, for everything that is measured, and the calendar, for what
//! tokens say. Read once a round, never once a message.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use contract::time::UnixMillis;

use crate::buckets::Micros;

/// Microseconds since the node was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    #[inline]
    pub(crate) fn micros(&self) -> Micros {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The calendar's time.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the calendar")]
pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
