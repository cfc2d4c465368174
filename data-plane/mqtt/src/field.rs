//! The fields of a packet's body, read in place, front to back.

use crate::error::DecodeError;
use crate::packet::PacketId;

/// What of a body has not been read yet. Nothing is copied, and nothing is read past the body's end.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    #[inline]
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&byte, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<u16, DecodeError> {
        let (&bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(bytes))
    }

    pub(crate) fn long(&mut self) -> Result<u32, DecodeError> {
        let (&bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A variable byte integer of 5.0, in as few bytes as it takes [MQTT-1.5.5-1].
    pub(crate) fn variable(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for at in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                return if byte == 0 && at > 0 { Err(DecodeError::PaddedLength) } else { Ok(value) };
            }
        }
        Err(DecodeError::VariableByteInteger)
    }

    /// The next `length` bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Bytes not read yet.
    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.number()?).ok_or(DecodeError::PacketIdZero)
    }

    /// Bytes behind their two-byte length.
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::from(self.number()?);
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Well-formed UTF-8 behind its two-byte length; U+0000 is for the caller to refuse, who may look for more.
    ///
    /// Control and non-characters, which a sender SHOULD NOT use (section 1.5.3), are let pass, and a byte order
    /// mark is kept [MQTT-1.5.3-3].
    #[inline]
    pub(crate) fn unchecked_text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.binary()?).map_err(|_| DecodeError::Utf8)
    }

    /// A UTF-8 encoded string of section 1.5.3.
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.unchecked_text()?;
        if text.as_bytes().contains(&0) { Err(DecodeError::Null) } else { Ok(text) }
    }

    /// A topic name: text without null character or wildcard, at least one byte long.
    #[inline]
    pub(crate) fn topic_name(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.unchecked_text()?;
        contract::topic::check_name(text)?;
        Ok(text)
    }

    /// As [`topic_name`](Self::topic_name), or empty: then an alias stands for it.
    #[inline]
    pub(crate) fn topic_name_or_none(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.unchecked_text()?;
        if !text.is_empty() {
            contract::topic::check_name(text)?;
        }
        Ok(text)
    }

    /// Passes over a list of properties that is empty; false: it is not, and still to be read.
    #[inline]
    pub(crate) const fn skip_empty_properties(&mut self) -> bool {
        match self.rest {
            [0, rest @ ..] => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// A topic filter: text without null character, at least one byte long, wildcards where they may be.
    pub(crate) fn topic_filter(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.unchecked_text()?;
        contract::topic::check_filter(text)?;
        Ok(text)
    }

    /// All that is left: the payload of a PUBLISH.
    #[inline]
    pub(crate) const fn payload(self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }
}
