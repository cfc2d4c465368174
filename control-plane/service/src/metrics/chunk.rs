//! A minute of one instance's metrics, and the bytes in which it is kept.
//!
//! A chunk is a set of *slots*, each told by one source: a run of a node's process. A slot never changes once it is
//! told, so two chunks of one minute are joined by taking every slot that either has: in any order, and twice as well
//! as once. That is what makes late, repeated and concurrently written slots harmless.
//!
//! The bytes: the version, then for each source its name, the seconds of the minute at which its slots begin (as bits),
//! and its series: a code, a reason, and a value for each slot as the difference from the one before. Series that are 0
//! throughout are left out; numbers are LEB128, differences zigzag.

use std::collections::BTreeMap;

use contract::ids::NodeId;
use contract::metrics::InstanceSample;
use uuid::Uuid;

use crate::seal::sha256;

/// The first byte of a chunk.
const VERSION: u8 = 1;
/// Seconds of a minute: where slots may begin.
pub(crate) const SECONDS: u8 = 60;
/// The most sources of one chunk, series of one source, and bytes of one reason: what is beyond them is not taken.
const SOURCES_MAX: usize = 1_024;
const SERIES_MAX: usize = 256;
const REASON_BYTES_MAX: usize = 64;

/// The codes of metrics in kept chunks: never changed, never given again.
const CODES: &[(&str, u8)] = &[
    ("connections", 0),
    ("connects", 1),
    ("disconnects", 2),
    ("messages_in", 3),
    ("messages_out", 4),
    ("bytes_in", 5),
    ("bytes_out", 6),
    ("messages_stored", 7),
    ("unmatched", 8),
    ("refused", 9),
    ("dropped", 10),
];
/// How many seconds the slot has: in the platform's chunks, where it is what a node has told of.
pub(crate) const SLOT_SECS_CODE: u8 = 255;

/// The code of a metric by its name.
pub(crate) fn code(name: &str) -> u8 {
    CODES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, code)| *code)
        .expect("tested to have every metric")
}

/// A run of a node's process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Source(pub(crate) u64);

impl Source {
    pub(crate) fn new(node: NodeId, boot: Uuid) -> Self {
        let digest = sha256(&[*node.0.as_bytes(), *boot.as_bytes()].concat());
        Self(digest.iter().take(8).fold(0, |name, byte| name << 8 | u64::from(*byte)))
    }
}

/// One line of values: a metric, and the reason where it is told apart by reasons (else empty).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SeriesKey {
    pub(crate) code: u8,
    pub(crate) reason: Box<str>,
}

/// The values of one slot, without those that are 0.
pub(crate) fn values_of(sample: &InstanceSample) -> Vec<(SeriesKey, u64)> {
    let plain = [
        ("connections", sample.connections),
        ("connects", sample.connects),
        ("disconnects", sample.disconnects),
        ("messages_in", sample.messages_in),
        ("messages_out", sample.messages_out),
        ("bytes_in", sample.bytes_in),
        ("bytes_out", sample.bytes_out),
        ("messages_stored", sample.messages_stored),
        ("unmatched", sample.unmatched),
    ];
    let plain = plain.map(|(name, value)| (SeriesKey { code: code(name), reason: Box::default() }, value));
    let refused = by_reason("refused", &sample.refused);
    let dropped = by_reason("dropped", &sample.dropped);
    plain.into_iter().chain(refused).chain(dropped).filter(|(_, value)| *value > 0).collect()
}

/// The values of what is told apart by reason.
pub(crate) fn by_reason(
    name: &str,
    counts: &BTreeMap<String, u64>,
) -> impl Iterator<Item = (SeriesKey, u64)> {
    let code = code(name);
    counts
        .iter()
        .filter(|(reason, _)| (1..=REASON_BYTES_MAX).contains(&reason.len()))
        .map(move |(reason, value)| (SeriesKey { code, reason: reason.as_str().into() }, *value))
}

/// What one source has told of the minute.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Part {
    /// Bit n: a slot begins at second n.
    seconds: u64,
    /// A value for each slot, in their order.
    series: BTreeMap<SeriesKey, Vec<u64>>,
}

impl Part {
    fn slots(&self) -> usize {
        self.seconds.count_ones() as usize
    }

    /// How many slots begin before this second.
    fn rank(&self, second: u8) -> usize {
        (self.seconds & ((1 << second) - 1)).count_ones() as usize
    }

    fn has(&self, second: u8) -> bool {
        self.seconds & (1 << second) != 0
    }

    fn insert(&mut self, second: u8, values: impl IntoIterator<Item = (SeriesKey, u64)>) {
        let (at, slots) = (self.rank(second), self.slots());
        self.seconds |= 1 << second;
        for series in self.series.values_mut() {
            series.insert(at, 0);
        }
        for (key, value) in values {
            if value > 0 && (self.series.len() < SERIES_MAX || self.series.contains_key(&key)) {
                self.series.entry(key).or_insert_with(|| vec![0; slots + 1])[at] = value;
            }
        }
    }
}

/// One slot of a chunk.
pub(crate) struct Slot<'a> {
    pub(crate) source: Source,
    pub(crate) second: u8,
    part: &'a Part,
    at: usize,
}

impl<'a> Slot<'a> {
    /// Its values; what is not among them is 0.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'a SeriesKey, u64)> + use<'a> {
        let at = self.at;
        self.part.series.iter().map(move |(key, values)| (key, values[at]))
    }
}

/// A minute of one instance's metrics.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Chunk {
    parts: BTreeMap<Source, Part>,
}

/// Why bytes are no chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error("the chunk is of version `{0}`, which this release does not know")]
    Version(u8),
    #[error("the chunk ends early or holds what no chunk holds")]
    Damaged,
}

impl Chunk {
    /// Adds a slot; false when the source has told it before.
    pub(crate) fn add(
        &mut self,
        source: Source,
        second: u8,
        values: impl IntoIterator<Item = (SeriesKey, u64)>,
    ) -> bool {
        let is_new = !self.parts.contains_key(&source);
        if second >= SECONDS || (is_new && self.parts.len() >= SOURCES_MAX) {
            return false;
        }
        let part = self.parts.entry(source).or_default();
        if part.has(second) {
            return false;
        }
        part.insert(second, values);
        true
    }

    /// Takes every slot of the other that this one has not; whether there was any.
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for slot in other.slots() {
            changed |=
                self.add(slot.source, slot.second, slot.values().map(|(key, value)| (key.clone(), value)));
        }
        changed
    }

    /// Every slot.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        self.parts.iter().flat_map(|(source, part)| {
            let begins = (0..SECONDS).filter(|second| part.has(*second));
            begins.enumerate().map(|(at, second)| Slot { source: *source, second, part, at })
        })
    }

    /// The bytes to keep.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.parts.len() as u64);
        for (source, part) in &self.parts {
            out.extend(source.0.to_be_bytes());
            put(&mut out, part.seconds);
            put(&mut out, part.series.len() as u64);
            for (key, values) in &part.series {
                out.push(key.code);
                put(&mut out, key.reason.len() as u64);
                out.extend(key.reason.as_bytes());
                let mut before = 0;
                for value in values {
                    put(&mut out, zigzag(value.wrapping_sub(before)));
                    before = *value;
                }
            }
        }
        out
    }

    /// The chunk that was kept as these bytes.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, ChunkError> {
        let bytes = &mut bytes;
        match take(bytes, 1)? {
            [VERSION] => {}
            [version] => return Err(ChunkError::Version(*version)),
            _ => return Err(ChunkError::Damaged),
        }
        let mut parts = BTreeMap::new();
        for _ in 0..bounded(bytes, SOURCES_MAX)? {
            let name = take(bytes, 8)?.try_into().map_err(|_| ChunkError::Damaged)?;
            parts.insert(Source(u64::from_be_bytes(name)), decode_part(bytes)?);
        }
        if bytes.is_empty() { Ok(Self { parts }) } else { Err(ChunkError::Damaged) }
    }
}

fn decode_part(bytes: &mut &[u8]) -> Result<Part, ChunkError> {
    let mut part = Part { seconds: get(bytes)?, series: BTreeMap::new() };
    if part.seconds >> SECONDS != 0 {
        return Err(ChunkError::Damaged);
    }
    for _ in 0..bounded(bytes, SERIES_MAX)? {
        let code = take(bytes, 1)?[0];
        let reason = bounded(bytes, REASON_BYTES_MAX)?;
        let reason = str::from_utf8(take(bytes, reason)?).map_err(|_| ChunkError::Damaged)?.into();
        let mut values = Vec::with_capacity(part.slots());
        let mut before = 0_u64;
        for _ in 0..part.slots() {
            before = before.wrapping_add(unzigzag(get(bytes)?));
            values.push(before);
        }
        part.series.insert(SeriesKey { code, reason }, values);
    }
    Ok(part)
}

/// A difference, wrapped around, so that small ones of either sign are small numbers.
const fn zigzag(difference: u64) -> u64 {
    let signed = difference.cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

fn get(bytes: &mut &[u8]) -> Result<u64, ChunkError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(ChunkError::Damaged);
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(ChunkError::Damaged)
}

/// A number that is at most `max`.
fn bounded(bytes: &mut &[u8], max: usize) -> Result<usize, ChunkError> {
    usize::try_from(get(bytes)?).ok().filter(|number| *number <= max).ok_or(ChunkError::Damaged)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], ChunkError> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(ChunkError::Damaged)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests;
