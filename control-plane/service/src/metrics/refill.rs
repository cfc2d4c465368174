//! From the database back to the ring, once, when a process begins: what nodes have told the one before it. Without it
//! no rule with a long window could be decided until that window has passed.

use contract::ids::InstanceId;
use store::StoreError;
use store::metrics::MetricChunk;

use super::chunk::{Chunk, SECONDS};
use super::ring::{Kept, PLATFORM, RING_MINUTES, unix_secs};
use super::time;
use crate::Services;
use crate::alarm_rules::WINDOW_SECS_MAX;

/// How many minutes before now are read: the longest window of a rule, and what it may lie back.
pub const REFILL_MINUTES: u64 = WINDOW_SECS_MAX / SECONDS as u64 + 5;
const _: () = assert!(REFILL_MINUTES < RING_MINUTES, "what is read is not too old for the ring");
/// Of how many instances the rows are read at one time.
const INSTANCES_MAX: i64 = 100;

/// Gives the ring what the database has of the last [`REFILL_MINUTES`]; answers how many rows. Nodes may report
/// meanwhile: a slot that is here and there counts once. When it fails on the way, what it has read is known to be
/// incomplete.
pub async fn refill(services: &Services) -> Result<u64, StoreError> {
    let core = &services.core;
    let now = core.now();
    let minute = unix_secs(now) / u64::from(SECONDS);
    let at = |minute: u64| time(minute * u64::from(SECONDS));
    // A node's clock may be a little ahead.
    let (from, to) = (at(minute.saturating_sub(REFILL_MINUTES)), at(minute + 2));
    let mut connection = core.store.read().await?;
    // Read first and taken last: it may not say that more was told of than is read of the instances.
    let told = store::metrics::list(&mut connection, PLATFORM, from, to).await?;
    if told.is_empty() {
        return Ok(0);
    }
    let mut taken = 0;
    let mut after = PLATFORM;
    loop {
        let instances =
            store::instances::list_ids_of_all_tenants(&mut connection, after, INSTANCES_MAX).await?;
        let Some(last) = instances.last() else { break };
        after = *last;
        let rows = store::metrics::list_of_all_tenants(&mut connection, &instances, from, to).await?;
        taken += core.ring.refill(rows.into_iter().filter_map(readable).collect(), now);
    }
    drop(connection);
    let told = told.into_iter().filter_map(|row| readable((PLATFORM, row)));
    Ok(taken + core.ring.refill(told.collect(), now))
}

/// A row whose bytes are a chunk.
fn readable((instance, row): (InstanceId, MetricChunk)) -> Option<Kept> {
    let minute = unix_secs(row.minute) / u64::from(SECONDS);
    match Chunk::decode(&row.chunk) {
        Ok(_) => Some(Kept { minute, instance, chunk: row.chunk.into() }),
        Err(error) => {
            tracing::warn!(instance.id = %instance, minute, error = ?error, "a chunk of metrics cannot be read");
            None
        }
    }
}
