//! An alarm rings: a rule watches what brokers report, a receiver is called, people acknowledge, and it ends.

use serde_json::{Value, json};
use tests::tenant::ids;
use tests::webhook::Receiver;
use tests::{Cluster, Instance, wait_for};

/// A rule on connections that fires at once, and tells one channel.
fn too_many(connections: u64, channel: &str) -> Value {
    json!({
        "name": "too many", "severity": "critical", "channels": [channel],
        "condition": {"kind": "threshold", "metric": "connections", "compare": "above", "window_secs": 60,
            "value": connections, "clear_value": connections - 1},
    })
}

/// A channel to this receiver: its id and its secret.
async fn channel(instance: &Instance, receiver: &Receiver) -> (String, String) {
    let body = json!({"name": "on call", "kind": "webhook", "url": receiver.url()});
    let answer = instance.api.post(&instance.path("/channels"), body).await;
    answer.created();
    (answer.text("id"), answer.text("secret"))
}

async fn rule_is(instance: &Instance, rule: &str, state: &str) {
    let path = instance.path(&format!("/alarm-rules/{rule}"));
    let what = format!("the rule to be `{state}`");
    wait_for(&what, async || instance.api.get(&path).await.ok()["state"] == state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_fires_is_told_once_acknowledged_and_resolved() {
    let cluster = Cluster::start().await;
    let red = cluster.tenant("red").await;
    let cars = red.open_instance("cars").await;
    let receiver = Receiver::start().await;
    let (channel, secret) = channel(&cars, &receiver).await;
    let rule = cars.api.post(&cars.path("/alarm-rules"), too_many(3, &channel)).await;
    rule.created();
    let rule = rule.text("id");
    let one = cars.connect("one").await;
    let _two = cars.connect("two").await;
    rule_is(&cars, &rule, "ok").await;
    assert!(receiver.calls().is_empty());

    let three = cars.connect("three").await;
    let [firing] = receiver.wait_for_calls(1).await.try_into().expect("one call");
    let now = red.api.get("/v1/time").await.text("now");
    let now = chrono::DateTime::parse_from_rfc3339(&now).expect("a time").timestamp();
    firing.must_be_signed(&secret, now);
    assert_eq!(
        (firing.event().as_str(), firing.header("content-type")),
        ("alarm.firing", "application/cloudevents+json")
    );
    rule_is(&cars, &rule, "firing").await;
    let alarms = cars.api.get(&cars.path("/alarms?state=firing")).await.ok().clone();
    let [alarm] = ids(&alarms).try_into().expect("one alarm");
    let told = firing.json();
    assert_eq!(told["data"]["alarm"]["id"], alarm);
    assert_eq!(told["data"]["alarm"]["value"], 3);
    assert_eq!(told["source"], cars.path(""));

    let path = cars.path(&format!("/alarms/{alarm}"));
    let known = cars.api.post(&format!("{path}/acknowledge"), json!({"note": "on it"})).await;
    assert_eq!((&known.ok()["state"], &known.body["note"]), (&json!("acknowledged"), &json!("on it")));
    let acknowledged = receiver.wait_for_calls(2).await.pop().expect("a call");
    assert_eq!(acknowledged.event(), "alarm.acknowledged");

    drop((one, three));
    let resolved = receiver.wait_for_calls(3).await.pop().expect("a call");
    resolved.must_be_signed(&secret, now);
    assert_eq!(resolved.event(), "alarm.resolved");
    let over = cars.api.get(&path).await.ok().clone();
    assert_eq!((&over["state"], &over["resolved_reason"]), (&json!("resolved"), &json!("cleared")));
    for time in ["fired_at", "acknowledged_at", "resolved_at"] {
        assert!(over[time].is_string(), "{time} in {over}");
    }
    assert_eq!(ids(cars.api.get(&cars.path("/alarms?state=firing")).await.ok()), Vec::<String>::new());
    let history = cars.path(&format!("/alarms?rule_id={rule}&state=resolved"));
    assert_eq!(ids(cars.api.get(&history).await.ok()), [alarm]);
    cars.api.act(&format!("{path}/acknowledge")).await.problem(409, "wrong_state");

    // Each was told once, under an id of its own.
    let deliveries =
        cars.api.get(&cars.path(&format!("/channels/{channel}/deliveries?sort=created_at"))).await;
    let delivered = deliveries.ok()["items"].as_array().expect("a list").clone();
    let shown: Vec<_> = delivered
        .iter()
        .map(|it| (it["event"].clone(), it["state"].clone(), it["attempts"].clone()))
        .collect();
    let expected = ["alarm.firing", "alarm.acknowledged", "alarm.resolved"];
    assert_eq!(shown, expected.map(|event| (json!(event), json!("delivered"), json!(1))));
    let mut told: Vec<String> =
        receiver.calls().iter().map(|call| call.header("webhook-id").to_owned()).collect();
    told.sort();
    let mut listed = ids(&deliveries.body);
    listed.sort();
    assert_eq!(told, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_stumbles_is_told_again() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let receiver = Receiver::start().await;
    receiver.answer(500);
    let (channel, secret) = channel(&cars, &receiver).await;
    let path = cars.path(&format!("/channels/{channel}"));
    let test = cars.api.act(&format!("{path}/test")).await;
    assert_eq!(test.expect(202)["state"], "pending");
    let first = receiver.wait_for_calls(1).await.pop().expect("a call");
    let deliveries = format!("{path}/deliveries");
    wait_for("the failure to be written down", async || {
        cars.api.get(&deliveries).await.ok()["items"][0]["last_status"] == 500
    })
    .await;
    let told = cars.api.get(&deliveries).await.ok()["items"][0].clone();
    assert_eq!((&told["state"], &told["attempts"]), (&json!("pending"), &json!(1)));
    assert!(told["next_attempt_at"].is_string() && told["last_error"] == "answered 500", "{told}");

    // The secret is changed meanwhile: what is told again is signed with either.
    let rotated = cars.api.act(&format!("{path}/rotate-secret")).await;
    rotated.ok();
    let second = receiver.wait_for_calls(2).await.pop().expect("a call");
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(second.json(), first.json());
    let now = second.header("webhook-timestamp").parse().expect("a time");
    second.must_be_signed(&secret, now);
    second.must_be_signed(&rotated.text("secret"), now);
    wait_for("the delivery to have arrived", async || {
        cars.api.get(&deliveries).await.ok()["items"][0]["state"] == "delivered"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_called_makes_no_channel() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let create = async |url: &str| {
        let body = json!({"name": "x", "kind": "webhook", "url": url});
        cars.api.post(&cars.path("/channels"), body).await
    };
    for url in [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://0x0a000001/",
        "http://8.8.8.8/",
    ] {
        let answer = create(url).await;
        assert_eq!(answer.problem(422, "address_forbidden")["errors"][0]["pointer"], "/url", "{url}");
    }
    create("not a url").await.problem(422, "validation_failed");
    let made = create("https://8.8.8.8/hook").await;
    assert!(made.created()["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    let path = cars.path(&format!("/channels/{}", made.text("id")));
    assert_eq!(cars.api.get(&path).await.ok()["secret"], Value::Null, "it is shown once");
    cars.api.post(&cars.path("/alarm-rules"), too_many(3, &made.text("id"))).await.created();
    cars.api.delete(&path).await.problem(409, "in_use");
}
