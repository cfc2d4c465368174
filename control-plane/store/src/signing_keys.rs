//! The keys with which an instance signs temporary tokens. Private keys are sealed before they come here.

use chrono::{DateTime, Utc};
use contract::ids::InstanceId;
use uuid::Uuid;

use crate::{PgConnection, StoreError};

/// A signing key, without its private half.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigningKey {
    /// The instance.
    pub instance: InstanceId,
    /// The key's name in the instance: `k1`, `k2`, …
    pub kid: String,
    /// The 32 bytes of the Ed25519 public key.
    pub public_key: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when tokens that it signed are good, once another key signs; none while it signs itself.
    pub verifies_until: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl SigningKey {
    /// Whether it signs new tokens.
    #[must_use]
    pub const fn signs(&self) -> bool {
        self.verifies_until.is_none() && self.revoked_at.is_none()
    }

    /// Whether tokens that it signed are good at `now`.
    #[must_use]
    pub fn verifies(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.verifies_until.is_none_or(|until| now < until)
    }
}

struct Row {
    instance_id: Uuid,
    kid: String,
    public_key: Vec<u8>,
    created_at: DateTime<Utc>,
    verifies_until: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for SigningKey {
    fn from(row: Row) -> Self {
        Self {
            instance: InstanceId(row.instance_id),
            kid: row.kid,
            public_key: row.public_key,
            created_at: row.created_at,
            verifies_until: row.verifies_until,
            revoked_at: row.revoked_at,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            "SELECT instance_id, kid, public_key, created_at, verifies_until, revoked_at FROM signing_key "
                + $tail
            $(, $arg)*
        )
    };
}

/// Makes a key that signs; the one before must sign no more.
pub async fn insert(
    connection: &mut PgConnection,
    instance: InstanceId,
    key: &SigningKey,
    private_key_sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO signing_key (instance_id, kid, public_key, private_key_sealed, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        instance.0,
        key.kid,
        key.public_key,
        private_key_sealed,
        key.created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The key that signs: its name and its sealed private half.
pub async fn find_signing(
    connection: &mut PgConnection,
    instance: InstanceId,
) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let row = sqlx::query!(
        "SELECT kid, private_key_sealed FROM signing_key
         WHERE instance_id = $1 AND verifies_until IS NULL AND revoked_at IS NULL",
        instance.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.kid, row.private_key_sealed)))
}

/// Every key of the instance, newest first.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
) -> Result<Vec<SigningKey>, StoreError> {
    let rows =
        select!("WHERE instance_id = $1 ORDER BY created_at DESC, length(kid) DESC, kid DESC", instance.0)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(SigningKey::from).collect())
}

/// Lets a key sign no more; what it has signed is good until then.
pub async fn end_signing(
    connection: &mut PgConnection,
    instance: InstanceId,
    kid: &str,
    verifies_until: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE signing_key SET verifies_until = $3 WHERE instance_id = $1 AND kid = $2",
        instance.0,
        kid,
        verifies_until,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Revokes a key.
pub async fn revoke(
    connection: &mut PgConnection,
    instance: InstanceId,
    kid: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE signing_key SET revoked_at = $3, withdrawn = true WHERE instance_id = $1 AND kid = $2",
        instance.0,
        kid,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks some keys, of any instance, whose overlap is over as taken from the nodes, and names them.
pub async fn withdraw_of_all_tenants(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(InstanceId, String)>, StoreError> {
    let rows = sqlx::query!(
        "UPDATE signing_key SET withdrawn = true WHERE (instance_id, kid) IN
             (SELECT instance_id, kid FROM signing_key WHERE NOT withdrawn AND verifies_until <= $1
              ORDER BY verifies_until LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING instance_id, kid",
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (InstanceId(row.instance_id), row.kid)).collect())
}
