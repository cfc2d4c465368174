//! The will: what is published for a client that goes without a DISCONNECT.

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicName;

/// A will, kept apart from the buffer that the CONNECT was in. Never retained, for that is not served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    /// Where it is published.
    pub topic: TopicName,
    /// What is published.
    pub payload: Box<[u8]>,
    /// As the client asked.
    pub qos: Qos,
}

impl Will {
    /// Keeps the will of a CONNECT; a retained one is [`Refusal::WillNotSupported`].
    pub fn accept(will: &mqtt::Will<'_>) -> Result<Box<Self>, Refusal> {
        if will.retain {
            return Err(Refusal::WillNotSupported);
        }
        let topic = will.topic.parse().map_err(|_| Refusal::MalformedPacket)?;
        Ok(Box::new(Self { topic, payload: will.payload.into(), qos: will.qos }))
    }
}
