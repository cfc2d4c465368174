//! The figures: medians, the table for people and the JSON document for programs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::case::Case;
use super::figure::Figures;
use super::history::History;
use super::idle::Connections;

/// What an idle TCP connection may take of the process's memory, in bytes.
const IDLE_BYTES_MAX: usize = 2_048;

/// One run of one case on one broker.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    /// CPU microseconds of the broker's process for each delivered message.
    pub(crate) micros_per_message: f64,
    /// Delivered messages a second.
    pub(crate) messages_per_sec: f64,
    /// Share of one core that the broker used.
    pub(crate) cores: f64,
    /// CPU microseconds of each kind of the broker's threads for each delivered message.
    pub(crate) threads: BTreeMap<String, f64>,
    /// Share of one core that the load took: near 1 it is the load that bounds the rate.
    pub(crate) load_cores: f64,
}

/// The runs of one case on both brokers.
#[derive(Debug, Serialize)]
pub(crate) struct CaseReport {
    /// The case's name.
    pub(crate) case: &'static str,
    /// Median CPU microseconds a message, mosquitto.
    pub(crate) mosquitto_micros: f64,
    /// Median CPU microseconds a message, IoT MQ.
    pub(crate) iotmq_micros: f64,
    /// IoT MQ's by mosquitto's.
    pub(crate) ratio: f64,
    /// What it may be at most; none where something else is asked of the case.
    pub(crate) ratio_max: Option<f64>,
    /// Every run on mosquitto.
    pub(crate) mosquitto: Vec<Run>,
    /// Every run on IoT MQ.
    pub(crate) iotmq: Vec<Run>,
}

/// Everything that one invocation has measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What the peer says of its version.
    pub(crate) peer: String,
    /// Payload bytes of every message.
    pub(crate) payload_bytes: usize,
    /// Workers of IoT MQ; 0: one for each processor.
    pub(crate) workers: usize,
    /// Processors of this machine.
    pub(crate) processors: usize,
    /// The cases.
    pub(crate) cases: Vec<CaseReport>,
    /// The stored one-to-one case by the one that is only passed on, both on IoT MQ and in this run; none without both.
    pub(crate) durable_ratio: Option<f64>,
    /// Messages stored a second by IoT MQ, and how many times those of mosquitto with everything saved, with windows
    /// open; none without that case.
    pub(crate) appends: Option<[f64; 2]>,
    /// The same with one message of each publisher under way.
    pub(crate) appends_w1: Option<[f64; 2]>,
    /// Queries of stored messages; none when they were not asked for.
    pub(crate) history: Option<History>,
    /// Connections on mosquitto, one entry for each count.
    pub(crate) mosquitto_connections: Vec<Connections>,
    /// Connections on IoT MQ.
    pub(crate) iotmq_connections: Vec<Connections>,
    /// What is no load kept up for a while.
    pub(crate) figures: Figures,
}

impl CaseReport {
    /// The report of a case whose runs are all there.
    pub(crate) fn new(case: Case, mosquitto: Vec<Run>, iotmq: Vec<Run>) -> Self {
        let micros = |runs: &[Run]| median(runs.iter().map(|run| run.micros_per_message).collect());
        let (mosquitto_micros, iotmq_micros) = (micros(&mosquitto), micros(&iotmq));
        Self {
            case: case.name(),
            mosquitto_micros,
            iotmq_micros,
            ratio: iotmq_micros / mosquitto_micros,
            ratio_max: case.ratio_max(),
            mosquitto,
            iotmq,
        }
    }
}

impl Report {
    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![format!(
            "{} B payload, {} processors; iotmq workers: {}; peer: {}",
            self.payload_bytes, self.processors, self.workers, self.peer,
        )];
        lines.extend(self.case_lines());
        lines.extend(self.stored_lines());
        let connections = self.mosquitto_connections.iter().zip(&self.iotmq_connections);
        for (mosquitto, iotmq) in connections {
            lines.push(String::new());
            lines.push(format!("{} connections", iotmq.connections));
            for (name, theirs, ours) in [
                ("  idle, bytes each", mosquitto.idle_bytes, iotmq.idle_bytes),
                ("  connect, us each", mosquitto.connect_micros, iotmq.connect_micros),
                ("  connect again, us each", mosquitto.connect_again_micros, iotmq.connect_again_micros),
                ("  idle, us/s for all", mosquitto.idle_micros_per_sec, iotmq.idle_micros_per_sec),
            ] {
                let ratio = if theirs > 0.0 { format!("{:.3}", ours / theirs) } else { "-".to_owned() };
                lines.push(format!("{name:<30} {theirs:>24.1} {ours:>24.1} {ratio:>8}"));
            }
        }
        if let (Some(theirs), Some(ours)) =
            (further(&self.mosquitto_connections), further(&self.iotmq_connections))
        {
            // What a process takes once, whatever it serves, is in the counts above and not in this.
            let name = "idle, bytes each further one";
            lines.push(format!(
                "\n{name:<30} {theirs:>24.1} {ours:>24.1} {:>8.3} (target {IDLE_BYTES_MAX} bytes)",
                ours / theirs
            ));
        }
        lines.extend(self.figures.lines());
        lines.join("\n")
    }
}

/// How much the stored case costs, by the same case without storing.
pub(crate) fn durable_ratio(cases: &[CaseReport]) -> Option<f64> {
    let (stored, passed_on) = (find(cases, Case::DurableOneToOneQos1)?, find(cases, Case::OneToOneQos1)?);
    Some(stored.iotmq_micros / passed_on.iotmq_micros)
}

/// How fast messages are stored, and by how much faster than mosquitto does.
pub(crate) fn appends(cases: &[CaseReport], case: Case) -> Option<[f64; 2]> {
    let it = find(cases, case)?;
    let ours = rate(&it.iotmq);
    Some([ours, ours / rate(&it.mosquitto)])
}

fn find(cases: &[CaseReport], case: Case) -> Option<&CaseReport> {
    cases.iter().find(|it| it.case == case.name())
}

impl Report {
    fn case_lines(&self) -> Vec<String> {
        let Some(first) = self.cases.first() else { return Vec::new() };
        let mut lines = vec![format!(
            "CPU microseconds (user + system) of the broker's process per delivered message, median of {} \
             (lowest-highest)",
            first.iotmq.len(),
        )];
        lines.push(format!(
            "{:<30} {:>24} {:>24} {:>8} {:>8} {:>22} {:>17}",
            "case", "mosquitto", "iotmq", "ratio", "target", "messages/s (m, i)", "load cores (m, i)"
        ));
        for it in &self.cases {
            lines.push(format!(
                "{:<30} {:>24} {:>24} {:>8.3} {:>8} {:>22} {:>17}",
                it.case,
                spread(it.mosquitto_micros, &it.mosquitto),
                spread(it.iotmq_micros, &it.iotmq),
                it.ratio,
                it.ratio_max.map_or_else(|| "-".to_owned(), |target| format!("{target:.2}")),
                format!("{:.0} k, {:.0} k", rate(&it.mosquitto) / 1e3, rate(&it.iotmq) / 1e3),
                format!("{:.2}, {:.2}", load_cores(&it.mosquitto), load_cores(&it.iotmq)),
            ));
        }
        lines
    }

    fn stored_lines(&self) -> Vec<String> {
        let durable = self.durable_ratio.map(|ratio| {
            format!(
                "stored one-to-one by passed-on one-to-one, CPU per message: {ratio:.2} (target 1.5 at most)"
            )
        });
        let appends = |how: &str, [ours, ratio]: [f64; 2]| {
            format!(
                "stored a second, {how}: {ours:.0}, {ratio:.1} times mosquitto saving every change (target 5 at least)"
            )
        };
        let open = self.appends.map(|it| appends("windows open", it));
        let one = self.appends_w1.map(|it| appends("one in flight each", it));
        let threads = find(&self.cases, Case::DurableOneToOneQos1).map(|it| {
            format!("stored one-to-one, CPU microseconds per message by thread: {}", threads(&it.iotmq))
        });
        let history = self.history.as_ref().map(|it| {
            format!(
                "one topic's hour, {} of {} stored messages: newest page {:.1} ms, at most {:.1}; oldest page {:.1} ms, at \
                 most {:.1} (target 50)",
                it.messages_per_topic,
                it.messages,
                it.newest_millis[0],
                it.newest_millis[1],
                it.oldest_millis[0],
                it.oldest_millis[1]
            )
        });
        [durable, threads, open, one, history].into_iter().flatten().collect()
    }
}

/// Memory of each connection between the first count and the last.
fn further(connections: &[Connections]) -> Option<f64> {
    let (first, last) = (connections.first()?, connections.last()?);
    let all = |it: &Connections| it.idle_bytes * it.connections as f64;
    let more = last.connections.checked_sub(first.connections).filter(|more| *more > 0)?;
    Some((all(last) - all(first)) / more as f64)
}

fn spread(median: f64, runs: &[Run]) -> String {
    let figures = || runs.iter().map(|run| run.micros_per_message);
    let (low, high) = (figures().fold(f64::MAX, f64::min), figures().fold(0.0, f64::max));
    format!("{median:.3} ({low:.3}-{high:.3})")
}

/// The median of each kind of thread that takes part.
fn threads(runs: &[Run]) -> String {
    let names: BTreeSet<_> = runs.iter().flat_map(|run| run.threads.keys()).collect();
    let micros = |name: &String| {
        median(runs.iter().map(|run| run.threads.get(name).copied().unwrap_or(0.0)).collect())
    };
    shown(&names.into_iter().map(|name| (name.clone(), micros(name))).collect())
}

/// What the threads have used, those that take part.
pub(crate) fn shown(threads: &BTreeMap<String, f64>) -> String {
    let shown = threads.iter().filter(|(_, micros)| **micros >= 0.001);
    shown.map(|(name, micros)| format!("{name} {micros:.3}")).collect::<Vec<_>>().join(", ")
}

fn load_cores(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.load_cores).collect())
}

fn rate(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.messages_per_sec).collect())
}

/// The middle value; of an even number the mean of the two in the middle. 0 of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        for (values, expected) in
            [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 3.0, 2.0], 2.5)]
        {
            assert!((median(values) - expected).abs() < f64::EPSILON);
        }
    }
}
