//! Alarms: raised, acknowledged, resolved. A rule has one open alarm at most, and its alarms outlive it.

use chrono::{DateTime, Utc};
use contract::ids::{AlarmId, AlarmRuleId, InstanceId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::actor::Actor;
use crate::alarm_rules::Severity;
use crate::named::{Named, Written};
use crate::page::{self, Listing, Matching, Rows, Source};
use crate::{PgConnection, StoreError, signed, unsigned};

/// How far an alarm has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// It was raised, and nobody has said that they know.
    Firing,
    /// Somebody knows.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// Why an alarm is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedReason {
    /// All is well again.
    Cleared,
    /// The rule watches something else now.
    RuleChanged,
    /// The rule is disabled.
    RuleDisabled,
    /// The rule is gone.
    RuleDeleted,
}

/// One alarm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// Its id.
    pub id: AlarmId,
    /// The instance.
    pub instance: InstanceId,
    /// The rule that raised it; it may be gone.
    pub rule: AlarmRuleId,
    /// What the rule was called.
    pub rule_name: String,
    /// How bad it is.
    pub severity: Severity,
    /// How far it has come.
    pub state: AlarmState,
    /// What was measured when its channels were last told that it fires.
    pub value: u64,
    /// From where on it was wrong.
    pub threshold: u64,
    /// When it was raised.
    pub fired_at: DateTime<Utc>,
    /// When its channels were last told that it fires.
    pub told_at: DateTime<Utc>,
    /// When somebody said that they know.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Who.
    pub acknowledged_by: Option<Actor>,
    /// What they said.
    pub note: Option<String>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Why.
    pub resolved_reason: Option<ResolvedReason>,
    /// Grows with every change.
    pub revision: i64,
}

struct Row {
    alarm_id: Uuid,
    instance_id: Uuid,
    alarm_rule_id: Uuid,
    rule_name: String,
    severity: Named<Severity>,
    state: Named<AlarmState>,
    value: i64,
    threshold: i64,
    fired_at: DateTime<Utc>,
    told_at: DateTime<Utc>,
    acknowledged_at: Option<DateTime<Utc>>,
    acknowledged_by: Option<Written<Actor>>,
    note: Option<String>,
    resolved_at: Option<DateTime<Utc>>,
    resolved_reason: Option<Named<ResolvedReason>>,
    revision: i64,
}

impl From<Row> for Alarm {
    fn from(row: Row) -> Self {
        Self {
            id: AlarmId(row.alarm_id),
            instance: InstanceId(row.instance_id),
            rule: AlarmRuleId(row.alarm_rule_id),
            rule_name: row.rule_name,
            severity: row.severity.0,
            state: row.state.0,
            value: unsigned(row.value),
            threshold: unsigned(row.threshold),
            fired_at: row.fired_at,
            told_at: row.told_at,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by.map(|by| by.0),
            note: row.note,
            resolved_at: row.resolved_at,
            resolved_reason: row.resolved_reason.map(|reason| reason.0),
            revision: row.revision,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT alarm_id, instance_id, alarm_rule_id, rule_name, severity AS "severity: Named<Severity>",
                      state AS "state: Named<AlarmState>", value, threshold, fired_at, told_at,
                      acknowledged_at, acknowledged_by AS "acknowledged_by: Written<Actor>", note, resolved_at,
                      resolved_reason AS "resolved_reason: Named<ResolvedReason>", revision
               FROM alarm "# + $tail
            $(, $arg)*
        )
    };
}

const SOURCE: Source = Source {
    from: "alarm",
    filter: "true",
    owner: "instance_id",
    id: "alarm_id",
    id_type: "uuid",
    name: "rule_name",
    created_at: "fired_at",
    labels: None,
};

/// Raises an alarm. [`crate::error::Constraint::AlarmOpen`] if its rule has an open one.
pub async fn insert(
    connection: &mut PgConnection,
    instance: InstanceId,
    alarm: &Alarm,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO alarm (alarm_id, instance_id, alarm_rule_id, rule_name, severity, state, value, threshold,
             fired_at, told_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        alarm.id.0,
        instance.0,
        alarm.rule.0,
        alarm.rule_name,
        Named(alarm.severity) as _,
        Named(alarm.state) as _,
        signed(alarm.value),
        signed(alarm.threshold),
        alarm.fired_at,
        alarm.told_at,
        alarm.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what may change of an alarm; the instance must be locked.
pub async fn update(
    connection: &mut PgConnection,
    instance: InstanceId,
    alarm: &Alarm,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE alarm SET state = $3, value = $4, told_at = $5, acknowledged_at = $6, acknowledged_by = $7,
             note = $8, resolved_at = $9, resolved_reason = $10, revision = $11
         WHERE instance_id = $1 AND alarm_id = $2",
        instance.0,
        alarm.id.0,
        Named(alarm.state) as _,
        signed(alarm.value),
        alarm.told_at,
        alarm.acknowledged_at,
        alarm.acknowledged_by.map(Written) as _,
        alarm.note,
        alarm.resolved_at,
        alarm.resolved_reason.map(Named) as _,
        alarm.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The alarm with this id.
pub async fn find(
    connection: &mut PgConnection,
    instance: InstanceId,
    alarm: AlarmId,
) -> Result<Option<Alarm>, StoreError> {
    let row = select!("WHERE instance_id = $1 AND alarm_id = $2", instance.0, alarm.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Alarm::from))
}

/// The open alarm of a rule.
pub async fn find_open(
    connection: &mut PgConnection,
    instance: InstanceId,
    rule: AlarmRuleId,
) -> Result<Option<Alarm>, StoreError> {
    let row =
        select!("WHERE instance_id = $1 AND alarm_rule_id = $2 AND resolved_at IS NULL", instance.0, rule.0)
            .fetch_optional(connection)
            .await?;
    Ok(row.map(Alarm::from))
}

/// The open alarms of these rules, of any tenants.
pub async fn list_open_of_all_tenants(
    connection: &mut PgConnection,
    rules: &[AlarmRuleId],
) -> Result<Vec<Alarm>, StoreError> {
    let ids: Vec<Uuid> = rules.iter().map(|rule| rule.0).collect();
    let rows =
        select!("WHERE alarm_rule_id = ANY($1) AND resolved_at IS NULL", &ids).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Alarm::from).collect())
}

/// The alarms of an instance; of one state or of one rule, where that is asked.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
    state: Option<AlarmState>,
    rule: Option<AlarmRuleId>,
    listing: &Listing,
) -> Result<Rows<Alarm>, StoreError> {
    let state = state.map(|state| {
        let state = match state {
            AlarmState::Firing => "firing",
            AlarmState::Acknowledged => "acknowledged",
            AlarmState::Resolved => "resolved",
        };
        Matching::Text("state", state.to_owned())
    });
    let rule = rule.map(|rule| Matching::Id("alarm_rule_id", rule.0));
    let matching: Vec<Matching> = state.into_iter().chain(rule).collect();
    let keys = page::keys_matching(connection, &SOURCE, Some(instance.0), listing, &matching).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE instance_id = $1 AND alarm_id = ANY($2)", instance.0, &ids)
        .fetch_all(connection)
        .await?;
    Ok(keys.order(rows.into_iter().map(Alarm::from), |alarm| alarm.id.to_string()))
}

/// Forgets some alarms, of any tenant, that were over before this moment.
pub async fn delete_resolved_of_all_tenants(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM alarm WHERE (instance_id, alarm_id) IN
             (SELECT instance_id, alarm_id FROM alarm WHERE resolved_at < $1 ORDER BY resolved_at LIMIT $2)",
        before,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
