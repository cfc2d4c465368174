//! The last two hours of every instance's metrics, in memory: what nodes have told and the database may not have yet.
//!
//! The ring is fed by the nodes' reports and once, when the process begins, by what the database has. It never asks what
//! time it is: whoever reads says `now`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::{InstanceId, NodeId};
use contract::metrics::{Metric, MetricsReport};
use uuid::Uuid;

use super::chunk::{self, Chunk, SECONDS, SLOT_SECS_CODE, SeriesKey, Source};
use super::reading::{self, Asked, NodeProgress};

/// How many minutes the ring holds.
pub const RING_MINUTES: u64 = 120;
/// The most instances of one minute; who is beyond them is not counted.
pub const RING_INSTANCES_MAX: usize = 200_000;
/// The most memory for chunks; beyond it the oldest minutes go first.
pub const RING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a row takes beside its chunk.
const ROW_BYTES: usize = 96;
/// A slot that begins later than this after the controller's now is of a clock that is wrong, and is not taken.
const AHEAD_SECS_MAX: u64 = 60;
/// The most nodes that are kept in mind.
const NODES_MAX: usize = 10_000;

/// The platform's own row: no instance has this id.
pub(crate) const PLATFORM: InstanceId = InstanceId(Uuid::nil());

/// What an alarm rule asks of the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The newest value of a gauge; the sum of a counter over the window.
    pub value: u64,
    /// Whether every node that should have told of the window has told of all of it. If not, the value is of what was
    /// told: a counter's is the least that it can be.
    pub is_complete: bool,
    /// Where the window ends: the newest moment of which every reachable node has told.
    pub until: DateTime<Utc>,
}

/// A chunk that the database has not, as it was when it was taken from the ring.
#[derive(Clone, Debug)]
pub(crate) struct Unwritten {
    pub(crate) instance: InstanceId,
    pub(crate) chunk: Arc<[u8]>,
}

/// A chunk as the database has it.
pub(crate) struct Kept {
    pub(crate) minute: u64,
    pub(crate) instance: InstanceId,
    /// Bytes that have been read as a chunk before.
    pub(crate) chunk: Arc<[u8]>,
}

struct Row {
    chunk: Arc<[u8]>,
    /// The database has not got all of it.
    is_dirty: bool,
}

#[derive(Default)]
struct Minute {
    rows: HashMap<InstanceId, Row>,
    /// An instance has found no room.
    is_full: bool,
}

#[derive(Default)]
struct Held {
    /// By the number of the minute since 1970.
    minutes: BTreeMap<u64, Minute>,
    bytes: usize,
    /// The minutes before this one have been let go.
    oldest: u64,
    nodes: BTreeMap<NodeId, NodeProgress>,
}

/// The last two hours of every instance's metrics.
pub struct Ring {
    held: Mutex<Held>,
    instances_max: usize,
    bytes_max: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self::bounded(RING_INSTANCES_MAX, RING_BYTES_MAX)
    }
}

impl Ring {
    pub(crate) fn bounded(instances_max: usize, bytes_max: usize) -> Self {
        Self { held: Mutex::default(), instances_max, bytes_max }
    }

    /// Takes what a node tells. What it has told before changes nothing.
    pub fn take(&self, node: NodeId, reports: &[MetricsReport], now: DateTime<Utc>) {
        let now = unix_secs(now);
        let mut held = self.lock();
        for report in reports {
            self.take_report(&mut held, node, report, now);
        }
        held.keep_to(now / u64::from(SECONDS), self.bytes_max);
    }

    /// One metric of one instance over the window that ends with what is known at `now`. Without a `reason` a metric
    /// that is told apart by reasons counts for all of them. None: no node has told of any of it.
    #[must_use]
    pub fn read(
        &self,
        instance: InstanceId,
        metric: &Metric,
        reason: Option<&str>,
        window: TimeDelta,
        now: DateTime<Utc>,
    ) -> Option<Reading> {
        let now = unix_secs(now);
        let held = self.lock();
        let nodes: Vec<NodeProgress> = held.nodes.values().copied().collect();
        let until = reading::until(&nodes, now)?;
        let from = until.saturating_sub(window.num_seconds().unsigned_abs());
        let (told, chunks) = (held.chunks(PLATFORM, from, until), held.chunks(instance, from, until));
        drop(held);
        reading::read(&Asked { metric, reason, from, until, now }, &nodes, &told, &chunks)
    }

    /// The nodes that have told of metrics lately.
    pub(crate) fn nodes_heard(&self, now: DateTime<Utc>) -> BTreeSet<NodeId> {
        let now = unix_secs(now);
        self.lock().nodes.iter().filter(|(_, node)| !node.is_lost(now)).map(|(id, _)| *id).collect()
    }

    /// Takes what the database has; answers how many rows. What is told of at all is in the platform's rows: they come
    /// last, so that nothing is believed to be 0 that has not been read.
    pub(crate) fn refill(&self, rows: Vec<Kept>, now: DateTime<Utc>) -> u64 {
        let mut held = self.lock();
        let mut taken = 0;
        for row in rows {
            taken += u64::from(self.refill_row(&mut held, row));
        }
        held.keep_to(unix_secs(now) / u64::from(SECONDS), self.bytes_max);
        taken
    }

    /// The chunks of an instance in which slots from one second to before another may be, by their minutes.
    pub(crate) fn chunks(&self, instance: InstanceId, from: u64, to: u64) -> Vec<(u64, Chunk)> {
        self.lock().chunks(instance, from, to)
    }

    /// The minutes of which the database has not everything, oldest first.
    pub(crate) fn dirty_minutes(&self) -> Vec<u64> {
        let held = self.lock();
        let is_dirty = |minute: &Minute| minute.rows.values().any(|row| row.is_dirty);
        held.minutes.iter().filter(|(_, minute)| is_dirty(minute)).map(|(number, _)| *number).collect()
    }

    /// What the database has not of one minute, in the order of the instances.
    pub(crate) fn dirty(&self, minute: u64) -> Vec<Unwritten> {
        let held = self.lock();
        let Some(minute) = held.minutes.get(&minute) else { return Vec::new() };
        let dirty = minute.rows.iter().filter(|(_, row)| row.is_dirty);
        let mut dirty: Vec<Unwritten> = dirty
            .map(|(instance, row)| Unwritten { instance: *instance, chunk: Arc::clone(&row.chunk) })
            .collect();
        dirty.sort_unstable_by_key(|row| row.instance);
        dirty
    }

    /// The database has got these; what has come meanwhile it has not.
    pub(crate) fn written(&self, minute: u64, written: &[Unwritten]) {
        let mut held = self.lock();
        let Some(minute) = held.minutes.get_mut(&minute) else { return };
        for it in written {
            if let Some(row) = minute.rows.get_mut(&it.instance)
                && Arc::ptr_eq(&row.chunk, &it.chunk)
            {
                row.is_dirty = false;
            }
        }
    }

    fn take_report(&self, held: &mut Held, node: NodeId, report: &MetricsReport, now: u64) {
        let (begin, secs) = (report.slot.secs(), report.slot_millis / 1_000);
        let lasts = u64::from(SECONDS);
        let is_slot = secs > 0
            && lasts.is_multiple_of(secs)
            && report.slot_millis.is_multiple_of(1_000)
            && report.slot.0.is_multiple_of(report.slot_millis);
        let oldest = (now / lasts).saturating_sub(RING_MINUTES - 1);
        if !is_slot || begin > now + AHEAD_SECS_MAX || begin / lasts < oldest {
            tracing::warn!(node.id = %node, slot = begin, secs, now, "a slot of metrics is out of time and not taken");
            return;
        }
        let source = Source::new(node, report.boot);
        let number = begin / lasts;
        let second = u8::try_from(begin % lasts).unwrap_or(0);
        for (instance, sample) in &report.instances {
            let values = chunk::values_of(sample);
            // No instance has the platform's id.
            if *instance != PLATFORM && !values.is_empty() {
                self.add(held, number, *instance, (source, second), values);
            }
        }
        if report.more {
            return;
        }
        let told = SeriesKey { code: SLOT_SECS_CODE, reason: Box::default() };
        let refused = chunk::by_reason("refused", &report.refused_before_instance);
        self.add(held, number, PLATFORM, (source, second), [(told, secs)].into_iter().chain(refused));
        let heard = NodeProgress { source, told_until: begin + secs, heard_at: now };
        match held.nodes.entry(node) {
            Entry::Occupied(mut known) => known.get_mut().hear(heard),
            Entry::Vacant(place) => {
                place.insert(heard);
            }
        }
    }

    fn add(
        &self,
        held: &mut Held,
        number: u64,
        instance: InstanceId,
        (source, second): (Source, u8),
        values: impl IntoIterator<Item = (SeriesKey, u64)>,
    ) {
        let minute = held.minutes.entry(number).or_default();
        if !self.has_room(number, minute, instance) {
            return;
        }
        let mut chunk = minute.rows.get(&instance).map(|row| decoded(&row.chunk)).unwrap_or_default();
        if chunk.add(source, second, values) {
            held.put(number, instance, Row { chunk: chunk.encode().into(), is_dirty: true });
        }
    }

    /// Whether it was taken: not if the ring has it all, or has let go of the minute.
    fn refill_row(&self, held: &mut Held, kept: Kept) -> bool {
        let Kept { minute: number, instance, chunk } = kept;
        if number < held.oldest {
            return false;
        }
        let minute = held.minutes.entry(number).or_default();
        if !self.has_room(number, minute, instance) {
            return false;
        }
        let row = match minute.rows.get(&instance) {
            None => Row { chunk, is_dirty: false },
            Some(heard) => {
                let mut both = decoded(&heard.chunk);
                if !both.merge(&decoded(&chunk)) {
                    return false;
                }
                Row { chunk: both.encode().into(), is_dirty: heard.is_dirty }
            }
        };
        held.put(number, instance, row);
        true
    }

    /// Whether the minute has the instance or can take it.
    fn has_room(&self, number: u64, minute: &mut Minute, instance: InstanceId) -> bool {
        let has = instance == PLATFORM
            || minute.rows.len() < self.instances_max
            || minute.rows.contains_key(&instance);
        if !has && !std::mem::replace(&mut minute.is_full, true) {
            let instances_max = self.instances_max;
            tracing::warn!(minute = number, instances_max, "metrics of further instances are not counted");
        }
        has
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn chunks(&self, instance: InstanceId, from: u64, to: u64) -> Vec<(u64, Chunk)> {
        let lasts = u64::from(SECONDS);
        if from >= to {
            return Vec::new();
        }
        let minutes = self.minutes.range(from / lasts..to.div_ceil(lasts));
        minutes
            .filter_map(|(number, minute)| Some((*number, decoded(&minute.rows.get(&instance)?.chunk))))
            .collect()
    }

    fn put(&mut self, number: u64, instance: InstanceId, row: Row) {
        self.bytes += row.chunk.len() + ROW_BYTES;
        if let Some(before) = self.minutes.entry(number).or_default().rows.insert(instance, row) {
            self.bytes -= before.chunk.len() + ROW_BYTES;
        }
    }

    /// Lets go of what is too old or too much.
    fn keep_to(&mut self, minute_now: u64, bytes_max: usize) {
        while let Some(oldest) = self.minutes.first_entry() {
            let is_old = *oldest.key() + RING_MINUTES <= minute_now;
            if !is_old && self.bytes <= bytes_max {
                break;
            }
            let minute = *oldest.key();
            let rows = oldest.remove().rows;
            self.oldest = self.oldest.max(minute + 1);
            let unwritten = rows.values().filter(|row| row.is_dirty).count();
            self.bytes -= rows.values().map(|row| row.chunk.len() + ROW_BYTES).sum::<usize>();
            if unwritten > 0 {
                tracing::warn!(minute, unwritten, "metrics are forgotten that the database has not");
            }
        }
        let now = minute_now * u64::from(SECONDS);
        self.nodes.retain(|_, node| node.is_kept(now));
        while self.nodes.len() > NODES_MAX {
            self.nodes.pop_first();
        }
    }
}

/// A chunk that this process has made itself.
fn decoded(bytes: &[u8]) -> Chunk {
    Chunk::decode(bytes).unwrap_or_else(|error| {
        tracing::error!(error = ?error, "a chunk of metrics in memory cannot be read");
        Chunk::default()
    })
}

/// Whole seconds since 1970.
pub(crate) fn unix_secs(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
