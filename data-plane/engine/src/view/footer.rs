//! The footer of a sealed segment: which instances it has rows of, and where they are. What is opened is small; rows
//! and texts are read when a query needs them.
//!
//! ```text
//! entry of an instance, 88 bytes, little endian:
//!   instance 16 | u64 where its section begins | u32 rows, topics, publishers, bytes of postings, bytes of texts
//!   u64 first record | u16 index | u64 last record | u16 index | u64 earliest, latest | u64 bytes of records
//! trailer, the last 40 bytes of the segment:
//!   u64 bytes in pages | u64 where the entries begin | u32 CRC-32 of the checksums | u32 version
//!   | u32 0 | u32 CRC-32 of the 28 bytes before | magic 8
//! ```

use std::sync::Arc;

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use uuid::Uuid;

use super::ReadAt;
use super::kept_pages::{KeptPages, OwnPages};
use super::pages::{PAGE_BYTES, Window};
use super::row::ROW_BYTES;
use super::sealed::Sealed;
use super::table::{ROWS_PER_CHUNK, Span};
use super::write::TEXT_ENTRY_BYTES;
use crate::Pos;

/// The version of the footer's form. A reader takes its own and no other.
pub const FOOTER_VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"iotmqidx";
const TRAILER_BYTES: usize = 40;
const ENTRY_BYTES: usize = 88;

/// Why bytes are no segment with a footer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum FooterError {
    /// They do not end as a sealed segment does: it was cut, or never sealed.
    #[error("the segment has no footer")]
    Missing,
    /// A later release, or another program, wrote it.
    #[error("the segment's footer has the form of version {0}, not {FOOTER_VERSION}")]
    Version(u32),
    /// A checksum or a length is wrong.
    #[error("the segment's footer is damaged")]
    Damaged,
    /// The disk does not answer.
    #[error("the segment cannot be read")]
    Read,
}

/// An opened footer: about a thousandth of what it stands for. Keep it as long as the segment is there.
#[derive(Clone, Debug)]
pub struct Footer {
    base: u64,
    paged: u64,
    checksums: Vec<u32>,
    entries: Vec<Entry>,
    kept: Option<OwnPages>,
}

/// The entry of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub instance: InstanceId,
    /// Where its section begins, counted from the footer's first byte.
    pub at: u64,
    pub rows: u32,
    pub topics: u32,
    pub publishers: u32,
    /// Bytes of the postings.
    pub postings: u32,
    /// Bytes of the texts.
    pub texts: u32,
    pub span: Span,
}

/// The end of a footer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trailer {
    /// Bytes in pages.
    pub paged: u64,
    /// Where the instances' entries begin, within the pages.
    pub instances_at: u64,
    /// CRC-32 of the pages' checksums.
    pub checksums: u32,
}

impl Footer {
    /// Opens the footer at the end of a segment that has `length` bytes. Reads its end, not all of it.
    pub fn open(segment: &dyn ReadAt, length: u64) -> Result<Self, FooterError> {
        let trailer_at = length.checked_sub(TRAILER_BYTES as u64).ok_or(FooterError::Missing)?;
        let mut trailer = [0; TRAILER_BYTES];
        segment.read_at(trailer_at, &mut trailer).map_err(|_| FooterError::Read)?;
        let trailer = Trailer::from_bytes(&trailer)?;

        let pages = trailer.paged.div_ceil(PAGE_BYTES as u64);
        let sums_bytes = pages.checked_mul(4).ok_or(FooterError::Damaged)?;
        // From here on every length is at most the segment's own: nothing is allocated for one that is only announced.
        let sums_at = trailer_at.checked_sub(sums_bytes).ok_or(FooterError::Damaged)?;
        let base = sums_at.checked_sub(trailer.paged).ok_or(FooterError::Damaged)?;
        let mut sums = vec![0; usize::try_from(sums_bytes).map_err(|_| FooterError::Damaged)?];
        segment.read_at(sums_at, &mut sums).map_err(|_| FooterError::Read)?;
        if crc32fast::hash(&sums) != trailer.checksums {
            return Err(FooterError::Damaged);
        }
        let checksums: Vec<u32> =
            sums.as_chunks::<4>().0.iter().map(|sum| u32::from_le_bytes(*sum)).collect();

        let mut window = Window::new(segment, base, trailer.paged, &checksums);
        let table = trailer.paged.checked_sub(trailer.instances_at).ok_or(FooterError::Damaged)?;
        if table % ENTRY_BYTES as u64 != 0 {
            return Err(FooterError::Damaged);
        }
        let mut entries = Vec::new();
        for number in 0..table / ENTRY_BYTES as u64 {
            let at = trailer.instances_at + number * ENTRY_BYTES as u64;
            let entry = Entry::from_bytes(&window.array(at).map_err(|_| FooterError::Damaged)?);
            let ascends = entries.last().is_none_or(|before: &Entry| before.instance < entry.instance);
            if !ascends || !entry.fits(trailer.instances_at) {
                return Err(FooterError::Damaged);
            }
            entries.push(entry);
        }
        Ok(Self { base, paged: trailer.paged, checksums, entries, kept: None })
    }

    /// Keeps pages of the index that are read, beside those of other segments.
    #[must_use]
    pub fn keep_pages(self, pages: Arc<KeptPages>) -> Self {
        Self { kept: Some(OwnPages::new(pages)), ..self }
    }

    /// Opens the footer at the end of a segment in memory.
    pub fn parse(segment: &[u8]) -> Result<Self, FooterError> {
        // A slice is no `dyn ReadAt` since its size is not known: a reference to it is.
        struct Bytes<'a>(&'a [u8]);
        impl ReadAt for Bytes<'_> {
            fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<()> {
                self.0.read_at(at, into)
            }
        }
        Self::open(&Bytes(segment), segment.len() as u64)
    }

    /// Where the footer begins: the length of the segment's records, whatever is in front of them included.
    #[must_use]
    pub const fn begins_at(&self) -> u64 {
        self.base
    }

    /// The instances that have messages in the segment, ascending.
    pub fn instances(&self) -> impl Iterator<Item = InstanceId> {
        self.entries.iter().map(|entry| entry.instance)
    }

    /// How many messages the segment has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.rows)).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the first and the last message stand in the log.
    #[must_use]
    pub fn positions(&self) -> Option<(Pos, Pos)> {
        let spans = || self.entries.iter().map(|entry| entry.span);
        spans().map(|span| span.first).min().zip(spans().map(|span| span.last).max())
    }

    /// When the earliest and the latest message were stored.
    #[must_use]
    pub fn times(&self) -> Option<(UnixMillis, UnixMillis)> {
        let spans = || self.entries.iter().map(|entry| entry.span);
        let times = spans().map(|span| span.earliest).min().zip(spans().map(|span| span.latest).max());
        times.map(|(earliest, latest)| (UnixMillis(earliest), UnixMillis(latest)))
    }

    /// The bytes that it takes in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.checksums.capacity() * 4 + self.entries.capacity() * size_of::<Entry>()
    }

    /// The rows of an instance; the segment's bytes are where it was opened from.
    pub(super) fn table<'a>(&'a self, instance: InstanceId, segment: &'a dyn ReadAt) -> Option<Sealed<'a>> {
        let at = self.entries.binary_search_by_key(&instance, |entry| entry.instance).ok()?;
        let kept = self.kept.as_ref();
        let window = || Window::new(segment, self.base, self.paged, &self.checksums).keeping(kept);
        Some(Sealed::new(self.entries[at], window))
    }
}

impl Trailer {
    pub(super) fn to_bytes(self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..8].copy_from_slice(&self.paged.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.instances_at.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.checksums.to_le_bytes());
        bytes[20..24].copy_from_slice(&FOOTER_VERSION.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
        bytes[32..].copy_from_slice(&MAGIC);
        bytes
    }

    fn from_bytes(bytes: &[u8; TRAILER_BYTES]) -> Result<Self, FooterError> {
        let mut fields = Fields(bytes);
        let (paged, instances_at) = (fields.u64(), fields.u64());
        let (checksums, version, zero, checksum) = (fields.u32(), fields.u32(), fields.u32(), fields.u32());
        if fields.0 != MAGIC {
            return Err(FooterError::Missing);
        }
        if checksum != crc32fast::hash(&bytes[..28]) {
            return Err(FooterError::Damaged);
        }
        if version != FOOTER_VERSION {
            return Err(FooterError::Version(version));
        }
        if zero == 0 { Ok(Self { paged, instances_at, checksums }) } else { Err(FooterError::Damaged) }
    }
}

impl Entry {
    pub(super) const fn chunks_at(&self) -> u64 {
        self.at + self.rows as u64 * ROW_BYTES as u64
    }

    pub(super) const fn topics_at(&self) -> u64 {
        self.chunks_at() + self.rows.div_ceil(ROWS_PER_CHUNK) as u64 * 16
    }

    pub(super) const fn publishers_at(&self) -> u64 {
        self.topics_at() + self.topics as u64 * TEXT_ENTRY_BYTES as u64
    }

    pub(super) const fn postings_at(&self) -> u64 {
        self.publishers_at() + self.publishers as u64 * TEXT_ENTRY_BYTES as u64
    }

    pub(super) const fn texts_at(&self) -> u64 {
        self.postings_at() + self.postings as u64
    }

    /// Whether its section ends in front of the entries. `at` is at most that, so that no sum above runs over.
    fn fits(&self, instances_at: u64) -> bool {
        self.at <= instances_at && self.texts_at() + u64::from(self.texts) <= instances_at
    }

    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = Vec::with_capacity(ENTRY_BYTES);
        let Span { first, last, earliest, latest, bytes: record_bytes } = self.span;
        bytes.extend_from_slice(self.instance.0.as_bytes());
        bytes.extend_from_slice(&self.at.to_le_bytes());
        for count in [self.rows, self.topics, self.publishers, self.postings, self.texts] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        for pos in [first, last] {
            bytes.extend_from_slice(&pos.record.to_le_bytes());
            bytes.extend_from_slice(&pos.index.to_le_bytes());
        }
        for number in [earliest, latest, record_bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.try_into().expect("the fields are of this length")
    }

    fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let mut fields = Fields(bytes);
        let instance = InstanceId(Uuid::from_bytes(fields.array()));
        let at = fields.u64();
        let (rows, topics, publishers, postings, texts) =
            (fields.u32(), fields.u32(), fields.u32(), fields.u32(), fields.u32());
        let (first, last) = (fields.pos(), fields.pos());
        let span = Span { first, last, earliest: fields.u64(), latest: fields.u64(), bytes: fields.u64() };
        Self { instance, at, rows, topics, publishers, postings, texts, span }
    }
}

/// Numbers one after the other, from bytes whose length was settled.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (array, rest) = self.0.split_first_chunk().expect("the array has this length");
        self.0 = rest;
        *array
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn pos(&mut self) -> Pos {
        Pos { record: self.u64(), index: u16::from_le_bytes(self.array()) }
    }
}
