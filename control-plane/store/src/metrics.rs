//! Chunks of metrics: one row for an instance and a minute, in partitions of a day. What is in a chunk is not known here.

use chrono::{DateTime, Days, NaiveDate, Utc};
use contract::ids::InstanceId;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{PgConnection, StoreError};

/// How the name of a day's partition begins, and how the rest of it is written.
const PARTITION_PREFIX: &str = "metric_chunk_";
const DAY_FORMAT: &str = "%Y%m%d";

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetricChunk {
    /// The minute that it is of.
    pub minute: DateTime<Utc>,
    /// What it holds.
    pub chunk: Vec<u8>,
}

/// The chunks of one instance from one minute to before another, oldest first.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<MetricChunk>, StoreError> {
    let rows = sqlx::query_as!(
        MetricChunk,
        "SELECT minute, chunk FROM metric_chunk WHERE instance_id = $1 AND minute >= $2 AND minute < $3
         ORDER BY minute",
        instance.0,
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The chunks of some instances from one minute to before another, in no order.
pub async fn list_of_all_tenants(
    connection: &mut PgConnection,
    instances: &[InstanceId],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<(InstanceId, MetricChunk)>, StoreError> {
    let instances: Vec<Uuid> = instances.iter().map(|instance| instance.0).collect();
    let rows = sqlx::query!(
        "SELECT instance_id, minute, chunk FROM metric_chunk
         WHERE instance_id = ANY($1) AND minute >= $2 AND minute < $3",
        &instances,
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    let chunk = |minute, chunk| MetricChunk { minute, chunk };
    Ok(rows.into_iter().map(|row| (InstanceId(row.instance_id), chunk(row.minute, row.chunk))).collect())
}

/// Inserts the chunks of one minute whose rows are not there yet; answers those that are, locked, in no order.
/// The instances are given in ascending order, so that no two writers wait for each other.
pub async fn insert_of_all_tenants(
    connection: &mut PgConnection,
    minute: DateTime<Utc>,
    chunks: &[(InstanceId, Vec<u8>)],
) -> Result<Vec<(InstanceId, Vec<u8>)>, StoreError> {
    let (instances, bytes): (Vec<Uuid>, Vec<Vec<u8>>) =
        chunks.iter().map(|(instance, chunk)| (instance.0, chunk.clone())).unzip();
    let inserted = sqlx::query_scalar!(
        "INSERT INTO metric_chunk (instance_id, minute, chunk)
         SELECT instance_id, $1, chunk FROM unnest($2::uuid[], $3::bytea[]) AS given (instance_id, chunk)
         ON CONFLICT (instance_id, minute) DO NOTHING RETURNING instance_id",
        minute,
        &instances,
        &bytes,
    )
    .fetch_all(&mut *connection)
    .await?;
    let there: Vec<Uuid> = instances.into_iter().filter(|instance| !inserted.contains(instance)).collect();
    if there.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        "SELECT instance_id, chunk FROM metric_chunk WHERE minute = $1 AND instance_id = ANY($2)
         ORDER BY instance_id FOR UPDATE",
        minute,
        &there,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (InstanceId(row.instance_id), row.chunk)).collect())
}

/// Replaces the chunks of one minute that [`insert_of_all_tenants`] has locked.
pub async fn update_of_all_tenants(
    connection: &mut PgConnection,
    minute: DateTime<Utc>,
    chunks: Vec<(InstanceId, Vec<u8>)>,
) -> Result<(), StoreError> {
    let (instances, bytes): (Vec<Uuid>, Vec<Vec<u8>>) =
        chunks.into_iter().map(|(instance, chunk)| (instance.0, chunk)).unzip();
    sqlx::query!(
        "UPDATE metric_chunk SET chunk = given.chunk
         FROM unnest($2::uuid[], $3::bytea[]) AS given (instance_id, chunk)
         WHERE metric_chunk.minute = $1 AND metric_chunk.instance_id = given.instance_id",
        minute,
        &instances,
        &bytes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The days for which there are partitions, in no order.
pub async fn list_days(connection: &mut PgConnection) -> Result<Vec<NaiveDate>, StoreError> {
    let names = sqlx::query_scalar!(
        r#"SELECT relname::text AS "name!" FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
           WHERE inhparent = 'metric_chunk'::regclass"#,
    )
    .fetch_all(connection)
    .await?;
    let day = |name: String| NaiveDate::parse_from_str(name.strip_prefix(PARTITION_PREFIX)?, DAY_FORMAT).ok();
    Ok(names.into_iter().filter_map(day).collect())
}

/// Makes the partition of a day, unless there is one. Whoever makes the same waits until the transaction ends.
pub async fn create_day(connection: &mut PgConnection, day: NaiveDate) -> Result<(), StoreError> {
    // `IF NOT EXISTS` alone fails where two do it at one time.
    sqlx::query("LOCK TABLE metric_chunk IN SHARE UPDATE EXCLUSIVE MODE").execute(&mut *connection).await?;
    let (name, next) = (partition(day), day + Days::new(1));
    // A date is digits and dashes: nothing in it can be anything but a date.
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {name} PARTITION OF metric_chunk \
         FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')"
    );
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

/// Drops the partition of a day with all that is in it.
pub async fn drop_day(connection: &mut PgConnection, day: NaiveDate) -> Result<(), StoreError> {
    let statement = format!("DROP TABLE IF EXISTS {}", partition(day));
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

fn partition(day: NaiveDate) -> String {
    format!("{PARTITION_PREFIX}{}", day.format(DAY_FORMAT))
}
