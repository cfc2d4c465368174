//! CONNECT, read in place.
//!
//! Written by hand, for a password is binary data (section 3.1.3.5) and no text. Whether the client may come in is
//! decided elsewhere; so is what an empty client identifier means.

use contract::qos::Qos;

use crate::content::Content;
use crate::error::DecodeError;
use crate::field::Fields;
use crate::frame::Frame;
use crate::packet::{check_length, kind};
use crate::property::{Properties, UserProperties, id, write};
use crate::publish::ContentRange;
use crate::version::{UnsupportedVersion, Version};

/// The bits of the connect flags (section 3.1.2.3).
pub(crate) mod flag {
    pub(crate) const RESERVED: u8 = 0b0000_0001;
    pub(crate) const CLEAN_START: u8 = 0b0000_0010;
    pub(crate) const WILL: u8 = 0b0000_0100;
    pub(crate) const WILL_QOS: u8 = 0b0001_1000;
    pub(crate) const WILL_QOS_SHIFT: u8 = 3;
    pub(crate) const WILL_RETAIN: u8 = 0b0010_0000;
    pub(crate) const PASSWORD: u8 = 0b0100_0000;
    pub(crate) const USER_NAME: u8 = 0b1000_0000;
}

/// A client's wish to connect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the client speaks from here on.
    pub version: Version,
    /// Whether a session of this client that is kept is thrown away. Before 5.0 it is the clean session: this session
    /// ends with its connection too [MQTT-3.1.2-6].
    pub clean_start: bool,
    /// Seconds between two packets of the client, at most; 0 turns it off.
    pub keep_alive_secs: u16,
    /// May be empty. The server then makes one up [MQTT-3.1.3-6]; before 5.0 only with `clean_start`, without which it
    /// answers [`IdentifierRejected`](crate::ConnectReturnCode::IdentifierRejected) [MQTT-3.1.3-8].
    pub client_id: &'a str,
    /// The message to publish when the client goes without a DISCONNECT.
    pub will: Option<Will<'a>>,
    /// May be there and empty.
    pub username: Option<&'a str>,
    /// Any bytes; before 5.0 never without a user name [MQTT-3.1.2-22].
    pub password: Option<&'a [u8]>,
    /// What 5.0 adds.
    pub properties: ConnectProperties<'a>,
}

impl Default for Connect<'_> {
    /// A clean session of 3.1.1 with nothing else: what other fields are written over.
    fn default() -> Self {
        Self {
            version: Version::V311,
            clean_start: true,
            keep_alive_secs: 0,
            client_id: "",
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties::default(),
        }
    }
}

/// What CONNECT of 5.0 asks for besides (section 3.1.2.11). The default is what an absent property means, and so what
/// clients of the versions before get.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Seconds that the session is to outlive the connection; `u32::MAX`: it never ends.
    pub session_expiry_secs: u32,
    /// Messages of QoS 1 and 2 that the client takes unacknowledged; never 0.
    pub receive_max: u16,
    /// The largest packet that the client takes; never 0, `None`: any.
    pub packet_bytes_max: Option<u32>,
    /// The highest topic alias that the client takes; 0: none.
    pub topic_alias_max: u16,
    /// Whether the client wants to know what to build response topics from.
    pub wants_response_info: bool,
    /// Whether reason strings and user properties may stand in every packet, and not only in PUBLISH, CONNACK and
    /// DISCONNECT [MQTT-3.1.2-29].
    pub wants_problem_info: bool,
    /// More about the client.
    pub user_properties: UserProperties<'a>,
    /// How the client wants to prove itself.
    pub auth_method: Option<&'a str>,
    /// What the method says; never without one.
    pub auth_data: Option<&'a [u8]>,
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry_secs: 0,
            receive_max: u16::MAX,
            packet_bytes_max: None,
            topic_alias_max: 0,
            wants_response_info: false,
            wants_problem_info: true,
            user_properties: UserProperties::default(),
            auth_method: None,
            auth_data: None,
        }
    }
}

/// Shows that there is data of an authentication method, never which.
impl std::fmt::Debug for ConnectProperties<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectProperties")
            .field("session_expiry_secs", &self.session_expiry_secs)
            .field("receive_max", &self.receive_max)
            .field("packet_bytes_max", &self.packet_bytes_max)
            .field("topic_alias_max", &self.topic_alias_max)
            .field("wants_response_info", &self.wants_response_info)
            .field("wants_problem_info", &self.wants_problem_info)
            .field("user_properties", &self.user_properties)
            .field("auth_method", &self.auth_method)
            .field("auth_data", &self.auth_data.map(|_| "***"))
            .finish()
    }
}

/// Shows that there is a password, never which.
impl std::fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "***"))
            .field("properties", &self.properties)
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
    /// Seconds that it waits for the client to come back [MQTT-3.1.3-9] (5.0).
    pub delay_secs: u32,
    /// Seconds from its publication until it is void; `None`: never (5.0).
    pub expiry_secs: Option<u32>,
    /// What goes to every subscriber as it is (5.0).
    pub content: Content<'a>,
}

impl Default for Will<'_> {
    /// An empty message of QoS 0 to no topic: what other fields are written over.
    fn default() -> Self {
        Self {
            topic: "",
            payload: &[],
            qos: Qos::AtMostOnce,
            retain: false,
            delay_secs: 0,
            expiry_secs: None,
            content: Content::EMPTY,
        }
    }
}

/// What the first packet of a connection asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstPacket<'a> {
    /// A connection with a version that is served.
    Connect(Connect<'a>),
    /// A connection with a version that nobody here knows: to be answered with
    /// [`connack_unsupported_version`](crate::connack_unsupported_version) and closed. Nothing behind the protocol
    /// level has been looked at, as its form is that version's.
    UnsupportedVersion(UnsupportedVersion),
}

/// Reads the first packet of a connection. Anything but CONNECT is [`DecodeError::Unexpected`] [MQTT-3.1.0-1]; what
/// is wrong within it closes the connection without an answer [MQTT-3.1.4-1].
pub fn decode_first(frame: Frame<'_>) -> Result<FirstPacket<'_>, DecodeError> {
    if frame.kind() != kind::CONNECT {
        return Err(DecodeError::Unexpected);
    }
    let mut fields = Fields::new(frame.body);
    let name = fields.binary()?;
    if Version::ALL.iter().all(|version| version.protocol_name() != name) {
        return Err(DecodeError::ProtocolName);
    }
    let level = fields.byte()?;
    match Version::from_level(level).filter(|version| version.protocol_name() == name) {
        Some(version) => {
            if version.is_v5() {
                check_length(&frame)?;
            }
            Connect::decode(version, fields).map(FirstPacket::Connect)
        }
        None => Ok(FirstPacket::UnsupportedVersion(UnsupportedVersion { level })),
    }
}

impl<'a> Connect<'a> {
    /// Reads what follows the protocol level.
    fn decode(version: Version, mut fields: Fields<'a>) -> Result<Self, DecodeError> {
        let flags = fields.byte()?;
        check_flags(version, flags)?;
        let keep_alive_secs = fields.number()?;
        let properties = match version {
            Version::V31 | Version::V311 => ConnectProperties::default(),
            Version::V5 => ConnectProperties::read(&mut fields)?,
        };
        let client_id = fields.text()?;
        let will =
            if flags & flag::WILL == 0 { None } else { Some(Will::decode(version, flags, &mut fields)?) };
        let username = if flags & flag::USER_NAME == 0 { None } else { Some(fields.text()?) };
        let password = if flags & flag::PASSWORD == 0 { None } else { Some(fields.binary()?) };
        fields.finish()?;
        Ok(Self {
            version,
            clean_start: flags & flag::CLEAN_START != 0,
            keep_alive_secs,
            client_id,
            will,
            username,
            password,
            properties,
        })
    }

    /// The connect flags that say what is there.
    pub(crate) fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= flag::CLEAN_START;
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

impl<'a> ConnectProperties<'a> {
    fn read(fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let mut properties = Properties::read(fields)?;
        let mut read =
            Self { user_properties: UserProperties::within(properties.section()), ..Self::default() };
        while let Some(id) = properties.next()? {
            match id {
                id::SESSION_EXPIRY => read.session_expiry_secs = properties.long()?,
                id::RECEIVE_MAX => read.receive_max = properties.number_from_one()?,
                id::PACKET_BYTES_MAX => read.packet_bytes_max = Some(properties.long_from_one()?),
                id::TOPIC_ALIAS_MAX => read.topic_alias_max = properties.number()?,
                id::REQUEST_RESPONSE_INFO => read.wants_response_info = properties.flag()?,
                id::REQUEST_PROBLEM_INFO => read.wants_problem_info = properties.flag()?,
                id::USER_PROPERTY => properties.check_pair()?,
                id::AUTH_METHOD => read.auth_method = Some(properties.text()?),
                id::AUTH_DATA => read.auth_data = Some(properties.binary()?),
                _ => return Err(DecodeError::Property),
            }
        }
        if read.auth_data.is_some() && read.auth_method.is_none() {
            return Err(DecodeError::AuthenticationMethod);
        }
        Ok(read)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.session_expiry_secs != 0 {
            write::long(out, id::SESSION_EXPIRY, self.session_expiry_secs);
        }
        if self.receive_max != u16::MAX {
            write::number(out, id::RECEIVE_MAX, self.receive_max);
        }
        if let Some(bytes) = self.packet_bytes_max {
            write::long(out, id::PACKET_BYTES_MAX, bytes);
        }
        if self.topic_alias_max != 0 {
            write::number(out, id::TOPIC_ALIAS_MAX, self.topic_alias_max);
        }
        if self.wants_response_info {
            write::byte(out, id::REQUEST_RESPONSE_INFO, 1);
        }
        if !self.wants_problem_info {
            write::byte(out, id::REQUEST_PROBLEM_INFO, 0);
        }
        self.user_properties.write(out);
        if let Some(method) = self.auth_method {
            write::bytes(out, id::AUTH_METHOD, method.as_bytes());
        }
        if let Some(data) = self.auth_data {
            write::bytes(out, id::AUTH_DATA, data);
        }
    }
}

impl<'a> Will<'a> {
    fn decode(version: Version, flags: u8, fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let qos =
            Qos::from_bits((flags & flag::WILL_QOS) >> flag::WILL_QOS_SHIFT).ok_or(DecodeError::WillQos)?;
        let mut will = Self { qos, retain: flags & flag::WILL_RETAIN != 0, ..Self::default() };
        if version.is_v5() {
            will.read_properties(fields)?;
        }
        will.topic = fields.topic_name().map_err(DecodeError::of_will)?;
        will.payload = fields.binary()?;
        Ok(will)
    }

    fn read_properties(&mut self, fields: &mut Fields<'a>) -> Result<(), DecodeError> {
        let mut properties = Properties::read(fields)?;
        let mut content = ContentRange::default();
        while let Some(id) = properties.next()? {
            let from = properties.position() - 1;
            match id {
                id::WILL_DELAY => self.delay_secs = properties.long()?,
                id::MESSAGE_EXPIRY => self.expiry_secs = Some(properties.long()?),
                _ => content.read(id, from, &mut properties)?,
            }
        }
        self.content = content.of(properties.section());
        Ok(())
    }

    pub(crate) fn write_properties(&self, out: &mut Vec<u8>) {
        if self.delay_secs != 0 {
            write::long(out, id::WILL_DELAY, self.delay_secs);
        }
        if let Some(secs) = self.expiry_secs {
            write::long(out, id::MESSAGE_EXPIRY, secs);
        }
        self.content.append_to(out);
    }
}

/// The rules that the flags must keep among themselves.
const fn check_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    if flags & flag::RESERVED != 0 {
        return Err(DecodeError::ConnectReserved);
    }
    if flags & flag::WILL == 0 && flags & (flag::WILL_QOS | flag::WILL_RETAIN) != 0 {
        return Err(DecodeError::WillFlags);
    }
    if flags & flag::WILL_QOS == flag::WILL_QOS {
        return Err(DecodeError::WillQos);
    }
    if !version.is_v5() && flags & flag::USER_NAME == 0 && flags & flag::PASSWORD != 0 {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    Ok(())
}
