//! Sessions of people, and the challenges that stand before one. Tokens come here hashed.

use chrono::{DateTime, Utc};
use contract::ids::MemberId;

use crate::{PgConnection, StoreError};

/// A session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// Whose.
    pub member: MemberId,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Begins a session.
pub async fn insert(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    session: Session,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO session (token_sha256, member_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        token_sha256,
        session.member.0,
        session.created_at,
        session.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The session with this token that has not ended at `now`.
pub async fn find(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<Session>, StoreError> {
    let row = sqlx::query!(
        "SELECT member_id, created_at, expires_at FROM session WHERE token_sha256 = $1 AND expires_at > $2",
        token_sha256,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Session {
        member: MemberId(row.member_id),
        created_at: row.created_at,
        expires_at: row.expires_at,
    }))
}

/// Moves the end of a session.
pub async fn update_expiry(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!("UPDATE session SET expires_at = $2 WHERE token_sha256 = $1", token_sha256, expires_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends a session.
pub async fn delete(connection: &mut PgConnection, token_sha256: &[u8]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM session WHERE token_sha256 = $1", token_sha256).execute(connection).await?;
    Ok(())
}

/// Ends every session of a member but one, and takes every challenge back.
pub async fn delete_others(
    connection: &mut PgConnection,
    member: MemberId,
    keep_sha256: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM session WHERE member_id = $1 AND token_sha256 <> $2", member.0, keep_sha256)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM challenge WHERE member_id = $1", member.0).execute(connection).await?;
    Ok(())
}

/// Makes a challenge.
pub async fn insert_challenge(
    connection: &mut PgConnection,
    challenge_sha256: &[u8],
    member: MemberId,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO challenge (challenge_sha256, member_id, expires_at) VALUES ($1, $2, $3)",
        challenge_sha256,
        member.0,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whose this challenge is, if it is good at `now`.
pub async fn find_challenge(
    connection: &mut PgConnection,
    challenge_sha256: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<MemberId>, StoreError> {
    let member = sqlx::query_scalar!(
        "SELECT member_id FROM challenge WHERE challenge_sha256 = $1 AND expires_at > $2",
        challenge_sha256,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(member.map(MemberId))
}

/// Takes a challenge away; false if it is gone.
pub async fn take_challenge(
    connection: &mut PgConnection,
    challenge_sha256: &[u8],
) -> Result<bool, StoreError> {
    let taken = sqlx::query!("DELETE FROM challenge WHERE challenge_sha256 = $1", challenge_sha256)
        .execute(connection)
        .await?;
    Ok(taken.rows_affected() == 1)
}

/// Forgets sessions and challenges that have ended; answers how many.
pub async fn delete_expired(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sessions =
        sqlx::query!("DELETE FROM session WHERE expires_at <= $1", now).execute(&mut *connection).await?;
    let challenges =
        sqlx::query!("DELETE FROM challenge WHERE expires_at <= $1", now).execute(connection).await?;
    Ok(sessions.rows_affected() + challenges.rows_affected())
}
