//! Events for channels, written in the transaction of what they tell of; who sends them comes later.
//!
//! The body is CloudEvents 1.0. An event has one id, whatever the number of channels; a delivery has an id of its own.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use contract::ids::{ChannelId, DeliveryId, InstanceId};
use serde_json::{Value, json};
use store::alarms::Alarm;
use store::channels::Channel;
use store::deliveries::{Delivery, DeliveryState};
use store::instances::Instance;
use store::{PgConnection, StoreError};

use crate::channels::TEST_SECS_MIN;
use crate::ids::new_id;

/// Why a delivery failed that was never tried.
const TOO_MANY: &str = "too many deliveries of the instance are pending";

/// What is told of an alarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AlarmEvent {
    /// It was raised, or is told again.
    Firing,
    /// Somebody knows.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl AlarmEvent {
    const fn name(self) -> &'static str {
        match self {
            Self::Firing => "alarm.firing",
            Self::Acknowledged => "alarm.acknowledged",
            Self::Resolved => "alarm.resolved",
        }
    }
}

/// The event that a test of a channel sends.
const TEST: &str = "channel.test";

/// Tells these channels of an alarm, those that are enabled. `metric` is what the rule watches.
pub(crate) async fn tell_alarm(
    connection: &mut PgConnection,
    instance: &Instance,
    channels: &[ChannelId],
    (event, alarm, metric): (AlarmEvent, &Alarm, &str),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let channels = store::channels::find_all(connection, instance.id, channels).await?;
    let subject = format!("alarms/{}", alarm.id);
    let data = json!({ "alarm": describe(alarm, metric), "instance": name(instance) });
    let body = body(instance.id, event.name(), &subject, data, now);
    for channel in channels.iter().filter(|channel| channel.enabled) {
        write(connection, instance, channel, event.name(), &body, now).await?;
    }
    Ok(())
}

/// Tells a channel that it works.
pub(crate) async fn tell_test(
    connection: &mut PgConnection,
    instance: &Instance,
    channel: &Channel,
    now: DateTime<Utc>,
) -> Result<Delivery, StoreError> {
    let subject = format!("channels/{}", channel.id);
    let data = json!({
        "channel": { "id": channel.id, "name": channel.name },
        "instance": name(instance),
    });
    let body = body(instance.id, TEST, &subject, data, now);
    write(connection, instance, channel, TEST, &body, now).await
}

/// In how many seconds a channel may be tried again; none: now.
pub(crate) async fn wait_for_test(
    connection: &mut PgConnection,
    channel: &Channel,
    now: DateTime<Utc>,
) -> Result<Option<u64>, StoreError> {
    let apart = TimeDelta::seconds(TEST_SECS_MIN.cast_signed());
    let newest =
        store::deliveries::find_newest(connection, channel.instance, channel.id, TEST, now - apart).await?;
    let wait = newest.map(|newest| (newest + apart - now).num_milliseconds().unsigned_abs());
    Ok(wait.map(|millis| millis.div_ceil(1_000).clamp(1, TEST_SECS_MIN)))
}

/// How many deliveries of an instance have not arrived yet, counted as far as its limit.
pub(crate) async fn count_pending(
    connection: &mut PgConnection,
    instance: &Instance,
) -> Result<u64, StoreError> {
    let most = i64::try_from(instance.limits.deliveries_pending_max).unwrap_or(i64::MAX);
    store::deliveries::count_pending(connection, instance.id, most).await
}

async fn write(
    connection: &mut PgConnection,
    instance: &Instance,
    channel: &Channel,
    event: &str,
    body: &str,
    now: DateTime<Utc>,
) -> Result<Delivery, StoreError> {
    let is_full = count_pending(connection, instance).await? >= instance.limits.deliveries_pending_max;
    let delivery = Delivery {
        id: DeliveryId(new_id(now)),
        instance: instance.id,
        channel: channel.id,
        event: event.to_owned(),
        state: if is_full { DeliveryState::Failed } else { DeliveryState::Pending },
        attempts: 0,
        last_status: None,
        last_error: is_full.then(|| TOO_MANY.to_owned()),
        next_attempt_at: (!is_full).then_some(now),
        created_at: now,
        finished_at: is_full.then_some(now),
    };
    store::deliveries::insert(connection, instance.tenant, &delivery, body).await?;
    Ok(delivery)
}

fn body(instance: InstanceId, event: &str, subject: &str, data: Value, now: DateTime<Utc>) -> String {
    let event = json!({
        "specversion": "1.0",
        "id": new_id(now),
        "source": format!("/v1/instances/{instance}"),
        "type": event,
        "subject": subject,
        "time": time(now),
        "datacontenttype": "application/json",
        "data": data,
    });
    event.to_string()
}

fn name(instance: &Instance) -> Value {
    json!({ "id": instance.id, "name": instance.name })
}

fn describe(alarm: &Alarm, metric: &str) -> Value {
    json!({
        "id": alarm.id,
        "rule_id": alarm.rule,
        "rule_name": alarm.rule_name,
        "severity": alarm.severity,
        "state": alarm.state,
        "metric": metric,
        "value": alarm.value,
        "threshold": alarm.threshold,
        "fired_at": time(alarm.fired_at),
        "acknowledged_at": alarm.acknowledged_at.map(time),
        "acknowledged_by": alarm.acknowledged_by.map(|by| by.to_string()),
        "note": alarm.note,
        "resolved_at": alarm.resolved_at.map(time),
        "resolved_reason": alarm.resolved_reason,
        // Deliveries may overtake one another: what has the larger one is the newer.
        "revision": alarm.revision,
    })
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
