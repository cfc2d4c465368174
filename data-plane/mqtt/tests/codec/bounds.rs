//! Every bound of the codec, at its last good value and one past it.

use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::client;
use mqtt::{
    Connect, ConnectReturnCode, DecodeError, EncodeError, FILTERS_PER_PACKET_MAX, Packet, PacketId, Publish,
    PublishForm, Version,
};

const ID: PacketId = PacketId::MIN;

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish { dup: false, qos: Qos::AtMostOnce, retain: false, topic, packet_id: None, payload }
}

fn decode(bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    mqtt::decode(mqtt::frame(bytes, bytes.len()).expect("lawful").expect("whole"))
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
    mqtt::publish(&mut out, &message(&longest, b"p")).expect("the longest topic");
    assert_eq!(decode(&out), Ok(Packet::Publish(message(&longest, b"p"))));
    out.clear();
    client::subscribe(&mut out, ID, &[(&longest, Qos::AtMostOnce)]).expect("the longest filter");
    assert!(matches!(decode(&out), Ok(Packet::Subscribe(_))));

    out.clear();
    let connect = Connect {
        clean_session: true,
        keep_alive_secs: 0,
        client_id: &longer,
        will: None,
        username: None,
        password: None,
    };
    assert_eq!(client::connect(&mut out, &connect), Err(EncodeError::FieldTooLong));
    assert_eq!(mqtt::publish(&mut out, &message(&longer, b"")), Err(EncodeError::FieldTooLong));
    assert_eq!(
        client::subscribe(&mut out, ID, &[(&longer, Qos::AtMostOnce)]),
        Err(EncodeError::FieldTooLong)
    );
    assert_eq!(client::unsubscribe(&mut out, ID, &[&longer]), Err(EncodeError::FieldTooLong));
    assert!(out.is_empty(), "what fails writes nothing");

    let mut form = PublishForm::new();
    form.render("a", b"", Qos::AtMostOnce, false).expect("short");
    assert_eq!(form.render(&longer, b"", Qos::AtMostOnce, false), Err(EncodeError::FieldTooLong));
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
        mqtt::publish(&mut out, &message("a", &vec![0; length - 3])).expect("short enough");
        assert!(out.starts_with(header), "{length}");
        assert_eq!(out.len(), header.len() + length);
    }
}

#[test]
fn what_no_client_may_send_is_not_written() {
    let mut out = Vec::new();
    let with_id = Publish { packet_id: Some(ID), ..message("a", b"") };
    let without_id = Publish { qos: Qos::AtLeastOnce, ..message("a", b"") };
    assert_eq!(mqtt::publish(&mut out, &with_id), Err(EncodeError::PacketId));
    assert_eq!(mqtt::publish(&mut out, &without_id), Err(EncodeError::PacketId));
    assert_eq!(client::subscribe(&mut out, ID, &[]), Err(EncodeError::NoFilters));
    assert_eq!(client::unsubscribe(&mut out, ID, &[]), Err(EncodeError::NoFilters));
    let connect = Connect {
        clean_session: true,
        keep_alive_secs: 0,
        client_id: "c",
        will: None,
        username: None,
        password: Some(b"secret"),
    };
    assert_eq!(client::connect(&mut out, &connect), Err(EncodeError::PasswordWithoutUserName));
    assert!(out.is_empty());
    assert!(!format!("{connect:?}").contains("115"), "a password is never printed");
}

#[test]
fn a_refusal_never_claims_a_session() {
    let mut out = Vec::new();
    mqtt::connack(&mut out, true, ConnectReturnCode::NotAuthorized);
    mqtt::connack(&mut out, true, ConnectReturnCode::Accepted);
    assert_eq!(out, [0x20, 2, 0, 5, 0x20, 2, 1, 0]);
}

#[test]
fn errors_say_what_a_refusal_is_counted_as() {
    for (error, refusal) in [
        (DecodeError::PacketTooLarge(9), Refusal::PacketBytesMax),
        (DecodeError::TooManyFilters, Refusal::FiltersPerPacketMax),
        (DecodeError::Unexpected, Refusal::ProtocolError),
        (DecodeError::Utf8, Refusal::MalformedPacket),
    ] {
        assert_eq!(error.refusal(), refusal, "{error}");
    }
    assert!(size_of::<DecodeError>() <= 8, "an error travels in a register");
}

#[test]
fn levels_of_the_versions() {
    for version in [Version::V311, Version::V5] {
        assert_eq!(Version::from_level(version.level()), Some(version));
    }
    assert_eq!(Version::from_level(3), None);
}
