//! A packet that was read, written again by the encoder of its sender: for lawful packets the bytes are the same.

use contract::topic::TopicFilter;
use mqtt::client::{self, ServerPacket};
use mqtt::{Connect, EncodeError, Packet, PublishForm};

pub(crate) fn connect(packet: &Connect<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    client::connect(&mut out, packet).expect("it was read");
    out
}

pub(crate) fn client_packet(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        Packet::Publish(publish) => out = publish_both_ways(publish).expect("it was read"),
        Packet::PubAck(packet_id) => mqtt::puback(&mut out, *packet_id),
        Packet::PubRec(packet_id) => mqtt::pubrec(&mut out, *packet_id),
        Packet::PubRel(packet_id) => mqtt::pubrel(&mut out, *packet_id),
        Packet::PubComp(packet_id) => mqtt::pubcomp(&mut out, *packet_id),
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> =
                subscribe.filters.iter().map(|(filter, qos)| (filter.as_str(), *qos)).collect();
            client::subscribe(&mut out, subscribe.packet_id, &filters).expect("it was read");
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<_> = unsubscribe.filters.iter().map(TopicFilter::as_str).collect();
            client::unsubscribe(&mut out, unsubscribe.packet_id, &filters).expect("it was read");
        }
        Packet::PingReq => client::pingreq(&mut out),
        Packet::Disconnect => client::disconnect(&mut out),
    }
    out
}

pub(crate) fn server_packet(packet: &ServerPacket<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        ServerPacket::ConnAck { session_present, code } => mqtt::connack(&mut out, *session_present, *code),
        ServerPacket::Publish(publish) => out = publish_both_ways(publish).expect("it was read"),
        ServerPacket::PubAck(packet_id) => mqtt::puback(&mut out, *packet_id),
        ServerPacket::PubRec(packet_id) => mqtt::pubrec(&mut out, *packet_id),
        ServerPacket::PubRel(packet_id) => mqtt::pubrel(&mut out, *packet_id),
        ServerPacket::PubComp(packet_id) => mqtt::pubcomp(&mut out, *packet_id),
        ServerPacket::SubAck { packet_id, granted } => {
            mqtt::suback(&mut out, *packet_id, granted.iter().copied());
        }
        ServerPacket::UnsubAck(packet_id) => mqtt::unsuback(&mut out, *packet_id),
        ServerPacket::PingResp => mqtt::pingresp(&mut out),
    }
    out
}

/// In one go, and as a form that many share: the same bytes, whatever stands in the buffers before.
pub(crate) fn publish_both_ways(publish: &mqtt::Publish<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut direct = b"before".to_vec();
    mqtt::publish(&mut direct, publish)?;
    if !publish.dup {
        let mut form = PublishForm::new();
        form.render("another", b"message", contract::qos::Qos::ExactlyOnce, true)?;
        form.render(publish.topic, publish.payload, publish.qos, publish.retain)?;
        let mut shared = b"before".to_vec();
        form.append_to(&mut shared, publish.packet_id);
        assert_eq!(shared, direct, "{publish:?}");
        assert_eq!(form.size_bytes(), direct.len() - b"before".len());
    }
    Ok(direct.split_off(b"before".len()))
}
