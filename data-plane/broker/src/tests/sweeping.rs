//! What becomes of lasting sessions while nobody is connected: wills, expiry, damage.

use contract::feed::{Change, Document, DocumentKey, DocumentKind};
use contract::qos::Qos::{AtLeastOnce, AtMostOnce};
use contract::refusal::Refusal;
use mqtt::{Connect, Will};

use crate::testing::{Fixture, Given, Peer, claims, connect, document, instance_id, wait_for};

fn gone() -> Will<'static> {
    Will { topic: "will/x", payload: b"gone", qos: AtLeastOnce, ..Will::default() }
}

/// A client with a lasting session and a will.
async fn with_will(fixture: &Fixture, client_id: &str) -> Peer {
    let token = fixture.sign(&claims(1, client_id));
    let mut peer = fixture.peer().await;
    peer.connect(&Connect { clean_start: false, will: Some(gone()), ..connect(client_id, &token) }).await;
    assert!(peer.next().await.starts_with("connack"));
    peer
}

async fn ear(fixture: &Fixture) -> Peer {
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("will/#", AtMostOnce)]).await;
    ear
}

#[tokio::test]
async fn a_session_ends_when_nobody_comes_back_for_it() {
    let fixture = Given::workers(1).limits(|limits| limits.session_expiry_secs_max = 1).start();
    let mut away = fixture.lasting_client("away", false).await;
    away.subscribe(&[("a", AtLeastOnce)]).await;
    away.leave().await;
    wait_for("the session to expire", async || fixture.log.keys(instance_id(1), "").is_empty()).await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "for nobody").await;
    assert_eq!(fixture.log.payloads(), [""; 0], "and nothing is logged for it any more");
    fixture.lasting_client("away", false).await;
}

#[tokio::test]
async fn a_will_survives_the_node_and_gives_its_client_time() {
    for (grace, comes_back, crashes) in
        [(0, false, true), (1, false, true), (1, false, false), (3_600, true, true), (3_600, true, false)]
    {
        let mut given = Given::workers(1);
        given.config.session.restart_grace_secs = grace;
        let fixture = given.start();
        let client = with_will(&fixture, "client").await;
        wait_for("the session", async || !fixture.log.keys(instance_id(1), "s/").is_empty()).await;
        fixture.log.lose(crashes);
        let fixture = fixture.restart_on_log().await;
        drop(client);
        let mut ear = ear(&fixture).await;
        if comes_back {
            with_will(&fixture, "client").await.leave().await;
            assert_eq!(ear.ping().await, "pingresp", "it said goodbye");
        } else if grace > 0 {
            assert_eq!(ear.next().await, "publish 0 will/x gone");
        } else {
            // It may have been published before anybody listened.
            wait_for("the will", async || fixture.broker.metrics().await.total.messages_in == 1).await;
        }
    }
}

/// [MQTT-3.1.2-8], [MQTT-3.1.2-10]
#[tokio::test]
async fn a_will_of_a_lasting_session_is_published_once() {
    let fixture = Fixture::start(1);
    let mut ear = ear(&fixture).await;
    drop(with_will(&fixture, "client").await);
    assert_eq!(ear.next().await, "publish 0 will/x gone");
    with_will(&fixture, "client").await.leave().await;
    let first = with_will(&fixture, "client").await;
    let second = with_will(&fixture, "client").await;
    assert_eq!(ear.next().await, "publish 0 will/x gone", "of the one that was taken over");
    drop(first);
    second.leave().await;
    assert_eq!(ear.ping().await, "pingresp");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_until_a_clean_start() {
    let fixture = Fixture::start(1);
    for client_id in ["whole", "torn"] {
        let mut client = fixture.lasting_client(client_id, false).await;
        client.subscribe(&[("a", AtLeastOnce)]).await;
        client.leave().await;
    }
    wait_for("both", async || fixture.log.keys(instance_id(1), "p/").len() == 2).await;
    // With the stop all of both is written, so that nothing of it is written behind the damage.
    let fixture = fixture.restart_on_log().await;
    fixture.log.damage(instance_id(1), "s/torn");
    fixture.log.lose(true);
    let fixture = fixture.restart_on_log().await;
    let token = fixture.sign(&claims(1, "torn"));
    let lasting = Connect { clean_start: false, ..connect("torn", &token) };
    assert_eq!(fixture.answer_to(&lasting).await, "connack 3");
    fixture.wait_refused(Refusal::SessionDamaged, 1).await;
    fixture.lasting_client("whole", true).await;
    fixture.client(1, "torn").await.leave().await;
    assert_eq!(fixture.answer_to(&lasting).await, "connack 0");
}

#[tokio::test]
async fn how_far_a_client_has_come_is_written_when_the_node_stops() {
    let fixture = Fixture::start(2);
    let mut away = fixture.lasting_client("away", false).await;
    away.subscribe(&[("a", AtLeastOnce)]).await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "one").await;
    assert_eq!(away.take().await, "publish 1 a one");
    assert_eq!(away.ping().await, "pingresp");
    let fixture = fixture.restart_on_log().await;
    let mut away = fixture.lasting_client("away", true).await;
    assert_eq!(away.ping().await, "pingresp", "and not the message again");
}

/// Who comes first wakes the sessions of all workers: what is due of them waits for nobody else.
#[tokio::test]
async fn what_is_due_of_an_instance_that_was_not_known_waits_for_nobody() {
    let mut given = Given::workers(3);
    given.config.session.restart_grace_secs = 0;
    let mut fixture = given.start();
    let mut clients = Vec::new();
    for at in 0..8 {
        clients.push(with_will(&fixture, &format!("client-{at}")).await);
    }
    wait_for("the sessions", async || fixture.log.keys(instance_id(1), "p/").len() == 8).await;
    fixture.log.lose(true);
    let key = DocumentKey { kind: DocumentKind::Instance, instance: instance_id(1), name: String::new() };
    fixture.change(&[Change::Delete { key }]).await;
    let mut fixture = fixture.restart_on_log().await;
    fixture.put(Document::Instance(document(1))).await;
    fixture.put_key(1).await;
    fixture.client(1, "first").await;
    wait_for("all wills", async || fixture.broker.metrics().await.total.messages_in == 8).await;
}
