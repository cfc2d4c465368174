//! Alarms: what rules have raised, who knows, and what is over.

mod evaluate;
pub mod machine;
pub(crate) mod outbox;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contract::ids::{AlarmId, AlarmRuleId, InstanceId};
use serde_json::json;
use store::StoreError;
use store::alarm_rules::{AlarmRule, Condition};
pub use store::alarms::{Alarm, AlarmState, ResolvedReason};
use store::instances::Instance;

use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{GetError, ListError, UpdateError, WrongState};
use crate::page::{ListQuery, Page};
use crate::validate::Check;
use crate::write::{Audited, Write, check_revision, not_deleting};

pub use evaluate::evaluate_alarms;
use outbox::AlarmEvent;

/// Which alarms are asked for, beside what every list takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AlarmFilter {
    /// Only those in this state.
    pub state: Option<AlarmState>,
    /// Only those of this rule.
    pub rule: Option<AlarmRuleId>,
}

/// Shows and acknowledges alarms.
#[derive(Clone)]
pub struct Alarms {
    core: Arc<Core>,
}

impl Alarms {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The alarms of an instance, by when they were raised. Their name is their rule's.
    pub async fn list(
        &self,
        caller: &Caller,
        instance: InstanceId,
        filter: AlarmFilter,
        query: &ListQuery,
    ) -> Result<Page<Alarm>, ListError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        let found =
            store::alarms::list(&mut connection, instance.id, filter.state, filter.rule, &listing).await;
        query.page(found)
    }

    /// One alarm.
    pub async fn get(
        &self,
        caller: &Caller,
        instance: InstanceId,
        alarm: AlarmId,
    ) -> Result<Alarm, GetError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let mut connection = self.core.store.read().await?;
        let found = store::alarms::find(&mut connection, instance.id, alarm).await?;
        Ok(found.ok_or_else(|| AccessError::not_found("alarm", alarm))?)
    }

    /// Says that somebody knows of an alarm that fires; it is told again no more. Who comes second changes nothing.
    pub async fn acknowledge(
        &self,
        caller: &Caller,
        instance: InstanceId,
        alarm: AlarmId,
        if_revision: Option<i64>,
        note: Option<String>,
    ) -> Result<Alarm, UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let instance = write.instance(caller, instance, Action::WriteAlarms).await?;
        let found = store::alarms::find(&mut write.tx, instance.id, alarm).await?;
        let before = found.ok_or_else(|| AccessError::not_found("alarm", alarm))?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&instance)?;
        let mut check = Check::default();
        check.description("/note", note.as_deref().unwrap_or_default());
        check.finish()?;
        match before.state {
            AlarmState::Firing => {}
            AlarmState::Acknowledged => return Ok(before),
            AlarmState::Resolved => {
                return Err(WrongState(format!("alarm `{}` is over", before.id)).into());
            }
        }
        let alarm = Alarm {
            state: AlarmState::Acknowledged,
            acknowledged_at: Some(write.now),
            acknowledged_by: Some(caller.actor),
            note,
            revision: before.revision + 1,
            ..before
        };
        store::alarms::update(&mut write.tx, instance.id, &alarm).await?;
        // Its rule is there: whoever deletes a rule ends its alarm.
        if let Some(rule) = store::alarm_rules::find(&mut write.tx, instance.id, alarm.rule).await? {
            let now = write.now;
            let told = (AlarmEvent::Acknowledged, &alarm, metric(&rule));
            outbox::tell_alarm(&mut write.tx, &instance, &rule.channels, told, now).await?;
        }
        let (id, after) = (alarm.id.to_string(), Some(json!({ "note": alarm.note })));
        let audited =
            Audited { action: "acknowledge_alarm", resource: "alarm", id: &id, before: None, after };
        write.audit_in(&instance, audited);
        write.commit().await?;
        self.core.wake.deliveries.send_replace(());
        Ok(alarm)
    }
}

/// The metric that a rule watches.
pub(crate) fn metric(rule: &AlarmRule) -> &str {
    let Condition::Threshold(threshold) = &rule.condition;
    &threshold.metric
}

/// Ends the open alarm of a rule in a locked instance, if it has one, and tells the rule's channels.
pub(crate) async fn resolve(
    write: &mut Write<'_>,
    instance: &Instance,
    rule: &AlarmRule,
    reason: ResolvedReason,
) -> Result<bool, StoreError> {
    let Some(open) = store::alarms::find_open(&mut write.tx, instance.id, rule.id).await? else {
        return Ok(false);
    };
    let now = write.now;
    let alarm = resolved(open, reason, now);
    store::alarms::update(&mut write.tx, instance.id, &alarm).await?;
    let told = (AlarmEvent::Resolved, &alarm, metric(rule));
    outbox::tell_alarm(&mut write.tx, instance, &rule.channels, told, now).await?;
    Ok(true)
}

fn resolved(open: Alarm, reason: ResolvedReason, now: DateTime<Utc>) -> Alarm {
    Alarm {
        state: AlarmState::Resolved,
        resolved_at: Some(now),
        resolved_reason: Some(reason),
        revision: open.revision + 1,
        ..open
    }
}
