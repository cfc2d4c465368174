//! What a million retained messages cost: memory of each, the time of an exact look-up and of the first hundred results of
//! a wildcard. Look-ups are asked for as any client asks, with SUBSCRIBE, so their times are upper bounds: what the way
//! alone takes is measured between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{PacketId, Publish};
use serde::Serialize;
use serde_json::json;

use super::broker::Broker;
use super::case::TOPIC;
use super::connection::{Identity, open_all};
use super::dialogue::Dialogue;
use super::figure::Ways;
use super::mosquitto::Mosquitto;
use super::publishing::publish_all;
use super::quantile::{Quantiles, micros};
use super::report::shown;
use super::topics::{DENSE_EVERY, DENSE_FILTER, SPARSE_EVERY, SPARSE_FILTER, payload, scattered, topic};
use super::{now, progress};

/// Retained messages.
const MESSAGES: usize = 1_000_000;
/// Who publishes them.
const PUBLISHERS: usize = 10;
/// Exact look-ups.
const LOOKUPS: usize = 2_000;
/// Filters of one SUBSCRIBE, when look-ups are asked for together, and how often.
const TOGETHER: usize = 100;
const TOGETHER_ROUNDS: usize = 50;
/// Results that are waited for of a wildcard, and how often it is asked.
const RESULTS: usize = 100;
const WILDCARDS: usize = 21;
/// Memory has come to rest when it differs by less than this part between two looks.
const REST_PART: f64 = 0.005;
const REST_PERIOD: Duration = Duration::from_secs(2);
const RESTS_MAX: usize = 15;

/// What one broker costs.
#[derive(Clone, Debug, Serialize)]
struct Costs {
    /// Bytes of resident memory for each message, in the process that took them in.
    bytes_each: f64,
    /// Bytes of resident memory of the process before the first of them.
    empty_bytes: u64,
    /// Microseconds from SUBSCRIBE of an exact topic to its message.
    exact_micros: Quantiles,
    /// Microseconds from the same SUBSCRIBE to SUBACK.
    suback_micros: Quantiles,
    /// Microseconds from SUBACK to the message.
    beyond_suback_micros: Quantiles,
    /// Microseconds from PINGREQ to PINGRESP.
    ping_micros: Quantiles,
    /// Microseconds for each of a hundred exact look-ups of one SUBSCRIBE.
    together_micros: Quantiles,
    /// CPU microseconds of the process for each of those, with subscribing, delivering and unsubscribing.
    together_cpu_micros: f64,
    /// The same by kind of thread.
    together_threads: BTreeMap<String, f64>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Retained {
    messages: usize,
    mosquitto: Costs,
    iotmq: Costs,
    /// Bytes of resident memory of IoT MQ for each message after a new start.
    restarted_bytes_each: f64,
    /// Milliseconds from SUBSCRIBE of a wildcard to its hundredth message: one topic in ten matches.
    dense_millis: Quantiles,
    /// The same where one topic in a thousand matches.
    sparse_millis: Quantiles,
}

/// Measures.
pub(crate) fn measure(ways: Ways<'_>) -> Result<Retained> {
    let messages = ways.fewer(MESSAGES);
    let mut own = ways.own_broker()?;
    let grants = |_: usize| json!([{"actions": ["subscribe"], "topic_filter": format!("{TOPIC}/#")}]);
    let looking = own.clients("looking", 1, &grants)?;
    let (iotmq, empty_bytes) = costs(&mut own, messages)?;
    let mut dialogue = Dialogue::open(own.address(), looking[0].clone())?;
    let dense_millis = first_results(&mut dialogue, DENSE_FILTER, messages / DENSE_EVERY)?;
    let sparse_millis = first_results(&mut dialogue, SPARSE_FILTER, messages / SPARSE_EVERY)?;
    drop(dialogue);
    own.restart()?;
    thread::sleep(REST_PERIOD);
    let restarted = rested_memory(&own)?;
    drop(own);
    let (mosquitto, _) = costs(&mut Broker::Mosquitto(Mosquitto::start_prompt()?), messages)?;
    Ok(Retained {
        messages,
        mosquitto,
        iotmq,
        restarted_bytes_each: restarted.saturating_sub(empty_bytes) as f64 / messages as f64,
        dense_millis,
        sparse_millis,
    })
}

/// Publishes them to a process that has done nothing else, and looks some of them up.
fn costs(broker: &mut Broker, messages: usize) -> Result<(Costs, u64)> {
    let publish =
        |_: usize| json!([{"actions": ["publish"], "topic_filter": format!("{TOPIC}/#"), "retain": true}]);
    let publishers = broker.clients("retaining", PUBLISHERS, &publish)?;
    let grants = |_: usize| json!([{"actions": ["subscribe"], "topic_filter": format!("{TOPIC}/#")}]);
    let looking = broker.clients("looker", 1, &grants)?.pop().context("one client")?;
    broker.restart()?;
    let streams = open_all(broker.address(), &publishers)?;
    let empty_bytes = rested_memory(broker)?;
    let begun = now();
    publish_all(streams, messages as u64, |number, packet_id, out| {
        let number = usize::try_from(number)?;
        let publish = Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: true,
            topic: &topic(number),
            packet_id: Some(packet_id),
            payload: &payload(number),
            ..Publish::default()
        };
        Ok(client::publish(out, &publish)?)
    })?;
    progress(&format!("{messages} retained by {} in {:.1} s", broker.name(), begun.elapsed().as_secs_f64()));
    let full_bytes = rested_memory(broker)?;
    let bytes_each = full_bytes.saturating_sub(empty_bytes) as f64 / messages as f64;
    progress(&format!("{bytes_each:.0} bytes each ({empty_bytes} before, {full_bytes} after)"));
    let costs = look_up(broker, looking, messages)?;
    Ok((Costs { bytes_each, empty_bytes, ..costs }, empty_bytes))
}

/// Resident memory once it no longer changes.
fn rested_memory(broker: &Broker) -> Result<u64> {
    let mut last = broker.process()?.memory_bytes()?;
    for _ in 0..RESTS_MAX {
        thread::sleep(REST_PERIOD);
        let bytes = broker.process()?.memory_bytes()?;
        if bytes.abs_diff(last) as f64 <= last as f64 * REST_PART {
            return Ok(bytes);
        }
        last = bytes;
    }
    Ok(last)
}

fn look_up(broker: &Broker, identity: Identity, messages: usize) -> Result<Costs> {
    let address: SocketAddr = broker.address();
    let mut dialogue = Dialogue::open(address, identity)?;
    let (mut exact, mut suback, mut beyond, mut ping) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for at in 0..LOOKUPS {
        let number = scattered(at, messages);
        let [acknowledged, found] = one_exact(&mut dialogue, number)?;
        exact.push(found);
        suback.push(acknowledged);
        beyond.push(found - acknowledged);
        ping.push(one_ping(&mut dialogue)?);
    }
    let before = broker.process()?.threads()?;
    let together = (0..TOGETHER_ROUNDS)
        .map(|round| hundred_exact(&mut dialogue, LOOKUPS + round * TOGETHER, messages))
        .collect::<Result<Vec<_>>>()?;
    let each =
        |(name, nanos): (String, u64)| (name, nanos as f64 / 1e3 / (TOGETHER_ROUNDS * TOGETHER) as f64);
    let threads: BTreeMap<_, _> = broker.process()?.threads()?.since(&before).into_iter().map(each).collect();
    Ok(Costs {
        bytes_each: 0.0,
        empty_bytes: 0,
        exact_micros: Quantiles::of(exact),
        suback_micros: Quantiles::of(suback),
        beyond_suback_micros: Quantiles::of(beyond),
        ping_micros: Quantiles::of(ping),
        together_micros: Quantiles::of(together),
        together_cpu_micros: threads.values().sum(),
        together_threads: threads,
    })
}

/// Microseconds from SUBSCRIBE to SUBACK and to the message.
fn one_exact(dialogue: &mut Dialogue, number: usize) -> Result<[f64; 2]> {
    let topic = topic(number);
    let mut out = Vec::new();
    client::subscribe(&mut out, PacketId::MIN, &[(&topic, Qos::AtMostOnce)])?;
    let started = now();
    dialogue.send(&out)?;
    dialogue.until(|packet| matches!(packet, ServerPacket::SubAck { .. }))?;
    let acknowledged = micros(started.elapsed());
    dialogue.next(|packet| check(&packet, &topic, number))?;
    let found = micros(started.elapsed());
    unsubscribe(dialogue, &[&topic])?;
    Ok([acknowledged, found])
}

fn check(packet: &ServerPacket<'_>, topic: &str, number: usize) -> Result<()> {
    let ServerPacket::Publish(message) = packet else {
        anyhow::bail!("`{topic}` was answered with {packet:?}");
    };
    ensure!(message.retain && message.topic == topic, "`{topic}` brought {message:?}");
    ensure!(message.payload == payload(number), "message {number} has another payload");
    Ok(())
}

fn one_ping(dialogue: &mut Dialogue) -> Result<f64> {
    let mut out = Vec::new();
    client::pingreq(&mut out);
    let started = now();
    dialogue.send(&out)?;
    dialogue.until(|packet| *packet == ServerPacket::PingResp)?;
    Ok(micros(started.elapsed()))
}

/// Microseconds for each of a hundred topics of one SUBSCRIBE, until the last of their messages.
fn hundred_exact(dialogue: &mut Dialogue, from: usize, messages: usize) -> Result<f64> {
    let topics: Vec<_> = (from..from + TOGETHER).map(|at| topic(scattered(at, messages))).collect();
    let filters: Vec<_> = topics.iter().map(|topic| (topic.as_str(), Qos::AtMostOnce)).collect();
    let mut out = Vec::new();
    client::subscribe(&mut out, PacketId::MIN, &filters)?;
    let mut missing: BTreeSet<_> = topics.iter().map(String::as_str).collect();
    let started = now();
    dialogue.send(&out)?;
    while !missing.is_empty() {
        dialogue.next(|packet| {
            if let ServerPacket::Publish(message) = packet {
                ensure!(missing.remove(message.topic), "`{}` came unasked or twice", message.topic);
            }
            Ok(())
        })?;
    }
    let each = micros(started.elapsed()) / TOGETHER as f64;
    unsubscribe(dialogue, &topics.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(each)
}

/// Milliseconds from SUBSCRIBE of a wildcard to its hundredth message.
fn first_results(dialogue: &mut Dialogue, filter: &str, matches: usize) -> Result<Quantiles> {
    let mut out = Vec::new();
    client::subscribe(&mut out, PacketId::MIN, &[(filter, Qos::AtMostOnce)])?;
    let mut millis = Vec::new();
    for _ in 0..WILDCARDS {
        let started = now();
        dialogue.send(&out)?;
        let mut results = 0;
        while results < RESULTS.min(matches) {
            results += dialogue.next(|packet| Ok(usize::from(matches!(packet, ServerPacket::Publish(_)))))?;
        }
        millis.push(micros(started.elapsed()) / 1e3);
        unsubscribe(dialogue, &[filter])?;
        // What was on its way comes before this.
        one_ping(dialogue)?;
    }
    Ok(Quantiles::of(millis))
}

fn unsubscribe(dialogue: &mut Dialogue, filters: &[&str]) -> Result<()> {
    let mut out = Vec::new();
    client::unsubscribe(&mut out, PacketId::MIN, filters)?;
    dialogue.send(&out)?;
    dialogue.until(|packet| matches!(packet, ServerPacket::UnsubAck { .. }))
}

impl Retained {
    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("\nretained: {} messages, 3 levels, 32 to 64 bytes of payload", self.messages)];
        for (name, it) in [("mosquitto", &self.mosquitto), ("iotmq", &self.iotmq)] {
            lines.push(format!("  {name}: {:.0} bytes of memory each", it.bytes_each));
            lines.push(format!(
                "    exact, microseconds: SUBSCRIBE to its message {}, to SUBACK {}, from there to the message {}; PINGREQ to \
                 PINGRESP {}",
                it.exact_micros, it.suback_micros, it.beyond_suback_micros, it.ping_micros
            ));
            lines.push(format!(
                "    a hundred of one SUBSCRIBE, microseconds each: {}, CPU {:.1} ({})",
                it.together_micros,
                it.together_cpu_micros,
                shown(&it.together_threads)
            ));
        }
        lines.push(format!(
            "  CPU of an exact look-up of a hundred: {:.2} times mosquitto's (target 0.2 at most)",
            self.iotmq.together_cpu_micros / self.mosquitto.together_cpu_micros
        ));
        lines.push(format!(
            "  iotmq: {:.0} bytes each after a new start (targets: memory 200 bytes, exact look-up 50 microseconds)",
            self.restarted_bytes_each
        ));
        lines.push(format!(
            "  iotmq, first {RESULTS} of a wildcard, milliseconds: `{DENSE_FILTER}` {}, `{SPARSE_FILTER}` {} (target 5)",
            self.dense_millis, self.sparse_millis
        ));
        lines
    }
}
