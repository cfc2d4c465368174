//! The reconciler that evaluates alarm rules over the ring of metrics.
//!
//! What stands as it stood is noted in one statement for many rules. What changes is decided again under the lock of
//! its instance, from the rows as they are then: two controllers that look at one moment raise one alarm.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use contract::feed::InstanceState;
use contract::ids::{AlarmId, AlarmRuleId, InstanceId};
use contract::metrics;
use store::StoreError;
use store::actor::Actor;
use store::alarm_rules::{AlarmRule, Condition, RuleState};
use store::alarms::{Alarm, AlarmState, ResolvedReason};
use store::instances::Instance;
use uuid::Uuid;

use super::machine::{Effect, Open, Reading, Rule, step};
use super::outbox::{self, AlarmEvent};
use crate::Services;
use crate::core::Core;
use crate::ids::new_id;
use crate::nodes::seen_since;
use crate::write::Write;

/// How many rules are read at one time.
const RULES_MAX: i64 = 500;
/// How long a process that has just begun waits for the first word of each node before it says that there is none.
const START_GRACE: TimeDelta = TimeDelta::seconds(30);

/// Evaluates every rule that was not evaluated within the last half of the period; answers how many have changed.
/// What fails of one instance is logged and holds up no other; the first failure is the answer in the end.
pub async fn evaluate_alarms(services: &Services, period: TimeDelta) -> Result<u64, StoreError> {
    let core = &services.core;
    let now = core.now();
    let mut after = (InstanceId(Uuid::nil()), AlarmRuleId(Uuid::nil()));
    let nodes = hear_nodes(core, now).await?;
    if nodes == Nodes::NotHeard {
        return Ok(0);
    }
    let mut sum = Sum::default();
    loop {
        let mut connection = core.store.read().await?;
        let looked = (now - period / 2, now);
        let rules =
            store::alarm_rules::list_due_of_all_tenants(&mut connection, looked, after, RULES_MAX).await?;
        let Some(last) = rules.last() else { return sum.outcome() };
        after = (last.instance, last.id);
        let ids: Vec<AlarmRuleId> = rules.iter().map(|rule| rule.id).collect();
        let open = store::alarms::list_open_of_all_tenants(&mut connection, &ids).await?;
        drop(connection);
        evaluate(core, rules, open, (nodes, now), &mut sum).await;
    }
}

/// What this process has heard of the nodes that run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Nodes {
    /// All have told of metrics lately.
    Heard,
    /// Some have not: what they count is missing.
    Missing,
    /// None has: all that runs is heard by others.
    NotHeard,
}

async fn hear_nodes(core: &Core, now: DateTime<Utc>) -> Result<Nodes, StoreError> {
    let reachable = store::nodes::list_seen(&mut *core.store.read().await?, seen_since(core)).await?;
    let heard = core.ring.nodes_heard(now);
    Ok(match reachable.iter().filter(|node| !heard.contains(node)).count() {
        0 => Nodes::Heard,
        _ if heard.is_empty() => Nodes::NotHeard,
        _ => Nodes::Missing,
    })
}

/// What has come of many instances.
#[derive(Default)]
struct Sum {
    changes: u64,
    failure: Option<StoreError>,
}

impl Sum {
    fn add(&mut self, outcome: Result<u64, StoreError>) {
        match outcome {
            Ok(changes) => self.changes += changes,
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }

    fn outcome(self) -> Result<u64, StoreError> {
        self.failure.map_or(Ok(self.changes), Err)
    }
}

async fn evaluate(
    core: &Core,
    rules: Vec<AlarmRule>,
    open: Vec<Alarm>,
    (nodes, now): (Nodes, DateTime<Utc>),
    sum: &mut Sum,
) {
    let open: HashMap<AlarmRuleId, Open> = open.iter().map(|alarm| (alarm.rule, open_of(alarm))).collect();
    let mut unchanged = Vec::new();
    let mut changed: BTreeMap<InstanceId, Vec<(AlarmRule, Reading)>> = BTreeMap::new();
    for rule in rules {
        let reading = read(core, &rule, nodes, now);
        let (found, effect) = step(rule_of(&rule), rule.evaluated, open.get(&rule.id).copied(), reading, now);
        if found.state == RuleState::NoData && now - core.started_at < START_GRACE {
            continue;
        }
        let before = rule.evaluated;
        let stands = (before.state, before.pending_since) == (found.state, found.pending_since);
        if effect == Effect::Nothing && stands {
            unchanged.push((rule.id, rule.revision, found.value));
        } else {
            changed.entry(rule.instance).or_default().push((rule, reading));
        }
    }
    let touched = touch(core, &unchanged, now).await;
    if let Err(error) = &touched {
        tracing::warn!(?error, rules = unchanged.len(), "that alarm rules were evaluated cannot be noted");
    }
    sum.add(touched);
    for (instance, rules) in changed {
        let applied = apply(core, instance, rules, now).await;
        if let Err(error) = &applied {
            tracing::warn!(instance.id = %instance, ?error, "alarm rules cannot be evaluated, will look again");
        }
        sum.add(applied);
    }
}

/// Notes what stands as it stood, which is no change.
async fn touch(
    core: &Core,
    unchanged: &[(AlarmRuleId, i64, Option<u64>)],
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let mut tx = core.store.begin().await?;
    store::alarm_rules::touch_of_all_tenants(&mut tx, unchanged, now).await?;
    tx.commit().await?;
    Ok(0)
}

/// What the ring says of a rule's metric.
fn read(core: &Core, rule: &AlarmRule, nodes: Nodes, now: DateTime<Utc>) -> Reading {
    let Condition::Threshold(threshold) = &rule.condition;
    // A metric of a later release, after a way back.
    let Some(metric) = metrics::find(&threshold.metric) else { return Reading::Unknown };
    let window = TimeDelta::seconds(i64::try_from(threshold.window_secs).unwrap_or(i64::MAX / 1_000));
    match core.ring.read(rule.instance, metric, threshold.reason.as_deref(), window, now) {
        Some(reading) if reading.is_complete && nodes == Nodes::Heard => Reading::Exactly(reading.value),
        Some(reading) => Reading::AtLeast(reading.value),
        None => Reading::Unknown,
    }
}

const fn rule_of(rule: &AlarmRule) -> Rule<'_> {
    Rule { condition: &rule.condition, for_secs: rule.for_secs, repeat_secs: rule.repeat_secs }
}

fn open_of(alarm: &Alarm) -> Open {
    Open { acknowledged: alarm.state == AlarmState::Acknowledged, told_at: alarm.told_at }
}

/// Decides again, under the lock of the instance, and makes it so.
async fn apply(
    core: &Core,
    instance: InstanceId,
    rules: Vec<(AlarmRule, Reading)>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let mut write = Write::begin_as(core, Actor::Platform, "evaluate_alarms").await?;
    let seen = store::instances::find_of_all_tenants(&mut write.tx, instance).await?;
    let Some(tenant) = seen.map(|instance| instance.tenant) else { return Ok(0) };
    let locked = store::instances::lock(&mut write.tx, tenant, instance).await?;
    let Some(instance) = locked.filter(|instance| instance.state == InstanceState::Running) else {
        return Ok(0);
    };
    let mut changes = 0;
    for (seen, reading) in rules {
        let rule = store::alarm_rules::find(&mut write.tx, instance.id, seen.id).await?;
        // Changed by somebody, or evaluated by another controller, meanwhile: it has its turn again soon.
        let as_seen = |rule: &AlarmRule| (rule.revision, rule.evaluated) == (seen.revision, seen.evaluated);
        let Some(rule) = rule.filter(as_seen) else { continue };
        let open = store::alarms::find_open(&mut write.tx, instance.id, rule.id).await?;
        let (found, effect) = step(rule_of(&rule), rule.evaluated, open.as_ref().map(open_of), reading, now);
        store::alarm_rules::update_evaluated(&mut write.tx, instance.id, rule.id, found).await?;
        take_effect(&mut write, &instance, &rule, open, effect, now).await?;
        changes += 1;
    }
    write.commit().await?;
    core.wake.deliveries.send_replace(());
    Ok(changes)
}

async fn take_effect(
    write: &mut Write<'_>,
    instance: &Instance,
    rule: &AlarmRule,
    open: Option<Alarm>,
    effect: Effect,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (event, alarm) = match (effect, open) {
        (Effect::Fire(value), None) => {
            let alarm = raised(instance, rule, value, now);
            store::alarms::insert(&mut write.tx, instance.id, &alarm).await?;
            (AlarmEvent::Firing, alarm)
        }
        (Effect::Repeat(value), Some(open)) => {
            let alarm = Alarm { value, told_at: now, revision: open.revision + 1, ..open };
            store::alarms::update(&mut write.tx, instance.id, &alarm).await?;
            (AlarmEvent::Firing, alarm)
        }
        (Effect::Resolve, Some(open)) => {
            let alarm = super::resolved(open, ResolvedReason::Cleared, now);
            store::alarms::update(&mut write.tx, instance.id, &alarm).await?;
            (AlarmEvent::Resolved, alarm)
        }
        (Effect::Nothing | Effect::Fire(_) | Effect::Repeat(_) | Effect::Resolve, _) => return Ok(()),
    };
    let told = (event, &alarm, super::metric(rule));
    outbox::tell_alarm(&mut write.tx, instance, &rule.channels, told, now).await
}

fn raised(instance: &Instance, rule: &AlarmRule, value: u64, now: DateTime<Utc>) -> Alarm {
    let Condition::Threshold(threshold) = &rule.condition;
    Alarm {
        id: AlarmId(new_id(now)),
        instance: instance.id,
        rule: rule.id,
        rule_name: rule.name.clone(),
        severity: rule.severity,
        state: AlarmState::Firing,
        value,
        threshold: threshold.value,
        fired_at: now,
        told_at: now,
        acknowledged_at: None,
        acknowledged_by: None,
        note: None,
        resolved_at: None,
        resolved_reason: None,
        revision: 1,
    }
}
