//! Packets of all kinds, made up: what the properties are tried on.

use std::num::{NonZeroU16, NonZeroU32};

use contract::qos::Qos;
use contract::topic::TopicFilter;
use mqtt::client::ServerPacket;
use mqtt::{
    Auth, ConnackProperties, Connect, ConnectProperties, ConnectReturnCode, ContentWriter, Disconnect,
    Options, Packet, PacketId, Publish, ReasonCode, RetainHandling, Subscribe, Unsubscribe, VARIABLE_MAX,
    Version, Will,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(&Version::ALL[..])
}

pub(crate) fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|number| PacketId::new(number).expect("not 0"))
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,24}"
}

pub(crate) fn topic() -> impl Strategy<Value = String> {
    "[^\0+#]{1,40}"
}

pub(crate) fn binary() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

pub(crate) fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => "[^\0+#/$]{0,8}", 1 => Just("+".to_owned())];
    (vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, hash)| {
            if hash {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
        .prop_filter("a filter has at least one character", |filter| !filter.is_empty())
}

/// One property of a message's content.
#[derive(Clone, Debug)]
enum Piece {
    Format(bool),
    ContentType(String),
    ResponseTopic(String),
    Correlation(Vec<u8>),
    User(String, String),
}

/// User properties, as a packet that carries nothing else of a message has them.
pub(crate) fn user() -> impl Strategy<Value = ContentWriter> {
    vec((text(), text()), 0..4).prop_map(|pairs| {
        pairs.iter().fold(ContentWriter::new(), |writer, (name, value)| writer.user_property(name, value))
    })
}

/// Content in any order.
pub(crate) fn content() -> impl Strategy<Value = ContentWriter> {
    let pieces = (
        option::of(any::<bool>().prop_map(Piece::Format)),
        option::of(text().prop_map(Piece::ContentType)),
        option::of(topic().prop_map(Piece::ResponseTopic)),
        option::of(binary().prop_map(Piece::Correlation)),
        vec((text(), text()).prop_map(|(name, value)| Piece::User(name, value)), 0..4),
    );
    pieces
        .prop_map(|(format, content_type, response_topic, correlation, user)| {
            let once = [format, content_type, response_topic, correlation].into_iter().flatten();
            once.chain(user).collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|pieces| {
            pieces.iter().fold(ContentWriter::new(), |writer, piece| match piece {
                Piece::Format(is_text) => writer.payload_format(*is_text),
                Piece::ContentType(text) => writer.content_type(text),
                Piece::ResponseTopic(topic) => writer.response_topic(topic),
                Piece::Correlation(data) => writer.correlation_data(data),
                Piece::User(name, value) => writer.user_property(name, value),
            })
        })
}

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) dup: bool,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) packet_id: PacketId,
    pub(crate) payload: Vec<u8>,
    pub(crate) alias: Option<NonZeroU16>,
    pub(crate) expiry_secs: Option<u32>,
    pub(crate) content: ContentWriter,
}

impl Message {
    pub(crate) fn publish(&self, version: Version) -> Publish<'_> {
        let has_id = self.qos != Qos::AtMostOnce;
        let plain = Publish {
            dup: self.dup && has_id,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: has_id.then_some(self.packet_id),
            payload: &self.payload,
            ..Publish::default()
        };
        if version != Version::V5 {
            return plain;
        }
        let topic = if self.alias.is_some_and(|alias| alias.get() % 2 == 0) { "" } else { plain.topic };
        let (topic_alias, expiry_secs) = (self.alias, self.expiry_secs);
        Publish { topic, topic_alias, expiry_secs, content: self.content.content(), ..plain }
    }
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    let alias = option::of((1..=u16::MAX).prop_map(|number| NonZeroU16::new(number).expect("not 0")));
    let plain = (any::<bool>(), qos(), any::<bool>(), topic(), packet_id(), binary());
    (plain, alias, option::of(any::<u32>()), content()).prop_map(
        |((dup, qos, retain, topic, packet_id, payload), alias, expiry_secs, content)| {
            // What is said to be text is.
            let payload = if content.content().payload_is_text() { "é".into() } else { payload };
            Message { dup, qos, retain, topic, packet_id, payload, alias, expiry_secs, content }
        },
    )
}

/// What several packets may say besides.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    why: Option<String>,
    user: ContentWriter,
}

fn words() -> impl Strategy<Value = Words> {
    (option::of(text()), user()).prop_map(|(why, user)| Words { why, user })
}

/// A packet that a connected client may send.
#[derive(Clone, Debug)]
pub(crate) enum FromClient {
    Publish(Message),
    Acknowledgement(u8, PacketId, ReasonCode),
    Subscribe(PacketId, Vec<(TopicFilter, Options)>, Option<NonZeroU32>),
    Unsubscribe(PacketId, Vec<TopicFilter>),
    Ping,
    Disconnect(ReasonCode, Option<u32>, Words),
    Auth(ReasonCode, String, Option<Vec<u8>>, Words),
}

/// Codes of PUBACK and PUBREC; the last two are those of PUBREL and PUBCOMP.
pub(crate) fn acknowledgement() -> impl Strategy<Value = (u8, ReasonCode)> {
    const OF_MESSAGE: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let code = |byte| ReasonCode::from_byte(byte).expect("a code");
    prop_oneof![
        (0..2_u8, prop::sample::select(&OF_MESSAGE[..]).prop_map(code)),
        (2..4_u8, prop::sample::select(&[0x00_u8, 0x92][..]).prop_map(code)),
    ]
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    let handling = prop::sample::select(
        &[RetainHandling::SendAtSubscribe, RetainHandling::SendIfNew, RetainHandling::DoNotSend][..],
    );
    (qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| Options {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    )
}

fn subscription_id() -> impl Strategy<Value = NonZeroU32> {
    (1..=VARIABLE_MAX).prop_map(|number| NonZeroU32::new(number).expect("not 0"))
}

fn parsed() -> impl Strategy<Value = TopicFilter> {
    filter().prop_map(|filter| filter.parse().expect("a filter"))
}

/// A packet of a client, of those that 3.1.1 has too; `FromClient::packet` leaves out what a version does not know.
fn plain_from_client() -> impl Strategy<Value = FromClient> {
    let filters = vec((parsed(), options()), 1..6);
    prop_oneof![
        4 => message().prop_map(FromClient::Publish),
        2 => (acknowledgement(), packet_id())
            .prop_map(|((which, reason), packet_id)| FromClient::Acknowledgement(which, packet_id, reason)),
        2 => (packet_id(), filters, option::of(subscription_id()))
            .prop_map(|(packet_id, filters, id)| FromClient::Subscribe(packet_id, filters, id)),
        2 => (packet_id(), vec(parsed(), 1..6))
            .prop_map(|(packet_id, filters)| FromClient::Unsubscribe(packet_id, filters)),
        1 => Just(FromClient::Ping),
        1 => disconnect(&[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]),
    ]
}

fn disconnect(codes: &'static [u8]) -> impl Strategy<Value = FromClient> {
    (prop::sample::select(codes), option::of(any::<u32>()), words()).prop_map(|(code, secs, words)| {
        FromClient::Disconnect(ReasonCode::from_byte(code).expect("a code"), secs, words)
    })
}

fn auth() -> impl Strategy<Value = FromClient> {
    (prop::sample::select(&[0x00_u8, 0x18, 0x19][..]), text(), option::of(binary()), words()).prop_map(
        |(code, method, data, words)| {
            FromClient::Auth(ReasonCode::from_byte(code).expect("a code"), method, data, words)
        },
    )
}

/// A packet of a client of any version.
pub(crate) fn from_client() -> impl Strategy<Value = (Version, FromClient)> {
    prop_oneof![
        9 => (version(), plain_from_client()),
        1 => auth().prop_map(|auth| (Version::V5, auth)),
    ]
}

impl FromClient {
    pub(crate) fn packet(&self, version: Version) -> Packet<'_> {
        let is_v5 = version == Version::V5;
        match self {
            Self::Publish(message) => Packet::Publish(message.publish(version)),
            Self::Acknowledgement(which, packet_id, reason) => {
                let reason = if is_v5 { *reason } else { ReasonCode::Success };
                match which {
                    0 => Packet::PubAck(*packet_id, reason),
                    1 => Packet::PubRec(*packet_id, reason),
                    2 => Packet::PubRel(*packet_id, reason),
                    _ => Packet::PubComp(*packet_id, reason),
                }
            }
            Self::Subscribe(packet_id, filters, id) => {
                let options = |options: Options| if is_v5 { options } else { Options::of(options.qos) };
                Packet::Subscribe(Subscribe {
                    packet_id: *packet_id,
                    filters: filters.iter().map(|(filter, it)| (filter.clone(), options(*it))).collect(),
                    subscription_id: id.filter(|_| is_v5),
                })
            }
            Self::Unsubscribe(packet_id, filters) => {
                Packet::Unsubscribe(Unsubscribe { packet_id: *packet_id, filters: filters.clone() })
            }
            Self::Ping => Packet::PingReq,
            Self::Disconnect(..) if !is_v5 => Packet::Disconnect(Disconnect::default()),
            Self::Disconnect(reason, session_expiry_secs, words) => Packet::Disconnect(Disconnect {
                reason: *reason,
                session_expiry_secs: *session_expiry_secs,
                reason_string: words.why.as_deref(),
                server_reference: None,
                user_properties: words.user.user_properties(),
            }),
            Self::Auth(reason, method, data, words) => Packet::Auth(Auth {
                reason: *reason,
                method: Some(method),
                data: data.as_deref(),
                reason_string: words.why.as_deref(),
                user_properties: words.user.user_properties(),
            }),
        }
    }
}

/// A packet that only a server sends.
#[derive(Clone, Debug)]
pub(crate) enum FromServer {
    ConnAck(bool, ReasonCode, Box<Said>),
    SubAck(PacketId, Vec<ReasonCode>),
    UnsubAck(PacketId, Vec<ReasonCode>),
    Pong,
}

/// What CONNACK says.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    numbers: (Option<u32>, u16, Option<u32>, u16, Option<u16>),
    available: [bool; 4],
    qos_max: Qos,
    texts: [Option<String>; 5],
    auth_data: Option<Vec<u8>>,
    user: ContentWriter,
}

impl Said {
    fn properties(&self) -> ConnackProperties<'_> {
        let [assigned, why, response_info, server_reference, auth_method] = &self.texts;
        let [retain_available, wildcards_available, subscription_ids_available, shared_available] =
            self.available;
        let (session_expiry_secs, receive_max, packet_bytes_max, topic_alias_max, server_keep_alive_secs) =
            self.numbers;
        ConnackProperties {
            session_expiry_secs,
            receive_max,
            qos_max: self.qos_max,
            retain_available,
            packet_bytes_max,
            assigned_client_id: assigned.as_deref(),
            topic_alias_max,
            reason_string: why.as_deref(),
            user_properties: self.user.user_properties(),
            wildcards_available,
            subscription_ids_available,
            shared_available,
            server_keep_alive_secs,
            response_info: response_info.as_deref(),
            server_reference: server_reference.as_deref(),
            auth_method: auth_method.as_deref(),
            auth_data: self.auth_data.as_deref(),
        }
    }
}

fn said() -> impl Strategy<Value = Box<Said>> {
    let texts =
        [option::of(text()), option::of(text()), option::of(text()), option::of(text()), option::of(text())];
    let numbers = (
        option::of(any::<u32>()),
        1..=u16::MAX,
        option::of(1..=u32::MAX),
        any::<u16>(),
        option::of(any::<u16>()),
    );
    (numbers, any::<[bool; 4]>(), qos(), texts, option::of(binary()), user()).prop_map(
        |(numbers, available, qos_max, texts, auth_data, user)| {
            Box::new(Said { numbers, available, qos_max, texts, auth_data, user })
        },
    )
}

/// A packet of a server of any version.
pub(crate) fn from_server() -> impl Strategy<Value = (Version, FromServer)> {
    const CONNACK: [u8; 22] = [
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
        0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];
    const SUBACK: [u8; 12] = [0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    const UNSUBACK: [u8; 7] = [0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    let codes = |codes: &'static [u8]| {
        vec(prop::sample::select(codes).prop_map(|byte| ReasonCode::from_byte(byte).expect("a code")), 1..200)
    };
    let connack =
        prop::sample::select(&CONNACK[..]).prop_map(|byte| ReasonCode::from_byte(byte).expect("a code"));
    let packet = prop_oneof![
        3 => (any::<bool>(), connack, said()).prop_map(|(present, reason, said)| {
            FromServer::ConnAck(present && reason == ReasonCode::Success, reason, said)
        }),
        2 => (packet_id(), codes(&SUBACK)).prop_map(|(packet_id, codes)| FromServer::SubAck(packet_id, codes)),
        2 => (packet_id(), codes(&UNSUBACK)).prop_map(|(packet_id, codes)| FromServer::UnsubAck(packet_id, codes)),
        1 => Just(FromServer::Pong),
    ];
    (version(), packet)
}

impl FromServer {
    pub(crate) fn packet(&self, version: Version) -> ServerPacket<'_> {
        let is_v5 = version == Version::V5;
        match self {
            Self::ConnAck(present, reason, said) if is_v5 => ServerPacket::ConnAck {
                session_present: *present,
                reason: *reason,
                properties: Box::new(said.properties()),
            },
            Self::ConnAck(present, reason, _) => ServerPacket::ConnAck {
                session_present: *present && version != Version::V31,
                reason: ConnectReturnCode::of_reason(*reason).reason(),
                properties: Box::default(),
            },
            Self::SubAck(packet_id, codes) => {
                let plain = |code: &ReasonCode| {
                    code.granted_qos().map_or(ReasonCode::UnspecifiedError, ReasonCode::granted)
                };
                let codes = if is_v5 { codes.clone() } else { codes.iter().map(plain).collect() };
                ServerPacket::SubAck { packet_id: *packet_id, codes }
            }
            Self::UnsubAck(packet_id, codes) => {
                let codes = if is_v5 { codes.clone() } else { Vec::new() };
                ServerPacket::UnsubAck { packet_id: *packet_id, codes }
            }
            Self::Pong => ServerPacket::PingResp,
        }
    }
}

/// A CONNECT of any version.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    version: Version,
    clean_start: bool,
    keep_alive_secs: u16,
    client_id: String,
    will: Option<(Message, u32)>,
    username: Option<String>,
    password: Option<Vec<u8>>,
    numbers: (u32, u16, Option<u32>, u16),
    wants: [bool; 2],
    user: ContentWriter,
    auth: Option<(String, Option<Vec<u8>>)>,
}

pub(crate) fn connect() -> impl Strategy<Value = Wish> {
    let head = (version(), any::<bool>(), any::<u16>(), text());
    let numbers = (any::<u32>(), 1..=u16::MAX, option::of(1..=u32::MAX), any::<u16>());
    let said = (numbers, any::<[bool; 2]>(), user(), option::of((text(), option::of(binary()))));
    (head, option::of((message(), any::<u32>())), option::of(text()), option::of(binary()), said).prop_map(
        |(head, will, username, password, (numbers, wants, user, auth))| {
            let (version, clean_start, keep_alive_secs, client_id) = head;
            let password = password.filter(|_| version == Version::V5 || username.is_some());
            Wish {
                version,
                clean_start,
                keep_alive_secs,
                client_id,
                will,
                username,
                password,
                numbers,
                wants,
                user,
                auth,
            }
        },
    )
}

impl Wish {
    pub(crate) fn connect(&self) -> Connect<'_> {
        let is_v5 = self.version == Version::V5;
        let (session_expiry_secs, receive_max, packet_bytes_max, topic_alias_max) = self.numbers;
        let said = ConnectProperties {
            session_expiry_secs,
            receive_max,
            packet_bytes_max,
            topic_alias_max,
            wants_response_info: self.wants[0],
            wants_problem_info: self.wants[1],
            user_properties: self.user.user_properties(),
            auth_method: self.auth.as_ref().map(|(method, _)| method.as_str()),
            auth_data: self.auth.as_ref().and_then(|(_, data)| data.as_deref()),
        };
        Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_secs: self.keep_alive_secs,
            client_id: &self.client_id,
            will: self.will.as_ref().map(|(message, delay_secs)| will(self.version, message, *delay_secs)),
            username: self.username.as_deref(),
            password: self.password.as_deref(),
            properties: if is_v5 { said } else { ConnectProperties::default() },
        }
    }
}

fn will(version: Version, message: &Message, delay_secs: u32) -> Will<'_> {
    let plain = Will {
        topic: &message.topic,
        payload: &message.payload,
        qos: message.qos,
        retain: message.retain,
        ..Will::default()
    };
    if version != Version::V5 {
        return plain;
    }
    Will { delay_secs, expiry_secs: message.expiry_secs, content: message.content.content(), ..plain }
}
