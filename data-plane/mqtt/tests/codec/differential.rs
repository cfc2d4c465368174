//! Two codecs that know nothing of each other say the same: what we write `mqtt-proto` reads as the packet that it is,
//! and what that codec writes of the packet we read so.

use mqtt::client::{self, ServerPacket};
use mqtt::{FirstPacket, Frame, Version};
use mqtt_proto::{v3, v5};
use proptest::prelude::*;

use crate::sample::{connect, from_client, from_server};
use crate::{another, rewrite};

fn whole(bytes: &[u8]) -> Frame<'_> {
    let frame = mqtt::frame(bytes, bytes.len()).expect("lawful").expect("whole");
    assert_eq!(frame.total, bytes.len());
    frame
}

/// That codec's packet, written by it.
fn written_v3(packet: &v3::Packet) -> Vec<u8> {
    packet.encode().expect("short").as_ref().to_vec()
}

fn written_v5(packet: &v5::Packet) -> Vec<u8> {
    packet.encode().expect("short").as_ref().to_vec()
}

/// That codec's reading of our bytes.
fn read_v3(bytes: &[u8]) -> v3::Packet {
    v3::Packet::decode(bytes).expect("lawful").expect("whole")
}

fn read_v5(bytes: &[u8]) -> v5::Packet {
    v5::Packet::decode(bytes).expect("lawful").expect("whole")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connect_is_the_same_to_both(wish in connect()) {
        let ours = wish.connect();
        let bytes = rewrite::connect(&ours);
        let theirs = if ours.version == Version::V5 {
            let theirs = another::connect_v5(&ours);
            prop_assert_eq!(read_v5(&bytes), theirs.clone());
            written_v5(&theirs)
        } else {
            let theirs = another::connect_v3(&ours);
            prop_assert_eq!(read_v3(&bytes), theirs.clone());
            written_v3(&theirs)
        };
        let Ok(FirstPacket::Connect(read)) = mqtt::decode_first(whole(&theirs)) else {
            return Err(TestCaseError::fail(format!("{theirs:02x?}")));
        };
        prop_assert_eq!(another::connect_v5(&read), another::connect_v5(&ours));
        prop_assert_eq!(read.version, ours.version);
    }

    #[test]
    fn a_client_packet_is_the_same_to_both((version, said) in from_client()) {
        let ours = said.packet(version);
        let bytes = rewrite::client_packet(version, &ours);
        if version == Version::V5 {
            let theirs = another::client_v5(&ours);
            prop_assert_eq!(read_v5(&bytes), theirs.clone());
            let bytes = written_v5(&theirs);
            let read = mqtt::decode(version, whole(&bytes)).expect("lawful");
            prop_assert_eq!(another::client_v5(&read), theirs);
        } else {
            let theirs = another::client_v3(&ours);
            prop_assert_eq!(read_v3(&bytes), theirs.clone());
            prop_assert_eq!(written_v3(&theirs), bytes);
        }
    }

    #[test]
    fn a_server_packet_is_the_same_to_both((version, said) in from_server()) {
        let ours = said.packet(version);
        let bytes = rewrite::server_packet(version, &ours);
        if version == Version::V5 {
            let theirs = another::server_v5(&ours);
            prop_assert_eq!(read_v5(&bytes), theirs.clone());
            let bytes = written_v5(&theirs);
            let read = client::decode(version, whole(&bytes)).expect("lawful");
            prop_assert_eq!(another::server_v5(&read), theirs);
        } else {
            let theirs = another::server_v3(&ours);
            prop_assert_eq!(read_v3(&bytes), theirs.clone());
            // Of 3.1.1 that codec reads a refusal in SUBACK as 0x80 and writes it as 3, the number of its variant.
            let refuses = matches!(&ours, ServerPacket::SubAck { codes, .. } if codes.iter().any(|code| code.is_error()));
            prop_assert!(refuses || written_v3(&theirs) == bytes);
        }
    }
}
