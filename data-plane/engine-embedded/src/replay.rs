//! `Replay` over the journal and the sealed segments: one journal segment, or what was made of one, at a time, in the
//! order of positions. So a page opens what it needs, and no more.

use std::io;
use std::sync::Arc;

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::view::retained::{Seek, Walk, retained};
use engine::view::{self, Source};
use engine::{Backlog, Document, Key, Pos, QueryError, Replay, ReplayPage, ReplayQuery, RetainedPage};

use crate::damage::Damage;
use crate::documents::store::Store;
use crate::layout::{JournalSegment, Layout, SealedSegment};
use crate::queue::Phase;
use crate::shared::{Shared, lock};

/// The most journal segments, or what was made of one, that one page looks at.
const PARTS_PER_PAGE_MAX: usize = 64;

impl Replay for Shared {
    fn replay(&self, instance: InstanceId, query: &ReplayQuery<'_>) -> Result<ReplayPage, QueryError> {
        let range = self.range(query)?;
        let mut page = ReplayPage { messages: Vec::new(), next: query.from, lost: false };
        let mut is_at_end = true;
        for part in range.parts.iter().take(PARTS_PER_PAGE_MAX) {
            let query = ReplayQuery { to: part.end(range.query.to), ..range.query };
            let mut is_damaged = false;
            is_at_end = self.look_at(&range, part, &mut is_damaged, |sources| {
                view::replay(sources, instance, &query, &mut page)
            })?;
            page.lost |= is_damaged;
            if !is_at_end {
                break;
            }
        }
        if is_at_end && range.parts.len() <= PARTS_PER_PAGE_MAX {
            page.next = range.query.to.max(query.from);
        }
        page.lost |= self.has_dropped(query) || range.is_damaged_before(page.next);
        Ok(page)
    }

    fn backlog(&self, instance: InstanceId, query: &ReplayQuery<'_>) -> Result<Backlog, QueryError> {
        let range = self.range(query)?;
        let mut all = Backlog { messages: 0, bytes: 0, lost: range.is_damaged_before(range.query.to) };
        for part in &range.parts {
            let found = self.look_at(&range, part, &mut all.lost, |sources| {
                view::backlog(sources, instance, &range.query)
            })?;
            all.messages += found.messages;
            all.bytes += found.bytes;
            all.lost |= found.lost;
        }
        all.lost |= self.has_dropped(query);
        Ok(all)
    }

    fn newest(
        &self,
        instance: InstanceId,
        query: &ReplayQuery<'_>,
        mut messages: u64,
        mut bytes: u64,
    ) -> Result<Pos, QueryError> {
        let range = self.range(query)?;
        for part in range.parts.iter().rev() {
            let behind = self.look_at(&range, part, &mut false, |sources| {
                view::newest(sources, instance, &range.query, &mut messages, &mut bytes)
            })?;
            if let Some(behind) = behind {
                return Ok(behind);
            }
        }
        Ok(query.from)
    }

    fn position_at(&self, instance: InstanceId, time: UnixMillis) -> Result<Pos, QueryError> {
        let everything = ReplayQuery {
            filters: &[],
            from: Pos::START,
            to: Pos::of_record(u64::MAX),
            qos_min: contract::qos::Qos::AtMostOnce,
            history_only: false,
            stored_since: time,
            messages_max: 0,
            bytes_max: 0,
        };
        let range = self.range(&everything)?;
        for part in &range.parts {
            let found =
                self.look_at(&range, part, &mut false, |sources| view::position_at(sources, instance, time))?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Ok(range.query.to)
    }

    fn retained(
        &self,
        instance: InstanceId,
        filter: &TopicFilter,
        after: Option<&str>,
        now: UnixMillis,
        limit: usize,
    ) -> Result<RetainedPage, QueryError> {
        retained(&self.store, instance, filter, after, now, limit)
    }
}

/// What of the log a query is about, in one state of its segments.
struct Range<'a> {
    /// Ends at the head at the latest.
    query: ReplayQuery<'a>,
    layout: Arc<Layout>,
    parts: Vec<Part>,
}

/// What stands between two records: a journal segment, or the sealed ones that were made of one.
struct Part {
    /// Behind its last record; none for the segment that is being written, which has all that comes.
    next: Option<u64>,
    kind: PartKind,
}

enum PartKind {
    Sealed(Vec<Arc<SealedSegment>>),
    Journal(Arc<JournalSegment>),
}

impl Part {
    /// Where of a range that ends at `to` the part ends.
    fn end(&self, to: Pos) -> Pos {
        self.next.map_or(to, |next| to.min(Pos::of_record(next)))
    }
}

impl Range<'_> {
    /// Whether records are known to be lost between the beginning of the range and `next`.
    fn is_damaged_before(&self, next: Pos) -> bool {
        let behind = if next.index == 0 { next.record } else { next.record.saturating_add(1) };
        let begin = self.query.from.record;
        let touches = |it: &Damage| it.first < it.next && it.first < behind && it.next > begin;
        self.query.from < next && self.layout.damage.iter().any(touches)
    }
}

impl Shared {
    fn range<'a>(&self, query: &ReplayQuery<'a>) -> Result<Range<'a>, QueryError> {
        if self.queue.phase() == Phase::Stopped {
            return Err(QueryError::Stopped);
        }
        let layout = self.layout.load();
        let head = self.bounds_of(&layout).head;
        let query = ReplayQuery { to: query.to.min(head), ..*query };
        let is_of_range =
            |first: u64, next: u64| next > query.from.record && Pos::of_record(first) < query.to;
        let mut parts: Vec<Part> = Vec::new();
        let sealed = layout.sealed.iter().filter(|it| is_of_range(it.name.first, it.name.next));
        let mut last = None;
        for segment in sealed.filter(|it| it.name.times.1 >= query.stored_since) {
            // The classes of one journal segment have their positions mixed.
            match parts.last_mut() {
                Some(Part { kind: PartKind::Sealed(classes), .. }) if last == Some(segment.name.first) => {
                    classes.push(Arc::clone(segment));
                }
                _ => parts.push(Part {
                    next: Some(segment.name.next),
                    kind: PartKind::Sealed(vec![Arc::clone(segment)]),
                }),
            }
            last = Some(segment.name.first);
        }
        let newest = layout.journal.len().saturating_sub(1);
        for (number, segment) in layout.journal.iter().enumerate() {
            if is_of_range(segment.name.first, segment.next()) {
                let next = (number < newest).then(|| segment.next());
                parts.push(Part { next, kind: PartKind::Journal(Arc::clone(segment)) });
            }
        }
        Ok(Range { query, layout, parts })
    }

    /// Whether what may have stood in the range was dropped. To be asked behind the last look at its segments: those that
    /// are dropped meanwhile are passed over there, and are known here before they go.
    fn has_dropped(&self, query: &ReplayQuery<'_>) -> bool {
        let dropped = *lock(&self.dropped);
        query.from.record < dropped.record && query.stored_since < dropped.before
    }

    /// Lets `ask` look at the segments of a part; `lost` when some of it cannot be read.
    fn look_at<T>(
        &self,
        range: &Range<'_>,
        part: &Part,
        lost: &mut bool,
        ask: impl FnOnce(&[Source<'_>]) -> T,
    ) -> Result<T, QueryError> {
        let (sealed, journal) = match &part.kind {
            PartKind::Sealed(segments) => (segments.as_slice(), None),
            PartKind::Journal(segment) => (&[][..], Some(segment)),
        };
        self.look(&range.layout, sealed.iter(), journal.into_iter(), true, |view| {
            *lost |= !view.whole;
            ask(view.sources)
        })
    }
}

impl Seek for Store {
    fn walk(&self, instance: InstanceId, walk: &mut dyn Walk) -> Result<(), QueryError> {
        self.walk_retained(instance, walk).map_err(unread)
    }

    fn document(&self, instance: InstanceId, key: &Key) -> Result<Option<Document>, QueryError> {
        self.get(instance, key.as_bytes()).map_err(unread)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what errors are mapped with")]
fn unread(error: io::Error) -> QueryError {
    if error.kind() == io::ErrorKind::NotConnected {
        return QueryError::Stopped;
    }
    tracing::error!(%error, "the retained messages cannot be read");
    QueryError::Failed
}
