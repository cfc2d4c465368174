//! The overlay and the documents under it as one: what is asked sees the newest committed state, and what is carried
//! from the one to the other is never out of sight.
//!
//! Whoever reads looks at the overlay first and at the documents after: what was carried over in between is then found in
//! the second place, and what was found in the first is the newer one.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use engine::view::retained::Walk;
use engine::{CommittedBatch, Document, FoundDocument, Key, Rev, SCAN_BYTES_MAX};

use super::key;
use super::opening::OpenedDocuments;
use super::overlay::{Moving, Overlay, Writes, Written, add_writes_of};
use super::retained::{Retained, Sum};
use super::{DocumentView, Documents};
use crate::shared::lock;

/// What of the overlay is looked at under one lock, in entries: the log's thread waits for it.
const OVERLAY_PAGE: usize = 256;

/// Topics of retained messages that are passed under one lock: the log's thread waits for it.
const RETAINED_AT_ONCE: usize = 64;

/// Retained messages that are deleted under one lock, since their time is over: the log's thread waits for it.
const EXPIRED_AT_ONCE: usize = 64;

/// By how much the next page of the overlay is larger when one was not enough: what is deleted takes room in it.
const OVERLAY_PAGE_GROWTH: usize = 4;

/// When it holds this part of its bound, the overlay is carried away.
const MOVE_PART: usize = 4;

/// From this multiple of its bound on, batches that change documents are refused. Between the two the workers find no
/// room and submit only what they had room for before.
const REFUSE_TIMES: usize = 2;

/// Everything of documents but the threads.
#[derive(Debug)]
pub(crate) struct Store {
    overlay: Mutex<Overlay>,
    /// True of the overlay and the documents together. Who writes goes before those who read next, so that a long walk does
    /// not hold up the log's thread.
    retained: RwLock<Retained>,
    /// Of the overlay, for who only looks.
    bytes: AtomicUsize,
    bytes_max: usize,
    /// The documents are durable up to this record.
    persisted: AtomicU64,
    /// Whether the last attempt to carry the overlay away failed.
    is_failing: AtomicBool,
    /// None once the engine has stopped, so that its directory can be opened again.
    documents: RwLock<Option<Arc<dyn Documents>>>,
    losses: Mutex<Vec<Arc<str>>>,
    /// Whether a document was seen that is no retained message: of a session or a group, who read on in the log.
    has_readers: AtomicBool,
}

/// What answers when the engine has stopped.
fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the engine has stopped")
}

/// A document with its whole key.
pub(crate) type Row = (Vec<u8>, Document);

impl Store {
    /// Over documents that were just opened.
    pub(crate) fn new(opened: OpenedDocuments, bytes_max: usize) -> Self {
        let OpenedDocuments { documents, position, retained, .. } = opened;
        Self {
            overlay: Mutex::new(Overlay::new(position)),
            retained: RwLock::new(retained),
            bytes: AtomicUsize::new(0),
            bytes_max,
            persisted: AtomicU64::new(position),
            is_failing: AtomicBool::new(false),
            documents: RwLock::new(Some(documents)),
            losses: Mutex::default(),
            has_readers: AtomicBool::new(false),
        }
    }

    /// Whether somebody is to be expected who reads on in the log: the documents of sessions or groups have been written or
    /// read since the start.
    pub(crate) fn has_readers(&self) -> bool {
        self.has_readers.load(Ordering::Relaxed)
    }

    fn note_readers<'a>(&self, mut keys: impl Iterator<Item = &'a [u8]>) {
        if !self.has_readers() && keys.any(|full| !key::is_retained(full)) {
            self.has_readers.store(true, Ordering::Relaxed);
        }
    }

    /// Takes in what one sync committed, before anybody is told of it; the batches end before `next`. Whether it is time to
    /// carry the overlay away.
    pub(crate) fn add(&self, batches: &[CommittedBatch], next: u64) -> bool {
        let mut writes = Writes::new();
        for batch in batches.iter().filter(|it| it.batch.has_documents()) {
            if let Err(error) = add_writes_of(batch.record, &batch.batch, &mut writes) {
                // It was made in this process, so that this cannot be; nothing else may be lost by it.
                tracing::error!(%error, record = batch.record, "a committed batch cannot be read");
            }
        }
        self.note_readers(writes.iter().map(|(full, _)| full.as_slice()));
        self.take_in(writes, next)
    }

    /// Takes in writes of records before `next`. Whether it is time to carry the overlay away.
    pub(crate) fn take_in(&self, writes: Writes, next: u64) -> bool {
        let mut retained = writes.iter().filter(|(full, _)| key::is_retained(full)).peekable();
        let known = retained.peek().is_some().then(|| {
            let mut known = self.retained.write().unwrap_or_else(PoisonError::into_inner);
            retained.for_each(|(full, it)| known.set(full, it.body.as_deref()));
            known
        });
        let is_due = self.change(|overlay| {
            overlay.add(writes);
            overlay.next = next;
        });
        // Kept until both know of it: what has expired is deleted in both.
        drop(known);
        is_due
    }

    /// Deletes retained messages whose time is over, [`EXPIRED_AT_ONCE`] at most. How many.
    pub(crate) fn delete_expired(&self, now: UnixMillis) -> usize {
        // One look for all the others, while nothing is due.
        if self.retained().is_none_due(now) {
            return 0;
        }
        let mut known = self.retained.write().unwrap_or_else(PoisonError::into_inner);
        let expired = std::iter::from_fn(|| known.take_expired(now)).take(EXPIRED_AT_ONCE);
        let writes: Writes = expired.map(|full| (full, Written { rev: Rev::ABSENT, body: None })).collect();
        let deleted = writes.len();
        // Under the lock that the log's thread takes first: what it brings for one of these topics comes behind this.
        self.change(|overlay| overlay.add(writes));
        drop(known);
        deleted
    }

    /// Changes the overlay; whether it is time to carry it away.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Overlay)) -> bool {
        let mut overlay = lock(&self.overlay);
        change(&mut overlay);
        let bytes = overlay.bytes();
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes >= self.bytes_max / MOVE_PART
    }

    /// Whether workers find room for more.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) < self.bytes_max
    }

    /// Bytes of documents that are not carried away yet.
    pub(crate) fn overlay_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether batches that change documents are refused.
    pub(crate) fn is_overfull(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.bytes_max.saturating_mul(REFUSE_TIMES)
    }

    /// Whether it is time to carry the overlay away.
    pub(crate) fn is_due(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.bytes_max / MOVE_PART
    }

    /// The documents are durable up to this record.
    pub(crate) fn persisted(&self) -> u64 {
        self.persisted.load(Ordering::Acquire)
    }

    /// Carries the overlay to the documents and makes them durable. When it fails nothing is lost, and it is tried again.
    pub(crate) fn carry(&self) -> io::Result<()> {
        let carried = self.try_carry();
        self.is_failing.store(carried.is_err(), Ordering::Relaxed);
        carried
    }

    /// Whether the last attempt to carry the overlay away failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    fn try_carry(&self) -> io::Result<()> {
        let documents = self.documents()?;
        let moving =
            {
                let mut overlay = lock(&self.overlay);
                let overlay = &mut *overlay;
                let (active, next) = (&mut overlay.active, overlay.next);
                Arc::clone(overlay.moving.get_or_insert_with(|| {
                    Arc::new(Moving { layer: std::mem::take(active), position: next })
                }))
            };
        let is_news = moving.position > self.persisted() || !moving.layer.entries.is_empty();
        if is_news {
            documents.apply(&mut moving.layer.writes(), moving.position)?;
            documents.persist()?;
        }
        self.persisted.fetch_max(moving.position, Ordering::AcqRel);
        self.change(|overlay| overlay.moving = None);
        Ok(())
    }

    /// Carries until the documents are durable up to `record`, which was committed.
    pub(crate) fn carry_to(&self, record: u64) -> io::Result<()> {
        // The first time may finish what failed before, which ended earlier.
        for _ in 0..2 {
            if self.persisted() >= record {
                return Ok(());
            }
            self.carry()?;
        }
        if self.persisted() >= record { Ok(()) } else { Err(io::Error::other("the documents stay behind")) }
    }

    /// Lets go of the documents: nothing is answered any more.
    pub(crate) fn close(&self) {
        *self.documents.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn documents(&self) -> io::Result<Arc<dyn Documents>> {
        let documents = self.documents.read().unwrap_or_else(PoisonError::into_inner);
        documents.clone().ok_or_else(stopped)
    }

    /// What was said to be lost.
    pub(crate) fn losses(&self) -> Vec<Arc<str>> {
        lock(&self.losses).clone()
    }

    pub(crate) fn set_losses(&self, losses: Vec<String>) {
        *lock(&self.losses) = losses.into_iter().map(Arc::from).collect();
    }

    pub(crate) fn retained_of(&self, instance: InstanceId) -> Sum {
        self.retained().of(instance)
    }

    /// Leads a walk over the topics of an instance that have a retained message.
    pub(crate) fn walk_retained(&self, instance: InstanceId, walk: &mut dyn Walk) -> io::Result<()> {
        // Once the engine has stopped nothing is answered.
        self.documents()?;
        while !self.retained().walk(instance, walk, RETAINED_AT_ONCE) {}
        Ok(())
    }

    fn retained(&self) -> RwLockReadGuard<'_, Retained> {
        self.retained.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The document under a key.
    pub(crate) fn get(&self, instance: InstanceId, key: &[u8]) -> io::Result<Option<Document>> {
        let documents = self.documents()?;
        let full = key::full(instance, key);
        // Copied behind the lock: the log's thread waits for it.
        let written = lock(&self.overlay).get(&full).cloned();
        if let Some(written) = written {
            return Ok(document(&written));
        }
        Ok(documents.get(&full)?.map(|it| Document { rev: it.rev, body: it.body }))
    }

    /// The first key at `from` or behind it that begins with `prefix`.
    fn next_full(&self, from: Vec<u8>, prefix: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut rows = Rows { has_bodies: false, ..Rows::new(1) };
        self.collect(from, prefix, &mut rows)?;
        Ok(rows.found.into_iter().next().map(|(full, _)| full))
    }

    /// The documents from the key `from` on that begin with `prefix`, in order: at most `limit`, and not many more bytes
    /// than [`SCAN_BYTES_MAX`].
    pub(crate) fn rows(&self, from: Vec<u8>, prefix: &[u8], limit: usize) -> io::Result<Vec<Row>> {
        let mut rows = Rows::new(limit);
        self.collect(from, prefix, &mut rows)?;
        Ok(rows.found)
    }

    /// The documents of all instances whose keys begin with `prefix`, behind `after`, in order and within the bounds of
    /// [`Store::rows`].
    pub(crate) fn rows_of_all(
        &self,
        prefix: &[u8],
        after: Option<(InstanceId, &Key)>,
        limit: usize,
    ) -> io::Result<Vec<FoundDocument>> {
        let mut from = match after {
            Some((instance, after)) => key::behind(&key::full(instance, after.as_bytes())),
            None => Vec::new(),
        };
        let mut rows = Rows::new(limit);
        while !rows.is_full() {
            // Which instance comes next; then its documents with the prefix; then the next instance.
            let Some(full) = self.next_full(from.clone(), &[])? else { break };
            let Some((instance, _)) = key::split(&full) else { break };
            self.collect(from.max(full), &key::full(instance, prefix), &mut rows)?;
            match key::behind_prefix(instance.0.as_bytes()) {
                Some(behind) => from = behind,
                None => break,
            }
        }
        self.note_readers(rows.found.iter().map(|(full, _)| full.as_slice()));
        let found = |(full, document): Row| {
            let (instance, key) = key::parse(&full)?;
            Some((instance, key, document))
        };
        Ok(rows.found.into_iter().filter_map(found).collect())
    }

    /// Adds documents from the key `from` on that begin with `prefix`, in order, until there are no more or enough.
    fn collect(&self, from: Vec<u8>, prefix: &[u8], rows: &mut Rows) -> io::Result<()> {
        let documents = self.documents()?;
        let mut from = if from.as_slice() < prefix { prefix.to_vec() } else { from };
        let wanted = rows.limit.saturating_sub(rows.found.len());
        let mut page_max = OVERLAY_PAGE.min(wanted.saturating_mul(2));
        while !rows.is_full() {
            let page = lock(&self.overlay).range(&from, page_max);
            // The documents are taken as far as the overlay was looked at.
            let last = page.last().filter(|_| page.len() == page_max).map(|(key, _)| key.clone());
            let mut merge = Merge { page: page.into_iter().peekable(), prefix, rows };
            documents.range(&from, &mut |key, view| {
                last.as_ref().is_none_or(|last| *key <= **last) && merge.below(key, view)
            })?;
            merge.rest();
            match last {
                Some(last) if last.starts_with(prefix) => from = key::behind(&last),
                Some(_) | None => break,
            }
            page_max = OVERLAY_PAGE.min(page_max * OVERLAY_PAGE_GROWTH);
        }
        Ok(())
    }
}

/// Documents that are being found.
struct Rows {
    found: Vec<Row>,
    limit: usize,
    /// Of the keys and documents that were found.
    bytes: usize,
    /// Whether bodies are wanted: without them they are empty.
    has_bodies: bool,
}

impl Rows {
    const fn new(limit: usize) -> Self {
        Self { found: Vec::new(), limit, bytes: 0, has_bodies: true }
    }

    const fn is_full(&self) -> bool {
        self.found.len() >= self.limit || self.bytes >= SCAN_BYTES_MAX
    }

    fn push(&mut self, key: Vec<u8>, rev: Rev, body: &[u8]) {
        let body = if self.has_bodies { body.to_vec() } else { Vec::new() };
        self.bytes += key.len() + body.len();
        self.found.push((key, Document { rev, body }));
    }
}

/// A page of the overlay that is put together with documents.
struct Merge<'a> {
    page: std::iter::Peekable<std::vec::IntoIter<(Box<[u8]>, Written)>>,
    prefix: &'a [u8],
    rows: &'a mut Rows,
}

impl Merge<'_> {
    /// Takes what the overlay has up to `key`, and the document there unless the overlay has one. False when there is
    /// enough.
    fn below(&mut self, key: &[u8], view: DocumentView<'_>) -> bool {
        while let Some((key, written)) = self.page.next_if(|(it, _)| **it < *key) {
            self.take(key.into_vec(), &written);
        }
        match self.page.next_if(|(it, _)| **it == *key) {
            Some((key, written)) => self.take(key.into_vec(), &written),
            None if key.starts_with(self.prefix) && !self.rows.is_full() => {
                self.rows.push(key.to_vec(), view.rev, view.body);
            }
            None => {}
        }
        !self.rows.is_full() && key.starts_with(self.prefix)
    }

    /// Takes what is left of the page.
    fn rest(&mut self) {
        while let Some((key, written)) = self.page.next() {
            self.take(key.into_vec(), &written);
        }
    }

    fn take(&mut self, key: Vec<u8>, written: &Written) {
        if !self.rows.is_full()
            && key.starts_with(self.prefix)
            && let Some(body) = &written.body
        {
            self.rows.push(key, written.rev, body);
        }
    }
}

fn document(written: &Written) -> Option<Document> {
    let body = written.body.as_ref()?;
    Some(Document { rev: written.rev, body: body.to_vec() })
}
