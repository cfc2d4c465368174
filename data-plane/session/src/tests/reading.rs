//! What holds for whoever reads the log beside the sessions, whatever happens when.

use std::collections::VecDeque;
use std::ops::Range;

use engine::Pos;
use proptest::prelude::*;

use crate::Reading;

enum Arrival {
    Feed(u64),
    Page { from: Pos, next: Pos, messages: Vec<u64> },
}

fn pos(record: u64) -> Pos {
    Pos::of_record(record)
}

/// A reader that wants every record that is not divisible by three, and takes as many as it has room for.
struct World {
    reading: Reading,
    committed: u64,
    door: VecDeque<Arrival>,
    asked: Option<Range<Pos>>,
    room: u8,
    taken: Vec<u64>,
}

fn is_wanted(record: u64) -> bool {
    !record.is_multiple_of(3)
}

impl World {
    fn step(&mut self, step: u8) {
        match step {
            0..=2 => {
                if is_wanted(self.committed) {
                    self.door.push_back(Arrival::Feed(self.committed));
                }
                self.committed += 1;
            }
            3..=5 => self.take(),
            6 | 7 => self.look_up(1 + usize::from(step - 6) * 3),
            8 => {
                self.asked = None;
                if !self.door.iter().any(|arrival| matches!(arrival, Arrival::Page { .. })) {
                    self.reading.give_up();
                }
            }
            _ => self.room = step - 8,
        }
        if self.room > 0 && self.asked.is_none() {
            self.asked = self.reading.ask(pos(self.committed));
        }
    }

    fn look_up(&mut self, messages_max: usize) {
        let Some(range) = self.asked.take() else { return };
        let mut wanted = (range.start.record..range.end.record)
            .filter(|&record| is_wanted(record) && pos(record) >= range.start);
        let messages: Vec<_> = wanted.by_ref().take(messages_max).collect();
        let next = wanted.next().map_or(range.end, pos);
        self.door.push_back(Arrival::Page { from: range.start, next, messages });
    }

    fn take(&mut self) {
        match self.door.pop_front() {
            Some(Arrival::Feed(record)) => {
                if self.reading.shows(pos(record)) {
                    self.hand_out(record);
                }
            }
            Some(Arrival::Page { from, next, messages }) if self.reading.page_holds(from) => {
                for record in messages {
                    if pos(record) >= self.reading.next() && !self.hand_out(record) {
                        return;
                    }
                }
                let feed = self.door.iter().find_map(|arrival| match arrival {
                    Arrival::Feed(record) => Some(*record),
                    Arrival::Page { .. } => None,
                });
                self.reading.turn(next, pos(feed.unwrap_or(self.committed)));
            }
            Some(Arrival::Page { .. }) | None => {}
        }
    }

    fn hand_out(&mut self, record: u64) -> bool {
        if self.room == 0 {
            self.reading.leave(pos(record));
            return false;
        }
        self.room -= 1;
        self.reading.took(pos(record));
        self.taken.push(record);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_taken_once_in_the_order_of_the_log(
        before in 1_u64..8,
        begin in 1_u64..8,
        steps in prop::collection::vec(0..13_u8, 0..300),
    ) {
        let mut world = World {
            reading: Reading::behind(pos(begin)),
            committed: before,
            door: VecDeque::new(),
            asked: None,
            room: 0,
            taken: Vec::new(),
        };
        for &step in &steps {
            world.step(step);
        }
        for _ in 0..2 * steps.len() + 20 {
            world.step(12);
            world.step(6);
            world.step(3);
        }
        prop_assert!(!world.reading.is_behind());
        let expected: Vec<_> = (begin..world.committed).filter(|&record| is_wanted(record)).collect();
        prop_assert_eq!(world.taken, expected);
    }
}
