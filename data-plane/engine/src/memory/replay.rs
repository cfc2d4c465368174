//! Replays of what is in memory, and its retained messages.

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::state::Documents;
use super::{Memory, lock};
use crate::view::retained::{Seek, Walk};
use crate::view::{self, Source};
use crate::{
    Backlog, Document, Key, Pos, QueryError, RETAINED_PREFIX, Replay, ReplayPage, ReplayQuery, RetainedPage,
};

impl Replay for Memory {
    fn replay(&self, instance: InstanceId, query: &ReplayQuery<'_>) -> Result<ReplayPage, QueryError> {
        let kept = lock(&self.log.shared.kept);
        let query = ReplayQuery { to: query.to.min(kept.bounds.head), ..*query };
        let lost = kept.segments.has_lost(query.from, query.stored_since);
        let mut page = ReplayPage { messages: Vec::new(), next: query.from, lost };
        // One after the other, so that a page looks at no more of them than it takes.
        for (source, last) in kept.segments.sources_behind(query.from) {
            let part =
                ReplayQuery { to: last.map_or(query.to, |last| query.to.min(last.successor())), ..query };
            if !view::replay(&[source], instance, &part, &mut page) {
                return Ok(page);
            }
        }
        page.next = query.to.max(query.from);
        Ok(page)
    }

    fn backlog(&self, instance: InstanceId, query: &ReplayQuery<'_>) -> Result<Backlog, QueryError> {
        let kept = lock(&self.log.shared.kept);
        let mut backlog = view::backlog(&kept.segments.sources(), instance, query);
        backlog.lost |= kept.segments.has_lost(query.from, query.stored_since);
        Ok(backlog)
    }

    fn newest(
        &self,
        instance: InstanceId,
        query: &ReplayQuery<'_>,
        mut messages: u64,
        mut bytes: u64,
    ) -> Result<Pos, QueryError> {
        let kept = lock(&self.log.shared.kept);
        let sources: Vec<Source<'_>> = kept.segments.sources();
        let behind = view::newest(&sources, instance, query, &mut messages, &mut bytes);
        Ok(behind.unwrap_or(query.from))
    }

    fn position_at(&self, instance: InstanceId, time: UnixMillis) -> Result<Pos, QueryError> {
        let kept = lock(&self.log.shared.kept);
        Ok(view::position_at(&kept.segments.sources(), instance, time).unwrap_or(kept.bounds.head))
    }

    fn retained(
        &self,
        instance: InstanceId,
        filter: &TopicFilter,
        after: Option<&str>,
        now: UnixMillis,
        limit: usize,
    ) -> Result<RetainedPage, QueryError> {
        let documents = self.documents();
        view::retained::retained(&*documents, instance, filter, after, now, limit)
    }
}

impl Seek for Documents {
    fn walk(&self, instance: InstanceId, walk: &mut dyn Walk) -> Result<(), QueryError> {
        let key = |place: &[u8]| [RETAINED_PREFIX.as_bytes(), place].concat();
        let mut from = walk.place().map(key);
        while let Some(full) = from.and_then(|from| self.find_at_or_after(instance, &from)) {
            let Some(topic) = full.as_bytes().strip_prefix(RETAINED_PREFIX.as_bytes()) else { break };
            from = if let Ok(topic) = std::str::from_utf8(topic) {
                walk.come_to(topic);
                walk.place().map(key)
            } else {
                // What is no text is no topic.
                Some([full.as_bytes(), &[0]].concat())
            };
        }
        Ok(())
    }

    fn document(&self, instance: InstanceId, key: &Key) -> Result<Option<Document>, QueryError> {
        Ok(self.find(instance, key).cloned())
    }
}
