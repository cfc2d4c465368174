//! One client that asks and waits for what comes: for figures that are the time of one answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};
use mqtt::client::{ServerPacket, decode};
use mqtt::{Version, frame};

use super::connection::{Identity, open_all};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// A connected client.
pub(crate) struct Dialogue {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read and not yet taken.
    unread: std::ops::Range<usize>,
}

impl Dialogue {
    /// Connects with a clean session.
    pub(crate) fn open(address: SocketAddr, identity: Identity) -> Result<Self> {
        let stream = open_all(address, &[identity])?.pop().context("one connection")?;
        Ok(Self { stream, buffer: vec![0; READ_BYTES], unread: 0..0 })
    }

    /// Sends packets.
    pub(crate) fn send(&mut self, packets: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(packets)?)
    }

    /// Hands the next packet to `take`.
    pub(crate) fn next<T>(&mut self, take: impl FnOnce(ServerPacket<'_>) -> Result<T>) -> Result<T> {
        loop {
            let unread = &self.buffer[self.unread.clone()];
            if let Some(packet) = frame(unread, READ_BYTES)? {
                let taken = take(decode(Version::V311, packet)?);
                self.unread.start += packet.total;
                return taken;
            }
            self.buffer.copy_within(self.unread.clone(), 0);
            let kept = self.unread.len();
            let read = self.stream.read(&mut self.buffer[kept..]).context("no answer")?;
            ensure!(read > 0, "the broker closed the connection");
            self.unread = 0..kept + read;
        }
    }

    /// Passes over packets until one is as it should be.
    pub(crate) fn until(&mut self, is_it: impl Fn(&ServerPacket<'_>) -> bool) -> Result<()> {
        while !self.next(|packet| Ok(is_it(&packet)))? {}
        Ok(())
    }
}
