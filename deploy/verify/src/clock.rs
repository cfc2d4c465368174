//! The one place where this crate reads a clock.

use tokio::time::Instant;

/// Now.
pub(crate) fn now() -> Instant {
    Instant::now()
}
