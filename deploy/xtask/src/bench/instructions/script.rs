//! The scripts: who publishes to whom, step by step. Each side says nothing until it has heard everything that it is due,
//! so that the broker gets the same packets in the same rounds every time.

use anyhow::{Context as _, Result, ensure};
use contract::qos::Qos;
use mqtt::{Version, kind};
use serde_json::json;

use super::callgrind::{Counter, Counts};
use super::peer::Peer;
use crate::bench::case::{STORED_TOPIC, TOPIC};
use crate::bench::iotmq::Iotmq;

/// Steps before it is counted.
const WARM_UP: usize = 20;

/// How often it is counted. The lowest count is taken: what differs between two runs is a round more, or a thread that
/// has waited, and never less work.
const COUNTS: usize = 3;

/// One script.
pub(super) struct Script {
    pub(super) name: &'static str,
    subscribers: usize,
    qos: Qos,
    /// Messages of one step.
    window: usize,
    steps: usize,
    is_stored: bool,
    version: Version,
    has_properties: bool,
}

const ONE_TO_ONE: Script = Script {
    name: "",
    subscribers: 1,
    qos: Qos::AtMostOnce,
    window: 32,
    steps: 300,
    is_stored: false,
    version: Version::V311,
    has_properties: false,
};
const FAN_OUT: Script = Script { subscribers: 50, window: 8, steps: 50, ..ONE_TO_ONE };
const V5: Script = Script { version: Version::V5, ..ONE_TO_ONE };

/// All of them.
pub(super) const SCRIPTS: [Script; 12] = [
    Script { name: "one-to-one-qos0", ..ONE_TO_ONE },
    Script { name: "one-to-one-qos1", qos: Qos::AtLeastOnce, ..ONE_TO_ONE },
    Script { name: "one-to-one-qos2", qos: Qos::ExactlyOnce, ..ONE_TO_ONE },
    Script { name: "one-in-flight-qos1", qos: Qos::AtLeastOnce, window: 1, steps: 1_000, ..ONE_TO_ONE },
    Script { name: "fan-out-qos0", ..FAN_OUT },
    Script { name: "fan-out-qos1", qos: Qos::AtLeastOnce, ..FAN_OUT },
    Script { name: "fan-out-qos2", qos: Qos::ExactlyOnce, ..FAN_OUT },
    Script { name: "durable-qos1", qos: Qos::AtLeastOnce, is_stored: true, ..ONE_TO_ONE },
    Script { name: "v5-qos0", ..V5 },
    Script { name: "v5-qos1", qos: Qos::AtLeastOnce, ..V5 },
    Script { name: "v5-properties-qos0", has_properties: true, ..V5 },
    Script { name: "v5-properties-qos1", qos: Qos::AtLeastOnce, has_properties: true, ..V5 },
];

/// What a script has cost.
pub(super) struct Used {
    counts: Counts,
    /// Delivered.
    messages: usize,
}

impl Used {
    /// Instructions for each message.
    pub(super) fn each(&self) -> f64 {
        self.counts.values().sum::<u64>() as f64 / self.messages as f64
    }

    /// The same without a fraction.
    pub(super) fn rounded(&self) -> u64 {
        self.counts.values().sum::<u64>() / self.messages as u64
    }

    /// The same of each kind of thread.
    pub(super) fn by_thread(&self) -> String {
        let each =
            |(name, count): (&String, &u64)| format!("{name} {:.1}", *count as f64 / self.messages as f64);
        self.counts.iter().map(each).collect::<Vec<_>>().join(", ")
    }
}

impl Script {
    /// Runs it on a broker.
    pub(super) fn run(&self, iotmq: &Iotmq, counter: &Counter<'_>) -> Result<Used> {
        let topic = format!("{}/{}", if self.is_stored { STORED_TOPIC } else { TOPIC }, self.name);
        let grants = |_| json!([{"actions": ["publish", "subscribe"], "topic_filter": topic, "qos_max": 2}]);
        let clients = iotmq.clients(self.name, 1 + self.subscribers, &grants)?;
        let mut peers = Peer::open_all(self.version, iotmq.mqtt_address(), &clients)?;
        let (publisher, subscribers) = peers.split_first_mut().context("a publisher")?;
        for subscriber in subscribers.iter_mut() {
            subscriber.subscribe(&topic, self.qos)?;
        }
        let mut step = || self.step(publisher, subscribers, &topic);
        for _ in 0..WARM_UP {
            step()?;
        }
        let mut lowest: Option<Counts> = None;
        for _ in 0..COUNTS {
            let counts = counter.count(|| (0..self.steps).try_for_each(|_| step()))?;
            let sum = |counts: &Counts| counts.values().sum::<u64>();
            if lowest.as_ref().is_none_or(|lowest| sum(&counts) < sum(lowest)) {
                lowest = Some(counts);
            }
        }
        let counts = lowest.context("it is counted more than once")?;
        Ok(Used { counts, messages: self.steps * self.window * self.subscribers })
    }

    fn step(&self, publisher: &mut Peer, subscribers: &mut [Peer], topic: &str) -> Result<()> {
        let count = self.window;
        let packet_ids = 1..=u16::try_from(count)?;
        publisher.publish(topic, self.qos, packet_ids, self.has_properties)?;
        match self.qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => drop(publisher.take(kind::PUBACK, count)?),
            Qos::ExactlyOnce => {
                let ids = publisher.take(kind::PUBREC, count)?;
                publisher.answer(kind::PUBREL, &ids)?;
                publisher.take(kind::PUBCOMP, count)?;
            }
        }
        for subscriber in subscribers {
            let ids = subscriber.take(kind::PUBLISH, count)?;
            ensure!((self.qos == Qos::AtMostOnce) == ids.is_empty(), "identifiers {ids:?} at {:?}", self.qos);
            match self.qos {
                Qos::AtMostOnce => {}
                Qos::AtLeastOnce => subscriber.answer(kind::PUBACK, &ids)?,
                Qos::ExactlyOnce => {
                    subscriber.answer(kind::PUBREC, &ids)?;
                    let ids = subscriber.take(kind::PUBREL, count)?;
                    subscriber.answer(kind::PUBCOMP, &ids)?;
                }
            }
            if self.qos != Qos::AtMostOnce {
                subscriber.ping()?;
            }
        }
        Ok(())
    }
}
