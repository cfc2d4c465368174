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
use super::row::ROW_BYTES;

/// Bytes of the entry of a text.
pub(super) const TEXT_ENTRY_BYTES: usize = 20;

/// What a row takes in a footer, about: itself, its places in two postings, and its share of the checksums.
const ROW_SHARE_BYTES: usize = ROW_BYTES + 4;

/// Writes the footer into `out`, which is empty.
pub(super) fn footer(builder: &FooterBuilder, out: &mut Vec<u8>) {
    out.reserve(builder.len() as usize * ROW_SHARE_BYTES);
    let mut entries = Vec::new();
    for (&instance, rows) in &builder.instances {
        entries.push(section(instance, rows, out));
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

fn section(instance: contract::ids::InstanceId, rows: &Rows, out: &mut Vec<u8>) -> Entry {
    let at = out.len() as u64;
    let (topics, publishers) = (rows.topics.sorted(), rows.publishers.sorted());
    let (new_topics, new_publishers) = (inverse(&topics), inverse(&publishers));
    for row in &rows.rows {
        let row = super::row::Row {
            topic: new_topics[row.topic as usize],
            publisher: new_publishers[row.publisher as usize],
            ..*row
        };
        out.extend_from_slice(&row.to_bytes(rows.span.first.record));
    }
    for (earliest, latest) in &rows.chunk_times {
        out.extend_from_slice(&earliest.to_le_bytes());
        out.extend_from_slice(&latest.to_le_bytes());
    }
    let mut postings = Vec::with_capacity(rows.rows.len() * 2);
    let mut texts = Vec::new();
    for (dictionary, order) in [(&rows.topics, &topics), (&rows.publishers, &publishers)] {
        self::texts(dictionary, order, &mut texts, &mut postings, out);
    }
    out.extend_from_slice(&postings);
    out.extend_from_slice(&texts);
    Entry {
        instance,
        at,
        rows: u32::try_from(rows.rows.len()).expect("a builder has a bound"),
        topics: u32::try_from(topics.len()).expect("there are no more texts than rows"),
        publishers: u32::try_from(publishers.len()).expect("there are no more texts than rows"),
        postings: u32::try_from(postings.len()).expect("a builder has a bound"),
        texts: u32::try_from(texts.len()).expect("a builder has a bound"),
        span: rows.span,
    }
}

fn texts(
    dictionary: &Dictionary,
    order: &[u32],
    texts: &mut Vec<u8>,
    postings: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    for &number in order {
        let entry = &dictionary.texts[number as usize];
        texts.extend_from_slice(entry.text.as_bytes());
        let mut before = 0;
        for &row in &entry.rows {
            varint(row - before, postings);
            before = row;
        }
        let end = |part: &Vec<u8>| u32::try_from(part.len()).expect("a builder has a bound");
        out.extend_from_slice(&end(texts).to_le_bytes());
        out.extend_from_slice(&end(postings).to_le_bytes());
        out.extend_from_slice(&u32::try_from(entry.rows.len()).expect("a builder has a bound").to_le_bytes());
        out.extend_from_slice(&entry.record_bytes.to_le_bytes());
    }
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
