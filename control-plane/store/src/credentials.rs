//! Credentials: how devices prove themselves for long. Only verifiers are kept, never a secret.

use chrono::{DateTime, Utc};
use contract::feed::CredentialSecret;
use contract::grant::Grants;
use contract::ids::{CredentialId, InstanceId};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::page::{self, Listing, Rows, Source};
use crate::{Labels, PgConnection, StoreError};

/// One of the two places for a secret, so that a device can change over from one to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSlot {
    /// The one that every credential has.
    Primary,
    /// A second one.
    Secondary,
}

/// A credential, without its verifiers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// The instance.
    pub instance: InstanceId,
    /// The user name; unique in the instance.
    pub username: String,
    /// The one client identifier that may use it; any, when none.
    pub client_id: Option<String>,
    /// Whether it may be used.
    pub enabled: bool,
    /// What its holder may do.
    pub grants: Grants,
    /// What people sort it by.
    pub labels: Labels,
    /// Whether it has a secondary secret.
    pub has_secondary: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub revision: i64,
}

struct Row {
    credential_id: Uuid,
    instance_id: Uuid,
    username: String,
    client_id: Option<String>,
    enabled: bool,
    grants: Json<Grants>,
    labels: Json<Labels>,
    has_secondary: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
}

impl From<Row> for Credential {
    fn from(row: Row) -> Self {
        Self {
            id: CredentialId(row.credential_id),
            instance: InstanceId(row.instance_id),
            username: row.username,
            client_id: row.client_id,
            enabled: row.enabled,
            grants: row.grants.0,
            labels: row.labels.0,
            has_secondary: row.has_secondary,
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT credential_id, instance_id, username, client_id, enabled, grants AS "grants: Json<Grants>",
                      labels AS "labels: Json<Labels>", secondary_secret IS NOT NULL AS "has_secondary!",
                      created_at, updated_at, revision
               FROM credential "# + $tail
            $(, $arg)*
        )
    };
}

const SOURCE: Source = Source {
    from: "credential",
    filter: "true",
    owner: "instance_id",
    id: "credential_id",
    id_type: "uuid",
    name: "username",
    created_at: "created_at",
    labels: Some("labels"),
};

/// Makes a credential. [`crate::error::Constraint::UsernameTaken`] if the instance has one of this user name.
pub async fn insert(
    connection: &mut PgConnection,
    instance: InstanceId,
    credential: &Credential,
    primary: &CredentialSecret,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO credential (credential_id, instance_id, username, client_id, enabled, grants, labels,
             primary_secret, created_at, updated_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        credential.id.0,
        instance.0,
        credential.username,
        credential.client_id,
        credential.enabled,
        Json(&credential.grants) as _,
        Json(&credential.labels) as _,
        Json(primary) as _,
        credential.created_at,
        credential.updated_at,
        credential.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The credential with this id.
pub async fn find(
    connection: &mut PgConnection,
    instance: InstanceId,
    credential: CredentialId,
) -> Result<Option<Credential>, StoreError> {
    let row = select!("WHERE instance_id = $1 AND credential_id = $2", instance.0, credential.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Credential::from))
}

/// Stores what people may change of a credential, with the next revision; the instance must be locked.
pub async fn update(
    connection: &mut PgConnection,
    instance: InstanceId,
    credential: &Credential,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE credential SET client_id = $3, enabled = $4, grants = $5, labels = $6, updated_at = $7,
             revision = $8
         WHERE instance_id = $1 AND credential_id = $2",
        instance.0,
        credential.id.0,
        credential.client_id,
        credential.enabled,
        Json(&credential.grants) as _,
        Json(&credential.labels) as _,
        credential.updated_at,
        credential.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts verifiers into one of the two slots; the instance must be locked.
pub async fn update_secret(
    connection: &mut PgConnection,
    instance: InstanceId,
    credential: CredentialId,
    slot: SecretSlot,
    secret: &CredentialSecret,
) -> Result<(), StoreError> {
    let primary = slot == SecretSlot::Primary;
    sqlx::query!(
        "UPDATE credential SET primary_secret = CASE WHEN $3 THEN $4 ELSE primary_secret END,
             secondary_secret = CASE WHEN $3 THEN secondary_secret ELSE $4 END
         WHERE instance_id = $1 AND credential_id = $2",
        instance.0,
        credential.0,
        primary,
        Json(secret) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes a credential; the instance must be locked.
pub async fn delete(
    connection: &mut PgConnection,
    instance: InstanceId,
    credential: CredentialId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM credential WHERE instance_id = $1 AND credential_id = $2",
        instance.0,
        credential.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The credentials of an instance.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
    listing: &Listing,
) -> Result<Rows<Credential>, StoreError> {
    let keys = page::keys(connection, &SOURCE, Some(instance.0), listing).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE instance_id = $1 AND credential_id = ANY($2)", instance.0, &ids)
        .fetch_all(connection)
        .await?;
    Ok(keys.order(rows.into_iter().map(Credential::from), |credential| credential.id.to_string()))
}
