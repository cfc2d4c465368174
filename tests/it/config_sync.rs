//! How configuration reaches a node: late, after a cut, never backwards, and all of it.

use std::time::Duration;

use contract::refusal::Refusal;
use serde_json::{Value, json};
use tests::wait::{measured, now, wait_for};
use tests::{Api, AtLeastOnce, Cluster, Instance};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_late_has_everything() {
    let mut cluster = Cluster::builder().brokers(0).start().await;
    let cars = cluster.tenant("red").await.provisioned_instance("cars").await;
    cars.topic(json!({"name": "vehicle"})).await;
    let secret = cars.credential("car-001", json!({})).await.text("secret");
    let thief = cars.token("thief").await;
    cars.revoke(json!({"ids": [thief.id]})).await;

    let late = cluster.add_broker().await;
    let thief = cars_at(&cars, late).client("thief").token(&thief.text);
    cluster.expect_refused(&thief, 5, Refusal::TokenRevoked).await;
    let cars = cars_at(&cars, late);
    let mut car = cars.client("car").login(&format!("car-001@{}", cars.label), &secret).connect().await;
    car.subscribe("vehicle/#", AtLeastOnce).await;
    car.publish("vehicle/a", "served", AtLeastOnce).await;
    car.expect("vehicle/a", "served").await;
}

fn cars_at(cars: &Instance, address: std::net::SocketAddr) -> Instance {
    Instance { mqtt: vec![address], ..cars.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_many_pages_is_whole() {
    let mut cluster = Cluster::builder().brokers(0).start().await;
    cluster.plan("wide", json!({"topics_max": 10_000})).await;
    let red = cluster.tenant("red").await;
    let cars = red.instance(json!({"name": "cars", "plan": "wide", "topic_mode": "provisioned"})).await;
    let names: Vec<String> = (0..700).map(|number| format!("topic-{number}")).collect();
    for name in &names {
        cars.api.post(&cars.path("/topics"), json!({ "name": name })).await.created();
    }
    let late = cluster.add_broker().await;
    let mut car = cars_at(&cars, late).connect("car").await;
    for name in &names {
        car.publish(name, "", AtLeastOnce).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_feed_is_resumed_where_it_was() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.provisioned_instance("cars").await;
    cars.topic(json!({"name": "before"})).await;
    let (mut ear, mut doomed) = (cars.connect("ear").await, cars.connect("doomed").await);
    ear.subscribe("#", AtLeastOnce).await;

    cluster.feed.cut();
    let created =
        cars.api.header("prefer", "wait=1").post(&cars.path("/topics"), json!({"name": "during"})).await;
    created.created();
    assert_eq!(created.text_header("iotmq-applied"), Some("0/1"));
    let revoked = cars
        .api
        .header("prefer", "wait=1")
        .post(&cars.path("/tokens/revoke"), json!({"client_id": "doomed"}))
        .await;
    assert_eq!(
        (&revoked.ok()["applied"], &revoked.body["reachable"]),
        (&json!(0), &json!(1)),
        "{}",
        revoked.body
    );
    // The node serves on with what it has.
    ear.publish("before", "served", AtLeastOnce).await;
    ear.expect("before", "served").await;
    doomed.ping().await;
    let mut refused = cars.connect("early").await;
    refused.send_publish("during", "", AtLeastOnce, false).await;
    refused.closed().await;

    cluster.feed.resume();
    doomed.closed().await;
    let generation = created.text_header("iotmq-generation").expect("a write has a generation").to_owned();
    let took = wait_for("the change to be applied", async || {
        let path = cars.path(&format!("/rollout?generation={generation}"));
        cars.api.get(&path).await.ok()["done"] == true
    })
    .await;
    measured("from the feed's resumption to the change's application", took);
    ear.publish("during", "served", AtLeastOnce).await;
    ear.expect("during", "served").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_only_grow() {
    let mut cluster = Cluster::builder().brokers(2).start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let operator = cluster.operator().await;
    let mut written = 0;
    let mut seen = generations(&operator).await;
    for number in 0..30 {
        let answer = cars.api.post(&cars.path("/topics"), json!({"name": format!("topic-{number}")})).await;
        answer.created();
        let generation = answer.text_header("iotmq-generation").and_then(|text| text.parse::<u64>().ok());
        let generation = generation.expect("a write has a generation");
        assert!(generation > written, "{generation} came after {written}");
        written = generation;
        if number == 10 {
            cluster.stop_broker(1).await;
            cluster.start_broker(1).await;
        }
        let now = generations(&operator).await;
        for (before, now) in seen.iter().zip(&now) {
            assert_eq!(before.0, now.0, "the timeline stays");
            assert!(now.1 >= before.1, "a node went from {} back to {}", before.1, now.1);
        }
        seen = now;
    }
    wait_for("both nodes to have the last change", async || {
        generations(&operator).await.iter().all(|(_, number)| *number >= written)
    })
    .await;
}

/// Timeline and number of each node, in the order in which they joined.
async fn generations(operator: &Api) -> Vec<(Value, u64)> {
    let nodes = operator.get("/v1/nodes?sort=created_at").await.ok()["items"].clone();
    let nodes = nodes.as_array().expect("a list");
    nodes
        .iter()
        .map(|node| {
            (node["generation"]["timeline"].clone(), node["generation"]["number"].as_u64().unwrap_or(0))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_every_node_and_its_live_connections() {
    let cluster = Cluster::builder().brokers(2).workers(2).start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let created = cars.credential("car", json!({})).await;
    let (id, secret) = (created.text("id"), created.text("secret"));
    let named = format!("car@{}", cars.label);
    let mut clients = Vec::new();
    for (at, address) in cars.mqtt.iter().enumerate() {
        let client = cars.client(&format!("car-{at}")).login(&named, &secret).at(*address);
        clients.push(client.connect().await.subscribed("down/#", AtLeastOnce).await);
    }
    // The right to hear `down/#` is taken away under a live subscription.
    let grants = json!([{"actions": ["publish", "subscribe"], "topic_filter": "up/#"}]);
    let begin = now();
    let path = cars.path(&format!("/credentials/{id}"));
    let answer = cars.api.waiting().patch(&path, json!({ "grants": grants })).await;
    assert_eq!(answer.ok()["revision"], 2);
    assert_eq!(answer.text_header("iotmq-applied"), Some("2/2"));
    for client in &mut clients {
        client.closed().await;
    }
    let took = begin.elapsed();
    measured("from the call to the disconnection of clients whose rights it withdrew", took);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_instance_serves_nobody_until_it_is_resumed() {
    let cluster = Cluster::builder().brokers(2).start().await;
    let red = cluster.tenant("red").await;
    let (cars, boats) = (red.open_instance("cars").await, red.open_instance("boats").await);
    let mut clients = vec![cars.connect_at(0, "car-0").await, cars.connect_at(1, "car-1").await];
    let mut bystander = boats.connect("boat").await;
    let car = cars.client_with_token("car").await;
    let answer = cars.api.waiting().act(&cars.path("/suspend")).await;
    assert_eq!(
        (&answer.ok()["state"], &answer.body["suspended_reason"]),
        (&json!("suspended"), &json!("tenant"))
    );
    for client in &mut clients {
        client.closed().await;
    }
    cluster.expect_refused(&car, 5, Refusal::InstanceSuspended).await;
    bystander.ping().await;
    cars.api.waiting().act(&cars.path("/resume")).await.ok();
    car.connect().await.ping().await;
}
