//! Retained messages: what each topic must hold in the end, and what it does hold.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{PacketId, Publish};
use tokio::time::timeout;

use crate::plan::{Plan, RETAINED_TOPICS};
use crate::wire::{ConnectError, Wire};

/// How long nothing may come until a broker is taken to have sent all that it holds.
const SILENCE: Duration = Duration::from_secs(1);

/// What each topic was last given; empty: it was deleted.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Retained {
    last: BTreeMap<String, Vec<u8>>,
}

impl Retained {
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.last.insert(topic.to_owned(), payload.to_owned());
    }

    /// How many topics hold something else than they should.
    pub(crate) fn wrong(&self, held: &Self) -> u64 {
        let of =
            |it: &Self, topic: &String| it.last.get(topic).filter(|payload| !payload.is_empty()).cloned();
        let wrong = self.last.keys().filter(|topic| of(self, topic) != of(held, topic));
        wrong.count() as u64
    }
}

/// What the broker holds now.
pub(crate) async fn ask(plan: &Plan) -> Result<Retained, ConnectError> {
    let (mut wire, _) = Wire::connect(plan, &plan.client_id("probe", 0), true).await?;
    let mut out = Vec::new();
    let filter = plan.retained_filter();
    client::subscribe(&mut out, PacketId::MIN, &[(&filter, Qos::AtMostOnce)]).map_err(io::Error::other)?;
    wire.send(&out).await?;
    let mut held = Retained::default();
    while let Ok(filled) = timeout(SILENCE, wire.fill()).await {
        filled?;
        while let Some(packet) = wire.next()? {
            if let ServerPacket::Publish(publish) = packet {
                held.publish(publish.topic, publish.payload);
            }
        }
    }
    Ok(held)
}

/// Deletes what the run has left at the broker.
pub(crate) async fn clear(plan: &Plan) -> Result<(), ConnectError> {
    let (mut wire, _) = Wire::connect(plan, &plan.client_id("probe", 0), true).await?;
    let mut out = Vec::new();
    for topic in 0..RETAINED_TOPICS as u64 {
        let topic = plan.retained_topic(topic);
        let qos = Qos::AtMostOnce;
        let publish = Publish {
            dup: false,
            qos,
            retain: true,
            topic: &topic,
            packet_id: None,
            payload: b"",
            ..Publish::default()
        };
        client::publish(&mut out, &publish).map_err(io::Error::other)?;
    }
    client::disconnect(&mut out);
    wire.send(&out).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_holds_the_last_or_nothing() {
        let of = |held: &[(&str, &str)]| {
            let mut retained = Retained::default();
            for (topic, payload) in held {
                retained.publish(topic, payload.as_bytes());
            }
            retained
        };
        let published = of(&[("a", "1"), ("a", "2"), ("b", "1"), ("b", "")]);
        for (held, wrong) in [
            (&[("a", "2")][..], 0),
            (&[("a", "1")], 1),
            (&[], 1),
            (&[("a", "2"), ("b", "1")], 1),
            (&[("b", "1")], 2),
            (&[("a", "2"), ("of an earlier run", "1")], 0),
        ] {
            assert_eq!(published.wrong(&of(held)), wrong, "{held:?}");
        }
    }
}
