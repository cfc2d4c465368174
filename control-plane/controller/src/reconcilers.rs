//! Work that is done now and then: start-up, a missed turn and the usual case are one path, since none takes input.
//!
//! Each is idempotent, so that two controllers doing the same at one time do no harm.

use std::time::Duration;

use api::AppState;
use chrono::TimeDelta;
use service::{Services, reconcile};
use store::StoreError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Alarms;

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
    drop_old_metrics,
    expire_alarms,
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

/// Gives the database what nodes have told of instances, each [`PERIOD`]: beside the others, since what is not written is
/// lost with the process.
pub(crate) fn spawn_flush(tasks: &mut JoinSet<()>, services: &Services, stop: &CancellationToken) {
    let (services, stop) = (services.clone(), stop.clone());
    tasks.spawn(async move {
        while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
            flush(&services).await;
        }
    });
}

/// The same once.
pub(crate) async fn flush(services: &Services) {
    told("flush_metrics", reconcile::flush_metrics(services).await);
}

/// Reads what nodes have told the process before this one. Without it, rules wait until their windows have passed.
async fn refill(services: &Services) {
    match service::metrics::refill(services).await {
        Ok(rows) => tracing::info!(rows, "metrics read from the database"),
        Err(error) => {
            tracing::warn!(?error, "metrics could not be read from the database and are counted anew");
        }
    }
}

/// Evaluates alarm rules, and sends what is to be told over channels.
pub(crate) fn spawn_alarms(
    tasks: &mut JoinSet<()>,
    services: &Services,
    alarms: Alarms,
    stop: &CancellationToken,
) {
    let period = Duration::from_millis(alarms.period_millis.get().into());
    let every = TimeDelta::from_std(period).expect("32 bits of milliseconds are some days");
    let (evaluated, stopped) = (services.clone(), stop.clone());
    tasks.spawn(async move {
        let _ = stopped.run_until_cancelled(refill(&evaluated)).await;
        while stopped.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
            told("evaluate_alarms", service::alarms::evaluate_alarms(&evaluated, every).await);
        }
    });
    tasks.spawn(service::webhooks::send_deliveries(services.clone(), stop.clone()));
}

fn told(reconciler: &'static str, outcome: Result<u64, StoreError>) {
    match outcome {
        Ok(0) => {}
        Ok(changed) => tracing::debug!(reconciler, changed, "reconciled"),
        Err(error) => tracing::warn!(reconciler, ?error, "reconcile failed, will run again"),
    }
}
