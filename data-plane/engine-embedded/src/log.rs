//! `Log` over the journal. Reading goes back as far as what is not sealed yet; what is older is in the history.

use std::sync::Arc;

use engine::{
    Append, Batch, BatchId, Bounds, CommittedBatch, FollowError, Follower, Log, Page, Pos, ReadError,
    Refused, RefusedWhy, Shard,
};

use crate::history::SHARD;
use crate::journal::scan::{Found, Scan};
use crate::layout::JournalSegment;
use crate::queue::Phase;
use crate::shared::{Shared, lock};

impl Log for Shared {
    fn submit(&self, shard: Shard, append: Append) -> Result<(), Refused> {
        if shard != SHARD || !append.is_valid() {
            return Err(append.refused(RefusedWhy::Invalid));
        }
        match self.refuses_batch(&append.batch) {
            Some(why) => Err(append.refused(why)),
            None => self.queue.submit(append),
        }
    }

    fn room_bytes(&self, shard: Shard, origin: u16) -> usize {
        let has_room = shard == SHARD && self.refuses().is_none() && self.store.has_room();
        if has_room { self.queue.room_bytes(origin) } else { 0 }
    }

    fn read(&self, shard: Shard, from: Pos, bytes_max: usize) -> Result<Page, ReadError> {
        self.check(shard)?;
        let layout = self.layout.load();
        let bounds = self.bounds_of(&layout);
        if from < bounds.oldest {
            return Err(ReadError::Trimmed { oldest: bounds.oldest });
        }
        if from > bounds.head {
            return Err(ReadError::Ahead { head: bounds.head });
        }
        let mut pages = Pages { batches: Vec::new(), next: from.record, bytes: 0, bytes_max };
        for segment in layout.journal.iter().filter(|it| it.next() > from.record) {
            if !pages.read(segment, bounds.head.record)? {
                break;
            }
        }
        let next = if pages.batches.is_empty() { from } else { Pos::of_record(pages.next) };
        Ok(Page { batches: pages.batches, next, bounds })
    }

    fn bounds(&self, shard: Shard) -> Result<Bounds, ReadError> {
        self.check(shard)?;
        Ok(self.bounds_of(&self.layout.load()))
    }

    fn trim(&self, shard: Shard, before: Pos) -> Result<(), ReadError> {
        self.check(shard)?;
        let head = self.bounds_of(&self.layout.load()).head;
        let mut trimmed = lock(&self.trimmed);
        *trimmed = before.min(head).max(*trimmed);
        Ok(())
    }

    fn follow(&self, shard: Shard, follower: Follower) -> Result<Pos, FollowError> {
        if shard != SHARD {
            return Err(FollowError::UnknownShard);
        }
        self.followers.join(follower).map(Pos::of_record)
    }
}

impl Shared {
    fn check(&self, shard: Shard) -> Result<(), ReadError> {
        if shard != SHARD {
            return Err(ReadError::UnknownShard);
        }
        if self.queue.phase() == Phase::Stopped { Err(ReadError::Stopped) } else { Ok(()) }
    }
}

/// A page that is being filled.
struct Pages {
    batches: Vec<CommittedBatch>,
    /// The record that comes next.
    next: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Pages {
    /// Adds records of a segment, up to `head`. False when the page is full.
    fn read(&mut self, segment: &Arc<JournalSegment>, head: u64) -> Result<bool, ReadError> {
        // What is lost at the end of the segment before was said there: these numbers were left out.
        self.next = self.next.max(segment.name.first);
        let (number, at) = segment.mark_before(self.next);
        let mut scan = Scan::new(&*segment.file, segment.name.salt, number, at, segment.end());
        while let Some(found) = scan.step() {
            let Found::Record { header, .. } = found else { continue };
            if header.record < self.next {
                continue;
            }
            if header.record >= head {
                return Ok(false);
            }
            if header.record > self.next {
                return self.damaged(header.record);
            }
            let body = scan.body();
            if !self.batches.is_empty() && self.bytes + body.len() > self.bytes_max {
                return Ok(false);
            }
            let Ok(batch) = Batch::from_bytes(body.to_vec()) else {
                return self.damaged(header.record + 1);
            };
            self.bytes += body.len();
            self.next = header.record + 1;
            let (id, origin) = (BatchId(header.batch), header.origin);
            self.batches.push(CommittedBatch { record: header.record, id, origin, batch });
        }
        // Records are missing at the end of a segment.
        let next = segment.next().min(head);
        if self.next < next { self.damaged(next) } else { Ok(true) }
    }

    /// What stands before the damage is answered first.
    fn damaged(&self, next: u64) -> Result<bool, ReadError> {
        if self.batches.is_empty() {
            return Err(ReadError::Damaged { next: Pos::of_record(next) });
        }
        Ok(false)
    }
}
