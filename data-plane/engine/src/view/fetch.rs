//! Reads the records of many rows with few reads: those that lie near each other come together.

use super::row::Row;
use super::{ReadAt, Source};
use crate::{BATCH_BYTES_MAX, Replayed};

/// Records this close together are read at once: copying so much costs less than another call.
const GAP_BYTES: u64 = 4_096;

/// What is read at once, but for one record.
const RUN_BYTES: u64 = 128 * 1024;

/// Adds the records of the rows, each of which is of the source with the number beside it. Answers false when one of
/// them is not what was written: it is left out.
pub(super) fn fetch(sources: &[Source<'_>], rows: &[(Row, usize)], into: &mut Vec<Replayed>) -> bool {
    let mut records: Vec<Option<Box<[u8]>>> = Vec::new();
    records.resize_with(rows.len(), || None);
    let mut buffer = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let mut run = Run::default();
        for (at, (row, _)) in rows.iter().enumerate().filter(|(_, (_, source))| *source == number) {
            if !run.take(at, row) {
                run.read(source.bytes, rows, &mut buffer, &mut records);
                run = Run::default();
                run.take(at, row);
            }
        }
        run.read(source.bytes, rows, &mut buffer, &mut records);
    }
    let read = into.len();
    let found = rows.iter().zip(records).filter_map(|((row, _), record)| Some((row.pos, record?)));
    into.extend(found.map(|(pos, record)| Replayed { pos, record }));
    into.len() - read == rows.len()
}

/// Records of one source that are read at once.
#[derive(Default)]
struct Run {
    /// Places among the rows.
    members: Vec<usize>,
    begin: u64,
    end: u64,
}

impl Run {
    /// Takes a row that lies right behind those that it has; the first always.
    fn take(&mut self, at: usize, row: &Row) -> bool {
        let (begin, end) = (u64::from(row.offset), u64::from(row.offset) + u64::from(row.bytes));
        if self.members.is_empty() {
            self.begin = begin;
        } else if begin < self.end || begin > self.end + GAP_BYTES || end > self.begin + RUN_BYTES {
            return false;
        }
        self.members.push(at);
        self.end = end;
        true
    }

    fn read(
        &self,
        source: &dyn ReadAt,
        rows: &[(Row, usize)],
        buffer: &mut Vec<u8>,
        records: &mut [Option<Box<[u8]>>],
    ) {
        if self.members.is_empty() {
            return;
        }
        let length = usize::try_from(self.end - self.begin).unwrap_or(usize::MAX);
        if length > BATCH_BYTES_MAX {
            return;
        }
        buffer.resize(length, 0);
        let is_read = source.read_at(self.begin, buffer).is_ok();
        for &member in &self.members {
            let (row, _) = &rows[member];
            records[member] = if is_read {
                let within = u64::from(row.offset) - self.begin;
                usize::try_from(within)
                    .ok()
                    .and_then(|at| buffer.get(at..)?.get(..row.bytes as usize))
                    .and_then(|it| whole(it, row))
            } else {
                // What is cut off costs what is behind the cut, and nothing before it.
                alone(source, row)
            };
        }
    }
}

fn alone(source: &dyn ReadAt, row: &Row) -> Option<Box<[u8]>> {
    let mut record = vec![0; row.bytes as usize];
    source.read_at(u64::from(row.offset), &mut record).ok()?;
    whole(&record, row)
}

fn whole(record: &[u8], row: &Row) -> Option<Box<[u8]>> {
    (crc32fast::hash(record) == row.checksum).then(|| record.into())
}
