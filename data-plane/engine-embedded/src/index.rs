//! The index of a journal segment, in memory: brought up to date by who asks, never by the log's thread.

use std::io;
use std::sync::{PoisonError, RwLockReadGuard};

use engine::view::{FooterBuilder, ReadAt};
use engine::{Pos, Records, RetentionClass};

use crate::files::Reading;
use crate::journal::record::{RECORD_HEADER, RecordHeader};
use crate::journal::scan::{Found, Scan};
use crate::journal::segment::SEGMENT_HEADER;
use crate::kept_blocks::{KeptBlocks, KeptBytes, SegmentId};
use crate::layout::JournalSegment;

/// How much is read at once ahead of sealing: so long at most somebody who asks waits.
const STEP_BYTES: u64 = 4 * 1024 * 1024;

/// What a message takes in an index in memory, about.
const ROW_BYTES: usize = 80;

/// Which messages a journal segment holds, up to a place in it.
#[derive(Debug, Default)]
pub(crate) struct TailIndex {
    pub(crate) builder: FooterBuilder,
    /// What has been read; 0 before the first time.
    at: u64,
    /// The first record that has not been read.
    next: u64,
    /// Places that could not be read, those that were known to be damaged among them.
    pub(crate) unreadable: u64,
    /// Bytes of the messages of each class, in the order of [`RetentionClass::ALL`].
    pub(crate) class_bytes: [u64; RetentionClass::ALL.len()],
}

impl TailIndex {
    /// What has been read of the segment.
    pub(crate) const fn read_bytes(&self) -> u64 {
        self.at
    }

    /// The bytes it takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.builder.len() as usize * ROW_BYTES
    }

    /// Reads on to `end`, or to the end of the first record behind `stop`.
    fn read_to(&mut self, segment: &JournalSegment, end: u64, stop: u64) {
        let at = self.at.max(SEGMENT_HEADER as u64);
        let next = self.next.max(segment.name.first);
        let mut batches = Batches::new(&*segment.file, segment.name.salt, next, at, end);
        let mut is_stopped = false;
        while !is_stopped && let Some((offset, header, records)) = batches.step() {
            self.add(offset, &header, records);
            // With each record: who reads on after a panic neither reads it again nor takes it for damage.
            self.next = header.record + 1;
            self.at = offset + header.bytes() as u64;
            is_stopped = self.at >= stop;
        }
        self.unreadable += batches.unreadable;
        if !is_stopped {
            self.at = end;
        }
    }

    fn add(&mut self, offset: u64, header: &RecordHeader, records: Records<'_>) {
        for (index, message) in (0..).zip(records) {
            let Ok(message) = message else {
                self.unreadable += 1;
                break;
            };
            if let Some(class) = message.envelope.retention {
                self.class_bytes[class as usize - RetentionClass::Day as usize] += message.bytes.len() as u64;
                let pos = Pos { record: header.record, index };
                let at = offset + (RECORD_HEADER + message.at) as u64;
                if self.builder.add(pos, at, &message).is_err() {
                    self.unreadable += 1;
                }
            }
        }
    }
}

impl JournalSegment {
    /// The index of everything that is committed now, or more.
    pub(crate) fn indexed(&self) -> RwLockReadGuard<'_, TailIndex> {
        let end = self.end();
        loop {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            if index.at >= end {
                return index;
            }
            drop(index);
            // Between this lock and the next one it may be forgotten again: hence the loop.
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            if index.at < end {
                index.read_to(self, end, end);
            }
        }
    }

    /// The index of what is committed now, as far as `goes_on` lets it be made: it is asked now and then, and others may look
    /// in between. `spares` are empty ones, whose memory may be used.
    pub(crate) fn indexed_while(
        &self,
        spares: &mut Vec<FooterBuilder>,
        goes_on: impl Fn(&TailIndex) -> bool,
    ) -> RwLockReadGuard<'_, TailIndex> {
        let end = self.end();
        loop {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            if index.at >= end || !goes_on(&index) {
                return index;
            }
            drop(index);
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            if index.at == 0
                && let Some(spare) = spares.pop()
            {
                index.builder = spare;
            }
            if index.at < end {
                let stop = index.at + STEP_BYTES;
                index.read_to(self, end, stop);
            }
        }
    }

    /// Its records as a view reads them.
    pub(crate) fn kept_bytes<'a>(&'a self, blocks: &'a KeptBlocks) -> KeptBytes<'a> {
        let segment = SegmentId { first: self.name.first, class: 0 };
        KeptBytes { file: &*self.file, segment, end: self.end(), blocks }
    }

    /// Takes the index away for its memory, if nobody looks at it; who asks next reads the segment again.
    pub(crate) fn take_index(&self) -> Option<FooterBuilder> {
        let mut index = self.index.try_write().ok()?;
        Some(std::mem::take(&mut *index).builder)
    }

    /// Gives the memory back, if nobody looks at it; who asks next reads the segment again.
    pub(crate) fn forget_index(&self) {
        if let Ok(mut index) = self.index.try_write() {
            *index = TailIndex::default();
        }
    }
}

/// The batches of a journal segment, one after the other, over damage.
pub(crate) struct Batches<'a> {
    scan: Scan<'a>,
    /// Places passed over: damage, and records that are of another form although their checksums are right.
    pub(crate) unreadable: u64,
}

impl<'a> Batches<'a> {
    pub(crate) const fn new(file: &'a dyn Reading, salt: u64, next: u64, at: u64, end: u64) -> Self {
        Self { scan: Scan::new(file, salt, next, at, end), unreadable: 0 }
    }

    /// Where the next record begins, its header, and its messages, none of which has been looked at yet.
    pub(crate) fn step(&mut self) -> Option<(u64, RecordHeader, Records<'_>)> {
        while let Some(found) = self.scan.step() {
            if let Found::Record { offset, header } = found
                && Records::read(self.scan.body()).is_ok()
            {
                // Read again for the borrow checker, which takes the one above to last until the next step.
                return Records::read(self.scan.body()).ok().map(|records| (offset, header, records));
            }
            self.unreadable += 1;
        }
        None
    }
}

/// A file as a view reads it.
#[derive(Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a dyn Reading);

impl ReadAt for Bytes<'_> {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        if self.0.read_at(at, into)? == into.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
