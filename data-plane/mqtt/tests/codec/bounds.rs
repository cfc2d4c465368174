//! Every bound of the codec, at its last good value and one past it.

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicError;
use mqtt::client;
use mqtt::{
    ConnackProperties, Connect, ContentWriter, DecodeError, EncodeError, FILTERS_PER_PACKET_MAX, Options,
    Packet, PacketId, Publish, PublishForm, PublishHead, ReasonCode, Version,
};

const ID: PacketId = PacketId::MIN;

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish { topic, payload, ..Publish::default() }
}

fn decode(bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    mqtt::decode(Version::V311, mqtt::frame(bytes, bytes.len()).expect("lawful").expect("whole"))
}

#[test]
fn filters_of_one_packet() {
    let filters = |count| vec![("a", Qos::AtMostOnce); count];
    let mut out = Vec::new();
    client::subscribe(&mut out, ID, &filters(FILTERS_PER_PACKET_MAX)).expect("short filters");
    assert!(
        matches!(decode(&out), Ok(Packet::Subscribe(read)) if read.filters.len() == FILTERS_PER_PACKET_MAX)
    );
    out.clear();
    client::subscribe(&mut out, ID, &filters(FILTERS_PER_PACKET_MAX + 1)).expect("short filters");
    assert_eq!(decode(&out), Err(DecodeError::TooManyFilters));
    out.clear();
    client::unsubscribe(&mut out, ID, &vec!["a"; FILTERS_PER_PACKET_MAX + 1]).expect("short filters");
    assert_eq!(decode(&out), Err(DecodeError::TooManyFilters));
}

#[test]
fn fields_of_65535_bytes_and_one_more() {
    let longest = "t".repeat(65_535);
    let longer = "t".repeat(65_536);
    let mut out = Vec::new();
    client::publish(&mut out, &message(&longest, b"p")).expect("the longest topic");
    assert_eq!(decode(&out), Ok(Packet::Publish(message(&longest, b"p"))));
    out.clear();
    client::subscribe(&mut out, ID, &[(&longest, Qos::AtMostOnce)]).expect("the longest filter");
    assert!(matches!(decode(&out), Ok(Packet::Subscribe(_))));

    out.clear();
    let connect = Connect { client_id: &longer, ..Connect::default() };
    assert_eq!(client::connect(&mut out, &connect), Err(EncodeError::FieldTooLong));
    assert_eq!(client::publish(&mut out, &message(&longer, b"")), Err(EncodeError::FieldTooLong));
    assert_eq!(
        client::subscribe(&mut out, ID, &[(&longer, Qos::AtMostOnce)]),
        Err(EncodeError::FieldTooLong)
    );
    assert_eq!(client::unsubscribe(&mut out, ID, &[&longer]), Err(EncodeError::FieldTooLong));
    assert!(out.is_empty(), "what fails writes nothing");

    let mut form = PublishForm::new();
    for version in Version::ALL {
        let head = |topic| PublishHead::plain(version, topic, Qos::AtMostOnce, false);
        form.render(&head("a"), b"").expect("short");
        assert_eq!(form.render(&head(&longer), b""), Err(EncodeError::FieldTooLong));
    }
    assert!(form.is_empty(), "the message before is not sent in place of the one that failed");
}

#[test]
fn remaining_lengths_are_written_in_as_few_bytes_as_they_take() {
    for (length, header) in [
        (127, &[0x30, 0x7F][..]),
        (128, &[0x30, 0x80, 0x01]),
        (16_383, &[0x30, 0xFF, 0x7F]),
        (16_384, &[0x30, 0x80, 0x80, 0x01]),
        (2_097_151, &[0x30, 0xFF, 0xFF, 0x7F]),
        (2_097_152, &[0x30, 0x80, 0x80, 0x80, 0x01]),
    ] {
        let mut out = Vec::new();
        client::publish(&mut out, &message("a", &vec![0; length - 3])).expect("short enough");
        assert!(out.starts_with(header), "{length}");
        assert_eq!(out.len(), header.len() + length);
    }
}

#[test]
fn what_no_client_may_send_is_not_written() {
    let mut out = Vec::new();
    let with_id = Publish { packet_id: Some(ID), ..message("a", b"") };
    let without_id = Publish { qos: Qos::AtLeastOnce, ..message("a", b"") };
    assert_eq!(client::publish(&mut out, &with_id), Err(EncodeError::PacketId));
    assert_eq!(client::publish(&mut out, &without_id), Err(EncodeError::PacketId));
    assert_eq!(client::subscribe(&mut out, ID, &[]), Err(EncodeError::NoFilters));
    assert_eq!(client::unsubscribe(&mut out, ID, &[]), Err(EncodeError::NoFilters));
    let connect = Connect { client_id: "c", password: Some(b"secret"), ..Connect::default() };
    assert_eq!(client::connect(&mut out, &connect), Err(EncodeError::PasswordWithoutUserName));
    assert!(out.is_empty());
    assert!(!format!("{connect:?}").contains("115"), "a password is never printed");
}

#[test]
fn a_refusal_never_claims_a_session() {
    let mut out = Vec::new();
    for (version, reason) in [
        (Version::V311, ReasonCode::NotAuthorized),
        (Version::V311, ReasonCode::Success),
        (Version::V31, ReasonCode::Success),
        (Version::V5, ReasonCode::NotAuthorized),
        (Version::V5, ReasonCode::Success),
    ] {
        mqtt::connack(&mut out, version, true, reason, &ConnackProperties::default());
    }
    // 3.1 has no place for the session.
    let of_5 = [0x20, 3, 0, 0x87, 0, 0x20, 3, 1, 0, 0];
    assert_eq!(out, [&[0x20, 2, 0, 5, 0x20, 2, 1, 0, 0x20, 2, 0, 0][..], &of_5].concat());
}

#[test]
fn errors_say_what_a_refusal_is_counted_as() {
    for (error, refusal) in [
        (DecodeError::PacketTooLarge(9), Refusal::PacketBytesMax),
        (DecodeError::TooManyFilters, Refusal::FiltersPerPacketMax),
        (DecodeError::Unexpected, Refusal::ProtocolError),
        (DecodeError::Utf8, Refusal::MalformedPacket),
        (DecodeError::PropertyTwice, Refusal::ProtocolError),
        (DecodeError::TopicAlias, Refusal::TopicAliasInvalid),
        (DecodeError::Topic(TopicError::WildcardInName), Refusal::TopicNameInvalid),
        (DecodeError::Topic(TopicError::HashNotLast), Refusal::MalformedPacket),
    ] {
        assert_eq!(error.refusal(), refusal, "{error}");
    }
    assert!(size_of::<DecodeError>() <= 8, "an error travels in a register");
}

#[test]
fn levels_of_the_versions() {
    for version in Version::ALL {
        assert_eq!(Version::from_level(version.level()), Some(version));
    }
    for level in [0, 1, 2, 6, 0x84] {
        assert_eq!(Version::from_level(level), None);
    }
}

/// The plain forms of 5.0 are those of 3.1.1, one byte longer where there may be properties.
#[test]
fn what_says_nothing_more_costs_nothing_more() {
    let mut out = Vec::new();
    for version in Version::ALL {
        out.clear();
        mqtt::puback(&mut out, version, ID, ReasonCode::Success);
        assert_eq!(out, [0x40, 2, 0, 1]);
    }
    for (version, bytes) in [
        (Version::V311, &[0x32, 6, 0, 1, b'a', 0, 0, b'x'][..]),
        (Version::V5, &[0x32, 7, 0, 1, b'a', 0, 0, 0, b'x']),
    ] {
        let mut form = PublishForm::new();
        form.render(&PublishHead::plain(version, "a", Qos::AtLeastOnce, false), b"x").expect("short");
        let mut out = Vec::with_capacity(32);
        let room = out.capacity();
        form.append_expiring(&mut out, Some(ID), 7); // there is none to say
        mqtt::set_expiry_secs(&mut out, 7);
        assert_eq!(out[..5], bytes[..5]);
        assert_eq!(out.len(), bytes.len());
        assert_eq!(out.capacity(), room);
    }
}

/// What a text cannot say because its length has two bytes is left out of a list of properties, whole.
#[test]
fn properties_that_are_too_long_are_left_out() {
    let longer = "t".repeat(65_536);
    let mut out = Vec::new();
    let said = ConnackProperties {
        reason_string: Some(&longer),
        topic_alias_max: 3,
        ..ConnackProperties::default()
    };
    mqtt::connack(&mut out, Version::V5, false, ReasonCode::ServerBusy, &said);
    assert_eq!(out, [0x20, 6, 0, 0x89, 3, 0x22, 0, 3]);
    let writer =
        ContentWriter::new().content_type(&longer).user_property(&longer, "v").user_property("k", "v");
    assert_eq!(writer.content().as_bytes(), b"\x26\0\x01k\0\x01v");
}

/// Options as a session stores them are options as they are sent.
#[test]
fn every_byte_of_options_is_read_or_refused() {
    for byte in 0..=u8::MAX {
        match Options::from_byte(byte) {
            Ok(options) => assert_eq!(options.byte(), byte),
            Err(DecodeError::RetainHandling) => assert_eq!(byte & 0b1111_0000, 0b0011_0000),
            Err(error) => {
                assert_eq!(error, DecodeError::SubscriptionOptions);
                assert!(byte & 0b1100_0000 != 0 || byte & 0b11 == 0b11, "{byte:08b}");
            }
        }
    }
}
