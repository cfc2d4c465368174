//! Dropping: sealed segments whose class no longer keeps them, and the oldest ones when all take too much room.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::time::UnixMillis;

use crate::layout::{Layout, SealedSegment};
use crate::sealed::{dropped_name, parse_dropped};
use crate::shared::Shared;

/// Drops what is over now.
pub(crate) fn drop_over(shared: &Shared) -> io::Result<()> {
    let layout = shared.layout.load();
    let now = shared.now();
    let over: Vec<_> = layout.sealed.iter().filter(|it| it.name.is_over(now)).cloned().collect();
    let for_room = oldest_beyond_room(&layout, &over, shared.bounds.stored_bytes_max);
    if let Some(latest) = for_room.iter().map(|it| it.name.times.1.0).max() {
        tracing::warn!(segments = for_room.len(), "stored messages are dropped before their time, for room");
        keep_dropped_before(shared, UnixMillis(latest.saturating_add(1)))?;
    }
    remove(shared, &over.into_iter().chain(for_room).collect::<Vec<_>>())
}

/// The oldest segments that must go beside those that are over, so that the rest has room.
fn oldest_beyond_room(
    layout: &Layout,
    over: &[Arc<SealedSegment>],
    bytes_max: Option<u64>,
) -> Vec<Arc<SealedSegment>> {
    let journal: u64 = layout.journal.iter().map(|it| it.end()).sum();
    let kept = || layout.sealed.iter().filter(|it| !over.contains(it));
    let mut bytes = journal + kept().map(|it| it.bytes).sum::<u64>();
    let mut beyond = Vec::new();
    let mut oldest: Vec<_> = kept().collect();
    oldest.sort_unstable_by_key(|it| it.name.first);
    for segment in oldest {
        if bytes_max.is_none_or(|max| bytes <= max) {
            break;
        }
        bytes -= segment.bytes;
        beyond.push(Arc::clone(segment));
    }
    beyond
}

/// Keeps, across restarts, before which moment messages may be missing: known before any of them is gone.
fn keep_dropped_before(shared: &Shared, before: UnixMillis) -> io::Result<()> {
    if before.0 <= shared.dropped_before.load(Ordering::Acquire) {
        return Ok(());
    }
    let files = &*shared.files;
    let name = dropped_name(before);
    let older: Vec<_> = files.list()?.into_iter().map(|it| it.name).collect();
    if !older.contains(&name) {
        files.create(&name)?;
    }
    files.sync_directory()?;
    shared.dropped_before.store(before.0, Ordering::Release);
    for marker in older.iter().filter(|it| **it != name && parse_dropped(it).is_some()) {
        files.remove(marker)?;
    }
    Ok(())
}

/// Removes segments: first from everybody's sight, then from the disk.
fn remove(shared: &Shared, segments: &[Arc<SealedSegment>]) -> io::Result<()> {
    if segments.is_empty() {
        return Ok(());
    }
    shared.layout.change(|layout| layout.sealed.retain(|it| !segments.contains(it)));
    for segment in segments {
        shared.segments.forget(segment.name);
        shared.files.remove(&segment.name.to_string())?;
        shared.counters.dropped_segments.fetch_add(1, Ordering::Relaxed);
    }
    shared.files.sync_directory()
}
