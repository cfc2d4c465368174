//! Whether a rule can be evaluated, and tells channels that are there.

use std::collections::BTreeSet;

use contract::metrics;
use store::alarm_rules::{AlarmRule, Compare, Condition, Threshold};
use store::{PgConnection, StoreError};

use super::WriteAlarmRuleError;
use crate::validate::Check;

/// The shortest that is looked back: what nodes tell of at one time.
pub const WINDOW_SECS_MIN: u64 = metrics::SLOT_SECS;
/// The longest.
pub const WINDOW_SECS_MAX: u64 = 3_600;
/// The longest that something may have to be wrong.
pub const FOR_SECS_MAX: u64 = 86_400;
/// The most often that an alarm is told again.
pub const REPEAT_SECS_MIN: u64 = 60;
/// The least often.
pub const REPEAT_SECS_MAX: u64 = 604_800;
/// The most channels of one rule.
pub const CHANNELS_PER_RULE_MAX: usize = 10;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 64;
/// The largest value: what every client of the API can hold.
const VALUE_MAX: u64 = (1 << 53) - 1;

/// Whether a rule is good as it is.
pub(super) async fn check(
    connection: &mut PgConnection,
    rule: &AlarmRule,
) -> Result<(), WriteAlarmRuleError> {
    let mut check = Check::default();
    check_rule(&mut check, rule);
    if rule.channels.len() <= CHANNELS_PER_RULE_MAX {
        check_channels(connection, &mut check, rule).await?;
    }
    Ok(check.finish()?)
}

fn check_rule(check: &mut Check, rule: &AlarmRule) {
    check.name("/name", &rule.name);
    let Condition::Threshold(threshold) = &rule.condition;
    check_threshold(check, threshold);
    if rule.for_secs > FOR_SECS_MAX {
        check.fail("/for_secs", "out_of_bounds", format!("at most {FOR_SECS_MAX}"));
    }
    if rule.repeat_secs.is_some_and(|secs| !(REPEAT_SECS_MIN..=REPEAT_SECS_MAX).contains(&secs)) {
        check.fail("/repeat_secs", "out_of_bounds", format!("{REPEAT_SECS_MIN} to {REPEAT_SECS_MAX}"));
    }
    if rule.channels.len() > CHANNELS_PER_RULE_MAX {
        check.fail("/channels", "too_many", format!("at most {CHANNELS_PER_RULE_MAX} channels"));
    } else if rule.channels.iter().collect::<BTreeSet<_>>().len() < rule.channels.len() {
        check.fail("/channels", "invalid", "no channel twice");
    }
}

fn check_threshold(check: &mut Check, threshold: &Threshold) {
    let Threshold { metric, reason, compare, window_secs, value, clear_value } = threshold;
    match metrics::find(metric) {
        None => check.fail("/condition/metric", "unknown", format!("no metric is called `{metric}`")),
        Some(known) if reason.is_some() && !known.by_reason => {
            let detail = format!("`{metric}` is not told apart by reason");
            check.fail("/condition/reason", "invalid", detail);
        }
        Some(_) => {}
    }
    let is_reason =
        |reason: &str| reason.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
    if reason
        .as_deref()
        .is_some_and(|reason| reason.is_empty() || reason.len() > REASON_BYTES_MAX || !is_reason(reason))
    {
        check.fail("/condition/reason", "invalid", "lower-case letters, digits and `_`");
    }
    if !(WINDOW_SECS_MIN..=WINDOW_SECS_MAX).contains(window_secs) {
        let detail = format!("{WINDOW_SECS_MIN} to {WINDOW_SECS_MAX}");
        check.fail("/condition/window_secs", "out_of_bounds", detail);
    }
    if *value > VALUE_MAX || (*compare == Compare::Above && *value == 0) {
        check.fail("/condition/value", "out_of_bounds", "what is above 0 begins with 1");
    }
    match compare {
        Compare::Above if clear_value > value => {
            check.fail("/condition/clear_value", "out_of_bounds", "at most the value");
        }
        Compare::Below if clear_value < value || *clear_value > VALUE_MAX => {
            check.fail("/condition/clear_value", "out_of_bounds", "at least the value");
        }
        Compare::Above | Compare::Below => {}
    }
}

async fn check_channels(
    connection: &mut PgConnection,
    check: &mut Check,
    rule: &AlarmRule,
) -> Result<(), StoreError> {
    let known = store::channels::find_all(connection, rule.instance, &rule.channels).await?;
    for (at, channel) in rule.channels.iter().enumerate() {
        if known.iter().all(|it| it.id != *channel) {
            check.fail(&format!("/channels/{at}"), "unknown", format!("there is no channel `{channel}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use contract::ids::{AlarmRuleId, ChannelId, InstanceId};
    use store::alarm_rules::Severity;
    use uuid::Uuid;

    use super::*;

    fn rule() -> AlarmRule {
        AlarmRule {
            id: AlarmRuleId(Uuid::nil()),
            instance: InstanceId(Uuid::nil()),
            name: "many".to_owned(),
            severity: Severity::Warning,
            enabled: true,
            condition: Condition::Threshold(Threshold {
                metric: "connections".to_owned(),
                reason: None,
                compare: Compare::Above,
                window_secs: 60,
                value: 100,
                clear_value: 80,
            }),
            for_secs: 60,
            repeat_secs: None,
            channels: Vec::new(),
            created_at: chrono::DateTime::UNIX_EPOCH,
            updated_at: chrono::DateTime::UNIX_EPOCH,
            revision: 1,
            evaluated: super::super::NOT_EVALUATED,
        }
    }

    #[track_caller]
    fn faults(change: impl FnOnce(&mut AlarmRule, &mut Threshold), expected: &[&str]) {
        let mut rule = rule();
        let Condition::Threshold(mut threshold) = rule.condition.clone();
        change(&mut rule, &mut threshold);
        rule.condition = Condition::Threshold(threshold);
        let mut check = Check::default();
        check_rule(&mut check, &rule);
        let found: Vec<String> = check
            .finish()
            .err()
            .into_iter()
            .flat_map(|invalid| invalid.0)
            .map(|field| format!("{} {}", field.pointer, field.code))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_bound_at_its_edges() {
        faults(|_, _| (), &[]);
        faults(|rule, _| rule.name.clear(), &["/name required"]);
        faults(|_, it| it.window_secs = WINDOW_SECS_MIN, &[]);
        faults(|_, it| it.window_secs = WINDOW_SECS_MIN - 1, &["/condition/window_secs out_of_bounds"]);
        faults(|_, it| it.window_secs = WINDOW_SECS_MAX, &[]);
        faults(|_, it| it.window_secs = WINDOW_SECS_MAX + 1, &["/condition/window_secs out_of_bounds"]);
        faults(|rule, _| rule.for_secs = 0, &[]);
        faults(|rule, _| rule.for_secs = FOR_SECS_MAX, &[]);
        faults(|rule, _| rule.for_secs = FOR_SECS_MAX + 1, &["/for_secs out_of_bounds"]);
        faults(|rule, _| rule.repeat_secs = Some(REPEAT_SECS_MIN), &[]);
        faults(|rule, _| rule.repeat_secs = Some(REPEAT_SECS_MIN - 1), &["/repeat_secs out_of_bounds"]);
        faults(|rule, _| rule.repeat_secs = Some(REPEAT_SECS_MAX + 1), &["/repeat_secs out_of_bounds"]);
        faults(|_, it| (it.value, it.clear_value) = (VALUE_MAX, VALUE_MAX), &[]);
        faults(|_, it| it.value = VALUE_MAX + 1, &["/condition/value out_of_bounds"]);
        faults(|_, it| (it.value, it.clear_value) = (0, 0), &["/condition/value out_of_bounds"]);
        faults(|_, it| it.clear_value = 100, &[]);
        faults(|_, it| it.clear_value = 101, &["/condition/clear_value out_of_bounds"]);
    }

    #[test]
    fn below_is_mirrored() {
        let below = |value, clear_value| {
            move |_: &mut AlarmRule, it: &mut Threshold| {
                (it.compare, it.value, it.clear_value) = (Compare::Below, value, clear_value);
            }
        };
        faults(below(0, 0), &[]);
        faults(below(0, 1), &[]);
        faults(below(10, 9), &["/condition/clear_value out_of_bounds"]);
        faults(below(10, VALUE_MAX + 1), &["/condition/clear_value out_of_bounds"]);
    }

    #[test]
    fn metrics_and_reasons_are_known() {
        faults(|_, it| it.metric = "speed".to_owned(), &["/condition/metric unknown"]);
        faults(|_, it| it.reason = Some("rate".to_owned()), &["/condition/reason invalid"]);
        let refused = |reason: &str| {
            let reason = reason.to_owned();
            move |_: &mut AlarmRule, it: &mut Threshold| {
                (it.metric, it.reason) = ("refused".to_owned(), Some(reason));
            }
        };
        faults(refused("rate_limited"), &[]);
        faults(refused(""), &["/condition/reason invalid"]);
        faults(refused("Rate Limited"), &["/condition/reason invalid"]);
        faults(refused(&"a".repeat(REASON_BYTES_MAX + 1)), &["/condition/reason invalid"]);
    }

    #[test]
    fn channels_are_few_and_none_twice() {
        let ids = |count: usize| (0..count).map(|at| ChannelId(Uuid::from_u128(at as u128))).collect();
        faults(|rule, _| rule.channels = ids(CHANNELS_PER_RULE_MAX), &[]);
        faults(|rule, _| rule.channels = ids(CHANNELS_PER_RULE_MAX + 1), &["/channels too_many"]);
        faults(|rule, _| rule.channels = vec![ChannelId(Uuid::nil()); 2], &["/channels invalid"]);
    }
}
