//! Retained messages through the node.

use contract::grant::Grants;
use contract::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use contract::refusal::Refusal;

use super::WORKERS;
use crate::testing::{Fixture, Given, Peer, claims, grants};

const RETAINS: &str =
    r##"[{"actions":["publish","subscribe"],"topic_filter":"#","qos_max":2,"retain":true}]"##;

fn retains() -> Grants {
    grants(RETAINS)
}

async fn mouth(fixture: &Fixture) -> Peer {
    let claims = contract::claims::TokenClaims { grants: retains(), ..claims(1, "mouth") };
    fixture.client_with(&claims, "mouth").await
}

/// [MQTT-3.3.1-5] to [MQTT-3.3.1-9]
#[tokio::test]
async fn the_last_one_waits_for_who_subscribes() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut early = fixture.client(1, "early").await;
        early.subscribe(&[("#", AtMostOnce)]).await;
        let mut mouth = mouth(&fixture).await;
        mouth.retain("a/1", "old").await;
        mouth.retain("a/1", "one").await;
        mouth.retain("a/2", "two").await;
        mouth.retain("b", "b").await;
        mouth.retain("gone", "x").await;
        mouth.retain("gone", "").await;
        mouth.publish_acknowledged("a/3", "not kept").await;
        for message in ["a/1 old", "a/1 one", "a/2 two", "b b", "gone x", "gone ", "a/3 not kept"] {
            assert_eq!(early.next().await, format!("publish 0 {message}"), "not retained to who was there");
        }
        let mut late = fixture.client(1, "late").await;
        assert_eq!(
            late.subscribe(&[("a/+", AtLeastOnce), ("gone", AtLeastOnce), ("b", AtMostOnce)]).await,
            "110"
        );
        assert_eq!(late.take().await, "retained publish 1 a/1 one");
        assert_eq!(late.take().await, "retained publish 1 a/2 two");
        assert_eq!(late.next().await, "retained publish 0 b b");
        assert_eq!(late.ping().await, "pingresp");
        late.subscribe(&[("b", ExactlyOnce)]).await;
        assert_eq!(late.take().await, "retained publish 1 b b", "each SUBSCRIBE brings it again");
        mouth.retain("b", "new").await;
        assert_eq!(late.take().await, "publish 1 b new");
    }
}

#[tokio::test]
async fn they_are_there_after_a_restart_and_at_any_qos() {
    let fixture = Given::workers(2).start_with_files();
    let mut mouth = mouth(&fixture).await;
    mouth.publish_as("a", "at most once", AtMostOnce, true).await;
    mouth.retain("b", "at least once").await;
    let fixture = fixture.restart().await;
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("#", ExactlyOnce)]).await;
    assert_eq!(ear.next().await, "retained publish 0 a at most once");
    assert_eq!(ear.next().await, "retained publish 1 b at least once");
    let mut stranger = fixture.client(2, "stranger").await;
    stranger.subscribe(&[("#", AtMostOnce)]).await;
    assert_eq!(stranger.ping().await, "pingresp", "another instance has none of it");
}

#[tokio::test]
async fn many_come_page_by_page_and_so_many_at_most() {
    let fixture = Given::workers(1).limits(|limits| limits.retained_per_subscribe_max = 250).start();
    let mut mouth = mouth(&fixture).await;
    for at in 0..300 {
        mouth.publish_as(&format!("a/{at:03}"), "x", AtLeastOnce, true).await;
    }
    for _ in 0..300 {
        assert!(mouth.next().await.starts_with("puback"));
    }
    let mut ear = fixture.lasting_client("ear", false).await;
    assert_eq!(ear.subscribe(&[("a/#", AtLeastOnce)]).await, "1");
    for at in 0..250 {
        assert_eq!(ear.take().await, format!("retained publish 1 a/{at:03} x"));
    }
    assert_eq!(ear.ping().await, "pingresp");
}

#[tokio::test]
async fn an_instance_keeps_so_many() {
    let fixture = Given::workers(1).limits(|limits| limits.retained_messages_max = 2).start();
    let mut mouth = mouth(&fixture).await;
    mouth.retain("a", "1").await;
    mouth.retain("b", "1").await;
    mouth.retain("a", "2").await;
    mouth.publish_as("c", "1", AtMostOnce, true).await;
    assert_eq!(mouth.ping().await, "pingresp");
    assert_eq!(fixture.refused(Refusal::RetainedMax).await, 1);
    mouth.retain("a", "").await;
    mouth.retain("c", "1").await;
    mouth.publish_as("d", "1", AtLeastOnce, true).await;
    assert_eq!(mouth.next().await, "closed");
}

#[tokio::test]
async fn only_who_may_retain_does() {
    let fixture = Fixture::start(1);
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_as("a", "x", AtLeastOnce, true).await;
    assert_eq!(mouth.next().await, "closed");
    fixture.wait_refused(Refusal::NotAuthorized, 1).await;
}

/// Who has retained a message may replace it at the limit; whether it is still there is not known for certain.
#[tokio::test]
async fn what_was_retained_once_is_no_way_past_the_limits() {
    let fixture = Given::workers(1)
        .limits(|limits| (limits.retained_messages_max, limits.retained_bytes_max) = (3, 2_000))
        .start();
    let mut one = mouth(&fixture).await;
    let claims = contract::claims::TokenClaims { grants: retains(), ..claims(1, "two") };
    let mut two = fixture.client_with(&claims, "two").await;
    for topic in ["a", "b", "c"] {
        one.retain(topic, "1").await;
    }
    for topic in ["a", "b", "c"] {
        two.retain(topic, "").await;
    }
    for topic in ["d", "e", "f"] {
        two.retain(topic, "1").await;
    }
    one.retain("a", "again").await;
    for topic in ["b", "c"] {
        one.publish_as(topic, "again", AtMostOnce, true).await;
        assert_eq!(one.ping().await, "pingresp");
    }
    assert_eq!(fixture.refused(Refusal::RetainedMax).await, 2, "one more than the limit, and no more");
    for topic in ["a", "d"] {
        two.retain(topic, "").await;
    }
    two.retain("e", &"x".repeat(500)).await;
    two.publish_as("e", &"x".repeat(2_000), AtMostOnce, true).await;
    assert_eq!(two.ping().await, "pingresp");
    assert_eq!(fixture.refused(Refusal::RetainedMax).await, 3, "nor is it a way past their bytes");
}
