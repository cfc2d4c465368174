//! What an alarm rule reads: the value of one metric over a window, and how far it can be believed. Pure: of what nodes
//! have told and of a `now` that is given.

use std::collections::BTreeMap;

use chrono::DateTime;
use contract::metrics::{Metric, MetricKind};

use super::chunk::{self, Chunk, SECONDS, SLOT_SECS_CODE, Slot, Source};
use super::ring::Reading;

/// A node whose newest slot ended longer ago than this is lost: what it would tell is missing.
pub const NODE_LATE_SECS: u64 = 30;
/// A node that has told nothing for so long is gone for good, and is missed no longer.
pub const NODE_GONE_SECS: u64 = 300;

/// How far a node has told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NodeProgress {
    /// Its newest run.
    pub(super) source: Source,
    /// Where its newest slot ends.
    pub(super) told_until: u64,
    pub(super) heard_at: u64,
}

impl NodeProgress {
    /// Takes a newer or an older slot of the same node.
    pub(super) fn hear(&mut self, heard: Self) {
        self.heard_at = heard.heard_at;
        if heard.told_until >= self.told_until {
            (self.source, self.told_until) = (heard.source, heard.told_until);
        }
    }

    /// Whether it is still of any interest.
    pub(super) const fn is_kept(&self, now: u64) -> bool {
        self.told_until + NODE_GONE_SECS > now || self.heard_at + NODE_GONE_SECS > now
    }

    /// Whether what it would tell is missing.
    pub(super) const fn is_lost(&self, now: u64) -> bool {
        self.told_until + NODE_LATE_SECS < now
    }

    const fn is_gone(&self, now: u64) -> bool {
        self.told_until + NODE_GONE_SECS <= now
    }
}

/// What is asked, in seconds since 1970.
pub(super) struct Asked<'a> {
    pub(super) metric: &'a Metric,
    pub(super) reason: Option<&'a str>,
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) now: u64,
}

/// The newest moment of which every node that is not lost has told; none without such a node.
pub(super) fn until(nodes: &[NodeProgress], now: u64) -> Option<u64> {
    nodes.iter().filter(|node| !node.is_lost(now)).map(|node| node.told_until).min()
}

/// The value, unless nobody has told of any of the window. `told` are the platform's chunks, `chunks` the instance's.
pub(super) fn read(
    asked: &Asked<'_>,
    nodes: &[NodeProgress],
    told: &[(u64, Chunk)],
    chunks: &[(u64, Chunk)],
) -> Option<Reading> {
    let told = told_slots(told, asked);
    if told.is_empty() {
        return None;
    }
    let code = chunk::code(asked.metric.name);
    let value_of = |slot: &Slot<'_>| {
        let wanted = slot
            .values()
            .filter(|(key, _)| key.code == code && asked.reason.is_none_or(|reason| *key.reason == *reason));
        wanted.map(|(_, value)| value).fold(0, u64::saturating_add)
    };
    let value = match asked.metric.kind {
        MetricKind::Counter => {
            in_window(chunks, asked).map(|(_, slot)| value_of(&slot)).fold(0, u64::saturating_add)
        }
        MetricKind::Gauge => {
            // Each node's newest slot; a node that names the instance no more has nothing of it.
            let live = nodes.iter().filter(|node| !node.is_lost(asked.now));
            let newest = live.filter_map(|node| {
                let begin = told.get(&node.source)?.last()?.0;
                let mut slots = in_window(chunks, asked);
                let slot = slots.find(|(at, slot)| *at == begin && slot.source == node.source);
                Some(slot.map_or(0, |(_, slot)| value_of(&slot)))
            });
            newest.fold(0, u64::saturating_add)
        }
    };
    let is_missed = nodes.iter().any(|node| node.is_lost(asked.now) && !node.is_gone(asked.now));
    Some(Reading {
        value,
        // Of a gauge only the newest counts: what was before it may be missing.
        is_complete: !is_missed && (asked.metric.kind == MetricKind::Gauge || is_gapless(&told, asked)),
        until: DateTime::from_timestamp(asked.until.cast_signed(), 0)?,
    })
}

/// The slots that begin in the window, with the second at which they do.
fn in_window<'a>(
    chunks: &'a [(u64, Chunk)],
    asked: &Asked<'_>,
) -> impl Iterator<Item = (u64, Slot<'a>)> + use<'a> {
    let window = asked.from..asked.until;
    let slots = chunks.iter().flat_map(|(minute, chunk)| {
        let minute = *minute * u64::from(SECONDS);
        chunk.slots().map(move |slot| (minute + u64::from(slot.second), slot))
    });
    slots.filter(move |(begin, _)| window.contains(begin))
}

/// Begin and end of the slots told, by source, in order.
type Told = BTreeMap<Source, Vec<(u64, u64)>>;

fn told_slots(chunks: &[(u64, Chunk)], asked: &Asked<'_>) -> Told {
    let mut told = Told::new();
    for (begin, slot) in in_window(chunks, asked) {
        let secs = slot.values().find(|(key, _)| key.code == SLOT_SECS_CODE).map_or(0, |(_, secs)| secs);
        told.entry(slot.source).or_default().push((begin, begin + secs));
    }
    told
}

/// Whether somebody has told of the window's beginning, and nobody left a slot out between two others.
fn is_gapless(told: &Told, asked: &Asked<'_>) -> bool {
    let begins = told.values().filter_map(|slots| slots.first());
    // The window need not begin with a slot: the first in it may begin a little later.
    let begins_well = begins.into_iter().any(|(begin, end)| *begin < asked.from + (end - begin).max(1));
    let is_whole = |slots: &Vec<(u64, u64)>| slots.windows(2).all(|pair| pair[0].1 == pair[1].0);
    begins_well && told.values().all(is_whole)
}
