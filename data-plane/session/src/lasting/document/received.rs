//! The document of the identifiers of QoS 2 that were received and are not released.

use mqtt::PacketId;

use super::{Reader, RestoreError, Writer};

/// `received` rises.
pub(crate) fn write(out: &mut Vec<u8>, received: impl Iterator<Item = PacketId> + Clone) {
    let mut writer = Writer::new(out);
    writer.count(received.clone().count());
    let mut last = 0;
    for packet_id in received {
        writer.number(u64::from(packet_id.get().saturating_sub(last)));
        last = packet_id.get();
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<Vec<PacketId>, RestoreError> {
    let mut reader = Reader::new(bytes)?;
    let mut received = Vec::new();
    let mut last = 0_u16;
    for _ in 0..reader.count()? {
        let distance: u16 = reader.short()?;
        let id = last.checked_add(distance).filter(|_| distance != 0).and_then(PacketId::new);
        let packet_id = id.ok_or(RestoreError::Damaged)?;
        last = packet_id.get();
        received.push(packet_id);
    }
    reader.end()?;
    Ok(received)
}
