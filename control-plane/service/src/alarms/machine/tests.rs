//! A rule's life as a script: each line is a moment in seconds, what is read, and what is found and comes of it.

use super::Reading::{AtLeast, Exactly, Unknown};
use super::*;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn threshold(compare: Compare, value: u64, clear_value: u64) -> Condition {
    let metric = "connections".to_owned();
    Condition::Threshold(Threshold { metric, reason: None, compare, window_secs: 60, value, clear_value })
}

struct Script {
    condition: Condition,
    for_secs: u64,
    repeat_secs: Option<u64>,
    found: Evaluated,
    open: Option<Open>,
}

impl Script {
    fn new(condition: Condition, for_secs: u64) -> Self {
        let found = Evaluated { state: RuleState::Ok, pending_since: None, value: None, at: None };
        Self { condition, for_secs, repeat_secs: None, found, open: None }
    }

    /// One evaluation, so many milliseconds after the start.
    fn at(&mut self, millis: i64, reading: Reading) -> (RuleState, Effect) {
        let now = start() + TimeDelta::milliseconds(millis);
        let rule =
            Rule { condition: &self.condition, for_secs: self.for_secs, repeat_secs: self.repeat_secs };
        let (found, effect) = step(rule, self.found, self.open, reading, now);
        match effect {
            Effect::Fire(_) => {
                assert_eq!(self.open, None, "one open alarm");
                self.open = Some(Open { acknowledged: false, told_at: now });
            }
            Effect::Repeat(_) => self.open.as_mut().expect("an open alarm").told_at = now,
            Effect::Resolve => self.open = None,
            Effect::Nothing => {}
        }
        assert_eq!(found.at, Some(now));
        assert_eq!(found.pending_since.is_some(), found.state == RuleState::Pending);
        self.found = found;
        (found.state, effect)
    }

    #[track_caller]
    fn run(&mut self, script: &[(i64, Reading, RuleState, Effect)]) {
        for (secs, reading, state, effect) in script {
            assert_eq!(self.at(secs * 1_000, *reading), (*state, *effect), "at {secs} s: {reading:?}");
        }
    }
}

use Effect::{Fire, Nothing, Repeat, Resolve};
use RuleState::{Firing, NoData, Ok, Pending};

#[test]
fn the_threshold_and_the_clear_value_are_met_exactly() {
    let mut above = Script::new(threshold(Compare::Above, 100, 80), 0);
    above.run(&[
        (0, Exactly(99), Ok, Nothing),
        (10, Exactly(100), Firing, Fire(100)),
        (20, Exactly(99), Firing, Nothing),
        (30, Exactly(81), Firing, Nothing),
        (40, Exactly(101), Firing, Nothing),
        (50, Exactly(80), Ok, Resolve),
        (60, Exactly(99), Ok, Nothing),
    ]);
    let mut below = Script::new(threshold(Compare::Below, 10, 20), 0);
    below.run(&[
        (0, Exactly(11), Ok, Nothing),
        (10, Exactly(10), Firing, Fire(10)),
        (20, Exactly(19), Firing, Nothing),
        (30, Exactly(0), Firing, Nothing),
        (40, Exactly(20), Ok, Resolve),
    ]);
    let mut equal = Script::new(threshold(Compare::Above, 5, 5), 0);
    equal.run(&[
        (0, Exactly(5), Firing, Fire(5)),
        (10, Exactly(5), Firing, Nothing),
        (20, Exactly(4), Ok, Resolve),
    ]);
}

#[test]
fn it_fires_when_it_was_wrong_for_so_long_and_not_a_millisecond_sooner() {
    let mut rule = Script::new(threshold(Compare::Above, 100, 80), 60);
    assert_eq!(rule.at(500, Exactly(100)), (Pending, Nothing));
    assert_eq!(rule.at(30_000, Exactly(500)), (Pending, Nothing));
    assert_eq!(rule.at(60_499, Exactly(100)), (Pending, Nothing));
    assert_eq!(rule.at(60_500, Exactly(100)), (Firing, Fire(100)));
}

#[test]
fn what_is_not_wrong_all_the_time_begins_anew() {
    let mut rule = Script::new(threshold(Compare::Above, 100, 80), 30);
    rule.run(&[
        (0, Exactly(100), Pending, Nothing),
        (20, Exactly(99), Ok, Nothing),
        (30, Exactly(100), Pending, Nothing),
        (50, Unknown, NoData, Nothing),
        (60, Exactly(100), Pending, Nothing),
        (89, Exactly(100), Pending, Nothing),
        (90, Exactly(100), Firing, Fire(100)),
    ]);
}

#[test]
fn nobody_looked_means_nobody_knows() {
    let mut rule = Script::new(threshold(Compare::Above, 100, 80), 90);
    rule.run(&[
        (0, Exactly(100), Pending, Nothing),
        (60, Exactly(100), Pending, Nothing),
        // 61 s later, as after a restart: what was between was not seen.
        (121, Exactly(100), Pending, Nothing),
        (180, Exactly(100), Pending, Nothing),
        (211, Exactly(100), Firing, Fire(100)),
    ]);
}

#[test]
fn without_data_an_open_alarm_stays_open() {
    let mut rule = Script::new(threshold(Compare::Above, 100, 80), 0);
    rule.run(&[
        (0, Unknown, NoData, Nothing),
        (10, Exactly(100), Firing, Fire(100)),
        (20, Unknown, NoData, Nothing),
        (30, Exactly(90), Firing, Nothing),
        (40, Unknown, NoData, Nothing),
        (50, Exactly(100), Firing, Nothing),
        (60, Unknown, NoData, Nothing),
        (70, Exactly(0), Ok, Resolve),
    ]);
}

#[test]
fn a_part_of_the_value_counts_only_where_the_rest_changes_nothing() {
    let mut above = Script::new(threshold(Compare::Above, 100, 80), 0);
    above.run(&[
        (0, AtLeast(99), NoData, Nothing),
        (10, AtLeast(100), Firing, Fire(100)),
        (20, AtLeast(0), NoData, Nothing),
        (30, Exactly(0), Ok, Resolve),
    ]);
    let mut below = Script::new(threshold(Compare::Below, 10, 20), 0);
    below.run(&[
        (0, AtLeast(0), NoData, Nothing),
        (10, Exactly(0), Firing, Fire(0)),
        (20, AtLeast(19), NoData, Nothing),
        (30, AtLeast(20), Ok, Resolve),
    ]);
}

#[test]
fn it_is_told_again_until_somebody_knows() {
    let mut rule = Script { repeat_secs: Some(60), ..Script::new(threshold(Compare::Above, 100, 80), 0) };
    rule.run(&[
        (0, Exactly(100), Firing, Fire(100)),
        (59, Exactly(100), Firing, Nothing),
        (60, Exactly(120), Firing, Repeat(120)),
        (119, Exactly(100), Firing, Nothing),
        (120, Exactly(100), Firing, Repeat(100)),
        (185, Exactly(90), Firing, Nothing),
        (186, Unknown, NoData, Nothing),
        (187, Exactly(100), Firing, Repeat(100)),
    ]);
    rule.open.as_mut().expect("an open alarm").acknowledged = true;
    rule.run(&[(300, Exactly(100), Firing, Nothing), (310, Exactly(1), Ok, Resolve)]);
}

#[test]
fn a_clock_that_goes_back_fires_nothing_early() {
    let mut rule = Script::new(threshold(Compare::Above, 100, 80), 30);
    rule.run(&[
        (100, Exactly(100), Pending, Nothing),
        (50, Exactly(100), Pending, Nothing),
        (79, Exactly(100), Pending, Nothing),
        (80, Exactly(100), Firing, Fire(100)),
    ]);
}
