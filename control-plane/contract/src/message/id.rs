//! The identifier of a stored message: where it stands in the log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// RFC 4648's extended-hex alphabet in lower case: its order is that of the numbers, so that texts sort as positions.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

const PREFIX: &str = "m-";

/// Twelve bytes, five bits to a character.
const CHARACTERS: usize = 20;

/// A message's place in its log: unique, and growing within one shard. As text `m-` and 20 characters, which sort as
/// the identifiers do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId {
    /// The shard of the log.
    pub shard: u16,
    /// The record within it.
    pub record: u64,
    /// The message within the record.
    pub index: u16,
}

/// A text that names no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message id is `m-` and {CHARACTERS} characters of 0-9 and a-v")]
pub struct MessageIdError;

impl MessageId {
    const fn number(self) -> u128 {
        ((self.shard as u128) << 80) | ((self.record as u128) << 16) | self.index as u128
    }

    #[expect(clippy::cast_possible_truncation, reason = "each field takes its own bits")]
    const fn from_number(number: u128) -> Self {
        Self { shard: (number >> 80) as u16, record: (number >> 16) as u64, index: number as u16 }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 96 bits fill 19 characters and one bit of a twentieth: the zeros stand behind.
        let number = self.number() << (CHARACTERS * 5 - 96);
        f.write_str(PREFIX)?;
        (0..CHARACTERS).rev().try_for_each(|at| {
            let digit = usize::try_from((number >> (at * 5)) & 31).unwrap_or_default();
            fmt::Write::write_char(f, char::from(ALPHABET[digit]))
        })
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let digits = text.strip_prefix(PREFIX).filter(|it| it.len() == CHARACTERS).ok_or(MessageIdError)?;
        let number = digits.bytes().try_fold(0_u128, |number, character| {
            let digit = ALPHABET.iter().position(|it| *it == character).ok_or(MessageIdError)?;
            Ok(number << 5 | digit as u128)
        })?;
        let id = Self::from_number(number >> (CHARACTERS * 5 - 96));
        // One text an identifier: the bits behind the last are 0.
        if id.number() << (CHARACTERS * 5 - 96) == number { Ok(id) } else { Err(MessageIdError) }
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "utoipa")]
mod schema {
    use super::MessageId;
    use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
    use utoipa::openapi::{RefOr, Schema};

    impl utoipa::PartialSchema for MessageId {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(SchemaType::new(Type::String))
                .pattern(Some("^m-[0-9a-v]{20}$"))
                .description(Some("The identifier of a stored message"))
                .into()
        }
    }

    impl utoipa::ToSchema for MessageId {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: [MessageId; 5] = [
        MessageId { shard: 0, record: 0, index: 0 },
        MessageId { shard: 0, record: 0, index: 1 },
        MessageId { shard: 0, record: 1, index: 0 },
        MessageId { shard: 0, record: u64::MAX, index: u16::MAX },
        MessageId { shard: u16::MAX, record: u64::MAX, index: u16::MAX },
    ];

    #[test]
    fn texts_name_one_message_and_sort_as_the_messages_do() {
        for id in SOME {
            assert_eq!(id.to_string().len(), 22);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let texts = SOME.map(|id| id.to_string());
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[1], "m-0000000000000000000g");
    }

    #[test]
    fn any_other_text_is_none() {
        let wrong = [
            "",
            "m-",
            "0000000000000000000g",
            "m-0000000000000000000h",
            "m-0000000000000000000G",
            "m-000000000000000000g",
            "m-00000000000000000000g",
            "m-ééééééééé0",
        ];
        for text in wrong {
            assert_eq!(text.parse::<MessageId>(), Err(MessageIdError), "{text}");
        }
    }
}
