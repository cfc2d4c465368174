//! The shortest way through every layer: sign in, make a tenant, an instance, a topic and tokens; Debian's own MQTT
//! clients exchange messages with them; a revocation ends it.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tests::process::Program;
use tests::tenant::{publish_only, subscribe_only};
use tests::wait::{measured, now};
use tests::{AtLeastOnce, Cluster, Instance, Token};

/// What a revocation may take to reach a connected client.
const REVOCATION_TIME_MAX: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn first_message_with_one_worker() {
    first_message(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_message_with_several_workers() {
    first_message(3).await;
}

async fn first_message(workers: usize) {
    let cluster = Cluster::builder().workers(workers).start().await;
    let (red, blue) = (cluster.tenant("red").await, cluster.tenant("blue").await);
    let (cars, boats) = (red.provisioned_instance("cars").await, blue.open_instance("boats").await);
    cars.topic(json!({"name": "vehicle"})).await;
    let ear = cars.token_with_grants("ear", subscribe_only("vehicle/#")).await;
    let mouth = cars.token_with_grants("mouth", publish_only("vehicle/+/up")).await;

    for qos in ["0", "1"] {
        let mut subscriber = Program::start(mosquitto("mosquitto_sub", &cars, "ear", &ear).args([
            "-t",
            "vehicle/#",
            "-q",
            qos,
            "-v",
            "-C",
            "1",
            "-d",
        ]));
        subscriber.line_with("Subscribed").await;
        let topic = "vehicle/car-001/up";
        let publish = ["-t", topic, "-m", "hello", "-q", qos];
        let (published, said) =
            Program::start(mosquitto("mosquitto_pub", &cars, "mouth", &mouth).args(publish)).ended().await;
        assert!(published, "mosquitto_pub at QoS {qos}: {said}");
        subscriber.line_with("vehicle/car-001/up hello").await;
        let (heard, said) = subscriber.ended().await;
        assert!(heard, "mosquitto_sub at QoS {qos}: {said}");
    }

    revocation_ends_it(&cars, &ear).await;
    another_tenant_gets_nothing(&cars, &boats).await;
}

async fn revocation_ends_it(cars: &Instance, ear: &Token) {
    let mut subscriber = Program::start(mosquitto("mosquitto_sub", cars, "ear", ear).args([
        "-t",
        "vehicle/#",
        "-q",
        "1",
        "-d",
    ]));
    subscriber.line_with("Subscribed").await;
    let probe = cars.token_of(json!({"client_id": "probe", "labels": {"tour": "42"}})).await;
    let mut probe =
        cars.client("probe").token(&probe.text).connect().await.subscribed("vehicle/#", AtLeastOnce).await;

    let begin = now();
    let (gone, answer) = tokio::join!(probe.closed_at(), cars.revoke(json!({"labels": {"tour": "42"}})));
    let took = gone - begin;
    measured("from the call to a revoked client's disconnection", took);
    assert!(took < REVOCATION_TIME_MAX, "{took:?}");
    assert_eq!(answer.body["revoked"], 1, "{}", answer.body);

    // The real client is told nothing of why: it reconnects by itself, is refused and gives up.
    let begin = now();
    cars.revoke(json!({"ids": [ear.id], "reason": "stolen"})).await;
    let (well, said) = subscriber.ended().await;
    measured("from the call until mosquitto_sub, which reconnects after a second, gives up", begin.elapsed());
    assert!(!well && said.contains("not authorised"), "mosquitto_sub said {said}");
    assert_eq!(
        cars.client("ear").token(&ear.text).refusal().await,
        Some(5),
        "a revoked token connects no more"
    );
}

async fn another_tenant_gets_nothing(cars: &Instance, boats: &Instance) {
    let spy = boats.token("spy").await;
    let named = format!("spy@{}", cars.label);
    assert_eq!(
        boats.client("spy").login(&named, &spy.text).refusal().await,
        Some(4),
        "a token is good in its own instance"
    );
    let mut spy = boats.client("spy").token(&spy.text).connect().await.subscribed("#", AtLeastOnce).await;
    cars.connect("mouth-2").await.publish("vehicle/secret", "for red alone", AtLeastOnce).await;
    boats.connect("bell").await.publish("bell", "", AtLeastOnce).await;
    assert_eq!(spy.topics_until("bell").await, ["bell"]);

    let (red, blue) = (&cars.api, &boats.api);
    red.get(&cars.path("")).await.ok();
    for path in ["", "/topics", "/topics/vehicle", "/tokens", "/credentials", "/endpoints", "/limits"] {
        blue.get(&cars.path(path)).await.problem(404, "not_found");
    }
    let body = json!({"client_id": "spy", "ttl_secs": 60, "grants": []});
    blue.post(&cars.path("/tokens"), body).await.problem(404, "not_found");
    blue.post(&cars.path("/tokens/revoke"), json!({"client_id": "ear"})).await.problem(404, "not_found");
}

fn mosquitto(program: &str, instance: &Instance, client_id: &str, token: &Token) -> Command {
    tests::mosquitto::mosquitto(program, instance.mqtt[0], client_id, &token.text)
}
