//! Instances and their labels.

use chrono::{DateTime, Utc};
use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{Authentication, InstanceState, TopicMode};
use contract::ids::{InstanceId, TenantId};
use contract::limits::InstanceLimits;
use contract::shared_group::SharedStrategy;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::named::Named;
use crate::page::{self, Listing, Rows, Source};
use crate::tenants::TenantState;
use crate::{Labels, PgConnection, StoreError, signed, unsigned};

/// Who suspended an instance, or on whose account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspendedReason {
    /// The operator suspended the instance or its tenant.
    Operator,
    /// Nobody pays for it.
    Payment,
    /// The tenant itself.
    Tenant,
}

/// One isolated MQTT namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What people call it; unique in the tenant.
    pub name: String,
    /// The first label of its server name; unique in the platform for ever.
    pub label: String,
    /// Whether it serves, with its tenant's state taken into account.
    pub state: InstanceState,
    /// Why it is suspended, when it is.
    pub suspended_reason: Option<SuspendedReason>,
    /// The name of its plan.
    pub plan_name: String,
    /// The version of its plan.
    pub plan_version: i32,
    /// What its plan lets it use.
    pub limits: InstanceLimits,
    /// Which topics it accepts.
    pub topic_mode: TopicMode,
    /// How its clients may prove themselves.
    pub authentication: Vec<Authentication>,
    /// Which messages are logged, of topics that do not say themselves.
    pub durability: DurabilityClass,
    /// What gives way when more waits for a lasting session than the plan allows.
    pub queue_overflow: QueueOverflow,
    /// Whose turn it is among the members of a shared subscription.
    pub shared_strategy: SharedStrategy,
    /// Whether deletion is refused.
    pub delete_protection: bool,
    /// What people sort it by.
    pub labels: Labels,
    /// How many topics it has.
    pub topics_used: u64,
    /// How many credentials it has.
    pub credentials_used: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted; it can be restored for some days.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub revision: i64,
}

struct Row {
    instance_id: Uuid,
    tenant_id: Uuid,
    tenant_state: Named<TenantState>,
    name: String,
    label: String,
    plan_name: String,
    plan_version: i32,
    limits: Json<InstanceLimits>,
    topic_mode: Named<TopicMode>,
    authentication: Json<Vec<Authentication>>,
    durability: Named<DurabilityClass>,
    queue_overflow: Named<QueueOverflow>,
    shared_strategy: Named<SharedStrategy>,
    delete_protection: bool,
    suspended_by: Option<Named<SuspendedReason>>,
    deleted_at: Option<DateTime<Utc>>,
    labels: Json<Labels>,
    topics_used: i64,
    credentials_used: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
}

impl Row {
    fn suspended_reason(&self) -> Option<SuspendedReason> {
        match self.tenant_state.0 {
            TenantState::Suspended => Some(SuspendedReason::Operator),
            TenantState::Active => self.suspended_by.map(|by| by.0),
        }
    }
}

impl From<Row> for Instance {
    fn from(row: Row) -> Self {
        let suspended_reason = row.suspended_reason();
        let state = match (row.deleted_at, suspended_reason) {
            (Some(_), _) => InstanceState::Deleting,
            (None, Some(_)) => InstanceState::Suspended,
            (None, None) => InstanceState::Running,
        };
        Self {
            id: InstanceId(row.instance_id),
            tenant: TenantId(row.tenant_id),
            name: row.name,
            label: row.label,
            state,
            suspended_reason,
            plan_name: row.plan_name,
            plan_version: row.plan_version,
            limits: row.limits.0,
            topic_mode: row.topic_mode.0,
            authentication: row.authentication.0,
            durability: row.durability.0,
            queue_overflow: row.queue_overflow.0,
            shared_strategy: row.shared_strategy.0,
            delete_protection: row.delete_protection,
            labels: row.labels.0,
            topics_used: unsigned(row.topics_used),
            credentials_used: unsigned(row.credentials_used),
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
            revision: row.revision,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT instance.instance_id, instance.tenant_id,
                      tenant.state AS "tenant_state: Named<TenantState>", instance.name, instance.label,
                      plan.name AS plan_name, plan.version AS plan_version,
                      plan.limits AS "limits: Json<InstanceLimits>",
                      instance.topic_mode AS "topic_mode: Named<TopicMode>",
                      instance.authentication AS "authentication: Json<Vec<Authentication>>",
                      instance.durability AS "durability: Named<DurabilityClass>",
                      instance.queue_overflow AS "queue_overflow: Named<QueueOverflow>",
                      instance.shared_strategy AS "shared_strategy: Named<SharedStrategy>",
                      instance.delete_protection, instance.suspended_by AS "suspended_by: Named<SuspendedReason>",
                      instance.deleted_at, instance.labels AS "labels: Json<Labels>",
                      instance.topics_used, instance.credentials_used,
                      instance.created_at, instance.updated_at, instance.revision
               FROM instance JOIN tenant USING (tenant_id) JOIN plan USING (plan_id) "# + $tail
            $(, $arg)*
        )
    };
}

const LIVING: Source = Source {
    from: "instance",
    filter: "deleted_at IS NULL",
    owner: "tenant_id",
    id: "instance_id",
    id_type: "uuid",
    name: "name COLLATE \"C\"",
    created_at: "created_at",
    labels: Some("labels"),
};

const DELETED: Source = Source { filter: "deleted_at IS NOT NULL", ..LIVING };

/// A new instance, as far as it is not read from elsewhere.
pub struct NewInstance<'a> {
    /// Its id.
    pub id: InstanceId,
    /// What people call it.
    pub name: &'a str,
    /// The first label of its server name, which was never given before.
    pub label: &'a str,
    /// The version of its plan.
    pub plan: Uuid,
    /// Which topics it accepts.
    pub topic_mode: TopicMode,
    /// How its clients may prove themselves.
    pub authentication: &'a [Authentication],
    /// Which messages are logged, of topics that do not say themselves.
    pub durability: DurabilityClass,
    /// What gives way when more waits for a lasting session than the plan allows.
    pub queue_overflow: QueueOverflow,
    /// Whose turn it is among the members of a shared subscription.
    pub shared_strategy: SharedStrategy,
    /// Whether deletion is refused.
    pub delete_protection: bool,
    /// What people sort it by.
    pub labels: &'a Labels,
    /// When it is made.
    pub now: DateTime<Utc>,
}

/// Takes a label for good; false if it was given before.
pub async fn take_label(
    connection: &mut PgConnection,
    tenant: TenantId,
    label: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let taken = sqlx::query!(
        "INSERT INTO instance_label (label, tenant_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        label,
        tenant.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Makes an instance. [`crate::error::Constraint::InstanceNameTaken`] if the tenant has one of this name.
pub async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    new: NewInstance<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO instance (instance_id, tenant_id, name, label, plan_id, topic_mode, authentication,
             delete_protection, labels, created_at, updated_at, durability, queue_overflow, shared_strategy)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13)",
        new.id.0,
        tenant.0,
        new.name,
        new.label,
        new.plan,
        Named(new.topic_mode) as _,
        Json(new.authentication) as _,
        new.delete_protection,
        Json(new.labels) as _,
        new.now,
        Named(new.durability) as _,
        Named(new.queue_overflow) as _,
        Named(new.shared_strategy) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The instance with this id, whosever it is: the caller's right to see it is asked with the answer.
pub async fn find_of_all_tenants(
    connection: &mut PgConnection,
    instance: InstanceId,
) -> Result<Option<Instance>, StoreError> {
    let row = select!("WHERE instance.instance_id = $1", instance.0).fetch_optional(connection).await?;
    Ok(row.map(Instance::from))
}

/// The ids of some instances, of any tenant, beyond this one, in their order; those that are being deleted too.
pub async fn list_ids_of_all_tenants(
    connection: &mut PgConnection,
    after: InstanceId,
    limit: i64,
) -> Result<Vec<InstanceId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT instance_id FROM instance WHERE instance_id > $1 ORDER BY instance_id LIMIT $2",
        after.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(InstanceId).collect())
}

/// The instance with this id, locked until the transaction ends against changes of it, of what is counted in it, and
/// of its tenant's state.
pub async fn lock(
    connection: &mut PgConnection,
    tenant: TenantId,
    instance: InstanceId,
) -> Result<Option<Instance>, StoreError> {
    sqlx::query!("SELECT 1 AS one FROM tenant WHERE tenant_id = $1 FOR SHARE", tenant.0)
        .fetch_optional(&mut *connection)
        .await?;
    // Locked by itself: a join that waited for the lock is tried again with the rows it saw before, and whoever gave
    // the instance another plan meanwhile would make it vanish.
    let locked = sqlx::query!(
        "SELECT 1 AS one FROM instance WHERE tenant_id = $1 AND instance_id = $2 FOR NO KEY UPDATE",
        tenant.0,
        instance.0
    )
    .fetch_optional(&mut *connection)
    .await?;
    if locked.is_none() {
        return Ok(None);
    }
    let row = select!("WHERE instance.tenant_id = $1 AND instance.instance_id = $2", tenant.0, instance.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Instance::from))
}

/// Stores what people may change of an instance, and its suspension and deletion, with the next revision.
pub async fn update(
    connection: &mut PgConnection,
    tenant: TenantId,
    instance: &Instance,
    suspended_by: Option<SuspendedReason>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE instance SET name = $3, topic_mode = $4, authentication = $5, delete_protection = $6,
             labels = $7, suspended_by = $8, deleted_at = $9, updated_at = $10, revision = $11,
             durability = $12, queue_overflow = $13, shared_strategy = $14
         WHERE tenant_id = $1 AND instance_id = $2",
        tenant.0,
        instance.id.0,
        instance.name,
        Named(instance.topic_mode) as _,
        Json(&instance.authentication) as _,
        instance.delete_protection,
        Json(&instance.labels) as _,
        suspended_by.map(Named) as _,
        instance.deleted_at,
        instance.updated_at,
        instance.revision,
        Named(instance.durability) as _,
        Named(instance.queue_overflow) as _,
        Named(instance.shared_strategy) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Who suspended the instance itself, its tenant's state aside.
pub async fn find_suspended_by(
    connection: &mut PgConnection,
    tenant: TenantId,
    instance: InstanceId,
) -> Result<Option<SuspendedReason>, StoreError> {
    let by = sqlx::query_scalar!(
        r#"SELECT suspended_by AS "suspended_by: Named<SuspendedReason>" FROM instance
           WHERE tenant_id = $1 AND instance_id = $2"#,
        tenant.0,
        instance.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(by.flatten().map(|by| by.0))
}

/// Gives an instance another version of a plan, with the next revision.
pub async fn update_plan(
    connection: &mut PgConnection,
    tenant: TenantId,
    instance: InstanceId,
    plan: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE instance SET plan_id = $3, updated_at = $4, revision = revision + 1
         WHERE tenant_id = $1 AND instance_id = $2",
        tenant.0,
        instance.0,
        plan,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores how many topics and credentials an instance has; it must be locked.
pub async fn update_use(
    connection: &mut PgConnection,
    tenant: TenantId,
    instance: InstanceId,
    topics: u64,
    credentials: u64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE instance SET topics_used = $3, credentials_used = $4
         WHERE tenant_id = $1 AND instance_id = $2",
        tenant.0,
        instance.0,
        signed(topics),
        signed(credentials),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The instances of a tenant: those that live, or those that can still be restored.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    deleted: bool,
    listing: &Listing,
) -> Result<Rows<Instance>, StoreError> {
    let source = if deleted { &DELETED } else { &LIVING };
    let keys = page::keys(connection, source, Some(tenant.0), listing).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE instance.tenant_id = $1 AND instance.instance_id = ANY($2)", tenant.0, &ids)
        .fetch_all(connection)
        .await?;
    Ok(keys.order(rows.into_iter().map(Instance::from), |instance| instance.id.to_string()))
}

/// The ids of every instance of a tenant that is not being deleted.
pub async fn list_ids(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<InstanceId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT instance_id FROM instance WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY instance_id",
        tenant.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(InstanceId).collect())
}

/// Some instances, of any tenant, that were deleted before `deleted_before`; locked until the transaction ends.
pub async fn lock_deleted_of_all_tenants(
    connection: &mut PgConnection,
    deleted_before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Instance>, StoreError> {
    let rows = select!(
        "WHERE instance.deleted_at < $1 ORDER BY instance.deleted_at LIMIT $2 FOR UPDATE OF instance SKIP LOCKED",
        deleted_before,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Instance::from).collect())
}

/// Deletes an instance with all that is its own; its tokens are deleted apart, being many.
pub async fn delete(
    connection: &mut PgConnection,
    tenant: TenantId,
    instance: InstanceId,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM instance WHERE tenant_id = $1 AND instance_id = $2", tenant.0, instance.0)
        .execute(connection)
        .await?;
    Ok(())
}
