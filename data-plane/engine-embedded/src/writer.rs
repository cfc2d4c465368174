//! The log's thread, as steps: take what is waiting, write it at once, sync once, tell. It reads nothing and indexes
//! nothing; what it does for a batch does not depend on how many messages that has.
//!
//! There is no linger: whoever comes alone waits one sync, and those who come during a sync share the next one.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::time::UnixMillis;
use engine::{AppendError, Committed, CommittedBatch, Durability};

use crate::batch_ids::{Appended, BatchIds};
use crate::files::{Appending, Files};
use crate::journal::name::SegmentName;
use crate::journal::record::{KIND_MESSAGES, RECORD_HEADER, RecordHeader};
use crate::journal::segment::{SEGMENT_HEADER, write_header};
use crate::layout::JournalSegment;
use crate::queue::{Phase, Submitted, Work};
use crate::shared::Shared;

/// The most bytes of one write; what is waiting beyond them goes into the next one. A crash leaves no more unfinished.
pub(crate) const WRITE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// After so many bytes the disk is asked again how full it is.
const PROBE_BYTES: u64 = 16 * 1024 * 1024;

/// What the log's thread owns.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    file: Box<dyn Appending>,
    segment: Arc<JournalSegment>,
    /// The number of the next record.
    next: u64,
    /// When the last record was written.
    newest: UnixMillis,
    ids: BatchIds,
    /// Taken from the queue, not yet written.
    taken: VecDeque<Submitted>,
    /// Emptied; its memory goes to the queue and comes back.
    spare: Vec<Submitted>,
    headers: Vec<[u8; RECORD_HEADER]>,
    unprobed_bytes: u64,
}

/// One write on its way.
#[derive(Default)]
struct Write {
    /// In the order in which they were submitted, each with where it stands.
    batches: Vec<(Submitted, Appended)>,
    /// Which of them are new.
    new: Vec<usize>,
    bytes: u64,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        file: Box<dyn Appending>,
        segment: Arc<JournalSegment>,
        newest: UnixMillis,
        ids: BatchIds,
    ) -> Self {
        let next = segment.next();
        Self {
            shared,
            file,
            segment,
            next,
            newest,
            ids,
            taken: VecDeque::new(),
            spare: Vec::new(),
            headers: Vec::new(),
            unprobed_bytes: 0,
        }
    }

    /// Works until nothing comes any more.
    pub(crate) fn run(mut self) {
        // Whatever ends this thread, a mistake in somebody's completion too: nobody waits for ever.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| while self.step() {}));
        if ended.is_err() {
            self.fail(Vec::new(), "the log's thread panicked");
        }
        self.end();
    }

    /// Waits for work and does it. False when there will be none any more.
    pub(crate) fn step(&mut self) -> bool {
        let work = self.shared.queue.take(&mut self.spare);
        self.work(work)
    }

    /// Does what there is to do now. False when there is nothing, or nothing any more.
    pub(crate) fn try_step(&mut self) -> bool {
        let work = self.shared.queue.try_take(&mut self.spare);
        work.is_some_and(|work| self.work(work))
    }

    fn work(&mut self, work: Work) -> bool {
        match work {
            Work::Batches => {
                self.taken.extend(self.spare.drain(..));
                while !self.taken.is_empty() {
                    if !self.write() {
                        return false;
                    }
                }
                true
            }
            Work::Close => self.close_segment(),
            Work::End => false,
        }
    }

    /// Tells everyone that is left.
    pub(crate) fn end(&mut self) {
        let rest = self.shared.queue.end(Phase::Stopped);
        for submitted in self.taken.drain(..).chain(rest) {
            complete(&self.shared, submitted, Err(AppendError::NotStored));
        }
        self.shared.followers.stop();
    }

    /// Writes and syncs what is taken, or as much of it as goes into one write. False when that failed.
    fn write(&mut self) -> bool {
        let now = self.shared.now().max(self.newest);
        self.newest = now;
        let write = self.number(now);
        if let Err(error) = self.commit(&write) {
            self.fail(write.batches, &format!("the journal cannot be written: {error}"));
            return false;
        }
        self.tell(write);
        let is_old = self
            .segment
            .begun_at()
            .is_some_and(|it| it.0.saturating_add(self.shared.bounds.segment_millis) <= now.0);
        if self.segment.end() >= self.shared.bounds.segment_bytes || is_old {
            return self.close_segment();
        }
        true
    }

    /// Takes batches for one write and gives each that is new its record.
    fn number(&mut self, now: UnixMillis) -> Write {
        let mut write = Write::default();
        let mut bytes = 0;
        while let Some(submitted) = self.taken.front() {
            let length = RECORD_HEADER + submitted.batch.as_bytes().len();
            if bytes > 0 && bytes + length > WRITE_BYTES_MAX {
                break;
            }
            let Some(submitted) = self.taken.pop_front() else { break };
            let (id, count) = (submitted.id, submitted.batch.len());
            let appended = self.ids.find(&id).unwrap_or_else(|| {
                let appended = Appended { record: self.next, count, stored_at: now };
                self.ids.remember(id, appended);
                self.next += 1;
                bytes += length;
                write.new.push(write.batches.len());
                appended
            });
            write.batches.push((submitted, appended));
        }
        write.bytes = bytes as u64;
        write
    }

    fn commit(&mut self, write: &Write) -> io::Result<()> {
        if write.new.is_empty() {
            return Ok(());
        }
        self.headers.clear();
        let new = || write.new.iter().map(|at| &write.batches[*at]);
        for (ahead, (submitted, appended)) in (0..).zip(new()) {
            let body = submitted.batch.as_bytes();
            let header = RecordHeader {
                record: appended.record,
                stored_at: appended.stored_at,
                batch: submitted.id.0,
                body_bytes: u32::try_from(body.len()).map_err(io::Error::other)?,
                body_crc: submitted.crc,
                count: appended.count,
                ahead,
                origin: submitted.origin,
                kind: KIND_MESSAGES,
            };
            self.headers.push(header.write(self.segment.name.salt));
        }
        let bodies = new().map(|(submitted, _)| submitted.batch.as_bytes());
        let mut parts: Vec<_> = (self.headers.iter().zip(bodies))
            .flat_map(|(header, body)| [IoSlice::new(header), IoSlice::new(body)])
            .collect();
        self.file.append(&mut parts)?;
        self.file.sync()?;
        self.segment.commit(self.segment.end() + write.bytes, self.next, self.newest);
        Ok(())
    }

    /// Lets documents change with what is committed, completes it, then tells the followers.
    fn tell(&mut self, write: Write) {
        let counters = &self.shared.counters;
        let mut told = Vec::with_capacity(write.new.len());
        let mut owing = Vec::with_capacity(write.batches.len());
        let mut messages = 0;
        let mut new = write.new.into_iter().peekable();
        for (at, (submitted, appended)) in write.batches.into_iter().enumerate() {
            let Submitted { id, origin, batch, owed, .. } = submitted;
            let bytes = batch.as_bytes().len();
            let Appended { record, count, .. } = appended;
            if new.next_if_eq(&at).is_some() {
                messages += u64::from(count);
                told.push(CommittedBatch { record, id, origin, batch });
            } else {
                counters.repeated.fetch_add(1, Ordering::Relaxed);
            }
            let committed = Committed { record, messages: count, durability: Durability::Synced };
            owing.push((origin, bytes, owed, committed));
        }
        if self.shared.store.add(&told, self.next) {
            self.shared.keeper.wake();
        }
        for (origin, bytes, owed, committed) in owing {
            self.shared.queue.release(origin, bytes);
            owed.pay(Ok(committed));
        }
        if told.is_empty() {
            return;
        }
        counters.batches.fetch_add(told.len() as u64, Ordering::Relaxed);
        counters.messages.fetch_add(messages, Ordering::Relaxed);
        counters.bytes.fetch_add(write.bytes, Ordering::Relaxed);
        counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.shared.followers.tell(&told.into(), self.next);
        self.unprobed_bytes += write.bytes;
        if self.unprobed_bytes >= PROBE_BYTES {
            self.unprobed_bytes = 0;
            self.shared.probe_space();
        }
    }

    /// Begins the next segment. False when that failed.
    fn close_segment(&mut self) -> bool {
        if self.segment.end() <= SEGMENT_HEADER as u64 {
            return true;
        }
        match begin_segment(&*self.shared.files, self.next, self.newest) {
            Ok((file, segment)) => {
                self.shared.layout.change(|layout| layout.journal.push(Arc::clone(&segment)));
                (self.file, self.segment) = (file, segment);
                self.shared.keeper.wake();
                true
            }
            Err(error) => {
                self.fail(Vec::new(), &format!("a journal segment cannot be begun: {error}"));
                false
            }
        }
    }

    /// Nothing is written any more. What was being written is unknown; what was waiting is not stored.
    fn fail(&mut self, writing: Vec<(Submitted, Appended)>, reason: &str) {
        self.shared.set_failure(reason);
        let committed = self.segment.next();
        for (submitted, appended) in writing {
            let outcome = if appended.record < committed {
                let Appended { record, count, .. } = appended;
                Ok(Committed { record, messages: count, durability: Durability::Synced })
            } else {
                Err(AppendError::Unknown)
            };
            complete(&self.shared, submitted, outcome);
        }
        let waiting = self.shared.queue.end(Phase::Failed);
        for submitted in self.taken.drain(..).chain(waiting) {
            complete(&self.shared, submitted, Err(AppendError::NotStored));
        }
    }
}

/// Completes a batch, and gives its origin the credit back.
pub(crate) fn complete(shared: &Shared, submitted: Submitted, outcome: Result<Committed, AppendError>) {
    shared.queue.release(submitted.origin, submitted.batch.as_bytes().len());
    submitted.owed.pay(outcome);
}

/// Begins the segment whose first record this is. It is there, durably, before a record is written.
pub(crate) fn begin_segment(
    files: &dyn Files,
    first: u64,
    now: UnixMillis,
) -> io::Result<(Box<dyn Appending>, Arc<JournalSegment>)> {
    // Keys of a hasher are drawn for each: enough for a salt that no publisher can know.
    let name = SegmentName { first, salt: RandomState::new().build_hasher().finish() };
    let mut file = files.create(&name.to_string())?;
    file.append(&mut [IoSlice::new(&write_header(name, now))])?;
    file.sync()?;
    files.sync_directory()?;
    let reading = files.open(&name.to_string())?;
    let place = (SEGMENT_HEADER as u64, first);
    Ok((file, Arc::new(JournalSegment::new(name, reading, None, place, Vec::new()))))
}
