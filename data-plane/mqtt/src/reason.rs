//! The reason codes of 5.0 (section 2.4), and which of them tells a refusal in which packet.

use contract::qos::Qos;
use contract::refusal::Refusal;

macro_rules! reason_codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $byte:literal $name:literal;)*) => {
        /// What became of what a packet asked for. Codes from 0x80 on are refusals.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[doc = $doc])* $variant = $byte,)*
        }

        impl ReasonCode {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code with this number; `None` for numbers that 5.0 does not name.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$variant),)* _ => None }
            }

            /// The name in events, documents and reason strings: the words of the standard's table.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reason_codes! {
    /// It is done; in SUBACK: at QoS 0, in DISCONNECT: goodbye, without the will.
    Success = 0x00 "success";
    /// In SUBACK: at QoS 1.
    GrantedQos1 = 0x01 "granted QoS 1";
    /// In SUBACK: at QoS 2.
    GrantedQos2 = 0x02 "granted QoS 2";
    /// The client goes, and its will is to be published.
    DisconnectWithWill = 0x04 "disconnect with will message";
    /// The message is taken; nobody is subscribed to its topic.
    NoMatchingSubscribers = 0x10 "no matching subscribers";
    /// There was no such subscription to end.
    NoSubscriptionExisted = 0x11 "no subscription existed";
    /// The exchange that proves the client goes on.
    ContinueAuthentication = 0x18 "continue authentication";
    /// The client proves itself anew.
    Reauthenticate = 0x19 "re-authenticate";
    /// A refusal whose reason is not told, or that no other code names.
    UnspecifiedError = 0x80 "unspecified error";
    /// The bytes are no packet.
    MalformedPacket = 0x81 "malformed packet";
    /// The packet may not come here, or not in this way.
    ProtocolError = 0x82 "protocol error";
    /// It is lawful, and this server does not do it.
    ImplementationSpecificError = 0x83 "implementation specific error";
    /// The protocol level is not served.
    UnsupportedProtocolVersion = 0x84 "unsupported protocol version";
    /// The client identifier is well-formed and not allowed.
    ClientIdentifierNotValid = 0x85 "client identifier not valid";
    /// User name or password do not prove the client.
    BadUserNameOrPassword = 0x86 "bad user name or password";
    /// The client may not do this.
    NotAuthorized = 0x87 "not authorized";
    /// The server is not to be had.
    ServerUnavailable = 0x88 "server unavailable";
    /// The server has too much to do; later it may be otherwise.
    ServerBusy = 0x89 "server busy";
    /// The client has been shut out by an administrator.
    Banned = 0x8A "banned";
    /// The server is going down.
    ServerShuttingDown = 0x8B "server shutting down";
    /// The authentication method is not served, or not the one of this connection.
    BadAuthenticationMethod = 0x8C "bad authentication method";
    /// Nothing was heard within one and a half times the keep alive.
    KeepAliveTimeout = 0x8D "keep alive timeout";
    /// A newer connection has the client identifier.
    SessionTakenOver = 0x8E "session taken over";
    /// The filter is well-formed and not accepted.
    TopicFilterInvalid = 0x8F "topic filter invalid";
    /// The topic name is well-formed and not accepted.
    TopicNameInvalid = 0x90 "topic name invalid";
    /// The packet identifier is in use.
    PacketIdentifierInUse = 0x91 "packet identifier in use";
    /// The packet identifier is not known.
    PacketIdentifierNotFound = 0x92 "packet identifier not found";
    /// More messages were sent than the receiver allows unacknowledged.
    ReceiveMaximumExceeded = 0x93 "receive maximum exceeded";
    /// The topic alias is 0 or above the maximum.
    TopicAliasInvalid = 0x94 "topic alias invalid";
    /// The packet is larger than its receiver allows.
    PacketTooLarge = 0x95 "packet too large";
    /// Too much comes in too short a time.
    MessageRateTooHigh = 0x96 "message rate too high";
    /// A limit is reached.
    QuotaExceeded = 0x97 "quota exceeded";
    /// An administrator ended it.
    AdministrativeAction = 0x98 "administrative action";
    /// The payload is not of the form that its indicator says.
    PayloadFormatInvalid = 0x99 "payload format invalid";
    /// The server retains no messages.
    RetainNotSupported = 0x9A "retain not supported";
    /// The QoS is higher than the server serves.
    QosNotSupported = 0x9B "QoS not supported";
    /// Another server is to be used for now.
    UseAnotherServer = 0x9C "use another server";
    /// Another server is to be used from now on.
    ServerMoved = 0x9D "server moved";
    /// The server serves no shared subscriptions.
    SharedSubscriptionsNotSupported = 0x9E "shared subscriptions not supported";
    /// Too many connections are made in too short a time.
    ConnectionRateExceeded = 0x9F "connection rate exceeded";
    /// The connection has lasted as long as it may.
    MaximumConnectTime = 0xA0 "maximum connect time";
    /// The server serves no subscription identifiers.
    SubscriptionIdentifiersNotSupported = 0xA1 "subscription identifiers not supported";
    /// The server serves no wildcards.
    WildcardSubscriptionsNotSupported = 0xA2 "wildcard subscriptions not supported";
}

impl ReasonCode {
    /// The number on the wire.
    #[inline]
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// Whether it is a refusal.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.byte() >= 0x80
    }

    /// How SUBACK says that a subscription is granted with this QoS.
    #[inline]
    #[must_use]
    pub const fn granted(qos: Qos) -> Self {
        match qos {
            Qos::AtMostOnce => Self::Success,
            Qos::AtLeastOnce => Self::GrantedQos1,
            Qos::ExactlyOnce => Self::GrantedQos2,
        }
    }

    /// The QoS that this code of SUBACK grants; `None` for a refusal.
    #[must_use]
    pub const fn granted_qos(self) -> Option<Qos> {
        Qos::from_bits(self.byte())
    }

    /// How CONNACK tells a refusal (table 3-1 of section 3.2.2.2). Whether it is told at all is decided elsewhere.
    ///
    /// What proves the client and what lets it in are told apart as far as 3.1.1 does it, and no further: whether a
    /// credential exists is nobody's business. A limit of the instance is a quota; what lies with this node is
    /// `ServerBusy` or `ServerUnavailable`, as it may be otherwise soon or elsewhere.
    #[must_use]
    pub const fn of_connack(refusal: Refusal) -> Self {
        match refusal {
            Refusal::MalformedPacket => Self::MalformedPacket,
            Refusal::ProtocolError | Refusal::TopicAliasInvalid | Refusal::ReceiveMax => Self::ProtocolError,
            Refusal::UnsupportedVersion => Self::UnsupportedProtocolVersion,
            Refusal::ClientIdInvalid | Refusal::ClientIdInUse | Refusal::ClientIdNotAllowed => {
                Self::ClientIdentifierNotValid
            }
            Refusal::CredentialsWrong | Refusal::TokenInvalid => Self::BadUserNameOrPassword,
            Refusal::AuthenticationKindRefused | Refusal::AuthenticationMethodInvalid => {
                Self::BadAuthenticationMethod
            }
            Refusal::NodeStopping | Refusal::StorageUnavailable => Self::ServerUnavailable,
            Refusal::SessionDamaged | Refusal::InternalError => Self::UnspecifiedError,
            Refusal::TooManyHandshakes | Refusal::ConnectTimeout => Self::ServerBusy,
            Refusal::PacketBytesMax | Refusal::PayloadBytesMax => Self::PacketTooLarge,
            Refusal::ConnectsPerSec => Self::ConnectionRateExceeded,
            Refusal::TopicNameInvalid
            | Refusal::TopicNotProvisioned
            | Refusal::TopicLevelsMax
            | Refusal::TopicBytesMax
            | Refusal::FilterInvalid => Self::TopicNameInvalid,
            Refusal::PayloadFormatInvalid => Self::PayloadFormatInvalid,
            Refusal::ConnectionsMax
            | Refusal::ConnectionsPerSubjectMax
            | Refusal::FiltersPerPacketMax
            | Refusal::ClientSubscriptionsMax
            | Refusal::SubscriptionsMax
            | Refusal::ClientSubscribesPerSec
            | Refusal::InFlightMessagesMax
            | Refusal::PropertiesBytesMax
            | Refusal::UserPropertiesMax
            | Refusal::SessionsMax
            | Refusal::QueueOverflow
            | Refusal::RetainedMax
            | Refusal::SharedSubscriptionsMax
            | Refusal::ReplaysMax => Self::QuotaExceeded,
            Refusal::TlsHandshakeFailed
            | Refusal::InstanceUnknown
            | Refusal::InstanceSuspended
            | Refusal::CredentialDisabled
            | Refusal::TokenNotYetValid
            | Refusal::TokenExpired
            | Refusal::TokenRevoked
            | Refusal::WillNotAuthorized
            | Refusal::NotAuthorized
            | Refusal::HistoryNotKept
            | Refusal::KeepAliveTimeout
            | Refusal::TakenOver
            | Refusal::RightsWithdrawn => Self::NotAuthorized,
        }
    }

    /// How PUBACK and PUBREC tell a refusal (tables 3-4 and 3-5): the message is not taken, the connection goes on.
    ///
    /// `PacketTooLarge` and `RetainNotSupported` are none of these packets' codes: what is larger than a topic allows
    /// is a quota, and the message store that takes nothing is this implementation's own matter.
    #[must_use]
    pub const fn of_publish(refusal: Refusal) -> Self {
        let code = Self::of_connack(refusal);
        if matches!(
            code,
            Self::NotAuthorized | Self::TopicNameInvalid | Self::QuotaExceeded | Self::PayloadFormatInvalid
        ) {
            code
        } else if matches!(code, Self::PacketTooLarge) {
            Self::QuotaExceeded
        } else if matches!(code, Self::ServerUnavailable | Self::ServerBusy) {
            Self::ImplementationSpecificError
        } else {
            Self::UnspecifiedError
        }
    }

    /// How SUBACK tells a refusal (table 3-8).
    #[must_use]
    pub const fn of_subscribe(refusal: Refusal) -> Self {
        let code = Self::of_connack(refusal);
        if matches!(code, Self::NotAuthorized | Self::QuotaExceeded) {
            code
        } else if matches!(code, Self::TopicNameInvalid) {
            Self::TopicFilterInvalid
        } else if matches!(code, Self::PacketTooLarge) {
            Self::QuotaExceeded
        } else if matches!(code, Self::ServerUnavailable | Self::ServerBusy) {
            Self::ImplementationSpecificError
        } else {
            Self::UnspecifiedError
        }
    }

    /// How DISCONNECT tells a refusal (table 3-10).
    ///
    /// What an administrator took away while the client was connected is `AdministrativeAction`; what ran out by itself,
    /// as a token does, is `NotAuthorized`.
    #[must_use]
    pub const fn of_disconnect(refusal: Refusal) -> Self {
        match refusal {
            Refusal::MalformedPacket => Self::MalformedPacket,
            Refusal::ProtocolError | Refusal::AuthenticationMethodInvalid | Refusal::UnsupportedVersion => {
                Self::ProtocolError
            }
            Refusal::NodeStopping => Self::ServerShuttingDown,
            Refusal::KeepAliveTimeout => Self::KeepAliveTimeout,
            Refusal::TakenOver => Self::SessionTakenOver,
            Refusal::FilterInvalid => Self::TopicFilterInvalid,
            Refusal::TopicNameInvalid
            | Refusal::TopicNotProvisioned
            | Refusal::TopicLevelsMax
            | Refusal::TopicBytesMax => Self::TopicNameInvalid,
            Refusal::ReceiveMax => Self::ReceiveMaximumExceeded,
            Refusal::TopicAliasInvalid => Self::TopicAliasInvalid,
            Refusal::PacketBytesMax => Self::PacketTooLarge,
            Refusal::ClientSubscribesPerSec => Self::MessageRateTooHigh,
            Refusal::PayloadFormatInvalid => Self::PayloadFormatInvalid,
            Refusal::ConnectsPerSec => Self::ConnectionRateExceeded,
            Refusal::ConnectTimeout | Refusal::TooManyHandshakes | Refusal::StorageUnavailable => {
                Self::ServerBusy
            }
            Refusal::InstanceUnknown
            | Refusal::InstanceSuspended
            | Refusal::AuthenticationKindRefused
            | Refusal::CredentialsWrong
            | Refusal::CredentialDisabled
            | Refusal::TokenRevoked
            | Refusal::RightsWithdrawn => Self::AdministrativeAction,
            Refusal::ConnectionsMax
            | Refusal::ConnectionsPerSubjectMax
            | Refusal::PayloadBytesMax
            | Refusal::FiltersPerPacketMax
            | Refusal::ClientSubscriptionsMax
            | Refusal::SubscriptionsMax
            | Refusal::InFlightMessagesMax
            | Refusal::PropertiesBytesMax
            | Refusal::UserPropertiesMax
            | Refusal::SessionsMax
            | Refusal::QueueOverflow
            | Refusal::RetainedMax
            | Refusal::SharedSubscriptionsMax
            | Refusal::ReplaysMax => Self::QuotaExceeded,
            Refusal::ClientIdInvalid
            | Refusal::ClientIdInUse
            | Refusal::ClientIdNotAllowed
            | Refusal::TokenInvalid
            | Refusal::TokenNotYetValid
            | Refusal::TokenExpired
            | Refusal::WillNotAuthorized
            | Refusal::NotAuthorized
            | Refusal::HistoryNotKept => Self::NotAuthorized,
            Refusal::TlsHandshakeFailed | Refusal::SessionDamaged | Refusal::InternalError => {
                Self::UnspecifiedError
            }
        }
    }
}
