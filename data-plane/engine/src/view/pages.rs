//! Bytes in checked pages: what lies on a disk is believed page by page, when it is needed, so that opening a large
//! index reads little of it and damage in it costs what is in that page.

use std::sync::Arc;

use super::ReadAt;
use super::kept_pages::OwnPages;
use super::table::Damaged;

/// Bytes that one checksum is of.
pub(super) const PAGE_BYTES: usize = 4_096;

/// The checksum of each page; the last page may be shorter.
pub(super) fn checksums(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(PAGE_BYTES).map(crc32fast::hash).collect()
}

/// Reads within one run of pages, and keeps the page it read last.
pub(super) struct Window<'a> {
    source: &'a dyn ReadAt,
    /// Where the first page begins in the source.
    base: u64,
    /// Bytes of all pages.
    length: u64,
    checksums: &'a [u32],
    /// Where pages are kept that were checked.
    kept: Option<&'a OwnPages>,
    /// The page that is here.
    number: Option<u64>,
    page: Arc<Vec<u8>>,
}

impl<'a> Window<'a> {
    pub(super) fn new(source: &'a dyn ReadAt, base: u64, length: u64, checksums: &'a [u32]) -> Self {
        Self { source, base, length, checksums, kept: None, number: None, page: Arc::default() }
    }

    /// The same, with pages from where they are kept.
    pub(super) fn keeping(self, kept: Option<&'a OwnPages>) -> Self {
        Self { kept, ..self }
    }

    /// Fills `into` from there on.
    pub(super) fn read(&mut self, mut at: u64, mut into: &mut [u8]) -> Result<(), Damaged> {
        while !into.is_empty() {
            self.turn_to(at / PAGE_BYTES as u64)?;
            let within = usize::try_from(at % PAGE_BYTES as u64).map_err(|_| Damaged)?;
            let here = self.page.get(within..).filter(|here| !here.is_empty()).ok_or(Damaged)?;
            let (now, later) = into.split_at_mut(here.len().min(into.len()));
            now.copy_from_slice(&here[..now.len()]);
            at += now.len() as u64;
            into = later;
        }
        Ok(())
    }

    /// The `N` bytes from there on.
    pub(super) fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Damaged> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    fn turn_to(&mut self, number: u64) -> Result<(), Damaged> {
        if self.number == Some(number) {
            return Ok(());
        }
        if let Some(page) = self.kept.and_then(|kept| kept.find(number)) {
            (self.number, self.page) = (Some(number), page);
            return Ok(());
        }
        let checksum = usize::try_from(number).ok().and_then(|number| self.checksums.get(number));
        let checksum = *checksum.ok_or(Damaged)?;
        let begins = number * PAGE_BYTES as u64;
        let length = self.length.saturating_sub(begins).min(PAGE_BYTES as u64);
        self.number = None;
        // What is kept by others is not written over.
        if Arc::get_mut(&mut self.page).is_none() {
            self.page = Arc::default();
        }
        let page = Arc::get_mut(&mut self.page).expect("nobody else has it");
        page.resize(usize::try_from(length).map_err(|_| Damaged)?, 0);
        self.source.read_at(self.base + begins, page).map_err(|_| Damaged)?;
        if crc32fast::hash(page) != checksum {
            return Err(Damaged);
        }
        if let Some(kept) = self.kept {
            kept.keep(number, &self.page);
        }
        self.number = Some(number);
        Ok(())
    }
}
