//! Reading a segment from one record to the next, over damage to whatever is whole behind it.

use super::record::{RECORD_HEADER, RecordHeader, marker};
use crate::files::Reading;

/// The least that is read from a file at once: what a processor keeps near itself while it is looked through twice.
const READ_BYTES: usize = 256 * 1024;

/// What is read at once where a larger reading fails: what a disk loses when it loses a sector.
const SECTOR_BYTES: usize = 4096;

/// What stands at a place of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A whole record; [`Scan::body`] has its body until the next step.
    Record { offset: u64, header: RecordHeader },
    /// Bytes that are no record, up to the next record or to the end.
    Damage { offset: u64, bytes: u64 },
}

/// A walk through the records of a segment. Its memory is the largest record's, or one reading's.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    file: &'a dyn Reading,
    salt: u64,
    /// The next record must have this number or a higher one.
    next: u64,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    buffer_at: u64,
    /// The body last found, within the file.
    body: (u64, usize),
    /// Bytes that the disk did not give. They are damage like any other, but nothing is known of them: they may be
    /// there the next time.
    pub(crate) failed_bytes: u64,
}

impl<'a> Scan<'a> {
    /// From the record at `at`, whose number is `next` or higher, to `end`.
    pub(crate) const fn new(file: &'a dyn Reading, salt: u64, next: u64, at: u64, end: u64) -> Self {
        Self { file, salt, next, at, end, buffer: Vec::new(), buffer_at: 0, body: (0, 0), failed_bytes: 0 }
    }

    /// What stands at the next place; none at the end. Never the same bytes twice. What the disk does not give is
    /// damage: one sector must not cost the rest.
    pub(crate) fn step(&mut self) -> Option<Found> {
        if self.at >= self.end {
            return None;
        }
        let start = self.at;
        if let Some(header) = self.record_at(start) {
            return Some(self.found(start, header));
        }
        self.at = self.find_record(start).unwrap_or(self.end);
        Some(Found::Damage { offset: start, bytes: self.at - start })
    }

    /// The body of the record that the last step found.
    pub(crate) fn body(&self) -> &[u8] {
        let (at, bytes) = self.body;
        usize::try_from(at - self.buffer_at)
            .ok()
            .and_then(|from| self.buffer.get(from..from + bytes))
            .expect("a step that finds a record leaves its body in the buffer")
    }

    fn found(&mut self, offset: u64, header: RecordHeader) -> Found {
        self.body = (offset + RECORD_HEADER as u64, header.body_bytes as usize);
        self.next = header.record + 1;
        self.at = offset + header.bytes() as u64;
        Found::Record { offset, header }
    }

    /// Where the next whole record begins behind `start`, where none does.
    fn find_record(&mut self, start: u64) -> Option<u64> {
        // With a whole header in front, the body alone is damaged, and its end is known.
        let mut at = match self.header_at(start) {
            Some(header) => start + header.bytes() as u64,
            None => start + 1,
        };
        let marker = marker(self.salt);
        while at < self.end {
            let window = self.window(at, READ_BYTES);
            if window.is_empty() {
                break;
            }
            let Some(found) = find(window, marker) else {
                // A marker may lie across two windows.
                at += (window.len().saturating_sub(marker.len() - 1)).max(1) as u64;
                continue;
            };
            let candidate = at + found as u64;
            if self.record_at(candidate).is_some() {
                return Some(candidate);
            }
            at = candidate + 1;
        }
        None
    }

    /// The whole record at `at`, its body included.
    fn record_at(&mut self, at: u64) -> Option<RecordHeader> {
        let header = self.header_at(at)?;
        let bytes = header.bytes();
        let window = self.window(at, bytes);
        let is_whole =
            window.len() >= bytes && crc32fast::hash(&window[RECORD_HEADER..bytes]) == header.body_crc;
        is_whole.then_some(header)
    }

    /// The header at `at` of a record that ends within the segment.
    fn header_at(&mut self, at: u64) -> Option<RecordHeader> {
        let (salt, next, end) = (self.salt, self.next, self.end);
        let header = self.window(at, RECORD_HEADER).first_chunk().and_then(|it| RecordHeader::read(salt, it));
        header.filter(|it| it.record >= next && it.record < u64::MAX && it.bytes() as u64 <= end - at)
    }

    /// The bytes from `at` on: at least so many, except at the end.
    fn window(&mut self, at: u64, bytes: usize) -> &[u8] {
        let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
        let bytes = bytes.min(left);
        let from = at.checked_sub(self.buffer_at).and_then(|it| usize::try_from(it).ok());
        if let Some(from) = from
            && from + bytes <= self.buffer.len()
        {
            return &self.buffer[from..];
        }
        // What is there of it is not read again.
        let there = from.and_then(|from| self.buffer.len().checked_sub(from)).unwrap_or(0);
        self.buffer.drain(..self.buffer.len() - there);
        self.buffer.resize(bytes.max(READ_BYTES).min(left), 0);
        self.buffer_at = at;
        let (rest, at) = (&mut self.buffer[there..], at + there as u64);
        let read = match self.file.read_at(at, rest) {
            Ok(read) => read,
            Err(error) => {
                let (read, failed) = read_sectors(self.file, at, rest);
                tracing::error!(%error, at, failed, "a journal segment cannot be read");
                self.failed_bytes += failed;
                read
            }
        };
        self.buffer.truncate(there + read);
        &self.buffer
    }
}

/// Reads what can be read, sector by sector, and leaves 0 where the disk fails: no record has a checksum that fits.
/// Answers what was filled, and how much of it failed.
fn read_sectors(file: &dyn Reading, at: u64, buffer: &mut [u8]) -> (usize, u64) {
    let (mut filled, mut failed) = (0, 0);
    buffer.fill(0);
    while filled < buffer.len() {
        let place = at + filled as u64;
        let within = usize::try_from(place % SECTOR_BYTES as u64).unwrap_or(0);
        let end = buffer.len().min(filled + SECTOR_BYTES - within);
        match file.read_at(place, &mut buffer[filled..end]) {
            Ok(read) if read < end - filled => return (filled + read, failed),
            Ok(_) => {}
            Err(_) => {
                buffer[filled..end].fill(0);
                failed += (end - filled) as u64;
            }
        }
        filled = end;
    }
    (filled, failed)
}

/// Where `wanted` is first.
fn find(bytes: &[u8], wanted: [u8; 4]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}
