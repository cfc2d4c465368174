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

use super::builder::{FooterBuilder, Rows};
use super::dictionary::Dictionary;
use super::footer::{Entry, Trailer};
use super::pages;
use super::row::{ROW_BYTES, Row};

/// Bytes of the entry of a text.
pub(super) const TEXT_ENTRY_BYTES: usize = 20;

/// Room for the trailer, and for the checksum of a page that is not full.
const END_BYTES: usize = 64;

/// Writes the footer into `out`, which is empty.
pub(super) fn footer(builder: &FooterBuilder, out: &mut Vec<u8>) {
    let sections: Vec<_> =
        builder.instances.iter().map(|(&instance, rows)| (instance, rows, Texts::of(rows))).collect();
    let bytes: usize = sections.iter().map(|(_, rows, texts)| section_bytes(rows, texts)).sum();
    // All at once, since it is large: with what the checksums and the trailer take.
    out.reserve_exact(bytes + bytes / pages::PAGE_BYTES * 4 + END_BYTES);
    let mut entries = Vec::new();
    for (instance, rows, texts) in sections {
        entries.push(section(instance, rows, &texts, out));
    }
    let instances_at = out.len() as u64;
    for entry in &entries {
        out.extend_from_slice(&entry.to_bytes());
    }
    let checksums = pages::checksums(out);
    let paged = out.len() as u64;
    for checksum in &checksums {
        out.extend_from_slice(&checksum.to_le_bytes());
    }
    let of_checksums = crc32fast::hash(&out[usize::try_from(paged).expect("it was a length")..]);
    let trailer = Trailer { paged, instances_at, checksums: of_checksums };
    out.extend_from_slice(&trailer.to_bytes());
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
        let mut sorted = Vec::new();
        for (kind, dictionary) in [&rows.topics, &rows.publishers].into_iter().enumerate() {
            let order = dictionary.sorted();
            let new = inverse(&order);
            sort_rows(rows, dictionary, kind, (&order, &new), &mut sorted);
            written.add(dictionary, &order, &sorted);
            written.numbers[kind] = new;
        }
        written
    }

    /// Adds the texts of a dictionary in this order; `rows` are those of the first text, then those of the second.
    fn add(&mut self, dictionary: &Dictionary, order: &[u32], mut rows: &[u32]) {
        for &number in order {
            let text = &dictionary.texts[number as usize];
            let (of_text, others) = rows.split_at(text.count as usize);
            rows = others;
            self.texts.extend_from_slice(text.text.as_bytes());
            let mut before = 0;
            for &row in of_text {
                varint(row - before, &mut self.postings);
                before = row;
            }
            for end in [&self.texts, &self.postings] {
                self.entries.extend_from_slice(&bounded(end.len()).to_le_bytes());
            }
            self.entries.extend_from_slice(&text.count.to_le_bytes());
            self.entries.extend_from_slice(&text.record_bytes.to_le_bytes());
        }
    }
}

/// The numbers of all rows by the new numbers of one of their texts, ascending for each. `new` has those numbers by
/// the old ones, which `order` has by them.
fn sort_rows(
    rows: &Rows,
    dictionary: &Dictionary,
    kind: usize,
    (order, new): (&[u32], &[u32]),
    sorted: &mut Vec<u32>,
) {
    let mut next = Vec::with_capacity(order.len());
    let mut begin = 0;
    for &number in order {
        next.push(begin);
        begin += dictionary.texts[number as usize].count as usize;
    }
    sorted.resize(rows.rows.len(), 0);
    for (number, row) in (0..).zip(&rows.rows) {
        let place = &mut next[new[Row::texts(row)[kind] as usize] as usize];
        sorted[*place] = number;
        *place += 1;
    }
}

fn section_bytes(rows: &Rows, texts: &Texts) -> usize {
    rows.rows.len() * ROW_BYTES
        + rows.chunk_times.len() * 16
        + texts.entries.len()
        + texts.postings.len()
        + texts.texts.len()
        + size_of::<Entry>()
}

fn section(instance: contract::ids::InstanceId, rows: &Rows, texts: &Texts, out: &mut Vec<u8>) -> Entry {
    let at = out.len() as u64;
    let [topics, publishers] = &texts.numbers;
    for row in &rows.rows {
        let mut row = *row;
        Row::renumber(&mut row, topics, publishers);
        out.extend_from_slice(&row);
    }
    for (earliest, latest) in &rows.chunk_times {
        out.extend_from_slice(&earliest.to_le_bytes());
        out.extend_from_slice(&latest.to_le_bytes());
    }
    for part in [&texts.entries, &texts.postings, &texts.texts] {
        out.extend_from_slice(part);
    }
    Entry {
        instance,
        at,
        rows: bounded(rows.rows.len()),
        topics: bounded(topics.len()),
        publishers: bounded(publishers.len()),
        postings: bounded(texts.postings.len()),
        texts: bounded(texts.texts.len()),
        span: rows.span,
    }
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
