//! Alarm rules: what is watched, from where on it is wrong, and who is told.

mod check;

use std::sync::Arc;

use contract::ids::{AlarmRuleId, ChannelId, InstanceId};
use serde_json::{Value, json};
use store::StoreError;
pub use store::alarm_rules::{AlarmRule, Compare, Condition, Evaluated, RuleState, Severity, Threshold};
use store::error::Constraint;
use store::instances::Instance;

use crate::access::{AccessError, Action, Caller};
use crate::alarms::{self, ResolvedReason};
use crate::core::Core;
use crate::error::{
    DeleteError, GetError, Invalid, LimitReached, ListError, NameTaken, RevisionMismatch, WrongState,
    takes_get_error,
};
use crate::ids::new_id;
use crate::page::{ListQuery, Page};
use crate::write::{Audited, Write, check_revision, not_deleting};

pub use check::{
    CHANNELS_PER_RULE_MAX, FOR_SECS_MAX, REPEAT_SECS_MAX, REPEAT_SECS_MIN, WINDOW_SECS_MAX, WINDOW_SECS_MIN,
};

/// Makes, changes and deletes alarm rules.
#[derive(Clone)]
pub struct AlarmRules {
    core: Arc<Core>,
}

/// What a new rule is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAlarmRule {
    /// What people call it; unique in the instance.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it is evaluated.
    pub enabled: bool,
    /// What it watches.
    pub condition: Condition,
    /// For how long it must be wrong before an alarm is raised.
    pub for_secs: u64,
    /// Who is told.
    pub channels: Vec<ChannelId>,
    /// How often an alarm that nobody has acknowledged is told again.
    pub repeat_secs: Option<u64>,
}

/// What is to change of a rule; what is none stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AlarmRulePatch {
    /// What people call it.
    pub name: Option<String>,
    /// How bad it is; of the next alarm.
    pub severity: Option<Severity>,
    /// Whether it is evaluated. An open alarm of a rule that is disabled is over.
    pub enabled: Option<bool>,
    /// What it watches, whole. Where it watches something else than before, an open alarm is over.
    pub condition: Option<Condition>,
    /// For how long it must be wrong.
    pub for_secs: Option<u64>,
    /// Who is told, all of them.
    pub channels: Option<Vec<ChannelId>>,
    /// How often it is told again; `Some(None)`: never.
    pub repeat_secs: Option<Option<u64>>,
}

/// Why a rule was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteAlarmRuleError {
    /// There is no such thing for this caller, or it may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The instance has all the rules it may have.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The instance has a rule of this name.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// It has changed meanwhile.
    #[error(transparent)]
    Revision(#[from] RevisionMismatch),
    /// The instance is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

takes_get_error!(WriteAlarmRuleError);

/// What a rule is before it is evaluated.
const NOT_EVALUATED: Evaluated =
    Evaluated { state: RuleState::Ok, pending_since: None, value: None, at: None };

impl AlarmRules {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Makes a rule.
    pub async fn create(
        &self,
        caller: &Caller,
        instance: InstanceId,
        new: NewAlarmRule,
    ) -> Result<AlarmRule, WriteAlarmRuleError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let instance = write.instance(caller, instance, Action::WriteAlarms).await?;
        not_deleting(&instance)?;
        let rule = AlarmRule {
            id: AlarmRuleId(new_id(write.now)),
            instance: instance.id,
            name: new.name,
            severity: new.severity,
            enabled: new.enabled,
            condition: new.condition,
            for_secs: new.for_secs,
            repeat_secs: new.repeat_secs,
            channels: new.channels,
            created_at: write.now,
            updated_at: write.now,
            revision: 1,
            evaluated: NOT_EVALUATED,
        };
        check::check(&mut write.tx, &rule).await?;
        let used = store::alarm_rules::count(&mut write.tx, instance.id).await?;
        if used >= instance.limits.alarm_rules_max {
            return Err(WriteAlarmRuleError::Limit(LimitReached {
                name: "alarm_rules_max",
                value: instance.limits.alarm_rules_max,
                used,
                scope: "instance",
                subject: instance.name.clone(),
            }));
        }
        let inserted = store::alarm_rules::insert(&mut write.tx, instance.id, &rule).await;
        inserted.map_err(|error| name_taken(error, &rule.name))?;
        audit(&mut write, &instance, "create_alarm_rule", None, Some(&rule));
        write.commit().await?;
        Ok(rule)
    }

    /// The rules of an instance.
    pub async fn list(
        &self,
        caller: &Caller,
        instance: InstanceId,
        query: &ListQuery,
    ) -> Result<Page<AlarmRule>, ListError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        query.page(store::alarm_rules::list(&mut connection, instance.id, &listing).await)
    }

    /// One rule.
    pub async fn get(
        &self,
        caller: &Caller,
        instance: InstanceId,
        rule: AlarmRuleId,
    ) -> Result<AlarmRule, GetError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let mut connection = self.core.store.read().await?;
        let found = store::alarm_rules::find(&mut connection, instance.id, rule).await?;
        Ok(found.ok_or_else(|| AccessError::not_found("alarm_rule", rule))?)
    }

    /// Changes a rule, if it still has the revision that is asked for.
    pub async fn update(
        &self,
        caller: &Caller,
        instance: InstanceId,
        rule: AlarmRuleId,
        if_revision: Option<i64>,
        patch: AlarmRulePatch,
    ) -> Result<AlarmRule, WriteAlarmRuleError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, rule).await?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&instance)?;
        let mut rule = AlarmRule {
            name: patch.name.unwrap_or_else(|| before.name.clone()),
            severity: patch.severity.unwrap_or(before.severity),
            enabled: patch.enabled.unwrap_or(before.enabled),
            condition: patch.condition.unwrap_or_else(|| before.condition.clone()),
            for_secs: patch.for_secs.unwrap_or(before.for_secs),
            repeat_secs: patch.repeat_secs.unwrap_or(before.repeat_secs),
            channels: patch.channels.unwrap_or_else(|| before.channels.clone()),
            updated_at: write.now,
            revision: before.revision + 1,
            ..before.clone()
        };
        check::check(&mut write.tx, &rule).await?;
        let updated = store::alarm_rules::update(&mut write.tx, instance.id, &rule).await;
        updated.map_err(|error| name_taken(error, &rule.name))?;
        if let Some(reason) = why_anew(&before, &rule) {
            // Who was told of the alarm hears of its end, though the rule may tell others from now on.
            alarms::resolve(&mut write, &instance, &before, reason).await?;
            rule.evaluated = NOT_EVALUATED;
            let evaluated = rule.evaluated;
            store::alarm_rules::update_evaluated(&mut write.tx, instance.id, rule.id, evaluated).await?;
        }
        audit(&mut write, &instance, "update_alarm_rule", Some(&before), Some(&rule));
        write.commit().await?;
        self.core.wake.deliveries.send_replace(());
        Ok(rule)
    }

    /// Deletes a rule. Its alarms stay as they were; an open one is over.
    pub async fn delete(
        &self,
        caller: &Caller,
        instance: InstanceId,
        rule: AlarmRuleId,
        if_revision: Option<i64>,
    ) -> Result<(), DeleteError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, rule).await?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&instance)?;
        alarms::resolve(&mut write, &instance, &before, ResolvedReason::RuleDeleted).await?;
        store::alarm_rules::delete(&mut write.tx, instance.id, rule).await?;
        audit(&mut write, &instance, "delete_alarm_rule", Some(&before), None);
        write.commit().await?;
        self.core.wake.deliveries.send_replace(());
        Ok(())
    }
}

/// Why a rule begins anew after a change, if it does. Other bounds of the same metric go on from where it stands.
fn why_anew(before: &AlarmRule, after: &AlarmRule) -> Option<ResolvedReason> {
    let (Condition::Threshold(was), Condition::Threshold(is)) = (&before.condition, &after.condition);
    let watched = |it: &Threshold| (it.metric.clone(), it.reason.clone(), it.compare, it.window_secs);
    if before.enabled && !after.enabled {
        Some(ResolvedReason::RuleDisabled)
    } else if watched(was) != watched(is) {
        Some(ResolvedReason::RuleChanged)
    } else {
        None
    }
}

async fn lock(
    write: &mut Write<'_>,
    caller: &Caller,
    instance: InstanceId,
    rule: AlarmRuleId,
) -> Result<(Instance, AlarmRule), GetError> {
    let instance = write.instance(caller, instance, Action::WriteAlarms).await?;
    let found = store::alarm_rules::find(&mut write.tx, instance.id, rule).await?;
    Ok((instance, found.ok_or_else(|| AccessError::not_found("alarm_rule", rule))?))
}

fn name_taken(error: StoreError, name: &str) -> WriteAlarmRuleError {
    if error.breaks(Constraint::AlarmRuleTaken) {
        return NameTaken { pointer: "/name", name: name.to_owned() }.into();
    }
    WriteAlarmRuleError::Store(error)
}

fn audit(
    write: &mut Write<'_>,
    instance: &Instance,
    action: &'static str,
    before: Option<&AlarmRule>,
    after: Option<&AlarmRule>,
) {
    let id = before.or(after).map(|rule| rule.id.to_string()).unwrap_or_default();
    let (before, after) = (before.map(summary), after.map(summary));
    write.audit_in(instance, Audited { action, resource: "alarm_rule", id: &id, before, after });
}

fn summary(rule: &AlarmRule) -> Value {
    json!({
        "name": rule.name,
        "severity": rule.severity,
        "enabled": rule.enabled,
        "condition": rule.condition,
        "for_secs": rule.for_secs,
        "repeat_secs": rule.repeat_secs,
        "channels": rule.channels,
    })
}
