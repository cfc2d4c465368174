//! Writes an index as the footer of its segment.
//!
//! ```text
//! sections    of each instance, in pages that have a checksum each:
//!             rows 32 each | chunk times 16 each | topics 20 each | publishers 20 each | postings | texts
//! instances   one entry each (footer.rs), ascending; in the same pages
//! checksums   u32 of each page
//! trailer     fixed length (footer.rs)
//! ```
//! A text's entry: `u32` end of the text, `u32` end of its posting (both counted within the section's part, so that
//! each begins where the one before ends), `u32` rows, `u64` bytes of records. A posting: the number of its
//! first row, then the distance to each next, as variable-length numbers.

use std::io;

use contract::ids::InstanceId;

use super::builder::{FooterBuilder, Rows};
use super::dictionary::Dictionary;
use super::footer::{Entry, Trailer};
use super::pages;
use super::row::{ROW_BYTES, Row};
use super::table::Kind;

/// Bytes of the entry of a text.
pub(super) const TEXT_ENTRY_BYTES: usize = 20;

/// What is handed over at once: what a processor keeps near itself from making it to writing it.
const PART_BYTES: usize = 128 * 1024;

/// Rows that are renumbered at once.
const ROWS_AT_ONCE: usize = 1_024;

/// Takes the next part of a footer.
pub(super) type TakePart<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Hands the footer over in parts, one after the other.
pub(super) fn footer(builder: &FooterBuilder, take: &mut TakePart<'_>) -> io::Result<()> {
    let mut parts = Parts { buffer: Vec::new(), taken: 0, checksums: Vec::new(), take };
    let mut entries = Vec::new();
    for (instance, rows) in builder.instances() {
        entries.push(section(instance, rows, &Texts::of(rows), &mut parts)?);
    }
    let instances_at = parts.bytes();
    for entry in &entries {
        parts.add(&entry.to_bytes())?;
    }
    let paged = parts.bytes();
    let Parts { buffer: mut end, mut checksums, take, .. } = parts;
    checksums.extend(pages::checksums(&end));
    let checksums: Vec<u8> = checksums.iter().flat_map(|checksum| checksum.to_le_bytes()).collect();
    let trailer = Trailer { paged, instances_at, checksums: crc32fast::hash(&checksums) };
    end.extend_from_slice(&checksums);
    end.extend_from_slice(&trailer.to_bytes());
    take(&end)
}

/// The pages of a footer on their way, each with its checksum.
struct Parts<'a, 'b> {
    /// Made and not yet handed over.
    buffer: Vec<u8>,
    /// Bytes of the pages that were handed over, and their checksums.
    taken: u64,
    checksums: Vec<u32>,
    take: &'a mut TakePart<'b>,
}

impl Parts<'_, '_> {
    /// Bytes made so far.
    fn bytes(&self) -> u64 {
        self.taken + self.buffer.len() as u64
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(PART_BYTES) {
            self.buffer.extend_from_slice(part);
            self.hand_over()?;
        }
        Ok(())
    }

    /// Hands over the pages that are full, once there are many.
    fn hand_over(&mut self) -> io::Result<()> {
        if self.buffer.len() < PART_BYTES {
            return Ok(());
        }
        let full = self.buffer.len() / pages::PAGE_BYTES * pages::PAGE_BYTES;
        self.checksums.extend(pages::checksums(&self.buffer[..full]));
        (self.take)(&self.buffer[..full])?;
        self.taken += full as u64;
        self.buffer.drain(..full);
        Ok(())
    }
}

/// The texts of a section, ready to be written.
#[derive(Default)]
struct Texts {
    /// The entries of topics, then of publishers.
    entries: Vec<u8>,
    postings: Vec<u8>,
    texts: Vec<u8>,
    /// The new numbers of topics and of publishers, by the old ones.
    numbers: [Vec<u32>; 2],
}

impl Texts {
    fn of(rows: &Rows) -> Self {
        let mut written = Self { postings: Vec::with_capacity(rows.rows.len() * 3), ..Self::default() };
        let kinds = [(Kind::Topics, &rows.topics), (Kind::Publishers, &rows.publishers)];
        for (kind, dictionary) in kinds {
            let order = dictionary.sorted();
            written.add(rows, kind, dictionary, &order);
            written.numbers[kind as usize] = inverse(&order);
        }
        written
    }

    /// Adds the texts of a dictionary in this order.
    fn add(&mut self, rows: &Rows, kind: Kind, dictionary: &Dictionary, order: &[u32]) {
        let (runs, ends) = runs_by_text(rows, kind, order);
        let mut first_run = 0;
        for (&number, &end) in order.iter().zip(&ends) {
            let text = &dictionary.texts[number as usize];
            self.texts.extend_from_slice(text.text.as_bytes());
            let mut before = 0;
            for &(first, end) in &runs[first_run..end] {
                varint(first - before, &mut self.postings);
                // To each next one it is one.
                self.postings.extend(std::iter::repeat_n(1, (end - first - 1) as usize));
                before = end - 1;
            }
            first_run = end;
            for end in [&self.texts, &self.postings] {
                self.entries.extend_from_slice(&bounded(end.len()).to_le_bytes());
            }
            self.entries.extend_from_slice(&text.count.to_le_bytes());
            self.entries.extend_from_slice(&text.record_bytes.to_le_bytes());
        }
    }
}

/// The runs of the texts in this order, ascending for each, as their first rows and where they end; and where those of
/// each text end.
fn runs_by_text(rows: &Rows, kind: Kind, order: &[u32]) -> (Vec<(u32, u32)>, Vec<usize>) {
    let runs = &*rows.runs[kind as usize];
    // By a text's number: how many runs it has, then where the next one of them belongs.
    let mut next = vec![0; order.len()];
    for run in runs {
        next[run.text as usize] += 1;
    }
    let mut begin = 0;
    for &number in order {
        let place = &mut next[number as usize];
        begin += std::mem::replace(place, begin);
    }
    let mut sorted = vec![(0, 0); runs.len()];
    let ends = runs.iter().skip(1).map(|run| run.first).chain([bounded(rows.rows.len())]);
    for (run, end) in runs.iter().zip(ends) {
        let place = &mut next[run.text as usize];
        sorted[*place] = (run.first, end);
        *place += 1;
    }
    (sorted, order.iter().map(|&number| next[number as usize]).collect())
}

fn section(instance: InstanceId, rows: &Rows, texts: &Texts, parts: &mut Parts<'_, '_>) -> io::Result<Entry> {
    let at = parts.bytes();
    let [topics, publishers] = &texts.numbers;
    renumbered(rows, &texts.numbers, parts)?;
    for (earliest, latest) in &rows.chunk_times {
        parts.add(&(u128::from(*earliest) | u128::from(*latest) << 64).to_le_bytes())?;
    }
    for part in [&texts.entries, &texts.postings, &texts.texts] {
        parts.add(part)?;
    }
    Ok(Entry {
        instance,
        at,
        rows: bounded(rows.rows.len()),
        topics: bounded(topics.len()),
        publishers: bounded(publishers.len()),
        postings: bounded(texts.postings.len()),
        texts: bounded(texts.texts.len()),
        span: rows.span,
    })
}

/// Writes the rows with the new numbers of their texts.
fn renumbered(rows: &Rows, numbers: &[Vec<u32>; 2], parts: &mut Parts<'_, '_>) -> io::Result<()> {
    let mut runs = [0, 1].map(|kind| &*rows.runs[kind]);
    for (chunk, rows) in rows.rows.chunks(ROWS_AT_ONCE).enumerate() {
        let begins = parts.buffer.len();
        parts.buffer.extend_from_slice(rows.as_flattened());
        let first = chunk * ROWS_AT_ONCE;
        for ((kind, runs), numbers) in Kind::BOTH.into_iter().zip(&mut runs).zip(numbers) {
            let mut written = &mut parts.buffer[begins..];
            let mut at = first;
            while let [run, next @ ..] = *runs
                && !written.is_empty()
            {
                let end = next.first().map_or(usize::MAX, |next| next.first as usize);
                let (of_run, others) =
                    written.split_at_mut(written.len().min((end - at).saturating_mul(ROW_BYTES)));
                Row::renumber(of_run, kind, numbers[run.text as usize]);
                at += of_run.len() / ROW_BYTES;
                written = others;
                *runs = if at == end { next } else { *runs };
            }
        }
        parts.hand_over()?;
    }
    Ok(())
}

fn bounded(length: usize) -> u32 {
    u32::try_from(length).expect("a builder has a bound")
}

/// Where each of the numbers stands in the order.
fn inverse(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    for (place, &number) in (0..).zip(order) {
        places[number as usize] = place;
    }
    places
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn varint(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7F).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}
