//! The will: what is published for a client that goes without a DISCONNECT.

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicName;

/// A will, kept apart from the buffer that the CONNECT was in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    /// Where it is published.
    pub topic: TopicName,
    /// What is published.
    pub payload: Box<[u8]>,
    /// As the client asked.
    pub qos: Qos,
    /// Whether it is to be kept for its topic [MQTT-3.1.2-16], [MQTT-3.1.2-17].
    pub retain: bool,
    /// For so long it waits whether the client comes back, in seconds; no longer than its session lasts. 3.1.1 has no
    /// word for it: 0.
    pub delay_secs: u32,
    /// So many seconds after it was published nobody gets it any more; `None`: there is no such time.
    pub expiry_secs: Option<u32>,
    /// The properties that go to every subscriber unaltered, as they stand in [`Content`](mqtt::Content); mostly none.
    pub content: Box<[u8]>,
}

impl Will {
    /// Keeps the will of a CONNECT.
    pub fn accept(will: &mqtt::Will<'_>) -> Result<Box<Self>, Refusal> {
        let topic = will.topic.parse().map_err(|_| Refusal::MalformedPacket)?;
        Ok(Box::new(Self {
            topic,
            payload: will.payload.into(),
            qos: will.qos,
            retain: will.retain,
            delay_secs: will.delay_secs,
            expiry_secs: will.expiry_secs,
            content: will.content.plain(&mut Vec::new()).as_bytes().into(),
        }))
    }
}
