//! The header of a record.

use contract::time::UnixMillis;

/// Bytes of the header.
pub(crate) const RECORD_HEADER: usize = 64;

/// The largest body of a record: the largest batch. Longer is damage.
#[expect(clippy::cast_possible_truncation, reason = "a few MiB")]
pub(crate) const BODY_BYTES_MAX: u32 = engine::BATCH_BYTES_MAX as u32;

/// A body of messages. Other kinds belong to later releases, which may be read by this one after a step back.
pub(crate) const KIND_MESSAGES: u8 = 1;

const CRC_FROM: usize = 8;

/// What stands in front of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHeader {
    /// Its number: one more than that of the record before it.
    pub(crate) record: u64,
    /// When it was written.
    pub(crate) stored_at: UnixMillis,
    pub(crate) batch: [u8; 16],
    pub(crate) body_bytes: u32,
    pub(crate) body_crc: u32,
    /// Messages in the body.
    pub(crate) count: u32,
    /// Records before it in the same write.
    pub(crate) ahead: u32,
    pub(crate) origin: u16,
    pub(crate) kind: u8,
}

impl RecordHeader {
    /// Bytes of the whole record: at most a few MiB.
    pub(crate) const fn bytes(&self) -> usize {
        RECORD_HEADER + self.body_bytes as usize
    }

    pub(crate) fn write(&self, salt: u64) -> [u8; RECORD_HEADER] {
        let mut header = [0; RECORD_HEADER];
        header[..4].copy_from_slice(&marker(salt));
        header[8..16].copy_from_slice(&self.record.to_le_bytes());
        header[16..24].copy_from_slice(&self.stored_at.0.to_le_bytes());
        header[24..40].copy_from_slice(&self.batch);
        header[40..44].copy_from_slice(&self.body_bytes.to_le_bytes());
        header[44..48].copy_from_slice(&self.body_crc.to_le_bytes());
        header[48..52].copy_from_slice(&self.count.to_le_bytes());
        header[52..56].copy_from_slice(&self.ahead.to_le_bytes());
        header[56..58].copy_from_slice(&self.origin.to_le_bytes());
        header[58] = self.kind;
        let crc = crc(salt, &header);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// The header in these bytes; none when they are no header of this segment.
    pub(crate) fn read(salt: u64, header: &[u8; RECORD_HEADER]) -> Option<Self> {
        if header[..4] != marker(salt) || header[4..8] != crc(salt, header).to_le_bytes() {
            return None;
        }
        let read = Self {
            record: u64::from_le_bytes(part(header, 8)),
            stored_at: UnixMillis(u64::from_le_bytes(part(header, 16))),
            batch: part(header, 24),
            body_bytes: u32::from_le_bytes(part(header, 40)),
            body_crc: u32::from_le_bytes(part(header, 44)),
            count: u32::from_le_bytes(part(header, 48)),
            ahead: u32::from_le_bytes(part(header, 52)),
            origin: u16::from_le_bytes(part(header, 56)),
            kind: header[58],
        };
        (read.body_bytes <= BODY_BYTES_MAX).then_some(read)
    }
}

/// What every record of a segment begins with.
pub(crate) fn marker(salt: u64) -> [u8; 4] {
    part(&salt.to_le_bytes(), 0)
}

fn crc(salt: u64, header: &[u8; RECORD_HEADER]) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(u32::from_le_bytes(part(&salt.to_le_bytes(), 4)));
    crc.update(&header[CRC_FROM..]);
    crc.finalize()
}

/// The `N` bytes at `at`.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}
