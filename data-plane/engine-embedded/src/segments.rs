//! Sealed segments that are open: their files and footers, kept from query to query within bounds.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use engine::view::{Footer, FooterError, KeptPages};
use hashbrown::{HashMap, HashSet};

use crate::files::{Files, Joined, Reading};
use crate::index::Bytes;
use crate::kept_blocks::{KeptBlocks, KeptBytes, SegmentId};
use crate::layout::SealedSegment;
use crate::sealed::SealedName;
use crate::shared::lock;

/// The most segments that are kept open: each is two files at most.
const OPEN_SEGMENTS_MAX: usize = 256;

/// Which part of the memory is for pages of indexes.
const PAGES_PART: usize = 8;

/// And which part is for blocks of records.
const BLOCKS_PART: usize = 6;

/// A sealed segment, ready to be asked.
#[derive(Debug)]
pub(crate) struct Opened {
    name: SealedName,
    /// Bytes of all its files.
    bytes: u64,
    pub(crate) file: Arc<dyn Reading>,
    pub(crate) footer: Footer,
}

impl Opened {
    /// Its records and its index as a view reads them.
    pub(crate) fn kept_bytes<'a>(&'a self, blocks: &'a KeptBlocks) -> KeptBytes<'a> {
        let segment = SegmentId { first: self.name.first, class: self.name.class.bits() };
        KeptBytes { file: &*self.file, segment, end: self.bytes, blocks }
    }
}

/// Why one cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenFailed {
    /// Its file cannot be opened: it was dropped meanwhile, or is lost.
    #[error(transparent)]
    File(#[from] io::Error),
    /// It is damaged, or cannot be read now.
    #[error(transparent)]
    Footer(#[from] FooterError),
}

/// What is open.
#[derive(Debug)]
pub(crate) struct OpenSegments {
    inner: Mutex<Inner>,
    bytes_max: usize,
    pages: Arc<KeptPages>,
    blocks: KeptBlocks,
}

#[derive(Debug, Default)]
struct Inner {
    open: HashMap<Key, Arc<Opened>, foldhash::fast::RandomState>,
    /// In the order in which they were opened.
    order: VecDeque<Key>,
    bytes: usize,
    /// Those of which it has been said that they cannot be read.
    said: HashSet<Key, foldhash::fast::RandomState>,
}

/// A segment's first record and its class.
type Key = (u64, u8);

const fn key(name: SealedName) -> Key {
    (name.first, name.class.bits())
}

impl OpenSegments {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let pages = Arc::new(KeptPages::new(bytes_max / PAGES_PART));
        let blocks = KeptBlocks::new(bytes_max / BLOCKS_PART);
        let bytes_max = bytes_max - bytes_max / PAGES_PART - bytes_max / BLOCKS_PART;
        Self { inner: Mutex::default(), bytes_max, pages, blocks }
    }

    /// What is kept of records.
    pub(crate) const fn blocks(&self) -> &KeptBlocks {
        &self.blocks
    }

    /// The segment, opened now or before.
    pub(crate) fn open(&self, files: &dyn Files, segment: &SealedSegment) -> Result<Arc<Opened>, OpenFailed> {
        let key = key(segment.name);
        if let Some(opened) = lock(&self.inner).open.get(&key) {
            return Ok(Arc::clone(opened));
        }
        // Without the lock: others need not wait for this file.
        let Opened { name, bytes, file, footer } = open(files, segment)?;
        let footer = footer.keep_pages(Arc::clone(&self.pages));
        let opened = Arc::new(Opened { name, bytes, file, footer });
        let mut inner = lock(&self.inner);
        if inner.open.insert(key, Arc::clone(&opened)).is_none() {
            inner.order.push_back(key);
            inner.bytes += opened.footer.memory_bytes();
        }
        while inner.bytes > self.bytes_max || inner.order.len() > OPEN_SEGMENTS_MAX {
            let Some(first) = inner.order.pop_front() else { break };
            inner.close(first);
        }
        Ok(opened)
    }

    /// Whether it is to be said now that a segment cannot be read: once for each.
    pub(crate) fn is_news(&self, name: SealedName) -> bool {
        lock(&self.inner).said.insert(key(name))
    }

    /// Closes a segment that has been dropped; who is reading it reads on.
    pub(crate) fn forget(&self, name: SealedName) {
        let mut inner = lock(&self.inner);
        inner.order.retain(|it| *it != key(name));
        inner.close(key(name));
        inner.said.remove(&key(name));
    }
}

impl Inner {
    fn close(&mut self, key: Key) {
        if let Some(closed) = self.open.remove(&key) {
            self.bytes = self.bytes.saturating_sub(closed.footer.memory_bytes());
        }
    }
}

/// Opens a segment that is not kept open.
pub(crate) fn open(files: &dyn Files, segment: &SealedSegment) -> Result<Opened, OpenFailed> {
    let file = match segment.records_bytes {
        None => files.open(&segment.name.to_string())?,
        Some(bytes) => {
            let (records, index) = (files.open(&segment.name.records())?, files.open(&segment.name.index())?);
            Arc::new(Joined::new(records, bytes, index))
        }
    };
    let footer = Footer::open(&Bytes(&*file), segment.bytes)?;
    Ok(Opened { name: segment.name, bytes: segment.bytes, file, footer })
}
