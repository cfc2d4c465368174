//! Sessions that outlive their connections: what waits for them, and what ends them.

use contract::durability::QueueOverflow;
use contract::feed::{Change, CredentialDocument, Document, DocumentKey, DocumentKind};
use contract::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use contract::refusal::Refusal;
use mqtt::{Connect, client};

use super::WORKERS;
use crate::DropReason;
use crate::testing::{
    ALL, Fixture, Given, PASSWORD, claims, connect, credential, document, instance_id, wait_for,
};

/// [MQTT-3.1.2-4], [MQTT-3.1.2-5]
#[tokio::test]
async fn what_was_published_meanwhile_waits_in_order() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = fixture.lasting_client("ear", false).await;
        assert_eq!(ear.subscribe(&[("a/#", AtLeastOnce), ("b", ExactlyOnce)]).await, "12");
        ear.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..50 {
            mouth.publish_acknowledged("a/x", &at.to_string()).await;
        }
        mouth.publish_exactly_once("b", "once").await;
        mouth.publish("a/x", "not kept", AtMostOnce).await;
        assert_eq!(mouth.ping().await, "pingresp");

        let mut ear = fixture.lasting_client("ear", true).await;
        for at in 0..50 {
            assert_eq!(ear.take().await, format!("publish 1 a/x {at}"), "{workers}");
        }
        assert_eq!(ear.next().await, "publish 2 b once");
        ear.answer(client::pubrec).await;
        assert_eq!(ear.next().await, format!("pubrel {}", ear.last_packet_id.expect("one")));
        ear.answer(client::pubcomp).await;
        mouth.publish_acknowledged("a/y", "live").await;
        assert_eq!(ear.take().await, "publish 1 a/y live");
        ear.leave().await;
        let mut ear = fixture.lasting_client("ear", true).await;
        assert_eq!(ear.ping().await, "pingresp", "all of it was acknowledged");
        assert_eq!(ear.subscribe(&[("c", AtLeastOnce)]).await, "1");
    }
}

#[tokio::test]
async fn sessions_are_there_after_a_restart() {
    let fixture = Given::workers(2).start_with_files();
    let mut ear = fixture.lasting_client("ear", false).await;
    ear.subscribe(&[("a", AtLeastOnce)]).await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "sent").await;
    assert_eq!(ear.next().await, "publish 1 a sent");
    drop(ear);
    mouth.publish_acknowledged("a", "waits").await;
    let fixture = fixture.restart().await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "after").await;
    let mut ear = fixture.lasting_client("ear", true).await;
    let first = ear.take().await;
    assert!(first.ends_with("publish 1 a sent"), "{first}");
    assert_eq!(ear.take().await, "publish 1 a waits");
    assert_eq!(ear.take().await, "publish 1 a after");
    assert_eq!(ear.ping().await, "pingresp");
    let fixture = fixture.restart().await;
    let mut ear = fixture.lasting_client("ear", true).await;
    assert_eq!(ear.ping().await, "pingresp");
}

/// What was acknowledged is there after a crash, whatever the node had no time to write.
#[tokio::test]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = fixture.lasting_client("ear", false).await;
        ear.subscribe(&[("a", ExactlyOnce)]).await;
        let mut mouth = fixture.lasting_client("mouth", false).await;
        mouth.publish_exactly_once("a", "one").await;
        assert_eq!(ear.next().await, "publish 2 a one");
        ear.answer(client::pubrec).await;
        assert!(ear.next().await.starts_with("pubrel"));
        mouth.publish_exactly_once("a", "two").await;
        assert_eq!(ear.next().await, "publish 2 a two");
        let released = ear.last_packet_id;
        fixture.log.lose(true);
        let fixture = fixture.restart_on_log().await;
        let mut ear = fixture.lasting_client("ear", true).await;
        assert!(ear.next().await.starts_with("pubrel"), "of the first, which is not sent again");
        assert_eq!(ear.next().await, "again publish 2 a two");
        assert_eq!(ear.last_packet_id, released, "under the identifier that the client knows");
        ear.answer(client::pubrec).await;
        assert!(ear.next().await.starts_with("pubrel"));
        assert_eq!(ear.ping().await, "pingresp");
    }
}

/// [MQTT-4.4.0-1]
#[tokio::test]
async fn a_takeover_keeps_the_session_and_sends_again_what_was_not_acknowledged() {
    let fixture = Fixture::start(1);
    let mut first = fixture.lasting_client("ear", false).await;
    first.subscribe(&[("a", AtLeastOnce)]).await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "one").await;
    mouth.publish_acknowledged("a", "two").await;
    assert_eq!(first.take().await, "publish 1 a one");
    assert_eq!(first.next().await, "publish 1 a two");
    let packet_id = first.last_packet_id;
    assert_eq!(first.ping().await, "pingresp");
    let mut second = fixture.lasting_client("ear", true).await;
    assert_eq!(first.next().await, "closed");
    assert_eq!(second.take().await, "again publish 1 a two");
    assert_eq!(second.last_packet_id, packet_id);
    mouth.publish_acknowledged("a", "three").await;
    assert_eq!(second.take().await, "publish 1 a three");
}

/// [MQTT-3.1.2-6]
#[tokio::test]
async fn a_clean_start_ends_the_session_for_good() {
    let fixture = Fixture::start(1);
    let mut ear = fixture.lasting_client("ear", false).await;
    ear.subscribe(&[("a", AtLeastOnce)]).await;
    ear.leave().await;
    wait_for("the session", async || !fixture.log.keys(instance_id(1), "p/").is_empty()).await;

    fixture.log.hold();
    let token = fixture.sign(&claims(1, "ear"));
    let mut clean = fixture.peer().await;
    clean.connect(&connect("ear", &token)).await;
    clean.send(&[0xC0, 0]).await;
    wait_for("the deletion", async || fixture.log.is_holding()).await;
    assert_eq!(fixture.log.keys(instance_id(1), "s/"), ["s/ear"], "not gone yet, nor is it said");
    fixture.log.release();
    assert_eq!(clean.next().await, "connack 0");
    assert_eq!(clean.next().await, "pingresp");
    assert!(fixture.log.keys(instance_id(1), "").is_empty());
    clean.leave().await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "for nobody").await;
    let mut ear = fixture.lasting_client("ear", false).await;
    assert_eq!(ear.ping().await, "pingresp");
}

/// A session that has ended may still be stored: whoever begins anew is told so when it is not.
#[tokio::test]
async fn a_new_session_begins_when_the_one_before_is_gone_for_good() {
    let fixture = Fixture::start(1);
    let mut ear = fixture.lasting_client("ear", false).await;
    ear.subscribe(&[("a", AtLeastOnce)]).await;
    fixture.log.hold();
    let token = fixture.sign(&claims(1, "ear"));
    let mut clean = fixture.peer().await;
    clean.connect(&connect("ear", &token)).await;
    assert_eq!(ear.next().await, "closed", "its session has ended");
    let mut ear = fixture.peer().await;
    ear.connect(&Connect { clean_start: false, ..connect("ear", &token) }).await;
    let connecting = async { (ear.next().await, fixture.log.is_holding()) };
    let storing = async {
        assert_eq!(clean.next().await, "closed", "taken over");
        assert_eq!(fixture.client(1, "bell").await.ping().await, "pingresp");
        fixture.log.release();
    };
    let (connected, ()) = tokio::join!(connecting, storing);
    assert_eq!(connected, ("connack 0".to_owned(), false));
    assert_eq!(ear.subscribe(&[("b", AtLeastOnce)]).await, "1");
}

/// What could not be deleted is not found again, whatever its client does next.
#[tokio::test]
async fn a_session_that_could_not_be_deleted_does_not_come_back() {
    for is_clean in [true, false] {
        let fixture = Fixture::start(1);
        let mut ear = fixture.lasting_client("ear", false).await;
        ear.subscribe(&[("a", AtLeastOnce)]).await;
        ear.leave().await;
        wait_for("the session", async || !fixture.log.keys(instance_id(1), "p/").is_empty()).await;
        fixture.log.refuse(Some(engine::RefusedWhy::Full));
        let token = fixture.sign(&claims(1, "ear"));
        assert_eq!(fixture.answer_to(&connect("ear", &token)).await, "connack 3");
        fixture.wait_refused(Refusal::StorageUnavailable, 1).await;
        fixture.log.refuse(None);
        if is_clean {
            fixture.client(1, "ear").await.leave().await;
            assert!(fixture.log.keys(instance_id(1), "").is_empty());
        } else {
            let mut ear = fixture.lasting_client("ear", false).await;
            assert_eq!(ear.subscribe(&[("b", AtLeastOnce)]).await, "1");
        }
        fixture.log.lose(true);
        let fixture = fixture.restart_on_log().await;
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("a", "not for it").await;
        let mut ear = fixture.lasting_client("ear", !is_clean).await;
        assert_eq!(ear.ping().await, "pingresp");
    }
}

/// A subscription holds from the moment it is acknowledged, so it must not be forgotten then.
#[tokio::test]
async fn a_subscription_is_acknowledged_when_it_is_stored() {
    let fixture = Fixture::start(1);
    let mut ear = fixture.lasting_client("ear", false).await;
    assert_eq!(ear.ping().await, "pingresp");
    fixture.log.hold();
    let subscribing = async {
        let answer = ear.subscribe(&[("a", AtLeastOnce)]).await;
        (answer, fixture.log.keys(instance_id(1), "s/"))
    };
    let storing = async {
        wait_for("the subscription", async || fixture.log.is_holding()).await;
        let mut mouth = fixture.client(1, "mouth").await;
        assert_eq!(mouth.ping().await, "pingresp");
        assert!(fixture.log.is_holding());
        fixture.log.release();
    };
    let (answer, stored) = tokio::join!(subscribing, storing).0;
    assert_eq!((answer.as_str(), stored), ("1", vec!["s/ear".to_owned()]));

    fixture.log.lose(true);
    assert_eq!(ear.subscribe(&[("b", AtLeastOnce)]).await, "closed");
    assert_eq!(fixture.refused(Refusal::StorageUnavailable).await, 1);
}

#[tokio::test]
async fn another_identity_does_not_get_it() {
    let fixture = Fixture::start(1);
    let anyone = |subject: &str| {
        let mut claims = claims(1, "");
        claims.client_id = None;
        claims.subject = Some(subject.into());
        fixture.sign(&claims)
    };
    let (mine, yours) = (anyone("me"), anyone("you"));
    let mut ear = fixture.peer().await;
    ear.connect(&Connect { clean_start: false, ..connect("ear", &mine) }).await;
    assert_eq!(ear.next().await, "connack 0");
    ear.leave().await;
    for clean_start in [false, true] {
        let answer = fixture.answer_to(&Connect { clean_start, ..connect("ear", &yours) }).await;
        assert_eq!(answer, "connack 2");
    }
    fixture.wait_refused(Refusal::ClientIdInUse, 2).await;
    let answer = fixture.answer_to(&Connect { clean_start: false, ..connect("ear", &mine) }).await;
    assert_eq!(answer, "connack with a session");
}

#[tokio::test]
async fn an_instance_keeps_so_many_sessions() {
    let fixture = Given::workers(3).limits(|limits| limits.sessions_max = 2).start();
    for client_id in ["a", "b", "a"] {
        let token = fixture.sign(&claims(1, client_id));
        fixture.answer_to(&Connect { clean_start: false, ..connect(client_id, &token) }).await;
    }
    let token = fixture.sign(&claims(1, "c"));
    let lasting = Connect { clean_start: false, ..connect("c", &token) };
    assert_eq!(fixture.answer_to(&lasting).await, "connack 3");
    fixture.wait_refused(Refusal::SessionsMax, 1).await;
    fixture.client(1, "a").await;
    assert_eq!(fixture.answer_to(&lasting).await, "connack 0", "a clean start gives room back");
}

/// Whoever does not take what it is sent costs the node no memory and loses nothing.
#[tokio::test]
async fn a_slow_client_is_served_from_the_log() {
    for workers in WORKERS {
        let given = Given::workers(workers).limits(|limits| {
            limits.in_flight_messages_max = 5;
            limits.queued_messages_max = 10_000;
        });
        let fixture = given.start();
        let mut ear = fixture.lasting_client("ear", false).await;
        ear.subscribe(&[("a", AtLeastOnce)]).await;
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..300 {
            mouth.publish("a", &at.to_string(), AtLeastOnce).await;
        }
        for _ in 0..300 {
            assert!(mouth.next().await.starts_with("puback"));
        }
        for at in 0..300 {
            assert_eq!(ear.take().await, format!("publish 1 a {at}"), "{workers}");
        }
        mouth.publish_acknowledged("a", "live").await;
        assert_eq!(ear.take().await, "publish 1 a live");
        assert_eq!(ear.ping().await, "pingresp");
        assert!(fixture.broker.metrics().await.total.dropped.is_empty());
    }
}

/// Whoever acknowledges only once it has got more is not waited for.
#[tokio::test]
async fn little_room_is_used_too() {
    for filter in ["a", "$share/g/a"] {
        let fixture = Given::workers(1).limits(|limits| limits.in_flight_messages_max = 4).start();
        let mut ear = fixture.lasting_client("ear", false).await;
        ear.subscribe(&[(filter, AtLeastOnce)]).await;
        ear.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..5 {
            mouth.publish_acknowledged("a", &at.to_string()).await;
        }
        let mut ear = fixture.lasting_client("ear", true).await;
        for at in 0..3 {
            assert_eq!(ear.next().await, format!("publish 1 a {at}"), "{filter}");
        }
        assert_eq!(ear.take().await, "publish 1 a 3", "{filter}");
        assert_eq!(ear.next().await, "publish 1 a 4", "three of four are in flight: {filter}");
    }
}

#[tokio::test]
async fn what_is_too_much_gives_way_as_the_instance_says() {
    for (overflow, expected) in
        [(QueueOverflow::DropOldest, &["5", "6", "7"][..]), (QueueOverflow::DropNew, &["0", "1", "2"])]
    {
        let mut given = Given::workers(1).limits(|limits| limits.queued_messages_max = 3);
        if let Document::Instance(instance) = &mut given.documents[0] {
            instance.queue_overflow = overflow;
        }
        let fixture = given.start();
        let mut ear = fixture.lasting_client("ear", false).await;
        ear.subscribe(&[("a", AtLeastOnce)]).await;
        ear.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..8 {
            mouth.publish_acknowledged("a", &at.to_string()).await;
        }
        let mut ear = fixture.lasting_client("ear", true).await;
        for payload in expected {
            assert_eq!(ear.take().await, format!("publish 1 a {payload}"), "{overflow:?}");
        }
        assert_eq!(ear.ping().await, "pingresp");
        assert_eq!(fixture.dropped(DropReason::QueueMessages).await, 5, "{overflow:?}");
        mouth.publish_acknowledged("a", "next").await;
        assert_eq!(ear.take().await, "publish 1 a next", "{overflow:?}");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_queue_where_the_instance_says_so() {
    let mut given = Given::workers(1).limits(|limits| limits.queued_messages_max = 3);
    if let Document::Instance(instance) = &mut given.documents[0] {
        instance.queue_overflow = QueueOverflow::Disconnect;
    }
    let fixture = given.start();
    let mut ear = fixture.lasting_client("ear", false).await;
    ear.subscribe(&[("a", AtLeastOnce)]).await;
    ear.leave().await;
    let mut mouth = fixture.client(1, "mouth").await;
    for _ in 0..8 {
        mouth.publish_acknowledged("a", "x").await;
    }
    let mut ear = fixture.lasting_client("ear", true).await;
    assert_eq!(ear.next().await, "closed");
    fixture.wait_refused(Refusal::QueueOverflow, 1).await;
    assert_eq!(fixture.dropped(DropReason::QueueMessages).await, 8);
    let mut ear = fixture.lasting_client("ear", false).await;
    assert_eq!(ear.ping().await, "pingresp");
}

/// Rights are those of who comes back, not of who subscribed.
#[tokio::test]
async fn a_subscription_that_is_granted_no_more_is_ended() {
    let fixture = Fixture::start(1);
    let mut ear = fixture.lasting_client("ear", false).await;
    ear.subscribe(&[("a", AtLeastOnce), ("b", AtLeastOnce)]).await;
    ear.leave().await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "secret").await;
    mouth.publish_acknowledged("b", "open").await;
    let mut less = claims(1, "ear");
    less.grants = crate::testing::grants(r#"[{"actions":["subscribe"],"topic_filter":"b","qos_max":2}]"#);
    let token = fixture.sign(&less);
    let mut ear = fixture.peer().await;
    ear.connect(&Connect { clean_start: false, ..connect("ear", &token) }).await;
    assert_eq!(ear.next().await, "connack with a session");
    assert_eq!(ear.take().await, "publish 1 b open");
    mouth.publish_acknowledged("a", "secret").await;
    assert_eq!(ear.ping().await, "pingresp");
}

/// Sessions of an instance that the node learns of later are there when it does.
#[tokio::test]
async fn sessions_wait_for_their_instance() {
    let fixture = Fixture::start(1);
    let mut ear = fixture.lasting_client("ear", false).await;
    ear.subscribe(&[("a", AtLeastOnce)]).await;
    ear.leave().await;
    let mut fixture = fixture;
    let key = DocumentKey { kind: DocumentKind::Instance, instance: instance_id(1), name: String::new() };
    fixture.change(&[Change::Delete { key }]).await;
    let mut fixture = fixture.restart_on_log().await;
    fixture.put(Document::Instance(document(1))).await;
    fixture.put_key(1).await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "one").await;
    let mut ear = fixture.lasting_client("ear", true).await;
    assert_eq!(ear.take().await, "publish 1 a one");
}

/// A user name has one credential: what the one before has left is neither the next one's, nor does it lock it out.
#[tokio::test]
async fn a_credential_s_session_gives_way_to_that_of_its_successor() {
    for clean_start in [false, true] {
        let before = credential(1, "meter", ALL);
        let mut fixture = Given::workers(1).with(Document::Credential(before.clone())).start();
        let meter = Connect { username: Some("meter"), clean_start: false, ..connect("ear", PASSWORD) };
        let mut ear = fixture.peer().await;
        ear.connect(&meter).await;
        assert_eq!(ear.next().await, "connack 0");
        ear.subscribe(&[("a", AtLeastOnce)]).await;
        ear.leave().await;
        let id = contract::ids::CredentialId(uuid::Uuid::from_u128(7));
        fixture.put(Document::Credential(CredentialDocument { id, ..before })).await;
        assert_eq!(fixture.answer_to(&Connect { clean_start, ..meter }).await, "connack 0");
        let present = fixture.answer_to(&meter).await;
        assert_eq!(present, if clean_start { "connack 0" } else { "connack with a session" });
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("a", "for nobody").await;
        assert_eq!(fixture.log.payloads(), [""; 0], "nothing is logged for what has gone");
    }
}
