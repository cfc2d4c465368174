//! The timer wheel of a worker: one entry for a client's next deadline instead of a timer of the runtime each.
//!
//! Entries cannot be taken out. Whoever is called looks whether its time has come indeed, and is put in again when it
//! has not: so a packet, which moves the keep alive, costs the wheel nothing.

/// Milliseconds of one tick: deadlines are rounded up to it.
const TICK_MILLIS: u64 = 8;
/// A slot index has eight bits.
const SLOTS: usize = 256;
const SLOT_BITS: u32 = 8;
/// Three levels reach 2^24 ticks, about 37 hours; the longest keep alive is 27. What lies beyond is called early.
const LEVELS: usize = 3;
const REACH_TICKS: u64 = 1 << (SLOT_BITS * 3);

/// Deadlines of up to 37 hours, to the tick.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    tick: u64,
    levels: [Level<T>; LEVELS],
}

#[derive(Debug)]
struct Level<T> {
    slots: Vec<Vec<(u64, T)>>,
    entries: usize,
}

impl<T> Level<T> {
    fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), entries: 0 }
    }

    fn take(&mut self, slot: usize) -> Vec<(u64, T)> {
        let entries = std::mem::take(&mut self.slots[slot]);
        self.entries -= entries.len();
        entries
    }
}

impl<T> Wheel<T> {
    pub(crate) fn new(now_millis: u64) -> Self {
        Self { tick: now_millis / TICK_MILLIS, levels: [Level::new(), Level::new(), Level::new()] }
    }

    /// Puts in an entry that is called at `at_millis`, or up to a tick later.
    pub(crate) fn insert(&mut self, at_millis: u64, item: T) {
        let at = at_millis.div_ceil(TICK_MILLIS).clamp(self.tick + 1, self.tick + REACH_TICKS - 1);
        self.place(at, item);
    }

    fn place(&mut self, at: u64, item: T) {
        let ahead = at - self.tick;
        let level = match ahead {
            0..=0xFF => 0,
            0x100..=0xFFFF => 1,
            _ => 2,
        };
        self.levels[level].slots[slot(at, level)].push((at, item));
        self.levels[level].entries += 1;
    }

    /// Calls every entry that is due at `now_millis`.
    pub(crate) fn advance(&mut self, now_millis: u64, mut call: impl FnMut(T)) {
        let target = now_millis / TICK_MILLIS;
        while self.tick < target {
            if self.levels.iter().all(|level| level.entries == 0) {
                self.tick = target;
                return;
            }
            if self.levels[0].entries == 0 {
                self.tick = target.min(self.tick | 0xFF);
                if self.tick == target {
                    return;
                }
            }
            self.tick += 1;
            self.cascade();
            for (_, item) in self.levels[0].take(slot(self.tick, 0)) {
                call(item);
            }
        }
    }

    /// Brings nearer what the next turn of the lower level will call.
    fn cascade(&mut self) {
        for level in (1..LEVELS).rev() {
            if self.tick.trailing_zeros() < SLOT_BITS * u32::try_from(level).unwrap_or(u32::MAX) {
                continue;
            }
            for (at, item) in self.levels[level].take(slot(self.tick, level)) {
                self.place(at, item);
            }
        }
    }

    /// When [`Wheel::advance`] is next worth calling, in milliseconds; `None`: the wheel is empty.
    pub(crate) fn next_millis(&self) -> Option<u64> {
        let boundary = (self.tick | 0xFF) + 1;
        let far = self.levels[1..].iter().any(|level| level.entries > 0).then_some(boundary);
        let near = (self.levels[0].entries > 0)
            .then(|| {
                (self.tick + 1..=self.tick + 0x100).find(|&at| !self.levels[0].slots[slot(at, 0)].is_empty())
            })
            .flatten();
        near.into_iter().chain(far).min().map(|tick| tick * TICK_MILLIS)
    }
}

/// The slot of a tick on a level.
fn slot(tick: u64, level: usize) -> usize {
    let shift = SLOT_BITS * u32::try_from(level).unwrap_or(0);
    usize::try_from(tick >> shift & 0xFF).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn called(wheel: &mut Wheel<u64>, now: u64) -> Vec<u64> {
        let mut items = Vec::new();
        wheel.advance(now, |item| items.push(item));
        items
    }

    #[test]
    fn entries_are_called_when_due_and_not_before() {
        for at in [1, 8, 9, 2_047, 2_048, 2_049, 524_288, 524_289, 98_302_500] {
            let mut wheel = Wheel::new(5);
            wheel.insert(at, at);
            assert_eq!(
                called(&mut wheel, at.div_ceil(TICK_MILLIS) * TICK_MILLIS - 1),
                [0; 0],
                "{at} too early"
            );
            assert_eq!(
                called(&mut wheel, at.div_ceil(TICK_MILLIS) * TICK_MILLIS + TICK_MILLIS),
                [at],
                "{at}"
            );
            assert_eq!(wheel.next_millis(), None);
        }
    }

    #[test]
    fn a_long_sleep_calls_everything_once() {
        let mut wheel = Wheel::new(0);
        for at in [3, 700, 70_000, 7_000_000] {
            wheel.insert(at, at);
        }
        assert_eq!(called(&mut wheel, 100_000_000), [3, 700, 70_000, 7_000_000]);
        assert_eq!(called(&mut wheel, 200_000_000), [0; 0]);
    }

    #[test]
    fn what_lies_beyond_its_reach_is_called_early() {
        let mut wheel = Wheel::new(0);
        wheel.insert(u64::MAX / 2, 1);
        assert_eq!(called(&mut wheel, REACH_TICKS * TICK_MILLIS), [1]);
    }

    proptest! {
        /// Sleeping until `next_millis` again and again, every entry is called within one tick of its time.
        #[test]
        fn next_is_never_late(start in 0_u64..5_000_000, delays in prop::collection::vec(0_u64..3_000_000, 1..40)) {
            let mut wheel = Wheel::new(start);
            for delay in &delays {
                wheel.insert(start + delay, start + delay);
            }
            let mut calls = 0;
            while let Some(next) = wheel.next_millis() {
                for at in called(&mut wheel, next) {
                    prop_assert!(at <= next && next < at.max(start) + 2 * TICK_MILLIS, "{at} called at {next}");
                    calls += 1;
                }
            }
            prop_assert_eq!(calls, delays.len());
        }
    }
}
