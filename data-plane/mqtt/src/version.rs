//! Protocol levels: which versions of MQTT are spoken here.

/// A version of MQTT, as protocol name and level of CONNECT say it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3. Its packets are those of 3.1.1, where the two differ the later one's
    /// rules hold.
    V31,
    /// MQTT 3.1.1: protocol level 4.
    V311,
    /// MQTT 5.0: protocol level 5.
    V5,
}

impl Version {
    /// Every version, the oldest first.
    pub const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V5];

    /// The version with this protocol level; `None` for every other level.
    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            3 => Some(Self::V31),
            4 => Some(Self::V311),
            5 => Some(Self::V5),
            _ => None,
        }
    }

    /// The protocol level of this version on the wire.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// Whether packets have properties and reason codes: 5.0.
    #[inline]
    #[must_use]
    pub const fn is_v5(self) -> bool {
        matches!(self, Self::V5)
    }

    /// The name in documents and events: `3.1`, `3.1.1`, `5.0`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }

    /// The protocol name of this version on the wire.
    pub(crate) const fn protocol_name(self) -> &'static [u8] {
        match self {
            Self::V31 => b"MQIsdp",
            Self::V311 | Self::V5 => b"MQTT",
        }
    }
}

/// A version that a client asked for and that nobody here knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UnsupportedVersion {
    /// The protocol level as it was sent.
    pub level: u8,
}

impl UnsupportedVersion {
    /// The bit that a bridge sets in the level of its version; it is no part of the level.
    const BRIDGE: u8 = 0x80;

    /// Whether the client understands an answer in the form of 5.0: its level is above that of 5.0, or is that of 5.0
    /// with the bit of a bridge.
    pub(crate) const fn reads_v5(self) -> bool {
        self.level & !Self::BRIDGE >= Version::V5.level()
    }
}
