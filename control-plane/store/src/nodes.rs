//! Nodes: who may ask for configuration, and how far each has come.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::feed::Generation;
use contract::ids::{InstanceId, JoinTokenId, NodeId, TimelineId};
use sqlx::types::Json;
use uuid::Uuid;

use crate::page::{self, Listing, Rows, Source};
use crate::{PgConnection, StoreError, signed, unsigned};

/// A broker process, as it was last heard of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// Its release.
    pub version: String,
    /// The version of the feed's forms that it speaks.
    pub format_version: u32,
    /// Where its own listener is, as an http URL; none: it is closed.
    pub address: Option<String>,
    /// How far its configuration is; none before its first export.
    pub generation: Option<Generation>,
    /// The last urgent entry that it has applied.
    pub urgent_sequence: u64,
    /// Clients connected, by instance, at its last report.
    pub connections: BTreeMap<InstanceId, u64>,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
    /// When it enrolled.
    pub created_at: DateTime<Utc>,
}

struct Row {
    node_id: Uuid,
    name: String,
    version: String,
    format_version: i32,
    address: Option<String>,
    timeline: Option<Uuid>,
    generation: Option<i64>,
    urgent_sequence: i64,
    connections: Json<BTreeMap<InstanceId, u64>>,
    last_seen_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Node {
    fn from(row: Row) -> Self {
        let generation = row.timeline.zip(row.generation).map(|(timeline, number)| Generation {
            timeline: TimelineId(timeline),
            number: unsigned(number),
        });
        Self {
            id: NodeId(row.node_id),
            name: row.name,
            version: row.version,
            format_version: u32::try_from(row.format_version).unwrap_or(0),
            address: row.address,
            generation,
            urgent_sequence: unsigned(row.urgent_sequence),
            connections: row.connections.0,
            last_seen_at: row.last_seen_at,
            created_at: row.created_at,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT node_id, name, version, format_version, address, timeline, generation, urgent_sequence,
                      connections AS "connections: Json<BTreeMap<InstanceId, u64>>", last_seen_at, created_at
               FROM node "# + $tail
            $(, $arg)*
        )
    };
}

const SOURCE: Source = Source {
    from: "node",
    filter: "true",
    owner: "node_id",
    id: "node_id",
    id_type: "uuid",
    name: "name COLLATE \"C\"",
    created_at: "created_at",
    labels: None,
};

/// Makes a right to join.
pub async fn insert_join_token(
    connection: &mut PgConnection,
    id: JoinTokenId,
    secret_sha256: &[u8],
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO join_token (join_token_id, secret_sha256, expires_at, created_at) VALUES ($1, $2, $3, $4)",
        id.0,
        secret_sha256,
        expires_at,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A right to join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinToken {
    /// SHA-256 of its secret.
    pub secret_sha256: Vec<u8>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// The node that has used it.
    pub node: Option<NodeId>,
}

/// The right to join with this id, locked until the transaction ends.
pub async fn lock_join_token(
    connection: &mut PgConnection,
    id: JoinTokenId,
) -> Result<Option<JoinToken>, StoreError> {
    let row = sqlx::query!(
        "SELECT secret_sha256, expires_at, node_id FROM join_token WHERE join_token_id = $1 FOR UPDATE",
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| JoinToken {
        secret_sha256: row.secret_sha256,
        expires_at: row.expires_at,
        node: row.node_id.map(NodeId),
    }))
}

/// Makes a node by a right to join, which is used with it.
pub async fn insert(
    connection: &mut PgConnection,
    node: &Node,
    secret_sha256: &[u8],
    join_token: JoinTokenId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO node (node_id, name, secret_sha256, version, format_version, last_seen_at, created_at, address)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        node.id.0,
        node.name,
        secret_sha256,
        node.version,
        i32::try_from(node.format_version).unwrap_or(i32::MAX),
        node.last_seen_at,
        node.created_at,
        node.address,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("UPDATE join_token SET node_id = $2 WHERE join_token_id = $1", join_token.0, node.id.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// SHA-256 of a node's secret.
pub async fn find_secret(connection: &mut PgConnection, node: NodeId) -> Result<Option<Vec<u8>>, StoreError> {
    let secret = sqlx::query_scalar!("SELECT secret_sha256 FROM node WHERE node_id = $1", node.0)
        .fetch_optional(connection)
        .await?;
    Ok(secret)
}

/// The node with this id.
pub async fn find(connection: &mut PgConnection, node: NodeId) -> Result<Option<Node>, StoreError> {
    let row = select!("WHERE node_id = $1", node.0).fetch_optional(connection).await?;
    Ok(row.map(Node::from))
}

/// A node as one who asks it itself sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// The shard that its own log counts as in the identifiers of messages.
    pub number: u16,
    /// What people call it.
    pub name: String,
    /// Where its own listener is; none: it is closed.
    pub address: Option<String>,
    /// SHA-256 of its secret, which both sides know.
    pub secret_sha256: Vec<u8>,
    /// The clients of the instance in question that it had at its last report.
    pub connections: u64,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
}

/// Every node, up to `limit`, for questions about this instance: those with most of its connections first.
pub async fn list_peers(
    connection: &mut PgConnection,
    instance: InstanceId,
    limit: i64,
) -> Result<Vec<Peer>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT node_id, number, name, address, secret_sha256, last_seen_at,
                  coalesce((connections ->> $1)::bigint, 0) AS "connections!"
           FROM node ORDER BY coalesce((connections ->> $1)::bigint, 0) DESC, node_id LIMIT $2"#,
        instance.to_string(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let peers = rows.into_iter().map(|row| Peer {
        id: NodeId(row.node_id),
        // The sequence that it is drawn from ends with the sixteen bits.
        number: u16::try_from(row.number).unwrap_or(u16::MAX),
        name: row.name,
        address: row.address,
        secret_sha256: row.secret_sha256,
        connections: unsigned(row.connections),
        last_seen_at: row.last_seen_at,
    });
    Ok(peers.collect())
}

/// The nodes that were heard of since then.
pub async fn list_seen(
    connection: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Vec<NodeId>, StoreError> {
    let ids = sqlx::query_scalar!("SELECT node_id FROM node WHERE last_seen_at >= $1", since);
    Ok(ids.fetch_all(connection).await?.into_iter().map(NodeId).collect())
}

/// Every node.
pub async fn list(connection: &mut PgConnection, listing: &Listing) -> Result<Rows<Node>, StoreError> {
    let keys = page::keys(connection, &SOURCE, None, listing).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE node_id = ANY($1)", &ids).fetch_all(connection).await?;
    Ok(keys.order(rows.into_iter().map(Node::from), |node| node.id.to_string()))
}

/// A node was heard of, and has applied this generation if one is given.
pub async fn see(
    connection: &mut PgConnection,
    node: NodeId,
    generation: Option<Generation>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE node SET last_seen_at = $4, timeline = coalesce($2, timeline),
             generation = coalesce($3, generation)
         WHERE node_id = $1",
        node.0,
        generation.map(|it| it.timeline.0),
        generation.map(|it| signed(it.number)),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What a node reports of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report<'a> {
    /// Its release.
    pub version: &'a str,
    /// The version of the feed's forms that it speaks.
    pub format_version: u32,
    /// Where its own listener is; none: it is closed.
    pub address: Option<&'a str>,
    /// How far its configuration is.
    pub generation: Option<Generation>,
    /// Which history its place in the urgent lane belongs to.
    pub urgent_timeline: Option<TimelineId>,
    /// The last urgent entry it has applied.
    pub urgent_sequence: u64,
    /// Clients connected now, by instance.
    pub connections: &'a BTreeMap<InstanceId, u64>,
}

/// Takes a node's report. What the node has acknowledged while the report was on its way stands: within a timeline
/// only [`see`] takes a generation back.
pub async fn update(
    connection: &mut PgConnection,
    node: NodeId,
    report: &Report<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE node SET version = $2, format_version = $3, timeline = $4,
             generation = CASE WHEN timeline = $4 THEN greatest(generation, $5) ELSE $5 END,
             urgent_timeline = $6, urgent_sequence = $7, connections = $8, last_seen_at = $9, address = $10
         WHERE node_id = $1",
        node.0,
        report.version,
        i32::try_from(report.format_version).unwrap_or(i32::MAX),
        report.generation.map(|it| it.timeline.0),
        report.generation.map(|it| signed(it.number)),
        report.urgent_timeline.map(|it| it.0),
        signed(report.urgent_sequence),
        Json(report.connections) as _,
        now,
        report.address,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many nodes there are, and how many have come so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Nodes heard of since the given moment that have come so far.
    pub applied: u64,
    /// Nodes heard of since the given moment.
    pub reachable: u64,
    /// The others.
    pub unreachable: u64,
}

/// How many nodes have applied this generation.
pub async fn count_applied(
    connection: &mut PgConnection,
    generation: Generation,
    seen_since: DateTime<Utc>,
) -> Result<Progress, StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE last_seen_at >= $3) AS "reachable!",
                  count(*) FILTER (WHERE last_seen_at >= $3 AND timeline = $1 AND generation >= $2) AS "applied!",
                  count(*) FILTER (WHERE last_seen_at < $3) AS "unreachable!"
           FROM node"#,
        generation.timeline.0,
        signed(generation.number),
        seen_since,
    )
    .fetch_one(connection)
    .await?;
    Ok(Progress {
        applied: unsigned(row.applied),
        reachable: unsigned(row.reachable),
        unreachable: unsigned(row.unreachable),
    })
}

/// How many nodes have applied this entry of the urgent lane.
pub async fn count_applied_urgent(
    connection: &mut PgConnection,
    timeline: TimelineId,
    sequence: u64,
    seen_since: DateTime<Utc>,
) -> Result<Progress, StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE last_seen_at >= $3) AS "reachable!",
                  count(*) FILTER (WHERE last_seen_at >= $3 AND urgent_timeline = $1 AND urgent_sequence >= $2)
                      AS "applied!",
                  count(*) FILTER (WHERE last_seen_at < $3) AS "unreachable!"
           FROM node"#,
        timeline.0,
        signed(sequence),
        seen_since,
    )
    .fetch_one(connection)
    .await?;
    Ok(Progress {
        applied: unsigned(row.applied),
        reachable: unsigned(row.reachable),
        unreachable: unsigned(row.unreachable),
    })
}

/// How many clients of an instance the nodes heard of since the given moment have connected.
pub async fn count_connections(
    connection: &mut PgConnection,
    instance: InstanceId,
    seen_since: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT coalesce(sum((connections ->> $1)::bigint), 0)::bigint AS "count!" FROM node
           WHERE last_seen_at >= $2"#,
        instance.to_string(),
        seen_since,
    )
    .fetch_one(connection)
    .await?;
    Ok(unsigned(count))
}

/// Forgets rights to join that ended before; answers how many.
pub async fn delete_expired_join_tokens(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let deleted =
        sqlx::query!("DELETE FROM join_token WHERE expires_at <= $1", now).execute(connection).await?;
    Ok(deleted.rows_affected())
}
