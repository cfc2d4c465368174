//! Counts of sign-in attempts, per account and per address, in windows.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{PgConnection, StoreError, unsigned};

/// The attempts of one subject in its window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempts {
    /// How many, this one included.
    pub attempts: u64,
    /// When the window ends, and the count with it.
    pub window_end: DateTime<Utc>,
}

/// Counts an attempt; the first one begins a window.
pub async fn count(
    connection: &mut PgConnection,
    subject: &[u8],
    now: DateTime<Utc>,
    window: TimeDelta,
) -> Result<Attempts, StoreError> {
    let row = sqlx::query!(
        "INSERT INTO sign_in_throttle AS it (subject, attempts, window_end) VALUES ($1, 1, $3)
         ON CONFLICT (subject) DO UPDATE SET
             attempts = CASE WHEN it.window_end <= $2 THEN 1 ELSE it.attempts + 1 END,
             window_end = CASE WHEN it.window_end <= $2 THEN $3 ELSE it.window_end END
         RETURNING attempts, window_end",
        subject,
        now,
        now + window,
    )
    .fetch_one(connection)
    .await?;
    Ok(Attempts { attempts: unsigned(row.attempts), window_end: row.window_end })
}

/// Takes one attempt back, since it was right.
pub async fn forgive(connection: &mut PgConnection, subject: &[u8]) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sign_in_throttle SET attempts = greatest(attempts - 1, 0) WHERE subject = $1",
        subject
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets a subject.
pub async fn delete(connection: &mut PgConnection, subject: &[u8]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM sign_in_throttle WHERE subject = $1", subject).execute(connection).await?;
    Ok(())
}

/// Forgets windows that have ended; answers how many.
pub async fn delete_expired(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let deleted =
        sqlx::query!("DELETE FROM sign_in_throttle WHERE window_end <= $1", now).execute(connection).await?;
    Ok(deleted.rows_affected())
}
