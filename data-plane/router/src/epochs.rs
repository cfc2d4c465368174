//! How a publisher knows, for a few loads, that the routes it remembers for a topic still hold.
//!
//! A subscription that comes or goes bumps the slot of its filter's literal prefix, of at most three levels. A filter
//! that matches a topic has its prefix among the topic's own prefixes of 0 to 3 levels, so those four slots say all
//! that matters; and a fleet that subscribes to its own topics in a reconnect storm empties nobody else's memory.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use contract::topic::TopicFilter;
use foldhash::quality::FixedState;

/// Slots of a node. Topics that share one by chance ask the route table once too often, nothing worse.
pub const SLOTS: usize = 4096;

/// Levels of a filter's literal prefix that count.
const PREFIX_LEVELS_MAX: usize = 3;

/// The epochs of all instances of a node: shared by its workers, and by the route tables that bump them.
///
/// A change is made in the table first and in the epochs next; a [`Stamp`] is taken first and the table asked next. So
/// a stamp may be older than the routes kept with it, which costs one needless look, but never newer.
#[derive(Debug)]
pub struct Epochs {
    slots: Box<[AtomicU32]>,
    /// Bumped after any slot: as long as it stands still, so do all of them.
    changes: AtomicU32,
}

impl Epochs {
    /// All slots at 0.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(), changes: AtomicU32::new(0) }
    }

    /// How often routes have changed, on the whole node. As long as it stands still, what was asked holds.
    #[inline]
    #[must_use]
    pub fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }

    /// The present state of a topic's slots: to be taken *before* the route table is asked.
    #[must_use]
    pub fn stamp(&self, slots: TopicSlots) -> Stamp {
        let changes = self.changes.load(Ordering::Acquire);
        Stamp { changes, values: self.values(slots), slots }
    }

    /// Whether nothing has changed for the topic since the stamp was taken.
    #[inline]
    pub fn is_current(&self, stamp: &mut Stamp) -> bool {
        let changes = self.changes.load(Ordering::Acquire);
        changes == stamp.changes || self.compare(changes, stamp)
    }

    /// Something has changed somewhere: was it this? If not, the next question is cheap again.
    #[inline]
    fn compare(&self, changes: u32, stamp: &mut Stamp) -> bool {
        let same = self.values(stamp.slots) == stamp.values;
        if same {
            stamp.changes = changes;
        }
        same
    }

    #[inline]
    fn values(&self, slots: TopicSlots) -> [u32; 4] {
        slots.0.map(|slot| self.slots[slot as usize % SLOTS].load(Ordering::Acquire))
    }

    pub(crate) fn bump(&self, slot: u16) {
        self.slots[slot as usize % SLOTS].fetch_add(1, Ordering::Release);
        self.changes.fetch_add(1, Ordering::Release);
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

/// The slots of one topic name: those of its prefixes of 0, 1, 2 and 3 levels. A shorter topic repeats its last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicSlots([u16; PREFIX_LEVELS_MAX + 1]);

impl TopicSlots {
    /// The slots of a topic in the instance whose route table has this seed.
    #[must_use]
    pub fn of(seed: u64, topic: &str) -> Self {
        let mut slots = [slot_of(seed, ""); PREFIX_LEVELS_MAX + 1];
        let mut ends = topic.match_indices('/').map(|(at, _)| at).chain([topic.len()]);
        for at in 1..slots.len() {
            slots[at] = ends.next().map_or(slots[at - 1], |end| slot_of(seed, &topic[..end]));
        }
        Self(slots)
    }
}

/// The state of a topic's slots at one moment: kept beside a route set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    changes: u32,
    values: [u32; PREFIX_LEVELS_MAX + 1],
    slots: TopicSlots,
}

/// The slot that a change of this filter bumps.
pub(crate) fn filter_slot(seed: u64, filter: &TopicFilter) -> u16 {
    let text = filter.as_str();
    let mut end = 0;
    let mut at = 0;
    for level in text.split('/').take(PREFIX_LEVELS_MAX) {
        if level == "+" || level == "#" {
            break;
        }
        end = at + level.len();
        at = end + 1;
    }
    slot_of(seed, &text[..end])
}

fn slot_of(seed: u64, prefix: &str) -> u16 {
    let [low, high, ..] = FixedState::with_seed(seed).hash_one(prefix).to_le_bytes();
    u16::from_le_bytes([low, high]) & (u16::try_from(SLOTS).unwrap_or(u16::MAX) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter {
        text.parse().expect("a filter")
    }

    #[test]
    fn a_filter_bumps_the_slot_of_its_literal_prefix() {
        for (text, prefix) in [
            ("#", ""),
            ("+", ""),
            ("+/a", ""),
            ("a", "a"),
            ("a/#", "a"),
            ("a/+/b", "a"),
            ("a/b", "a/b"),
            ("a/b/c/d/e", "a/b/c"),
            ("a/b/c/#", "a/b/c"),
            ("/", "/"),
            ("//#", "/"),
            ("/+", ""),
        ] {
            assert_eq!(filter_slot(9, &filter(text)), slot_of(9, prefix), "{text}");
        }
    }

    #[test]
    fn a_topic_watches_its_prefixes() {
        let of = |prefixes: [&str; 4]| TopicSlots(prefixes.map(|prefix| slot_of(1, prefix)));
        assert_eq!(TopicSlots::of(1, "a/b/c/d"), of(["", "a", "a/b", "a/b/c"]));
        assert_eq!(TopicSlots::of(1, "a/b"), of(["", "a", "a/b", "a/b"]));
        assert_eq!(TopicSlots::of(1, "a"), of(["", "a", "a", "a"]));
        assert_eq!(TopicSlots::of(1, "//x"), of(["", "", "/", "//x"]));
    }

    #[test]
    fn seeds_keep_instances_apart() {
        let prefixes = ["a", "b", "c", "d", "e", "f", "g", "h"];
        assert!(prefixes.iter().any(|prefix| slot_of(1, prefix) != slot_of(2, prefix)));
    }

    #[test]
    fn a_stamp_holds_until_its_own_slots_change() {
        let epochs = Epochs::new();
        let mut stamp = epochs.stamp(TopicSlots::of(1, "a/b"));
        assert!(epochs.is_current(&mut stamp));
        let elsewhere = (0..4096).find(|slot| !stamp.slots.0.contains(slot)).expect("4 of 4096");
        epochs.bump(elsewhere);
        assert!(epochs.is_current(&mut stamp), "another topic changed");
        assert_eq!(stamp.changes, 1, "and the next look is one load");
        for prefix in ["", "a", "a/b"] {
            let mut stamp = epochs.stamp(TopicSlots::of(1, "a/b"));
            epochs.bump(slot_of(1, prefix));
            assert!(!epochs.is_current(&mut stamp), "`{prefix}`");
            assert!(!epochs.is_current(&mut stamp), "and stays so");
        }
    }

    #[test]
    fn a_stamp_takes_28_bytes() {
        println!("Stamp {}", size_of::<Stamp>());
        assert!(size_of::<Stamp>() <= 28);
    }
}
