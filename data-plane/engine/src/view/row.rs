//! One row of an index: a message without its text.

use contract::qos::Qos;

use super::table::Kind;
use crate::Pos;

/// Bytes of a row in a footer.
pub(super) const ROW_BYTES: usize = 32;

/// The most bytes of a record that a row can say: its flags stand above them.
pub(super) const RECORD_BYTES_MAX: u32 = (1 << QOS_AT) - 1;

/// Where in the number of bytes the two bits of the QoS are; the bit above them says that history shows the message.
const QOS_AT: u32 = 28;

const HISTORY: u32 = 1 << (QOS_AT + 2);

/// Where in a row the numbers of topic and publisher are: at its end.
const TEXTS_AT: usize = 24;

/// The latest moment a row can say: times take six bytes.
pub(super) const TIME_MAX: u64 = (1 << 48) - 1;

/// Where a message stands, when it came, and what it is about by numbers of its instance's dictionaries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub pos: Pos,
    /// Milliseconds, at most [`TIME_MAX`].
    pub stored_at: u64,
    /// Where its record begins in the segment.
    pub offset: u32,
    /// The bytes of its record, at most [`RECORD_BYTES_MAX`].
    pub bytes: u32,
    pub qos: Qos,
    /// Whether history shows it.
    pub history: bool,
    /// CRC-32 of its record.
    pub checksum: u32,
    pub topic: u32,
    pub publisher: u32,
}

impl Row {
    /// The row in a footer, whose records are counted from `base`.
    ///
    /// ```text
    ///  0 u32 record - base   4 u16 index   6 u48 stored at   12 u32 offset   16 u32 bytes   20 u32 checksum
    /// 24 u32 topic          28 u32 publisher
    /// ```
    /// Bytes: 28 bits, then 2 bits QoS, then 1 bit history.
    #[inline]
    pub(super) fn to_bytes(self, base: u64) -> [u8; ROW_BYTES] {
        let record = u32::try_from(self.pos.record - base).expect("a builder takes no record too far on");
        let history = if self.history { HISTORY } else { 0 };
        let flags = (u32::from(self.qos.bits()) << QOS_AT) | history;
        let place = u64::from(record) | u64::from(self.pos.index) << 32;
        let of_record = u64::from(self.bytes | flags) | u64::from(self.checksum) << 32;
        let mut bytes = [0; ROW_BYTES];
        bytes[..8].copy_from_slice(&(place | self.stored_at << 48).to_le_bytes());
        bytes[8..16].copy_from_slice(&(self.stored_at >> 16 | u64::from(self.offset) << 32).to_le_bytes());
        bytes[16..24].copy_from_slice(&of_record.to_le_bytes());
        let texts = u64::from(self.topic) | u64::from(self.publisher) << 32;
        bytes[TEXTS_AT..].copy_from_slice(&texts.to_le_bytes());
        bytes
    }

    /// Puts another number for topic or publisher into the bytes of rows.
    #[inline]
    pub(super) fn renumber(rows: &mut [u8], kind: Kind, number: u32) {
        let at = TEXTS_AT + 4 * kind as usize;
        for row in rows.as_chunks_mut::<ROW_BYTES>().0 {
            row[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
    }

    pub(super) fn from_bytes(bytes: &[u8; ROW_BYTES], base: u64) -> Self {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let time = [bytes[6], bytes[7], bytes[8], bytes[9], bytes[10], bytes[11], 0, 0];
        Self {
            pos: Pos {
                record: base.saturating_add(u64::from(number(0))),
                index: u16::from_le_bytes([bytes[4], bytes[5]]),
            },
            stored_at: u64::from_le_bytes(time),
            offset: number(12),
            bytes: number(16) & RECORD_BYTES_MAX,
            qos: Qos::from_bits((bytes[19] >> (QOS_AT - 24)) & 0b11).unwrap_or(Qos::AtMostOnce),
            history: number(16) & HISTORY != 0,
            checksum: number(20),
            topic: number(24),
            publisher: number(28),
        }
    }
}
