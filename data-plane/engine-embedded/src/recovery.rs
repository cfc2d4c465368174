//! What is found in the directory when the engine starts: where the log goes on, what is lost, what was left half
//! done. It decides by reading every record of the journal; sealed segments are not opened.
//!
//! - A last segment that ends in something that is no record was being written when the machine stopped: that end is
//!   left out, and said. So is everything from the first hole in the last write on, also whole records, since a power cut
//!   may leave the end of a write and not its middle: a record may say of a document what holds only together with one
//!   before it. Nothing in it was acknowledged, for a sync stands before each acknowledgement, unless the disk
//!   has lost what it had synced: hence nothing is written over it, and no number that it may have had is given again.
//! - Everything else that is no record is damage: it is said and kept, and what is whole around it is served.
//! - A journal segment that is still there has not been sealed to the end: what was made of it is made again.

use std::io;
use std::sync::Arc;

use contract::time::UnixMillis;
use engine::{BatchError, BatchId, Envelopes};

use crate::batch_ids::{Appended, BatchIds};
use crate::damage::Damage;
use crate::engine::OpenError;
use crate::files::{Entry, Files, Reading};
use crate::journal::name::SegmentName;
use crate::journal::record::{KIND_MESSAGES, RECORD_HEADER, RecordHeader};
use crate::journal::scan::{Found, Scan};
use crate::journal::segment::{HeaderFound, JOURNAL_FORMAT_VERSION, SEGMENT_HEADER, read_header};
use crate::layout::{JournalSegment, Layout, mark};
use crate::sealed::{self, Dropped, UNFINISHED, parse_dropped};

/// How many damaged segments are kept aside when they are sealed; more push out the oldest.
pub const DAMAGED_SEGMENTS_MAX: usize = 16;

/// Numbers that are left out behind a torn end, beside those of all records that its bytes may have been: so many that
/// no loss of whole records looks like one.
const TORN_NUMBERS: u64 = 2;

/// The most that a crash leaves of a write; a longer end without a record is damage.
const TORN_BYTES_MAX: u64 = crate::writer::WRITE_BYTES_MAX as u64;

/// What the directory holds.
pub(crate) struct Recovered {
    pub(crate) layout: Layout,
    pub(crate) ids: BatchIds,
    /// The number of the next record.
    pub(crate) next: u64,
    /// When the last record was written.
    pub(crate) newest: UnixMillis,
    /// Whether the last journal segment may be written on.
    pub(crate) goes_on: bool,
    pub(crate) dropped: Dropped,
    /// Bytes left out at the end.
    pub(crate) cut_bytes: u64,
}

/// What a segment holds.
#[derive(Default)]
struct Examined {
    /// Its records, without damage behind the last of them.
    end: u64,
    next: u64,
    begun_at: Option<UnixMillis>,
    newest: Option<UnixMillis>,
    marks: Vec<(u64, u64)>,
    damage: Vec<Damage>,
    /// Damage behind the last record.
    tail: Option<(u64, u64)>,
    /// The first record of the last write.
    write: u64,
    /// The first hole in the last write.
    hole: Option<Brink>,
    /// The records behind that.
    behind_hole: Vec<RecordHeader>,
    /// Whether the disk did not give some of it.
    has_failed: bool,
}

/// What is whole in front of a place that is no record.
#[derive(Clone, Copy)]
struct Brink {
    offset: u64,
    end: u64,
    next: u64,
    newest: Option<UnixMillis>,
    marks: usize,
    damage: usize,
}

impl Examined {
    fn brink(&self, offset: u64) -> Brink {
        let Self { end, next, newest, .. } = *self;
        Brink { offset, end, next, newest, marks: self.marks.len(), damage: self.damage.len() }
    }

    /// Where the segment of so many bytes ends, and where numbers go on, when what is behind is what a crash left of a
    /// write: a crash leaves no unreadable sectors.
    fn torn(&self, segment_bytes: u64) -> Option<(Brink, u64)> {
        let brink = self.hole.or_else(|| self.tail.map(|(offset, _)| self.brink(offset)))?;
        let bytes = segment_bytes.saturating_sub(brink.offset);
        let is_torn = brink.offset > 0 && bytes <= TORN_BYTES_MAX && !self.has_failed;
        is_torn.then(|| (brink, brink.next + bytes / RECORD_HEADER as u64 + TORN_NUMBERS))
    }

    /// Leaves out what is behind.
    fn cut(&mut self, brink: Brink) {
        (self.end, self.next, self.newest) = (brink.end, brink.next, brink.newest);
        self.marks.truncate(brink.marks);
        self.damage.truncate(brink.damage);
        self.behind_hole.clear();
        self.tail = None;
    }
}

/// Reads the directory, leaves the torn end out, and removes what was left half done.
pub(crate) fn recover(files: &dyn Files) -> Result<Recovered, OpenError> {
    let entries = files.list()?;
    let mut recovered = Recovered {
        layout: Layout::default(),
        ids: BatchIds::default(),
        next: 1,
        newest: UnixMillis(0),
        goes_on: false,
        dropped: Dropped::default(),
        cut_bytes: 0,
    };
    let journal = segments(&entries, SegmentName::parse);
    recover_sealed(files, &entries, &journal, &mut recovered)?;
    // What was put aside may have spent numbers. With a segment behind it, that one knows which.
    let behind = journal.iter().map(|(name, _)| name.first);
    let behind = behind.chain(recovered.layout.sealed.iter().map(|it| it.name.first)).max();
    let mut spent = 0;
    for (name, bytes) in segments(&entries, SegmentName::parse_damaged) {
        let file = files.open(&name.damaged())?;
        let examined = examine(&*file, name, &name.damaged(), (name.first, bytes), &mut |_| {})?;
        let damage = damage_of_put_aside(examined, name, bytes);
        if behind.is_none_or(|it| it <= name.first) {
            spent = damage.iter().map(|it| it.next).fold(spent, u64::max);
        }
        recovered.layout.damage.extend(damage);
    }
    for (at, segment) in journal.iter().enumerate() {
        let following = journal.get(at + 1).map(|(name, _)| name.first);
        recover_segment(files, *segment, following, &mut recovered)?;
    }
    recovered.next = recovered.next.max(spent);
    recovered.goes_on &= recovered.layout.journal.last().is_some_and(|it| it.next() == recovered.next);
    for damage in &recovered.layout.damage {
        tracing::error!(%damage, "stored messages are lost");
    }
    Ok(recovered)
}

/// The entries whose names parse, oldest first.
fn segments(entries: &[Entry], parse: impl Fn(&str) -> Option<SegmentName>) -> Vec<(SegmentName, u64)> {
    let mut segments: Vec<_> = entries.iter().filter_map(|it| Some((parse(&it.name)?, it.bytes))).collect();
    segments.sort_unstable();
    segments
}

/// Finds the sealed segments, and removes what was left half done.
fn recover_sealed(
    files: &dyn Files,
    entries: &[Entry],
    journal: &[(SegmentName, u64)],
    recovered: &mut Recovered,
) -> Result<(), io::Error> {
    let mut has_removed = false;
    let found = sealed::find(entries);
    let unfinished = entries.iter().map(|it| &it.name).filter(|it| it.ends_with(UNFINISHED));
    for name in found.left_over.iter().chain(unfinished) {
        files.remove(name)?;
        has_removed = true;
    }
    for segment in found.segments {
        if journal.iter().any(|(it, _)| it.first == segment.name.first) {
            let is_there = |name: &String| entries.iter().any(|it| it.name == *name);
            for name in segment.files().iter().filter(|it| is_there(it)) {
                files.remove(name)?;
            }
            has_removed = true;
        } else {
            recovered.next = recovered.next.max(segment.name.next);
            recovered.layout.sealed.push(Arc::new(segment));
        }
    }
    let dropped = entries.iter().filter_map(|it| parse_dropped(&it.name));
    recovered.dropped = dropped.fold(recovered.dropped, Dropped::and);
    if has_removed { files.sync_directory() } else { Ok(()) }
}

fn recover_segment(
    files: &dyn Files,
    (name, bytes): (SegmentName, u64),
    following: Option<u64>,
    recovered: &mut Recovered,
) -> Result<(), OpenError> {
    let is_last = following.is_none();
    let file = files.open(&name.to_string())?;
    if is_last && bytes <= SEGMENT_HEADER as u64 && !has_header(&*file, name)? {
        // It was being begun: its header is synced before its first record is written.
        files.remove(&name.to_string())?;
        recovered.next = recovered.next.max(name.first);
        return Ok(());
    }
    let expected = recovered.next.max(name.first);
    let Recovered { ids, .. } = recovered;
    let mut remember = |header: &RecordHeader| {
        let batch = Appended { record: header.record, count: header.count, stored_at: header.stored_at };
        ids.remember(BatchId(header.batch), batch);
    };
    let mut examined = examine(&*file, name, &name.to_string(), (expected, bytes), &mut remember)?;
    if is_last && examined.tail.is_some_and(|(offset, _)| offset == 0) {
        return put_aside(files, name, bytes, recovered);
    }
    // A closed segment with a torn end was the last one at a start: what follows begins where that start said.
    let torn = examined.torn(bytes).filter(|(_, next)| following.is_none_or(|following| following == *next));
    let following = if torn.is_some() { None } else { following };
    if let Some((brink, _)) = torn {
        if is_last {
            let (offset, bytes) = (brink.offset, bytes - brink.offset);
            tracing::warn!(segment = %name, offset, bytes, "left out what was being written when the log stopped");
            recovered.cut_bytes += bytes;
        }
        examined.cut(brink);
    }
    let torn_next = torn.map(|(_, next)| next);
    examined.behind_hole.iter().for_each(&mut remember);
    if let Some(begun_at) = examined.begun_at {
        let open_ended = recovered.layout.damage.iter_mut().filter(|it| it.to == UnixMillis(u64::MAX));
        open_ended.for_each(|it| it.to = begun_at);
    }
    let (begun_at, newest) = (examined.begun_at, examined.newest.unwrap_or_default());
    let (end, marks) = (examined.end, std::mem::take(&mut examined.marks));
    let mut next = examined.next.max(following.unwrap_or(0));
    let damage = whole_damage(examined, name.to_string(), following);
    next = damage.iter().map(|it| it.next).fold(next, u64::max);
    recovered.goes_on = is_last && damage.is_empty();
    recovered.layout.damage.extend(damage);
    recovered.layout.journal.push(Arc::new(JournalSegment::new(name, file, begun_at, (end, next), marks)));
    recovered.next = recovered.next.max(torn_next.unwrap_or(next));
    recovered.newest = recovered.newest.max(newest);
    Ok(())
}

/// Puts a last segment aside of which nothing can be read. Numbers that its records may have had are not given again.
fn put_aside(
    files: &dyn Files,
    name: SegmentName,
    bytes: u64,
    recovered: &mut Recovered,
) -> Result<(), OpenError> {
    files.rename(&name.to_string(), &name.damaged())?;
    files.sync_directory()?;
    let next = name.first + bytes / RECORD_HEADER as u64 + 1;
    // The log is damaged up to there for its readers too.
    if let Some(last) = recovered.layout.journal.last() {
        last.spend_to(next);
    }
    recovered.goes_on = false;
    recovered.layout.damage.push(Damage {
        segment: name.damaged(),
        offset: 0,
        bytes,
        first: name.first,
        next,
        from: recovered.newest,
        to: UnixMillis(u64::MAX),
    });
    recovered.next = recovered.next.max(next);
    Ok(())
}

/// The damage of a segment, with what is lost at its end; `following` is the first record of the next segment.
fn whole_damage(examined: Examined, segment: String, following: Option<u64>) -> Vec<Damage> {
    let mut damage = examined.damage;
    if examined.tail.is_some() || following.is_some_and(|it| it > examined.next) {
        let (offset, bytes) = examined.tail.unwrap_or((examined.end, 0));
        let from = examined.newest.unwrap_or_default();
        // Without a segment behind it, as many records as the bytes may have been: no number is given twice.
        let first = examined.next;
        let next = following.unwrap_or(first).max(first + 1);
        let next = if following.is_some() { next } else { next + bytes / RECORD_HEADER as u64 };
        // Until when is not known here: the next segment's records are not looked at.
        let to = if following.is_some() { UnixMillis(u64::MAX) } else { from };
        damage.push(Damage { segment, offset, bytes, first, next, from, to });
    }
    damage
}

/// What is lost of a segment that was put aside. One that is whole was put aside because the disk once did not give some of
/// it: what was sealed of it lacks some that cannot be named any more.
fn damage_of_put_aside(examined: Examined, name: SegmentName, bytes: u64) -> Vec<Damage> {
    let Examined { next, begun_at, newest, .. } = examined;
    let mut damage = whole_damage(examined, name.damaged(), None);
    if damage.is_empty() {
        let (from, to) = (begun_at.unwrap_or_default(), newest.unwrap_or(UnixMillis(u64::MAX)));
        // Of a file without a record nothing is missing.
        if next > name.first {
            damage.push(Damage {
                segment: name.damaged(),
                offset: 0,
                bytes,
                first: name.first,
                next,
                from,
                to,
            });
        }
    }
    damage
}

/// Whether the segment begins with its header; an unknown version is refused whatever else is there.
fn has_header(file: &dyn Reading, name: SegmentName) -> Result<bool, OpenError> {
    let mut header = [0; SEGMENT_HEADER];
    match file.read_at(0, &mut header) {
        Ok(SEGMENT_HEADER) => {}
        Ok(_) => return Ok(false),
        Err(error) => {
            tracing::error!(%error, segment = %name, "the header of a journal segment cannot be read");
            return Ok(false);
        }
    }
    match read_header(name, &header) {
        HeaderFound::Whole => Ok(true),
        HeaderFound::Damaged => Ok(false),
        HeaderFound::Version(found) => {
            Err(OpenError::Version { segment: name.to_string(), found, supported: JOURNAL_FORMAT_VERSION })
        }
    }
}

/// Reads a whole segment; its records are `expected` and those behind it.
fn examine(
    file: &dyn Reading,
    name: SegmentName,
    segment: &str,
    (expected, bytes): (u64, u64),
    remember: &mut dyn FnMut(&RecordHeader),
) -> Result<Examined, OpenError> {
    let mut examined = Examined { next: expected, end: SEGMENT_HEADER as u64, ..Examined::default() };
    if !has_header(file, name)? {
        examined.tail = Some((0, bytes.min(SEGMENT_HEADER as u64)));
    }
    let mut scan = Scan::new(file, name.salt, expected, SEGMENT_HEADER as u64, bytes);
    while let Some(found) = scan.step() {
        match found {
            Found::Damage { offset, bytes } => {
                let (offset, before) = examined.tail.unwrap_or((offset, 0));
                examined.tail = Some((offset, before + bytes));
            }
            Found::Record { offset, header } => {
                if header.kind != KIND_MESSAGES {
                    return Err(OpenError::Record { segment: segment.to_owned(), kind: header.kind });
                }
                if let Err(BatchError::Version(found)) = Envelopes::read(scan.body()) {
                    return Err(OpenError::Batch { segment: segment.to_owned(), found });
                }
                if note(&mut examined, segment, offset, &header) {
                    examined.behind_hole.drain(..).for_each(|it| remember(&it));
                }
                if examined.hole.is_some() {
                    examined.behind_hole.push(header);
                } else {
                    remember(&header);
                }
            }
        }
    }
    examined.has_failed = scan.failed_bytes > 0;
    Ok(examined)
}

/// Notes a record; true, if it is of another write than the one before it.
fn note(examined: &mut Examined, segment: &str, offset: u64, header: &RecordHeader) -> bool {
    let write = header.record.saturating_sub(u64::from(header.ahead));
    let is_new = std::mem::replace(&mut examined.write, write) != write;
    if is_new {
        // What was synced before it began is whole, or damaged.
        examined.hole = None;
    }
    let damaged = examined.tail.take();
    if damaged.is_some() || header.record > examined.next {
        let (offset, bytes) = damaged.unwrap_or((offset, 0));
        let first = examined.next;
        if write <= first && examined.hole.is_none() {
            examined.hole = Some(examined.brink(offset));
        }
        examined.damage.push(Damage {
            segment: segment.to_owned(),
            offset,
            bytes,
            first,
            next: header.record,
            from: examined.newest.unwrap_or_default(),
            to: header.stored_at,
        });
    }
    mark(&mut examined.marks, header.record, offset);
    examined.end = offset + header.bytes() as u64;
    examined.next = header.record + 1;
    examined.begun_at.get_or_insert(header.stored_at);
    examined.newest = Some(header.stored_at);
    is_new
}
