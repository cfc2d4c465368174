//! Which messages go by way of the log, and what that costs when the log does not store.

use contract::durability::DurabilityClass;
use contract::feed::{Document, TopicDocument, TopicHistory};
use contract::qos::Qos::{self, AtLeastOnce, AtMostOnce};
use contract::refusal::Refusal;
use contract::time::UnixMillis;

use super::WORKERS;
use crate::DropReason;
use crate::testing::{Fixture, Given, instance_id, wait_for};

fn topic(name: &str, durability: Option<DurabilityClass>) -> Document {
    let (name, payload_bytes_max) = (name.to_owned(), None);
    let topic =
        TopicDocument { instance: instance_id(1), name, payload_bytes_max, history: None, durability };
    Document::Topic(topic)
}

fn given(workers: usize, class: DurabilityClass) -> Given {
    let mut given = Given::workers(workers);
    if let Document::Instance(instance) = &mut given.documents[0] {
        instance.durability = class;
    }
    given
}

/// What is logged of a message of each QoS, with and without a lasting subscription.
async fn logged(fixture: &Fixture, topic: &str) -> Vec<String> {
    let mut mouth = fixture.client(1, "mouth").await;
    for (payload, qos) in [("0", AtMostOnce), ("1", AtLeastOnce)] {
        let packet_id = mouth.publish(topic, payload, qos).await;
        if qos != Qos::AtMostOnce {
            assert_eq!(mouth.next().await, format!("puback {packet_id}"));
        }
    }
    fixture.log.payloads()
}

#[tokio::test]
async fn the_class_says_what_is_logged() {
    use DurabilityClass::{Always, Logged, Relay};
    for (class, of_topic, is_wanted, expected) in [
        (Logged, None, false, false),
        (Logged, None, true, true),
        (Relay, None, true, false),
        (Relay, Some(Always), false, true),
        (Always, None, false, true),
        (Always, Some(Relay), true, false),
    ] {
        for workers in WORKERS {
            let fixture = given(workers, class).with(topic("up", of_topic)).start();
            if is_wanted {
                let mut away = fixture.lasting_client("away", false).await;
                away.subscribe(&[("up/+", AtLeastOnce)]).await;
                away.leave().await;
            }
            let expected: &[&str] = if expected { &["1"] } else { &[] };
            assert_eq!(logged(&fixture, "up/x").await, expected, "{class:?} {of_topic:?} {is_wanted}");
        }
    }
}

#[tokio::test]
async fn synced_is_refused_where_nothing_is() {
    let fixture = given(1, DurabilityClass::Synced).start();
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish("a", "relayed", AtMostOnce).await;
    assert_eq!(mouth.ping().await, "pingresp");
    mouth.publish("a", "refused", AtLeastOnce).await;
    assert_eq!(mouth.next().await, "closed");
    fixture.wait_refused(Refusal::StorageUnavailable, 1).await;

    let fixture = given(1, DurabilityClass::Synced).start_with_files();
    fixture.client(1, "mouth").await.publish_acknowledged("a", "synced").await;
}

/// [MQTT-4.6.0-6]: also where a message need not be logged any more that follows one that was.
#[tokio::test]
async fn nothing_overtakes_what_is_on_its_way_through_the_log() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = fixture.client(1, "ear").await;
        ear.subscribe(&[("a", AtLeastOnce)]).await;
        let mut lasting = fixture.lasting_client("lasting", false).await;
        lasting.subscribe(&[("a", AtLeastOnce)]).await;
        let mut mouth = fixture.client(1, "mouth").await;
        fixture.log.hold();
        mouth.publish("a", "one", AtLeastOnce).await;
        fixture.log.wait_held(1).await;
        let mut bytes = Vec::new();
        mqtt::client::unsubscribe(&mut bytes, mqtt::PacketId::new(9).expect("9"), &["a"])
            .expect("is written");
        lasting.send(&bytes).await;
        assert_eq!(lasting.ping().await, "pingresp", "it is done, and said once it is stored");
        mouth.publish("a", "two", AtLeastOnce).await;
        assert_eq!(mouth.ping().await, "pingresp");
        assert_eq!(ear.ping().await, "pingresp");
        fixture.log.release();
        assert_eq!(lasting.next().await, "unsuback 9");
        assert_eq!(ear.take().await, "publish 1 a one");
        assert_eq!(ear.take().await, "publish 1 a two");
        for packet_id in [1, 2] {
            assert_eq!(mouth.next().await, format!("puback {packet_id}"));
        }
        mouth.publish_acknowledged("a", "three").await;
        assert_eq!(ear.take().await, "publish 1 a three");
        assert_eq!(fixture.log.payloads(), ["one", "two"]);
    }
}

/// When the disk is nearly full, what is stored for the history alone goes on without it; what somebody waits for is
/// stored.
#[tokio::test]
async fn history_gives_way_to_what_is_waited_for() {
    let history = Some(TopicHistory { retention_secs: 86_400, retention_bytes: None, since: UnixMillis(0) });
    let mut up = topic("up", None);
    if let Document::Topic(topic) = &mut up {
        topic.history = history;
    }
    let fixture = Given::workers(1).with(up).start();
    let mut away = fixture.lasting_client("away", false).await;
    away.subscribe(&[("up/waited", AtLeastOnce)]).await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("up/x", "stored").await;
    fixture.log.fill_disk(true);
    wait_for("the node to see it", async || {
        fixture.client(1, "probe").await.publish_acknowledged("up/probe", "probe").await;
        fixture.dropped(DropReason::HistoryStopped).await > 0
    })
    .await;
    let before = fixture.dropped(DropReason::HistoryStopped).await;
    mouth.publish_acknowledged("up/x", "not stored").await;
    mouth.publish_acknowledged("up/waited", "stored too").await;
    assert_eq!(away.take().await, "publish 1 up/waited stored too");
    assert_eq!(fixture.dropped(DropReason::HistoryStopped).await, before + 1);
    let stored: Vec<_> = fixture.log.payloads().into_iter().filter(|payload| payload != "probe").collect();
    assert_eq!(stored, ["stored", "stored too"]);
}

/// A log that does not store refuses what somebody waits for; the rest goes on.
#[tokio::test]
async fn what_cannot_be_stored_is_not_acknowledged() {
    let fixture = Fixture::start(1);
    let mut away = fixture.lasting_client("away", false).await;
    away.subscribe(&[("a", AtLeastOnce)]).await;
    away.leave().await;
    wait_for("the session", async || !fixture.log.keys(instance_id(1), "p/").is_empty()).await;
    fixture.log.refuse(Some(engine::RefusedWhy::Full));
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("b", "relayed").await;
    mouth.publish("a", "refused", AtLeastOnce).await;
    assert_eq!(mouth.next().await, "closed");
    fixture.wait_refused(Refusal::StorageUnavailable, 1).await;
    fixture.log.refuse(None);
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "stored").await;
    let mut away = fixture.lasting_client("away", true).await;
    assert_eq!(away.take().await, "publish 1 a stored");
}
