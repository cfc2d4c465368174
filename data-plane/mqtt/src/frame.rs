//! The fixed header: where a packet ends, and whether its first byte is lawful. Not what is inside.

use crate::error::DecodeError;
use crate::packet::kind;

/// The largest remaining length that four bytes can say (section 2.2.3).
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// Bytes that a remaining length has at most.
const LENGTH_BYTES_MAX: usize = 4;

/// One whole packet at the front of a buffer. Only [`frame`] makes one, so its first byte is lawful: a known packet
/// type with the flags that belong to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Packet type and flags.
    pub first: u8,
    /// Variable header and payload: what the remaining length counts.
    pub body: &'a [u8],
    /// Bytes of the whole packet, fixed header included: how far to advance.
    pub total: usize,
}

impl Frame<'_> {
    /// The packet type: one of [`kind`].
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The four flag bits.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.first & 0x0F
    }
}

/// One packet from the front of `bytes`; `None`: more bytes are needed.
///
/// A packet of more than `packet_bytes_max` bytes, fixed header included, is refused as soon as its header is there,
/// and a first byte that no packet may have as soon as it is there: nobody buffers for a peer that speaks another
/// protocol.
///
/// A remaining length that is padded (`80 00` for 0) is taken for its value: 3.1.1 knows no rule against it (section
/// 2.2.3), and small devices reserve a fixed header of full length. The rule came with 5.0, [MQTT-1.5.5-1] there, and
/// is kept where a packet of that version is read.
#[inline]
pub fn frame(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    check_first(first)?;
    let Some((length, length_bytes)) = remaining_length(rest)? else { return Ok(None) };
    let total = 1 + length_bytes + length;
    if total > packet_bytes_max {
        return Err(DecodeError::PacketTooLarge(u32::try_from(total).unwrap_or(u32::MAX)));
    }
    let body = bytes.get(1 + length_bytes..total);
    Ok(body.map(|body| Frame { first, body, total }))
}

/// The flags that belong to each packet type (table 2.2).
#[inline]
const fn check_first(first: u8) -> Result<(), DecodeError> {
    let flags = first & 0x0F;
    let lawful = match first >> 4 {
        kind::PUBLISH => return check_publish_flags(flags),
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => {
            // 3.1 says so of a packet that is sent again; the later versions refuse it when they read the packet.
            flags & 0b0111 == 0b0010
        }
        kind::RESERVED_0 => return Err(DecodeError::PacketType),
        _ => flags == 0,
    };
    if lawful { Ok(()) } else { Err(DecodeError::Flags) }
}

#[inline]
const fn check_publish_flags(flags: u8) -> Result<(), DecodeError> {
    let (dup, qos) = (flags & 0b1000 != 0, flags >> 1 & 0b11);
    match qos {
        0 if dup => Err(DecodeError::DuplicateWithoutQos),
        3 => Err(DecodeError::PublishQos),
        _ => Ok(()),
    }
}

/// The remaining length at the front of `bytes`, and how many bytes say it; `None`: it is not all there.
#[inline]
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    // Most packets are short.
    if let [short @ 0..=0x7F, ..] = bytes {
        return Ok(Some((usize::from(*short), 1)));
    }
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if bytes.len() < LENGTH_BYTES_MAX { Ok(None) } else { Err(DecodeError::RemainingLength) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_lengths_at_their_bounds() {
        for (bytes, length) in [
            (&[0x00][..], 0),
            (&[0x7F], 127),
            (&[0x80, 0x01], 128),
            (&[0xFF, 0x7F], 16_383),
            (&[0x80, 0x80, 0x01], 16_384),
            (&[0xFF, 0xFF, 0x7F], 2_097_151),
            (&[0x80, 0x80, 0x80, 0x01], 2_097_152),
            (&[0xFF, 0xFF, 0xFF, 0x7F], REMAINING_LENGTH_MAX),
            (&[0x80, 0x00], 0),
            (&[0x82, 0x80, 0x80, 0x00], 2),
        ] {
            assert_eq!(remaining_length(bytes), Ok(Some((length, bytes.len()))), "{bytes:02x?}");
            assert_eq!(remaining_length(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:02x?} less one");
        }
        assert_eq!(remaining_length(&[0x80; 4]), Err(DecodeError::RemainingLength));
    }

    #[test]
    fn the_limit_is_the_whole_packet_and_needs_only_the_header() {
        let bytes = [0x30, 0x05, 0x00, 0x01, b'a', 1, 2];
        assert_eq!(frame(&bytes, 7).map(|found| found.map(|frame| frame.total)), Ok(Some(7)));
        assert_eq!(frame(&bytes, 6), Err(DecodeError::PacketTooLarge(7)));
        assert_eq!(frame(&bytes[..2], 6), Err(DecodeError::PacketTooLarge(7)));
        assert_eq!(frame(&bytes[..1], 6), Ok(None));
        let longest = [0x30, 0xFF, 0xFF, 0xFF, 0x7F];
        assert_eq!(frame(&longest, 268_435_459), Err(DecodeError::PacketTooLarge(268_435_460)));
        assert_eq!(frame(&longest, 268_435_460), Ok(None));
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_byte() {
        assert_eq!(frame(b"G", 100), Err(DecodeError::Flags)); // GET / HTTP/1.1
        assert_eq!(frame(&[0x16], 100), Err(DecodeError::Flags)); // a TLS handshake record
        assert_eq!(frame(b"", 100), Ok(None));
    }
}
