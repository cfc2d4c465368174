//! Which segments there are now: an immutable list that is replaced as a whole, so that a query sees one state of it
//! from beginning to end while segments are closed, sealed and dropped beside it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use contract::time::UnixMillis;

use crate::damage::Damage;
use crate::files::Reading;
use crate::index::TailIndex;
use crate::journal::name::SegmentName;
use crate::journal::segment::SEGMENT_HEADER;
use crate::sealed::SealedName;

/// How far apart the marks of a segment are.
const MARK_BYTES: u64 = 256 * 1024;

/// The segments, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// The last one is being written.
    pub(crate) journal: Vec<Arc<JournalSegment>>,
    pub(crate) sealed: Vec<Arc<SealedSegment>>,
    /// What is known to be lost, in the journal and in what was put aside.
    pub(crate) damage: Vec<Damage>,
}

/// A journal segment. It is written by the log's thread and read by anyone up to [`JournalSegment::end`].
#[derive(Debug)]
pub(crate) struct JournalSegment {
    pub(crate) name: SegmentName,
    /// Open as long as someone looks at it, so that it can be read to its end when it was removed meanwhile.
    pub(crate) file: Arc<dyn Reading>,
    /// When its first record was written; `u64::MAX` while there is none.
    begun_at: AtomicU64,
    /// The bytes that are committed.
    end: AtomicU64,
    /// The record behind the last committed one.
    next: AtomicU64,
    /// Records and where they begin, some hundred KiB apart.
    marks: Mutex<Vec<(u64, u64)>>,
    /// Which messages it holds, as far as someone has read it.
    pub(crate) index: RwLock<TailIndex>,
}

/// A sealed segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SealedSegment {
    pub(crate) name: SealedName,
    /// Of all its files.
    pub(crate) bytes: u64,
    /// Where it was sealed in place: how much of it is the file of the records. Its index is a file of its own then.
    pub(crate) records_bytes: Option<u64>,
}

impl SealedSegment {
    /// Its files, those of messages first.
    pub(crate) fn files(&self) -> Vec<String> {
        match self.records_bytes {
            None => vec![self.name.to_string()],
            Some(_) => vec![self.name.records(), self.name.index()],
        }
    }
}

impl Layout {
    /// How many places whoever reads the segment's records meets that are known to be damaged. A damaged header and
    /// records that are missing without a trace are known too, but are no places among the records.
    pub(crate) fn known_damage(&self, segment: &JournalSegment) -> u64 {
        let (name, end) = (segment.name.to_string(), segment.end());
        let is_met = |it: &&Damage| {
            it.bytes > 0 && it.offset < end && it.offset.saturating_add(it.bytes) > SEGMENT_HEADER as u64
        };
        self.damage.iter().filter(|it| it.segment == name).filter(is_met).count() as u64
    }

    /// Whether these bytes of the segment are known to be damaged.
    pub(crate) fn is_known_damage(&self, segment: &JournalSegment, offset: u64, bytes: u64) -> bool {
        let name = segment.name.to_string();
        let end = offset.saturating_add(bytes);
        let holds = |it: &Damage| it.offset <= offset && end <= it.offset.saturating_add(it.bytes);
        self.damage.iter().any(|it| it.segment == name && holds(it))
    }
}

impl JournalSegment {
    pub(crate) fn new(
        name: SegmentName,
        file: Arc<dyn Reading>,
        begun_at: Option<UnixMillis>,
        (end, next): (u64, u64),
        marks: Vec<(u64, u64)>,
    ) -> Self {
        Self {
            name,
            file,
            begun_at: AtomicU64::new(begun_at.map_or(u64::MAX, |it| it.0)),
            end: AtomicU64::new(end),
            next: AtomicU64::new(next),
            marks: Mutex::new(marks),
            index: RwLock::default(),
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// When its first record was written; none while it has no record.
    pub(crate) fn begun_at(&self) -> Option<UnixMillis> {
        Some(UnixMillis(self.begun_at.load(Ordering::Relaxed))).filter(|it| it.0 != u64::MAX)
    }

    /// Everything before this is committed.
    pub(crate) fn commit(&self, end: u64, next: u64, at: UnixMillis) {
        self.begun_at.fetch_min(at.0, Ordering::Relaxed);
        let (from, record) = (self.end(), self.next());
        let mut marks = self.marks();
        if marks.last().is_none_or(|(_, at)| from - at >= MARK_BYTES) {
            marks.push((record, from));
        }
        drop(marks);
        self.end.store(end, Ordering::Release);
        self.next.store(next, Ordering::Release);
    }

    /// Numbers before this are spent, whatever became of their records.
    pub(crate) fn spend_to(&self, next: u64) {
        self.next.fetch_max(next, Ordering::AcqRel);
    }

    /// A place at or before the beginning of this record, and the record there or the one behind it.
    pub(crate) fn mark_before(&self, record: u64) -> (u64, u64) {
        let marks = self.marks();
        let behind = marks.partition_point(|(it, _)| *it <= record);
        match behind.checked_sub(1).and_then(|it| marks.get(it)) {
            Some(mark) => *mark,
            None => (self.name.first, SEGMENT_HEADER as u64),
        }
    }

    fn marks(&self) -> MutexGuard<'_, Vec<(u64, u64)>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks for records that are met in order.
pub(crate) fn mark(marks: &mut Vec<(u64, u64)>, record: u64, offset: u64) {
    if marks.last().is_none_or(|(_, at)| offset - at >= MARK_BYTES) {
        marks.push((record, offset));
    }
}

/// The layout that is current.
#[derive(Debug)]
pub(crate) struct Current(RwLock<Arc<Layout>>);

impl Current {
    pub(crate) fn new(layout: Layout) -> Self {
        Self(RwLock::new(Arc::new(layout)))
    }

    pub(crate) fn load(&self) -> Arc<Layout> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the layout in one step.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Layout)) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut layout = Layout::clone(&current);
        change(&mut layout);
        *current = Arc::new(layout);
    }
}
