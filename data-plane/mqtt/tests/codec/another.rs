//! Our packets as those of another codec (`mqtt-proto`), field by field.

use std::num::NonZero;
use std::sync::Arc;

use contract::qos::Qos;
use mqtt::client::ServerPacket;
use mqtt::{
    Auth, ConnackProperties, Connect, Content, Disconnect, Options, Packet, PacketId, Publish, ReasonCode,
    RetainHandling, Subscribe, Unsubscribe, UserProperties, Version, Will,
};
use mqtt_proto::{Pid, Protocol, QoS, QosPid, TopicFilter, TopicName, v3, v5};

fn arc(text: Option<&str>) -> Option<Arc<str>> {
    text.map(Arc::from)
}

fn bytes(data: Option<&[u8]>) -> Option<bytes::Bytes> {
    data.map(bytes::Bytes::copy_from_slice)
}

fn pid(packet_id: PacketId) -> Pid {
    packet_id.get().try_into().expect("not 0")
}

fn level(qos: Qos) -> QoS {
    QoS::from_u8(qos.bits()).expect("0, 1 or 2")
}

fn topic(topic: &str) -> TopicName {
    topic.try_into().expect("a topic name")
}

fn filter(filter: &contract::topic::TopicFilter) -> TopicFilter {
    filter.as_str().try_into().expect("a filter")
}

fn user(properties: &UserProperties<'_>) -> Vec<v5::UserProperty> {
    let pair = |(name, value): (&str, &str)| v5::UserProperty { name: name.into(), value: value.into() };
    properties.iter().map(pair).collect()
}

fn delivery(publish: &Publish<'_>) -> QosPid {
    match (publish.qos, publish.packet_id) {
        (Qos::AtLeastOnce, Some(id)) => QosPid::Level1(pid(id)),
        (Qos::ExactlyOnce, Some(id)) => QosPid::Level2(pid(id)),
        _ => QosPid::Level0,
    }
}

fn is_text(content: &Content<'_>) -> Option<bool> {
    content.payload_format().map(|format| format == 1)
}

/// CONNECT of 3.1 and 3.1.1.
pub(crate) fn connect_v3(connect: &Connect<'_>) -> v3::Packet {
    v3::Packet::Connect(v3::Connect {
        protocol: if connect.version == Version::V31 { Protocol::V310 } else { Protocol::V311 },
        clean_session: connect.clean_start,
        keep_alive: connect.keep_alive_secs,
        client_id: connect.client_id.into(),
        last_will: connect.will.as_ref().map(|will| v3::LastWill {
            qos: level(will.qos),
            retain: will.retain,
            topic_name: topic(will.topic),
            message: bytes::Bytes::copy_from_slice(will.payload),
        }),
        username: arc(connect.username),
        password: bytes(connect.password),
    })
}

/// CONNECT of 5.0.
pub(crate) fn connect_v5(connect: &Connect<'_>) -> v5::Packet {
    let said = &connect.properties;
    v5::Packet::Connect(v5::Connect {
        protocol: Protocol::V500,
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive_secs,
        properties: v5::ConnectProperties {
            session_expiry_interval: Some(said.session_expiry_secs).filter(|&secs| secs != 0),
            receive_max: Some(said.receive_max).filter(|&max| max != u16::MAX),
            max_packet_size: said.packet_bytes_max,
            topic_alias_max: Some(said.topic_alias_max).filter(|&max| max != 0),
            request_response_info: Some(true).filter(|_| said.wants_response_info),
            request_problem_info: Some(false).filter(|_| !said.wants_problem_info),
            user_properties: user(&said.user_properties),
            auth_method: arc(said.auth_method),
            auth_data: bytes(said.auth_data),
        },
        client_id: connect.client_id.into(),
        last_will: connect.will.as_ref().map(will),
        username: arc(connect.username),
        password: bytes(connect.password),
    })
}

fn will(will: &Will<'_>) -> v5::LastWill {
    v5::LastWill {
        qos: level(will.qos),
        retain: will.retain,
        topic_name: topic(will.topic),
        payload: bytes::Bytes::copy_from_slice(will.payload),
        properties: v5::WillProperties {
            delay_interval: Some(will.delay_secs).filter(|&secs| secs != 0),
            payload_is_utf8: is_text(&will.content),
            message_expiry_interval: will.expiry_secs,
            content_type: arc(will.content.content_type()),
            response_topic: will.content.response_topic().map(topic),
            correlation_data: bytes(will.content.correlation_data()),
            user_properties: user(&will.content.user_properties()),
        },
    }
}

/// A packet of a connected client of 3.1.1.
pub(crate) fn client_v3(packet: &Packet<'_>) -> v3::Packet {
    match packet {
        Packet::Publish(publish) => v3::Packet::Publish(v3::Publish {
            dup: publish.dup,
            retain: publish.retain,
            qos_pid: delivery(publish),
            topic_name: topic(publish.topic),
            payload: bytes::Bytes::copy_from_slice(publish.payload),
        }),
        Packet::PubAck(id, _) => v3::Packet::Puback(pid(*id)),
        Packet::PubRec(id, _) => v3::Packet::Pubrec(pid(*id)),
        Packet::PubRel(id, _) => v3::Packet::Pubrel(pid(*id)),
        Packet::PubComp(id, _) => v3::Packet::Pubcomp(pid(*id)),
        Packet::Subscribe(subscribe) => v3::Packet::Subscribe(v3::Subscribe {
            pid: pid(subscribe.packet_id),
            topics: subscribe.filters.iter().map(|(it, options)| (filter(it), level(options.qos))).collect(),
        }),
        Packet::Unsubscribe(unsubscribe) => v3::Packet::Unsubscribe(v3::Unsubscribe {
            pid: pid(unsubscribe.packet_id),
            topics: unsubscribe.filters.iter().map(filter).collect(),
        }),
        Packet::PingReq => v3::Packet::Pingreq,
        Packet::Disconnect(_) => v3::Packet::Disconnect,
        Packet::Auth(_) => panic!("3.1.1 has no AUTH"),
    }
}

/// A packet of a connected client of 5.0.
pub(crate) fn client_v5(packet: &Packet<'_>) -> v5::Packet {
    match packet {
        Packet::Publish(publish) => v5::Packet::Publish(publish_v5(publish)),
        Packet::PubAck(id, reason) => v5::Packet::Puback(v5::Puback::new(
            pid(*id),
            v5::PubackReasonCode::from_u8(reason.byte()).expect("a code"),
        )),
        Packet::PubRec(id, reason) => v5::Packet::Pubrec(v5::Pubrec::new(
            pid(*id),
            v5::PubrecReasonCode::from_u8(reason.byte()).expect("a code"),
        )),
        Packet::PubRel(id, reason) => v5::Packet::Pubrel(v5::Pubrel::new(
            pid(*id),
            v5::PubrelReasonCode::from_u8(reason.byte()).expect("a code"),
        )),
        Packet::PubComp(id, reason) => v5::Packet::Pubcomp(v5::Pubcomp::new(
            pid(*id),
            v5::PubcompReasonCode::from_u8(reason.byte()).expect("a code"),
        )),
        Packet::Subscribe(subscribe) => v5::Packet::Subscribe(subscribe_v5(subscribe)),
        Packet::Unsubscribe(unsubscribe) => v5::Packet::Unsubscribe(unsubscribe_v5(unsubscribe)),
        Packet::PingReq => v5::Packet::Pingreq,
        Packet::Disconnect(disconnect) => v5::Packet::Disconnect(disconnect_v5(disconnect)),
        Packet::Auth(auth) => v5::Packet::Auth(auth_v5(auth)),
    }
}

fn publish_v5(publish: &Publish<'_>) -> v5::Publish {
    v5::Publish {
        dup: publish.dup,
        retain: publish.retain,
        qos_pid: delivery(publish),
        topic_name: topic(publish.topic),
        payload: bytes::Bytes::copy_from_slice(publish.payload),
        properties: v5::PublishProperties {
            payload_is_utf8: is_text(&publish.content),
            message_expiry_interval: publish.expiry_secs,
            topic_alias: publish.topic_alias.map(NonZero::get),
            response_topic: publish.content.response_topic().map(topic),
            correlation_data: bytes(publish.content.correlation_data()),
            user_properties: user(&publish.content.user_properties()),
            subscription_id: None,
            content_type: arc(publish.content.content_type()),
        },
    }
}

fn subscribe_v5(subscribe: &Subscribe) -> v5::Subscribe {
    v5::Subscribe {
        pid: pid(subscribe.packet_id),
        properties: v5::SubscribeProperties {
            subscription_id: subscribe.subscription_id.map(|id| id.get().try_into().expect("four bytes")),
            user_properties: Vec::new(),
        },
        topics: subscribe.filters.iter().map(|(it, said)| (filter(it), options(*said))).collect(),
    }
}

fn options(options: Options) -> v5::SubscriptionOptions {
    v5::SubscriptionOptions {
        max_qos: level(options.qos),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            RetainHandling::SendAtSubscribe => v5::RetainHandling::SendAtSubscribe,
            RetainHandling::SendIfNew => v5::RetainHandling::SendAtSubscribeIfNotExist,
            RetainHandling::DoNotSend => v5::RetainHandling::DoNotSend,
        },
    }
}

fn unsubscribe_v5(unsubscribe: &Unsubscribe) -> v5::Unsubscribe {
    v5::Unsubscribe::new(pid(unsubscribe.packet_id), unsubscribe.filters.iter().map(filter).collect())
}

fn disconnect_v5(disconnect: &Disconnect<'_>) -> v5::Disconnect {
    v5::Disconnect {
        reason_code: v5::DisconnectReasonCode::from_u8(disconnect.reason.byte()).expect("a code"),
        properties: v5::DisconnectProperties {
            session_expiry_interval: disconnect.session_expiry_secs,
            reason_string: arc(disconnect.reason_string),
            user_properties: user(&disconnect.user_properties),
            server_reference: arc(disconnect.server_reference),
        },
    }
}

fn auth_v5(auth: &Auth<'_>) -> v5::Auth {
    v5::Auth {
        reason_code: v5::AuthReasonCode::from_u8(auth.reason.byte()).expect("a code"),
        properties: v5::AuthProperties {
            auth_method: arc(auth.method),
            auth_data: bytes(auth.data),
            reason_string: arc(auth.reason_string),
            user_properties: user(&auth.user_properties),
        },
    }
}

/// A packet that only a server of 3.1.1 sends.
pub(crate) fn server_v3(packet: &ServerPacket<'_>) -> v3::Packet {
    match packet {
        ServerPacket::ConnAck { session_present, reason, .. } => {
            let code = mqtt::ConnectReturnCode::of_reason(*reason) as u8;
            let code = v3::ConnectReturnCode::from_u8(code).expect("a code");
            v3::Packet::Connack(v3::Connack { session_present: *session_present, code })
        }
        ServerPacket::SubAck { packet_id, codes } => {
            let code = |code: &ReasonCode| v3::SubscribeReturnCode::from_u8(code.byte()).expect("a code");
            let topics = codes.iter().map(code).collect();
            v3::Packet::Suback(v3::Suback { pid: pid(*packet_id), topics })
        }
        ServerPacket::UnsubAck { packet_id, .. } => v3::Packet::Unsuback(pid(*packet_id)),
        ServerPacket::PingResp => v3::Packet::Pingresp,
        other @ (ServerPacket::Publish(_)
        | ServerPacket::PubAck(..)
        | ServerPacket::PubRec(..)
        | ServerPacket::PubRel(..)
        | ServerPacket::PubComp(..)
        | ServerPacket::Disconnect(_)
        | ServerPacket::Auth(_)) => panic!("either side sends {other:?}"),
    }
}

/// A packet that only a server of 5.0 sends.
pub(crate) fn server_v5(packet: &ServerPacket<'_>) -> v5::Packet {
    match packet {
        ServerPacket::ConnAck { session_present, reason, properties } => {
            let code = v5::ConnectReasonCode::from_u8(reason.byte()).expect("a code");
            let mut connack = v5::Connack::new(*session_present, code);
            connack.properties = connack_v5(properties);
            v5::Packet::Connack(connack)
        }
        ServerPacket::SubAck { packet_id, codes } => {
            let code = |code: &ReasonCode| v5::SubscribeReasonCode::from_u8(code.byte()).expect("a code");
            v5::Packet::Suback(v5::Suback::new(pid(*packet_id), codes.iter().map(code).collect()))
        }
        ServerPacket::UnsubAck { packet_id, codes } => {
            let code = |code: &ReasonCode| v5::UnsubscribeReasonCode::from_u8(code.byte()).expect("a code");
            v5::Packet::Unsuback(v5::Unsuback::new(pid(*packet_id), codes.iter().map(code).collect()))
        }
        ServerPacket::PingResp => v5::Packet::Pingresp,
        other @ (ServerPacket::Publish(_)
        | ServerPacket::PubAck(..)
        | ServerPacket::PubRec(..)
        | ServerPacket::PubRel(..)
        | ServerPacket::PubComp(..)
        | ServerPacket::Disconnect(_)
        | ServerPacket::Auth(_)) => panic!("either side sends {other:?}"),
    }
}

fn connack_v5(said: &ConnackProperties<'_>) -> v5::ConnackProperties {
    let refused = |is_available: bool| Some(false).filter(|_| !is_available);
    v5::ConnackProperties {
        session_expiry_interval: said.session_expiry_secs,
        receive_max: Some(said.receive_max).filter(|&max| max != u16::MAX),
        max_qos: Some(level(said.qos_max)).filter(|&qos| qos != QoS::Level2),
        retain_available: refused(said.retain_available),
        max_packet_size: said.packet_bytes_max,
        assigned_client_id: arc(said.assigned_client_id),
        topic_alias_max: Some(said.topic_alias_max).filter(|&max| max != 0),
        reason_string: arc(said.reason_string),
        user_properties: user(&said.user_properties),
        wildcard_subscription_available: refused(said.wildcards_available),
        subscription_id_available: refused(said.subscription_ids_available),
        shared_subscription_available: refused(said.shared_available),
        server_keep_alive: said.server_keep_alive_secs,
        response_info: arc(said.response_info),
        server_reference: arc(said.server_reference),
        auth_method: arc(said.auth_method),
        auth_data: bytes(said.auth_data),
    }
}
