//! What happens in an instance is seen in its metrics: by its owner, counted once, and by nobody else.

use serde_json::{Value, json};
use tests::tenant::{publish_only, subscribe_only};
use tests::wait::wait_for;
use tests::{AtLeastOnce, AtMostOnce, Cluster, Instance};

/// The metrics of the last minutes.
async fn metrics(instance: &Instance) -> Vec<Value> {
    let answer = instance.api.get(&instance.path("/metrics?step_secs=10")).await;
    answer.ok()["series"].as_array().expect("lines").clone()
}

/// The sum over a line, or 0 without such a line.
fn sum(series: &[Value], metric: &str, reason: Option<&str>) -> u64 {
    values(series, metric, reason).into_iter().sum()
}

fn values(series: &[Value], metric: &str, reason: Option<&str>) -> Vec<u64> {
    let line = series.iter().find(|line| line["metric"] == metric && line["reason"].as_str() == reason);
    let values = line.and_then(|line| line["values"].as_array());
    values.into_iter().flatten().filter_map(Value::as_u64).collect()
}

/// Waits until a counter has come to `expected`.
async fn counted(instance: &Instance, metric: &str, reason: Option<&str>, expected: u64) {
    let what = format!("`{metric}` of {reason:?} to be {expected}");
    wait_for(&what, async || sum(&metrics(instance).await, metric, reason) >= expected).await;
    assert_eq!(sum(&metrics(instance).await, metric, reason), expected, "{metric} of {reason:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_do_is_counted() {
    for workers in [1, 3] {
        let cluster = Cluster::builder().workers(workers).start().await;
        let (red, blue) = (cluster.tenant("red").await, cluster.tenant("blue").await);
        cluster.plan("slow", json!({"client_messages_out_per_sec": 5})).await;
        let (cars, other) = (red.instance_on_plan("cars", "slow").await, red.open_instance("other").await);

        let mut ear = cars.connect_with_grants("ear", subscribe_only("a/#")).await;
        ear.subscribe("a/#", AtMostOnce).await;
        let mut mouth = cars.connect_with_grants("mouth", publish_only("#")).await;
        for number in 0..100 {
            mouth.publish("a/b", &number.to_string(), AtLeastOnce).await;
        }
        mouth.publish("nobody", "", AtLeastOnce).await;
        assert_eq!(ear.try_subscribe("b", AtMostOnce).await, None, "it is not granted");
        let token = cars.token("mine").await;
        assert_eq!(cars.client("another").token(&token.text).refusal().await, Some(2));

        counted(&cars, "messages_in", None, 101).await;
        counted(&cars, "unmatched", None, 1).await;
        counted(&cars, "connects", None, 2).await;
        counted(&cars, "refused", Some("not_authorized"), 1).await;
        counted(&cars, "refused", Some("client_id_not_allowed"), 1).await;
        let series = metrics(&cars).await;
        assert_eq!(values(&series, "connections", None).into_iter().max(), Some(2));
        let (delivered, dropped) =
            (sum(&series, "messages_out", None), sum(&series, "dropped", Some("client_rate")));
        assert_eq!(delivered + dropped, 100);
        assert!(dropped > 50, "{dropped} were dropped");
        assert!(sum(&series, "bytes_in", None) > sum(&series, "bytes_out", None));

        mouth.disconnect().await;
        counted(&cars, "disconnects", None, 1).await;
        let of_the_other = metrics(&other).await;
        assert!(of_the_other.iter().all(|line| line["reason"].is_null()), "{of_the_other:?}");
        for metric in ["connections", "connects", "messages_in"] {
            let values = values(&of_the_other, metric, None);
            assert!(!values.is_empty() && values.iter().all(|value| *value == 0), "{metric}: {values:?}");
        }
        blue.api.get(&cars.path("/metrics")).await.problem(404, "not_found");
        cars.api.get(&cars.path("/metrics?metrics=speed")).await.problem(400, "invalid_parameter");
        cars.api.get(&cars.path("/metrics?from=yesterday")).await.problem(400, "invalid_parameter");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_while_the_controller_was_away_comes_later() {
    let cluster = Cluster::builder().brokers(2).start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let mut one = cars.connect("one").await;
    let mut two = cars.connect_at(1, "two").await;
    one.publish("a", "", AtLeastOnce).await;
    two.publish("a", "", AtLeastOnce).await;
    counted(&cars, "messages_in", None, 2).await;
    let series = metrics(&cars).await;
    assert_eq!(values(&series, "connections", None).into_iter().max(), Some(2), "on two nodes");

    cluster.feed.cut();
    for _ in 0..10 {
        one.publish("a", "", AtLeastOnce).await;
        two.publish("a", "", AtLeastOnce).await;
    }
    // The slots in which they were counted have ended, and neither node could tell of them.
    let ended = unix_secs() + 2;
    wait_for("the end of the slots", async || unix_secs() >= ended).await;
    let refused = cluster.feed.refused();
    wait_for("reports that are refused", async || cluster.feed.refused() >= refused + 4).await;
    cluster.feed.resume();
    counted(&cars, "messages_in", None, 22).await;
    one.publish("a", "", AtLeastOnce).await;
    counted(&cars, "messages_in", None, 23).await;
}

fn unix_secs() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()
}
