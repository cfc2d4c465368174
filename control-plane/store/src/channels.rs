//! Channels: where alarms are told. Their secrets are sealed before they come here.

use chrono::{DateTime, Utc};
use contract::ids::{ChannelId, InstanceId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::named::Named;
use crate::page::{self, Listing, Rows, Source};
use crate::{PgConnection, StoreError, unsigned};

/// What a channel is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// A URL that is called.
    Webhook,
}

/// Where alarms are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// The instance.
    pub instance: InstanceId,
    /// What people call it; unique in the instance.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
    /// What is called.
    pub url: String,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Until when the secret before signs too; none where no secret was replaced lately.
    pub previous_signs_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub revision: i64,
}

/// The sealed secrets of a channel.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    /// The one that signs.
    pub current: Vec<u8>,
    /// The one before, with the moment from which it signs no more.
    pub previous: Option<(Vec<u8>, DateTime<Utc>)>,
}

struct Row {
    channel_id: Uuid,
    instance_id: Uuid,
    name: String,
    kind: Named<ChannelKind>,
    url: String,
    enabled: bool,
    previous_signs_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
}

impl From<Row> for Channel {
    fn from(row: Row) -> Self {
        Self {
            id: ChannelId(row.channel_id),
            instance: InstanceId(row.instance_id),
            name: row.name,
            kind: row.kind.0,
            url: row.url,
            enabled: row.enabled,
            previous_signs_until: row.previous_signs_until,
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
            r#"SELECT channel_id, instance_id, name, kind AS "kind: Named<ChannelKind>", url, enabled,
                      previous_signs_until, created_at, updated_at, revision
               FROM channel "# + $tail
            $(, $arg)*
        )
    };
}

const SOURCE: Source = Source {
    from: "channel",
    filter: "true",
    owner: "instance_id",
    id: "channel_id",
    id_type: "uuid",
    name: "name",
    created_at: "created_at",
    labels: None,
};

/// Makes a channel. [`crate::error::Constraint::ChannelTaken`] if the instance has one of this name.
pub async fn insert(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: &Channel,
    secret_sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO channel (channel_id, instance_id, name, kind, url, enabled, secret_sealed, created_at,
             updated_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        channel.id.0,
        instance.0,
        channel.name,
        Named(channel.kind) as _,
        channel.url,
        channel.enabled,
        secret_sealed,
        channel.created_at,
        channel.updated_at,
        channel.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The channel with this id.
pub async fn find(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: ChannelId,
) -> Result<Option<Channel>, StoreError> {
    let row = select!("WHERE instance_id = $1 AND channel_id = $2", instance.0, channel.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Channel::from))
}

/// Those of these channels that are there, by id.
pub async fn find_all(
    connection: &mut PgConnection,
    instance: InstanceId,
    channels: &[ChannelId],
) -> Result<Vec<Channel>, StoreError> {
    let ids: Vec<Uuid> = channels.iter().map(|channel| channel.0).collect();
    let rows =
        select!("WHERE instance_id = $1 AND channel_id = ANY($2) ORDER BY channel_id", instance.0, &ids)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(Channel::from).collect())
}

/// The sealed secrets of a channel.
pub async fn find_secrets(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: ChannelId,
) -> Result<Option<SealedSecrets>, StoreError> {
    let row = sqlx::query!(
        "SELECT secret_sealed, previous_secret_sealed, previous_signs_until FROM channel
         WHERE instance_id = $1 AND channel_id = $2",
        instance.0,
        channel.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| SealedSecrets {
        current: row.secret_sealed,
        previous: row.previous_secret_sealed.zip(row.previous_signs_until),
    }))
}

/// Stores what people may change of a channel, with the next revision; the instance must be locked.
pub async fn update(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: &Channel,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE channel SET name = $3, url = $4, enabled = $5, updated_at = $6, revision = $7
         WHERE instance_id = $1 AND channel_id = $2",
        instance.0,
        channel.id.0,
        channel.name,
        channel.url,
        channel.enabled,
        channel.updated_at,
        channel.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a channel another secret; the one it has signs too until `previous_signs_until`. The instance must be locked.
pub async fn rotate(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: &Channel,
    secret_sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE channel SET previous_secret_sealed = secret_sealed, secret_sealed = $3,
             previous_signs_until = $4, updated_at = $5, revision = $6
         WHERE instance_id = $1 AND channel_id = $2",
        instance.0,
        channel.id.0,
        secret_sealed,
        channel.previous_signs_until,
        channel.updated_at,
        channel.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes a channel with its deliveries; the instance must be locked.
pub async fn delete(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: ChannelId,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM channel WHERE instance_id = $1 AND channel_id = $2", instance.0, channel.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// How many channels an instance has.
pub async fn count(connection: &mut PgConnection, instance: InstanceId) -> Result<u64, StoreError> {
    let count =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM channel WHERE instance_id = $1"#, instance.0)
            .fetch_one(connection)
            .await?;
    Ok(unsigned(count))
}

/// The channels of an instance.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
    listing: &Listing,
) -> Result<Rows<Channel>, StoreError> {
    let keys = page::keys(connection, &SOURCE, Some(instance.0), listing).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE instance_id = $1 AND channel_id = ANY($2)", instance.0, &ids)
        .fetch_all(connection)
        .await?;
    Ok(keys.order(rows.into_iter().map(Channel::from), |channel| channel.id.to_string()))
}
