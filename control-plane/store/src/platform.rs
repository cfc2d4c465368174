//! The database itself, and what the very first start has made.

use chrono::{DateTime, Utc};
use contract::ids::{InstanceId, MemberId, TenantId};

use crate::{PgConnection, StoreError};

/// The key of the advisory lock that lets one process at a time make what a new database lacks.
const BOOTSTRAP_LOCK: i64 = 0x696f_746d_7100;

/// What the very first start has made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap {
    /// The first operator.
    pub member: MemberId,
    /// The demo tenant.
    pub tenant: TenantId,
    /// The demo instance.
    pub instance: InstanceId,
    /// The demo topic.
    pub topic: String,
}

/// Whether the database answers.
pub async fn ping(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT 1 AS one").fetch_one(connection).await?;
    Ok(())
}

/// Lets no other process make what a new database lacks, until the transaction ends.
pub async fn lock_bootstrap(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT FROM pg_advisory_xact_lock($1)", BOOTSTRAP_LOCK).execute(connection).await?;
    Ok(())
}

/// What the very first start has made, once it has.
pub async fn find_bootstrap(connection: &mut PgConnection) -> Result<Option<Bootstrap>, StoreError> {
    let row = sqlx::query!("SELECT member_id, tenant_id, instance_id, topic FROM bootstrap")
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| Bootstrap {
        member: MemberId(row.member_id),
        tenant: TenantId(row.tenant_id),
        instance: InstanceId(row.instance_id),
        topic: row.topic,
    }))
}

/// Records what the very first start has made.
pub async fn insert_bootstrap(
    connection: &mut PgConnection,
    made: &Bootstrap,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO bootstrap (member_id, tenant_id, instance_id, topic, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        made.member.0,
        made.tenant.0,
        made.instance.0,
        made.topic,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
