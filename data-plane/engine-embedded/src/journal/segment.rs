//! The header of a segment.

use contract::time::UnixMillis;

use super::name::SegmentName;

/// The version of the journal's form that this release writes, and the only one it reads.
pub const JOURNAL_FORMAT_VERSION: u16 = 1;

/// Bytes of the header.
pub(crate) const SEGMENT_HEADER: usize = 64;

const MAGIC: &[u8; 8] = b"IOTMQJNL";
const CRC_AT: usize = 60;

/// What the first bytes of a segment say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderFound {
    /// What its name says.
    Whole,
    /// A whole header of another release.
    Version(u16),
    /// No header, or one of another segment.
    Damaged,
}

/// The header of the segment `name`.
pub(crate) fn write_header(name: SegmentName, begun_at: UnixMillis) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..10].copy_from_slice(&JOURNAL_FORMAT_VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&name.first.to_le_bytes());
    header[24..32].copy_from_slice(&name.salt.to_le_bytes());
    header[32..40].copy_from_slice(&begun_at.0.to_le_bytes());
    let crc = crc32fast::hash(&header[..CRC_AT]);
    header[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// What the header of the segment `name` is.
pub(crate) fn read_header(name: SegmentName, header: &[u8; SEGMENT_HEADER]) -> HeaderFound {
    let crc = crc32fast::hash(&header[..CRC_AT]);
    if &header[..8] != MAGIC || header[CRC_AT..] != crc.to_le_bytes() {
        return HeaderFound::Damaged;
    }
    match u16::from_le_bytes([header[8], header[9]]) {
        JOURNAL_FORMAT_VERSION => {}
        version => return HeaderFound::Version(version),
    }
    let names_it = header[16..24] == name.first.to_le_bytes() && header[24..32] == name.salt.to_le_bytes();
    if names_it { HeaderFound::Whole } else { HeaderFound::Damaged }
}
