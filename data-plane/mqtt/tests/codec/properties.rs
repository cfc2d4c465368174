//! What holds for every packet and for every sequence of bytes, in every version.

use std::num::NonZeroU32;

use mqtt::client::{self, ServerPacket};
use mqtt::{
    DecodeError, FirstPacket, Frame, Packet, PublishForm, PublishHead, REMAINING_LENGTH_MAX, ReasonCode,
    VARIABLE_MAX, Version,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::rewrite;
use crate::sample::{connect, from_client, from_server, message};

fn whole(bytes: &[u8]) -> Frame<'_> {
    let frame = mqtt::frame(bytes, bytes.len()).expect("lawful").expect("whole");
    assert_eq!(frame.total, bytes.len());
    frame
}

/// The bytes of a packet of a client.
fn client_packet() -> impl Strategy<Value = Vec<u8>> {
    from_client().prop_map(|(version, said)| rewrite::client_packet(version, &said.packet(version)))
}

/// A body under a lawful first byte and its true length: the shortest way into every decoder.
fn framed_noise() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![
        0x10_u8, 0x20, 0x30, 0x32, 0x34, 0x3B, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0,
        0xE0, 0xF0,
    ]);
    let small = prop::sample::select(vec![
        0_u8, 0, 0, 1, 1, 2, 3, 4, 5, 0x0B, 0x11, 0x18, 0x1F, 0x21, 0x23, 0x26, b'a', b'/', b'+', b'#', 0x80,
        0xC3, 0xA9,
    ]);
    let head = prop::sample::select(vec![&b"\0\x04MQTT\x04"[..], b"\0\x04MQTT\x05", b"\0\x06MQIsdp\x03"]);
    (first, vec(small, 0..40), option::of(head), vec(any::<u8>(), 0..4)).prop_map(
        |(first, small, head, tail)| {
            let mut body = head.filter(|_| first == 0x10).map_or_else(Vec::new, <[u8]>::to_vec);
            body.extend(small);
            body.extend(tail);
            let mut out = vec![first, u8::try_from(body.len()).expect("under 128 bytes")];
            out.extend(body);
            out
        },
    )
}

/// Reads one packet by every decoder there is. What one accepts must be written again: in 3.1.1 byte for byte, in 5.0
/// as a packet that is read the same. The library behind the checks must have nothing left to refuse.
fn read_every_way(bytes: &[u8]) {
    let Ok(Some(frame)) = mqtt::frame(bytes, REMAINING_LENGTH_MAX) else { return };
    assert!(frame.total <= bytes.len());
    let bytes = &bytes[..frame.total];
    let padded = frame.total - frame.body.len() > 1 + if frame.body.len() < 128 { 1 } else { 2 };
    // 3.1 knows the flag of a packet that is sent again, and nobody writes it.
    let again = frame.flags() & 0b1000 != 0 && frame.kind() != mqtt::kind::PUBLISH;
    let same = |version, rewritten: &[u8]| {
        let may_differ = version == Version::V5 || padded || again;
        assert!(may_differ || rewritten == bytes, "{rewritten:02x?} {bytes:02x?}");
    };
    match mqtt::decode_first(frame) {
        Ok(FirstPacket::Connect(connect)) => {
            let rewritten = rewrite::connect(&connect);
            same(connect.version, &rewritten);
            assert_eq!(mqtt::decode_first(whole(&rewritten)), Ok(FirstPacket::Connect(connect)));
        }
        Ok(FirstPacket::UnsupportedVersion(_)) => {}
        Err(error) => check_error(error, bytes),
    }
    for version in Version::ALL {
        match mqtt::decode(version, frame) {
            Ok(packet) => {
                let rewritten = rewrite::client_packet(version, &packet);
                same(version, &rewritten);
                assert_eq!(mqtt::decode(version, whole(&rewritten)), Ok(packet), "{bytes:02x?}");
            }
            Err(error) => check_error(error, bytes),
        }
        match client::decode(version, frame) {
            // 3.1 has no place for it.
            Ok(ServerPacket::ConnAck { session_present: true, .. }) if version == Version::V31 => {}
            Ok(packet) => {
                let rewritten = rewrite::server_packet(version, &packet);
                same(version, &rewritten);
                assert_eq!(client::decode(version, whole(&rewritten)), Ok(packet), "{bytes:02x?}");
            }
            Err(error) => check_error(error, bytes),
        }
    }
}

fn check_error(error: DecodeError, bytes: &[u8]) {
    assert_ne!(error, DecodeError::Malformed, "{bytes:02x?}");
    assert!(error.reason().is_error(), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connect_is_read_as_it_was_written(wish in connect()) {
        let connect = wish.connect();
        let bytes = rewrite::connect(&connect);
        prop_assert_eq!(mqtt::decode_first(whole(&bytes)), Ok(FirstPacket::Connect(connect)));
    }

    #[test]
    fn a_client_packet_is_read_as_it_was_written((version, said) in from_client()) {
        let packet = said.packet(version);
        let bytes = rewrite::client_packet(version, &packet);
        prop_assert_eq!(mqtt::decode(version, whole(&bytes)), Ok(packet));
    }

    #[test]
    fn a_server_packet_is_read_as_it_was_written((version, said) in from_server()) {
        let packet = said.packet(version);
        let bytes = rewrite::server_packet(version, &packet);
        prop_assert_eq!(client::decode(version, whole(&bytes)), Ok(packet));
    }

    /// What both sides send is the same packet to both.
    #[test]
    fn what_either_side_sends_is_read_alike((version, said) in from_client()) {
        let packet = said.packet(version);
        let bytes = rewrite::client_packet(version, &packet);
        let read = client::decode(version, whole(&bytes));
        match packet {
            Packet::Publish(publish) => prop_assert_eq!(read, Ok(ServerPacket::Publish(publish))),
            Packet::PubAck(id, reason) => prop_assert_eq!(read, Ok(ServerPacket::PubAck(id, reason))),
            Packet::PubRec(id, reason) => prop_assert_eq!(read, Ok(ServerPacket::PubRec(id, reason))),
            Packet::PubRel(id, reason) => prop_assert_eq!(read, Ok(ServerPacket::PubRel(id, reason))),
            Packet::PubComp(id, reason) => prop_assert_eq!(read, Ok(ServerPacket::PubComp(id, reason))),
            Packet::Auth(auth) => prop_assert_eq!(read, Ok(ServerPacket::Auth(auth))),
            Packet::Disconnect(disconnect) if version == Version::V5 => {
                let only_of_clients = disconnect.session_expiry_secs.is_some()
                    || disconnect.reason == ReasonCode::DisconnectWithWill;
                let expected = Ok(ServerPacket::Disconnect(disconnect));
                let is_right = if only_of_clients { read.is_err() } else { read == expected };
                prop_assert!(is_right, "{:?}", read);
            }
            Packet::Disconnect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq => {
                prop_assert_eq!(read, Err(DecodeError::Unexpected));
            }
        }
    }

    #[test]
    fn identifiers_and_content_are_read_as_they_were_rendered(
        message in message(),
        ids in vec((1..=VARIABLE_MAX).prop_map(|number| NonZeroU32::new(number).expect("not 0")), 0..5),
        left in any::<u32>(),
    ) {
        let publish = message.publish(Version::V5);
        let head = PublishHead {
            version: Version::V5,
            topic: publish.topic,
            qos: publish.qos,
            retain: publish.retain,
            topic_alias: publish.topic_alias,
            expiry_secs: publish.expiry_secs,
            subscription_ids: &ids,
            content: publish.content,
        };
        let mut form = PublishForm::new();
        form.render(&head, publish.payload).expect("short");
        form.set_dup(publish.dup);
        let mut bytes = Vec::new();
        form.append_expiring(&mut bytes, publish.packet_id, left);
        let mut late = Vec::new();
        form.append_to(&mut late, publish.packet_id);
        mqtt::set_expiry_secs(&mut late, left);
        prop_assert_eq!(&late, &bytes, "said when it was appended, or later");
        prop_assert_eq!(head.size_bytes(publish.payload.len()), bytes.len());
        let Ok(ServerPacket::Publish(read)) = client::decode(Version::V5, whole(&bytes)) else {
            return Err(TestCaseError::fail(format!("{bytes:02x?}")));
        };
        prop_assert_eq!(read.subscription_ids().collect::<Vec<_>>(), ids);
        let expiry_secs = publish.expiry_secs.map(|_| left);
        prop_assert_eq!(read, mqtt::Publish { expiry_secs, ..publish });
        let mut scratch = b"before".to_vec();
        prop_assert_eq!(read.content.plain(&mut scratch).as_bytes(), publish.content.as_bytes());
    }

    /// Properties of the hop may stand anywhere, and leave the content as it was.
    #[test]
    fn content_is_the_same_wherever_the_hop_stands(
        message in message(),
        at in any::<prop::sample::Index>(),
        alias in 1..=u16::MAX,
    ) {
        let content = message.content.content();
        // Where one property ends and the next begins.
        let mut cuts = vec![0];
        cuts.extend((1..=content.as_bytes().len()).filter(|&end| {
            let part = mqtt::Content::from_stored(&content.as_bytes()[..end]);
            part.size_bytes() == end && is_whole(&content.as_bytes()[..end])
        }));
        let cut = cuts[at.index(cuts.len())];
        let [high, low] = alias.to_be_bytes();
        let section = [&content.as_bytes()[..cut], &[0x23, high, low], &content.as_bytes()[cut..]].concat();
        let mut body = vec![0, 1, b'a'];
        push_length(&mut body, section.len());
        body.extend(section);
        body.extend_from_slice(b"payload");
        let mut bytes = vec![0x30];
        push_length(&mut bytes, body.len());
        bytes.extend(body);
        let Ok(Packet::Publish(read)) = mqtt::decode(Version::V5, whole(&bytes)) else {
            return Err(TestCaseError::fail(format!("{bytes:02x?}")));
        };
        prop_assert_eq!(read.topic_alias.map(std::num::NonZero::get), Some(alias));
        prop_assert_eq!(read.payload, b"payload");
        prop_assert_eq!(read.content, content);
        prop_assert_eq!(read.content.size_bytes(), content.as_bytes().len());
        let mut scratch = b"before".to_vec();
        prop_assert_eq!(read.content.plain(&mut scratch).as_bytes(), content.as_bytes());
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

/// Whether these bytes are a list of whole properties: as the content of a PUBLISH they are lawful.
fn is_whole(section: &[u8]) -> bool {
    let mut body = vec![0, 1, b'a'];
    push_length(&mut body, section.len());
    body.extend_from_slice(section);
    let mut bytes = vec![0x30];
    push_length(&mut bytes, body.len());
    bytes.extend(body);
    mqtt::decode(Version::V5, whole(&bytes)).is_ok()
}

/// A variable byte integer, by the pseudo code of section 1.5.5.
fn push_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let digit = u8::try_from(length % 128).expect("under 128");
        length /= 128;
        if length == 0 {
            return out.push(digit);
        }
        out.push(digit | 0x80);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

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
