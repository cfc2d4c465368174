//! Work that is done now and then: start-up, a missed turn and the usual case are one path, since none takes input.
//!
//! Each is idempotent, so that two controllers doing the same at one time do no harm.

use std::time::Duration;

use api::AppState;
use service::{Services, reconcile};
use store::StoreError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often each reconciler has its turn.
const PERIOD: Duration = Duration::from_mins(1);

macro_rules! reconcilers {
    ($($name:ident),* $(,)?) => {
        /// Gives every reconciler its turn, one after the other: together they never hold more than one connection.
        async fn reconcile_all(services: &Services) {
            $(told(stringify!($name), reconcile::$name(services).await);)*
        }
    };
}

reconcilers! {
    expire_tokens,
    expire_idempotency,
    expire_sessions,
    forget_revocations,
    retire_signing_keys,
    delete_after_grace,
    trim_feed,
}

/// Runs them until stopped.
pub(crate) fn spawn(tasks: &mut JoinSet<()>, services: &Services, state: AppState, stop: &CancellationToken) {
    let (services, stop) = (services.clone(), stop.clone());
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            reconcile_all(&services).await;
            state.forget_idle_callers();
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}

fn told(reconciler: &'static str, outcome: Result<u64, StoreError>) {
    match outcome {
        Ok(0) => {}
        Ok(changed) => tracing::debug!(reconciler, changed, "reconciled"),
        Err(error) => tracing::warn!(reconciler, ?error, "reconcile failed, will run again"),
    }
}
