//! Why bytes are no packet, and why a packet has no bytes.

use contract::refusal::Refusal;
use contract::topic::TopicError;

use crate::reason::ReasonCode;
use crate::version::Version;

/// Why a frame is refused. Each but [`PacketTooLarge`](Self::PacketTooLarge) and
/// [`TooManyFilters`](Self::TooManyFilters), which are this server's own bounds, breaks the protocol, and the
/// connection it came on is closed [MQTT-4.8.0-1].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    // --- the frame ---
    /// The packet, its fixed header included, is longer than its receiver allows: the bytes it announces.
    #[error("a packet of `{0}` bytes is over the limit")]
    PacketTooLarge(u32),
    /// The remaining length goes on after its fourth byte (section 2.2.3).
    #[error("the remaining length has more than four bytes")]
    RemainingLength,
    /// Packet types 0 and 15 are reserved (section 2.2.1).
    #[error("the packet type is reserved")]
    PacketType,
    /// [MQTT-2.2.2-2], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1]
    #[error("the flags are not those of the packet type")]
    Flags,
    /// [MQTT-3.3.1-4]
    #[error("a publish has both bits of its qos set")]
    PublishQos,
    /// [MQTT-3.3.1-2]
    #[error("a publish of qos 0 is marked as a duplicate")]
    DuplicateWithoutQos,
    /// The first packet is no CONNECT [MQTT-3.1.0-1], a later one is [MQTT-3.1.0-2], or the packet is one that
    /// only the other side sends (table 2.1).
    #[error("the packet is not expected here")]
    Unexpected,

    // --- its fields ---
    /// A field runs past the end of the packet, or the packet ends before its last field (section 2.2.3).
    #[error("the packet ends inside a field")]
    Truncated,
    /// Bytes follow the last field. In CONNECT this includes a field whose flag is 0 [MQTT-3.1.2-11],
    /// [MQTT-3.1.2-18], [MQTT-3.1.2-20]; in a PUBLISH of QoS 0 nothing does: the rest is payload.
    #[error("bytes follow the last field of the packet")]
    TrailingBytes,
    /// [MQTT-1.5.3-1], [MQTT-3.1.3-4], [MQTT-3.1.3-10], [MQTT-3.1.3-11], [MQTT-3.3.2-1], [MQTT-3.8.3-1],
    /// [MQTT-3.10.3-1]
    #[error("a text is not well-formed utf-8")]
    Utf8,
    /// [MQTT-1.5.3-2], [MQTT-4.7.3-2]
    #[error("a text holds a null character")]
    Null,
    /// [MQTT-2.3.1-1]; for acknowledgements it follows from [MQTT-2.3.1-6]
    #[error("the packet identifier is 0")]
    PacketIdZero,
    /// [MQTT-3.3.2-2], [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.7.3-1]
    #[error(transparent)]
    Topic(TopicError),

    // --- its properties (5.0) ---
    /// A length, or another variable byte integer, in more bytes than it takes [MQTT-1.5.5-1].
    #[error("a length is written in more bytes than it takes")]
    PaddedLength,
    /// A variable byte integer that goes on after its fourth byte (section 1.5.5).
    #[error("a variable byte integer has more than four bytes")]
    VariableByteInteger,
    /// The packet has no such property (section 2.2.2.2).
    #[error("the property does not belong to the packet")]
    Property,
    /// The property may stand only once.
    #[error("the property is there twice")]
    PropertyTwice,
    /// The value is one that the property may not have: 0, or more than 1.
    #[error("the value of the property is not allowed")]
    PropertyValue,
    /// The reason code is none of this packet's.
    #[error("the reason code does not belong to the packet")]
    ReasonCode,
    /// [MQTT-3.3.2-8]
    #[error("the topic alias is 0")]
    TopicAlias,
    /// Neither a topic nor an alias (section 3.3.2.1).
    #[error("there is neither a topic nor a topic alias")]
    TopicMissing,
    /// [MQTT-3.3.2-14]
    #[error("the response topic is no topic name")]
    ResponseTopic,
    /// 0, twice in one SUBSCRIBE (section 3.8.2.1.2), or from a client in PUBLISH [MQTT-3.3.4-6].
    #[error("the subscription identifier is not allowed")]
    SubscriptionId,
    /// Authentication data without a method (section 3.1.2.11.10), or an AUTH without one (section 3.15.2.2.2).
    #[error("there is no authentication method")]
    AuthenticationMethod,

    // --- CONNECT ---
    /// [MQTT-3.1.2-1]
    #[error("the protocol name is not `MQTT`")]
    ProtocolName,
    /// [MQTT-3.1.2-3]
    #[error("the reserved flag of connect is set")]
    ConnectReserved,
    /// [MQTT-3.1.2-11], [MQTT-3.1.2-13], [MQTT-3.1.2-15]
    #[error("there are will flags without a will")]
    WillFlags,
    /// [MQTT-3.1.2-14]
    #[error("the qos of the will is 3")]
    WillQos,
    /// [MQTT-3.1.2-22]
    #[error("there is a password without a user name")]
    PasswordWithoutUserName,

    /// The topic of the will is no topic name [MQTT-3.1.3-10].
    #[error("the topic of the will: {0}")]
    WillTopic(TopicError),

    // --- SUBSCRIBE, UNSUBSCRIBE ---
    /// [MQTT-3.8.3-3], [MQTT-3.10.3-2]
    #[error("there is no topic filter")]
    NoFilters,
    /// [MQTT-3-8.3-4]
    #[error("the options of a subscription are reserved")]
    SubscriptionOptions,
    /// Retain handling 3 (section 3.8.3.1).
    #[error("the retain handling is reserved")]
    RetainHandling,
    /// [MQTT-3.8.3-4]
    #[error("a shared subscription may not be without the client's own messages")]
    SharedNoLocal,
    /// More than [`FILTERS_PER_PACKET_MAX`](crate::FILTERS_PER_PACKET_MAX).
    #[error("there are too many topic filters in one packet")]
    TooManyFilters,
    /// The library behind the strict checks refuses what they let pass. No input is known to lead here.
    #[error("the packet is malformed")]
    Malformed,

    // --- what a server sends ---
    /// Bits 7-1 of the acknowledge flags are reserved (section 3.2.2.1).
    #[error("the reserved acknowledge flags of connack are set")]
    ConnAckFlags,
    /// [MQTT-3.2.2-4]
    #[error("a refused connection claims a session")]
    SessionOfRefused,
    /// Reserved return codes of CONNACK (table 3.1) and SUBACK [MQTT-3.9.3-2].
    #[error("the return code is reserved")]
    ReturnCode,
}

impl DecodeError {
    /// Under which reason the refusal is counted, and told in 5.0.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::PacketTooLarge(_) => Refusal::PacketBytesMax,
            Self::TooManyFilters => Refusal::FiltersPerPacketMax,
            Self::Topic(TopicError::WildcardInName) => Refusal::TopicNameInvalid,
            Self::TopicAlias => Refusal::TopicAliasInvalid,
            Self::Unexpected
            | Self::NoFilters
            | Self::PropertyTwice
            | Self::PropertyValue
            | Self::TopicMissing
            | Self::ResponseTopic
            | Self::SubscriptionId
            | Self::AuthenticationMethod
            | Self::RetainHandling
            | Self::SharedNoLocal => Refusal::ProtocolError,
            Self::RemainingLength
            | Self::PacketType
            | Self::Flags
            | Self::PublishQos
            | Self::DuplicateWithoutQos
            | Self::Truncated
            | Self::TrailingBytes
            | Self::Utf8
            | Self::Null
            | Self::PacketIdZero
            | Self::Topic(_)
            | Self::WillTopic(_)
            | Self::ProtocolName
            | Self::ConnectReserved
            | Self::WillFlags
            | Self::WillQos
            | Self::PasswordWithoutUserName
            | Self::SubscriptionOptions
            | Self::Malformed
            | Self::PaddedLength
            | Self::VariableByteInteger
            | Self::Property
            | Self::ReasonCode
            | Self::ConnAckFlags
            | Self::SessionOfRefused
            | Self::ReturnCode => Refusal::MalformedPacket,
        }
    }
}

impl DecodeError {
    /// The same of the topic of a will.
    pub(crate) const fn of_will(self) -> Self {
        if let Self::Topic(error) = self { Self::WillTopic(error) } else { self }
    }

    /// Under which reason the refusal is counted for a client of this version. Before 5.0 a topic name with a wildcard
    /// has no reason of its own.
    #[must_use]
    pub const fn refusal_in(self, version: Version) -> Refusal {
        if matches!(self, Self::Topic(_)) && !version.is_v5() {
            return Refusal::MalformedPacket;
        }
        self.refusal()
    }

    /// How DISCONNECT and CONNACK of 5.0 tell it.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        ReasonCode::of_disconnect(self.refusal())
    }
}

impl From<TopicError> for DecodeError {
    #[inline]
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Null => Self::Null,
            TopicError::Empty
            | TopicError::TooLong
            | TopicError::WildcardInName
            | TopicError::HashNotLast
            | TopicError::PartialWildcard => Self::Topic(error),
        }
    }
}

/// Why a packet cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// A text or binary field has more bytes than its two-byte length can say (section 1.5.3).
    #[error("a field has more than 65535 bytes")]
    FieldTooLong,
    /// The packet has more bytes than a remaining length can say (section 2.2.3).
    #[error("the packet is longer than a remaining length can say")]
    PacketTooLong,
    /// A packet identifier without QoS 1 or 2 [MQTT-2.3.1-5], or the reverse [MQTT-2.3.1-1].
    #[error("the packet identifier does not agree with the qos")]
    PacketId,
    /// [MQTT-3.1.2-22]
    #[error("there is a password without a user name")]
    PasswordWithoutUserName,
    /// [MQTT-3.8.3-3], [MQTT-3.10.3-2]
    #[error("there is no topic filter")]
    NoFilters,
}
