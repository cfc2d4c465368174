//! The table of reasons: whatever is refused is told with a code that its packet may carry (table 2-6 of 5.0).

use contract::refusal::Refusal;
use mqtt::{ConnectReturnCode, ReasonCode};

/// Codes that tell a refusal, by packet: tables 3-1 (of CONNACK), 3-4 and 3-5 (PUBACK, PUBREC), 3-8 (SUBACK) and 3-10
/// (DISCONNECT).
const CONNACK: &[u8] = &[
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A,
    0x9B, 0x9C, 0x9D, 0x9F,
];
const PUBACK: &[u8] = &[0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const SUBACK: &[u8] = &[0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
const DISCONNECT: &[u8] = &[
    0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
    0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];
/// This server retains, and serves every QoS: it has no use for these.
const NEVER: &[u8] = &[0x9A, 0x9B, 0x9E, 0xA1, 0xA2];

#[test]
fn every_refusal_has_a_code_of_each_packet() {
    for &refusal in Refusal::ALL {
        for (packet, codes, code) in [
            ("CONNACK", CONNACK, ReasonCode::of_connack(refusal)),
            ("PUBACK", PUBACK, ReasonCode::of_publish(refusal)),
            ("SUBACK", SUBACK, ReasonCode::of_subscribe(refusal)),
            ("DISCONNECT", DISCONNECT, ReasonCode::of_disconnect(refusal)),
        ] {
            assert!(codes.contains(&code.byte()), "{packet} cannot say {code:?} for {refusal:?}");
            assert!(!NEVER.contains(&code.byte()), "{packet} says {code:?} for {refusal:?}");
        }
    }
}

#[test]
fn what_clients_must_tell_apart_they_can() {
    use ReasonCode as Code;
    for (refusal, connack, publish, disconnect) in [
        (Refusal::MalformedPacket, Code::MalformedPacket, Code::UnspecifiedError, Code::MalformedPacket),
        (Refusal::ProtocolError, Code::ProtocolError, Code::UnspecifiedError, Code::ProtocolError),
        (
            Refusal::ClientIdInvalid,
            Code::ClientIdentifierNotValid,
            Code::UnspecifiedError,
            Code::NotAuthorized,
        ),
        (
            Refusal::CredentialsWrong,
            Code::BadUserNameOrPassword,
            Code::UnspecifiedError,
            Code::AdministrativeAction,
        ),
        (Refusal::NotAuthorized, Code::NotAuthorized, Code::NotAuthorized, Code::NotAuthorized),
        (Refusal::PacketBytesMax, Code::PacketTooLarge, Code::QuotaExceeded, Code::PacketTooLarge),
        (Refusal::PayloadBytesMax, Code::PacketTooLarge, Code::QuotaExceeded, Code::QuotaExceeded),
        (Refusal::TopicBytesMax, Code::TopicNameInvalid, Code::TopicNameInvalid, Code::TopicNameInvalid),
        (
            Refusal::PayloadFormatInvalid,
            Code::PayloadFormatInvalid,
            Code::PayloadFormatInvalid,
            Code::PayloadFormatInvalid,
        ),
        (
            Refusal::StorageUnavailable,
            Code::ServerUnavailable,
            Code::ImplementationSpecificError,
            Code::ServerBusy,
        ),
        (Refusal::ReceiveMax, Code::ProtocolError, Code::UnspecifiedError, Code::ReceiveMaximumExceeded),
        (Refusal::TopicAliasInvalid, Code::ProtocolError, Code::UnspecifiedError, Code::TopicAliasInvalid),
        (Refusal::TakenOver, Code::NotAuthorized, Code::NotAuthorized, Code::SessionTakenOver),
        (Refusal::KeepAliveTimeout, Code::NotAuthorized, Code::NotAuthorized, Code::KeepAliveTimeout),
        (
            Refusal::NodeStopping,
            Code::ServerUnavailable,
            Code::ImplementationSpecificError,
            Code::ServerShuttingDown,
        ),
        (Refusal::TokenExpired, Code::NotAuthorized, Code::NotAuthorized, Code::NotAuthorized),
        (Refusal::TokenRevoked, Code::NotAuthorized, Code::NotAuthorized, Code::AdministrativeAction),
    ] {
        let found = (Code::of_connack(refusal), Code::of_publish(refusal), Code::of_disconnect(refusal));
        assert_eq!(found, (connack, publish, disconnect), "{refusal:?}");
    }
}

#[test]
fn codes_are_numbers_and_names_are_their_own() {
    for (at, &code) in ReasonCode::ALL.iter().enumerate() {
        assert_eq!(ReasonCode::from_byte(code.byte()), Some(code));
        assert_eq!(code.is_error(), code.byte() >= 0x80);
        assert!(ReasonCode::ALL[..at].iter().all(|other| other.name() != code.name() && *other < code));
    }
    let named = (0..=u8::MAX).filter(|&byte| ReasonCode::from_byte(byte).is_some()).count();
    assert_eq!((named, ReasonCode::ALL.len()), (43, 43));
}

#[test]
fn return_codes_of_3_1_1_survive_the_way_through_reasons() {
    for code in (0..=u8::MAX).filter_map(ConnectReturnCode::from_byte) {
        assert_eq!(ConnectReturnCode::of_reason(code.reason()), code);
    }
    for &refusal in Refusal::ALL {
        let code = ConnectReturnCode::of_reason(ReasonCode::of_connack(refusal));
        assert_ne!(code, ConnectReturnCode::Accepted, "{refusal:?}");
    }
}
