//! What one publisher waits for who has one message under way to a stored topic: PUBACK comes after the sync, so the time
//! is given in times of an append and a sync of the same bytes to a file on the same disk, done in turn with it.

use std::fs::{File, OpenOptions};
use std::io::Write;

use anyhow::{Context, Result, ensure};
use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{PacketId, Publish, ReasonCode};
use serde::Serialize;
use serde_json::json;

use super::case::{PAYLOAD_BYTES, STORED_TOPIC};
use super::dialogue::Dialogue;
use super::figure::Ways;
use super::quantile::{Quantiles, micros};
use super::syncs::{self, Syncs};
use super::{now, progress};

/// Messages of one round, and appends.
const MESSAGES: usize = 1_000;
/// Messages while syncs are counted: being watched is slow.
const WATCHED: usize = 200;
/// What comes before it is measured.
const WARM_UP: usize = 50;
/// The client, and the topic below the stored one.
const TOPIC: &str = "one-in-flight";

/// One round.
#[derive(Clone, Debug, Serialize)]
struct Round {
    /// Microseconds from PUBLISH to PUBACK.
    publish_micros: Quantiles,
    /// Microseconds of an append and a sync.
    append_micros: Quantiles,
    /// Microseconds of PINGREQ to PINGRESP: what the way alone takes.
    ping_micros: Quantiles,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct OneInFlight {
    rounds: Vec<Round>,
    /// PUBLISH to PUBACK by append and sync, medians of medians.
    ratio: f64,
    /// The same without what the way alone takes.
    ratio_without_way: f64,
    /// Messages while syncs were counted.
    watched: usize,
    /// Syncs for each message by name of thread; none without `strace`.
    syncs: Option<Syncs>,
}

/// The publisher and the file, both on the disk of the data directory.
struct Pair {
    dialogue: Dialogue,
    file: File,
    publish: Vec<u8>,
}

/// Measures.
pub(crate) fn measure(ways: Ways<'_>) -> Result<OneInFlight> {
    let iotmq = ways.iotmq()?;
    let grants = |_| json!([{"actions": ["publish"], "topic_filter": format!("{STORED_TOPIC}/#")}]);
    let identity = iotmq.clients(TOPIC, 1, &grants)?.pop().context("one client")?;
    let floor = iotmq.directory().join("append-and-sync");
    let mut pair = Pair {
        dialogue: Dialogue::open(iotmq.mqtt_address(), identity)?,
        file: OpenOptions::new().create_new(true).append(true).open(floor)?,
        publish: publish()?,
    };
    for _ in 0..WARM_UP {
        pair.publish()?;
        pair.append()?;
    }
    let messages = ways.fewer(MESSAGES).max(WARM_UP);
    let mut rounds = Vec::new();
    for round in 0..ways.rounds {
        let measured = pair.round(messages)?;
        progress(&format!(
            "round {} PUBACK after {:.0} us, append and sync {:.0} us, PINGRESP after {:.0} us",
            round + 1,
            measured.publish_micros.median,
            measured.append_micros.median,
            measured.ping_micros.median
        ));
        rounds.push(measured);
    }
    let process = iotmq.process.as_ref().context("it runs")?;
    let syncs = syncs::count(process.id(), || (0..WATCHED).try_for_each(|_| pair.publish().map(drop)))?;
    let median =
        |of: &dyn Fn(&Round) -> f64| super::report::median(rounds.iter().map(of).collect::<Vec<_>>());
    let [publish, append, ping] = [
        median(&|it| it.publish_micros.median),
        median(&|it| it.append_micros.median),
        median(&|it| it.ping_micros.median),
    ];
    let (ratio, ratio_without_way) = (publish / append, (publish - ping) / append);
    Ok(OneInFlight { ratio, ratio_without_way, rounds, watched: WATCHED, syncs })
}

impl Pair {
    /// Each in turn, so that a slow minute of the disk meets both.
    fn round(&mut self, messages: usize) -> Result<Round> {
        let (mut publish, mut append, mut ping) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..messages {
            publish.push(self.publish()?);
            append.push(self.append()?);
            ping.push(self.ping()?);
        }
        Ok(Round {
            publish_micros: Quantiles::of(publish),
            append_micros: Quantiles::of(append),
            ping_micros: Quantiles::of(ping),
        })
    }

    fn publish(&mut self) -> Result<f64> {
        let started = now();
        self.dialogue.send(&self.publish)?;
        self.dialogue.next(|packet| {
            ensure!(
                packet == ServerPacket::PubAck(PacketId::MIN, ReasonCode::Success),
                "PUBLISH was answered with {packet:?}"
            );
            Ok(())
        })?;
        Ok(micros(started.elapsed()))
    }

    fn append(&mut self) -> Result<f64> {
        let started = now();
        self.file.write_all(&self.publish)?;
        self.file.sync_data()?;
        Ok(micros(started.elapsed()))
    }

    fn ping(&mut self) -> Result<f64> {
        let started = now();
        let mut out = Vec::new();
        client::pingreq(&mut out);
        self.dialogue.send(&out)?;
        self.dialogue.until(|packet| *packet == ServerPacket::PingResp)?;
        Ok(micros(started.elapsed()))
    }
}

fn publish() -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let publish = Publish {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: false,
        topic: &format!("{STORED_TOPIC}/{TOPIC}"),
        packet_id: Some(PacketId::MIN),
        payload: &[0xA5; PAYLOAD_BYTES],
        ..Publish::default()
    };
    client::publish(&mut out, &publish)?;
    Ok(out)
}

impl OneInFlight {
    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            "\none-in-flight: one publisher, one message of QoS 1 under way to a stored topic".to_owned(),
        ];
        for (round, it) in self.rounds.iter().enumerate() {
            lines.push(format!(
                "  round {}: PUBACK after {}, append and sync {}, PINGRESP after {} (microseconds)",
                round + 1,
                it.publish_micros,
                it.append_micros,
                it.ping_micros
            ));
        }
        lines.push(format!(
            "  {:.2} times an append and a sync (target 1.5 at most), {:.2} times without what the way alone takes",
            self.ratio, self.ratio_without_way
        ));
        lines.push(self.syncs.as_ref().map_or_else(
            || "  syncs were not counted: there is no strace".to_owned(),
            |syncs| {
                let syncs = syncs.iter().map(|(thread, syncs)| format!("{thread} {syncs}"));
                let syncs = syncs.collect::<Vec<_>>().join(", ");
                format!("  syncs during {} messages, by thread: {syncs}", self.watched)
            },
        ));
        lines
    }
}
