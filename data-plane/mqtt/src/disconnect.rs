//! DISCONNECT: the goodbye of either side, with a reason in 5.0.

use crate::encode::remaining_length;
use crate::error::DecodeError;
use crate::field::Fields;
use crate::packet::kind;
use crate::property::{Properties, UserProperties, id, write};
use crate::publish::Sender;
use crate::reason::ReasonCode;

/// The goodbye of the other side. Of 3.1.1 it is the default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disconnect<'a> {
    /// Why; anything but [`Success`](ReasonCode::Success) of a client keeps its will [MQTT-3.14.4-3].
    pub reason: ReasonCode,
    /// Seconds that the session is to be kept instead of what CONNECT said; only from a client [MQTT-3.14.2-2].
    pub session_expiry_secs: Option<u32>,
    /// Why, for people.
    pub reason_string: Option<&'a str>,
    /// Where else to connect; only from a server.
    pub server_reference: Option<&'a str>,
    /// More about it.
    pub user_properties: UserProperties<'a>,
}

impl Default for Disconnect<'_> {
    fn default() -> Self {
        Self {
            reason: ReasonCode::Success,
            session_expiry_secs: None,
            reason_string: None,
            server_reference: None,
            user_properties: UserProperties::default(),
        }
    }
}

/// What a server may say besides the reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DisconnectProperties<'a> {
    /// Why, for people.
    pub reason_string: Option<&'a str>,
    /// Where else to connect.
    pub server_reference: Option<&'a str>,
    /// More about it.
    pub user_properties: UserProperties<'a>,
}

/// DISCONNECT of a server of 5.0; before that a server has none.
pub fn disconnect(out: &mut Vec<u8>, reason: ReasonCode, properties: &DisconnectProperties<'_>) {
    let &DisconnectProperties { reason_string, server_reference, user_properties } = properties;
    let session_expiry_secs = None;
    Disconnect { reason, session_expiry_secs, reason_string, server_reference, user_properties }.write(out);
}

impl<'a> Disconnect<'a> {
    /// The whole packet in the form of 5.0, as short as it can be.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut section = Vec::new();
        if let Some(secs) = self.session_expiry_secs {
            write::long(&mut section, id::SESSION_EXPIRY, secs);
        }
        if let Some(reference) = self.server_reference {
            write::bytes(&mut section, id::SERVER_REFERENCE, reference.as_bytes());
        }
        write::reason(&mut section, self.reason_string, &self.user_properties);
        write_short(out, kind::DISCONNECT << 4, &[], self.reason, &section);
    }

    /// The body in the form of 5.0: it may end before the reason, or before the properties.
    pub(crate) fn decode(sender: Sender, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(body);
        let mut read = Self::default();
        if fields.is_empty() {
            return Ok(read);
        }
        let reason = ReasonCode::from_byte(fields.byte()?).ok_or(DecodeError::ReasonCode)?;
        if !is_allowed(sender, reason) {
            return Err(DecodeError::ReasonCode);
        }
        read.reason = reason;
        if fields.is_empty() {
            return Ok(read);
        }
        let mut properties = Properties::read(&mut fields)?;
        read.user_properties = UserProperties::within(properties.section());
        while let Some(id) = properties.next()? {
            match id {
                id::SESSION_EXPIRY if sender == Sender::Client => {
                    read.session_expiry_secs = Some(properties.long()?);
                }
                // [MQTT-3.14.2-2]
                id::SESSION_EXPIRY => return Err(DecodeError::PropertyValue),
                id::REASON_STRING => read.reason_string = Some(properties.text()?),
                id::SERVER_REFERENCE if sender == Sender::Server => {
                    read.server_reference = Some(properties.text()?);
                }
                id::USER_PROPERTY => properties.check_pair()?,
                _ => return Err(DecodeError::Property),
            }
        }
        fields.finish()?;
        Ok(read)
    }
}

/// Writes a packet that ends where nothing more is to be said: before the properties if there are none, and then before
/// the reason if it is [`Success`](ReasonCode::Success).
pub(crate) fn write_short(out: &mut Vec<u8>, first: u8, head: &[u8], reason: ReasonCode, section: &[u8]) {
    let mut body = head.to_vec();
    if reason != ReasonCode::Success || !section.is_empty() {
        body.push(reason.byte());
    }
    if !section.is_empty() {
        remaining_length(&mut body, section.len());
        body.extend_from_slice(section);
    }
    out.push(first);
    remaining_length(out, body.len());
    out.extend_from_slice(&body);
}

/// Table 3-10. The codes that name what only a server does come only from one.
const fn is_allowed(sender: Sender, reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::Success
            | ReasonCode::UnspecifiedError
            | ReasonCode::MalformedPacket
            | ReasonCode::ProtocolError
            | ReasonCode::ImplementationSpecificError
            | ReasonCode::TopicNameInvalid
            | ReasonCode::ReceiveMaximumExceeded
            | ReasonCode::TopicAliasInvalid
            | ReasonCode::PacketTooLarge
            | ReasonCode::MessageRateTooHigh
            | ReasonCode::QuotaExceeded
            | ReasonCode::AdministrativeAction
            | ReasonCode::PayloadFormatInvalid
    ) || match sender {
        Sender::Client => matches!(reason, ReasonCode::DisconnectWithWill),
        Sender::Server => is_of_servers(reason),
    }
}

const fn is_of_servers(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::NotAuthorized
            | ReasonCode::ServerBusy
            | ReasonCode::ServerShuttingDown
            | ReasonCode::KeepAliveTimeout
            | ReasonCode::SessionTakenOver
            | ReasonCode::TopicFilterInvalid
            | ReasonCode::RetainNotSupported
            | ReasonCode::QosNotSupported
            | ReasonCode::UseAnotherServer
            | ReasonCode::ServerMoved
            | ReasonCode::SharedSubscriptionsNotSupported
            | ReasonCode::ConnectionRateExceeded
            | ReasonCode::MaximumConnectTime
            | ReasonCode::SubscriptionIdentifiersNotSupported
            | ReasonCode::WildcardSubscriptionsNotSupported
    )
}
