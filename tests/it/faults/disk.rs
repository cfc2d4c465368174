//! Disks that are full, refuse writes or syncs, or are slow: nothing is acknowledged that is not kept, the reason is
//! said, and messages that need no disk go on.

use tests::fault_broker::{Installed, Installing};
use tests::{AtLeastOnce, AtMostOnce, ExactlyOnce, Qos, wait_for};

/// A broker whose log's disk fails when it is told to, with a session that is owed what is published below `kept`. What
/// is wanted for its history alone is relayed by a broker whose disk is nearly full.
async fn installed(installing: Installing) -> Installed {
    let broker = installing.with_faults().start().await;
    let sleeper = broker.client("sleeper").lasting().connect().await;
    sleeper.subscribed("kept/#", ExactlyOnce).await.disconnect().await;
    broker
}

/// Publishes and expects the connection to end without an acknowledgement.
async fn refused(broker: &Installed, topic: &str, qos: Qos) {
    let refusals = "broker_refused_total{reason=\"storage_unavailable\"}";
    let before = broker.metric(refusals).await;
    let mut mouth = broker.connect("refused").await;
    mouth.send_publish(topic, "lost?", qos, false).await;
    let bytes = mouth.read_until_closed().await;
    assert_eq!(bytes, [0; 0], "neither PUBACK nor PUBREC, and nothing else");
    wait_for("the refusal to be counted", async || broker.metric(refusals).await > before).await;
}

/// Messages that are not to be kept arrive.
async fn relays(broker: &Installed) {
    let mut ear = broker.connect("relay-ear").await.subscribed("relayed", AtMostOnce).await;
    broker.connect("relay-mouth").await.publish("relayed", "x", AtMostOnce).await;
    ear.expect("relayed", "x").await;
}

async fn stored(broker: &Installed) -> Vec<String> {
    let path = broker.instance().path("/messages?order=oldest&limit=100");
    let answer = broker.instance().api.get(&path).await;
    let items = answer.ok()["items"].as_array().expect("a list").clone();
    items.iter().map(|item| item["topic"].as_str().expect("a topic").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stores_nothing_until_there_is_room() {
    let mut broker = installed(Installed::installing()).await;
    broker.connect("mouth").await.publish("kept/before", "x", ExactlyOnce).await;
    broker.fail("full");
    wait_for("it to be said", async || broker.health().await.contains("full (99 %)")).await;
    assert!(broker.health().await.starts_with("degraded\n"));
    for qos in [AtLeastOnce, ExactlyOnce] {
        refused(&broker, "kept/full", qos).await;
    }
    relays(&broker).await;
    broker.fail("");
    wait_for("room to be noticed", async || broker.health().await == "ok\n").await;
    broker.connect("mouth").await.publish("kept/after", "x", ExactlyOnce).await;
    assert_eq!(stored(&broker).await, ["kept/before", "kept/after"]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_write_or_sync_nothing_is_believed_until_a_new_start() {
    let mut broker = installed(Installed::installing().drop_unsynced()).await;
    let mut expected = Vec::new();
    for (round, word) in ["no-write", "no-room", "no-sync"].into_iter().enumerate() {
        let topic = format!("kept/{round}");
        broker.connect("mouth").await.publish(&topic, "x", ExactlyOnce).await;
        expected.push(topic);
        broker.fail(word);
        refused(&broker, "kept/unsure", ExactlyOnce).await;
        let health = broker.health().await;
        assert!(
            health.starts_with("degraded\n") && health.contains("writing has failed"),
            "{word}: {health}"
        );
        relays(&broker).await;
        // The disk is well again; what it has of the failed write, nobody knows.
        broker.fail("");
        refused(&broker, "kept/still-unsure", AtLeastOnce).await;
        broker.kill().await;
        broker.start().await;
        assert_eq!(broker.health().await, "ok\n", "{word}");
        let mut found = stored(&broker).await;
        found.retain(|topic| topic != "kept/unsure");
        assert_eq!(found, expected, "{word}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_delays_what_is_kept_and_nothing_else() {
    let mut broker = installed(Installed::installing()).await;
    broker.fail("slow-sync");
    let begin = tests::wait::now();
    let mut mouth = broker.connect("mouth").await;
    for number in 0..5 {
        mouth.publish("kept/slow", &number.to_string(), AtLeastOnce).await;
    }
    assert!(begin.elapsed().as_millis() >= 5 * 100, "each waits for its own sync");
    relays(&broker).await;
    assert_eq!(broker.health().await, "ok\n");
    broker.stop().await;
}
