//! What only a connection of MQTT 5.0 has: what its client can take, and what it was told. 3.1.1 has none of it.

use mqtt::ConnectProperties;

use crate::aliases::{Ours, Theirs};

/// What a client of 5.0 said of itself in CONNECT. The default is what holds for every client of 3.1.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientSide {
    /// Messages of QoS 1 and 2 that it takes unacknowledged at one time; never 0.
    pub receive_max: u16,
    /// Bytes of the largest packet that it takes; `None`: any.
    pub packet_bytes_max: Option<u32>,
    /// The highest topic alias that it knows what to do with; 0: none.
    pub topic_alias_max: u16,
    /// Whether it is to be told in words why something failed.
    pub wants_problem_info: bool,
}

impl Default for ClientSide {
    fn default() -> Self {
        Self { receive_max: u16::MAX, packet_bytes_max: None, topic_alias_max: 0, wants_problem_info: true }
    }
}

impl From<&ConnectProperties<'_>> for ClientSide {
    fn from(properties: &ConnectProperties<'_>) -> Self {
        Self {
            receive_max: properties.receive_max,
            packet_bytes_max: properties.packet_bytes_max,
            topic_alias_max: properties.topic_alias_max,
            wants_problem_info: properties.wants_problem_info,
        }
    }
}

/// What a session of 5.0 holds for its connection.
#[derive(Debug)]
pub(crate) struct V5 {
    pub(crate) client: ClientSide,
    /// Messages of QoS 1 and 2 that the client may have sent without being acknowledged: what it was told.
    pub(crate) receive_max: u16,
    /// Seconds that its session may outlive its connection at most.
    pub(crate) expiry_secs_max: u32,
    /// Its session ends with the connection, by its CONNECT: that cannot be changed any more [MQTT-3.14.2-2].
    pub(crate) ends_with_connection: bool,
    pub(crate) theirs: Theirs,
    pub(crate) ours: Option<Ours>,
}
