//! Waiting for something to become true, instead of sleeping and hoping.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(20);

/// Looks until `condition` holds; answers how long that took. Panics after [`PATIENCE`], naming `what`.
pub async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let begin = now();
    while !condition().await {
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for: {what}");
        sleep(PERIOD).await;
    }
    begin.elapsed()
}

/// Awaits `future`; panics after [`PATIENCE`], naming `what`.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("waited {PATIENCE:?} in vain for: {what}")
    };
    value
}

/// Real time.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Prints how long something took, for whoever reads the output of the tests.
#[expect(clippy::print_stdout, reason = "a test prints what it has measured")]
pub fn measured(what: &str, took: Duration) {
    println!("measured: {what}: {took:?}");
}
