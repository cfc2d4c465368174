//! CONNACK: what a server says about the connection, and the return codes of 3.1.1 that answer it.

use contract::qos::Qos;

use crate::encode::remaining_length;
use crate::error::DecodeError;
use crate::field::Fields;
use crate::library;
use crate::packet::kind;
use crate::property::{Properties, UserProperties, id, write};
use crate::reason::ReasonCode;
use crate::version::{UnsupportedVersion, Version};

/// How a server answers CONNECT in 3.1.1 (table 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ConnectReturnCode {
    /// The connection stands.
    Accepted = 0,
    /// The protocol level is not served [MQTT-3.1.2-2].
    UnacceptableProtocolVersion = 1,
    /// The client identifier is well-formed and not allowed [MQTT-3.1.3-9].
    IdentifierRejected = 2,
    /// The service is not to be had now.
    ServerUnavailable = 3,
    /// User name or password do not prove the client.
    BadUserNameOrPassword = 4,
    /// The client is known and may not connect.
    NotAuthorized = 5,
}

impl ConnectReturnCode {
    /// The code of this number; `None` for the reserved ones.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Accepted),
            1 => Some(Self::UnacceptableProtocolVersion),
            2 => Some(Self::IdentifierRejected),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUserNameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }

    /// What 3.1.1 says for a reason code: what lies with the server or its limits is `ServerUnavailable`, whatever it
    /// has no word for `NotAuthorized`.
    #[must_use]
    pub const fn of_reason(reason: ReasonCode) -> Self {
        if matches!(
            reason,
            ReasonCode::ServerUnavailable
                | ReasonCode::ServerBusy
                | ReasonCode::ServerShuttingDown
                | ReasonCode::QuotaExceeded
                | ReasonCode::ConnectionRateExceeded
                | ReasonCode::UseAnotherServer
                | ReasonCode::ServerMoved
                | ReasonCode::ImplementationSpecificError
                | ReasonCode::UnspecifiedError
        ) {
            Self::ServerUnavailable
        } else if matches!(reason, ReasonCode::Success) {
            Self::Accepted
        } else if matches!(reason, ReasonCode::UnsupportedProtocolVersion) {
            Self::UnacceptableProtocolVersion
        } else if matches!(reason, ReasonCode::ClientIdentifierNotValid) {
            Self::IdentifierRejected
        } else if matches!(reason, ReasonCode::BadUserNameOrPassword) {
            Self::BadUserNameOrPassword
        } else {
            Self::NotAuthorized
        }
    }

    /// The reason code with the same meaning.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Accepted => ReasonCode::Success,
            Self::UnacceptableProtocolVersion => ReasonCode::UnsupportedProtocolVersion,
            Self::IdentifierRejected => ReasonCode::ClientIdentifierNotValid,
            Self::ServerUnavailable => ReasonCode::ServerUnavailable,
            Self::BadUserNameOrPassword => ReasonCode::BadUserNameOrPassword,
            Self::NotAuthorized => ReasonCode::NotAuthorized,
        }
    }
}

/// What CONNACK of 5.0 says besides its code (section 3.2.2.3). The default is what a client assumes of what is not
/// there, and it is not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnackProperties<'a> {
    /// Seconds that the session is kept; `None`: as the client asked.
    pub session_expiry_secs: Option<u32>,
    /// Messages of QoS 1 and 2 that the server takes unacknowledged; never 0, without the property 65 535.
    pub receive_max: u16,
    /// The highest QoS that the server serves.
    pub qos_max: Qos,
    /// Whether the server retains messages.
    pub retain_available: bool,
    /// The largest packet that the server takes; `None`: any.
    pub packet_bytes_max: Option<u32>,
    /// The client identifier that the server made up [MQTT-3.1.3-7].
    pub assigned_client_id: Option<&'a str>,
    /// The highest topic alias that the server takes; 0: none.
    pub topic_alias_max: u16,
    /// Why, for people.
    pub reason_string: Option<&'a str>,
    /// More about it.
    pub user_properties: UserProperties<'a>,
    /// Whether the server serves wildcards.
    pub wildcards_available: bool,
    /// Whether the server serves subscription identifiers.
    pub subscription_ids_available: bool,
    /// Whether the server serves shared subscriptions.
    pub shared_available: bool,
    /// The keep alive that holds instead of the client's [MQTT-3.1.2-21].
    pub server_keep_alive_secs: Option<u16>,
    /// What to build response topics from.
    pub response_info: Option<&'a str>,
    /// Where else to connect.
    pub server_reference: Option<&'a str>,
    /// The method of the exchange that ends here.
    pub auth_method: Option<&'a str>,
    /// The last word of the exchange.
    pub auth_data: Option<&'a [u8]>,
}

impl Default for ConnackProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry_secs: None,
            receive_max: u16::MAX,
            qos_max: Qos::ExactlyOnce,
            retain_available: true,
            packet_bytes_max: None,
            assigned_client_id: None,
            topic_alias_max: 0,
            reason_string: None,
            user_properties: UserProperties::default(),
            wildcards_available: true,
            subscription_ids_available: true,
            shared_available: true,
            server_keep_alive_secs: None,
            response_info: None,
            server_reference: None,
            auth_method: None,
            auth_data: None,
        }
    }
}

/// CONNACK. A refusal never claims a session, whatever `session_present` says [MQTT-3.2.2-4], [MQTT-3.2.2-6]. Before
/// 5.0 the code is [`ConnectReturnCode::of_reason`], there are no properties, and 3.1 knows no `session_present`.
pub fn connack(
    out: &mut Vec<u8>,
    version: Version,
    session_present: bool,
    reason: ReasonCode,
    properties: &ConnackProperties<'_>,
) {
    let session_present = session_present && reason == ReasonCode::Success;
    match version {
        Version::V31 => library::write_connack(out, false, ConnectReturnCode::of_reason(reason)),
        Version::V311 => library::write_connack(out, session_present, ConnectReturnCode::of_reason(reason)),
        Version::V5 => {
            let mut section = Vec::new();
            properties.write(&mut section);
            let mut body = vec![u8::from(session_present), reason.byte()];
            remaining_length(&mut body, section.len());
            body.extend_from_slice(&section);
            out.push(kind::CONNACK << 4);
            remaining_length(out, body.len());
            out.extend_from_slice(&body);
        }
    }
}

/// CONNACK for a client of a version that nobody here knows: in the form of 5.0 for what is later than that, with
/// return code 1 for the others [MQTT-3.1.2-2]. A bridge that sets its bit in the level is answered in the form of the
/// level without it, for it then tries again without.
pub fn connack_unsupported_version(out: &mut Vec<u8>, version: UnsupportedVersion) {
    let form = if version.reads_v5() { Version::V5 } else { Version::V311 };
    connack(out, form, false, ReasonCode::UnsupportedProtocolVersion, &ConnackProperties::default());
}

impl<'a> ConnackProperties<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        self.write_limits(out);
        for (id, text) in [
            (id::ASSIGNED_CLIENT_ID, self.assigned_client_id),
            (id::RESPONSE_INFO, self.response_info),
            (id::SERVER_REFERENCE, self.server_reference),
            (id::AUTH_METHOD, self.auth_method),
        ] {
            if let Some(text) = text {
                write::bytes(out, id, text.as_bytes());
            }
        }
        if let Some(data) = self.auth_data {
            write::bytes(out, id::AUTH_DATA, data);
        }
        write::reason(out, self.reason_string, &self.user_properties);
    }

    fn write_limits(&self, out: &mut Vec<u8>) {
        if let Some(secs) = self.session_expiry_secs {
            write::long(out, id::SESSION_EXPIRY, secs);
        }
        if self.receive_max != u16::MAX {
            write::number(out, id::RECEIVE_MAX, self.receive_max);
        }
        if self.qos_max != Qos::ExactlyOnce {
            write::byte(out, id::QOS_MAX, self.qos_max.bits());
        }
        if let Some(bytes) = self.packet_bytes_max {
            write::long(out, id::PACKET_BYTES_MAX, bytes);
        }
        if self.topic_alias_max != 0 {
            write::number(out, id::TOPIC_ALIAS_MAX, self.topic_alias_max);
        }
        if let Some(secs) = self.server_keep_alive_secs {
            write::number(out, id::SERVER_KEEP_ALIVE, secs);
        }
        for (id, is_available) in [
            (id::RETAIN_AVAILABLE, self.retain_available),
            (id::WILDCARDS_AVAILABLE, self.wildcards_available),
            (id::SUBSCRIPTION_IDS_AVAILABLE, self.subscription_ids_available),
            (id::SHARED_AVAILABLE, self.shared_available),
        ] {
            if !is_available {
                write::byte(out, id, 0);
            }
        }
    }

    pub(crate) fn read(fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let mut properties = Properties::read(fields)?;
        let mut read =
            Self { user_properties: UserProperties::within(properties.section()), ..Self::default() };
        while let Some(id) = properties.next()? {
            match id {
                id::SESSION_EXPIRY => read.session_expiry_secs = Some(properties.long()?),
                id::RECEIVE_MAX => read.receive_max = properties.number_from_one()?,
                id::QOS_MAX => {
                    read.qos_max = if properties.flag()? { Qos::AtLeastOnce } else { Qos::AtMostOnce };
                }
                id::RETAIN_AVAILABLE => read.retain_available = properties.flag()?,
                id::PACKET_BYTES_MAX => read.packet_bytes_max = Some(properties.long_from_one()?),
                id::ASSIGNED_CLIENT_ID => read.assigned_client_id = Some(properties.text()?),
                id::TOPIC_ALIAS_MAX => read.topic_alias_max = properties.number()?,
                id::REASON_STRING => read.reason_string = Some(properties.text()?),
                id::USER_PROPERTY => properties.check_pair()?,
                id::WILDCARDS_AVAILABLE => read.wildcards_available = properties.flag()?,
                id::SUBSCRIPTION_IDS_AVAILABLE => read.subscription_ids_available = properties.flag()?,
                id::SHARED_AVAILABLE => read.shared_available = properties.flag()?,
                id::SERVER_KEEP_ALIVE => read.server_keep_alive_secs = Some(properties.number()?),
                id::RESPONSE_INFO => read.response_info = Some(properties.text()?),
                id::SERVER_REFERENCE => read.server_reference = Some(properties.text()?),
                id::AUTH_METHOD => read.auth_method = Some(properties.text()?),
                id::AUTH_DATA => read.auth_data = Some(properties.binary()?),
                _ => return Err(DecodeError::Property),
            }
        }
        Ok(read)
    }
}
