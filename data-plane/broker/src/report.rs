//! What the node says to the controller: how far it is, how many clients it has, and what its urgent entries closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::feed::{FORMAT_VERSION, Generation};
use contract::node::{NodeReport, REPORT_PERIOD_SECS};
use replica::Position;
use tokio::sync::Notify;

use crate::config_sync::{Connections, LaneHealth};
use crate::node_client::NodeClient;
use crate::slots::Slots;

/// The most urgent entries whose counts are kept for a report; beyond it the oldest go, their effect does not.
const CLOSED_ENTRIES_MAX: usize = 10_000;

/// How far the workers have obeyed, and how many connections each urgent entry closed, until a report with it has
/// arrived. The replica itself is further while connections are still looked at.
#[derive(Default)]
pub(crate) struct Closings {
    counts: Mutex<BTreeMap<u64, u64>>,
    obeyed: Mutex<Position>,
    /// A report is due now.
    due: Notify,
}

impl Closings {
    /// Nothing was closed, and no connection is behind what the replica holds.
    pub(crate) fn at(position: Position) -> Self {
        Self { obeyed: Mutex::new(position), ..Self::default() }
    }

    /// Every connection agrees with the configuration up to this generation.
    pub(crate) fn obeyed_feed(&self, generation: Generation) {
        self.position().generation = Some(generation);
    }

    /// Every connection agrees with the urgent lane up to where `position` is in it.
    pub(crate) fn obeyed_urgent(&self, position: Position) {
        let mut obeyed = self.position();
        // An export that ends late may know less than the lane has done meanwhile.
        let is_older = obeyed.urgent_timeline == position.urgent_timeline
            && obeyed.urgent_sequence > position.urgent_sequence;
        if !is_older {
            obeyed.urgent_timeline = position.urgent_timeline;
            obeyed.urgent_sequence = position.urgent_sequence;
        }
    }

    fn position(&self) -> MutexGuard<'_, Position> {
        self.obeyed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the counts and makes a report due at once.
    pub(crate) fn add(&self, counts: impl IntoIterator<Item = (u64, u64)>) {
        let mut held = self.lock();
        for (sequence, closed) in counts {
            *held.entry(sequence).or_default() += closed;
        }
        while held.len() > CLOSED_ENTRIES_MAX {
            held.pop_first();
        }
        drop(held);
        self.due.notify_one();
    }

    /// Forgets everything: the sequences of another history mean other entries.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn counts(&self) -> BTreeMap<u64, u64> {
        self.lock().clone()
    }

    /// Takes away what has arrived; what was counted since stays.
    fn settle(&self, arrived: &BTreeMap<u64, u64>) {
        let mut held = self.lock();
        for (sequence, closed) in arrived {
            if held.get(sequence) == Some(closed) {
                held.remove(sequence);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports every [`REPORT_PERIOD_SECS`], and at once when [`Closings`] says so. Never returns; may be dropped at any
/// await.
pub(crate) async fn run<C: Connections>(
    client: &NodeClient,
    connections: &Arc<C>,
    closings: &Closings,
    address: Option<&str>,
    slots: &Slots,
    health: &LaneHealth,
) {
    loop {
        let mut report = compose(connections.as_ref(), closings).await;
        report.address = address.map(str::to_owned);
        report.metrics = slots.unsent();
        match client.report(&report).await {
            Ok(()) => {
                closings.settle(&report.closed);
                slots.settle(&report.metrics);
                health.answered();
            }
            Err(error) => {
                if error.is_of_content() {
                    slots.give_up(&report.metrics);
                }
                health.complain(error.name(), &error);
            }
        }
        let period = tokio::time::sleep(Duration::from_secs(REPORT_PERIOD_SECS));
        tokio::select! {
            () = period => {}
            () = closings.due.notified(), if health.is_well() => {}
            () = slots.due(), if health.is_well() => {}
        }
    }
}

async fn compose<C: Connections>(connections: &C, closings: &Closings) -> NodeReport {
    let connections = connections.count().await;
    let position = *closings.position();
    NodeReport {
        format_version: FORMAT_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: position.generation,
        urgent_timeline: position.urgent_timeline,
        urgent_sequence: position.urgent_sequence,
        closed: closings.counts(),
        connections,
        address: None,
        metrics: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_kept_until_a_report_with_it_has_arrived() {
        let closings = Closings::default();
        closings.add([(7, 2), (8, 0)]);
        let reported = closings.counts();
        closings.add([(8, 1), (9, 4)]); // while the report is on its way
        closings.settle(&reported);
        assert_eq!(closings.counts(), BTreeMap::from([(8, 1), (9, 4)]));
    }

    #[test]
    fn a_report_says_how_far_the_workers_are_and_not_the_replica() {
        let at = |number| Generation { timeline: contract::ids::TimelineId(uuid::Uuid::nil()), number };
        let held =
            Position { generation: Some(at(7)), urgent_timeline: Some(at(0).timeline), urgent_sequence: 3 };
        let closings = Closings::at(held);
        closings.obeyed_feed(at(8));
        assert_eq!(*closings.position(), Position { generation: Some(at(8)), ..held });
        closings.obeyed_urgent(Position { generation: Some(at(9)), urgent_sequence: 4, ..held });
        let (generation, urgent_sequence) = (Some(at(8)), 4);
        assert_eq!(
            *closings.position(),
            Position { generation, urgent_sequence, ..held },
            "one lane at a time"
        );
    }

    #[test]
    fn the_counts_are_bounded_and_the_oldest_go() {
        let closings = Closings::default();
        let most = u64::try_from(CLOSED_ENTRIES_MAX).expect("fits");
        closings.add((0..=most).map(|sequence| (sequence, 1)));
        assert_eq!(closings.counts().len(), CLOSED_ENTRIES_MAX);
        assert_eq!(closings.counts().first_key_value(), Some((&1, &1)));
    }
}
