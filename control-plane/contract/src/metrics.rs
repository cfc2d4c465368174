//! What is counted for an instance, and the form in which a node tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::InstanceId;
use crate::time::UnixMillis;

/// The length of one slot of metrics, unless a deployment says otherwise.
pub const SLOT_SECS: u64 = 10;

/// How a metric's values add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// How many there are: over time the largest counts.
    Gauge,
    /// How many there have been: over time they add up.
    Counter,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Metric {
    /// Its name in every document, chart and alarm rule.
    pub name: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// How its values add up.
    pub kind: MetricKind,
    /// Whether it is told apart by reason.
    pub by_reason: bool,
    /// What it means.
    pub doc: &'static str,
}

/// Every metric of an instance, in the order in which people read them.
pub const METRICS: &[Metric] = &[
    gauge("connections", "connections", "Clients connected."),
    counter("connects", "connections", "Connections accepted."),
    counter("disconnects", "connections", "Connections ended, whatever ended them."),
    counter("messages_in", "messages", "Messages accepted from clients and applications."),
    counter("messages_out", "messages", "Messages for clients, one for each receiver."),
    counter("bytes_in", "bytes", "Bytes of accepted PUBLISH packets."),
    counter("bytes_out", "bytes", "Bytes of PUBLISH packets for clients."),
    counter("messages_stored", "messages", "Messages appended to the message store."),
    counter("unmatched", "messages", "Messages that no client was subscribed to."),
    by_reason("refused", "refusals", "What clients were refused, and why they were sent away."),
    by_reason("dropped", "messages", "Messages not delivered to a client that was subscribed."),
];

const fn gauge(name: &'static str, unit: &'static str, doc: &'static str) -> Metric {
    Metric { name, unit, kind: MetricKind::Gauge, by_reason: false, doc }
}

const fn counter(name: &'static str, unit: &'static str, doc: &'static str) -> Metric {
    Metric { name, unit, kind: MetricKind::Counter, by_reason: false, doc }
}

const fn by_reason(name: &'static str, unit: &'static str, doc: &'static str) -> Metric {
    Metric { name, unit, kind: MetricKind::Counter, by_reason: true, doc }
}

/// The metric with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// What happened in one instance on one node within one slot. Counters are of the slot alone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct InstanceSample {
    /// `connections`, at the end of the slot.
    pub connections: u64,
    /// `connects`
    pub connects: u64,
    /// `disconnects`
    pub disconnects: u64,
    /// `messages_in`
    pub messages_in: u64,
    /// `messages_out`
    pub messages_out: u64,
    /// `bytes_in`
    pub bytes_in: u64,
    /// `bytes_out`
    pub bytes_out: u64,
    /// `messages_stored`
    pub messages_stored: u64,
    /// `unmatched`
    pub unmatched: u64,
    /// `refused`, by reason; only what is not 0.
    pub refused: BTreeMap<String, u64>,
    /// `dropped`, by reason; only what is not 0.
    pub dropped: BTreeMap<String, u64>,
}

/// One slot of one node. A node says it again until it has been acknowledged; who hears it twice counts it once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct MetricsReport {
    /// Which run of the node's process: with [`slot`](Self::slot) what makes a report unique within its node.
    pub boot: Uuid,
    /// Where the slot begins: a multiple of its length.
    pub slot: UnixMillis,
    /// How long it is.
    pub slot_millis: u64,
    /// The instances in which something happened or is connected.
    pub instances: BTreeMap<InstanceId, InstanceSample>,
    /// What was refused before it was known of which instance it was, by reason; only what is not 0.
    #[serde(default)]
    pub refused_before_instance: BTreeMap<String, u64>,
    /// Other instances of the same slot follow in a further report: the slot is told of once one comes without this.
    #[serde(default)]
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_a_sample_has_a_member_for_each() {
        let json = serde_json::to_value(InstanceSample::default()).expect("serializes");
        for (at, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[..at].iter().all(|other| other.name != metric.name), "{}", metric.name);
            assert!(json.get(metric.name).is_some(), "{}", metric.name);
            assert_eq!(find(metric.name), Some(metric));
        }
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(METRICS.len()));
    }
}
