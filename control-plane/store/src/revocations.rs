//! Revocations of temporary tokens that are in force.

use chrono::{DateTime, Utc};
use contract::ids::{InstanceId, RevocationId};
use contract::revocation::{Revocation, TokenSelector};
use contract::time::UnixMillis;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{PgConnection, StoreError, unsigned};

struct Row {
    revocation_id: Uuid,
    instance_id: Uuid,
    selector: Json<TokenSelector>,
    issued_before: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<Row> for Revocation {
    fn from(row: Row) -> Self {
        let millis = |time: DateTime<Utc>| UnixMillis(unsigned(time.timestamp_millis()));
        Self {
            id: RevocationId(row.revocation_id),
            instance: InstanceId(row.instance_id),
            selector: row.selector.0,
            issued_before: millis(row.issued_before),
            expires_at: millis(row.expires_at),
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT revocation_id, instance_id, selector AS "selector: Json<TokenSelector>", issued_before,
                      expires_at
               FROM revocation "# + $tail
            $(, $arg)*
        )
    };
}

fn time(millis: UnixMillis) -> DateTime<Utc> {
    let known = i64::try_from(millis.0).ok().and_then(DateTime::from_timestamp_millis);
    known.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Makes a revocation.
pub async fn insert(
    connection: &mut PgConnection,
    instance: InstanceId,
    revocation: &Revocation,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO revocation (revocation_id, instance_id, selector, issued_before, expires_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        revocation.id.0,
        instance.0,
        Json(&revocation.selector) as _,
        time(revocation.issued_before),
        time(revocation.expires_at),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many an instance has.
pub async fn count(connection: &mut PgConnection, instance: InstanceId) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM revocation WHERE instance_id = $1"#,
        instance.0
    )
    .fetch_one(connection)
    .await?;
    Ok(unsigned(count))
}

/// The oldest of an instance, in their order.
pub async fn list_oldest(
    connection: &mut PgConnection,
    instance: InstanceId,
    limit: i64,
) -> Result<Vec<Revocation>, StoreError> {
    let rows =
        select!("WHERE instance_id = $1 ORDER BY created_at, revocation_id LIMIT $2", instance.0, limit)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(Revocation::from).collect())
}

/// The one with this id.
pub async fn find(
    connection: &mut PgConnection,
    instance: InstanceId,
    revocation: RevocationId,
) -> Result<Option<Revocation>, StoreError> {
    let row = select!("WHERE instance_id = $1 AND revocation_id = $2", instance.0, revocation.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Revocation::from))
}

/// Those of an instance that may mean a token which names this client identifier or subject and was signed by this
/// key: all but the ones that surely do not.
pub async fn list_meaning(
    connection: &mut PgConnection,
    instance: InstanceId,
    client_id: Option<&str>,
    subject: Option<&str>,
    key: &str,
) -> Result<Vec<Revocation>, StoreError> {
    let rows = select!(
        "WHERE instance_id = $1 AND (selector IN (to_jsonb('all'::text),
             jsonb_build_object('client_id', $2::text), jsonb_build_object('subject', $3::text),
             jsonb_build_object('signing_key', $4::text)) OR selector ? 'labels')",
        instance.0,
        client_id,
        subject,
        key
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Revocation::from).collect())
}

/// Forgets these of an instance.
pub async fn delete(
    connection: &mut PgConnection,
    instance: InstanceId,
    revocations: &[RevocationId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = revocations.iter().map(|revocation| revocation.0).collect();
    sqlx::query!(
        "DELETE FROM revocation WHERE instance_id = $1 AND revocation_id = ANY($2)",
        instance.0,
        &ids
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets some, of any instance, that mean no token which has not expired, and names them.
pub async fn delete_expired_of_all_tenants(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(InstanceId, RevocationId)>, StoreError> {
    let rows = sqlx::query!(
        "DELETE FROM revocation WHERE revocation_id IN
             (SELECT revocation_id FROM revocation WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
         RETURNING instance_id, revocation_id",
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let named = rows.into_iter().map(|row| (InstanceId(row.instance_id), RevocationId(row.revocation_id)));
    Ok(named.collect())
}

/// Those with these ids, of any instance.
pub(crate) async fn list_by_id(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Revocation>, StoreError> {
    let rows = select!("WHERE revocation_id = ANY($1)", ids).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Revocation::from).collect())
}

/// The first `limit` after this instance and id, of any instance, in that order.
pub(crate) async fn list_after(
    connection: &mut PgConnection,
    instance: Uuid,
    id: Uuid,
    limit: i64,
) -> Result<Vec<Revocation>, StoreError> {
    let rows = select!(
        "WHERE (instance_id, revocation_id) > ($1, $2) ORDER BY instance_id, revocation_id LIMIT $3",
        instance,
        id,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Revocation::from).collect())
}
