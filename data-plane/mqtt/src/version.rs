//! Protocol levels: which versions of MQTT exist, and which of them this crate does not speak yet.

/// A version of MQTT, as the protocol level of CONNECT names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

impl Version {
    /// The version with this protocol level; `None` for every other level.
    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            4 => Some(Self::V311),
            5 => Some(Self::V5),
            _ => None,
        }
    }

    /// The protocol level of this version on the wire.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

/// A version that a client asked for and is refused, by the way in which it understands the refusal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnsupportedVersion {
    /// MQTT 5.0: answered with reason code 0x84 in the form of that version.
    V5,
    /// Every other level, MQTT 3.1 (`MQIsdp`, level 3) among them: answered with return code 1 [MQTT-3.1.2-2].
    Other {
        /// The protocol level as it was sent.
        level: u8,
    },
}
