//! The audit log: who changed what, written in the transaction of the change. It holds no secret.

use chrono::{DateTime, Utc};
use contract::ids::{InstanceId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::actor::Actor;
use crate::named::Written;
use crate::page::{self, Listing, Rows, Source};
use crate::{PgConnection, StoreError};

/// One entry of the audit log.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditEntry {
    /// Its id.
    pub id: Uuid,
    /// Whose log it is in; none for the platform's.
    pub tenant: Option<TenantId>,
    /// The instance, if it is about one.
    pub instance: Option<InstanceId>,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What was done, as the operation's name: `create_topic`.
    pub action: String,
    /// What kind of thing it was done to: `topic`.
    pub resource: String,
    /// Which one.
    pub resource_id: String,
    /// In which request.
    pub request_id: String,
    /// What it was before, where something was.
    pub before: Option<Value>,
    /// What it is now, where something is.
    pub after: Option<Value>,
}

struct Row {
    audit_id: Uuid,
    tenant_id: Option<Uuid>,
    instance_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    actor: Written<Actor>,
    action: String,
    resource: String,
    resource_id: String,
    request_id: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        Self {
            id: row.audit_id,
            tenant: row.tenant_id.map(TenantId),
            instance: row.instance_id.map(InstanceId),
            at: row.created_at,
            actor: row.actor.0,
            action: row.action,
            resource: row.resource,
            resource_id: row.resource_id,
            request_id: row.request_id,
            before: row.before,
            after: row.after,
        }
    }
}

const SOURCE: Source = Source {
    from: "audit",
    filter: "true",
    owner: "tenant_id",
    id: "audit_id",
    id_type: "uuid",
    name: "action COLLATE \"C\"",
    created_at: "created_at",
    labels: None,
};

/// Writes an entry.
pub async fn insert(connection: &mut PgConnection, entry: &AuditEntry) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit (audit_id, tenant_id, instance_id, actor, action, resource, resource_id, request_id,
             before, after, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        entry.id,
        entry.tenant.map(|tenant| tenant.0),
        entry.instance.map(|instance| instance.0),
        Written(entry.actor) as _,
        entry.action,
        entry.resource,
        entry.resource_id,
        entry.request_id,
        entry.before,
        entry.after,
        entry.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The log of a tenant.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    listing: &Listing,
) -> Result<Rows<AuditEntry>, StoreError> {
    let keys = page::keys(connection, &SOURCE, Some(tenant.0), listing).await?;
    let ids = keys.uuids();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT audit_id, tenant_id, instance_id, created_at, actor AS "actor: Written<Actor>", action,
                  resource, resource_id, request_id, before, after
           FROM audit WHERE tenant_id = $1 AND audit_id = ANY($2)"#,
        tenant.0,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(keys.order(rows.into_iter().map(AuditEntry::from), |entry| entry.id.to_string()))
}
