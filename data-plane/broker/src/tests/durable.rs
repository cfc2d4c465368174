//! Topics whose messages are stored: what is acknowledged when, in which order it is heard, and what happens when the
//! log does not take it.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::feed::{Document, TopicDocument, TopicHistory};
use contract::ids::InstanceId;
use contract::message::{Order, StoredMessage};
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use engine::{HistoryQuery, HistoryRules, RefusedWhy};
use mqtt::{Connect, Will};
use uuid::Uuid;

use super::{WORKERS, v5_client};
use crate::DropReason;
use crate::api_publish::{ApiPublish, PublishError, Published};
use crate::clock::unix_now;
use crate::command::Command;
use crate::testing::{Fixture, Given, Peer, claims, connect, instance_id, publication, wait_for};

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// A topic of instance 1, stored or not.
fn topic(name: &str, is_stored: bool) -> Document {
    let history = TopicHistory { retention_secs: 3_600, retention_bytes: None, since: UnixMillis(1) };
    Document::Topic(TopicDocument {
        instance: instance_id(1),
        name: name.into(),
        payload_bytes_max: None,
        history: is_stored.then_some(history),
        durability: None,
    })
}

/// A node on which the messages of `up` are stored.
fn given(workers: usize) -> Given {
    Given::workers(workers).with(topic("up", true))
}

async fn listening(fixture: &Fixture, client_id: &str) -> Peer {
    let mut ear = fixture.client(1, client_id).await;
    assert_eq!(ear.subscribe(&[("#", AtLeastOnce)]).await, "1");
    ear
}

/// Proves by a message of another topic that an ear has heard nothing since the last one.
async fn assert_silent(fixture: &Fixture, ear: &mut Peer) {
    fixture.client(1, "bell").await.publish_acknowledged("bell", "ding").await;
    assert_eq!(ear.payloads_until("ding").await, [""; 0]);
}

async fn dropped(fixture: &Fixture) -> BTreeMap<DropReason, u64> {
    fixture.broker.metrics().await.total.dropped
}

#[tokio::test]
async fn every_subscriber_hears_the_order_of_the_log() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut ears = Vec::new();
        for at in 0..6 {
            ears.push(listening(&fixture, &format!("ear-{at}")).await);
        }
        let mut talking = Vec::new();
        for at in 0..6 {
            let mut mouth = fixture.client(1, &format!("mouth-{at}")).await;
            talking.push(tokio::spawn(async move {
                for number in 0..50 {
                    let qos = if number % 3 == 0 { AtMostOnce } else { AtLeastOnce };
                    mouth.publish("up/x", &format!("{at}.{number}"), qos).await;
                }
                mouth.publish_until_acknowledged("up/x", &format!("{at}.end")).await;
            }));
        }
        for talking in talking {
            talking.await.expect("every one was acknowledged");
        }
        let stored = fixture.log.payloads();
        assert_eq!(stored.len(), 6 * 51);
        for ear in &mut ears {
            for payload in &stored {
                let heard = ear.next().await;
                assert_eq!(heard.splitn(4, ' ').nth(3), Some(&**payload), "{heard}");
            }
        }
        for at in 0..6 {
            let of_one: Vec<_> = stored.iter().filter(|it| it.starts_with(&format!("{at}."))).collect();
            let sent: Vec<_> = (0..50).map(|it| format!("{at}.{it}")).chain([format!("{at}.end")]).collect();
            assert!(of_one.into_iter().eq(&sent), "each publisher's in the order in which it sent them");
        }
        let counts = fixture.broker.metrics().await.instances[&instance_id(1)].clone();
        assert_eq!((counts.messages_stored, counts.messages_in), (306, 306));
        assert_eq!(dropped(&fixture).await, BTreeMap::new());
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_or_heard_before_it_is_safe() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut ear = listening(&fixture, "ear").await;
        let mut mouth = fixture.client(1, "mouth").await;
        fixture.log.hold();
        let one = mouth.publish("up/x", "one", AtLeastOnce).await;
        let two = mouth.publish("up/x", "two", ExactlyOnce).await;
        mouth.publish("up/x", "three", AtMostOnce).await;
        let four = mouth.publish("other", "four", AtLeastOnce).await;
        fixture.log.wait_held(3).await;
        assert_eq!(mouth.ping().await, "pingresp", "no acknowledgement came before it");
        assert_eq!(ear.next().await, "publish 1 other four", "what is not stored does not wait");
        assert_silent(&fixture, &mut ear).await;

        fixture.log.release();
        assert_eq!(mouth.next().await, format!("puback {one}"));
        assert_eq!(mouth.next().await, format!("pubrec {two}"));
        assert_eq!(mouth.next().await, format!("puback {four}"), "in the order of the messages");
        assert_eq!(ear.next().await, "publish 1 up/x one");
        assert_eq!(ear.next().await, "publish 1 up/x two");
        assert_eq!(ear.next().await, "publish 0 up/x three");
        assert_eq!(fixture.log.payloads(), ["one", "two", "three"]);
    }
}

#[tokio::test]
async fn what_nobody_wants_is_stored_too_and_counted() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("up/x", "into the void").await;
        assert_eq!(fixture.log.payloads(), ["into the void"]);
        wait_for("the count", async || fixture.broker.metrics().await.total.messages_unmatched == 1).await;
    }
}

#[tokio::test]
async fn a_topic_is_stored_from_when_its_rule_says_so_until_it_says_no_more() {
    for workers in WORKERS {
        let mut fixture = Given::workers(workers).with(topic("up", false)).start();
        let mut ear = listening(&fixture, "ear").await;
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("up/x", "before").await;
        assert_eq!(fixture.log.payloads(), [""; 0]);
        fixture.put(topic("up", true)).await;
        mouth.publish_acknowledged("up/x", "stored").await;
        assert_eq!(fixture.log.payloads(), ["stored"]);

        fixture.log.hold();
        let held = mouth.publish("up/x", "on its way", AtLeastOnce).await;
        fixture.log.wait_held(1).await;
        fixture.put(topic("up", false)).await;
        let after = mouth.publish("up/x", "after", AtLeastOnce).await;
        assert_eq!(ear.payloads_until("stored").await, ["before"]);
        assert_silent(&fixture, &mut ear).await;
        fixture.log.release();
        assert_eq!(mouth.next().await, format!("puback {held}"));
        assert_eq!(mouth.next().await, format!("puback {after}"));
        assert_eq!(ear.next().await, "publish 1 up/x on its way", "nothing overtakes it");
        assert_eq!(ear.next().await, "publish 1 up/x after");
        assert_eq!(fixture.log.payloads(), ["stored", "on its way"]);
    }
}

#[tokio::test]
async fn a_log_that_takes_nothing_costs_what_is_to_be_stored_and_nothing_else() {
    for (why, workers) in [RefusedWhy::Failed, RefusedWhy::Full].into_iter().zip(WORKERS) {
        let fixture = given(workers).start();
        let mut ear = listening(&fixture, "ear").await;
        let mut careless = fixture.client(1, "careless").await;
        careless.publish_acknowledged("up/x", "good").await;
        assert_eq!(ear.next().await, "publish 1 up/x good");
        fixture.log.refuse(Some(why));

        for (at, qos) in [AtLeastOnce, ExactlyOnce].into_iter().enumerate() {
            let mut careful = fixture.client(1, "careful").await;
            careful.publish("up/x", "lost", qos).await;
            assert_eq!(careful.next().await, "closed", "an acknowledgement would be a lie");
            fixture.wait_refused(Refusal::StorageUnavailable, at as u64 + 1).await;
        }
        careless.publish("up/x", "lost", AtMostOnce).await;
        careless.publish_acknowledged("other", "relayed").await;
        assert_eq!(ear.next().await, "publish 1 other relayed");
        let metrics = fixture.broker.metrics().await;
        assert_eq!(metrics.total.dropped, BTreeMap::from([(DropReason::StorageUnavailable, 1)]));
        assert!(metrics.log_fails);
        let answer = publish(&fixture, "up/x", "lost").await;
        assert_eq!(answer, Err(PublishError::StorageUnavailable));

        fixture.log.refuse(None);
        careless.publish_acknowledged("up/x", "good again").await;
        assert_eq!(ear.next().await, "publish 1 up/x good again");
        assert!(!fixture.broker.metrics().await.log_fails);
        assert_eq!(fixture.log.payloads(), ["good", "good again"]);
    }
}

#[tokio::test]
async fn a_batch_that_was_taken_and_not_stored_is_acknowledged_to_nobody() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut ear = listening(&fixture, "ear").await;
        let mut mouth = fixture.client(1, "mouth").await;
        fixture.log.hold();
        mouth.publish("up/x", "zero", AtMostOnce).await;
        mouth.publish("up/x", "one", AtLeastOnce).await;
        fixture.log.wait_held(2).await;
        fixture.log.lose(true);
        fixture.log.release();
        assert_eq!(mouth.next().await, "closed");
        fixture.wait_refused(Refusal::StorageUnavailable, 1).await;
        assert_eq!(dropped(&fixture).await, BTreeMap::from([(DropReason::StorageUnavailable, 1)]));
        assert_silent(&fixture, &mut ear).await;
    }
}

#[tokio::test]
async fn who_has_no_room_in_the_log_is_not_read_until_there_is_some() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        fixture.log.set_credit(1_000);
        fixture.log.hold();
        let mut ear = listening(&fixture, "ear").await;
        let mut mouth = fixture.client(1, "mouth").await;
        let filler = "x".repeat(100);
        for number in 0..50 {
            mouth.publish("up/x", &format!("{number} {filler}"), AtLeastOnce).await;
        }
        wait_for("the log to be full", async || fixture.log.held_messages() >= 6).await;
        // Who publishes elsewhere is read, though in the same instance.
        assert_silent(&fixture, &mut ear).await;
        assert_eq!(fixture.log.held_messages(), 6, "as many as there is room for");
        if workers == 1 {
            // Of several workers another one may be asked, which has room.
            assert_eq!(publish(&fixture, "up/x", &filler).await, Err(PublishError::Busy));
        }

        fixture.log.release();
        for number in 0..50 {
            assert_eq!(mouth.next().await, format!("puback {}", number + 1));
            assert_eq!(ear.next().await, format!("publish 1 up/x {number} {filler}"));
        }
        assert_eq!(fixture.refused(Refusal::StorageUnavailable).await, 0);
    }
}

/// More than one batch holds comes in one read.
#[tokio::test]
async fn messages_larger_than_a_batch_go_in_several() {
    let fixture = given(1).start();
    let mut ear = listening(&fixture, "ear").await;
    let mut mouth = fixture.client(1, "mouth").await;
    let filler = "x".repeat(700_000);
    for number in 0..4 {
        mouth.publish("up/x", &format!("{number} {filler}"), AtLeastOnce).await;
    }
    for number in 0..4 {
        assert_eq!(mouth.next().await, format!("puback {}", number + 1));
        assert_eq!(ear.next().await, format!("publish 1 up/x {number} {filler}"));
    }
}

#[tokio::test]
async fn a_will_is_stored_like_any_message() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut ear = listening(&fixture, "ear").await;
        let token = fixture.sign(&claims(1, "frail"));
        let mut frail = fixture.peer().await;
        let will = Some(Will {
            topic: "up/will",
            payload: b"farewell",
            qos: AtLeastOnce,
            retain: false,
            ..Will::default()
        });
        frail.connect(&Connect { will, ..connect("frail", &token) }).await;
        assert_eq!(frail.next().await, "connack 0");
        drop(frail);
        assert_eq!(ear.next().await, "publish 1 up/will farewell");
        assert_eq!(fixture.log.payloads(), ["farewell"]);
    }
}

async fn publish(fixture: &Fixture, topic: &str, payload: &str) -> Result<Published, PublishError> {
    let control = fixture.broker.control();
    let message = publication(payload.as_bytes(), AtLeastOnce, false);
    control.publish(instance_id(1), topic, message, "application").await
}

#[tokio::test]
async fn an_application_is_answered_as_a_client_is() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut ear = listening(&fixture, "ear").await;
        let relayed = publish(&fixture, "other", "relayed").await;
        assert_eq!(relayed, Ok(Published { id: None, stored: false, matched: 1 }));
        assert_eq!(ear.next().await, "publish 1 other relayed");

        fixture.log.hold();
        let control = fixture.broker.control().clone();
        let asked = tokio::spawn(async move {
            let message = publication(b"stored", AtMostOnce, false);
            control.publish(instance_id(1), "up/x", message, "application").await
        });
        fixture.log.wait_held(1).await;
        assert_silent(&fixture, &mut ear).await;
        assert!(!asked.is_finished(), "it is not safe yet");
        fixture.log.release();
        let published = asked.await.expect("no panic").expect("published");
        assert_eq!((published.stored, published.matched), (true, 1));
        let id = published.id.expect("it is stored");
        assert_eq!((id.shard, id.record, id.index), (0, 1, 0));
        assert_eq!(ear.next().await, "publish 0 up/x stored");
    }
}

/// Who gives up is told that it took too long, and may publish again.
#[tokio::test]
async fn what_an_application_has_given_up_is_not_published() {
    let fixture = given(1).start();
    let mut ear = listening(&fixture, "ear").await;
    let node = fixture.broker.control().node();
    let rules = node.replica.instance(instance_id(1)).expect("given");
    let shared = node.instances.get(instance_id(1), &rules.document.limits, node.clock.micros());
    for topic in ["up/x", "other"] {
        let (answer, outcome) = tokio::sync::oneshot::channel();
        drop(outcome);
        let (shared, topic) = (Arc::clone(&shared), topic.parse().expect("a topic"));
        let message = publication(b"given up", AtLeastOnce, false);
        let given_up = ApiPublish { shared, topic, message, publisher: "application".into(), answer };
        let sent = node.commands[0].send(Command::Publish(Box::new(given_up))).await;
        assert!(sent.is_ok(), "the worker lives");
    }
    assert!(publish(&fixture, "up/x", "again").await.is_ok());
    assert_eq!(ear.next().await, "publish 1 up/x again");
    assert_eq!(fixture.log.payloads(), ["again"]);
}

/// While a topic stops being stored, its last stored messages are still on their way through the log.
#[tokio::test]
async fn neither_an_application_nor_a_will_overtakes_what_is_on_its_way_through_the_log() {
    let mut fixture = given(1).start();
    let mut ear = listening(&fixture, "ear").await;
    let token = fixture.sign(&claims(1, "frail"));
    let mut frail = fixture.peer().await;
    let will = Some(Will {
        topic: "up/x",
        payload: b"farewell",
        qos: AtLeastOnce,
        retain: false,
        ..Will::default()
    });
    frail.connect(&Connect { will, ..connect("frail", &token) }).await;
    assert_eq!(frail.next().await, "connack 0");
    fixture.log.hold();
    frail.publish("up/x", "on its way", AtLeastOnce).await;
    fixture.log.wait_held(1).await;
    fixture.put(topic("up", false)).await;

    assert_eq!(publish(&fixture, "up/x", "too early").await, Err(PublishError::Busy));
    let other = publish(&fixture, "other", "relayed").await;
    assert_eq!(other, Ok(Published { id: None, stored: false, matched: 1 }), "no other topic waits");
    drop(frail);
    fixture.log.wait_held(2).await;
    assert_eq!(publish(&fixture, "up/x", "still too early").await, Err(PublishError::Busy));
    fixture.log.release();
    assert_eq!(ear.payloads_until("farewell").await, ["relayed", "on its way"]);
    wait_for("the topic to have faded", async || publish(&fixture, "up/x", "after").await.is_ok()).await;
    assert_eq!(ear.next().await, "publish 1 up/x after");
    assert_eq!(fixture.log.payloads(), ["on its way", "farewell"]);
}

#[tokio::test]
async fn an_application_is_refused_by_name() {
    let fixture = given(1).limits(|limits| limits.packet_bytes_max = 1_000).start();
    let refused = |refusal| Err(PublishError::Refused(refusal));
    assert_eq!(publish(&fixture, "up/#", "x").await, refused(Refusal::MalformedPacket));
    assert_eq!(publish(&fixture, "$SYS/x", "x").await, refused(Refusal::NotAuthorized));
    assert_eq!(publish(&fixture, "up", &"x".repeat(1_000)).await, refused(Refusal::PacketBytesMax));
    let control = fixture.broker.control();
    let nowhere = InstanceId(Uuid::from_u128(9));
    let unknown = control.publish(nowhere, "up", publication(b"", AtMostOnce, false), "a").await;
    assert_eq!(unknown, Err(PublishError::InstanceUnknown));
}

#[tokio::test]
async fn a_stop_waits_for_what_was_handed_in() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut mouth = fixture.client(1, "mouth").await;
        fixture.log.hold();
        let packet_id = mouth.publish("up/x", "last", AtLeastOnce).await;
        fixture.log.wait_held(1).await;
        let Fixture { broker, log, .. } = fixture;
        let stopping = broker.stop_token();
        let stopped = tokio::spawn(broker.stop());
        stopping.cancelled().await;
        log.release();
        assert_eq!(mouth.next().await, format!("puback {packet_id}"));
        assert_eq!(mouth.next().await, "closed");
        stopped.await.expect("it stops");
        assert_eq!(log.payloads(), ["last"]);
    }
}

/// What is stored of instance 1, the oldest first.
async fn history(fixture: &Fixture) -> Vec<String> {
    let history = Arc::clone(fixture.broker.control().node().durable.history());
    let rule = TopicHistory { retention_secs: 3_600, retention_bytes: None, since: UnixMillis(1) };
    let rules = HistoryRules { now: unix_now(), topics: [("up".into(), rule)].into() };
    let query = HistoryQuery { order: Order::Oldest, ..HistoryQuery::default() };
    let answer = tokio::task::spawn_blocking(move || history.query(instance_id(1), &query, &rules));
    let answer = answer.await.expect("no panic").expect("an answer");
    let payload = |it: &StoredMessage| String::from_utf8_lossy(&it.payload.0).into_owned();
    answer.items.iter().map(payload).collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    for workers in WORKERS {
        let mut fixture = given(workers).start_with_files();
        let mut expected = Vec::new();
        for run in 0..3 {
            let mut ear = listening(&fixture, "ear").await;
            let mut mouth = fixture.client(1, "mouth").await;
            for number in 0..20 {
                expected.push(format!("{run}.{number}"));
                mouth.publish_acknowledged("up/x", &format!("{run}.{number}")).await;
                assert_eq!(ear.next().await, format!("publish 1 up/x {run}.{number}"));
            }
            mouth.publish_acknowledged("other", "passed on").await;
            let published = publish(&fixture, "up/x", &format!("{run}.end")).await.expect("published");
            assert!(published.id.is_some());
            expected.push(format!("{run}.end"));
            assert_eq!(history(&fixture).await, expected, "what is acknowledged is found at once");
            fixture = fixture.restart().await;
            assert_eq!(history(&fixture).await, expected, "and after a restart");
        }
    }
}

#[tokio::test]
async fn a_message_that_fails_on_its_way_out_takes_no_other_with_it() {
    for workers in WORKERS {
        let fixture = given(workers).with(topic("fails", true)).start();
        let mut ear = listening(&fixture, "ear").await;
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged(crate::turn::FAILS_CROSSED, "x").await;
        mouth.publish_acknowledged("up/x", "still here").await;
        assert_eq!(ear.next().await, "publish 1 up/x still here");
        assert!(fixture.broker.metrics().await.panics >= 1);
    }
}

#[tokio::test]
async fn one_instances_stored_messages_are_not_heard_in_another() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut stranger = fixture.client(2, "stranger").await;
        assert_eq!(stranger.subscribe(&[("#", AtLeastOnce)]).await, "1");
        fixture.client(1, "mouth").await.publish_acknowledged("up/x", "secret").await;
        fixture.client(2, "bell").await.publish_acknowledged("bell", "ding").await;
        assert_eq!(stranger.payloads_until("ding").await, [""; 0]);
    }
}

/// In 5.0 it is told so, at once, and goes on.
#[tokio::test]
async fn who_is_told_that_a_message_was_not_stored_is_told_at_once() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut mouth = v5_client(&fixture, "mouth").await;
        for (qos, answer) in [(AtLeastOnce, "puback"), (ExactlyOnce, "pubrec")] {
            fixture.log.lose(true);
            let packet_id = mouth.publish("up/x", "lost", qos).await;
            assert_eq!(mouth.next().await, format!("{answer} {packet_id} 0x83"));
            fixture.log.lose(false);
        }
        assert_eq!(mouth.ping().await, "pingresp");
    }
}
