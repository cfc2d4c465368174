//! One message with all that its way needs, and its record within a batch.
//!
//! A record, numbers in little endian:
//! ```text
//!  0  u32  bytes that follow these four
//!  4  u8   flags: bits 0-1 QoS, bit 2 retain, bit 3 history, bit 4 an expiry follows, bit 5 content does; the others 0
//!  5  u8   retention class, 0: none
//!  6  u16  bytes of the topic
//!  8  u16  bytes of the publisher
//! 10  u16  0
//! 12      instance, 16 bytes as in a UUID's text
//! 28  u64  when it was stored, in milliseconds; 0: it is not
//! 36  u64  workers
//! 44  u64  when it expires, in milliseconds; only with bit 4
//!    u16  bytes of the content, at least 1, then these; only with bit 5
//!         topic, publisher, payload: what is left
//! ```
//! The content stands in front so that what neighbouring messages have alike stands together.
//! A record with bit 7 is a [`Change`](crate::Change) and no message.

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;

use crate::RetentionClass;

/// Bytes of a record before its topic, without an expiry and without content.
pub const RECORD_HEADER_BYTES: usize = 44;

const HEADER: usize = RECORD_HEADER_BYTES;

/// Bytes of the length in front.
pub(crate) const LENGTH: usize = 4;

/// Bytes of an expiry.
const EXPIRY: usize = 8;

/// Bytes of the length of content.
const CONTENT_LENGTH: usize = 2;

/// The most bytes of [`Envelope::content`].
pub const CONTENT_BYTES_MAX: usize = u16::MAX as usize;

const FLAG_RETAIN: u8 = 0b100;
const FLAG_HISTORY: u8 = 0b1000;
const FLAG_EXPIRY: u8 = 0b1_0000;
const FLAG_CONTENT: u8 = 0b10_0000;
const FLAGS: u8 = 0b11 | FLAG_RETAIN | FLAG_HISTORY | FLAG_EXPIRY | FLAG_CONTENT;

/// A message between its publisher and those who receive it. Topic, publisher and payload are borrowed: from the
/// buffer of a socket when it is written, from a batch when it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Envelope<'a> {
    /// The namespace in which its topic means something.
    pub instance: InstanceId,
    /// The QoS it was published with.
    pub qos: Qos,
    /// Whether it is to be kept for its topic.
    pub retain: bool,
    /// How long it is stored; `None` when it is only passed on.
    pub retention: Option<RetentionClass>,
    /// Whether queries of the history show it. What is stored for those who are away alone has a retention and not this.
    pub history: bool,
    /// From when on nobody who has not had it yet is to get it; `None`: there is no such time.
    pub expires_at: Option<UnixMillis>,
    /// When its batch was made for the log; 0 when it is only passed on. Not strictly growing: workers' clocks are read
    /// once a round.
    pub stored_at: UnixMillis,
    /// The workers that had receivers for it when it was published, a bit for each: a hint for those who deliver it
    /// once it is stored. It means nothing after a restart, and 0 is *not known*.
    pub workers: u64,
    /// The properties that go unaltered to every subscriber, in the wire form of MQTT 5.0 and checked when they came in;
    /// at most [`CONTENT_BYTES_MAX`], empty when there are none. They mean nothing here.
    pub content: &'a [u8],
    /// The topic name; whether it is a lawful one was settled when the message came in.
    pub topic: &'a str,
    /// The client identifier of the publisher; empty when the platform itself is.
    pub publisher: &'a str,
    /// Any bytes, or none.
    pub payload: &'a [u8],
}

/// Why a message has no form as a record, or bytes are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// A field is longer than its length can say, or than may be.
    #[error("the message or document is too long for a batch")]
    TooLong,
    /// The record goes on behind the end of the batch, or its fields behind the end of the record.
    #[error("a record is cut off")]
    Truncated,
    /// A bit or class that this version does not know, or the reserved QoS.
    #[error("a record has unknown flags")]
    Flags,
    /// Topic or publisher are no text.
    #[error("a record's text is not UTF-8")]
    Text,
}

impl<'a> Envelope<'a> {
    /// Bytes of the record.
    #[inline]
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        let expiry = if self.expires_at.is_some() { EXPIRY } else { 0 };
        let content = if self.content.is_empty() { 0 } else { CONTENT_LENGTH + self.content.len() };
        HEADER + expiry + content + self.topic.len() + self.publisher.len() + self.payload.len()
    }

    /// Whether its time is over.
    #[inline]
    #[must_use]
    pub const fn is_expired(&self, now: UnixMillis) -> bool {
        matches!(self.expires_at, Some(at) if at.0 <= now.0)
    }

    /// Appends the record; nothing when it fails.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let short = |field: &[u8]| u16::try_from(field.len()).map_err(|_| EnvelopeError::TooLong);
        let (topic, publisher) = (short(self.topic.as_bytes())?, short(self.publisher.as_bytes())?);
        let content = short(self.content)?;
        let length = u32::try_from(self.size_bytes() - LENGTH).map_err(|_| EnvelopeError::TooLong)?;
        let mut flags = self.qos.bits();
        for (has, flag) in [
            (self.retain, FLAG_RETAIN),
            (self.history, FLAG_HISTORY),
            (self.expires_at.is_some(), FLAG_EXPIRY),
            (content != 0, FLAG_CONTENT),
        ] {
            flags |= if has { flag } else { 0 };
        }

        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4] = flags;
        header[5] = self.retention.map_or(0, RetentionClass::bits);
        header[6..8].copy_from_slice(&topic.to_le_bytes());
        header[8..10].copy_from_slice(&publisher.to_le_bytes());
        header[12..28].copy_from_slice(self.instance.0.as_bytes());
        header[28..36].copy_from_slice(&self.stored_at.0.to_le_bytes());
        header[36..].copy_from_slice(&self.workers.to_le_bytes());

        out.reserve(self.size_bytes());
        out.extend_from_slice(&header);
        if let Some(at) = self.expires_at {
            out.extend_from_slice(&at.0.to_le_bytes());
        }
        if content != 0 {
            out.extend_from_slice(&content.to_le_bytes());
            out.extend_from_slice(self.content);
        }
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(self.publisher.as_bytes());
        out.extend_from_slice(self.payload);
        Ok(())
    }

    /// Reads the record at the front of `bytes`; the other half of the answer is what follows it. `known` are topic and
    /// publisher of the record before: the same bytes are not looked through for UTF-8 again.
    #[inline]
    pub(crate) fn read(
        bytes: &'a [u8],
        known: (&'a str, &'a str),
    ) -> Result<(Self, &'a [u8]), EnvelopeError> {
        let (length, rest) = bytes.split_first_chunk::<LENGTH>().ok_or(EnvelopeError::Truncated)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| EnvelopeError::Truncated)?;
        let (record, rest) = rest.split_at_checked(length).ok_or(EnvelopeError::Truncated)?;
        let (header, body) =
            record.split_first_chunk::<{ HEADER - LENGTH }>().ok_or(EnvelopeError::Truncated)?;
        let [flags, class, topic_0, topic_1, publisher_0, publisher_1, zero_0, zero_1, header @ ..] = *header;
        if flags & !FLAGS != 0 || [zero_0, zero_1] != [0; 2] {
            return Err(EnvelopeError::Flags);
        }
        let retention = match class {
            0 => None,
            bits => Some(RetentionClass::from_bits(bits).ok_or(EnvelopeError::Flags)?),
        };
        let qos = Qos::from_bits(flags & 0b11).ok_or(EnvelopeError::Flags)?;
        let (mut expires_at, mut content_bytes, mut body): (_, &[u8], _) = (None, &[], body);
        if flags & (FLAG_EXPIRY | FLAG_CONTENT) != 0 {
            (expires_at, body) = expiry(flags, body)?;
            (content_bytes, body) = content(flags, body)?;
        }
        let (topic, body) = text(body, [topic_0, topic_1], known.0)?;
        let (publisher, payload) = text(body, [publisher_0, publisher_1], known.1)?;
        let (instance, header) = split::<16>(&header);
        let (stored_at, workers) = split::<8>(header);
        let envelope = Self {
            instance: InstanceId(uuid::Uuid::from_bytes(instance)),
            qos,
            retain: flags & FLAG_RETAIN != 0,
            retention,
            history: flags & FLAG_HISTORY != 0,
            expires_at,
            stored_at: UnixMillis(u64::from_le_bytes(stored_at)),
            workers: u64::from_le_bytes(split::<8>(workers).0),
            content: content_bytes,
            topic,
            publisher,
            payload,
        };
        Ok((envelope, rest))
    }

    /// Reads the record that is all of `bytes`.
    pub fn from_record(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        match Self::read(bytes, ("", ""))? {
            (envelope, []) => Ok(envelope),
            _ => Err(EnvelopeError::Truncated),
        }
    }
}

/// When the message of a record expires, without a look at the rest of it; none, too, where there is no such record.
#[must_use]
pub fn expires_at_of(record: &[u8]) -> Option<UnixMillis> {
    let (header, body) = record.split_first_chunk::<HEADER>()?;
    expiry(header[LENGTH], body).ok()?.0
}

/// A message that was read, to read others by that are like it.
#[derive(Clone, Debug)]
pub(crate) struct Before<'a> {
    /// What stands in front of its payload.
    front: &'a [u8],
    pub(crate) envelope: Envelope<'a>,
}

impl<'a> Before<'a> {
    /// The message whose record is at the front of `bytes`.
    pub(crate) fn new(bytes: &'a [u8], envelope: Envelope<'a>) -> Self {
        let front = envelope.size_bytes() - envelope.payload.len();
        Self { front: bytes.get(..front).unwrap_or_default(), envelope }
    }

    /// Its topic and its publisher.
    pub(crate) const fn texts(&self) -> (&'a str, &'a str) {
        (self.envelope.topic, self.envelope.publisher)
    }

    /// Goes on to the message at the front of `bytes` and answers what follows it, if it differs from this one in QoS,
    /// retain flag and payload at most: one comparison for all the rest.
    #[inline]
    pub(crate) fn go_on(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(*bytes.first_chunk::<LENGTH>()?)).ok()?;
        let (record, rest) = bytes.split_at_checked(length.checked_add(LENGTH)?)?;
        let (front, payload) = record.split_at_checked(self.front.len())?;
        let (flags, others) = front.get(LENGTH..)?.split_first()?;
        let (known_flags, known) = self.front.get(LENGTH..)?.split_first()?;
        if (flags ^ known_flags) & !(0b11 | FLAG_RETAIN) != 0 || others != known {
            return None;
        }
        self.envelope.qos = Qos::from_bits(flags & 0b11)?;
        self.envelope.retain = flags & FLAG_RETAIN != 0;
        self.envelope.payload = payload;
        Some(rest)
    }
}

/// Length and flags of a message that is as another one but for these; `front` is what stands in front of the payload of
/// that one.
#[inline]
pub(crate) fn front_alike(
    front: &[u8],
    qos: Qos,
    retain: bool,
    payload_bytes: usize,
) -> Result<[u8; LENGTH + 1], EnvelopeError> {
    let length = front.len() - LENGTH + payload_bytes;
    let [a, b, c, d] = u32::try_from(length).map_err(|_| EnvelopeError::TooLong)?.to_le_bytes();
    let kept = front[LENGTH] & !(0b11 | FLAG_RETAIN);
    Ok([a, b, c, d, kept | qos.bits() | if retain { FLAG_RETAIN } else { 0 }])
}

/// The first `N` of the header's bytes, which are known to be there, and the others.
#[inline]
pub(crate) fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    bytes.split_first_chunk::<N>().map_or(([0; N], &[]), |(first, rest)| (*first, rest))
}

/// When it expires, at the front of `body`, and what follows.
fn expiry(flags: u8, body: &[u8]) -> Result<(Option<UnixMillis>, &[u8]), EnvelopeError> {
    if flags & FLAG_EXPIRY == 0 {
        return Ok((None, body));
    }
    let (at, rest) = body.split_first_chunk::<EXPIRY>().ok_or(EnvelopeError::Truncated)?;
    Ok((Some(UnixMillis(u64::from_le_bytes(*at))), rest))
}

/// The content at the front of `body`, and what follows.
fn content(flags: u8, body: &[u8]) -> Result<(&[u8], &[u8]), EnvelopeError> {
    if flags & FLAG_CONTENT == 0 {
        return Ok((&[], body));
    }
    let (length, body) = body.split_first_chunk::<CONTENT_LENGTH>().ok_or(EnvelopeError::Truncated)?;
    match body.split_at_checked(usize::from(u16::from_le_bytes(*length))) {
        // A message has one form: one without content is written without its length.
        Some(([], _)) => Err(EnvelopeError::Flags),
        split => split.ok_or(EnvelopeError::Truncated),
    }
}

/// The text of the given length at the front of `bytes`, and what follows it; `known` is a text that it may be.
#[inline]
fn text<'a>(bytes: &'a [u8], length: [u8; 2], known: &'a str) -> Result<(&'a str, &'a [u8]), EnvelopeError> {
    let (text, rest) =
        bytes.split_at_checked(usize::from(u16::from_le_bytes(length))).ok_or(EnvelopeError::Truncated)?;
    if text == known.as_bytes() {
        return Ok((known, rest));
    }
    Ok((std::str::from_utf8(text).map_err(|_| EnvelopeError::Text)?, rest))
}
