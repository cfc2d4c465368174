//! Lawful packets of a client in both versions, and what becomes of them by chance.

use std::num::{NonZeroU16, NonZeroU32};

use mqtt::client::{
    self, auth, disconnect, disconnect_v5, subscribe, subscribe_v5, unsubscribe, unsubscribe_v5,
};
use mqtt::{
    Auth, Connect, ContentWriter, Disconnect, Options, PacketId, Publish, ReasonCode, UserProperties, Version,
};
use tests::Qos;

use super::chance::Chance;

/// The largest piece that is copied or left out.
const PIECE_BYTES_MAX: usize = 16;

/// The CONNECT of an attacker: everything that it may carry.
pub(super) fn connect(version: Version, client_id: &str, token: &str) -> Vec<u8> {
    let content = ContentWriter::default().payload_format(true).content_type("text/plain");
    let will = mqtt::Will {
        topic: "storm/will",
        payload: b"gone",
        qos: Qos::AtLeastOnce,
        content: content.content(),
        ..mqtt::Will::default()
    };
    let connect = Connect {
        version,
        keep_alive_secs: 60,
        client_id,
        will: Some(will),
        username: Some("device"),
        password: Some(token.as_bytes()),
        ..Connect::default()
    };
    let mut out = Vec::new();
    client::connect(&mut out, &connect).expect("a lawful CONNECT");
    out
}

/// Every other packet of a client.
pub(super) fn packets(version: Version) -> Vec<Vec<u8>> {
    let mut packets = vec![vec![0xC0, 0x00]];
    let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        packets.push(out);
    };
    let id = PacketId::new(7).expect("not 0");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        for retain in [false, true] {
            add(&|out| publish(out, version, qos, retain));
        }
    }
    for acknowledge in [client::puback, client::pubrec, client::pubrel, client::pubcomp] {
        add(&|out| acknowledge(out, id));
    }
    let filters = ["storm/#", "storm/+/a", "$share/g/storm/#"];
    if version.is_v5() {
        let options = Options { no_local: false, ..Options::of(Qos::ExactlyOnce) };
        let pairs = filters.map(|filter| (filter, options));
        let number = NonZeroU32::new(200_000);
        add(&|out| subscribe_v5(out, id, &pairs, number, UserProperties::default()).expect("lawful"));
        add(&|out| unsubscribe_v5(out, id, &filters, UserProperties::default()).expect("lawful"));
        let leaving = Disconnect { reason: ReasonCode::DisconnectWithWill, ..Disconnect::default() };
        add(&|out| disconnect_v5(out, &leaving));
        let proof =
            Auth { reason: ReasonCode::Reauthenticate, method: Some("SCRAM-SHA-256"), ..Auth::default() };
        add(&|out| auth(out, &proof));
    } else {
        let pairs = filters.map(|filter| (filter, Qos::ExactlyOnce));
        add(&|out| subscribe(out, id, &pairs).expect("lawful"));
        add(&|out| unsubscribe(out, id, &filters).expect("lawful"));
    }
    add(&|out| disconnect(out));
    packets
}

fn publish(out: &mut Vec<u8>, version: Version, qos: Qos, retain: bool) {
    let content = ContentWriter::default()
        .payload_format(true)
        .content_type("text/plain")
        .response_topic("storm/answers")
        .correlation_data(&[0, 255])
        .user_property("name", "value");
    let plain = Publish {
        qos,
        retain,
        topic: "storm/x/a",
        packet_id: (qos != Qos::AtMostOnce).then_some(PacketId::MIN),
        payload: b"in the storm",
        ..Publish::default()
    };
    let publish = if version.is_v5() {
        let (topic_alias, expiry_secs) = (NonZeroU16::new(3), Some(60));
        Publish { topic_alias, expiry_secs, content: content.content(), ..plain }
    } else {
        plain
    };
    mqtt::publish(out, version, &publish).expect("lawful");
}

/// Changes a packet in one way, or in several.
pub(super) fn mutate(packet: &mut Vec<u8>, others: &[Vec<u8>], chance: &mut Chance) {
    for _ in 0..=chance.below(2) {
        let at = chance.below(packet.len());
        let end = (at + 1 + chance.below(PIECE_BYTES_MAX)).min(packet.len());
        match chance.below(8) {
            0 => packet[at] ^= 1 << chance.below(8),
            1 => packet[at] = chance.byte(),
            2 => packet.insert(at, chance.byte()),
            3 if packet.len() > 2 => drop(packet.drain(at..end)),
            4 => packet.extend_from_within(at..end),
            // The announced length, alone or with a byte that goes on.
            5 if packet.len() > 1 => packet[1] = chance.byte(),
            6 => packet[0] = chance.byte(),
            _ => {
                let other = chance.one_of(others);
                packet.extend_from_slice(&other[chance.below(other.len())..]);
            }
        }
        if packet.is_empty() {
            packet.push(chance.byte());
        }
    }
}
