//! What holds for every packet and for every sequence of bytes.

use contract::qos::Qos;
use contract::topic::TopicFilter;
use mqtt::client::{self, ServerPacket};
use mqtt::{
    Connect, ConnectReturnCode, DecodeError, FirstPacket, Packet, PacketId, Publish, REMAINING_LENGTH_MAX,
    Will,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::rewrite;

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|number| PacketId::new(number).expect("not 0"))
}

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,24}"
}

fn topic() -> impl Strategy<Value = String> {
    "[^\0+#]{1,40}"
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => "[^\0+#/]{0,8}", 1 => Just("+".to_owned())];
    (vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, hash)| {
            if hash {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
        .prop_filter("a filter has at least one character", |filter| !filter.is_empty())
}

fn code() -> impl Strategy<Value = ConnectReturnCode> {
    (0..=5_u8).prop_map(|byte| ConnectReturnCode::from_byte(byte).expect("a known code"))
}

/// The bytes of any packet that a connected client may send.
fn client_packet() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (any::<bool>(), qos(), any::<bool>(), topic(), packet_id(), binary()).prop_map(
            |(dup, qos, retain, topic, packet_id, payload)| {
                let packet_id = (qos != Qos::AtMostOnce).then_some(packet_id);
                let dup = dup && qos != Qos::AtMostOnce;
                let publish = Publish { dup, qos, retain, topic: &topic, packet_id, payload: &payload };
                rewrite::client_packet(&Packet::Publish(publish))
            }
        ),
        1 => (0..4_u8, packet_id()).prop_map(|(which, packet_id)| rewrite::client_packet(&match which {
            0 => Packet::PubAck(packet_id),
            1 => Packet::PubRec(packet_id),
            2 => Packet::PubRel(packet_id),
            _ => Packet::PubComp(packet_id),
        })),
        2 => (packet_id(), vec((filter(), qos()), 1..6)).prop_map(|(packet_id, filters)| {
            let filters: Vec<_> = filters.iter().map(|(filter, qos)| (filter.as_str(), *qos)).collect();
            let mut out = Vec::new();
            client::subscribe(&mut out, packet_id, &filters).expect("short filters");
            out
        }),
        2 => (packet_id(), vec(filter(), 1..6)).prop_map(|(packet_id, filters)| {
            let filters: Vec<_> = filters.iter().map(String::as_str).collect();
            let mut out = Vec::new();
            client::unsubscribe(&mut out, packet_id, &filters).expect("short filters");
            out
        }),
        1 => any::<bool>().prop_map(|ping| {
            rewrite::client_packet(&if ping { Packet::PingReq } else { Packet::Disconnect })
        }),
    ]
}

/// A body under a lawful first byte and its true length: the shortest way into every decoder.
fn framed_noise() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![
        0x10_u8, 0x20, 0x30, 0x32, 0x34, 0x3B, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0,
        0xE0,
    ]);
    let small =
        prop::sample::select(vec![0_u8, 0, 0, 1, 1, 2, 3, 4, b'a', b'/', b'+', b'#', 0x80, 0xC3, 0xA9]);
    (first, vec(small, 0..40), option::of(Just(b"\0\x04MQTT\x04")), vec(any::<u8>(), 0..4)).prop_map(
        |(first, small, head, tail)| {
            let mut body = head.filter(|_| first == 0x10).map_or_else(Vec::new, |head| head.to_vec());
            body.extend(small);
            body.extend(tail);
            let mut out = vec![first, u8::try_from(body.len()).expect("under 128 bytes")];
            out.extend(body);
            out
        },
    )
}

/// Reads one packet by every decoder there is. What one accepts must be written again byte for byte, and the library
/// behind the checks must have nothing left to refuse.
fn read_every_way(bytes: &[u8]) {
    let Ok(Some(frame)) = mqtt::frame(bytes, REMAINING_LENGTH_MAX) else { return };
    assert!(frame.total <= bytes.len());
    let bytes = &bytes[..frame.total];
    let padded = frame.total - frame.body.len() > 1 + if frame.body.len() < 128 { 1 } else { 2 };
    let same = |rewritten: Vec<u8>| assert!(padded || rewritten == bytes, "{rewritten:02x?} {bytes:02x?}");
    match mqtt::decode_first(frame) {
        Ok(FirstPacket::Connect(connect)) => same(rewrite::connect(&connect)),
        Ok(FirstPacket::UnsupportedVersion(_)) => {}
        Err(error) => assert_ne!(error, DecodeError::Malformed),
    }
    match mqtt::decode(frame) {
        Ok(packet) => same(rewrite::client_packet(&packet)),
        Err(error) => assert_ne!(error, DecodeError::Malformed, "{bytes:02x?}"),
    }
    match client::decode(frame) {
        Ok(packet) => same(rewrite::server_packet(&packet)),
        Err(error) => assert_ne!(error, DecodeError::Malformed, "{bytes:02x?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connect_is_read_as_it_was_written(
        (clean_session, keep_alive_secs, client_id) in (any::<bool>(), any::<u16>(), text()),
        will in option::of((topic(), binary(), qos(), any::<bool>())),
        login in option::of((text(), option::of(binary()))),
    ) {
        let connect = Connect {
            clean_session,
            keep_alive_secs,
            client_id: &client_id,
            will: will.as_ref().map(|(topic, payload, qos, retain)| {
                Will { topic, payload, qos: *qos, retain: *retain }
            }),
            username: login.as_ref().map(|(username, _)| username.as_str()),
            password: login.as_ref().and_then(|(_, password)| password.as_deref()),
        };
        let bytes = rewrite::connect(&connect);
        let frame = mqtt::frame(&bytes, bytes.len()).expect("lawful").expect("whole");
        prop_assert_eq!(frame.total, bytes.len());
        prop_assert_eq!(mqtt::decode_first(frame), Ok(FirstPacket::Connect(connect)));
    }

    #[test]
    fn a_client_packet_is_read_as_it_was_written(bytes in client_packet()) {
        let frame = mqtt::frame(&bytes, bytes.len()).expect("lawful").expect("whole");
        prop_assert_eq!(frame.total, bytes.len());
        let packet = mqtt::decode(frame).expect("lawful");
        prop_assert_eq!(rewrite::client_packet(&packet), bytes);
    }

    #[test]
    fn a_message_is_read_as_it_was_written(
        (dup, qos, retain, topic, packet_id, payload) in
            (any::<bool>(), qos(), any::<bool>(), topic(), packet_id(), binary()),
    ) {
        let with_id = qos != Qos::AtMostOnce;
        let packet_id = with_id.then_some(packet_id);
        let publish = Publish { dup: dup && with_id, qos, retain, topic: &topic, packet_id, payload: &payload };
        let bytes = rewrite::publish_both_ways(&publish).expect("short");
        let frame = mqtt::frame(&bytes, bytes.len()).expect("lawful").expect("whole");
        prop_assert_eq!(mqtt::decode(frame), Ok(Packet::Publish(publish)));
        prop_assert_eq!(client::decode(frame), Ok(ServerPacket::Publish(publish)));
    }

    #[test]
    fn subscriptions_are_read_as_they_were_written(
        packet_id in packet_id(),
        filters in vec((filter(), qos()), 1..20),
    ) {
        let asked: Vec<_> = filters.iter().map(|(filter, qos)| (filter.as_str(), *qos)).collect();
        let mut bytes = Vec::new();
        client::subscribe(&mut bytes, packet_id, &asked).expect("short filters");
        let frame = mqtt::frame(&bytes, bytes.len()).expect("lawful").expect("whole");
        let Ok(Packet::Subscribe(subscribe)) = mqtt::decode(frame) else { panic!("{bytes:02x?}") };
        let read: Vec<_> = subscribe.filters.iter().map(|(filter, qos)| (filter.as_str(), *qos)).collect();
        prop_assert_eq!((subscribe.packet_id, read), (packet_id, asked));

        let asked: Vec<_> = filters.iter().map(|(filter, _)| filter.as_str()).collect();
        let mut bytes = Vec::new();
        client::unsubscribe(&mut bytes, packet_id, &asked).expect("short filters");
        let frame = mqtt::frame(&bytes, bytes.len()).expect("lawful").expect("whole");
        let Ok(Packet::Unsubscribe(unsubscribe)) = mqtt::decode(frame) else { panic!("{bytes:02x?}") };
        let read: Vec<_> = unsubscribe.filters.iter().map(TopicFilter::as_str).collect();
        prop_assert_eq!((unsubscribe.packet_id, read), (packet_id, asked));
    }

    #[test]
    fn a_server_packet_is_read_as_it_was_written(
        (session_present, code, packet_id) in (any::<bool>(), code(), packet_id()),
        granted in vec(option::of(qos()), 1..200),
    ) {
        let session_present = session_present && code == ConnectReturnCode::Accepted;
        for packet in [
            ServerPacket::ConnAck { session_present, code },
            ServerPacket::SubAck { packet_id, granted },
            ServerPacket::UnsubAck(packet_id),
            ServerPacket::PingResp,
        ] {
            let bytes = rewrite::server_packet(&packet);
            let frame = mqtt::frame(&bytes, bytes.len()).expect("lawful").expect("whole");
            prop_assert_eq!(client::decode(frame), Ok(packet));
        }
    }

    #[test]
    fn a_packet_cut_anywhere_waits_for_the_rest(bytes in client_packet(), next in client_packet()) {
        for end in 0..bytes.len() {
            prop_assert_eq!(mqtt::frame(&bytes[..end], REMAINING_LENGTH_MAX), Ok(None), "the first {} bytes", end);
        }
        let whole = mqtt::frame(&bytes, REMAINING_LENGTH_MAX).expect("lawful").expect("whole");
        let stream = [&bytes[..], &next[..]].concat();
        let first = mqtt::frame(&stream, REMAINING_LENGTH_MAX).expect("lawful").expect("whole");
        prop_assert_eq!(first, whole);
        let second = mqtt::frame(&stream[first.total..], REMAINING_LENGTH_MAX).expect("lawful").expect("whole");
        prop_assert_eq!(first.total + second.total, stream.len());
    }

    #[test]
    fn a_packet_over_the_limit_is_refused_and_one_at_it_is_not(bytes in client_packet()) {
        let size = u32::try_from(bytes.len()).expect("small");
        prop_assert!(mqtt::frame(&bytes, bytes.len()).expect("lawful").is_some());
        prop_assert_eq!(mqtt::frame(&bytes, bytes.len() - 1), Err(DecodeError::PacketTooLarge(size)));
        let header = bytes.len().min(5);
        prop_assert_eq!(mqtt::frame(&bytes[..header], bytes.len() - 1), Err(DecodeError::PacketTooLarge(size)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_refused_or_lawful(bytes in vec(any::<u8>(), 0..64)) {
        read_every_way(&bytes);
    }

    #[test]
    fn framed_noise_is_refused_or_lawful(bytes in framed_noise()) {
        read_every_way(&bytes);
    }

    #[test]
    fn a_damaged_packet_is_refused_or_lawful(
        mut bytes in client_packet(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        read_every_way(&bytes);
    }
}
