//! The slots of metrics: each ends at a multiple of its length on the wall clock, is counted once, and is kept until the
//! controller has acknowledged it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::ids::InstanceId;
use contract::metrics::{InstanceSample, MetricsReport};
use contract::time::UnixMillis;
use tokio::sync::Notify;
use uuid::Uuid;

/// The most reports that are kept: an hour of slots of ten seconds. Beyond it the oldest slots go.
const REPORTS_MAX: usize = 360;
/// The most memory that kept reports take, about; beyond it the oldest slots go.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much goes into one call, about: a call is bounded, and there is more to say than this.
const CALL_BYTES_MAX: usize = 384 * 1024;
/// What an instance and each of its reasons take in a call, about.
const SAMPLE_BYTES: usize = 280;
const REASON_BYTES: usize = 48;

/// What has been counted since it was asked for the last time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sampled {
    /// The instances in which something happened or is connected.
    pub(crate) instances: BTreeMap<InstanceId, InstanceSample>,
    /// What was refused before it was known of which instance it was, by reason.
    pub(crate) refused_before_instance: BTreeMap<String, u64>,
}

/// The slots that have ended.
#[derive(Debug)]
pub(crate) struct Slots {
    length_millis: u64,
    kept: Mutex<Kept>,
    /// There is something to report now.
    due: Notify,
}

#[derive(Debug)]
struct Kept {
    /// This run of the process, as far as its clock has gone forward.
    boot: Uuid,
    /// The last slot that was counted.
    last: Option<UnixMillis>,
    /// Oldest first; with what each takes, about.
    reports: VecDeque<(MetricsReport, usize)>,
    bytes: usize,
    lost: u64,
}

impl Slots {
    pub(crate) fn new(length_secs: u64) -> Self {
        let kept = Kept { boot: Uuid::now_v7(), last: None, reports: VecDeque::new(), bytes: 0, lost: 0 };
        Self { length_millis: length_secs * 1_000, kept: Mutex::new(kept), due: Notify::new() }
    }

    /// Counts each slot as it ends. Never returns; may be dropped at any await.
    pub(crate) async fn count<F: Future<Output = Sampled>>(
        &self,
        now: fn() -> UnixMillis,
        sample: impl Fn() -> F,
    ) {
        loop {
            let end = (now().0 / self.length_millis + 1) * self.length_millis;
            // The two clocks need not agree: it is slept again until this one says so.
            while let Some(rest) =
                end.checked_sub(now().0).filter(|rest| (1..=self.length_millis).contains(rest))
            {
                tokio::time::sleep(Duration::from_millis(rest)).await;
            }
            // The last slot that has ended: where the node slept through others, theirs is counted in it.
            let slot = (now().0 / self.length_millis * self.length_millis).saturating_sub(self.length_millis);
            self.push(UnixMillis(slot), sample().await);
        }
    }

    /// Waits until there is a new slot to report.
    pub(crate) async fn due(&self) {
        self.due.notified().await;
    }

    /// The oldest slots that have not been acknowledged: as many as one call takes.
    pub(crate) fn unsent(&self) -> Vec<MetricsReport> {
        let kept = self.lock();
        let mut bytes = 0;
        let fits = |(_, size): &&(MetricsReport, usize)| {
            bytes += size;
            bytes <= CALL_BYTES_MAX || bytes == *size
        };
        kept.reports.iter().take_while(fits).map(|(report, _)| report.clone()).collect()
    }

    /// Lets go of what has arrived. If there is more, it is due now.
    pub(crate) fn settle(&self, arrived: &[MetricsReport]) {
        let mut kept = self.lock();
        for report in arrived {
            // The oldest may have been let go of meanwhile.
            if kept.reports.front().is_some_and(|(front, _)| front == report) {
                kept.pop();
            }
        }
        if !arrived.is_empty() && !kept.reports.is_empty() {
            self.due.notify_one();
        }
    }

    /// Lets go of the oldest slot of those that the controller refuses for what they say: it would refuse them for ever,
    /// and whatever comes after them.
    pub(crate) fn give_up(&self, refused: &[MetricsReport]) {
        let mut kept = self.lock();
        if kept.reports.front().is_some_and(|(front, _)| Some(front) == refused.first()) {
            kept.lose_oldest();
        }
    }

    /// Reports that the controller never got, since the node was started.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    pub(crate) fn push(&self, slot: UnixMillis, sampled: Sampled) {
        let mut kept = self.lock();
        if kept.last.is_some_and(|last| slot <= last) {
            // The clock was set back: what has this slot's name already is something else.
            kept.boot = Uuid::now_v7();
        }
        kept.last = Some(slot);
        let report = |instances| MetricsReport {
            boot: kept.boot,
            slot,
            slot_millis: self.length_millis,
            instances,
            refused_before_instance: BTreeMap::new(),
            more: true,
        };
        let mut parts: Vec<_> =
            parts(sampled.instances).into_iter().map(|(part, size)| (report(part), size)).collect();
        if let Some((last, size)) = parts.last_mut() {
            *size += sampled.refused_before_instance.len() * REASON_BYTES;
            last.refused_before_instance = sampled.refused_before_instance;
            last.more = false;
        }
        for part in parts {
            kept.bytes += part.1;
            kept.reports.push_back(part);
        }
        kept.keep_to(REPORTS_MAX, KEPT_BYTES_MAX);
        drop(kept);
        self.due.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn pop(&mut self) -> Option<MetricsReport> {
        let (report, bytes) = self.reports.pop_front()?;
        self.bytes -= bytes;
        Some(report)
    }

    fn keep_to(&mut self, reports_max: usize, bytes_max: usize) {
        while self.reports.len() > reports_max || self.bytes > bytes_max {
            self.lose_oldest();
        }
    }

    /// Lets the oldest slot go with all of its parts: one part alone would say that the rest is 0.
    fn lose_oldest(&mut self) {
        while let Some(gone) = self.pop() {
            self.lost += 1;
            if self.lost.is_power_of_two() {
                tracing::warn!(
                    lost = self.lost,
                    "slots of metrics are lost: the controller has not taken them"
                );
            }
            if !gone.more {
                break;
            }
        }
    }
}

/// What was sampled, in parts of which each fits into a call, with what each takes; one part at least.
fn parts(
    instances: BTreeMap<InstanceId, InstanceSample>,
) -> Vec<(BTreeMap<InstanceId, InstanceSample>, usize)> {
    let mut parts = vec![(BTreeMap::new(), SAMPLE_BYTES)];
    for (instance, sample) in instances {
        let size = SAMPLE_BYTES + (sample.refused.len() + sample.dropped.len()) * REASON_BYTES;
        if parts.last().is_none_or(|(_, bytes)| bytes + size > CALL_BYTES_MAX) {
            parts.push((BTreeMap::new(), SAMPLE_BYTES));
        }
        if let Some((part, bytes)) = parts.last_mut() {
            part.insert(instance, sample);
            *bytes += size;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH_SECS: u64 = 10;

    fn id(number: u128) -> InstanceId {
        InstanceId(Uuid::from_u128(number))
    }

    fn sampled(instances: u128) -> Sampled {
        let sample = |number| (id(number), InstanceSample { connections: 1, ..InstanceSample::default() });
        Sampled { instances: (0..instances).map(sample).collect(), ..Sampled::default() }
    }

    fn at(slot: u64) -> UnixMillis {
        UnixMillis(1_800_000_000_000 + slot * LENGTH_SECS * 1_000)
    }

    fn slots_of(reports: &[MetricsReport]) -> Vec<u64> {
        reports.iter().map(|report| (report.slot.0 - at(0).0) / report.slot_millis).collect()
    }

    #[test]
    fn a_slot_is_said_again_until_it_has_arrived() {
        let slots = Slots::new(LENGTH_SECS);
        assert!(slots.unsent().is_empty());
        slots.push(at(0), sampled(1));
        slots.push(at(1), sampled(0));
        let said = slots.unsent();
        assert_eq!(slots_of(&said), [0, 1], "a slot in which nothing happened is told of too");
        slots.push(at(2), sampled(1)); // while the call is under way
        assert_eq!(slots.unsent()[..2], said, "word for word, while nothing is known of its arrival");
        slots.settle(&said);
        assert_eq!(slots_of(&slots.unsent()), [2]);
        slots.settle(&said);
        assert_eq!(slots_of(&slots.unsent()), [2], "an answer that comes twice");
    }

    #[test]
    fn many_instances_go_in_several_calls_and_only_the_last_part_tells_of_the_slot() {
        let slots = Slots::new(LENGTH_SECS);
        let refused_before_instance = BTreeMap::from([("malformed_packet".to_owned(), 3)]);
        slots.push(
            at(0),
            Sampled { refused_before_instance: refused_before_instance.clone(), ..sampled(3_000) },
        );
        let mut told = Vec::new();
        loop {
            let said = slots.unsent();
            let Some(last) = said.last() else { break };
            let size = serde_json::to_string(&said).expect("serializes").len();
            assert!(size <= 512 * 1024, "{size} bytes of one call");
            assert_eq!(
                last.more,
                told.len() + said.iter().map(|it| it.instances.len()).sum::<usize>() < 3_000
            );
            slots.settle(&said);
            told.extend(said.into_iter().flat_map(|it| {
                assert_eq!(it.refused_before_instance.is_empty(), it.more);
                it.instances.into_keys()
            }));
        }
        assert_eq!(told, (0..3_000).map(id).collect::<Vec<_>>());
    }

    #[test]
    fn the_oldest_go_whole_when_nobody_takes_them() {
        let slots = Slots::new(LENGTH_SECS);
        slots.push(at(0), sampled(3_000));
        let parts = slots.lock().reports.len();
        assert!(parts > 1);
        for slot in 1..=u64::try_from(REPORTS_MAX).expect("fits") {
            slots.push(at(slot), sampled(1));
        }
        assert_eq!(slots.lock().reports.len(), REPORTS_MAX);
        assert_eq!(slots.lost(), parts as u64);
        assert_eq!(slots_of(&slots.unsent())[0], 1);
        let bytes = slots.lock().reports.iter().map(|(_, bytes)| bytes).sum::<usize>();
        assert_eq!(slots.lock().bytes, bytes);
        slots.lock().keep_to(REPORTS_MAX, bytes / 2);
        assert!(slots.lock().bytes <= bytes / 2 && !slots.unsent().is_empty());
    }

    #[test]
    fn what_the_controller_refuses_is_given_up_and_keeps_nothing_back() {
        let slots = Slots::new(LENGTH_SECS);
        slots.push(at(0), sampled(3_000));
        slots.push(at(1), sampled(1));
        let refused = slots.unsent();
        assert!(refused.last().is_some_and(|part| part.more), "not all of its parts have been said");
        slots.give_up(&refused);
        assert_eq!(slots_of(&slots.unsent()), [1]);
        slots.give_up(&refused);
        slots.give_up(&[]);
        assert_eq!(slots_of(&slots.unsent()), [1], "another was refused");
    }

    #[test]
    fn a_clock_that_is_set_back_begins_a_run_of_its_own() {
        let slots = Slots::new(LENGTH_SECS);
        for slot in [5, 6, 6, 3, 4] {
            slots.push(at(slot), sampled(1));
        }
        let boots: Vec<Uuid> = slots.unsent().iter().map(|report| report.boot).collect();
        let same: Vec<bool> = boots.windows(2).map(|pair| pair[0] == pair[1]).collect();
        assert_eq!(same, [true, false, false, true]);
    }

    #[tokio::test]
    async fn slots_end_at_multiples_of_their_length() {
        let slots = Slots::new(1);
        let counting = slots.count(crate::clock::unix_now, || async { sampled(1) });
        let two = async {
            while slots.unsent().len() < 2 {
                slots.due().await;
            }
        };
        tokio::select! {
            () = counting => unreachable!("it never returns"),
            () = two => {}
        }
        let (first, second) = (slots.unsent()[0].slot.0, slots.unsent()[1].slot.0);
        assert_eq!((first % 1_000, slots.unsent()[0].slot_millis), (0, 1_000));
        assert!(
            second > first && second + 1_000 <= crate::clock::unix_now().0,
            "a slot is told of when it has ended"
        );
    }
}
