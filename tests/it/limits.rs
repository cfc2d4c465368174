//! Every bound of a plan: what reaches it is told so, by name, and nothing else suffers.

use std::time::Duration;

use contract::refusal::Refusal;
use serde_json::{Value, json};
use tests::wait::now;
use tests::{AtLeastOnce, AtMostOnce, Cluster, Instance};

/// CONNACK: server unavailable.
const SERVER_UNAVAILABLE: u8 = 3;

/// A cluster and an open instance on a plan with these limits.
async fn limited(workers: usize, limits: Value) -> (Cluster, Instance) {
    let cluster = Cluster::builder().workers(workers).start().await;
    cluster.plan("tight", limits).await;
    let cars = cluster.tenant("red").await.instance_on_plan("cars", "tight").await;
    (cluster, cars)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_free_when_they_end() {
    for workers in [1, 3] {
        let (cluster, cars) =
            limited(workers, json!({"connections_max": 2, "connections_per_subject_max": 1})).await;
        let first = cars.connect("first").await;
        let mut second = cars.connect("second").await;
        let third = cars.client_with_token("third").await;
        cluster.expect_refused(&third, SERVER_UNAVAILABLE, Refusal::ConnectionsMax).await;
        let mut renewed = cars.connect("second").await;
        second.closed().await;
        renewed.ping().await;
        first.disconnect().await;

        let subject = cars.token_of(json!({"subject": "dashboard"})).await;
        let screen = |client_id: &str| cars.client(client_id).token(&subject.text);
        let one = screen("screen-1").connect().await;
        renewed.disconnect().await;
        cluster
            .expect_refused(&screen("screen-2"), SERVER_UNAVAILABLE, Refusal::ConnectionsPerSubjectMax)
            .await;
        one.disconnect().await;
        screen("screen-2").connect().await.ping().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_are_paced() {
    let (cluster, cars) = limited(1, json!({"connects_per_sec": 5})).await;
    let car = cars.client_with_token("car").await;
    let before = cluster.refused(Refusal::ConnectsPerSec).await;
    let mut refused = 0;
    for _ in 0..20 {
        refused +=
            usize::from(car.try_connect().await.is_err_and(|it| it.code() == Some(SERVER_UNAVAILABLE)));
    }
    assert!((1..20).contains(&refused), "{refused} of 20 connects were refused");
    cluster.wait_for_refusal(Refusal::ConnectsPerSec, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_bounded() {
    let limits = json!({
        "client_subscriptions_max": 3, "subscriptions_max": 4, "filters_per_packet_max": 4,
        "topic_levels_max": 3, "topic_bytes_max": 20,
    });
    let (cluster, cars) = limited(1, limits).await;
    let mut car = cars.connect("car").await;
    for (filter, refusal) in
        [("a/b/c/d", Refusal::TopicLevelsMax), ("a-filter-of-21-letter", Refusal::TopicBytesMax)]
    {
        let before = cluster.refused(refusal).await;
        assert_eq!(car.try_subscribe(filter, AtMostOnce).await, None, "`{filter}`");
        cluster.wait_for_refusal(refusal, before).await;
    }
    let before = cluster.refused(Refusal::ClientSubscriptionsMax).await;
    let granted = car.subscribe_all(&["a", "b", "c", "d"].map(|filter| (filter, AtMostOnce))).await;
    assert_eq!(granted, [Some(AtMostOnce), Some(AtMostOnce), Some(AtMostOnce), None]);
    cluster.wait_for_refusal(Refusal::ClientSubscriptionsMax, before).await;
    assert_eq!(car.try_subscribe("a", AtLeastOnce).await, Some(AtLeastOnce), "to replace one needs no room");

    let mut other = cars.connect("other").await;
    other.subscribe("a", AtMostOnce).await;
    let before = cluster.refused(Refusal::SubscriptionsMax).await;
    assert_eq!(other.try_subscribe("b", AtMostOnce).await, None, "the instance has 4 of 4");
    cluster.wait_for_refusal(Refusal::SubscriptionsMax, before).await;
    car.unsubscribe("c").await;
    other.subscribe("b", AtMostOnce).await;

    let before = cluster.refused(Refusal::FiltersPerPacketMax).await;
    let mut out = Vec::new();
    let filters = ["a", "b", "c", "d", "e"].map(|filter| (filter, AtMostOnce));
    mqtt::client::subscribe(&mut out, mqtt::PacketId::MIN, &filters).expect("lawful");
    other.send(&out).await;
    other.closed().await;
    cluster.wait_for_refusal(Refusal::FiltersPerPacketMax, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_closes_the_connection() {
    let limits = json!({"packet_bytes_max": 1_000, "topic_levels_max": 3, "topic_bytes_max": 20});
    let (cluster, cars) = limited(1, limits).await;
    let api = &cars.api;
    api.patch(&cars.path(""), json!({"topic_mode": "provisioned"})).await.ok();
    cars.topic(json!({"name": "a", "payload_bytes_max": 10})).await;
    let (large, eleven) = ("x".repeat(1_000), "x".repeat(11));
    for (topic, payload, refusal) in [
        ("a", large.as_str(), Refusal::PacketBytesMax),
        ("a", eleven.as_str(), Refusal::PayloadBytesMax),
        ("a/b/c/d", "", Refusal::TopicLevelsMax),
        ("a/topic-of-21-letters", "", Refusal::TopicBytesMax),
        ("b", "", Refusal::TopicNotProvisioned),
    ] {
        let before = cluster.refused(refusal).await;
        let mut car = cars.connect("car").await;
        car.send_publish(topic, payload, AtLeastOnce, false).await;
        car.closed().await;
        cluster.wait_for_refusal(refusal, before).await;
    }
    let mut car = cars.connect("car").await;
    car.subscribe("a/#", AtLeastOnce).await;
    car.publish("a/b/c", "0123456789", AtLeastOnce).await;
    car.expect("a/b/c", "0123456789").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_hold_back_and_lose_nothing() {
    for workers in [1, 3] {
        let limits = json!({"client_messages_in_per_sec": 50, "messages_in_per_sec": 5_000});
        let (_cluster, cars) = limited(workers, limits).await;
        let mut ear = cars.connect("ear").await.subscribed("a", AtLeastOnce).await;
        let mut fast = cars.connect("fast").await;
        let begin = now();
        for number in 0..200 {
            fast.send_publish("a", &number.to_string(), AtMostOnce, false).await;
        }
        for number in 0..200 {
            ear.expect("a", &number.to_string()).await;
        }
        let took = begin.elapsed();
        // At most a second's worth at once, then 50 a second.
        assert!(took > Duration::from_secs(2), "200 messages at 50 a second came in {took:?}");
        fast.ping().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_at_its_limit_is_not_felt_by_another() {
    let cluster = Cluster::start().await;
    cluster.plan("tight", json!({"messages_in_per_sec": 10})).await;
    let red = cluster.tenant("red").await;
    let (slow, free) = (red.instance_on_plan("slow", "tight").await, red.open_instance("free").await);
    let mut greedy = slow.connect("greedy").await;
    for _ in 0..500 {
        greedy.send_publish("a", "", AtMostOnce, false).await;
    }
    let mut calm = free.connect("calm").await.subscribed("a", AtLeastOnce).await;
    let begin = now();
    for number in 0..100 {
        let payload = number.to_string();
        calm.publish("a", &payload, AtLeastOnce).await;
        calm.expect("a", &payload).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keep_alive_is_held_to_its_bound() {
    let (cluster, cars) = limited(1, json!({"keep_alive_secs_max": 10})).await;
    let before = cluster.refused(Refusal::KeepAliveTimeout).await;
    let mut silent = cars.client_with_token("silent").await.keep_alive(0).connect().await;
    // One and a half times 10 s, and some time to notice.
    let lived = silent.closed_within(Duration::from_secs(20)).await;
    assert!(lived > Duration::from_secs(14), "{lived:?}");
    cluster.wait_for_refusal(Refusal::KeepAliveTimeout, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reached_limit_of_the_api_is_named_with_its_use() {
    let (_cluster, cars) = limited(1, json!({"topics_max": 1, "credentials_max": 1})).await;
    cars.topic(json!({"name": "one"})).await;
    cars.credential("car-001", json!({})).await;
    let credential = json!({"kind": "password", "username": "car-002"});
    for (path, body, limit) in
        [("/topics", json!({"name": "two"}), "topics_max"), ("/credentials", credential, "credentials_max")]
    {
        let answer = cars.api.post(&cars.path(path), body).await;
        let problem = answer.problem(409, "limit_reached");
        let expected = json!({"name": limit, "value": 1, "used": 1, "scope": "instance"});
        assert_eq!(problem["limit"], expected, "{problem}");
    }
    let limits = cars.api.get(&cars.path("/limits")).await.ok().clone();
    let topics = limits["items"].as_array().expect("a list").iter().find(|it| it["name"] == "topics_max");
    assert_eq!(topics.map(|it| (it["value"].clone(), it["used"].clone())), Some((json!(1), json!(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_plan_reaches_the_nodes() {
    let (cluster, cars) = limited(1, json!({"connections_max": 1})).await;
    let _first = cars.connect("first").await;
    let second = cars.client_with_token("second").await;
    cluster.expect_refused(&second, SERVER_UNAVAILABLE, Refusal::ConnectionsMax).await;
    let change = cars.api.waiting().post(&cars.path("/change-plan"), json!({"plan": "standard"})).await;
    assert_eq!(change.ok()["instance"]["plan"]["name"], "standard");
    second.connect().await.ping().await;
}
