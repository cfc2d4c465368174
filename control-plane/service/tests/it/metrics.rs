//! Metrics: from the nodes' reports to charts, by way of the ring and the database.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::InstanceId;
use contract::metrics::{InstanceSample, MetricsReport, find};
use contract::node::NodeReport;
use contract::time::UnixMillis;
use service::access::{AccessError, Role};
use service::metrics::{METRICS_KEPT, MetricsQuery, QueryMetricsError, REFILL_MINUTES, Reading, refill};
use service::nodes::NodeCaller;
use service::{Services, reconcile};
use uuid::Uuid;

use crate::world::{World, caller, no_instance};

/// When a world begins: a whole minute.
const BEGIN: u64 = 1_800_000_000;

fn at(second: u64) -> DateTime<Utc> {
    DateTime::from_timestamp((BEGIN + second).cast_signed(), 0).expect("a time")
}

fn sample(connections: u64, messages_in: u64) -> InstanceSample {
    InstanceSample { connections, messages_in, ..InstanceSample::default() }
}

/// The slot that begins at this second.
fn slot(second: u64, instance: InstanceId, sample: InstanceSample) -> MetricsReport {
    MetricsReport {
        boot: Uuid::from_u128(1),
        slot: UnixMillis::from_secs(BEGIN + second),
        slot_millis: 10_000,
        instances: BTreeMap::from([(instance, sample)]),
        refused_before_instance: BTreeMap::new(),
        more: false,
    }
}

async fn report(services: &Services, node: NodeCaller, slots: Vec<MetricsReport>) {
    let report = NodeReport { metrics: slots, ..NodeReport::default() };
    services.nodes.report(node, report).await.expect("taken");
}

/// Connections and messages from one second to before another, by steps.
async fn chart(
    services: &Services,
    world: &World,
    instance: InstanceId,
    (from, to, step): (u64, u64, u64),
) -> [Vec<Option<u64>>; 2] {
    let query = MetricsQuery {
        metrics: vec!["connections".to_owned(), "messages_in".to_owned()],
        from: Some(at(from)),
        to: Some(at(to)),
        step_secs: Some(step),
    };
    let answer = services.metrics.query(&world.operator, instance, &query).await.expect("a chart");
    assert_eq!((answer.from, answer.to, answer.step_secs), (at(from), at(to), step));
    let [connections, messages] = answer.series.try_into().expect("two lines");
    [connections.values, messages.values]
}

async fn rows(world: &World, instance: InstanceId) -> usize {
    let mut connection = world.store.read().await.expect("a connection");
    store::metrics::list(&mut connection, instance, at(0), at(86_400)).await.expect("rows").len()
}

#[tokio::test]
async fn a_chart_is_the_same_from_ring_and_database_and_both() {
    let world = World::new().await;
    let (_, instance) = world.demo().await;
    let node = world.node("one").await;
    let nothing = [vec![None; 12], vec![None; 12]];
    assert_eq!(chart(&world.services, &world, instance.id, (0, 120, 10)).await, nothing);
    world.pass(TimeDelta::seconds(130));
    let slots: Vec<_> = (0..12).map(|nth| slot(nth * 10, instance.id, sample(5, nth))).collect();
    report(&world.services, node, slots[..9].to_vec()).await;
    let told = |count: usize, value: fn(u64) -> u64| -> Vec<Option<u64>> {
        (0..12).map(|nth| (nth < count as u64).then(|| value(nth))).collect()
    };
    let nine = [told(9, |_| 5), told(9, |nth| nth)];
    assert_eq!(chart(&world.services, &world, instance.id, (0, 120, 10)).await, nine);

    let flushed = reconcile::flush_metrics(&world.services).await.expect("flushed");
    assert_eq!(flushed, 4, "two minutes of the instance and of the platform");
    assert_eq!(rows(&world, instance.id).await, 2);
    assert_eq!(chart(&world.services, &world, instance.id, (0, 120, 10)).await, nine);
    assert_eq!(reconcile::flush_metrics(&world.services).await.expect("flushed"), 0, "there is nothing new");

    // The process ends, and another takes its place: some of what it hears has been told before.
    let next = world.another_controller();
    assert_eq!(chart(&next, &world, instance.id, (0, 120, 10)).await, nine);
    report(&next, node, slots[7..].to_vec()).await;
    let twelve = [told(12, |_| 5), told(12, |nth| nth)];
    assert_eq!(chart(&next, &world, instance.id, (0, 120, 10)).await, twelve);
    reconcile::flush_metrics(&next).await.expect("flushed");
    assert_eq!(rows(&world, instance.id).await, 2, "a late slot goes into the row of its minute");
    let third = world.another_controller();
    assert_eq!(chart(&third, &world, instance.id, (0, 120, 10)).await, twelve);
    assert_eq!(
        chart(&third, &world, instance.id, (0, 120, 60)).await,
        [vec![Some(5), Some(5)], vec![Some(15), Some(51)]]
    );
}

#[tokio::test]
async fn what_several_controllers_hear_is_one_row() {
    let world = World::new().await;
    let (_, instance) = world.demo().await;
    let (one, two) = (world.node("one").await, world.node("two").await);
    let other = world.another_controller();
    world.pass(TimeDelta::seconds(70));
    report(
        &world.services,
        one,
        vec![slot(0, instance.id, sample(5, 1)), slot(10, instance.id, sample(5, 1))],
    )
    .await;
    report(&other, two, vec![slot(0, instance.id, sample(3, 2)), slot(10, instance.id, sample(4, 2))]).await;
    // A node whose answer was lost tells the other controller again.
    report(&other, one, vec![slot(10, instance.id, sample(5, 1))]).await;
    let (first, second) =
        tokio::join!(reconcile::flush_metrics(&world.services), reconcile::flush_metrics(&other));
    assert_eq!((first.expect("flushed"), second.expect("flushed")), (2, 2));
    assert_eq!(rows(&world, instance.id).await, 1);
    let third = world.another_controller();
    let expected = [vec![Some(8), Some(9), None], vec![Some(3), Some(3), None]];
    assert_eq!(chart(&third, &world, instance.id, (0, 30, 10)).await, expected);
}

#[tokio::test]
async fn refusals_have_a_line_for_each_reason_and_those_of_nobody_are_the_platforms() {
    let world = World::new().await;
    let (_, instance) = world.demo().await;
    let node = world.node("one").await;
    world.pass(TimeDelta::seconds(70));
    let refused = BTreeMap::from([("not_authorized".to_owned(), 2), ("token_expired".to_owned(), 1)]);
    let mut told = slot(0, instance.id, InstanceSample { refused, ..InstanceSample::default() });
    told.refused_before_instance = BTreeMap::from([("malformed_packet".to_owned(), 9)]);
    report(&world.services, node, vec![told]).await;
    reconcile::flush_metrics(&world.services).await.expect("flushed");
    let query = MetricsQuery { from: Some(at(0)), to: Some(at(10)), ..MetricsQuery::default() };
    let answer = world.services.metrics.query(&world.operator, instance.id, &query).await.expect("a chart");
    let reasons: Vec<_> = answer
        .series
        .iter()
        .filter(|line| line.metric.by_reason)
        .map(|line| (line.metric.name, line.reason.as_deref(), line.values.clone()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("refused", Some("not_authorized"), vec![Some(2)]),
            ("refused", Some("token_expired"), vec![Some(1)]),
        ]
    );
    let plain = answer.series.iter().filter(|line| !line.metric.by_reason);
    assert!(plain.clone().all(|line| line.values == [Some(0)]), "told of, and nothing happened");
    assert_eq!(plain.count(), 9);
}

#[tokio::test]
async fn tenants_are_apart() {
    let world = World::new().await;
    let (red, blue) = (world.tenant("red").await, world.tenant("blue").await);
    let (cars, robots) = (world.instance(&red, "cars").await, world.instance(&blue, "robots").await);
    let node = world.node("one").await;
    world.pass(TimeDelta::seconds(70));
    report(&world.services, node, vec![slot(0, cars.id, sample(5, 7))]).await;
    for flushed in [false, true] {
        if flushed {
            reconcile::flush_metrics(&world.services).await.expect("flushed");
        }
        let robots = chart(&world.services, &world, robots.id, (0, 10, 10)).await;
        assert_eq!(robots, [vec![Some(0)], vec![Some(0)]]);
    }
    let query = MetricsQuery::default();
    let metrics = &world.services.metrics;
    let viewer = caller(red.owner.member().expect("a person"), red.id, Role::Viewer);
    metrics.query(&viewer, cars.id, &query).await.expect("a viewer may see them");
    for (who, instance) in
        [(&blue.owner, cars.id), (&red.owner, no_instance()), (&world.operator, InstanceId(Uuid::nil()))]
    {
        let refused = metrics.query(who, instance, &query).await;
        assert!(
            matches!(refused, Err(QueryMetricsError::Access(AccessError::NotFound { .. }))),
            "{instance}"
        );
    }
    let unknown = MetricsQuery { metrics: vec!["speed".to_owned()], ..MetricsQuery::default() };
    let refused = metrics.query(&red.owner, cars.id, &unknown).await;
    assert!(matches!(refused, Err(QueryMetricsError::Parameter { name: "metrics", .. })));
}

#[tokio::test]
async fn old_days_are_dropped_whole() {
    let world = World::new().await;
    let (_, instance) = world.demo().await;
    let node = world.node("one").await;
    report(&world.services, node, vec![slot(0, instance.id, sample(1, 1))]).await;
    reconcile::flush_metrics(&world.services).await.expect("flushed");
    world.pass(METRICS_KEPT);
    let kept = METRICS_KEPT.num_seconds().unsigned_abs();
    report(&world.services, node, vec![slot(kept, instance.id, sample(2, 2))]).await;
    reconcile::flush_metrics(&world.services).await.expect("flushed");
    assert_eq!(reconcile::drop_old_metrics(&world.services).await.expect("dropped"), 0, "to the day");
    let days = "(SELECT count(*) FROM pg_inherits WHERE inhparent = 'metric_chunk'::regclass)";
    world.holds(&format!("{days} = 2"));
    assert_eq!(
        chart(&world.services, &world, instance.id, (0, 10, 10)).await,
        [vec![Some(1)], vec![Some(1)]]
    );
    world.pass(TimeDelta::days(1));
    assert_eq!(reconcile::drop_old_metrics(&world.services).await.expect("dropped"), 1);
    assert_eq!(reconcile::drop_old_metrics(&world.services).await.expect("dropped"), 0);
    world.holds(&format!("{days} = 1"));
    assert_eq!(chart(&world.services, &world, instance.id, (0, 10, 10)).await, [vec![None], vec![None]]);
    let newest = (kept, kept + 10, 10);
    assert_eq!(chart(&world.services, &world, instance.id, newest).await, [vec![Some(2)], vec![Some(2)]]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_left_alone_and_hides_nothing_else() {
    let world = World::new().await;
    let (_, instance) = world.demo().await;
    let node = world.node("one").await;
    world.pass(TimeDelta::seconds(130));
    let slots = vec![slot(0, instance.id, sample(1, 1)), slot(60, instance.id, sample(2, 2))];
    report(&world.services, node, slots).await;
    reconcile::flush_metrics(&world.services).await.expect("flushed");
    let of_the_instance = format!("instance_id = '{}' AND minute = '{}'", instance.id, at(0));
    world.sql(&format!("UPDATE metric_chunk SET chunk = '\\x99' WHERE {of_the_instance}"));
    let next = world.another_controller();
    assert_eq!(
        chart(&next, &world, instance.id, (0, 120, 60)).await,
        [vec![Some(0), Some(2)], vec![Some(0), Some(2)]]
    );
    report(&next, node, vec![slot(10, instance.id, sample(9, 9))]).await;
    reconcile::flush_metrics(&next).await.expect("flushed");
    world.holds(&format!("(SELECT chunk FROM metric_chunk WHERE {of_the_instance}) = '\\x99'"));
}

#[tokio::test]
async fn what_nodes_tell_is_read_by_alarm_rules() {
    let world = World::new().await;
    let (_, instance) = world.demo().await;
    let node = world.node("one").await;
    world.pass(TimeDelta::seconds(60));
    let slots = (0..6).map(|nth| slot(nth * 10, instance.id, sample(10 + nth, 2))).collect();
    report(&world.services, node, slots).await;
    let read = |metric: &str| {
        let metric = find(metric).expect("a metric");
        world.services.metrics.ring().read(
            instance.id,
            metric,
            None,
            TimeDelta::seconds(60),
            world.services.now(),
        )
    };
    assert_eq!(read("connections"), Some(Reading { value: 15, is_complete: true, until: at(60) }));
    assert_eq!(read("messages_in"), Some(Reading { value: 12, is_complete: true, until: at(60) }));
    world.pass(TimeDelta::seconds(31));
    assert_eq!(read("connections"), None, "no node has told of anything lately");
}

/// A slot as long as a minute, so that few of them fill an hour.
fn minute(minute: u64, instance: InstanceId, messages_in: u64) -> MetricsReport {
    MetricsReport { slot_millis: 60_000, ..slot(minute * 60, instance, sample(5, messages_in)) }
}

/// The messages of the longest window, as an alarm rule reads them.
fn hour(services: &Services, instance: InstanceId) -> Option<Reading> {
    let metric = find("messages_in").expect("a metric");
    services.metrics.ring().read(instance, metric, None, TimeDelta::hours(1), services.now())
}

#[tokio::test]
async fn a_process_that_begins_reads_the_windows_of_the_one_before_it() {
    let world = World::new().await;
    let (tenant, cars) = world.demo().await;
    let robots = world.instance(&tenant, "robots").await;
    let node = world.node("one").await;
    let slots: Vec<_> = (0..70).map(|nth| minute(nth, cars.id, nth + 1)).collect();
    world.pass(TimeDelta::minutes(70) + TimeDelta::seconds(3));
    report(&world.services, node, slots.clone()).await;
    let whole = Some(Reading { value: (11..=70).sum(), is_complete: true, until: at(70 * 60) });
    assert_eq!(hour(&world.services, cars.id), whole);
    reconcile::flush_metrics(&world.services).await.expect("flushed");

    // The answer to its last report was lost: the node says it again, to whoever comes next.
    let forgetful = world.another_controller();
    report(&forgetful, node, slots[68..].to_vec()).await;
    let little = Reading { value: 69 + 70, is_complete: false, until: at(70 * 60) };
    assert_eq!(hour(&forgetful, cars.id), Some(little), "what is to be mended");
    for heard_first in [true, false] {
        let next = world.another_controller();
        if heard_first {
            report(&next, node, slots[68..].to_vec()).await;
        }
        let rows = refill(&next).await.expect("read");
        let held = if heard_first { 2 } else { 0 };
        assert_eq!(rows, 2 * (REFILL_MINUTES - held), "of the instance and of the platform");
        assert_eq!(refill(&next).await.expect("read"), 0, "it has them all");
        if !heard_first {
            assert_eq!(hour(&next, cars.id), None, "no node is heard of yet");
            report(&next, node, slots[68..].to_vec()).await;
            assert_eq!(reconcile::flush_metrics(&next).await.expect("flushed"), 0, "there is nothing new");
        }
        assert_eq!(hour(&next, cars.id), whole, "heard first: {heard_first}");
        let nothing = hour(&next, robots.id).map(|reading| (reading.value, reading.is_complete));
        assert_eq!(nothing, Some((0, true)));
        report(&next, node, vec![minute(70, cars.id, 1_000)]).await;
        let moved = Reading { value: (12..=70).sum::<u64>() + 1_000, is_complete: true, until: at(71 * 60) };
        assert_eq!(hour(&next, cars.id), Some(moved));
    }
}

#[tokio::test]
async fn what_was_told_is_not_believed_without_what_was_counted() {
    let world = World::new().await;
    let (_, cars) = world.demo().await;
    let node = world.node("one").await;
    world.pass(TimeDelta::minutes(61));
    report(&world.services, node, (0..61).map(|nth| minute(nth, cars.id, 1)).collect()).await;
    reconcile::flush_metrics(&world.services).await.expect("flushed");
    let platform = Uuid::nil();
    world.sql(&format!("UPDATE metric_chunk SET chunk = '\\x99' WHERE instance_id = '{platform}'"));
    let next = world.another_controller();
    refill(&next).await.expect("read");
    report(&next, node, vec![minute(60, cars.id, 1)]).await;
    let reading = hour(&next, cars.id).map(|it| (it.value, it.is_complete));
    assert_eq!(reading, Some((60, false)), "nobody is known to have told of all of it");
    world.sql("ALTER TABLE metric_chunk RENAME TO hidden");
    refill(&next).await.expect_err("there is no such table");
    assert_eq!(hour(&next, cars.id).map(|it| it.value), Some(60), "what it has stays");
}
