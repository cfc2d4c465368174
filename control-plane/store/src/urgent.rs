//! The urgent lane: revocations, changed credentials, changed states of instances.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::feed::{Urgent, UrgentEntry};
use contract::ids::{InstanceId, NodeId};
use contract::time::UnixMillis;
use sqlx::types::Json;

use crate::listener::CHANNEL;
use crate::{PgConnection, StoreError, signed, unsigned};

/// Takes the next place in the lane. Only [`crate::feed::append`] may follow it in the transaction.
pub async fn append(
    connection: &mut PgConnection,
    instance: InstanceId,
    urgent: &Urgent,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let sequence = sqlx::query_scalar!(
        r#"WITH head AS (UPDATE urgent_head SET sequence = sequence + 1 RETURNING sequence),
                row AS (INSERT INTO urgent (sequence, instance_id, urgent, created_at)
                        SELECT sequence, $1, $2, $3 FROM head)
           SELECT sequence AS "sequence!" FROM head, pg_notify($4, sequence::text)"#,
        instance.0,
        Json(urgent) as _,
        now,
        CHANNEL,
    )
    .fetch_one(connection)
    .await?;
    Ok(unsigned(sequence))
}

/// The last committed sequence.
pub async fn head(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let sequence = sqlx::query_scalar!("SELECT sequence FROM urgent_head").fetch_one(connection).await?;
    Ok(unsigned(sequence))
}

/// The first `limit` entries after this sequence, in order. What an entry says of a state or a credential is what was
/// so when it was made.
pub async fn list_after(
    connection: &mut PgConnection,
    sequence: u64,
    limit: i64,
) -> Result<Vec<UrgentEntry>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT sequence, instance_id, urgent AS "urgent: Json<Urgent>", created_at FROM urgent
           WHERE sequence > $1 ORDER BY sequence LIMIT $2"#,
        signed(sequence),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let entries = rows.into_iter().map(|row| UrgentEntry {
        sequence: unsigned(row.sequence),
        instance: InstanceId(row.instance_id),
        at: UnixMillis(unsigned(row.created_at.timestamp_millis())),
        urgent: row.urgent.0,
    });
    Ok(entries.collect())
}

/// Records how many connections each entry has closed on a node; said again it counts once.
pub async fn put_closed(
    connection: &mut PgConnection,
    node: NodeId,
    closed: &BTreeMap<u64, u64>,
) -> Result<(), StoreError> {
    let (sequences, counts): (Vec<i64>, Vec<i64>) =
        closed.iter().map(|(sequence, count)| (signed(*sequence), signed(*count))).unzip();
    sqlx::query!(
        "INSERT INTO urgent_closed (sequence, node_id, closed)
         SELECT sequence, $1, closed FROM unnest($2::bigint[], $3::bigint[]) AS given (sequence, closed)
         JOIN urgent USING (sequence)
         ON CONFLICT (sequence, node_id) DO UPDATE SET closed = excluded.closed",
        node.0,
        &sequences,
        &counts,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many connections an entry has closed so far.
pub async fn count_closed(connection: &mut PgConnection, sequence: u64) -> Result<u64, StoreError> {
    let closed = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(closed), 0)::bigint AS "closed!" FROM urgent_closed WHERE sequence = $1"#,
        signed(sequence),
    )
    .fetch_one(connection)
    .await?;
    Ok(unsigned(closed))
}

/// Forgets what was made before `made_before`, and all but the last `keep`; answers how many entries.
pub async fn trim(
    connection: &mut PgConnection,
    made_before: DateTime<Utc>,
    keep: u64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM urgent WHERE sequence <= greatest(
             (SELECT sequence - $2 FROM urgent_head), (SELECT max(sequence) FROM urgent WHERE created_at < $1))",
        made_before,
        signed(keep),
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
