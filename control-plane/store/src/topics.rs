//! Provisioned topics.

use chrono::{DateTime, Utc};
use contract::durability::DurabilityClass;
use contract::ids::InstanceId;
use sqlx::types::Json;
use uuid::Uuid;

use crate::named::Named;
use crate::page::{self, Listing, Rows, Source};
use crate::{Labels, PgConnection, StoreError, signed, unsigned};

/// A provisioned topic: the rules of every topic name with this first level.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// The instance.
    pub instance: InstanceId,
    /// The first level; unique in the instance.
    pub name: String,
    /// For people.
    pub description: String,
    /// The largest payload, where it is smaller than the packet limit allows.
    pub payload_bytes_max: Option<u64>,
    /// Whether and how long its messages are kept.
    pub history: History,
    /// Which of its messages are logged; none: as its instance has it.
    pub durability: Option<DurabilityClass>,
    /// What people sort it by.
    pub labels: Labels,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub revision: i64,
}

/// Whether and how long a topic's messages are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// Since when; none while they are not kept.
    pub since: Option<DateTime<Utc>>,
    /// How long, in seconds.
    pub retention_secs: u64,
    /// How much, in bytes of payload and topic; none: as much as comes in that time.
    pub retention_bytes: Option<u64>,
}

struct Row {
    instance_id: Uuid,
    name: String,
    description: String,
    payload_bytes_max: Option<i64>,
    history_since: Option<DateTime<Utc>>,
    history_retention_secs: i64,
    history_retention_bytes: Option<i64>,
    durability: Option<Named<DurabilityClass>>,
    labels: Json<Labels>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
}

impl From<Row> for Topic {
    fn from(row: Row) -> Self {
        Self {
            instance: InstanceId(row.instance_id),
            name: row.name,
            description: row.description,
            payload_bytes_max: row.payload_bytes_max.map(unsigned),
            history: History {
                since: row.history_since,
                retention_secs: unsigned(row.history_retention_secs),
                retention_bytes: row.history_retention_bytes.map(unsigned),
            },
            durability: row.durability.map(|class| class.0),
            labels: row.labels.0,
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
            r#"SELECT instance_id, name, description, payload_bytes_max, history_since, history_retention_secs,
                      history_retention_bytes, durability AS "durability: Named<DurabilityClass>",
                      labels AS "labels: Json<Labels>", created_at, updated_at, revision
               FROM topic "# + $tail
            $(, $arg)*
        )
    };
}

const SOURCE: Source = Source {
    from: "topic",
    filter: "true",
    owner: "instance_id",
    id: "name",
    id_type: "text",
    name: "name",
    created_at: "created_at",
    labels: Some("labels"),
};

/// Makes a topic. [`crate::error::Constraint::TopicTaken`] if the instance has one of this name.
pub async fn insert(
    connection: &mut PgConnection,
    instance: InstanceId,
    topic: &Topic,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO topic (instance_id, name, description, payload_bytes_max, labels, created_at, updated_at,
             revision, history_since, history_retention_secs, history_retention_bytes, durability)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        instance.0,
        topic.name,
        topic.description,
        topic.payload_bytes_max.map(signed),
        Json(&topic.labels) as _,
        topic.created_at,
        topic.updated_at,
        topic.revision,
        topic.history.since,
        signed(topic.history.retention_secs),
        topic.history.retention_bytes.map(signed),
        topic.durability.map(Named) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The topic of this name.
pub async fn find(
    connection: &mut PgConnection,
    instance: InstanceId,
    name: &str,
) -> Result<Option<Topic>, StoreError> {
    let row =
        select!("WHERE instance_id = $1 AND name = $2", instance.0, name).fetch_optional(connection).await?;
    Ok(row.map(Topic::from))
}

/// Stores what people may change of a topic, with the next revision; the instance must be locked.
pub async fn update(
    connection: &mut PgConnection,
    instance: InstanceId,
    topic: &Topic,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE topic SET description = $3, payload_bytes_max = $4, labels = $5, updated_at = $6, revision = $7,
             history_since = $8, history_retention_secs = $9, history_retention_bytes = $10,
             durability = $11
         WHERE instance_id = $1 AND name = $2",
        instance.0,
        topic.name,
        topic.description,
        topic.payload_bytes_max.map(signed),
        Json(&topic.labels) as _,
        topic.updated_at,
        topic.revision,
        topic.history.since,
        signed(topic.history.retention_secs),
        topic.history.retention_bytes.map(signed),
        topic.durability.map(Named) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes a topic; the instance must be locked.
pub async fn delete(
    connection: &mut PgConnection,
    instance: InstanceId,
    name: &str,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM topic WHERE instance_id = $1 AND name = $2", instance.0, name)
        .execute(connection)
        .await?;
    Ok(())
}

/// The topics of an instance.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
    listing: &Listing,
) -> Result<Rows<Topic>, StoreError> {
    let keys = page::keys(connection, &SOURCE, Some(instance.0), listing).await?;
    let names = keys.ids.clone();
    let rows = select!("WHERE instance_id = $1 AND name = ANY($2)", instance.0, &names)
        .fetch_all(connection)
        .await?;
    Ok(keys.order(rows.into_iter().map(Topic::from), |topic| topic.name.clone()))
}

/// A topic that keeps its messages, as far as a query of messages needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The first level.
    pub name: String,
    /// Since when its messages are kept.
    pub since: DateTime<Utc>,
    /// How long, in seconds.
    pub retention_secs: u64,
}

/// The topics of an instance that keep their messages.
pub async fn list_kept(connection: &mut PgConnection, instance: InstanceId) -> Result<Vec<Kept>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT name, history_since AS "since!", history_retention_secs FROM topic
           WHERE instance_id = $1 AND history_since IS NOT NULL"#,
        instance.0,
    )
    .fetch_all(connection)
    .await?;
    let kept = rows.into_iter().map(|row| Kept {
        name: row.name,
        since: row.since,
        retention_secs: unsigned(row.history_retention_secs),
    });
    Ok(kept.collect())
}
