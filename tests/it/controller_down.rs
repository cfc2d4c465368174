//! The data plane never waits on the control plane: with the controller and PostgreSQL gone, a broker that is
//! restarted serves from its own copy of the configuration.

use serde_json::json;
use tests::{AtLeastOnce, Cluster, Qos};

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_serves_from_its_replica() {
    let mut cluster = Cluster::builder().own_postgres().start().await;
    let red = cluster.tenant("red").await;
    let cars = red.provisioned_instance("cars").await;
    cars.topic(json!({"name": "vehicle"})).await;
    let grants = json!([{"actions": ["publish"], "topic_filter": "vehicle/#", "qos_max": 1}]);
    let secret = cars.credential("car-001", json!({"grants": grants})).await.text("secret");
    let (ear, thief) = (cars.token("ear").await, cars.token("thief").await);
    cars.revoke(json!({"client_id": "thief"})).await;

    cluster.stop_controller().await;
    cluster.stop_postgres();
    cluster.stop_broker(0).await;
    cluster.start_broker(0).await;

    let named = format!("car-001@{}", cars.label);
    let mut ear =
        cars.client("ear").token(&ear.text).connect().await.subscribed("vehicle/#", AtLeastOnce).await;
    let mut car = cars.client("car-001").login(&named, &secret).connect().await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        car.publish("vehicle/car-001/up", "still here", qos).await;
        let message = ear.expect("vehicle/car-001/up", "still here").await;
        assert_eq!(message.qos, qos);
    }

    // What was decided before the controller went still holds.
    assert_eq!(
        cars.client("thief").token(&thief.text).refusal().await,
        Some(5),
        "a revocation outlives the restart"
    );
    assert_eq!(
        cars.client("car-001").login(&named, "guessed").refusal().await,
        Some(4),
        "a wrong password is refused"
    );
    assert_eq!(ear.try_subscribe("$SYS/#", AtLeastOnce).await, None, "what is not granted is denied");
    car.send_publish("elsewhere", "", AtLeastOnce, false).await;
    car.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_connected_notice_nothing() {
    let mut cluster = Cluster::builder().own_postgres().start().await;
    let red = cluster.tenant("red").await;
    let cars = red.open_instance("cars").await;
    let mut ear = cars.connect("ear").await.subscribed("#", AtLeastOnce).await;
    let mut mouth = cars.connect("mouth").await;

    cluster.stop_controller().await;
    cluster.stop_postgres();

    for number in 0..100 {
        let payload = number.to_string();
        mouth.publish("a/b", &payload, AtLeastOnce).await;
        ear.expect("a/b", &payload).await;
    }
}
