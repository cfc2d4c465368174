//! The history in memory: segments of records, sealed as those on a disk are.

use std::collections::VecDeque;

use contract::ids::InstanceId;
use contract::message::{MessageId, MessagesAnswer};
use contract::time::UnixMillis;

use super::log::SHARD;
use super::{Memory, MemoryOptions, lock};
use crate::view::{AddError, Footer, FooterBuilder, Index, Source, View, get, query};
use crate::{CommittedBatch, FoundMessage, History, HistoryQuery, HistoryRules, Pos, QueryError, Record};

/// The messages that were committed, the oldest dropped by whole segments.
pub(super) struct Segments {
    sealed: VecDeque<(Vec<u8>, Footer)>,
    sealed_bytes: usize,
    dropped_before: UnixMillis,
    /// Messages before this position may have been dropped.
    gone_before: Pos,
    /// The segment that grows.
    bytes: Vec<u8>,
    index: FooterBuilder,
    options: MemoryOptions,
}

impl Segments {
    pub(super) fn new(options: MemoryOptions) -> Self {
        Self {
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            dropped_before: UnixMillis(0),
            gone_before: Pos::START,
            bytes: Vec::new(),
            index: FooterBuilder::new(),
            options,
        }
    }

    pub(super) fn add(&mut self, batch: &CommittedBatch) {
        for (index, record) in (0..).zip(batch.batch.records()) {
            let record = record.expect("a batch in memory is what was appended to it");
            if record.envelope.retention.is_none() {
                continue;
            }
            let pos = Pos { record: batch.record, index };
            if self.bytes.len() >= self.options.segment_bytes || self.try_add(pos, &record).is_err() {
                self.seal();
                self.try_add(pos, &record).expect("an empty segment has room for a message");
            }
            self.bytes.extend_from_slice(record.bytes);
        }
    }

    fn try_add(&mut self, pos: Pos, record: &Record<'_>) -> Result<(), AddError> {
        self.index.add(pos, self.bytes.len() as u64, record)
    }

    fn seal(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.extend(std::mem::take(&mut self.index).finish());
        let footer = Footer::parse(&bytes).expect("a footer that was just written");
        self.sealed_bytes += bytes.len();
        self.sealed.push_back((bytes, footer));
        while self.sealed_bytes > self.options.stored_bytes_max
            && let Some((bytes, footer)) = self.sealed.pop_front()
        {
            self.sealed_bytes -= bytes.len();
            let latest = footer.times().map_or(0, |(_, latest)| latest.0 + 1);
            self.dropped_before = self.dropped_before.max(UnixMillis(latest));
            self.gone_before = footer.positions().map_or(self.gone_before, |(_, last)| last.successor());
        }
    }

    /// The segments, in the order of their positions.
    pub(super) fn sources(&self) -> Vec<Source<'_>> {
        let live = Source { index: Index::Live(&self.index), bytes: &self.bytes };
        let sealed = self.sealed.iter();
        let sealed = sealed.map(|(bytes, footer)| Source { index: Index::Sealed(footer), bytes });
        sealed.chain([live]).collect()
    }

    /// Those that end at or behind a position, each with where its last message stands; the one that grows has no end.
    pub(super) fn sources_behind(&self, from: Pos) -> impl Iterator<Item = (Source<'_>, Option<Pos>)> {
        let lasts = self.sealed.iter().map(|(_, footer)| footer.positions().map(|(_, last)| last));
        let sources = self.sources().into_iter().zip(lasts.chain([None]));
        sources.filter(move |(_, last)| last.is_none_or(|last| last >= from))
    }

    /// Whether some of what stands from there on, stored at `since` or later, may have been dropped.
    pub(super) fn has_lost(&self, from: Pos, since: UnixMillis) -> bool {
        from < self.gone_before && since < self.dropped_before
    }

    fn with_view<T>(&self, ask: impl FnOnce(&View<'_>) -> T) -> T {
        let sources = self.sources();
        ask(&View { shard: SHARD, sources: &sources, dropped_before: self.dropped_before, whole: true })
    }
}

impl History for Memory {
    fn query(
        &self,
        instance: InstanceId,
        wanted: &HistoryQuery,
        rules: &HistoryRules,
    ) -> Result<MessagesAnswer, QueryError> {
        let kept = lock(&self.log.shared.kept);
        Ok(kept.segments.with_view(|view| query(view, instance, wanted, rules)))
    }

    fn get(
        &self,
        instance: InstanceId,
        id: MessageId,
        rules: &HistoryRules,
    ) -> Result<FoundMessage, QueryError> {
        let kept = lock(&self.log.shared.kept);
        Ok(kept.segments.with_view(|view| get(view, instance, id, rules)))
    }
}
