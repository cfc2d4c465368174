//! The state machine of an alarm rule: what was found before and what is read now give what is found now, and what
//! comes of it. Pure.
//!
//! A value that is wrong makes a rule `pending`, and `firing` once it has been wrong at every evaluation for
//! `for_secs`. Between the threshold and the clear value nothing changes for a rule that fires; one that is pending
//! begins anew. Without a reading the rule has `no_data`: what was pending is forgotten, an open alarm stays open.

use chrono::{DateTime, TimeDelta, Utc};
use store::alarm_rules::{Compare, Condition, Evaluated, RuleState, Threshold};

/// Evaluations further apart than this have not seen what was between them: what was pending begins anew.
pub const BLIND_MAX: TimeDelta = TimeDelta::seconds(60);

/// What is read of a rule's metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// This is the value.
    Exactly(u64),
    /// Not everybody has told: it is this or more.
    AtLeast(u64),
    /// Nobody can say.
    Unknown,
}

/// The open alarm of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open {
    /// Whether somebody has said that they know.
    pub acknowledged: bool,
    /// When its channels were last told that it fires.
    pub told_at: DateTime<Utc>,
}

/// What comes of an evaluation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// An alarm is raised, with this value.
    Fire(u64),
    /// The open alarm is told again, with this value.
    Repeat(u64),
    /// The open alarm is over.
    Resolve,
}

/// What a value means to a threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Judged {
    Wrong(u64),
    Between,
    Clear,
    Unknown,
}

fn judge(threshold: &Threshold, reading: Reading) -> Judged {
    let Threshold { compare, value: limit, clear_value, .. } = *threshold;
    let wrong = |value: u64| match compare {
        Compare::Above => value >= limit,
        Compare::Below => value <= limit,
    };
    let clear = |value: u64| match compare {
        Compare::Above => value <= clear_value,
        Compare::Below => value >= clear_value,
    };
    match (reading, compare) {
        // Where the two are the same value, it is wrong. What is at least too much is too much.
        (Reading::Exactly(value), _) | (Reading::AtLeast(value), Compare::Above) if wrong(value) => {
            Judged::Wrong(value)
        }
        (Reading::Exactly(value), _) | (Reading::AtLeast(value), Compare::Below) if clear(value) => {
            Judged::Clear
        }
        (Reading::Exactly(_), _) => Judged::Between,
        (Reading::AtLeast(_) | Reading::Unknown, _) => Judged::Unknown,
    }
}

/// The rule's own part of an evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// What it watches.
    pub condition: &'a Condition,
    /// For how long it must be wrong.
    pub for_secs: u64,
    /// How often it is told again.
    pub repeat_secs: Option<u64>,
}

/// Evaluates a rule at `now`.
#[must_use]
pub fn step(
    rule: Rule<'_>,
    before: Evaluated,
    open: Option<Open>,
    reading: Reading,
    now: DateTime<Utc>,
) -> (Evaluated, Effect) {
    let Condition::Threshold(threshold) = rule.condition;
    let value = match reading {
        Reading::Exactly(value) => Some(value),
        Reading::AtLeast(_) | Reading::Unknown => None,
    };
    let found = |state, pending_since| Evaluated { state, pending_since, value, at: Some(now) };
    match (judge(threshold, reading), open) {
        (Judged::Unknown, _) => (found(RuleState::NoData, None), Effect::Nothing),
        (Judged::Wrong(wrong), Some(open)) => {
            (found(RuleState::Firing, None), repeat(rule, open, wrong, now))
        }
        (Judged::Between, Some(_)) => (found(RuleState::Firing, None), Effect::Nothing),
        (Judged::Clear, Some(_)) => (found(RuleState::Ok, None), Effect::Resolve),
        (Judged::Wrong(wrong), None) => {
            let since = pending_since(before, now);
            if now - since >= secs(rule.for_secs) {
                (found(RuleState::Firing, None), Effect::Fire(wrong))
            } else {
                (found(RuleState::Pending, Some(since)), Effect::Nothing)
            }
        }
        (Judged::Between | Judged::Clear, None) => (found(RuleState::Ok, None), Effect::Nothing),
    }
}

/// Since when it is wrong: since before, if it was looked at all the time.
fn pending_since(before: Evaluated, now: DateTime<Utc>) -> DateTime<Utc> {
    let seen = before.at.is_some_and(|at| now - at <= BLIND_MAX);
    before.pending_since.filter(|since| seen && *since <= now).unwrap_or(now)
}

fn repeat(rule: Rule<'_>, open: Open, value: u64, now: DateTime<Utc>) -> Effect {
    match rule.repeat_secs {
        Some(every) if !open.acknowledged && now - open.told_at >= secs(every) => Effect::Repeat(value),
        _ => Effect::Nothing,
    }
}

fn secs(secs: u64) -> TimeDelta {
    i64::try_from(secs).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests;
