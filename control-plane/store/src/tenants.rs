//! Organisations.

use chrono::{DateTime, Utc};
use contract::ids::{MemberId, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::named::Named;
use crate::page::{self, Listing, Rows, Source};
use crate::{Labels, PgConnection, StoreError};

/// Whether a tenant is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// It is.
    Active,
    /// Its instances serve nobody and its members may only read.
    Suspended,
}

/// An organisation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What people call it; need not be unique.
    pub name: String,
    /// Whether it is served.
    pub state: TenantState,
    /// What operators and members sort it by.
    pub labels: Labels,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub revision: i64,
}

struct Row {
    tenant_id: Uuid,
    name: String,
    state: Named<TenantState>,
    labels: Json<Labels>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
}

impl From<Row> for Tenant {
    fn from(row: Row) -> Self {
        Self {
            id: TenantId(row.tenant_id),
            name: row.name,
            state: row.state.0,
            labels: row.labels.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT tenant_id, name, state AS "state: Named<TenantState>", labels AS "labels: Json<Labels>",
                      created_at, updated_at, revision
               FROM tenant "# + $tail
            $(, $arg)*
        )
    };
}

const ALL: Source = Source {
    from: "tenant",
    filter: "true",
    owner: "tenant_id",
    id: "tenant_id",
    id_type: "uuid",
    name: "name COLLATE \"C\"",
    created_at: "created_at",
    labels: Some("labels"),
};

const OF_MEMBER: Source = Source {
    from: "tenant JOIN membership USING (tenant_id)",
    owner: "membership.member_id",
    created_at: "tenant.created_at",
    ..ALL
};

/// Makes a tenant.
pub async fn insert(connection: &mut PgConnection, tenant: &Tenant) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO tenant (tenant_id, name, state, labels, created_at, updated_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        tenant.id.0,
        tenant.name,
        Named(tenant.state) as _,
        Json(&tenant.labels) as _,
        tenant.created_at,
        tenant.updated_at,
        tenant.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The tenant with this id.
pub async fn find(connection: &mut PgConnection, tenant: TenantId) -> Result<Option<Tenant>, StoreError> {
    let row = select!("WHERE tenant_id = $1", tenant.0).fetch_optional(connection).await?;
    Ok(row.map(Tenant::from))
}

/// The tenant with this id, locked against every change until the transaction ends.
pub async fn lock(connection: &mut PgConnection, tenant: TenantId) -> Result<Option<Tenant>, StoreError> {
    let row = select!("WHERE tenant_id = $1 FOR NO KEY UPDATE", tenant.0).fetch_optional(connection).await?;
    Ok(row.map(Tenant::from))
}

/// Stores name, state and labels, with the next revision.
pub async fn update(connection: &mut PgConnection, tenant: &Tenant) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE tenant SET name = $2, state = $3, labels = $4, updated_at = $5, revision = $6
         WHERE tenant_id = $1",
        tenant.id.0,
        tenant.name,
        Named(tenant.state) as _,
        Json(&tenant.labels) as _,
        tenant.updated_at,
        tenant.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The tenants of a member.
pub async fn list_of_member(
    connection: &mut PgConnection,
    member: MemberId,
    listing: &Listing,
) -> Result<Rows<Tenant>, StoreError> {
    list(connection, &OF_MEMBER, Some(member.0), listing).await
}

/// Every tenant: for operators.
pub async fn list_of_all_tenants(
    connection: &mut PgConnection,
    listing: &Listing,
) -> Result<Rows<Tenant>, StoreError> {
    list(connection, &ALL, None, listing).await
}

async fn list(
    connection: &mut PgConnection,
    source: &Source,
    owner: Option<Uuid>,
    listing: &Listing,
) -> Result<Rows<Tenant>, StoreError> {
    let keys = page::keys(connection, source, owner, listing).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE tenant_id = ANY($1)", &ids).fetch_all(connection).await?;
    Ok(keys.order(rows.into_iter().map(Tenant::from), |tenant| tenant.id.to_string()))
}
