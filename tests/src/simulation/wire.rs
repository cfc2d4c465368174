//! A connection: two queues of bytes that keep their order and end with it.

use std::collections::VecDeque;

/// A connection by its number; the numbers grow.
pub type WireId = usize;

/// The largest packet there is.
const PACKET_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that may be under way to a client.
const WINDOW_BYTES: usize = 1_024;

/// One connection.
#[derive(Debug, Default)]
pub struct Wire {
    /// Packets of the client that the node has not read.
    to_node: VecDeque<Vec<u8>>,
    /// What the node has written and the client has not read.
    to_client: Vec<u8>,
    read: usize,
    /// The client's end is closed: the node learns of it when it has nothing more to read.
    pub client_gone: bool,
    /// The node's end is closed: the client learns of it when it has nothing more to read.
    pub node_gone: bool,
}

impl Wire {
    /// The client sends one packet.
    pub fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        if !self.client_gone && !self.node_gone {
            self.to_node.push_back(packet);
        }
    }

    /// The next packet for the node.
    pub fn next_for_node(&mut self) -> Option<Vec<u8>> {
        self.to_node.pop_front()
    }

    /// Whether the node has something to read, or to learn that there will be nothing.
    #[must_use]
    pub fn calls_node(&self) -> bool {
        !self.node_gone && (self.client_gone || !self.to_node.is_empty())
    }

    /// The node writes as much of `output` as there is room for.
    pub fn write(&mut self, output: &mut Vec<u8>) {
        if self.client_gone || self.node_gone {
            return output.clear();
        }
        let room = WINDOW_BYTES.saturating_sub(self.to_client.len() - self.read);
        self.to_client.extend(output.drain(..room.min(output.len())));
    }

    /// The node closes its end; what it has written may still be read.
    pub fn close(&mut self) {
        self.node_gone = true;
        self.to_node.clear();
    }

    /// Whether the client has something to read, or to learn that there will be nothing.
    #[must_use]
    pub fn calls_client(&self) -> bool {
        !self.client_gone && (self.node_gone || self.read < self.to_client.len())
    }

    /// The next packet for the client, as its bytes.
    ///
    /// # Panics
    /// When the node wrote what is no packet.
    pub fn next_for_client(&mut self) -> Option<Vec<u8>> {
        let frame = mqtt::frame(&self.to_client[self.read..], PACKET_BYTES_MAX).expect("lawful packets")?;
        let packet = self.to_client[self.read..self.read + frame.total].to_vec();
        self.read += frame.total;
        if self.read == self.to_client.len() {
            self.to_client.clear();
            self.read = 0;
        }
        Some(packet)
    }

    /// The client leaves; what was under way to it is lost. What it has sent may still arrive.
    pub fn leave(&mut self, arrives: bool) {
        self.client_gone = true;
        self.to_client.clear();
        self.read = 0;
        if !arrives {
            self.to_node.clear();
        }
    }

    /// The node's end is gone with the node. What had left it may still arrive.
    pub fn cut(&mut self, arrives: bool) {
        self.node_gone = true;
        self.to_node.clear();
        if !arrives {
            self.to_client.clear();
            self.read = 0;
        }
    }
}
