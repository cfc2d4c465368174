//! What a client is told when it is sent away, in the words of its version: the packet with its reason, and in 5.0 the
//! name of the reason, as far as the client wants words and takes them.

use contract::refusal::Refusal;
use mqtt::{ConnackProperties, DisconnectProperties, ReasonCode, Version};
use session::ClientSide;

/// The answer to a CONNECT that is refused; empty when there is none.
pub(crate) fn refused_connack(version: Version, refusal: Refusal, client: &ClientSide) -> Vec<u8> {
    if !is_answered(version, refusal) {
        return Vec::new();
    }
    let reason = ReasonCode::of_connack(refusal);
    fitting(client, refusal, |out, reason_string| {
        let properties = ConnackProperties { reason_string, ..ConnackProperties::default() };
        mqtt::connack(out, version, false, reason, &properties);
    })
}

/// The DISCONNECT of a client of 5.0 that is sent away.
pub(crate) fn disconnect(refusal: Refusal, client: &ClientSide) -> Vec<u8> {
    let reason = ReasonCode::of_disconnect(refusal);
    fitting(client, refusal, |out, reason_string| {
        let properties = DisconnectProperties { reason_string, ..DisconnectProperties::default() };
        mqtt::disconnect(out, reason, &properties);
    })
}

/// Whether CONNECT is answered when it is refused for this. Before 5.0 bytes that are no CONNECT are not
/// [MQTT-3.1.4-1].
const fn is_answered(version: Version, refusal: Refusal) -> bool {
    let is_no_packet =
        matches!(refusal, Refusal::MalformedPacket | Refusal::ProtocolError | Refusal::PacketBytesMax);
    let is_too_early =
        matches!(refusal, Refusal::ConnectTimeout | Refusal::TooManyHandshakes | Refusal::TlsHandshakeFailed);
    !is_too_early && (!is_no_packet || matches!(version, Version::V5))
}

/// A packet with the name of the refusal if it is wanted and if it is then no larger than the client takes
/// [MQTT-3.2.2-19], [MQTT-3.14.2-3]; else without; else none.
fn fitting(client: &ClientSide, refusal: Refusal, write: impl Fn(&mut Vec<u8>, Option<&str>)) -> Vec<u8> {
    let name = Some(refusal.name()).filter(|_| client.wants_problem_info);
    for reason_string in [name, None] {
        let mut bytes = Vec::new();
        write(&mut bytes, reason_string);
        if client.packet_bytes_max.is_none_or(|most| bytes.len() <= most as usize) {
            return bytes;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: ClientSide =
        ClientSide { receive_max: 1, packet_bytes_max: None, topic_alias_max: 0, wants_problem_info: true };

    #[test]
    fn the_words_are_as_many_as_the_client_takes() {
        let whole = b"\xE0\x0f\x8D\x0d\x1f\x00\x0akeep_alive";
        for (packet_bytes_max, wants_problem_info, length) in [
            (None, true, 4 + 3 + "keep_alive_timeout".len()),
            (Some(25), true, 25),
            (Some(24), true, 3),
            (None, false, 3),
            (Some(3), false, 3),
            (Some(2), true, 0),
        ] {
            let client = ClientSide { packet_bytes_max, wants_problem_info, ..ROOMY };
            let said = disconnect(Refusal::KeepAliveTimeout, &client);
            assert_eq!(said.len(), length, "{packet_bytes_max:?} {wants_problem_info}");
            assert!(
                said.first().is_none_or(|first| *first == whole[0])
                    && said.get(2).is_none_or(|it| *it == 0x8D)
            );
        }
    }

    #[test]
    fn before_5_0_what_is_no_connect_is_not_answered() {
        for refusal in Refusal::ALL.iter().copied() {
            let [old, new] =
                [Version::V311, Version::V5].map(|version| refused_connack(version, refusal, &ROOMY));
            assert!(old.is_empty() || old.len() == 4 && old[3] > 0, "{refusal:?}");
            assert!(new.is_empty() || new[3] >= 0x80, "{refusal:?}");
            let is_broken = matches!(
                refusal,
                Refusal::MalformedPacket | Refusal::ProtocolError | Refusal::PacketBytesMax
            );
            assert_eq!(old.is_empty(), new.is_empty() || is_broken, "{refusal:?}");
        }
    }
}
