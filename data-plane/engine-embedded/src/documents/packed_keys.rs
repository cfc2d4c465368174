//! Keys in the order of their bytes with a number each, in little memory: an entry has of its key only what the one before
//! it does not begin with. Not here: what a key means.
//!
//! ```text
//! block   entries, at most BLOCK_BYTES_MAX and one
//! entry   varint bytes shared with the key before | varint bytes of the rest | varint number | rest
//! ```
//! The first entry of a block shares nothing.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

/// A block with more is split. Who looks something up goes through half of one.
const BLOCK_BYTES_MAX: usize = 1_024;

/// A block with less is put to the next one, if both together have no more than [`JOINED_BYTES_MAX`].
const BLOCK_BYTES_MIN: usize = 256;
const JOINED_BYTES_MAX: usize = 768;

/// By how much a block grows that is full.
const GROWTH_BYTES: usize = 64;

/// The most bytes of an entry's three numbers.
const HEADER_BYTES_MAX: usize = 15;

/// A sorted map.
#[derive(Debug, Default)]
pub(crate) struct PackedKeys {
    /// Each with a key that is not behind its first one and behind all of the blocks before it; that of the first block
    /// is empty.
    blocks: BTreeMap<Box<[u8]>, Vec<u8>>,
}

/// An entry, as far as it says by itself.
struct Entry {
    shared: usize,
    number: u32,
    /// Where the number and the rest of the key are.
    number_at: Range<usize>,
    rest: Range<usize>,
}

/// Where in a block a key is or belongs.
struct Place {
    /// The first entry whose key is not before it; the block's end if there is none.
    at: usize,
    is_found: bool,
    /// Bytes that it shares with the key in front of that entry, and with the key of the entry.
    shared_before: usize,
    shared_behind: usize,
}

impl PackedKeys {
    /// Puts a key with its number, and answers the number that it had.
    pub(crate) fn insert(&mut self, key: &[u8], number: u32) -> Option<u32> {
        if self.blocks.is_empty() {
            self.blocks.insert(Box::default(), Vec::new());
        }
        let block = self.block_mut(key)?;
        let place = Place::of(block, key);
        if place.is_found {
            let entry = Entry::read(block, place.at);
            let mut written = Header::default();
            written.add(number);
            splice(block, entry.number_at, &[written.bytes()]);
            return Some(entry.number);
        }
        let rest = &key[place.shared_before..];
        let own = Header::new(place.shared_before, rest.len(), number);
        let is_last = place.at == block.len();
        if is_last {
            splice(block, place.at..place.at, &[own.bytes(), rest]);
        } else {
            // The key behind it shares at least as much with it as with the one before.
            let behind = Entry::read(block, place.at);
            let more = place.shared_behind - behind.shared;
            let header = Header::new(place.shared_behind, behind.rest.len() - more, behind.number);
            let replaced = place.at..behind.rest.start + more;
            splice(block, replaced, &[own.bytes(), rest, header.bytes()]);
        }
        if block.len() > BLOCK_BYTES_MAX {
            // Keys that come in order leave full blocks behind them.
            let from = if is_last { place.at } else { block.len() / 2 };
            let split = split(block, from);
            self.blocks.extend(split);
        }
        None
    }

    /// Removes a key, and answers the number that it had.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<u32> {
        let block = self.block_mut(key)?;
        let place = Place::of(block, key);
        if !place.is_found {
            return None;
        }
        let entry = Entry::read(block, place.at);
        if entry.rest.end == block.len() {
            block.truncate(place.at);
        } else {
            // What the key behind it shared with this one alone is to stand there itself.
            let behind = Entry::read(block, entry.rest.end);
            let kept = behind.shared.saturating_sub(entry.shared);
            let rest = block[entry.rest.start..entry.rest.start + kept].to_vec();
            let header = Header::new(behind.shared - kept, behind.rest.len() + kept, behind.number);
            splice(block, place.at..behind.rest.start, &[header.bytes(), &rest]);
        }
        if block.len() < BLOCK_BYTES_MIN {
            self.join(key);
        }
        Some(entry.number)
    }

    /// Puts the block in which a key belongs to the next one, if both are small; without an entry it goes.
    fn join(&mut self, key: &[u8]) {
        let before = self.blocks.range::<[u8], _>((Bound::Unbounded, Bound::Included(key)));
        let Some((begin, block)) = before.into_iter().next_back() else { return };
        let begin = begin.clone();
        if block.is_empty() && (!begin.is_empty() || self.blocks.len() == 1) {
            self.blocks.remove(&begin);
            if self.blocks.values().take(2).all(Vec::is_empty) {
                self.blocks.clear();
            }
            return;
        }
        let behind = (Bound::Excluded(&*begin), Bound::Unbounded);
        let next = self.blocks.range::<[u8], _>(behind).next().map(|(begin, next)| (begin.clone(), next));
        let Some((next_begin, next)) = next.filter(|(_, next)| block.len() + next.len() <= JOINED_BYTES_MAX)
        else {
            return;
        };
        let mut cursor = Cursor::new(block);
        while cursor.advance() {}
        let first = Entry::read(next, 0);
        let rest = &next[first.rest.clone()];
        let shared = shared(rest, &cursor.key);
        let header = Header::new(shared, rest.len() - shared, first.number);
        let joined = [block, header.bytes(), &next[first.rest.start + shared..]].concat();
        self.blocks.remove(&next_begin);
        self.blocks.insert(begin, joined);
    }

    /// Goes through the keys in order, from the first that is not before `place`. `each` is called with a key and moves
    /// `place` to where it goes on, which is the next key if that is not behind it, until it answers false.
    pub(crate) fn walk(&self, place: &mut Vec<u8>, mut each: impl FnMut(&[u8], &mut Vec<u8>) -> bool) {
        let mut key = Vec::new();
        'seek: loop {
            let before = self.blocks.range::<[u8], _>((Bound::Unbounded, Bound::Included(place.as_slice())));
            let Some((begin, _)) = before.into_iter().next_back() else { return };
            let mut blocks = self.blocks.range::<[u8], _>((Bound::Included(&**begin), Bound::Unbounded));
            let mut next = blocks.next();
            while let Some((_, block)) = next {
                next = blocks.next();
                let (mut at, mut matched) = (0, 0);
                loop {
                    let found = Place::behind(block, at, matched, place);
                    if found.at == block.len() {
                        break;
                    }
                    let entry = Entry::read(block, found.at);
                    // It shares nothing with the one before that the place does not share with that.
                    key.clear();
                    key.extend_from_slice(&place[..entry.shared]);
                    key.extend_from_slice(&block[entry.rest.clone()]);
                    if !each(&key, place) {
                        return;
                    }
                    (at, matched) = (entry.rest.end, shared(&key, place));
                    if place.get(matched) <= key.get(matched) {
                        place.clone_from(&key);
                        place.push(0);
                        matched = key.len();
                    }
                    if next.is_some_and(|(begin, _)| place.as_slice() >= &**begin) {
                        continue 'seek;
                    }
                }
            }
            return;
        }
    }

    fn block_mut(&mut self, key: &[u8]) -> Option<&mut Vec<u8>> {
        let mut before = self.blocks.range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(key)));
        before.next_back().map(|(_, block)| block)
    }
}

/// Splits a block before the first entry at `from` or behind it, or else before its last one; the other half with where
/// it begins. One entry alone is not split.
fn split(block: &mut Vec<u8>, from: usize) -> Option<(Box<[u8]>, Vec<u8>)> {
    let mut cursor = Cursor::new(block);
    let at = loop {
        let at = cursor.at;
        if !cursor.advance() {
            return None;
        }
        if at > 0 && (at >= from || cursor.at == block.len()) {
            break at;
        }
    };
    let key = cursor.key;
    let Entry { shared, number, rest, .. } = Entry::read(block, at);
    let upper = [Header::new(0, key.len(), number).bytes(), &key, &block[rest.end..]].concat();
    block.truncate(at);
    block.shrink_to_fit();
    Some((key[..=shared].into(), upper))
}

impl Entry {
    #[inline]
    fn read(block: &[u8], at: usize) -> Self {
        // Nearly all are short, and their numbers have two bytes.
        if let Some(&[shared @ 0..0x80, rest @ 0..0x80, low @ 0x80..=0xFF, high @ 0..0x80]) =
            block.get(at..at + 4)
        {
            let begin = at + 4;
            return Self {
                shared: shared.into(),
                number: u32::from(low & 0x7F) | u32::from(high) << 7,
                number_at: at + 2..begin,
                rest: begin..begin + usize::from(rest),
            };
        }
        let (shared, at) = varint(block, at);
        let (rest_bytes, number_begin) = varint(block, at);
        let (number, begin) = varint(block, number_begin);
        Self {
            shared: shared as usize,
            number,
            number_at: number_begin..begin,
            rest: begin..begin + rest_bytes as usize,
        }
    }
}

impl Place {
    fn of(block: &[u8], key: &[u8]) -> Self {
        Self::behind(block, 0, 0, key)
    }

    /// The place of a key that is behind the one whose entry ends at `at`, and shares so much with it. No key is put
    /// together: an entry that shares more with the one before than the wanted key does stands before that as well, and
    /// one that shares less behind it.
    #[inline]
    fn behind(block: &[u8], mut at: usize, mut matched: usize, key: &[u8]) -> Self {
        while at < block.len() {
            let entry = Entry::read(block, at);
            match entry.shared.cmp(&matched) {
                Ordering::Greater => {}
                Ordering::Less => return Self::before(at, matched, entry.shared),
                Ordering::Equal => {
                    let (rest, wanted) = (&block[entry.rest.clone()], &key[matched..]);
                    let more = shared(rest, wanted);
                    match rest.get(more).cmp(&wanted.get(more)) {
                        Ordering::Less => matched += more,
                        Ordering::Greater => return Self::before(at, matched, matched + more),
                        Ordering::Equal => {
                            return Self { is_found: true, ..Self::before(at, matched, key.len()) };
                        }
                    }
                }
            }
            at = entry.rest.end;
        }
        Self::before(at, matched, 0)
    }

    const fn before(at: usize, shared_before: usize, shared_behind: usize) -> Self {
        Self { at, is_found: false, shared_before, shared_behind }
    }
}

/// Goes through the keys of a block.
struct Cursor<'a> {
    block: &'a [u8],
    /// Of the next entry.
    at: usize,
    key: Vec<u8>,
}

impl<'a> Cursor<'a> {
    const fn new(block: &'a [u8]) -> Self {
        Self { block, at: 0, key: Vec::new() }
    }

    fn advance(&mut self) -> bool {
        if self.at >= self.block.len() {
            return false;
        }
        let entry = Entry::read(self.block, self.at);
        self.key.truncate(entry.shared);
        self.key.extend_from_slice(&self.block[entry.rest.clone()]);
        self.at = entry.rest.end;
        true
    }
}

/// The numbers of an entry, written.
#[derive(Default)]
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    length: usize,
}

impl Header {
    fn new(shared: usize, rest: usize, number: u32) -> Self {
        let mut header = Self::default();
        for length in [shared, rest] {
            header.add(u32::try_from(length).expect("a key has a bound"));
        }
        header.add(number);
        header
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn add(&mut self, mut number: u32) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            self.bytes[self.length] = low & 0x7F | if number == 0 { 0 } else { 0x80 };
            self.length += 1;
            if number == 0 {
                return;
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The number at a place of a block, and where it ends.
#[inline]
fn varint(block: &[u8], mut at: usize) -> (u32, usize) {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = block[at];
        at += 1;
        number |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return (number, at);
        }
        shift += 7;
    }
}

/// How many bytes two keys begin alike with.
#[inline]
fn shared(one: &[u8], other: &[u8]) -> usize {
    let mut at = 0;
    while let (Some(a), Some(b)) = (one[at..].first_chunk(), other[at..].first_chunk()) {
        let differing = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differing != 0 {
            return at + (differing.trailing_zeros() / u8::BITS) as usize;
        }
        at += size_of_val(a);
    }
    while at < one.len() && one.get(at) == other.get(at) {
        at += 1;
    }
    at
}

/// Puts these parts in the place of a range.
fn splice(block: &mut Vec<u8>, replaced: Range<usize>, parts: &[&[u8]]) {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let (before, tail) = (block.len(), replaced.end);
    let after = before - replaced.len() + bytes;
    if after > block.capacity() {
        block.reserve_exact(after - before + GROWTH_BYTES);
    }
    block.resize(after.max(before), 0);
    block.copy_within(tail..before, replaced.start + bytes);
    block.truncate(after);
    let mut at = replaced.start;
    for part in parts {
        block[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
}

#[cfg(test)]
mod tests;
