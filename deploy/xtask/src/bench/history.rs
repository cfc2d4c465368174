//! How long a query of stored messages takes: one topic's last hour among millions of messages of many topics, asked
//! through the REST API as anybody would.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contract::qos::Qos;
use serde::Serialize;

use super::case::{Case, STORED_TOPIC};
use super::connection::{open_all, subscribe_to};
use super::iotmq::Iotmq;
use super::load::{self, Load};
use super::{now, progress};

/// What publishes them: pairs, since subscribers prove that every message was there.
const CASE: Case = Case::DurableOneToOneQos1;

/// Queries of each kind.
const QUERIES: usize = 21;

/// How long the load runs between two looks at how far it is.
const STEP: Duration = Duration::from_secs(5);

/// How long a topic's messages of one hour take to find.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct History {
    /// Messages stored in this run.
    pub(crate) messages: u64,
    /// Of each topic.
    pub(crate) messages_per_topic: u64,
    /// Median and longest milliseconds of a query for the newest page of a topic's hour.
    pub(crate) newest_millis: [f64; 2],
    /// The same for the oldest page.
    pub(crate) oldest_millis: [f64; 2],
}

/// Stores at least `messages` messages and asks for some of them.
pub(crate) fn measure(broker: &mut Iotmq, messages: u64) -> Result<History> {
    let stored = store(broker, messages)?;
    let topic = load::topic(CASE, 0);
    // The first query of a kind finds no index in memory; it counts like the others.
    Ok(History {
        messages: stored,
        messages_per_topic: stored / CASE.publishers() as u64,
        newest_millis: ask(broker, &topic, "newest")?,
        oldest_millis: ask(broker, &topic, "oldest")?,
    })
}

fn store(broker: &mut Iotmq, messages: u64) -> Result<u64> {
    let identities = broker.identities(CASE)?;
    let mut streams = open_all(broker.mqtt_address(), &identities)?;
    for (at, stream) in streams[CASE.publishers()..].iter_mut().enumerate() {
        subscribe_to(stream, &load::filter(CASE, at), Qos::AtLeastOnce)?;
    }
    let mut load = Load::new(CASE, streams)?;
    while load.delivered() < messages {
        load.run(STEP)?;
        progress(&format!("{} messages of `{STORED_TOPIC}` are stored", load.delivered()));
    }
    load.drain()?;
    Ok(load.delivered())
}

/// The median and the longest of some queries, in milliseconds.
fn ask(broker: &Iotmq, topic: &str, order: &str) -> Result<[f64; 2]> {
    let mut millis = Vec::with_capacity(QUERIES);
    for _ in 0..QUERIES {
        let begun = now();
        let answer = broker.messages(topic, order)?;
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        let items = answer["items"].as_array().with_context(|| format!("no items: {answer}"))?;
        ensure!(!items.is_empty(), "`{topic}` has messages: {answer}");
        ensure!(items.iter().all(|item| item["topic"] == topic), "only those of `{topic}`: {answer}");
    }
    let longest = millis.iter().copied().fold(0.0, f64::max);
    Ok([super::report::median(millis), longest])
}
