//! Provisioned topics.

use chrono::{DateTime, Utc};
use contract::ids::InstanceId;
use sqlx::types::Json;
use uuid::Uuid;

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
    /// What people sort it by.
    pub labels: Labels,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub revision: i64,
}

struct Row {
    instance_id: Uuid,
    name: String,
    description: String,
    payload_bytes_max: Option<i64>,
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
            r#"SELECT instance_id, name, description, payload_bytes_max, labels AS "labels: Json<Labels>",
                      created_at, updated_at, revision
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
             revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        instance.0,
        topic.name,
        topic.description,
        topic.payload_bytes_max.map(signed),
        Json(&topic.labels) as _,
        topic.created_at,
        topic.updated_at,
        topic.revision,
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
        "UPDATE topic SET description = $3, payload_bytes_max = $4, labels = $5, updated_at = $6, revision = $7
         WHERE instance_id = $1 AND name = $2",
        instance.0,
        topic.name,
        topic.description,
        topic.payload_bytes_max.map(signed),
        Json(&topic.labels) as _,
        topic.updated_at,
        topic.revision,
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
