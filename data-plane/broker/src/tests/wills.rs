//! When a will is published, and when not: at once or later, by what the client says and by what becomes of its session.

use std::time::Duration;

use contract::qos::Qos::{AtLeastOnce, AtMostOnce};
use mqtt::{Connect, ContentWriter, Disconnect, ReasonCode, Version, Will};
use tokio::time::Instant;

use super::WORKERS;
use super::versions::{connected, goodbye, kept, v5};
use crate::testing::{Fixture, Peer, claims, connect, wait_for};

/// A delay that no test waits for.
const LONG: u32 = 3_600;

fn will(delay_secs: u32) -> Will<'static> {
    Will { topic: "will/car", payload: b"gone", qos: AtLeastOnce, delay_secs, ..Will::default() }
}

async fn ear(fixture: &Fixture) -> Peer {
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("will/#", AtMostOnce)]).await;
    ear
}

const GONE: &str = "publish 0 will/car gone";

/// Proves that nothing came that came before this.
async fn silent(fixture: &Fixture, ear: &mut Peer) {
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("will/other", "a mark").await;
    assert_eq!(ear.next().await, "publish 0 will/other a mark");
}

/// DISCONNECT of 5.0 with a reason.
fn with_reason(reason: ReasonCode, session_expiry_secs: Option<u32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    mqtt::client::disconnect_v5(
        &mut bytes,
        &Disconnect { reason, session_expiry_secs, ..Disconnect::default() },
    );
    bytes
}

/// [MQTT-3.1.2-8], [MQTT-3.1.3-9]
#[tokio::test]
async fn a_will_waits_as_long_as_it_was_told_and_no_longer() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let token = fixture.sign(&claims(1, "car"));
        let mut ear = ear(&fixture).await;
        for (delay_secs, expiry_secs, waits) in
            [(1, 60, true), (LONG, 1, true), (LONG, 0, false), (0, 60, false)]
        {
            let (car, answer) = connected(
                &fixture,
                &Connect {
                    will: Some(will(delay_secs)),
                    clean_start: true,
                    ..kept("car", &token, expiry_secs)
                },
            )
            .await;
            assert_eq!(answer, "connack 0");
            // The time begins when the connection ends, which is not before this.
            let begin = Instant::now();
            drop(car);
            assert_eq!(ear.next().await, GONE, "{delay_secs} {expiry_secs}");
            assert!(!waits || begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
        }
    }
}

/// [MQTT-3.1.3-9]
#[tokio::test]
async fn who_comes_back_in_time_has_not_gone() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let token = fixture.sign(&claims(1, "car"));
        let mut ear = ear(&fixture).await;
        let with_will = Connect { will: Some(will(LONG)), ..kept("car", &token, LONG) };
        for comes_back in [with_will, kept("car", &token, LONG), kept("car", &token, 0)] {
            drop(connected(&fixture, &with_will).await.0);
            wait_for("its end", async || fixture.broker.connections() == 1).await;
            let (mut car, answer) = connected(&fixture, &comes_back).await;
            assert_eq!(answer, "connack with a session");
            car.send(&goodbye(0)).await;
            assert_eq!(car.next().await, "closed");
        }
        silent(&fixture, &mut ear).await;
    }
}

/// [MQTT-3.1.4-3]: a session that goes on is no end of the client, one that does not is.
#[tokio::test]
async fn what_a_takeover_does_to_the_will_of_the_one_before() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let token = fixture.sign(&claims(1, "car"));
        let mut ear = ear(&fixture).await;
        let old = |clean_start| Connect { clean_start, ..connect("car", &token) };
        for (first, second, is_published) in [
            (
                Connect { will: Some(will(LONG)), ..kept("car", &token, LONG) },
                kept("car", &token, LONG),
                false,
            ),
            (Connect { will: Some(will(LONG)), ..kept("car", &token, LONG) }, old(false), false),
            (Connect { will: Some(will(LONG)), ..kept("car", &token, LONG) }, v5("car", &token), true),
            (Connect { will: Some(will(LONG)), ..kept("car", &token, LONG) }, old(true), true),
            (Connect { will: Some(will(0)), ..kept("car", &token, LONG) }, kept("car", &token, LONG), true),
            (Connect { will: Some(will(LONG)), ..v5("car", &token) }, kept("car", &token, LONG), true),
            (Connect { will: Some(will(0)), ..old(true) }, v5("car", &token), true),
            (Connect { will: Some(will(0)), ..old(false) }, kept("car", &token, LONG), true),
        ] {
            let (mut one, _) = connected(&fixture, &Connect { clean_start: true, ..first }).await;
            if first.version == Version::V311 && !first.clean_start {
                one.leave().await;
                one = connected(&fixture, &first).await.0;
            }
            let (mut two, answer) = connected(&fixture, &second).await;
            assert!(answer.starts_with("connack"), "{answer}");
            let told = if first.version == Version::V5 { "disconnect 0x8e taken_over" } else { "closed" };
            assert_eq!(one.next().await, told);
            if is_published {
                assert_eq!(ear.next().await, GONE, "{first:?} {second:?}");
            } else {
                silent(&fixture, &mut ear).await;
            }
            two.send(&[0xE0, 0]).await;
            assert_eq!(two.next().await, "closed");
        }
    }
}

/// [MQTT-3.1.2-10], [MQTT-3.14.4-3]
#[tokio::test]
async fn a_goodbye_voids_the_will_unless_it_says_otherwise() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let token = fixture.sign(&claims(1, "car"));
        let mut ear = ear(&fixture).await;
        for (delay_secs, expiry_secs, goodbye, is_published) in [
            (0, 60, with_reason(ReasonCode::Success, None), false),
            (0, 0, with_reason(ReasonCode::Success, None), false),
            (0, 60, with_reason(ReasonCode::DisconnectWithWill, None), true),
            (0, 0, with_reason(ReasonCode::DisconnectWithWill, None), true),
            (LONG, 0, with_reason(ReasonCode::DisconnectWithWill, None), true),
            (LONG, 60, with_reason(ReasonCode::DisconnectWithWill, None), false),
            // The session ends with this, and the will waits no longer.
            (LONG, 60, with_reason(ReasonCode::DisconnectWithWill, Some(0)), true),
            (LONG, 60, with_reason(ReasonCode::Success, Some(0)), false),
            (0, 60, with_reason(ReasonCode::UnspecifiedError, None), true),
        ] {
            let (mut car, _) = connected(
                &fixture,
                &Connect { will: Some(will(delay_secs)), ..kept("car", &token, expiry_secs) },
            )
            .await;
            car.send(&goodbye).await;
            assert_eq!(car.next().await, "closed");
            if is_published {
                assert_eq!(ear.next().await, GONE, "{delay_secs} {expiry_secs} {goodbye:x?}");
            } else {
                silent(&fixture, &mut ear).await;
            }
        }
    }
}

#[tokio::test]
async fn a_waiting_will_survives_the_node_and_comes_in_its_time() {
    let mut given = crate::testing::Given::workers(1);
    given.config.session.restart_grace_secs = 0;
    let fixture = given.start();
    let token = fixture.sign(&claims(1, "car"));
    let (mut car, _) =
        connected(&fixture, &Connect { will: Some(will(2)), ..kept("car", &token, LONG) }).await;
    assert_eq!(car.subscribe(&[("a", AtLeastOnce)]).await, "1");
    let begin = Instant::now();
    drop(car);
    wait_for("its end", async || fixture.broker.connections() == 0).await;
    let fixture = fixture.restart_on_log().await;
    let mut ear = ear(&fixture).await;
    assert_eq!(ear.next().await, GONE);
    assert!(begin.elapsed() >= Duration::from_secs(2));
}

/// [MQTT-3.3.2-4], [MQTT-3.1.3-10]
#[tokio::test]
async fn a_will_brings_its_properties() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let (token, ears) = (fixture.sign(&claims(1, "car")), fixture.sign(&claims(1, "ear")));
        let (mut ear, _) = connected(&fixture, &v5("ear", &ears)).await;
        ear.subscribe(&[("will/#", AtMostOnce)]).await;
        let content = ContentWriter::default()
            .payload_format(true)
            .content_type("text/plain")
            .response_topic("answers")
            .correlation_data(b"7")
            .user_property("b", "2")
            .user_property("a", "1");
        let content = content.content();
        for delay_secs in [0, 1] {
            let will = Some(Will { expiry_secs: Some(LONG), content, ..will(delay_secs) });
            drop(connected(&fixture, &Connect { will, ..kept("car", &token, LONG) }).await);
            assert_eq!(
                ear.next().await,
                "publish 0 will/car gone {expires_in=3600 format=1 type=text/plain response=answers \
                 correlation=7 b=2 a=1}"
            );
        }
    }
}
