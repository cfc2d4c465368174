//! The kill loop: kills spread over the load at times drawn by lot, and every third one again while the broker recovers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use crate::account::Kills;
use crate::chance::Chance;
use crate::client::Board;
use crate::clock::now;
use crate::commands::ControlError;
use crate::plan::Plan;
use crate::run::VerifyError;
use crate::wire::Wire;

/// Every so many kills, another one follows while the broker recovers.
const SECOND_KILL_EVERY: u32 = 3;

/// How often it is looked whether the broker serves.
const PERIOD: Duration = Duration::from_millis(10);

/// What kills and starts the broker.
pub trait Control {
    /// Kills it with SIGKILL, or cuts its power; it is gone when this is done.
    fn kill(&mut self) -> impl Future<Output = Result<(), ControlError>> + Send;

    /// Starts it again on the data that it has. It need not serve yet when this is done.
    fn start(&mut self) -> impl Future<Output = Result<(), ControlError>> + Send;
}

/// Goes on until all kills are done and the load has lasted long enough.
pub(crate) async fn kill_again_and_again(
    board: &Board,
    control: &mut (impl Control + Send),
    progress: &(impl Fn(&str) + Sync),
) -> Result<Kills, VerifyError> {
    let plan = &board.plan;
    let (mut chance, mut kills) = (Chance::new(plan.seed), Kills::default());
    let (begin, mut sessions_lost) = (now(), 0);
    let mut recovery = Duration::from_millis(500);
    let share = plan.load / (plan.kills + 1);
    while kills.count < plan.kills {
        let half = u64::try_from(share.as_millis()).unwrap_or(u64::MAX) / 2;
        sleep(Duration::from_millis(chance.between(half, half * 3))).await;
        kills.count += 1;
        progress(&format!("kill {} of {}", kills.count, plan.kills));
        control.kill().await?;
        control.start().await?;
        if kills.count.is_multiple_of(SECOND_KILL_EVERY) {
            let millis = u64::try_from(recovery.as_millis()).unwrap_or(u64::MAX);
            sleep(Duration::from_millis(chance.between(millis / 10, millis))).await;
            kills.while_recovering += 1;
            progress("  and again while it recovers");
            control.kill().await?;
            control.start().await?;
        }
        recovery = until_serving(plan).await?;
        kills.recovery_max = kills.recovery_max.max(recovery);
        let known = std::mem::replace(&mut sessions_lost, board.sessions_lost.load(Ordering::Relaxed));
        if sessions_lost > known {
            progress(&format!("  {} sessions were lost before this start", sessions_lost - known));
        }
    }
    sleep(plan.load.saturating_sub(begin.elapsed())).await;
    Ok(kills)
}

/// Waits until the broker accepts a client; how long that took.
pub(crate) async fn until_serving(plan: &Plan) -> Result<Duration, VerifyError> {
    let begin = now();
    let client_id = plan.client_id("probe", 0);
    loop {
        let connecting = tokio::time::timeout(plan.patience, Wire::connect(plan, &client_id, true));
        match connecting.await {
            Ok(Ok(_)) => return Ok(begin.elapsed()),
            Ok(Err(source)) if begin.elapsed() >= plan.patience => {
                return Err(VerifyError::NotServing { address: plan.address.clone(), source });
            }
            Ok(Err(_)) => sleep(PERIOD).await,
            Err(_) => return Err(VerifyError::Silent { address: plan.address.clone() }),
        }
    }
}
