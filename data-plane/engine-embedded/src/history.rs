//! `History` over the journal and the sealed segments. One state of the layout is looked at from beginning to end, so
//! that no message is missed or met twice while segments are sealed beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contract::ids::InstanceId;
use contract::message::{MessageId, MessagesAnswer, Order};
use engine::view::{self, Index, Source, View};
use engine::{FoundMessage, History, HistoryQuery, HistoryRules, Pos, QueryError, Shard};
use nix::errno::Errno;

use crate::layout::{JournalSegment, Layout, SealedSegment};
use crate::queue::Phase;
use crate::segments::{OpenFailed, Opened};
use crate::shared::{Shared, lock};

/// The most sealed segments that one query looks at: each that is looked at is an open file.
pub(crate) const SEGMENTS_PER_QUERY_MAX: usize = 256;

/// The one shard.
pub(crate) const SHARD: Shard = Shard(0);

impl History for Shared {
    fn query(
        &self,
        instance: InstanceId,
        query: &HistoryQuery,
        rules: &HistoryRules,
    ) -> Result<MessagesAnswer, QueryError> {
        let _turn = Turn::take(self)?;
        let layout = self.layout.load();
        let counts_bytes = rules.topics.values().any(|it| it.retention_bytes.is_some());
        // How many bytes of a topic are shown is counted from the newest: only what is older may be left out then.
        let wanted = |segment: &&Arc<SealedSegment>| {
            let (earliest, latest) = segment.name.times;
            latest >= query.from && (counts_bytes || earliest < query.to)
        };
        let mut sealed: Vec<_> = layout.sealed.iter().filter(wanted).collect();
        let rest = if counts_bytes { None } else { limit(&mut sealed, query) };
        // The journal comes behind all that is sealed.
        let journal = layout.journal.iter().filter(|_| rest.is_none() || query.order == Order::Newest);
        let whole = !layout.damage.iter().any(|it| it.touches(query.from, query.to));
        let mut answer = self.look(&layout, sealed.into_iter(), journal, whole, |view| {
            view::query(view, instance, query, rules)
        })?;
        answer.next = answer.next.or(rest.map(|it| it.message_id(SHARD)));
        Ok(answer)
    }

    fn get(
        &self,
        instance: InstanceId,
        id: MessageId,
        rules: &HistoryRules,
    ) -> Result<FoundMessage, QueryError> {
        let _turn = Turn::take(self)?;
        let layout = self.layout.load();
        let counts_bytes = rules.topics.values().any(|it| it.retention_bytes.is_some());
        let wanted = |first: u64, next: u64| id.record < next && (counts_bytes || first <= id.record);
        let sealed = layout.sealed.iter().filter(|it| wanted(it.name.first, it.name.next));
        let journal = layout.journal.iter().filter(|it| wanted(it.name.first, it.next()));
        let whole = !layout.damage.iter().any(|it| (it.first..it.next).contains(&id.record));
        self.look(&layout, sealed, journal, whole, |view| view::get(view, instance, id, rules))
    }
}

/// Leaves the segments that the query comes to first, so many as one call may look at, and says behind which position
/// the others come.
fn limit(sealed: &mut Vec<&Arc<SealedSegment>>, query: &HistoryQuery) -> Option<Pos> {
    let after = query.after.filter(|it| it.shard == SHARD.0);
    sealed.retain(|it| {
        after.is_none_or(|after| match query.order {
            Order::Newest => it.name.first <= after.record,
            Order::Oldest => it.name.next > after.record,
        })
    });
    sealed.sort_by_key(|it| it.name.first);
    if query.order == Order::Newest {
        sealed.reverse();
    }
    // The classes of one journal segment have their positions mixed: all of them are looked at, or none.
    let cut = sealed.get(SEGMENTS_PER_QUERY_MAX)?.name.first;
    sealed.truncate(SEGMENTS_PER_QUERY_MAX);
    sealed.retain(|it| it.name.first != cut);
    Some(match query.order {
        Order::Newest => Pos::of_record(sealed.last()?.name.first),
        Order::Oldest => Pos { record: cut.saturating_sub(1), index: u16::MAX },
    })
}

impl Shared {
    /// Opens the segments and lets `ask` look at them; `whole` when nothing is known to be lost there.
    pub(crate) fn look<'a, T>(
        &self,
        layout: &Layout,
        sealed: impl Iterator<Item = &'a Arc<SealedSegment>>,
        journal: impl Iterator<Item = &'a Arc<JournalSegment>>,
        mut whole: bool,
        ask: impl FnOnce(&View<'_>) -> T,
    ) -> Result<T, QueryError> {
        self.asked_at.fetch_max(self.now().0, Ordering::Relaxed);
        let opened = self.open_all(sealed, &mut whole)?;
        let journal: Vec<_> = journal.collect();
        let indexes: Vec<_> = journal.iter().map(|it| it.indexed()).collect();
        for (segment, index) in journal.iter().zip(&indexes) {
            // More than is known must be new.
            whole &= index.unreadable <= layout.known_damage(segment);
        }
        let blocks = self.segments.blocks();
        let files: Vec<_> = opened.iter().map(|it| it.kept_bytes(blocks)).collect();
        let tails: Vec<_> = journal.iter().map(|it| it.kept_bytes(blocks)).collect();
        let sealed = opened.iter().zip(&files).map(|(it, bytes)| (Index::Sealed(&it.footer), bytes));
        let live = indexes.iter().zip(&tails).map(|(it, bytes)| (Index::Live(&it.builder), bytes));
        let sources: Vec<_> = sealed.chain(live).map(|(index, bytes)| Source { index, bytes }).collect();
        let dropped_before = lock(&self.dropped).before;
        Ok(ask(&View { shard: SHARD, sources: &sources, dropped_before, whole }))
    }

    fn open_all<'a>(
        &self,
        sealed: impl Iterator<Item = &'a Arc<SealedSegment>>,
        whole: &mut bool,
    ) -> Result<Vec<Arc<Opened>>, QueryError> {
        let mut opened = Vec::new();
        for segment in sealed {
            match self.segments.open(&*self.files, segment) {
                Ok(segment) => opened.push(segment),
                Err(OpenFailed::File(error)) if is_out_of_files(&error) => {
                    tracing::error!(%error, "a query cannot open the stored messages");
                    return Err(QueryError::Failed);
                }
                // Dropped since the layout was looked at.
                Err(_) if !self.layout.load().sealed.contains(segment) => {}
                Err(error) => {
                    *whole = false;
                    if self.segments.is_news(segment.name) {
                        tracing::error!(segment = %segment.name, %error, "a sealed segment cannot be read");
                        self.counters.damaged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        Ok(opened)
    }
}

/// Whether no file can be opened now, which says nothing of this one.
fn is_out_of_files(error: &std::io::Error) -> bool {
    error.raw_os_error().is_some_and(|it| [Errno::EMFILE as i32, Errno::ENFILE as i32].contains(&it))
}

/// The right to ask, given back when it is dropped.
struct Turn<'a>(&'a AtomicUsize);

impl<'a> Turn<'a> {
    fn take(shared: &'a Shared) -> Result<Self, QueryError> {
        if shared.queue.phase() == Phase::Stopped {
            return Err(QueryError::Stopped);
        }
        // Given back by the drop, also when there is none left.
        let turn = Self(&shared.queries);
        if turn.0.fetch_add(1, Ordering::AcqRel) >= shared.bounds.queries_max {
            return Err(QueryError::Busy);
        }
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
