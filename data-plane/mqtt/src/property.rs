//! The properties of 5.0 (section 2.2.2): their numbers, their types, and how a packet's list of them is read and
//! written. Which packet may have which is decided where that packet is read.

use crate::encode::remaining_length;
use crate::error::DecodeError;
use crate::field::Fields;

/// The identifiers (table 2-4).
pub(crate) mod id {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTH_METHOD: u8 = 0x15;
    pub(crate) const AUTH_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFO: u8 = 0x17;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFO: u8 = 0x19;
    pub(crate) const RESPONSE_INFO: u8 = 0x1A;
    pub(crate) const SERVER_REFERENCE: u8 = 0x1C;
    pub(crate) const REASON_STRING: u8 = 0x1F;
    pub(crate) const RECEIVE_MAX: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAX: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const QOS_MAX: u8 = 0x24;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const PACKET_BYTES_MAX: u8 = 0x27;
    pub(crate) const WILDCARDS_AVAILABLE: u8 = 0x28;
    pub(crate) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_AVAILABLE: u8 = 0x2A;
}

/// The largest value of a variable byte integer, and with it of a subscription identifier.
pub const VARIABLE_MAX: u32 = 268_435_455;

/// A packet's list of properties, read front to back. Each value is read by the method of its type, right after
/// [`next`](Self::next) has named it.
pub(crate) struct Properties<'a> {
    fields: Fields<'a>,
    section: &'a [u8],
    /// One bit for each identifier that has come.
    seen: u64,
}

impl<'a> Properties<'a> {
    /// The list that stands next in a packet, behind its length.
    pub(crate) fn read(fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let length = fields.variable()?;
        let section = fields.bytes(usize::try_from(length).map_err(|_| DecodeError::Truncated)?)?;
        Ok(Self { fields: Fields::new(section), section, seen: 0 })
    }

    /// The bytes of the whole list.
    pub(crate) const fn section(&self) -> &'a [u8] {
        self.section
    }

    /// How many bytes of the list have been read.
    pub(crate) const fn position(&self) -> usize {
        self.section.len() - self.fields.remaining()
    }

    /// The identifier of the next property. What may stand only once does (the section of each property);
    /// user properties may repeat, and so may subscription identifiers, which SUBSCRIBE counts itself.
    pub(crate) fn next(&mut self) -> Result<Option<u8>, DecodeError> {
        if self.fields.is_empty() {
            return Ok(None);
        }
        let id = self.fields.byte()?;
        if id > id::SHARED_AVAILABLE {
            return Err(DecodeError::Property);
        }
        let bit = 1 << id;
        if self.seen & bit != 0 && id != id::USER_PROPERTY && id != id::SUBSCRIPTION_ID {
            return Err(DecodeError::PropertyTwice);
        }
        self.seen |= bit;
        Ok(Some(id))
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.fields.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::PropertyValue),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u16, DecodeError> {
        self.fields.number()
    }

    /// A number that may not be 0.
    pub(crate) fn number_from_one(&mut self) -> Result<u16, DecodeError> {
        self.fields
            .number()
            .and_then(|number| if number == 0 { Err(DecodeError::PropertyValue) } else { Ok(number) })
    }

    pub(crate) fn long(&mut self) -> Result<u32, DecodeError> {
        self.fields.long()
    }

    /// A long number that may not be 0.
    pub(crate) fn long_from_one(&mut self) -> Result<u32, DecodeError> {
        self.fields
            .long()
            .and_then(|number| if number == 0 { Err(DecodeError::PropertyValue) } else { Ok(number) })
    }

    pub(crate) fn variable(&mut self) -> Result<u32, DecodeError> {
        self.fields.variable()
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        self.fields.text()
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        self.fields.binary()
    }

    /// A user property, which only has to be well-formed: it is read again by who wants it.
    pub(crate) fn check_pair(&mut self) -> Result<(), DecodeError> {
        self.fields.text()?;
        self.fields.text().map(drop)
    }
}

/// One value of a list that has been checked, whatever its type.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    /// A byte, two bytes, four bytes or a variable byte integer.
    Number(u32),
    /// A text, or binary data.
    Bytes(&'a [u8]),
    /// A user property.
    Pair(&'a str, &'a str),
}

/// Reads a list that has been checked. It ends at the first property that is none.
#[derive(Clone)]
pub(crate) struct Checked<'a> {
    rest: &'a [u8],
}

impl<'a> Checked<'a> {
    pub(crate) const fn new(section: &'a [u8]) -> Self {
        Self { rest: section }
    }

    fn read(&mut self) -> Result<(u8, &'a [u8], Value<'a>), DecodeError> {
        let whole = self.rest;
        let mut fields = Fields::new(whole);
        let id = fields.byte()?;
        let value = match id {
            id::PAYLOAD_FORMAT
            | id::REQUEST_PROBLEM_INFO
            | id::REQUEST_RESPONSE_INFO
            | id::QOS_MAX
            | id::RETAIN_AVAILABLE
            | id::WILDCARDS_AVAILABLE
            | id::SUBSCRIPTION_IDS_AVAILABLE
            | id::SHARED_AVAILABLE => Value::Number(fields.byte()?.into()),
            id::SERVER_KEEP_ALIVE | id::RECEIVE_MAX | id::TOPIC_ALIAS_MAX | id::TOPIC_ALIAS => {
                Value::Number(fields.number()?.into())
            }
            id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::PACKET_BYTES_MAX => {
                Value::Number(fields.long()?)
            }
            id::SUBSCRIPTION_ID => Value::Number(fields.variable()?),
            id::CONTENT_TYPE
            | id::RESPONSE_TOPIC
            | id::CORRELATION_DATA
            | id::ASSIGNED_CLIENT_ID
            | id::AUTH_METHOD
            | id::AUTH_DATA
            | id::RESPONSE_INFO
            | id::SERVER_REFERENCE
            | id::REASON_STRING => Value::Bytes(fields.binary()?),
            id::USER_PROPERTY => Value::Pair(fields.unchecked_text()?, fields.unchecked_text()?),
            _ => return Err(DecodeError::Property),
        };
        let (bytes, rest) = whole.split_at(whole.len() - fields.remaining());
        self.rest = rest;
        Ok((id, bytes, value))
    }
}

impl<'a> Iterator for Checked<'a> {
    /// The identifier, the bytes of the whole property, its value.
    type Item = (u8, &'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() { None } else { self.read().ok() }
    }
}

/// The user properties of a packet, in their order: names may repeat. Checked, and opaque until asked.
#[derive(Clone, Copy, Default)]
pub struct UserProperties<'a> {
    /// The list of properties that they stand in, with others between them.
    section: &'a [u8],
}

impl<'a> UserProperties<'a> {
    pub(crate) const fn within(section: &'a [u8]) -> Self {
        Self { section }
    }

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        Checked::new(self.section).filter_map(|(_, _, value)| match value {
            Value::Pair(name, value) => Some((name, value)),
            Value::Number(_) | Value::Bytes(_) => None,
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            write::pair(out, name, value);
        }
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl std::fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Appends properties to a list.
pub(crate) mod write {
    use super::{UserProperties, id, remaining_length};

    pub(crate) fn byte(out: &mut Vec<u8>, id: u8, value: u8) {
        out.extend_from_slice(&[id, value]);
    }

    pub(crate) fn number(out: &mut Vec<u8>, id: u8, value: u16) {
        out.push(id);
        out.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn long(out: &mut Vec<u8>, id: u8, value: u32) {
        out.push(id);
        out.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn variable(out: &mut Vec<u8>, id: u8, value: u32) {
        out.push(id);
        remaining_length(out, value as usize);
    }

    /// A text or binary data; what is longer than its length can say is left out.
    pub(crate) fn bytes(out: &mut Vec<u8>, id: u8, value: &[u8]) {
        if let Ok(length) = u16::try_from(value.len()) {
            out.push(id);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        }
    }

    /// A user property; one that is longer than its lengths can say is left out.
    pub(crate) fn pair(out: &mut Vec<u8>, name: &str, value: &str) {
        if let (Ok(name_length), Ok(value_length)) = (u16::try_from(name.len()), u16::try_from(value.len())) {
            out.push(id::USER_PROPERTY);
            out.extend_from_slice(&name_length.to_be_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&value_length.to_be_bytes());
            out.extend_from_slice(value.as_bytes());
        }
    }

    /// What several packets say: why, and more about it.
    pub(crate) fn reason(
        out: &mut Vec<u8>,
        reason_string: Option<&str>,
        user_properties: &UserProperties<'_>,
    ) {
        if let Some(text) = reason_string {
            bytes(out, id::REASON_STRING, text.as_bytes());
        }
        user_properties.write(out);
    }
}
