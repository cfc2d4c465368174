//! The fence around `mqttbytes`: the one file that names it.
//!
//! It parses and writes the fields of rare packets. It is never shown bytes that the strict checks have not passed,
//! for it checks little itself: neither flags nor packet identifier 0, null characters, reserved bits, an empty list
//! or trailing bytes. Its own opinions about topics are not asked, as one of them panics on `é`. Lengths are checked
//! before it writes, for it would wrap them.

use bytes::{BufMut, Bytes, BytesMut};
use contract::qos::Qos;
use mqttbytes::v4::{self, SubscribeFilter, SubscribeReasonCode};
use mqttbytes::{FixedHeader, QoS};

use crate::connack::ConnectReturnCode;
use crate::error::{DecodeError, EncodeError};
use crate::frame::{Frame, REMAINING_LENGTH_MAX};
use crate::packet::PacketId;

/// Topic filters and the QoS asked for, of a SUBSCRIBE that has passed the strict checks.
pub(crate) fn read_subscribe(frame: Frame<'_>) -> Result<Vec<(String, Qos)>, DecodeError> {
    let (header, bytes) = copy(frame);
    let subscribe = v4::Subscribe::read(header, bytes).map_err(|_| DecodeError::Malformed)?;
    Ok(subscribe.filters.into_iter().map(|filter| (filter.path, from_library(filter.qos))).collect())
}

/// Topic filters of an UNSUBSCRIBE that has passed the strict checks.
pub(crate) fn read_unsubscribe(frame: Frame<'_>) -> Result<Vec<String>, DecodeError> {
    let (header, bytes) = copy(frame);
    let unsubscribe = v4::Unsubscribe::read(header, bytes).map_err(|_| DecodeError::Malformed)?;
    Ok(unsubscribe.topics)
}

/// Return codes of a SUBACK that has passed the strict checks.
pub(crate) fn read_suback(frame: Frame<'_>) -> Result<Vec<Option<Qos>>, DecodeError> {
    let (header, bytes) = copy(frame);
    let suback = v4::SubAck::read(header, bytes).map_err(|_| DecodeError::Malformed)?;
    let code = |code| match code {
        SubscribeReasonCode::Success(qos) => Some(from_library(qos)),
        SubscribeReasonCode::Failure => None,
    };
    Ok(suback.return_codes.into_iter().map(code).collect())
}

pub(crate) fn write_connack(out: &mut Vec<u8>, session_present: bool, code: ConnectReturnCode) {
    let code = match code {
        ConnectReturnCode::Accepted => v4::ConnectReturnCode::Success,
        ConnectReturnCode::UnacceptableProtocolVersion => v4::ConnectReturnCode::RefusedProtocolVersion,
        ConnectReturnCode::IdentifierRejected => v4::ConnectReturnCode::BadClientId,
        ConnectReturnCode::ServerUnavailable => v4::ConnectReturnCode::ServiceUnavailable,
        ConnectReturnCode::BadUserNameOrPassword => v4::ConnectReturnCode::BadUserNamePassword,
        ConnectReturnCode::NotAuthorized => v4::ConnectReturnCode::NotAuthorized,
    };
    let mut buffer = BytesMut::new();
    v4::ConnAck::new(code, session_present).write(&mut buffer).expect("its length is fixed");
    out.extend_from_slice(&buffer);
}

pub(crate) fn write_suback(out: &mut Vec<u8>, packet_id: PacketId, codes: impl Iterator<Item = Option<Qos>>) {
    let codes: Vec<_> = codes
        .map(|code| {
            code.map_or(SubscribeReasonCode::Failure, |qos| SubscribeReasonCode::Success(to_library(qos)))
        })
        .collect();
    let mut buffer = BytesMut::new();
    v4::SubAck::new(packet_id.get(), codes)
        .write(&mut buffer)
        .expect("it answers the filters of one packet, and they are far longer than their codes");
    out.extend_from_slice(&buffer);
}

pub(crate) fn write_subscribe(
    out: &mut Vec<u8>,
    packet_id: PacketId,
    filters: &[(&str, Qos)],
) -> Result<(), EncodeError> {
    check_filters(filters.iter().map(|(filter, _)| *filter), 3)?;
    let mut subscribe = v4::Subscribe::new_many(
        filters.iter().map(|&(filter, qos)| SubscribeFilter::new(filter.to_owned(), to_library(qos))),
    );
    subscribe.pkid = packet_id.get();
    let mut buffer = BytesMut::new();
    subscribe.write(&mut buffer).map_err(|_| EncodeError::PacketTooLong)?;
    out.extend_from_slice(&buffer);
    Ok(())
}

pub(crate) fn write_unsubscribe(
    out: &mut Vec<u8>,
    packet_id: PacketId,
    filters: &[&str],
) -> Result<(), EncodeError> {
    check_filters(filters.iter().copied(), 2)?;
    let topics = filters.iter().map(|&filter| filter.to_owned()).collect();
    let mut buffer = BytesMut::new();
    v4::Unsubscribe { pkid: packet_id.get(), topics }
        .write(&mut buffer)
        .map_err(|_| EncodeError::PacketTooLong)?;
    out.extend_from_slice(&buffer);
    Ok(())
}

/// What the library does not check when it writes; `overhead` is the bytes of an entry besides its text.
fn check_filters<'a>(filters: impl Iterator<Item = &'a str>, overhead: usize) -> Result<(), EncodeError> {
    let (mut length, mut count) = (2, 0);
    for filter in filters {
        u16::try_from(filter.len()).map_err(|_| EncodeError::FieldTooLong)?;
        length += filter.len() + overhead;
        count += 1;
    }
    match count {
        0 => Err(EncodeError::NoFilters),
        _ if length > REMAINING_LENGTH_MAX => Err(EncodeError::PacketTooLong),
        _ => Ok(()),
    }
}

/// The library wants a packet to own; a header of one byte and no length bytes is as good to it as the real one.
fn copy(frame: Frame<'_>) -> (FixedHeader, Bytes) {
    let mut bytes = BytesMut::with_capacity(1 + frame.body.len());
    bytes.put_u8(frame.first);
    bytes.put_slice(frame.body);
    (FixedHeader::new(frame.first, 0, frame.body.len()), bytes.freeze())
}

const fn to_library(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

const fn from_library(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}
