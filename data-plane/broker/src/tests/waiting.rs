//! What waits for a client that takes little at a time: it waits in its store, at the client's pace, and none of it is
//! lost on the way.

use std::time::Duration;

use contract::durability::QueueOverflow;
use contract::feed::Document;
use contract::grant::Grants;
use contract::limits::{InstanceLimits, LIMITS};
use contract::qos::Qos::{AtLeastOnce, AtMostOnce};

use mqtt::{Connect, ConnectProperties};

use super::WORKERS;
use super::versions::{connected, kept};
use crate::DropReason;
use crate::testing::{Fixture, Given, Peer, claims, grants, instance_id, wait_for};

const RETAINS: &str =
    r##"[{"actions":["publish","subscribe"],"topic_filter":"#","qos_max":2,"retain":true}]"##;

fn retains() -> Grants {
    grants(RETAINS)
}

/// Retains so many messages of so many bytes each.
async fn retain(fixture: &Fixture, messages: usize, bytes: usize) {
    let claims = contract::claims::TokenClaims { grants: retains(), ..claims(1, "mouth") };
    let mut mouth = fixture.client_with(&claims, "mouth").await;
    let payload = "x".repeat(bytes);
    for at in 0..messages {
        mouth.retain(&format!("a/{at:03}"), &payload).await;
    }
}

fn without_rates(limits: &mut InstanceLimits) {
    for limit in LIMITS.iter().filter(|limit| limit.name.ends_with("_per_sec")) {
        limits.set(limit.name, limit.max).expect("within its bounds");
    }
}

/// A client, with a session that lasts or one that does not.
async fn ear(fixture: &Fixture, lasts: bool) -> Peer {
    if lasts { fixture.lasting_client("ear", false).await } else { fixture.client(1, "ear").await }
}

#[tokio::test]
async fn retained_messages_wait_for_the_acknowledgements_of_who_takes_few() {
    for lasts in [false, true] {
        let fixture = Given::workers(1)
            .limits(|limits| {
                without_rates(limits);
                limits.in_flight_messages_max = 5;
                limits.outbox_messages_max = 10;
            })
            .start();
        retain(&fixture, 150, 1).await;
        let mut ear = ear(&fixture, lasts).await;
        ear.subscribe(&[("a/#", AtLeastOnce)]).await;
        for at in 0..150 {
            assert_eq!(ear.take().await, format!("retained publish 1 a/{at:03} x"), "lasting: {lasts}");
        }
        assert_eq!(ear.ping().await, "pingresp");
        assert!(fixture.broker.metrics().await.total.dropped.is_empty());
    }
}

#[tokio::test]
async fn large_retained_messages_come_a_few_at_a_time() {
    for (lasts, qos) in [(false, AtMostOnce), (false, AtLeastOnce), (true, AtLeastOnce)] {
        let fixture = Given::workers(1)
            .limits(|limits| {
                without_rates(limits);
                limits.packet_bytes_max = 200_000;
                limits.outbox_bytes_max = 300_000;
            })
            .start();
        retain(&fixture, 60, 100_000).await;
        let mut ear = ear(&fixture, lasts).await;
        ear.subscribe(&[("a/#", qos)]).await;
        for at in 0..60 {
            let message = if qos == AtMostOnce { ear.next().await } else { ear.take().await };
            let expected = format!("retained publish {} a/{at:03} x", qos.bits());
            assert!(message.starts_with(&expected), "{lasts} {}", &message[..30]);
        }
        assert_eq!(ear.ping().await, "pingresp");
        assert!(fixture.broker.metrics().await.total.dropped.is_empty());
    }
}

/// What waits is sent no faster than what comes.
#[tokio::test]
async fn a_session_gets_what_waits_at_the_rate_of_its_client() {
    for workers in WORKERS {
        let fixture = Given::workers(workers)
            .limits(|limits| {
                limits.client_messages_out_per_sec = 20;
                limits.in_flight_messages_max = 10;
            })
            .start();
        let mut ear = fixture.lasting_client("ear", false).await;
        ear.subscribe(&[("a", AtLeastOnce)]).await;
        ear.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..60 {
            mouth.publish_acknowledged("a", &at.to_string()).await;
        }
        let begin = tokio::time::Instant::now();
        let mut ear = fixture.lasting_client("ear", true).await;
        for at in 0..60 {
            assert_eq!(ear.take().await, format!("publish 1 a {at}"));
        }
        // A second's worth at once, and one page beyond it.
        assert!(begin.elapsed() > Duration::from_secs(1), "{workers} workers: {:?}", begin.elapsed());
        assert!(fixture.broker.metrics().await.total.dropped.is_empty());
    }
}

/// Nobody leaves and little is acknowledged: what was is written after a while all the same. It takes ten seconds, since
/// the clock is the real one.
#[tokio::test]
async fn what_was_acknowledged_is_written_after_a_while() {
    let fixture = Fixture::start(1);
    let mut ear = fixture.lasting_client("ear", false).await;
    ear.subscribe(&[("a", AtLeastOnce)]).await;
    let mut mouth = fixture.client(1, "mouth").await;
    for payload in ["one", "two", "three"] {
        mouth.publish_acknowledged("a", payload).await;
        assert_eq!(ear.take().await, format!("publish 1 a {payload}"));
    }
    let progress = || fixture.log.body(instance_id(1), "p/ear");
    let before = progress();
    mouth.publish_acknowledged("a", "four").await;
    assert_eq!(ear.take().await, "publish 1 a four");
    assert_eq!(ear.ping().await, "pingresp");
    assert_eq!(progress(), before, "not for each of them");
    wait_for("the progress", async || progress() != before).await;
    fixture.log.lose(true);
    let fixture = fixture.restart_on_log().await;
    let mut ear = fixture.lasting_client("ear", true).await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("a", "five").await;
    assert_eq!(ear.take().await, "publish 1 a five");
}

/// What is passed over lies behind what is kept, however many pages and connections that takes.
#[tokio::test]
async fn what_is_new_and_too_much_is_passed_over_once() {
    for reconnects in [false, true] {
        let mut given = Given::workers(1).limits(|limits| {
            limits.in_flight_messages_max = 1;
            limits.queued_messages_max = 5;
        });
        if let Document::Instance(instance) = &mut given.documents[0] {
            instance.queue_overflow = QueueOverflow::DropNew;
        }
        let fixture = given.start();
        let mut ear = fixture.lasting_client("ear", false).await;
        ear.subscribe(&[("a", AtLeastOnce)]).await;
        ear.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..12 {
            mouth.publish_acknowledged("a", &at.to_string()).await;
        }
        let mut ear = fixture.lasting_client("ear", true).await;
        assert_eq!(ear.take().await, "publish 1 a 0");
        assert_eq!(ear.take().await, "publish 1 a 1");
        mouth.publish_acknowledged("a", "late").await;
        assert_eq!(ear.take().await, "publish 1 a 2");
        if reconnects {
            // It goes without an acknowledgement, and is sent that one again.
            assert_eq!(ear.next().await, "publish 1 a 3");
            ear.leave().await;
            ear = fixture.lasting_client("ear", true).await;
            assert_eq!(ear.take().await, "again publish 1 a 3");
        } else {
            assert_eq!(ear.take().await, "publish 1 a 3");
        }
        assert_eq!(ear.take().await, "publish 1 a 4", "the last that is kept");
        assert_eq!(ear.take().await, "publish 1 a late");
        assert_eq!(ear.ping().await, "pingresp");
        assert_eq!(fixture.dropped(DropReason::QueueMessages).await, 7, "reconnects: {reconnects}");
    }
}

/// [MQTT-3.3.4-9]: the window is the client's where that is the smaller one, also for when the log is read.
#[tokio::test]
async fn who_takes_few_at_a_time_does_not_have_the_log_read_for_each() {
    for (workers, filter) in WORKERS.into_iter().flat_map(|workers| [(workers, "a"), (workers, "$share/g/a")])
    {
        let fixture = Given::workers(workers).limits(without_rates).start();
        let token = fixture.sign(&claims(1, "ear"));
        let connect = kept("ear", &token, 3_600);
        let properties = ConnectProperties { receive_max: 20, ..connect.properties };
        let connect = Connect { properties, ..connect };
        let (mut ear, _) = connected(&fixture, &connect).await;
        assert_eq!(ear.subscribe(&[(filter, AtLeastOnce)]).await, "1");
        ear.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..200 {
            mouth.publish_acknowledged("a", &at.to_string()).await;
        }
        let before = fixture.log.pages_read();
        let (mut ear, answer) = connected(&fixture, &connect).await;
        assert_eq!(answer, "connack with a session");
        for at in 0..200 {
            assert_eq!(ear.take().await, format!("publish 1 a {at}"), "{filter}");
        }
        let pages = fixture.log.pages_read() - before;
        assert!((10..=50).contains(&pages), "{pages} for {filter} on {workers} workers");
    }
}
