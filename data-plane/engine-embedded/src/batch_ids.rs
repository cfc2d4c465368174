//! The batch ids of the last two minutes, so that a batch that is handed in again is not appended again.

use std::collections::VecDeque;

use contract::time::UnixMillis;
use engine::{BATCH_IDS_REMEMBERED, BatchId};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// How long an id is remembered at least, in milliseconds of the log's own time; the newest [`BATCH_IDS_REMEMBERED`]
/// are remembered longer.
pub(crate) const REMEMBERED_MILLIS: u64 = 120_000;

/// The most ids that are remembered; the oldest are forgotten before their time. 48 bytes each.
pub const BATCH_IDS_MAX: usize = 262_144;

/// A batch that was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Appended {
    pub(crate) record: u64,
    pub(crate) count: u32,
    pub(crate) stored_at: UnixMillis,
}

/// Ids in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct BatchIds {
    known: HashMap<BatchId, Appended, foldhash::fast::RandomState>,
    order: VecDeque<BatchId>,
}

impl BatchIds {
    /// The batch of this id, if it is remembered.
    pub(crate) fn find(&self, id: &BatchId) -> Option<Appended> {
        self.known.get(id).copied()
    }

    /// Remembers a batch, and forgets what is too old beside it.
    pub(crate) fn remember(&mut self, id: BatchId, batch: Appended) {
        self.forget(batch.stored_at);
        match self.known.entry(id) {
            // The first positions count.
            Entry::Occupied(_) => return,
            Entry::Vacant(entry) => entry.insert(batch),
        };
        self.order.push_back(id);
        if self.order.len() > BATCH_IDS_MAX {
            self.forget_first();
        }
    }

    fn forget(&mut self, now: UnixMillis) {
        while let Some(first) = self.order.front()
            && self.order.len() >= BATCH_IDS_REMEMBERED
            && self.find(first).is_none_or(|it| it.stored_at.0.saturating_add(REMEMBERED_MILLIS) < now.0)
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.order.pop_front() {
            self.known.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(record: u64, stored_at: u64) -> Appended {
        Appended { record, count: 1, stored_at: UnixMillis(stored_at) }
    }

    fn id(number: usize) -> BatchId {
        BatchId((number as u128).to_le_bytes())
    }

    fn filled(stored_at: u64) -> BatchIds {
        let mut ids = BatchIds::default();
        for number in 0..BATCH_IDS_REMEMBERED {
            ids.remember(id(number), batch(number as u64, stored_at));
        }
        ids
    }

    #[test]
    fn an_id_is_known_by_its_first_batch() {
        let mut ids = BatchIds::default();
        ids.remember(id(1), batch(1, 1_000));
        ids.remember(id(1), batch(2, 2_000));
        assert_eq!((ids.find(&id(1)), ids.find(&id(2))), (Some(batch(1, 1_000)), None));
    }

    #[test]
    fn the_newest_are_known_however_old_and_the_others_for_two_minutes() {
        let mut ids = filled(1_000);
        let newest = BATCH_IDS_REMEMBERED;
        ids.remember(id(newest), batch(9, 1_000 + REMEMBERED_MILLIS));
        assert_eq!(ids.find(&id(0)), Some(batch(0, 1_000)));
        ids.remember(id(newest + 1), batch(10, 1_001 + REMEMBERED_MILLIS));
        let known = |number| ids.find(&id(number)).is_some();
        assert_eq!([0, 1, 2, 3, newest, newest + 1].map(known), [false, false, true, true, true, true]);
    }

    #[test]
    fn no_more_are_known_than_the_bound() {
        let mut ids = BatchIds::default();
        for number in 0..=BATCH_IDS_MAX {
            ids.remember(id(number), batch(number as u64, 1));
        }
        assert_eq!((ids.find(&id(0)), ids.find(&id(1))), (None, Some(batch(1, 1))));
        assert_eq!((ids.order.len(), ids.known.len()), (BATCH_IDS_MAX, BATCH_IDS_MAX));
    }
}
