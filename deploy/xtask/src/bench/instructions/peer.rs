//! A client of a script: it sends what it is told in one piece and takes exactly what it is told, packet by packet.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, Result, ensure};
use contract::qos::Qos;
use mqtt::{Content, Publish, Version, frame, kind};

use crate::bench::case::PAYLOAD_BYTES;
use crate::bench::connection::{Identity, open_all_as, subscribe_as};
use crate::bench::load::properties;

/// The largest packet that comes.
const PACKET_BYTES_MAX: usize = 1024;
const READ_BYTES: usize = 64 * 1024;

/// A connected client.
pub(super) struct Peer {
    version: Version,
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    pub(super) fn open_all(
        version: Version,
        address: SocketAddr,
        identities: &[Identity],
    ) -> Result<Vec<Self>> {
        let streams = open_all_as(version, address, identities)?;
        Ok(streams.into_iter().map(|stream| Self { version, stream, unread: Vec::new() }).collect())
    }

    pub(super) fn subscribe(&mut self, filter: &str, qos: Qos) -> Result<()> {
        subscribe_as(self.version, &mut self.stream, filter, qos)
    }

    /// Publishes a message for each identifier, all in one piece.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        qos: Qos,
        packet_ids: impl Iterator<Item = u16>,
        has_properties: bool,
    ) -> Result<()> {
        let properties = properties();
        let content = if has_properties { properties.content() } else { Content::EMPTY };
        let mut out = Vec::new();
        for id in packet_ids {
            let packet_id = (qos != Qos::AtMostOnce).then(|| id.try_into()).transpose()?;
            let payload = &[0xA5; PAYLOAD_BYTES];
            let publish = Publish { qos, topic, packet_id, payload, content, ..Publish::default() };
            mqtt::publish(&mut out, self.version, &publish)?;
        }
        self.send(&out)
    }

    fn send(&mut self, packets: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(packets)?)
    }

    /// Waits for so many packets of this type and for nothing else; answers their packet identifiers.
    pub(super) fn take(&mut self, kind: u8, count: usize) -> Result<Vec<u16>> {
        let mut ids = Vec::new();
        let mut taken = 0;
        while taken < count {
            if let Some(packet) = frame(&self.unread, PACKET_BYTES_MAX)? {
                ensure!(packet.kind() == kind, "packet type {} in the place of {kind}", packet.kind());
                ids.extend(packet_id(packet.kind(), packet.flags(), packet.body)?);
                let total = packet.total;
                self.unread.drain(..total);
                taken += 1;
                continue;
            }
            let kept = self.unread.len();
            self.unread.resize(kept + READ_BYTES, 0);
            let read = self.stream.read(&mut self.unread[kept..]).context("no answer")?;
            ensure!(read > 0, "the broker closed the connection");
            self.unread.truncate(kept + read);
        }
        ensure!(self.unread.is_empty(), "more came than was due");
        Ok(ids)
    }

    /// Sends one packet of this type for each identifier.
    pub(super) fn answer(&mut self, kind: u8, ids: &[u16]) -> Result<()> {
        let flags = if kind == kind::PUBREL { 0b0010 } else { 0 };
        let packet = |id: &u16| [kind << 4 | flags, 2, id.to_be_bytes()[0], id.to_be_bytes()[1]];
        self.send(&ids.iter().flat_map(packet).collect::<Vec<_>>())
    }

    /// PINGREQ and PINGRESP: everything that was sent before has been handled.
    pub(super) fn ping(&mut self) -> Result<()> {
        self.send(&[kind::PINGREQ << 4, 0])?;
        self.take(kind::PINGRESP, 1).map(drop)
    }
}

/// The packet identifier of what a broker sends, if it has one.
fn packet_id(kind: u8, flags: u8, body: &[u8]) -> Result<Option<u16>> {
    let short = "a packet is too short";
    let at = match kind {
        kind::PINGRESP => return Ok(None),
        kind::PUBLISH if flags & 0b0110 == 0 => return Ok(None),
        kind::PUBLISH => 2 + usize::from(u16::from_be_bytes(*body.first_chunk().context(short)?)),
        _ => 0,
    };
    let id = body.get(at..).and_then(<[u8]>::first_chunk).context(short)?;
    Ok(Some(u16::from_be_bytes(*id)))
}
