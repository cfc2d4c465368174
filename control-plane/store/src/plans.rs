//! Plans: named, versioned sets of limits. A version never changes.

use chrono::{DateTime, Utc};
use contract::limits::InstanceLimits;
use sqlx::types::Json;
use uuid::Uuid;

use crate::page::{self, Listing, Rows, Source};
use crate::{PgConnection, StoreError};

/// One version of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The id of this version.
    pub id: Uuid,
    /// The plan's name.
    pub name: String,
    /// From 1 up; new instances get the highest.
    pub version: i32,
    /// For people.
    pub description: String,
    /// What an instance may use.
    pub limits: InstanceLimits,
    /// Since when no instance may begin to use it.
    pub retired_at: Option<DateTime<Utc>>,
    /// When this version was made.
    pub created_at: DateTime<Utc>,
}

struct Row {
    plan_id: Uuid,
    name: String,
    version: i32,
    description: String,
    limits: Json<InstanceLimits>,
    retired_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Plan {
    fn from(row: Row) -> Self {
        Self {
            id: row.plan_id,
            name: row.name,
            version: row.version,
            description: row.description,
            limits: row.limits.0,
            retired_at: row.retired_at,
            created_at: row.created_at,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT plan_id, name, version, description, limits AS "limits: Json<InstanceLimits>",
                      retired_at, created_at
               FROM plan "# + $tail
            $(, $arg)*
        )
    };
}

const HIGHEST: Source = Source {
    from: "plan",
    filter: "version = (SELECT max(other.version) FROM plan AS other WHERE other.name = plan.name)",
    owner: "name",
    id: "plan_id",
    id_type: "uuid",
    name: "name COLLATE \"C\"",
    created_at: "created_at",
    labels: None,
};

/// Makes a version of a plan. [`crate::error::Constraint::PlanTaken`] if there is that version.
pub async fn insert(connection: &mut PgConnection, plan: &Plan) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO plan (plan_id, name, version, description, limits, retired_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        plan.id,
        plan.name,
        plan.version,
        plan.description,
        Json(&plan.limits) as _,
        plan.retired_at,
        plan.created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The highest version of a plan.
pub async fn find_highest(connection: &mut PgConnection, name: &str) -> Result<Option<Plan>, StoreError> {
    let row =
        select!("WHERE name = $1 ORDER BY version DESC LIMIT 1", name).fetch_optional(connection).await?;
    Ok(row.map(Plan::from))
}

/// The highest version of a plan, whose versions are locked until the transaction ends. The lock is that of the first
/// version, which is always there; what is the highest is read once it is had.
pub async fn lock_highest(connection: &mut PgConnection, name: &str) -> Result<Option<Plan>, StoreError> {
    sqlx::query!("SELECT 1 AS one FROM plan WHERE name = $1 AND version = 1 FOR NO KEY UPDATE", name)
        .fetch_optional(&mut *connection)
        .await?;
    find_highest(connection, name).await
}

/// One version of a plan.
pub async fn find_version(
    connection: &mut PgConnection,
    name: &str,
    version: i32,
) -> Result<Option<Plan>, StoreError> {
    let row = select!("WHERE name = $1 AND version = $2", name, version).fetch_optional(connection).await?;
    Ok(row.map(Plan::from))
}

/// Retires every version of a plan that is not.
pub async fn retire(connection: &mut PgConnection, name: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("UPDATE plan SET retired_at = $2 WHERE name = $1 AND retired_at IS NULL", name, now)
        .execute(connection)
        .await?;
    Ok(())
}

/// The highest version of each plan.
pub async fn list(connection: &mut PgConnection, listing: &Listing) -> Result<Rows<Plan>, StoreError> {
    let keys = page::keys(connection, &HIGHEST, None, listing).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE plan_id = ANY($1)", &ids).fetch_all(connection).await?;
    Ok(keys.order(rows.into_iter().map(Plan::from), |plan| plan.id.to_string()))
}
