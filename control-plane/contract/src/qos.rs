//! Quality of service.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The three qualities of service of MQTT; in JSON the numbers 0, 1 and 2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Qos {
    /// Delivered at most once, unacknowledged.
    AtMostOnce = 0,
    /// Delivered at least once, acknowledged by PUBACK.
    AtLeastOnce = 1,
    /// Delivered exactly once, by the four-packet exchange.
    ExactlyOnce = 2,
}

impl Qos {
    /// The quality with this number on the wire; `None` for 3 and above, which is reserved [MQTT-3.3.1-4].
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number on the wire.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

impl Serialize for Qos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.bits())
    }
}

impl<'de> Deserialize<'de> for Qos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bits = u8::deserialize(deserializer)?;
        Self::from_bits(bits).ok_or_else(|| de::Error::custom("a QoS is 0, 1 or 2"))
    }
}

#[cfg(feature = "utoipa")]
mod schema {
    use super::Qos;
    use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
    use utoipa::openapi::{RefOr, Schema};

    impl utoipa::PartialSchema for Qos {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(SchemaType::new(Type::Integer))
                .enum_values(Some([0, 1, 2]))
                .description(Some("Quality of service: 0 at most once, 1 at least once, 2 exactly once"))
                .into()
        }
    }

    impl utoipa::ToSchema for Qos {}
}
