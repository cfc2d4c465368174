//! Rust's `rumqttc`, both versions.

mod v3;
mod v5;

use std::time::Duration;

use tokio::sync::mpsc;

/// Things that have happened to a client and that nobody has asked for yet.
const EVENTS_MAX: usize = 10_000;

/// Longer than any test.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// The next thing that happened for which `take` has an answer.
async fn next<E, T>(events: &mut mpsc::Receiver<E>, what: &str, take: impl Fn(E) -> Option<T>) -> T {
    tests::wait::within(what, async {
        loop {
            let event = events.recv().await.unwrap_or_else(|| panic!("the client ended before {what}"));
            if let Some(taken) = take(event) {
                return taken;
            }
        }
    })
    .await
}
