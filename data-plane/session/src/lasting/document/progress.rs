//! The document of a session's progress: cursor, what is finished beyond it, and what is in flight at QoS 2. Messages of
//! QoS 1 in flight are not in it: after a crash they are sent again under any identifier.

use engine::Pos;
use mqtt::PacketId;

use super::{ORIGIN, Reader, RestoreError, Writer};
use crate::lasting::changes::Stamp;
use crate::lasting::sending::{Flight, Sending, Step};

pub(crate) fn write(out: &mut Vec<u8>, cursor: Pos, sending: &Sending) {
    let mut writer = Writer::new(out);
    let mut from = writer.pos(ORIGIN, cursor);
    let done = sending.done_from(cursor);
    writer.count(done.len());
    for pos in done {
        from = writer.pos(from, pos);
    }
    let in_log: Vec<_> =
        sending.exactly_once_from(cursor).filter_map(|it| Some((it.0, it.1, is_released(&it.2)?))).collect();
    writer.count(in_log.len());
    let (mut from, mut last) = (ORIGIN, 0);
    for (pos, packet_id, is_released) in in_log {
        from = writer.pos(from, pos);
        last = write_id(&mut writer, last, packet_id, is_released);
    }
    let elsewhere = sending.elsewhere().into_iter();
    let elsewhere: Vec<_> = elsewhere.filter_map(|it| Some((it.0, is_released(&it.1)?))).collect();
    writer.count(elsewhere.len());
    let mut last = 0;
    for (packet_id, is_released) in elsewhere {
        last = write_id(&mut writer, last, packet_id, is_released);
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<Sending, RestoreError> {
    let mut reader = Reader::new(bytes)?;
    let cursor = reader.pos(ORIGIN)?;
    let mut sending = Sending::new(cursor);
    let mut from = cursor;
    for _ in 0..reader.count()? {
        from = reader.pos(from)?;
        sending.finish_at(from);
    }
    let (mut from, mut last) = (ORIGIN, 0);
    for _ in 0..reader.count()? {
        from = reader.pos(from)?;
        let is_twice = sending.at(from).is_some() || sending.is_done(from);
        last = read_flight(&mut reader, last, Some(from), &mut sending)?;
        if is_twice || from < cursor {
            return Err(RestoreError::Damaged);
        }
    }
    let mut last = 0;
    for _ in 0..reader.count()? {
        last = read_flight(&mut reader, last, None, &mut sending)?;
    }
    reader.end()?;
    Ok(sending)
}

/// Whether PUBREL may have been sent; `None`: it is not written.
const fn is_released(flight: &Flight) -> Option<bool> {
    match flight.step {
        Step::Once | Step::Completed => None,
        Step::Assigned | Step::Sent => Some(false),
        Step::Received | Step::Released => Some(true),
    }
}

/// How far it is from the last identifier, either way, and a bit.
fn write_id(writer: &mut Writer<'_>, last: u16, packet_id: PacketId, is_released: bool) -> u16 {
    let (id, was) = (packet_id.get(), last);
    let distance = u64::from(id.abs_diff(was)) << 1 | u64::from(id < was);
    writer.number(distance << 1 | u64::from(is_released));
    id
}

fn read_flight(
    reader: &mut Reader<'_>,
    last: u16,
    pos: Option<Pos>,
    sending: &mut Sending,
) -> Result<u16, RestoreError> {
    let number = reader.number()?;
    let distance = u16::try_from(number >> 2).map_err(|_| RestoreError::Damaged)?;
    let id = if number & 0b10 == 0 { last.checked_add(distance) } else { last.checked_sub(distance) };
    let packet_id = id.and_then(PacketId::new).ok_or(RestoreError::Damaged)?;
    if sending.get(packet_id).is_some() {
        return Err(RestoreError::Damaged);
    }
    let step = if number & 1 == 0 { Step::Sent } else { Step::Released };
    sending.insert(packet_id, Flight { pos, step, stamp: Stamp::default(), is_open: false });
    Ok(packet_id.get())
}
