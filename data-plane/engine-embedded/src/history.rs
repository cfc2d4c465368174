//! `History` over the journal and the sealed segments. One state of the layout is looked at from beginning to end, so
//! that no message is missed or met twice while segments are sealed beside it.

use std::io;
use std::sync::Arc;
use std::sync::RwLockReadGuard;
use std::sync::atomic::{AtomicUsize, Ordering};

use contract::ids::InstanceId;
use contract::message::{MessageId, MessagesAnswer, StoredMessage};
use contract::time::UnixMillis;
use engine::view::{self, Index, Source, View};
use engine::{History, HistoryQuery, HistoryRules, QueryError, Shard};

use crate::index::{Bytes, TailIndex};
use crate::layout::{JournalSegment, Layout, SealedSegment};
use crate::queue::Phase;
use crate::segments::Opened;
use crate::shared::Shared;

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
        let sealed = layout.sealed.iter().filter(wanted);
        self.look(&layout, sealed, layout.journal.iter(), (query.from, query.to), |view| {
            view::query(view, instance, query, rules)
        })
    }

    fn get(
        &self,
        instance: InstanceId,
        id: MessageId,
        rules: &HistoryRules,
    ) -> Result<Option<StoredMessage>, QueryError> {
        let _turn = Turn::take(self)?;
        let layout = self.layout.load();
        let counts_bytes = rules.topics.values().any(|it| it.retention_bytes.is_some());
        let wanted = |first: u64, next: u64| id.record < next && (counts_bytes || first <= id.record);
        let sealed = layout.sealed.iter().filter(|it| wanted(it.name.first, it.name.next));
        let journal = layout.journal.iter().filter(|it| wanted(it.name.first, it.next()));
        let always = (UnixMillis(0), UnixMillis(u64::MAX));
        self.look(&layout, sealed, journal, always, |view| view::get(view, instance, id, rules))
    }
}

impl Shared {
    /// Opens the segments and lets `ask` look at them.
    fn look<'a, T>(
        &self,
        layout: &Layout,
        sealed: impl Iterator<Item = &'a Arc<SealedSegment>>,
        journal: impl Iterator<Item = &'a Arc<JournalSegment>>,
        (from, to): (UnixMillis, UnixMillis),
        ask: impl FnOnce(&View<'_>) -> T,
    ) -> Result<T, QueryError> {
        let mut whole = !layout.damage.iter().any(|it| it.touches(from, to));
        let opened = self.open_all(sealed, &mut whole);
        let journal: Vec<_> = journal.collect();
        let indexes = index_all(&journal).map_err(|error| {
            tracing::error!(%error, "the journal cannot be read");
            QueryError::Failed
        })?;
        for (segment, index) in journal.iter().zip(&indexes) {
            // More than is known must be new.
            let known = layout.damage.iter().filter(|it| it.segment == segment.name.to_string()).count();
            whole &= index.unreadable <= known as u64;
        }
        let files = opened.iter().map(|it| Bytes(&*it.file)).collect::<Vec<_>>();
        let tails = journal.iter().map(|it| Bytes(&*it.file)).collect::<Vec<_>>();
        let sealed = opened.iter().zip(&files).map(|(it, bytes)| (Index::Sealed(&it.footer), bytes));
        let live = indexes.iter().zip(&tails).map(|(it, bytes)| (Index::Live(&it.builder), bytes));
        let sources: Vec<_> = sealed.chain(live).map(|(index, bytes)| Source { index, bytes }).collect();
        let dropped_before = UnixMillis(self.dropped_before.load(Ordering::Acquire));
        Ok(ask(&View { shard: SHARD, sources: &sources, dropped_before, whole }))
    }

    fn open_all<'a>(
        &self,
        sealed: impl Iterator<Item = &'a Arc<SealedSegment>>,
        whole: &mut bool,
    ) -> Vec<Arc<Opened>> {
        let mut opened = Vec::new();
        for segment in sealed {
            match self.segments.open(&*self.files, segment) {
                Ok(segment) => opened.push(segment),
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
        opened
    }
}

/// The indexes of the segments, brought up to date.
fn index_all<'a>(journal: &[&'a Arc<JournalSegment>]) -> io::Result<Vec<RwLockReadGuard<'a, TailIndex>>> {
    journal.iter().map(|it| it.indexed()).collect()
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
