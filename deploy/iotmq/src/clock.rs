//! The one place of the binary that asks what time it is.

use std::time::SystemTime;

/// Now.
#[expect(clippy::disallowed_methods, reason = "the shell that reads the clock for the binary")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
