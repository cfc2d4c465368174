//! Sealing: a closed journal segment becomes a segment of its retention class with the view's footer beside it; or,
//! where its messages are of several classes, they go into segments of theirs, each with a footer, and it goes itself.
//!
//! The order is what makes a crash harmless: the new files are written under names that mean nothing and synced; then
//! they get their names; then the directory is synced; only then does the journal segment go. As long as it is there
//! whatever was made of it is made again, and while the engine runs nobody looks at the new files before all of them
//! have their names.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::time::UnixMillis;
use engine::view::{AddError, FooterBuilder};
use engine::{Pos, Record, RetentionClass};

use crate::damage::Damage;
use crate::files::{Appending, Files};
use crate::index::Batches;
use crate::journal::segment::SEGMENT_HEADER;
use crate::keeper;
use crate::layout::{JournalSegment, Layout, SealedSegment};
use crate::recovery::DAMAGED_SEGMENTS_MAX;
use crate::seal_in_place as in_place;
use crate::sealed::SealedName;
use crate::shared::{Shared, lock};

/// What is written at once.
const WRITE_BYTES: usize = 1024 * 1024;

/// What is written between two syncs: one sync of all of it would hold up the log's own.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// What is kept of memory from segment to segment, in bytes: about what the index of a full segment takes.
const KEPT_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Seals the oldest closed segment. False when there is none.
pub(crate) fn seal_oldest(shared: &Shared) -> io::Result<bool> {
    let layout = shared.layout.load();
    let [oldest, _, ..] = &*layout.journal else { return Ok(false) };
    let memory = &mut *lock(&shared.sealing);
    if seal_in_place(shared, &layout, oldest, memory)? {
        return Ok(true);
    }
    let files = &*shared.files;
    let (sealed, unreadable) = write_classes(files, oldest, memory)?;
    files.sync_directory()?;
    let name = oldest.name.to_string();
    let known = layout.known_damage(oldest);
    let new_damage = (unreadable > known).then(|| damage_since(oldest, shared.now()));
    let is_damaged = unreadable > 0 || is_known_damaged(&layout, oldest);
    shared.layout.change(|layout| {
        layout.journal.retain(|it| it.name != oldest.name);
        layout.sealed.extend(sealed.iter().cloned());
        layout.damage.extend(new_damage);
        layout.damage.iter_mut().filter(|it| it.segment == name).for_each(|it| {
            it.segment = oldest.name.damaged();
        });
    });
    shared.counters.sealed.fetch_add(1, Ordering::Relaxed);
    for it in &sealed {
        let_go(shared, it);
    }
    if is_damaged {
        files.rename(&name, &oldest.name.damaged())?;
    } else {
        files.remove(&name)?;
    }
    files.sync_directory()?;
    if is_damaged {
        drop_damaged(files)?;
    }
    Ok(true)
}

/// Lets go of what the system holds of a sealed segment in memory, unless somebody has asked lately. So writing goes
/// on in memory that was used before: fresh memory costs several times what is written into it.
fn let_go(shared: &Shared, sealed: &SealedSegment) {
    if keeper::is_asked(shared) {
        return;
    }
    for name in sealed.files() {
        if let Ok(file) = shared.files.open(&name) {
            file.let_go();
        }
    }
}

fn is_known_damaged(layout: &Layout, segment: &JournalSegment) -> bool {
    let name = segment.name.to_string();
    layout.damage.iter().any(|it| it.segment == name)
}

/// Seals a segment as it is, with its index beside it. False when it is damaged, or too little of it is of one class.
fn seal_in_place(
    shared: &Shared,
    layout: &Layout,
    segment: &JournalSegment,
    memory: &mut Memory,
) -> io::Result<bool> {
    if is_known_damaged(layout, segment) {
        return Ok(false);
    }
    let index = segment.indexed_while(&mut memory.indexes, |index| in_place::may_stay(index, segment.end()));
    let sealed = match in_place::class(&index, segment.end()).zip(index.builder.times()) {
        Some((class, times)) => {
            let name = SealedName { class, first: segment.name.first, next: segment.next(), times };
            Some(in_place::seal(&*shared.files, segment, name, &index.builder)?)
        }
        None => None,
    };
    drop(index);
    if let Some(sealed) = sealed {
        shared.layout.change(|layout| {
            layout.journal.retain(|it| it.name != segment.name);
            layout.sealed.push(Arc::new(sealed));
        });
        shared.counters.sealed.fetch_add(1, Ordering::Relaxed);
        let_go(shared, &sealed);
    }
    if let Some(index) = segment.take_index() {
        memory.keep(index, Vec::new());
    }
    Ok(sealed.is_some())
}

/// Damage that was not there at the start. Which records it cost is found at the next one, in the segment that is
/// kept aside: somebody may want to look at it.
fn damage_since(segment: &JournalSegment, now: UnixMillis) -> Damage {
    let damage = Damage {
        segment: segment.name.to_string(),
        offset: 0,
        bytes: segment.end(),
        first: segment.name.first,
        next: segment.next(),
        from: segment.begun_at().unwrap_or_default(),
        to: now,
    };
    tracing::error!(%damage, "somewhere in these, stored messages are lost");
    damage
}

fn drop_damaged(files: &dyn Files) -> io::Result<()> {
    let mut kept: Vec<_> = files.list()?.into_iter().map(|it| it.name).collect();
    kept.retain(|it| crate::journal::name::SegmentName::parse_damaged(it).is_some());
    kept.sort_unstable();
    for name in kept.iter().take(kept.len().saturating_sub(DAMAGED_SEGMENTS_MAX)) {
        tracing::warn!(segment = name, "a damaged segment that was kept aside is dropped for newer ones");
        files.remove(name)?;
    }
    Ok(())
}

/// Makes the sealed segments of a journal segment, and counts what could not be read. Their names are not durable yet.
fn write_classes(
    files: &dyn Files,
    segment: &JournalSegment,
    memory: &mut Memory,
) -> io::Result<(Vec<Arc<SealedSegment>>, u64)> {
    let mut classes = RetentionClass::ALL.map(|class| Class::new(files, class, segment.name.first));
    let from = SEGMENT_HEADER as u64;
    let mut batches =
        Batches::new(&*segment.file, segment.name.salt, segment.name.first, from, segment.end());
    let mut unreadable = 0;
    while let Some((_, header, records)) = batches.step() {
        for (index, message) in (0..).zip(records) {
            let Ok(message) = message else {
                unreadable += 1;
                break;
            };
            let Some(retention) = message.envelope.retention else { continue };
            let class = classes.iter_mut().find(|it| it.class == retention);
            let class = class.expect("there is one of each class");
            class.add(Pos { record: header.record, index }, &message, memory)?;
        }
    }
    unreadable += batches.unreadable;
    let mut sealed = Vec::new();
    for class in classes {
        sealed.extend(class.finish(segment.next(), memory)?);
    }
    Ok((sealed, unreadable))
}

/// Memory that is used again from segment to segment: an index has tens of MiB, and fresh ones cost more than filling
/// them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Without a message.
    indexes: Vec<FooterBuilder>,
    /// Without a byte.
    buffers: Vec<Vec<u8>>,
}

impl Memory {
    fn bytes(&self) -> usize {
        let indexes: usize = self.indexes.iter().map(FooterBuilder::memory_bytes).sum();
        indexes + self.buffers.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Keeps what a class has used, as far as there is room for it.
    fn keep(&mut self, mut index: FooterBuilder, mut buffer: Vec<u8>) {
        index.clear();
        buffer.clear();
        if self.bytes() + index.memory_bytes() <= KEPT_BYTES_MAX {
            self.indexes.push(index);
        }
        if self.bytes() + buffer.capacity() <= KEPT_BYTES_MAX {
            self.buffers.push(buffer);
        }
    }
}

/// A sealed segment that is being written.
struct Class<'a> {
    files: &'a dyn Files,
    class: RetentionClass,
    first: u64,
    index: FooterBuilder,
    /// None before the first message: most segments have messages of one or two classes.
    file: Option<Box<dyn Appending>>,
    buffer: Vec<u8>,
    bytes: u64,
    synced: u64,
}

impl<'a> Class<'a> {
    fn new(files: &'a dyn Files, class: RetentionClass, first: u64) -> Self {
        let index = FooterBuilder::new();
        Self { files, class, first, index, file: None, buffer: Vec::new(), bytes: 0, synced: 0 }
    }

    fn add(&mut self, pos: Pos, message: &Record<'_>, memory: &mut Memory) -> io::Result<()> {
        if self.index.is_empty() {
            self.index = memory.indexes.pop().unwrap_or_default();
            self.buffer = memory.buffers.pop().unwrap_or_default();
        }
        let at = self.bytes + self.buffer.len() as u64;
        match self.index.add(pos, at, message) {
            Ok(()) => self.buffer.extend_from_slice(message.bytes),
            // A segment is far smaller than the bounds of an index.
            Err(error @ (AddError::Full | AddError::Order)) => return Err(io::Error::other(error)),
        }
        if self.buffer.len() >= WRITE_BYTES { self.flush(&[]) } else { Ok(()) }
    }

    /// Writes what is buffered, and `more` behind it.
    fn flush(&mut self, more: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(create(self.files, &SealedName::unfinished(self.class, self.first))?),
        };
        file.append(&mut [IoSlice::new(&self.buffer), IoSlice::new(more)])?;
        self.bytes += (self.buffer.len() + more.len()) as u64;
        self.buffer.clear();
        if self.bytes - self.synced >= SYNC_BYTES {
            file.sync()?;
            self.synced = self.bytes;
        }
        Ok(())
    }

    /// Writes the footer and gives the file its name; none without a message.
    fn finish(mut self, next: u64, memory: &mut Memory) -> io::Result<Option<Arc<SealedSegment>>> {
        let Some(times) = self.index.times() else { return Ok(None) };
        let index = std::mem::take(&mut self.index);
        index.finish_in_parts(|part| self.flush(part))?;
        if let Some(file) = &mut self.file {
            file.sync()?;
        }
        let name = SealedName { class: self.class, first: self.first, next, times };
        self.files.rename(&SealedName::unfinished(self.class, self.first), &name.to_string())?;
        memory.keep(index, self.buffer);
        Ok(Some(Arc::new(SealedSegment { name, bytes: self.bytes, records_bytes: None })))
    }
}

/// Makes a file anew: what an attempt before left half done goes.
pub(crate) fn create(files: &dyn Files, name: &str) -> io::Result<Box<dyn Appending>> {
    match files.create(name) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            files.remove(name)?;
            files.create(name)
        }
        made => made,
    }
}
