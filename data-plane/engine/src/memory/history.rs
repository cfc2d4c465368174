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
            bytes: Vec::new(),
            index: FooterBuilder::new(),
            options,
        }
    }

    pub(super) fn add(&mut self, batch: &CommittedBatch) {
        for (index, record) in (0..).zip(batch.batch.records()) {
            let record = record.expect("a batch in memory is what was appended to it");
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
        }
    }

    fn with_view<T>(&self, ask: impl FnOnce(&View<'_>) -> T) -> T {
        let live = Source { index: Index::Live(&self.index), bytes: &self.bytes };
        let sealed = self.sealed.iter();
        let sealed = sealed.map(|(bytes, footer)| Source { index: Index::Sealed(footer), bytes });
        let sources: Vec<_> = sealed.chain([live]).collect();
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
