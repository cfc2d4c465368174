//! Deliveries: events on their way to channels. Written with what they tell of, sent afterwards.

use chrono::{DateTime, Utc};
use contract::ids::{ChannelId, DeliveryId, InstanceId, TenantId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::named::Named;
use crate::page::{self, Listing, Matching, Rows, Source};
use crate::{PgConnection, StoreError, unsigned};

/// How far a delivery has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, or will be again.
    Pending,
    /// The channel has taken it.
    Delivered,
    /// It was given up.
    Failed,
}

/// One event on its way to one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Its id; the receiver sees it at every attempt.
    pub id: DeliveryId,
    /// The instance.
    pub instance: InstanceId,
    /// The channel.
    pub channel: ChannelId,
    /// The type of the event: `alarm.firing`.
    pub event: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// The HTTP status of the last answer; none where there was no answer.
    pub last_status: Option<u16>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it is tried next.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it arrived or was given up.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A delivery that is this process's to try, until another may take it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claimed {
    /// The delivery, with this attempt counted.
    pub delivery: Delivery,
    /// Whose it is.
    pub tenant: TenantId,
    /// What to call.
    pub url: String,
    /// The body to send.
    pub body: String,
}

struct Row {
    delivery_id: Uuid,
    instance_id: Uuid,
    channel_id: Uuid,
    event: String,
    state: Named<DeliveryState>,
    attempts: i32,
    last_status: Option<i32>,
    last_error: Option<String>,
    next_attempt_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Row> for Delivery {
    fn from(row: Row) -> Self {
        Self {
            id: DeliveryId(row.delivery_id),
            instance: InstanceId(row.instance_id),
            channel: ChannelId(row.channel_id),
            event: row.event,
            state: row.state.0,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
            last_error: row.last_error,
            next_attempt_at: row.next_attempt_at,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT delivery_id, instance_id, channel_id, event, state AS "state: Named<DeliveryState>",
                      attempts, last_status, last_error, next_attempt_at, created_at, finished_at
               FROM delivery "# + $tail
            $(, $arg)*
        )
    };
}

const SOURCE: Source = Source {
    from: "delivery",
    filter: "true",
    owner: "instance_id",
    id: "delivery_id",
    id_type: "uuid",
    name: "event",
    created_at: "created_at",
    labels: None,
};

/// Writes a delivery.
pub async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    delivery: &Delivery,
    body: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO delivery (delivery_id, instance_id, channel_id, tenant_id, event, body, state, last_error,
             next_attempt_at, created_at, finished_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        delivery.id.0,
        delivery.instance.0,
        delivery.channel.0,
        tenant.0,
        delivery.event,
        body,
        Named(delivery.state) as _,
        delivery.last_error,
        delivery.next_attempt_at,
        delivery.created_at,
        delivery.finished_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many deliveries of an instance have not arrived yet, counted up to `most`.
pub async fn count_pending(
    connection: &mut PgConnection,
    instance: InstanceId,
    most: i64,
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM
               (SELECT 1 FROM delivery WHERE instance_id = $1 AND state = 'pending' LIMIT $2) AS counted"#,
        instance.0,
        most,
    )
    .fetch_one(connection)
    .await?;
    Ok(unsigned(count))
}

/// When the newest event of this type was written for a channel, if that was after `after`.
pub async fn find_newest(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: ChannelId,
    event: &str,
    after: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let newest = sqlx::query_scalar!(
        "SELECT max(created_at) FROM delivery
         WHERE instance_id = $1 AND channel_id = $2 AND event = $3 AND created_at > $4",
        instance.0,
        channel.0,
        event,
        after,
    )
    .fetch_one(connection)
    .await?;
    Ok(newest)
}

/// Takes deliveries that are due: at most `limit`, `of_one_tenant` at most of one tenant, and none of a tenant that is
/// `busy`. Which tenants is left to chance, so that those whose receivers are dead do not hold up the others. What is
/// suspended or being deleted tells nothing, and what it has to tell waits. Until `claimed_until` they are nobody else's; then whoever took them is thought dead.
pub async fn claim_of_all_tenants(
    connection: &mut PgConnection,
    (now, claimed_until): (DateTime<Utc>, DateTime<Utc>),
    (limit, of_one_tenant): (i64, i64),
    busy: &[TenantId],
) -> Result<Vec<Claimed>, StoreError> {
    let busy: Vec<Uuid> = busy.iter().map(|tenant| tenant.0).collect();
    let rows = sqlx::query!(
        r#"WITH due AS (
               SELECT mine.instance_id, mine.delivery_id
               FROM (SELECT delivery.tenant_id FROM delivery
                     JOIN instance USING (instance_id)
                     JOIN tenant ON tenant.tenant_id = instance.tenant_id
                     WHERE delivery.state = 'pending' AND next_attempt_at <= $1
                       AND NOT delivery.tenant_id = ANY($5)
                       AND deleted_at IS NULL AND suspended_by IS NULL AND tenant.state = 'active'
                     GROUP BY delivery.tenant_id ORDER BY random() LIMIT $3) AS waiting
               CROSS JOIN LATERAL
                    (SELECT instance_id, delivery_id FROM delivery
                     WHERE delivery.tenant_id = waiting.tenant_id AND state = 'pending'
                       AND next_attempt_at <= $1
                       AND instance_id IN
                           (SELECT instance_id FROM instance WHERE deleted_at IS NULL AND suspended_by IS NULL)
                     ORDER BY next_attempt_at LIMIT $4 FOR UPDATE SKIP LOCKED) AS mine
               LIMIT $3)
           UPDATE delivery SET attempts = delivery.attempts + 1, next_attempt_at = $2
           FROM due, channel
           WHERE delivery.instance_id = due.instance_id AND delivery.delivery_id = due.delivery_id
             AND channel.instance_id = delivery.instance_id AND channel.channel_id = delivery.channel_id
           RETURNING delivery.delivery_id, delivery.instance_id, delivery.channel_id, delivery.tenant_id, event,
               state AS "state: Named<DeliveryState>", attempts, last_status, last_error, next_attempt_at,
               delivery.created_at, finished_at, url, body"#,
        now,
        claimed_until,
        limit,
        of_one_tenant,
        &busy,
    )
    .fetch_all(connection)
    .await?;
    let claimed = rows.into_iter().map(|row| Claimed {
        tenant: TenantId(row.tenant_id),
        url: row.url,
        body: row.body,
        delivery: Delivery::from(Row {
            delivery_id: row.delivery_id,
            instance_id: row.instance_id,
            channel_id: row.channel_id,
            event: row.event,
            state: row.state,
            attempts: row.attempts,
            last_status: row.last_status,
            last_error: row.last_error,
            next_attempt_at: row.next_attempt_at,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }),
    });
    Ok(claimed.collect())
}

/// Stores how an attempt ended; false if another has taken the delivery meanwhile.
pub async fn update(connection: &mut PgConnection, delivery: &Delivery) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE delivery SET state = $4, last_status = $5, last_error = $6, next_attempt_at = $7,
             finished_at = $8
         WHERE instance_id = $1 AND delivery_id = $2 AND attempts = $3 AND state = 'pending'",
        delivery.instance.0,
        delivery.id.0,
        i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
        Named(delivery.state) as _,
        delivery.last_status.map(i32::from),
        delivery.last_error,
        delivery.next_attempt_at,
        delivery.finished_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The deliveries to a channel.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: ChannelId,
    listing: &Listing,
) -> Result<Rows<Delivery>, StoreError> {
    let matching = [Matching::Id("channel_id", channel.0)];
    let keys = page::keys_matching(connection, &SOURCE, Some(instance.0), listing, &matching).await?;
    let ids = keys.uuids();
    let rows = select!(
        "WHERE instance_id = $1 AND channel_id = $2 AND delivery_id = ANY($3)",
        instance.0,
        channel.0,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(keys.order(rows.into_iter().map(Delivery::from), |delivery| delivery.id.to_string()))
}

/// Gives up what a channel was not told yet.
pub async fn fail_pending(
    connection: &mut PgConnection,
    instance: InstanceId,
    channel: ChannelId,
    error: &str,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "UPDATE delivery SET state = 'failed', last_error = $3, next_attempt_at = NULL, finished_at = $4
         WHERE instance_id = $1 AND channel_id = $2 AND state = 'pending'",
        instance.0,
        channel.0,
        error,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets some deliveries, of any tenant, that arrived or were given up before this moment.
pub async fn delete_finished_of_all_tenants(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM delivery WHERE (instance_id, delivery_id) IN
             (SELECT instance_id, delivery_id FROM delivery WHERE finished_at < $1
              ORDER BY finished_at LIMIT $2)",
        before,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
