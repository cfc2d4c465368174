//! A packet that was read, written again by the encoder of its sender. For lawful packets of 3.1.1 the bytes are the
//! same; those of 5.0, which leaves the order of properties and some forms open, are the same packet.

use contract::topic::TopicFilter;
use mqtt::client::{self, ServerPacket};
use mqtt::{Connect, EncodeError, Packet, PublishForm, PublishHead, UserProperties, Version};

pub(crate) fn connect(packet: &Connect<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    client::connect(&mut out, packet).expect("it was read");
    out
}

pub(crate) fn client_packet(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        Packet::Publish(publish) => out = publish_both_ways(version, publish).expect("it was read"),
        Packet::PubAck(packet_id, reason) => mqtt::puback(&mut out, version, *packet_id, *reason),
        Packet::PubRec(packet_id, reason) => mqtt::pubrec(&mut out, version, *packet_id, *reason),
        Packet::PubRel(packet_id, reason) => mqtt::pubrel(&mut out, version, *packet_id, *reason),
        Packet::PubComp(packet_id, reason) => mqtt::pubcomp(&mut out, version, *packet_id, *reason),
        Packet::Subscribe(subscribe) if version.is_v5() => {
            let filters: Vec<_> =
                subscribe.filters.iter().map(|(filter, options)| (filter.as_str(), *options)).collect();
            let user = UserProperties::default();
            client::subscribe_v5(&mut out, subscribe.packet_id, &filters, subscribe.subscription_id, user)
                .expect("it was read");
        }
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> =
                subscribe.filters.iter().map(|(filter, options)| (filter.as_str(), options.qos)).collect();
            client::subscribe(&mut out, subscribe.packet_id, &filters).expect("it was read");
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<_> = unsubscribe.filters.iter().map(TopicFilter::as_str).collect();
            if version.is_v5() {
                let user = UserProperties::default();
                client::unsubscribe_v5(&mut out, unsubscribe.packet_id, &filters, user).expect("it was read");
            } else {
                client::unsubscribe(&mut out, unsubscribe.packet_id, &filters).expect("it was read");
            }
        }
        Packet::PingReq => client::pingreq(&mut out),
        Packet::Disconnect(disconnect) if version.is_v5() => client::disconnect_v5(&mut out, disconnect),
        Packet::Disconnect(_) => client::disconnect(&mut out),
        Packet::Auth(auth) => client::auth(&mut out, auth),
    }
    out
}

pub(crate) fn server_packet(version: Version, packet: &ServerPacket<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        ServerPacket::ConnAck { session_present, reason, properties } => {
            mqtt::connack(&mut out, version, *session_present, *reason, properties);
        }
        ServerPacket::Publish(publish) => out = publish_both_ways(version, publish).expect("it was read"),
        ServerPacket::PubAck(packet_id, reason) => mqtt::puback(&mut out, version, *packet_id, *reason),
        ServerPacket::PubRec(packet_id, reason) => mqtt::pubrec(&mut out, version, *packet_id, *reason),
        ServerPacket::PubRel(packet_id, reason) => mqtt::pubrel(&mut out, version, *packet_id, *reason),
        ServerPacket::PubComp(packet_id, reason) => mqtt::pubcomp(&mut out, version, *packet_id, *reason),
        ServerPacket::SubAck { packet_id, codes } => {
            mqtt::suback(&mut out, version, *packet_id, codes.iter().copied());
        }
        ServerPacket::UnsubAck { packet_id, codes } => {
            mqtt::unsuback(&mut out, version, *packet_id, codes.iter().copied());
        }
        ServerPacket::PingResp => mqtt::pingresp(&mut out),
        // The two sides have the same form, and what only a client says is not in it.
        ServerPacket::Disconnect(disconnect) => client::disconnect_v5(&mut out, disconnect),
        ServerPacket::Auth(auth) => client::auth(&mut out, auth),
    }
    out
}

/// In one go, and as a form that many share: the same bytes, whatever stands in the buffers before.
pub(crate) fn publish_both_ways(
    version: Version,
    publish: &mqtt::Publish<'_>,
) -> Result<Vec<u8>, EncodeError> {
    let mut direct = b"before".to_vec();
    mqtt::publish(&mut direct, version, publish)?;
    let subscription_ids: Vec<_> = publish.subscription_ids().collect();
    let head = PublishHead {
        version,
        topic: publish.topic,
        qos: publish.qos,
        retain: publish.retain,
        topic_alias: publish.topic_alias,
        expiry_secs: publish.expiry_secs.map(|_| 7),
        subscription_ids: &subscription_ids,
        content: publish.content,
    };
    let another = PublishHead::plain(Version::V5, "another", contract::qos::Qos::ExactlyOnce, true);
    let mut form = PublishForm::new();
    form.render(&PublishHead { expiry_secs: Some(1), ..another }, b"message")?;
    form.render(&head, publish.payload)?;
    form.set_dup(publish.dup);
    let mut shared = b"before".to_vec();
    form.append_expiring(&mut shared, publish.packet_id, publish.expiry_secs.unwrap_or(9));
    assert_eq!(shared, direct, "{publish:?}");
    assert_eq!(form.size_bytes(), direct.len() - b"before".len());
    assert_eq!(form.qos(), publish.qos);
    Ok(direct.split_off(b"before".len()))
}
