//! The change feed: the head, and which documents each generation names.

use chrono::{DateTime, Utc};
use contract::feed::{DocumentKey, Generation};
use contract::ids::TimelineId;
use sqlx::types::Json;

use crate::listener::CHANNEL;
use crate::{PgConnection, StoreError, signed, unsigned};

/// One generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedRow {
    /// Its number.
    pub number: u64,
    /// The documents that it names.
    pub keys: Vec<DocumentKey>,
}

/// Takes the next generation for these documents. It must be the transaction's last statement: from here to the
/// commit every other writer waits, which is what puts the commits into the order of their numbers.
pub async fn append(
    connection: &mut PgConnection,
    keys: &[DocumentKey],
    now: DateTime<Utc>,
) -> Result<Generation, StoreError> {
    let row = sqlx::query!(
        r#"WITH head AS (UPDATE feed_head SET number = number + 1 RETURNING timeline, number),
                row AS (INSERT INTO feed (number, document_keys, created_at)
                        SELECT number, $1, $2 FROM head)
           SELECT timeline AS "timeline!", number AS "number!" FROM head, pg_notify($3, number::text)"#,
        Json(keys) as _,
        now,
        CHANNEL,
    )
    .fetch_one(connection)
    .await?;
    Ok(Generation { timeline: TimelineId(row.timeline), number: unsigned(row.number) })
}

/// The last committed generation.
pub async fn head(connection: &mut PgConnection) -> Result<Generation, StoreError> {
    let row = sqlx::query!("SELECT timeline, number FROM feed_head").fetch_one(connection).await?;
    Ok(Generation { timeline: TimelineId(row.timeline), number: unsigned(row.number) })
}

/// The first `limit` generations after this number, in order.
pub async fn list_after(
    connection: &mut PgConnection,
    number: u64,
    limit: i64,
) -> Result<Vec<FeedRow>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT number, document_keys AS "document_keys: Json<Vec<DocumentKey>>" FROM feed
           WHERE number > $1 ORDER BY number LIMIT $2"#,
        signed(number),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|row| FeedRow { number: unsigned(row.number), keys: row.document_keys.0 }).collect())
}

/// Forgets what was made before `made_before`, and all but the last `keep`; answers how many generations. What stays
/// is without gaps.
pub async fn trim(
    connection: &mut PgConnection,
    made_before: DateTime<Utc>,
    keep: u64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM feed WHERE number <= greatest(
             (SELECT number - $2 FROM feed_head), (SELECT max(number) FROM feed WHERE created_at < $1))",
        made_before,
        signed(keep),
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
