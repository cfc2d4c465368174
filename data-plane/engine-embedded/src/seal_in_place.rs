//! Sealing a journal segment without writing its messages once more: it takes the name of a sealed segment, and its
//! index is a file of its own. What is in it besides messages stays in it until its class is over.
//!
//! The order is what makes a crash harmless: the index is written under a name that means nothing, and synced; then it
//! gets its name, durably; then the segment gets its own, in one step. An index without records means nothing, so
//! before that step there is a journal segment, and behind it a sealed one.

use std::io::{self, ErrorKind, IoSlice};

use engine::RetentionClass;
use engine::view::FooterBuilder;

use crate::files::Files;
use crate::index::TailIndex;
use crate::layout::{JournalSegment, SealedSegment};
use crate::seal::create;
use crate::sealed::SealedName;

/// Of so many bytes of a segment, one may be no message of its class: what is dead, or could go sooner.
const OTHER_SHARE: u64 = 8;

/// Whether a segment of `end` bytes may come to be sealed in place, as far as it has been read.
pub(crate) fn may_stay(index: &TailIndex, end: u64) -> bool {
    let most = index.class_bytes.iter().copied().max().unwrap_or(0);
    index.unreadable == 0 && index.read_bytes().saturating_sub(most) <= end / OTHER_SHARE
}

/// The class that a segment of `end` bytes, read to its end, is of as a whole: the longest that any of its messages
/// has, so that none is dropped before its time.
pub(crate) fn class(index: &TailIndex, end: u64) -> Option<RetentionClass> {
    let (class, bytes) =
        RetentionClass::ALL.into_iter().zip(index.class_bytes).rfind(|(_, bytes)| *bytes > 0)?;
    let is_most =
        index.unreadable == 0 && index.read_bytes() >= end && end - bytes.min(end) <= end / OTHER_SHARE;
    is_most.then_some(class)
}

/// Gives the segment its index and its name. Its messages may be asked for by that name when this has returned.
pub(crate) fn seal(
    files: &dyn Files,
    segment: &JournalSegment,
    name: SealedName,
    index: &FooterBuilder,
) -> io::Result<SealedSegment> {
    let unfinished = SealedName::unfinished(name.class, name.first);
    let mut file = create(files, &unfinished)?;
    let mut index_bytes = 0;
    index.finish_in_parts(|part| {
        index_bytes += part.len() as u64;
        file.append(&mut [IoSlice::new(part)])
    })?;
    file.sync()?;
    files.rename(&unfinished, &name.index())?;
    files.sync_directory()?;
    match files.rename(&segment.name.to_string(), &name.records()) {
        // By an attempt that failed at the next step.
        Err(error) if error.kind() == ErrorKind::NotFound && is_there(files, &name.records())? => {}
        renamed => renamed?,
    }
    files.sync_directory()?;
    let records = segment.file.bytes()?;
    Ok(SealedSegment { name, bytes: records + index_bytes, records_bytes: Some(records) })
}

fn is_there(files: &dyn Files, name: &str) -> io::Result<bool> {
    Ok(files.list()?.iter().any(|it| it.name == name))
}
