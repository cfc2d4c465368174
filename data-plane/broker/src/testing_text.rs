//! What a server sends, as text for tests. A packet reads alike in all versions as far as it says the same; what only 5.0
//! says stands behind it.

use mqtt::client::ServerPacket;
use mqtt::{ConnackProperties, ConnectReturnCode, Publish, ReasonCode, Version};

/// What CONNACK of 5.0 has said, kept.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Told {
    pub(crate) session_expiry_secs: Option<u32>,
    pub(crate) receive_max: u16,
    pub(crate) packet_bytes_max: Option<u32>,
    pub(crate) assigned_client_id: Option<String>,
    pub(crate) topic_alias_max: u16,
    pub(crate) server_keep_alive_secs: Option<u16>,
    pub(crate) auth_method: Option<String>,
    pub(crate) auth_data: Vec<u8>,
}

impl From<&ConnackProperties<'_>> for Told {
    fn from(properties: &ConnackProperties<'_>) -> Self {
        Self {
            session_expiry_secs: properties.session_expiry_secs,
            receive_max: properties.receive_max,
            packet_bytes_max: properties.packet_bytes_max,
            assigned_client_id: properties.assigned_client_id.map(str::to_owned),
            topic_alias_max: properties.topic_alias_max,
            server_keep_alive_secs: properties.server_keep_alive_secs,
            auth_method: properties.auth_method.map(str::to_owned),
            auth_data: properties.auth_data.unwrap_or_default().to_vec(),
        }
    }
}

/// The packet as text: of 5.0 `connack 0x87 not_authorized`, with the reason string.
pub(crate) fn render(version: Version, packet: &ServerPacket<'_>) -> String {
    match packet {
        ServerPacket::ConnAck { session_present: true, .. } => "connack with a session".into(),
        ServerPacket::ConnAck { reason, properties, .. } if version == Version::V5 && reason.is_error() => {
            with_words(format!("connack {}", code(*reason)), properties.reason_string)
        }
        ServerPacket::ConnAck { reason, .. } => {
            format!("connack {}", ConnectReturnCode::of_reason(*reason) as u8)
        }
        ServerPacket::Publish(publish) => render_publish(publish),
        ServerPacket::PubAck(packet_id, reason) => acknowledged("puback", packet_id.get(), *reason),
        ServerPacket::PubRec(packet_id, reason) => acknowledged("pubrec", packet_id.get(), *reason),
        ServerPacket::PubRel(packet_id, reason) => acknowledged("pubrel", packet_id.get(), *reason),
        ServerPacket::PubComp(packet_id, reason) => acknowledged("pubcomp", packet_id.get(), *reason),
        ServerPacket::SubAck { packet_id, codes } => {
            let granted = |reason: &ReasonCode| match reason.granted_qos() {
                Some(qos) => char::from(b'0' + qos.bits()).to_string(),
                None if version == Version::V5 => format!("[{}]", code(*reason)),
                None => "x".into(),
            };
            format!("suback {packet_id} {}", codes.iter().map(granted).collect::<String>())
        }
        ServerPacket::UnsubAck { packet_id, codes } => {
            let said = [format!("unsuback {packet_id}")].into_iter();
            said.chain(codes.iter().map(|reason| code(*reason))).collect::<Vec<_>>().join(" ")
        }
        ServerPacket::PingResp => "pingresp".into(),
        ServerPacket::Disconnect(it) => {
            with_words(format!("disconnect {}", code(it.reason)), it.reason_string)
        }
        ServerPacket::Auth(auth) => with_words(format!("auth {}", code(auth.reason)), auth.reason_string),
    }
}

fn render_publish(publish: &Publish<'_>) -> String {
    let payload = String::from_utf8_lossy(publish.payload);
    let again = if publish.dup { "again " } else { "" };
    let kept = if publish.retain { "retained " } else { "" };
    let text = format!("{again}{kept}publish {} {} {payload}", publish.qos.bits(), publish.topic);
    let content = &publish.content;
    let mut more = Vec::new();
    let ids: Vec<_> = publish.subscription_ids().map(|id| id.to_string()).collect();
    more.extend((!ids.is_empty()).then(|| format!("ids={}", ids.join(","))));
    more.extend(publish.topic_alias.map(|alias| format!("alias={alias}")));
    more.extend(publish.expiry_secs.map(|secs| format!("expires_in={secs}")));
    more.extend(content.payload_format().map(|format| format!("format={format}")));
    more.extend(content.content_type().map(|it| format!("type={it}")));
    more.extend(content.response_topic().map(|it| format!("response={it}")));
    more.extend(content.correlation_data().map(|it| format!("correlation={}", String::from_utf8_lossy(it))));
    more.extend(content.user_properties().iter().map(|(name, value)| format!("{name}={value}")));
    if more.is_empty() {
        return text;
    }
    format!("{text} {{{}}}", more.join(" "))
}

fn acknowledged(packet: &str, packet_id: u16, reason: ReasonCode) -> String {
    if reason == ReasonCode::Success {
        format!("{packet} {packet_id}")
    } else {
        format!("{packet} {packet_id} {}", code(reason))
    }
}

fn code(reason: ReasonCode) -> String {
    format!("0x{:02x}", reason.byte())
}

fn with_words(packet: String, words: Option<&str>) -> String {
    words.map_or(packet.clone(), |words| format!("{packet} {words}"))
}
