//! The rows of one instance in a sealed segment, read page by page. Nothing that is read is believed further than its
//! checksum goes: numbers and ends are checked where they are used.

use super::footer::Entry;
use super::pages::Window;
use super::ranked::Order;
use super::row::{ROW_BYTES, Row};
use super::table::{Damaged, Kind, Span, Table};
use super::write::TEXT_ENTRY_BYTES;

/// A table on disk.
pub(super) struct Sealed<'a> {
    entry: Entry,
    /// A window for each of the parts, since a search goes to and fro between them.
    rows: Window<'a>,
    chunks: Window<'a>,
    entries: Window<'a>,
    postings: Window<'a>,
    texts: Window<'a>,
    /// Of a text that is compared.
    scratch: Vec<u8>,
}

/// The entry of a text.
struct TextEntry {
    text: std::ops::Range<u32>,
    posting: std::ops::Range<u32>,
    rows: u32,
    record_bytes: u64,
}

impl<'a> Sealed<'a> {
    pub(super) fn new(entry: Entry, window: impl Fn() -> Window<'a>) -> Self {
        Self {
            entry,
            rows: window(),
            chunks: window(),
            entries: window(),
            postings: window(),
            texts: window(),
            scratch: Vec::new(),
        }
    }

    fn text_entry(&mut self, kind: Kind, number: u32) -> Result<TextEntry, Damaged> {
        if number >= self.texts(kind) {
            return Err(Damaged);
        }
        // The publishers' entries follow the topics', and their texts and postings do as well.
        let nth = match kind {
            Kind::Topics => u64::from(number),
            Kind::Publishers => u64::from(self.entry.topics) + u64::from(number),
        };
        // Read together with the entry before, at whose ends this one begins.
        let mut both = [0; 2 * TEXT_ENTRY_BYTES];
        let behind = if nth == 0 { TEXT_ENTRY_BYTES } else { 0 };
        let at = self.entry.topics_at() + nth * TEXT_ENTRY_BYTES as u64;
        let at = if nth == 0 { at } else { at - TEXT_ENTRY_BYTES as u64 };
        self.entries.read(at, &mut both[behind..])?;
        let number = |at: usize| u32::from_le_bytes([both[at], both[at + 1], both[at + 2], both[at + 3]]);
        let this = TEXT_ENTRY_BYTES;
        let entry = TextEntry {
            text: number(0)..number(this),
            posting: number(4)..number(this + 4),
            rows: number(this + 8),
            record_bytes: u64::from(number(this + 12)) | u64::from(number(this + 16)) << 32,
        };
        let within = |range: &std::ops::Range<u32>, length| range.start <= range.end && range.end <= length;
        let is_sound = within(&entry.text, self.entry.texts)
            && within(&entry.posting, self.entry.postings)
            && u16::try_from(entry.text.len()).is_ok()
            && entry.rows <= self.entry.rows;
        if is_sound { Ok(entry) } else { Err(Damaged) }
    }

    /// Reads a text into the scratch.
    fn load_text(&mut self, kind: Kind, number: u32) -> Result<&[u8], Damaged> {
        let entry = self.text_entry(kind, number)?;
        self.scratch.resize(entry.text.len(), 0);
        self.texts.read(self.entry.texts_at() + u64::from(entry.text.start), &mut self.scratch)?;
        Ok(&self.scratch)
    }
}

impl Table for Sealed<'_> {
    fn span(&self) -> Span {
        self.entry.span
    }

    fn rows(&self) -> u32 {
        self.entry.rows
    }

    fn row(&mut self, number: u32) -> Result<Row, Damaged> {
        if number >= self.entry.rows {
            return Err(Damaged);
        }
        let bytes = self.rows.array(self.entry.at + u64::from(number) * ROW_BYTES as u64)?;
        Ok(Row::from_bytes(&bytes, self.entry.span.first.record))
    }

    fn chunk_times(&mut self, chunk: u32) -> Result<(u64, u64), Damaged> {
        let bytes: [u8; 16] = self.chunks.array(self.entry.chunks_at() + u64::from(chunk) * 16)?;
        let both = u128::from_le_bytes(bytes);
        let half = |number: u128| u64::try_from(number & u128::from(u64::MAX)).map_err(|_| Damaged);
        Ok((half(both)?, half(both >> 64)?))
    }

    fn texts(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Topics => self.entry.topics,
            Kind::Publishers => self.entry.publishers,
        }
    }

    fn order(&self) -> Order {
        Order::Same
    }

    fn text(&mut self, kind: Kind, number: u32, into: &mut String) -> Result<(), Damaged> {
        let text = std::str::from_utf8(self.load_text(kind, number)?).map_err(|_| Damaged)?;
        into.clear();
        into.push_str(text);
        Ok(())
    }

    fn find(&mut self, kind: Kind, text: &str) -> Result<Option<u32>, Damaged> {
        let (mut low, mut high) = (0, self.texts(kind));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.load_text(kind, middle)?.cmp(text.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    fn weight(&mut self, kind: Kind, number: u32) -> Result<(u32, u64), Damaged> {
        let entry = self.text_entry(kind, number)?;
        Ok((entry.rows, entry.record_bytes))
    }

    fn rows_of(&mut self, kind: Kind, number: u32, into: &mut Vec<u32>) -> Result<(), Damaged> {
        let entry = self.text_entry(kind, number)?;
        let base = self.entry.postings_at();
        let (mut at, mut before) = (entry.posting.start, None);
        while at < entry.posting.end {
            let mut distance = 0_u64;
            for shift in (0..).step_by(7) {
                if at >= entry.posting.end || shift > 28 {
                    return Err(Damaged);
                }
                let [byte] = self.postings.array(base + u64::from(at))?;
                at += 1;
                distance |= u64::from(byte & 0x7F) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            // Ascending, and no row twice: but for the first, a distance is never 0.
            let row = match before {
                None => distance,
                Some(_) if distance == 0 => return Err(Damaged),
                Some(before) => before + distance,
            };
            before = Some(row);
            into.push(u32::try_from(row).ok().filter(|row| *row < self.entry.rows).ok_or(Damaged)?);
        }
        Ok(())
    }
}
