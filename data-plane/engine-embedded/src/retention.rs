//! Dropping: sealed segments whose class no longer keeps them, and the oldest ones when all take too much room.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::time::UnixMillis;

use crate::files::Files;
use crate::layout::{Layout, SealedSegment};
use crate::sealed::{Dropped, dropped_name, parse_dropped};
use crate::shared::{Shared, lock};

/// Drops what is over now.
pub(crate) fn drop_over(shared: &Shared) -> io::Result<()> {
    let layout = shared.layout.load();
    let now = shared.now();
    let over: Vec<_> = layout.sealed.iter().filter(|it| it.name.is_over(now)).cloned().collect();
    let for_room = oldest_beyond_room(&layout, &over, shared.bounds.stored_bytes_max);
    let dropped = for_room
        .iter()
        .map(|it| Dropped { before: UnixMillis(it.name.times.1.0.saturating_add(1)), record: it.name.next });
    if let Some(dropped) = dropped.reduce(Dropped::and) {
        tracing::warn!(segments = for_room.len(), "stored messages are dropped before their time, for room");
        keep_dropped(shared, dropped)?;
    }
    remove(shared, over.into_iter().chain(for_room).collect())
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

/// Keeps, across restarts, before which moment and record messages may be missing: known before any of them is gone.
fn keep_dropped(shared: &Shared, more: Dropped) -> io::Result<()> {
    let known = *lock(&shared.dropped);
    let dropped = known.and(more);
    if dropped == known {
        return Ok(());
    }
    let files = &*shared.files;
    let name = dropped_name(dropped);
    let older: Vec<_> = files.list()?.into_iter().map(|it| it.name).collect();
    if !older.contains(&name) {
        files.create(&name)?;
    }
    files.sync_directory()?;
    *lock(&shared.dropped) = dropped;
    for marker in older.iter().filter(|it| **it != name && parse_dropped(it).is_some()) {
        files.remove(marker)?;
    }
    Ok(())
}

/// Removes segments: first from everybody's sight, then from the disk. What fails is tried again in the next round.
fn remove(shared: &Shared, segments: Vec<Arc<SealedSegment>>) -> io::Result<()> {
    let unremoved = &mut *lock(&shared.unremoved);
    if !segments.is_empty() {
        shared.layout.change(|layout| layout.sealed.retain(|it| !segments.contains(it)));
        shared.counters.dropped_segments.fetch_add(segments.len() as u64, Ordering::Relaxed);
        for segment in &segments {
            shared.segments.forget(segment.name);
        }
        unremoved.extend(segments);
    }
    if unremoved.is_empty() {
        return Ok(());
    }
    remove_files(&*shared.files, unremoved)?;
    unremoved.clear();
    Ok(())
}

fn remove_files(files: &dyn Files, segments: &[Arc<SealedSegment>]) -> io::Result<()> {
    for segment in segments {
        remove_if_there(files, &segment.files()[0])?;
    }
    files.sync_directory()?;
    // Durably behind the records: an index without them means nothing, they without it would be damaged.
    let indexes = || segments.iter().filter(|it| it.records_bytes.is_some());
    for segment in indexes() {
        remove_if_there(files, &segment.name.index())?;
    }
    if indexes().next().is_some() { files.sync_directory() } else { Ok(()) }
}

/// Removes a file that an attempt before may have removed already.
fn remove_if_there(files: &dyn Files, name: &str) -> io::Result<()> {
    match files.remove(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
