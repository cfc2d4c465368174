//! From the ring to the database, and out of it when it is old. Both may be done twice, by several at one time, and be
//! interrupted anywhere.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use store::StoreError;

use super::chunk::{Chunk, SECONDS};
use super::ring::Unwritten;
use super::{METRICS_KEPT, time};
use crate::core::Core;

/// How many rows one transaction writes.
const ROWS_MAX: usize = 500;

/// Gives the database what it has not; answers how many rows.
pub(crate) async fn flush(core: &Core) -> Result<u64, StoreError> {
    let mut days = BTreeSet::new();
    let mut written = 0;
    for minute in core.ring.dirty_minutes() {
        let day = time(minute * u64::from(SECONDS)).date_naive();
        if days.insert(day) {
            create_day(core, day).await?;
        }
        let dirty = core.ring.dirty(minute);
        // The platform's row, which is the first, goes last: it says what was told of, and must not be there without it.
        for rows in dirty.rchunks(ROWS_MAX) {
            write(core, minute, rows).await?;
            core.ring.written(minute, rows);
            written += rows.len() as u64;
        }
    }
    Ok(written)
}

async fn create_day(core: &Core, day: NaiveDate) -> Result<(), StoreError> {
    let mut tx = core.store.begin().await?;
    // Looked up first: making one locks the whole table for a moment.
    if !store::metrics::list_days(&mut tx).await?.contains(&day) {
        store::metrics::create_day(&mut tx, day).await?;
    }
    tx.commit().await
}

/// Writes rows of one minute. A row that is there gets the slots that it has not: another controller may have heard of
/// others, and an earlier run of this one of those before.
async fn write(core: &Core, minute: u64, rows: &[Unwritten]) -> Result<(), StoreError> {
    let at = time(minute * u64::from(SECONDS));
    let chunks: Vec<_> = rows.iter().map(|row| (row.instance, row.chunk.to_vec())).collect();
    let mut tx = core.store.begin().await?;
    let there = store::metrics::insert_of_all_tenants(&mut tx, at, &chunks).await?;
    let ours: BTreeMap<_, _> = chunks.into_iter().collect();
    let mut changed = Vec::new();
    for (instance, theirs) in there {
        let Some(ours) = ours.get(&instance) else { continue };
        match joined(&theirs, ours) {
            Some(joined) if joined != theirs => changed.push((instance, joined)),
            Some(_) => {}
            None => {
                tracing::error!(instance.id = %instance, minute, "a chunk of metrics cannot be read and is left");
            }
        }
    }
    if !changed.is_empty() {
        store::metrics::update_of_all_tenants(&mut tx, at, changed).await?;
    }
    tx.commit().await
}

/// Both chunks as one; none when either cannot be read: a later release may have written it.
fn joined(theirs: &[u8], ours: &[u8]) -> Option<Vec<u8>> {
    let mut chunk = Chunk::decode(theirs).ok()?;
    chunk.merge(&Chunk::decode(ours).ok()?);
    Some(chunk.encode())
}

/// Drops the days that are kept no longer; answers how many.
pub(crate) async fn drop_old_days(core: &Core) -> Result<u64, StoreError> {
    let oldest_kept = (core.now() - METRICS_KEPT).date_naive();
    let mut connection = core.store.read().await?;
    let days = store::metrics::list_days(&mut connection).await?;
    let mut dropped = 0;
    for day in days.into_iter().filter(|day| *day < oldest_kept) {
        store::metrics::drop_day(&mut connection, day).await?;
        dropped += 1;
    }
    Ok(dropped)
}
