//! The limits of a plan, as clients feel them: what is over a rate waits, what is over a bound is refused by its name.

use std::time::Duration;

use contract::feed::Document;
use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::Publish;
use tokio::time::Instant;

use super::{WORKERS, properties};
use crate::DropReason;
use crate::testing::{Fixture, Given, PATIENCE, claims, connect, document, grants, wait_for};

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// Publishes so many messages at QoS 1 in one go and waits for all acknowledgements.
async fn flood(fixture: &Fixture, client_id: &str, count: u16) -> Duration {
    let mut client = fixture.client(1, client_id).await;
    let begun = now();
    for _ in 0..count {
        client.publish("a/b", "x", AtLeastOnce).await;
    }
    for number in 1..=count {
        assert_eq!(client.next().await, format!("puback {number}"), "nothing accepted is lost");
    }
    begun.elapsed()
}

fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn a_client_faster_than_its_rate_is_read_more_slowly_and_loses_nothing() {
    let fixture = Given::workers(1).limits(|limits| limits.client_messages_in_per_sec = 20).start();
    let took = flood(&fixture, "fast", 40).await;
    assert!(took >= Duration::from_millis(900), "20 at once, 20 more in a second: {took:?}");
    let mut other = fixture.client(1, "other").await;
    assert_eq!(other.ping().await, "pingresp");
    assert_eq!(fixture.broker.metrics().await.total.messages_in, 40);
}

#[tokio::test]
async fn the_rate_of_an_instance_is_shared_by_its_clients_and_by_the_workers() {
    for workers in WORKERS {
        let fixture = Given::workers(workers).limits(|limits| limits.messages_in_per_sec = 40).start();
        let (one, two, three) = tokio::join!(
            flood(&fixture, "one", 30),
            flood(&fixture, "two", 30),
            flood(&fixture, "three", 30)
        );
        let last = one.max(two).max(three);
        assert!(last >= Duration::from_secs(1), "90 messages at 40 a second, 40 at once: {last:?}");
        assert!(last <= PATIENCE / 2, "{last:?}");
    }
}

#[tokio::test]
async fn bytes_are_limited_like_messages() {
    let fixture = Given::workers(1).limits(|limits| limits.client_bytes_in_per_sec = 100_000).start();
    let mut client = fixture.client(1, "fast").await;
    let begun = now();
    for _ in 0..2 {
        client.publish_acknowledged("a", &"x".repeat(100_000)).await;
    }
    client.publish_acknowledged("a", "x").await;
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_gets_no_more_than_its_rate_late_at_qos_1_and_dropped_at_qos_0() {
    let fixture = Given::workers(1).limits(|limits| limits.client_messages_out_per_sec = 20).start();
    let mut mouth = fixture.client(1, "mouth").await;
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("one", AtLeastOnce), ("zero", AtMostOnce)]).await;
    let begun = now();
    for number in 0..40 {
        mouth.publish_acknowledged("one", &number.to_string()).await;
    }
    for number in 0..40 {
        assert_eq!(ear.next().await, format!("publish 1 one {number}"));
    }
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    for number in 0..100 {
        mouth.publish_acknowledged("zero", &number.to_string()).await;
    }
    mouth.publish_acknowledged("one", "marker").await;
    let arrived = ear.payloads_until("marker").await.len() as u64;
    let dropped = fixture.broker.metrics().await.total.dropped;
    assert_eq!(arrived + dropped.get(&DropReason::ClientRate).copied().unwrap_or(0), 100, "{dropped:?}");
    assert!(arrived < 50, "{arrived}");
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]: also where it is the rate that keeps it.
#[tokio::test]
async fn what_expires_while_the_rate_keeps_it_is_not_sent_and_the_rest_says_what_is_left() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let fixture = Given::workers(1).limits(|limits| limits.client_messages_out_per_sec = 10).start();
        let mut mouth = fixture.client(1, "mouth").await;
        let mut ear = properties::client(&fixture, "ear").await;
        ear.subscribe(&[("#", qos)]).await;
        for number in 0..30 {
            mouth.publish_acknowledged("a/long/topic", &number.to_string()).await;
        }
        let mut author = properties::client(&fixture, "author").await;
        for (topic, expiry_secs) in [("over", 1), ("late", 60)] {
            let message =
                Publish { topic, payload: b"x", qos, expiry_secs: Some(expiry_secs), ..Publish::default() };
            author.send_publish(&message).await;
        }
        mouth.publish_acknowledged("marker", "x").await;
        for number in 0..30 {
            assert_eq!(ear.take().await, format!("publish 1 a/long/topic {number}"));
        }
        let late = ear.next().await;
        let said = (40..60).map(|left| format!("publish {} late x {{expires_in={left}}}", qos.bits()));
        assert!(said.into_iter().any(|said| said == late), "{late}");
        assert_eq!(ear.take().await, "publish 1 marker x");
        assert_eq!(fixture.dropped(DropReason::MessageExpired).await, 1);
    }
}

#[tokio::test]
async fn what_an_instance_may_send_holds_its_publishers_back() {
    let fixture = Given::workers(1).limits(|limits| limits.messages_out_per_sec = 40).start();
    let mut ears = Vec::new();
    for at in 0..4 {
        let mut ear = fixture.client(1, &format!("ear-{at}")).await;
        ear.subscribe(&[("a/b", AtMostOnce)]).await;
        ears.push(ear);
    }
    let took = flood(&fixture, "mouth", 20).await;
    assert!(took >= Duration::from_millis(900), "80 deliveries at 40 a second, 40 at once: {took:?}");
    for ear in &mut ears {
        for _ in 0..20 {
            assert_eq!(ear.next().await, "publish 0 a/b x");
        }
    }
}

#[tokio::test]
async fn subscribing_too_fast_waits() {
    let fixture = Given::workers(1).limits(|limits| limits.client_subscribes_per_sec = 5).start();
    let mut client = fixture.client(1, "fickle").await;
    let begun = now();
    for _ in 0..10 {
        assert_eq!(client.subscribe(&[("a", AtMostOnce)]).await, "0");
    }
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_refused_is_paced_too_and_costs_its_instance_nothing() {
    let fixture = Given::workers(1)
        .limits(|limits| {
            limits.client_messages_in_per_sec = 20;
            limits.messages_in_per_sec = 20;
        })
        .start();
    let bare = contract::claims::TokenClaims { grants: grants("[]"), ..claims(1, "bare") };
    let mut bare = fixture.client_with(&bare, "bare").await;
    let begun = now();
    for _ in 0..40 {
        bare.publish("a", "x", AtMostOnce).await;
    }
    assert_eq!(bare.ping().await, "pingresp");
    assert!(begun.elapsed() >= Duration::from_millis(900), "20 at once, 20 more in a second");
    assert_eq!(fixture.refused(Refusal::NotAuthorized).await, 40);
    // The instance has all of its second left.
    let took = flood(&fixture, "other", 15).await;
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[tokio::test]
async fn a_raised_rate_lets_go_of_who_waits_for_the_former_one() {
    let mut fixture = Given::workers(1).limits(|limits| limits.client_bytes_in_per_sec = 1_024).start();
    let mut client = fixture.client(1, "car").await;
    client.publish_acknowledged("a", &"x".repeat(100_000)).await;
    fixture.put(Document::Instance(document(1))).await;
    assert_eq!(client.ping().await, "pingresp", "and not after a hundred seconds");
}

#[tokio::test]
async fn what_waits_for_acknowledgements_stays_behind_what_waits_for_the_rate() {
    let fixture = Given::workers(1)
        .limits(|limits| {
            limits.client_messages_out_per_sec = 4;
            limits.in_flight_messages_max = 6;
        })
        .start();
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("a", AtLeastOnce)]).await;
    let mut mouth = fixture.client(1, "mouth").await;
    for number in 0..12 {
        mouth.publish_acknowledged("a", &number.to_string()).await;
    }
    let begun = now();
    for number in 0..12 {
        assert_eq!(ear.next().await, format!("publish 1 a {number}"));
        ear.send(&[0x40, 2, 0, number + 1]).await;
    }
    let took = begun.elapsed();
    assert!((Duration::from_millis(1_500)..Duration::from_secs(6)).contains(&took), "4 a second: {took:?}");
}

#[tokio::test]
async fn a_client_that_reads_loses_nothing_of_what_one_round_brings() {
    let fixture = Given::workers(1)
        .limits(|limits| {
            limits.outbox_bytes_max = 4_096;
            limits.packet_bytes_max = 4_096;
        })
        .start();
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("a", AtMostOnce)]).await;
    let mut mouth = fixture.client(1, "mouth").await;
    let payload = "x".repeat(1_000);
    let mut burst = Vec::new();
    for _ in 0..60 {
        let payload = payload.as_bytes();
        let publish = mqtt::Publish {
            dup: false,
            qos: AtMostOnce,
            retain: false,
            topic: "a",
            packet_id: None,
            payload,
            ..mqtt::Publish::default()
        };
        mqtt::client::publish(&mut burst, &publish).expect("is written");
    }
    mouth.send(&burst).await;
    assert_eq!(mouth.ping().await, "pingresp");
    for _ in 0..60 {
        assert_eq!(ear.next().await, format!("publish 0 a {payload}"));
    }
    assert_eq!(fixture.broker.metrics().await.total.dropped, std::collections::BTreeMap::default());
}

#[tokio::test]
async fn a_takeover_that_gets_no_seat_takes_nothing_over() {
    let mut fixture = Fixture::start(1);
    let mut holder = fixture.client(1, "car").await;
    let _others = (fixture.client(1, "bus").await, fixture.client(1, "van").await);
    let mut smaller = document(1);
    smaller.limits.connections_max = 2;
    fixture.put(Document::Instance(smaller)).await;
    let token = fixture.sign(&claims(1, "car"));
    assert_eq!(fixture.answer_to(&connect("car", &token)).await, "connack 3");
    assert_eq!(holder.ping().await, "pingresp");
}

#[tokio::test]
async fn connections_are_bounded_by_name() {
    for workers in WORKERS {
        let fixture = Given::workers(workers)
            .limits(|limits| {
                limits.connections_max = 3;
                limits.connects_per_sec = 6;
                limits.connections_per_subject_max = 1;
            })
            .start();
        let mut fleet = claims(1, "");
        fleet.client_id = None;
        fleet.subject = Some("fleet".into());
        let token = fixture.sign(&fleet);
        let _one = fixture.client_with(&fleet, "one").await;
        assert_eq!(fixture.answer_to(&connect("two", &token)).await, "connack 3");
        assert_eq!(fixture.refused(Refusal::ConnectionsPerSubjectMax).await, 1);
        let (_a, _b) = (fixture.client(1, "a").await, fixture.client(1, "b").await);
        let c = fixture.sign(&claims(1, "c"));
        assert_eq!(fixture.answer_to(&connect("c", &c)).await, "connack 3");
        assert_eq!(fixture.refused(Refusal::ConnectionsMax).await, 1);
        let _again = fixture.client(1, "a").await;
        assert_eq!(fixture.broker.connections(), 3, "a takeover needs no seat of its own");

        let mut last = "connack 0".to_owned();
        while last == "connack 0" {
            last = fixture.answer_to(&connect("b", &fixture.sign(&claims(1, "b")))).await;
        }
        assert_eq!(last, "connack 3");
        assert_eq!(fixture.refused(Refusal::ConnectsPerSec).await, 1);
        let _elsewhere = fixture.client(2, "a").await;
    }
}

#[tokio::test]
async fn sizes_are_bounded_by_name() {
    let fixture = Given::workers(1)
        .limits(|limits| {
            limits.packet_bytes_max = 128;
            limits.topic_levels_max = 3;
            limits.topic_bytes_max = 20;
            limits.client_id_bytes_max = 23;
            limits.filters_per_packet_max = 2;
            limits.client_subscriptions_max = 3;
            limits.subscriptions_max = 4;
        })
        .start();
    let long = "a".repeat(24);
    let token = fixture.sign(&claims(1, &long));
    assert_eq!(fixture.answer_to(&connect(&long, &token)).await, "connack 2");
    let dots = fixture.sign(&claims(1, ".."));
    assert_eq!(fixture.answer_to(&connect("..", &dots)).await, "connack 2");

    let mut client = fixture.client(1, "car").await;
    assert_eq!(client.subscribe(&[("a/b/c/d", AtMostOnce), ("a/b/c", AtMostOnce)]).await, "x0");
    assert_eq!(client.subscribe(&[(&long, AtMostOnce), ("b", AtMostOnce)]).await, "x0");
    assert_eq!(client.subscribe(&[("c", AtMostOnce), ("d", AtMostOnce)]).await, "0x");
    let mut other = fixture.client(1, "bus").await;
    assert_eq!(other.subscribe(&[("c", AtMostOnce), ("d", AtMostOnce)]).await, "0x");
    assert_eq!(other.subscribe(&[("c", AtLeastOnce)]).await, "1", "the same filter takes no further place");
    client.publish("a/b/c/d", "x", AtMostOnce).await;
    client.publish(&long, "x", AtMostOnce).await;
    assert_eq!(client.ping().await, "pingresp");
    for refusal in [Refusal::TopicLevelsMax, Refusal::TopicBytesMax] {
        assert_eq!(fixture.refused(refusal).await, 2, "{refusal:?}");
    }
    for refusal in [Refusal::ClientSubscriptionsMax, Refusal::SubscriptionsMax] {
        assert_eq!(fixture.refused(refusal).await, 1, "{refusal:?}");
    }
    client.publish("a", &"x".repeat(128), AtMostOnce).await;
    assert_eq!(client.next().await, "closed");
    assert_eq!(fixture.refused(Refusal::PacketBytesMax).await, 1);
    other.subscribe(&[("1", AtMostOnce), ("2", AtMostOnce), ("3", AtMostOnce)]).await;
    assert_eq!(fixture.refused(Refusal::FiltersPerPacketMax).await, 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_hurts_nobody_else() {
    for workers in WORKERS {
        let fixture = Given::workers(workers)
            .limits(|limits| {
                limits.outbox_bytes_max = 100_000;
                limits.packet_bytes_max = 100_000;
                limits.client_bytes_in_per_sec = 100_000_000;
                limits.client_bytes_out_per_sec = 100_000_000;
                limits.bytes_in_per_sec = 100_000_000;
                limits.bytes_out_per_sec = 100_000_000;
            })
            .start();
        let mut deaf = fixture.client(1, "deaf").await;
        deaf.subscribe(&[("news", AtMostOnce)]).await;
        let mut ear = fixture.client(1, "ear").await;
        ear.subscribe(&[("news", AtMostOnce)]).await;
        let mut mouth = fixture.client(1, "mouth").await;
        let news = "x".repeat(50_000);
        let dropped = async || {
            fixture.broker.metrics().await.total.dropped.get(&DropReason::OutboxBytes).copied().unwrap_or(0)
        };
        let mut heard = 0;
        while dropped().await < 10 {
            mouth.publish_acknowledged("news", &news).await;
            assert!(ear.next().await.starts_with("publish 0 news x"));
            heard += 1;
            assert!(heard < 1_000, "somewhere it must be full");
        }
        assert_eq!(mouth.ping().await, "pingresp");
        // Once it reads, it gets what was kept, and goes on.
        assert!(deaf.next().await.starts_with("publish 0 news x"));
        drop(deaf);
        wait_for("the deaf client to be gone", async || fixture.broker.connections() == 2).await;
    }
}
