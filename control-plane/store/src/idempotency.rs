//! Kept answers, by caller and key. Answers are sealed before they come here.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{PgConnection, StoreError};

/// What is known of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// The request it belongs to.
    pub request_sha256: Vec<u8>,
    /// Its answer, once there is one.
    pub answer_sealed: Option<Vec<u8>>,
}

/// Takes a key; false if it is taken. One that was made before `kept_since`, or that has had no answer since
/// `running_since`, is taken over.
pub async fn claim(
    connection: &mut PgConnection,
    caller: &str,
    key: &str,
    claim: Uuid,
    request_sha256: &[u8],
    times: ClaimTimes,
) -> Result<bool, StoreError> {
    let taken = sqlx::query!(
        "INSERT INTO idempotency AS it (caller, key, request_sha256, claim, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (caller, key) DO UPDATE SET request_sha256 = excluded.request_sha256,
             claim = excluded.claim, created_at = excluded.created_at, answer_sealed = NULL
         WHERE it.created_at < $6 OR (it.answer_sealed IS NULL AND it.created_at < $7)",
        caller,
        key,
        request_sha256,
        claim,
        times.now,
        times.kept_since,
        times.running_since,
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// The moments that decide whether a key is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClaimTimes {
    /// Now.
    pub now: DateTime<Utc>,
    /// Answers from before are forgotten.
    pub kept_since: DateTime<Utc>,
    /// Requests from before that have no answer will never have one.
    pub running_since: DateTime<Utc>,
}

/// What is known of a key.
pub async fn find(
    connection: &mut PgConnection,
    caller: &str,
    key: &str,
) -> Result<Option<Known>, StoreError> {
    let known = sqlx::query_as!(
        Known,
        "SELECT request_sha256, answer_sealed FROM idempotency WHERE caller = $1 AND key = $2",
        caller,
        key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(known)
}

/// Keeps the answer, if the claim still holds.
pub async fn finish(
    connection: &mut PgConnection,
    caller: &str,
    key: &str,
    claim: Uuid,
    answer_sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE idempotency SET answer_sealed = $4 WHERE caller = $1 AND key = $2 AND claim = $3",
        caller,
        key,
        claim,
        answer_sealed,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Frees a key, if the claim still holds.
pub async fn delete(
    connection: &mut PgConnection,
    caller: &str,
    key: &str,
    claim: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM idempotency WHERE caller = $1 AND key = $2 AND claim = $3", caller, key, claim)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets answers from before; answers how many.
pub async fn delete_expired(
    connection: &mut PgConnection,
    kept_since: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let deleted =
        sqlx::query!("DELETE FROM idempotency WHERE created_at < $1", kept_since).execute(connection).await?;
    Ok(deleted.rows_affected())
}
