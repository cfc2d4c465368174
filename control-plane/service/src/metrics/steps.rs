//! From slots to the points of a chart: counters are summed over a step, of gauges the largest counts, and a step of
//! which nobody has told has no value. Pure.

use std::collections::BTreeMap;

use contract::metrics::{Metric, MetricKind};

use super::chunk::{self, Chunk, SECONDS, SeriesKey, Source};

/// Gauges of several nodes are added up over pieces of a minute: as long as the shortest step.
const PIECE_SECS: u8 = 10;
const PIECES: usize = (SECONDS / PIECE_SECS) as usize;

/// The points of one chart, in seconds since 1970: point i is of `step` seconds from `from + i * step`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Steps {
    pub(super) from: u64,
    pub(super) step: u64,
    pub(super) points: usize,
}

impl Steps {
    pub(super) const fn to(&self) -> u64 {
        self.from + self.step * self.points as u64
    }

    fn point(&self, second: u64) -> Option<usize> {
        let point = usize::try_from(second.checked_sub(self.from)? / self.step).ok()?;
        (point < self.points).then_some(point)
    }
}

/// One line of a chart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Series {
    /// Of which metric.
    pub metric: &'static Metric,
    /// For which reason, where the metric is told apart by reasons.
    pub reason: Option<String>,
    /// A value for each step; none: nobody has told of it.
    pub values: Vec<Option<u64>>,
}

/// Points on their way.
pub(super) struct Chart {
    steps: Steps,
    is_told: Vec<bool>,
    lines: BTreeMap<SeriesKey, Vec<u64>>,
    wanted: Vec<u8>,
    gauges: Vec<u8>,
}

impl Chart {
    pub(super) fn new(steps: Steps, metrics: &[&'static Metric]) -> Self {
        let gauges = metrics.iter().filter(|metric| metric.kind == MetricKind::Gauge);
        let plain = metrics.iter().filter(|metric| !metric.by_reason);
        let key = |metric: &&&Metric| SeriesKey { code: chunk::code(metric.name), reason: Box::default() };
        Self {
            steps,
            is_told: vec![false; steps.points],
            lines: plain.map(|metric| (key(&metric), vec![0; steps.points])).collect(),
            wanted: metrics.iter().map(|metric| chunk::code(metric.name)).collect(),
            gauges: gauges.map(|metric| chunk::code(metric.name)).collect(),
        }
    }

    /// A minute of the platform: which slots were told at all.
    pub(super) fn tell(&mut self, minute: u64, chunk: &Chunk) {
        for slot in chunk.slots() {
            let second = minute * u64::from(SECONDS) + u64::from(slot.second);
            if let Some(point) = self.steps.point(second) {
                self.is_told[point] = true;
            }
        }
    }

    /// A minute of the instance.
    pub(super) fn add(&mut self, minute: u64, chunk: &Chunk) {
        let mut pieces: BTreeMap<&SeriesKey, [BTreeMap<Source, u64>; PIECES]> = BTreeMap::new();
        let begin = minute * u64::from(SECONDS);
        for slot in chunk.slots() {
            let Some(point) = self.steps.point(begin + u64::from(slot.second)) else { continue };
            // Between the parts of a slot it may be told of an instance before it is told of as a whole.
            self.is_told[point] = true;
            for (key, value) in slot.values() {
                if !self.wanted.contains(&key.code) {
                    continue;
                }
                if self.gauges.contains(&key.code) {
                    let piece = usize::from(slot.second / PIECE_SECS);
                    let most = pieces.entry(key).or_default()[piece].entry(slot.source).or_default();
                    *most = value.max(*most);
                } else if value > 0 {
                    let sum = &mut self.line(key)[point];
                    *sum = sum.saturating_add(value);
                }
            }
        }
        for (key, pieces) in pieces {
            for (at, of_sources) in pieces.iter().enumerate() {
                let value = of_sources.values().fold(0, |sum: u64, value| sum.saturating_add(*value));
                if let Some(point) = self.steps.point(begin + at as u64 * u64::from(PIECE_SECS)) {
                    let most = &mut self.line(key)[point];
                    *most = value.max(*most);
                }
            }
        }
    }

    fn line(&mut self, key: &SeriesKey) -> &mut Vec<u64> {
        let points = self.steps.points;
        if !self.lines.contains_key(key) {
            self.lines.insert(key.clone(), vec![0; points]);
        }
        self.lines.get_mut(key).expect("just put there")
    }

    /// The lines, in the order of the metrics asked for, those of one metric by their reasons.
    pub(super) fn series(self, metrics: &[&'static Metric]) -> Vec<Series> {
        let mut series = Vec::new();
        for metric in metrics {
            let code = chunk::code(metric.name);
            for (key, values) in self.lines.iter().filter(|(key, _)| key.code == code) {
                let reason = metric.by_reason.then(|| key.reason.to_string());
                let values = values.iter().zip(&self.is_told).map(|(value, told)| told.then_some(*value));
                series.push(Series { metric, reason, values: values.collect() });
            }
        }
        series
    }
}

#[cfg(test)]
mod tests;
