//! Alarm rules, with what their last evaluation found. What a condition means is decided elsewhere.

use chrono::{DateTime, Utc};
use contract::ids::{AlarmRuleId, ChannelId, InstanceId};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::named::Named;
use crate::page::{self, Listing, Rows, Source};
use crate::{PgConnection, StoreError, signed, unsigned};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

/// Which side of a threshold is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The threshold and what is more.
    Above,
    /// The threshold and what is less.
    Below,
}

/// A metric compared with a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Threshold {
    /// The metric's name.
    pub metric: String,
    /// Only what has this reason, of a metric that is told apart by reason; none: all of it.
    pub reason: Option<String>,
    /// Which side is wrong.
    pub compare: Compare,
    /// How far back is looked: a gauge's newest value in it counts, a counter's sum over it.
    pub window_secs: u64,
    /// From where on it is wrong.
    pub value: u64,
    /// From where on it is well again.
    pub clear_value: u64,
}

/// What a rule watches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Condition {
    /// A metric compared with a value.
    Threshold(Threshold),
}

/// How it stands with a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// All is well.
    Ok,
    /// It is wrong, but not yet for as long as the rule wants.
    Pending,
    /// It is wrong: an alarm is open.
    Firing,
    /// Nobody can say; an alarm that was open stays open.
    NoData,
}

/// What the last evaluation of a rule found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evaluated {
    /// How it stands.
    pub state: RuleState,
    /// Since when it is wrong, while that is not long enough.
    pub pending_since: Option<DateTime<Utc>>,
    /// What was measured; none where nobody could say.
    pub value: Option<u64>,
    /// When that was; none before the first time.
    pub at: Option<DateTime<Utc>>,
}

/// A rule that raises alarms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlarmRule {
    /// Its id.
    pub id: AlarmRuleId,
    /// The instance.
    pub instance: InstanceId,
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
    /// How often an alarm that nobody has acknowledged is told again.
    pub repeat_secs: Option<u64>,
    /// Who is told.
    pub channels: Vec<ChannelId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change; an evaluation is none.
    pub revision: i64,
    /// What the last evaluation found.
    pub evaluated: Evaluated,
}

struct Row {
    alarm_rule_id: Uuid,
    instance_id: Uuid,
    name: String,
    severity: Named<Severity>,
    enabled: bool,
    condition: Json<Condition>,
    for_secs: i64,
    repeat_secs: Option<i64>,
    channels: Vec<Uuid>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
    state: Named<RuleState>,
    pending_since: Option<DateTime<Utc>>,
    value: Option<i64>,
    evaluated_at: Option<DateTime<Utc>>,
}

impl From<Row> for AlarmRule {
    fn from(row: Row) -> Self {
        Self {
            id: AlarmRuleId(row.alarm_rule_id),
            instance: InstanceId(row.instance_id),
            name: row.name,
            severity: row.severity.0,
            enabled: row.enabled,
            condition: row.condition.0,
            for_secs: unsigned(row.for_secs),
            repeat_secs: row.repeat_secs.map(unsigned),
            channels: row.channels.into_iter().map(ChannelId).collect(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
            evaluated: Evaluated {
                state: row.state.0,
                pending_since: row.pending_since,
                value: row.value.map(unsigned),
                at: row.evaluated_at,
            },
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT alarm_rule_id, instance_id, name, severity AS "severity: Named<Severity>", enabled,
                      condition AS "condition: Json<Condition>", for_secs, repeat_secs, channels, created_at,
                      updated_at, revision, state AS "state: Named<RuleState>", pending_since, value,
                      evaluated_at
               FROM alarm_rule "# + $tail
            $(, $arg)*
        )
    };
}

const SOURCE: Source = Source {
    from: "alarm_rule",
    filter: "true",
    owner: "instance_id",
    id: "alarm_rule_id",
    id_type: "uuid",
    name: "name",
    created_at: "created_at",
    labels: None,
};

fn uuids(channels: &[ChannelId]) -> Vec<Uuid> {
    channels.iter().map(|channel| channel.0).collect()
}

/// Makes a rule that was not evaluated yet. [`crate::error::Constraint::AlarmRuleTaken`] if the instance has one of
/// this name.
pub async fn insert(
    connection: &mut PgConnection,
    instance: InstanceId,
    rule: &AlarmRule,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO alarm_rule (alarm_rule_id, instance_id, name, severity, enabled, condition, for_secs,
             repeat_secs, channels, created_at, updated_at, revision, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        rule.id.0,
        instance.0,
        rule.name,
        Named(rule.severity) as _,
        rule.enabled,
        Json(&rule.condition) as _,
        signed(rule.for_secs),
        rule.repeat_secs.map(signed),
        &uuids(&rule.channels),
        rule.created_at,
        rule.updated_at,
        rule.revision,
        Named(rule.evaluated.state) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The rule with this id.
pub async fn find(
    connection: &mut PgConnection,
    instance: InstanceId,
    rule: AlarmRuleId,
) -> Result<Option<AlarmRule>, StoreError> {
    let row = select!("WHERE instance_id = $1 AND alarm_rule_id = $2", instance.0, rule.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(AlarmRule::from))
}

/// Stores what people may change of a rule, with the next revision; the instance must be locked.
pub async fn update(
    connection: &mut PgConnection,
    instance: InstanceId,
    rule: &AlarmRule,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE alarm_rule SET name = $3, severity = $4, enabled = $5, condition = $6, for_secs = $7,
             repeat_secs = $8, channels = $9, updated_at = $10, revision = $11
         WHERE instance_id = $1 AND alarm_rule_id = $2",
        instance.0,
        rule.id.0,
        rule.name,
        Named(rule.severity) as _,
        rule.enabled,
        Json(&rule.condition) as _,
        signed(rule.for_secs),
        rule.repeat_secs.map(signed),
        &uuids(&rule.channels),
        rule.updated_at,
        rule.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what an evaluation found; the instance must be locked.
pub async fn update_evaluated(
    connection: &mut PgConnection,
    instance: InstanceId,
    rule: AlarmRuleId,
    evaluated: Evaluated,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE alarm_rule SET state = $3, pending_since = $4, value = $5, evaluated_at = $6
         WHERE instance_id = $1 AND alarm_rule_id = $2",
        instance.0,
        rule.0,
        Named(evaluated.state) as _,
        evaluated.pending_since,
        evaluated.value.map(signed),
        evaluated.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what was measured for rules of these revisions, of any tenants, with which all stands as it stood. A rule
/// that somebody holds or has changed is passed over: whoever did knows better.
pub async fn touch_of_all_tenants(
    connection: &mut PgConnection,
    measured: &[(AlarmRuleId, i64, Option<u64>)],
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let ids: Vec<Uuid> = measured.iter().map(|(rule, ..)| rule.0).collect();
    let revisions: Vec<i64> = measured.iter().map(|(_, revision, _)| *revision).collect();
    let values: Vec<Option<i64>> = measured.iter().map(|(.., value)| value.map(signed)).collect();
    let done = sqlx::query!(
        "WITH free AS (SELECT alarm_rule_id FROM alarm_rule WHERE alarm_rule_id = ANY($1)
                       ORDER BY alarm_rule_id FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE alarm_rule SET value = measured.value, evaluated_at = $3
         FROM unnest($1::uuid[], $4::bigint[], $2::bigint[]) AS measured (alarm_rule_id, revision, value)
         WHERE alarm_rule.alarm_rule_id = measured.alarm_rule_id AND alarm_rule.revision = measured.revision
           AND alarm_rule.alarm_rule_id IN (SELECT alarm_rule_id FROM free)",
        &ids,
        &values as _,
        now,
        &revisions,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes a rule; the instance must be locked. Its alarms stay.
pub async fn delete(
    connection: &mut PgConnection,
    instance: InstanceId,
    rule: AlarmRuleId,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM alarm_rule WHERE instance_id = $1 AND alarm_rule_id = $2", instance.0, rule.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// How many rules an instance has.
pub async fn count(connection: &mut PgConnection, instance: InstanceId) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM alarm_rule WHERE instance_id = $1"#,
        instance.0
    )
    .fetch_one(connection)
    .await?;
    Ok(unsigned(count))
}

/// The name of a rule that tells this channel, if there is one.
pub async fn find_name_telling(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: ChannelId,
) -> Result<Option<String>, StoreError> {
    let name = sqlx::query_scalar!(
        "SELECT name FROM alarm_rule WHERE instance_id = $1 AND $2 = ANY(channels) ORDER BY name LIMIT 1",
        instance.0,
        channel.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(name)
}

/// The rules of an instance.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
    listing: &Listing,
) -> Result<Rows<AlarmRule>, StoreError> {
    let keys = page::keys(connection, &SOURCE, Some(instance.0), listing).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE instance_id = $1 AND alarm_rule_id = ANY($2)", instance.0, &ids)
        .fetch_all(connection)
        .await?;
    Ok(keys.order(rows.into_iter().map(AlarmRule::from), |rule| rule.id.to_string()))
}

/// Enabled rules of running instances of every active tenant that were not evaluated from one moment to another, by
/// instance, after this place.
pub async fn list_due_of_all_tenants(
    connection: &mut PgConnection,
    (looked_from, looked_to): (DateTime<Utc>, DateTime<Utc>),
    after: (InstanceId, AlarmRuleId),
    limit: i64,
) -> Result<Vec<AlarmRule>, StoreError> {
    let rows = select!(
        "WHERE enabled AND (evaluated_at IS NULL OR evaluated_at NOT BETWEEN $1 AND $2)
           AND (instance_id, alarm_rule_id) > ($3, $4)
           AND instance_id IN (SELECT instance.instance_id FROM instance JOIN tenant USING (tenant_id)
                               WHERE deleted_at IS NULL AND suspended_by IS NULL AND tenant.state = 'active')
         ORDER BY instance_id, alarm_rule_id LIMIT $5",
        looked_from,
        looked_to,
        after.0.0,
        after.1.0,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AlarmRule::from).collect())
}
