//! CONNECT, read in place, and the return codes that answer it.
//!
//! Written by hand, for a password is binary data (section 3.1.3.5) and no text. Whether the client may come in is
//! decided elsewhere; so is what an empty client identifier means.

use contract::qos::Qos;

use crate::error::DecodeError;
use crate::field::Fields;
use crate::frame::Frame;
use crate::packet::kind;
use crate::version::{UnsupportedVersion, Version};

/// The protocol name of 3.1.1 and later.
const PROTOCOL_NAME: &[u8] = b"MQTT";

/// The protocol name of MQTT 3.1, which deserves an answer but no service.
const PROTOCOL_NAME_V31: &[u8] = b"MQIsdp";

/// The bits of the connect flags (section 3.1.2.3).
pub(crate) mod flag {
    pub(crate) const RESERVED: u8 = 0b0000_0001;
    pub(crate) const CLEAN_SESSION: u8 = 0b0000_0010;
    pub(crate) const WILL: u8 = 0b0000_0100;
    pub(crate) const WILL_QOS: u8 = 0b0001_1000;
    pub(crate) const WILL_QOS_SHIFT: u8 = 3;
    pub(crate) const WILL_RETAIN: u8 = 0b0010_0000;
    pub(crate) const PASSWORD: u8 = 0b0100_0000;
    pub(crate) const USER_NAME: u8 = 0b1000_0000;
}

/// A client's wish to connect with 3.1.1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Whether the session begins and ends with this connection [MQTT-3.1.2-6].
    pub clean_session: bool,
    /// Seconds between two packets of the client, at most; 0 turns it off.
    pub keep_alive_secs: u16,
    /// May be empty. With `clean_session` the server then makes one up [MQTT-3.1.3-6]; without, it answers
    /// [`ConnectReturnCode::IdentifierRejected`] [MQTT-3.1.3-8].
    pub client_id: &'a str,
    /// The message to publish when the client goes without a DISCONNECT.
    pub will: Option<Will<'a>>,
    /// May be there and empty.
    pub username: Option<&'a str>,
    /// Any bytes; never without a user name [MQTT-3.1.2-22].
    pub password: Option<&'a [u8]>,
}

/// Shows that there is a password, never which.
impl std::fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("clean_session", &self.clean_session)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "***"))
            .finish()
    }
}

/// The will of a client: a message that others get when it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Will<'a> {
    /// A topic name, as in PUBLISH.
    pub topic: &'a str,
    /// At most 65 535 bytes.
    pub payload: &'a [u8],
    /// The quality of service it is published with.
    pub qos: Qos,
    /// Whether it is published as a retained message.
    pub retain: bool,
}

/// What the first packet of a connection asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstPacket<'a> {
    /// A connection with 3.1.1.
    Connect(Connect<'a>),
    /// A connection with another version: to be answered with
    /// [`connack_unsupported_version`](crate::connack_unsupported_version) and closed. Nothing behind the protocol
    /// level has been looked at, as its form is that version's.
    UnsupportedVersion(UnsupportedVersion),
}

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
}

/// Reads the first packet of a connection. Anything but CONNECT is [`DecodeError::Unexpected`] [MQTT-3.1.0-1]; what
/// is wrong within it closes the connection without an answer [MQTT-3.1.4-1].
pub fn decode_first(frame: Frame<'_>) -> Result<FirstPacket<'_>, DecodeError> {
    if frame.kind() != kind::CONNECT {
        return Err(DecodeError::Unexpected);
    }
    let mut fields = Fields::new(frame.body);
    let name = fields.binary()?;
    if name != PROTOCOL_NAME && name != PROTOCOL_NAME_V31 {
        return Err(DecodeError::ProtocolName);
    }
    let level = fields.byte()?;
    match Version::from_level(level) {
        Some(Version::V311) if name == PROTOCOL_NAME => Connect::decode(fields).map(FirstPacket::Connect),
        Some(Version::V5) if name == PROTOCOL_NAME => {
            Ok(FirstPacket::UnsupportedVersion(UnsupportedVersion::V5))
        }
        Some(Version::V311 | Version::V5) | None => {
            Ok(FirstPacket::UnsupportedVersion(UnsupportedVersion::Other { level }))
        }
    }
}

impl<'a> Connect<'a> {
    /// Reads what follows the protocol level.
    fn decode(mut fields: Fields<'a>) -> Result<Self, DecodeError> {
        let flags = fields.byte()?;
        check_flags(flags)?;
        let keep_alive_secs = fields.number()?;
        let client_id = fields.text()?;
        let will = if flags & flag::WILL == 0 { None } else { Some(Will::decode(flags, &mut fields)?) };
        let username = if flags & flag::USER_NAME == 0 { None } else { Some(fields.text()?) };
        let password = if flags & flag::PASSWORD == 0 { None } else { Some(fields.binary()?) };
        fields.finish()?;
        Ok(Self {
            clean_session: flags & flag::CLEAN_SESSION != 0,
            keep_alive_secs,
            client_id,
            will,
            username,
            password,
        })
    }

    /// The connect flags that say what is there.
    pub(crate) fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_session {
            flags |= flag::CLEAN_SESSION;
        }
        if let Some(will) = &self.will {
            flags |= flag::WILL | will.qos.bits() << flag::WILL_QOS_SHIFT;
            if will.retain {
                flags |= flag::WILL_RETAIN;
            }
        }
        if self.username.is_some() {
            flags |= flag::USER_NAME;
        }
        if self.password.is_some() {
            flags |= flag::PASSWORD;
        }
        flags
    }
}

impl<'a> Will<'a> {
    fn decode(flags: u8, fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let qos =
            Qos::from_bits((flags & flag::WILL_QOS) >> flag::WILL_QOS_SHIFT).ok_or(DecodeError::WillQos)?;
        let topic = fields.topic_name()?;
        let payload = fields.binary()?;
        Ok(Self { topic, payload, qos, retain: flags & flag::WILL_RETAIN != 0 })
    }
}

/// The rules that the flags must keep among themselves.
const fn check_flags(flags: u8) -> Result<(), DecodeError> {
    if flags & flag::RESERVED != 0 {
        return Err(DecodeError::ConnectReserved);
    }
    if flags & flag::WILL == 0 && flags & (flag::WILL_QOS | flag::WILL_RETAIN) != 0 {
        return Err(DecodeError::WillFlags);
    }
    if flags & flag::WILL_QOS == flag::WILL_QOS {
        return Err(DecodeError::WillQos);
    }
    if flags & flag::USER_NAME == 0 && flags & flag::PASSWORD != 0 {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    Ok(())
}
