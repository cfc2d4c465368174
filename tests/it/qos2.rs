//! QoS 2: a message arrives exactly once, whatever is repeated, at every receiver and with the QoS that is due.

use tests::{AtLeastOnce, AtMostOnce, Cluster, ExactlyOnce};

#[tokio::test(flavor = "multi_thread")]
async fn the_lower_qos_decides_at_every_receiver() {
    for workers in [1, 2] {
        let cluster = Cluster::builder().workers(workers).start().await;
        let cars = cluster.tenant("red").await.open_instance("fleet").await;
        let mut ears = Vec::new();
        for granted in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let ear = cars.connect(&format!("ear-{}", granted.bits())).await;
            ears.push((granted, ear.subscribed("a/#", granted).await));
        }
        let mut mouth = cars.connect("mouth").await;
        for published in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            mouth.publish("a/b", "x", published).await;
            for (granted, ear) in &mut ears {
                let message = ear.expect("a/b", "x").await;
                assert_eq!(message.qos, published.min(*granted));
                assert!(!message.dup && !message.retain);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_twice_under_one_identifier_arrives_once() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("fleet").await;
    let mut ear = cars.connect("ear").await.subscribed("#", ExactlyOnce).await;
    let mut mouth = cars.connect("mouth").await;
    for round in 0..20 {
        mouth.publish_repeating("a", &format!("message {round}")).await;
    }
    for round in 0..20 {
        ear.expect("a", &format!("message {round}")).await;
    }
    mouth.publish("bell", "", ExactlyOnce).await;
    assert_eq!(ear.topics_until("bell").await, ["bell"]);
}
