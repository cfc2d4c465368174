//! Messages for one client: they come to it without a subscription, and to nobody else whatever is subscribed to.

use contract::claims::TokenClaims;
use contract::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use contract::refusal::Refusal;
use mqtt::{Connect, ContentWriter, Options, Publish};

use super::WORKERS;
use super::properties::{client, lasting, may_all};
use super::versions::{connected, kept, v5};
use crate::api_publish::PublishError;
use crate::testing::{Fixture, Given, claims, grants, instance_id, publication, wait_for};

#[tokio::test]
async fn it_comes_to_its_client_and_to_nobody_else() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut pump = fixture.client(1, "line/pump").await;
        let mut strangers = Vec::new();
        for filter in ["#", "$share/g/#", "+/+/line/+", "+/p2p/#", "up/p2p/line/pump"] {
            let mut stranger = fixture.client(1, &format!("stranger-{}", strangers.len())).await;
            assert_eq!(stranger.subscribe(&[(filter, AtLeastOnce)]).await, "1", "{filter}");
            strangers.push(stranger);
        }
        let mut namesake = fixture.client(2, "line/pump").await;
        let mut mouth = fixture.client(1, "mouth").await;
        for (qos, answer) in [(AtMostOnce, ""), (AtLeastOnce, "puback 1"), (ExactlyOnce, "pubrec 2")] {
            mouth.publish("up/p2p/line/pump", "go", qos).await;
            assert_eq!(pump.next().await, format!("publish {} up/p2p/line/pump go", qos.bits()), "{workers}");
            if qos != AtMostOnce {
                assert_eq!(mouth.next().await, answer);
            }
        }
        mouth.publish("up/x/line/pump", "for all", AtLeastOnce).await;
        let (wide, narrow) = strangers.split_at_mut(3);
        for stranger in wide {
            assert_eq!(stranger.take().await, "publish 1 up/x/line/pump for all", "the only one");
        }
        for stranger in narrow.iter_mut().chain([&mut namesake]) {
            assert_eq!(stranger.ping().await, "pingresp");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_kept_gets_it_when_its_client_comes_back() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut away = fixture.lasting_client("away", false).await;
        let mut wide = fixture.lasting_client("wide", false).await;
        assert_eq!(wide.subscribe(&[("#", AtLeastOnce)]).await, "1");
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("up/p2p/away", "live").await;
        assert_eq!(away.take().await, "publish 1 up/p2p/away live");
        away.leave().await;
        wide.leave().await;
        mouth.publish("up/p2p/away", "at most once: lost", AtMostOnce).await;
        mouth.publish_acknowledged("up/p2p/away", "1").await;
        mouth.publish_exactly_once("up/p2p/away", "2").await;
        mouth.publish_acknowledged("up", "for wide").await;
        let mut away = fixture.lasting_client("away", true).await;
        assert_eq!(away.take().await, "publish 1 up/p2p/away 1", "{workers}");
        assert_eq!(away.next().await, "publish 2 up/p2p/away 2");
        away.answer(mqtt::client::pubrec).await;
        assert!(away.next().await.starts_with("pubrel"));
        away.answer(mqtt::client::pubcomp).await;
        let mut wide = fixture.lasting_client("wide", true).await;
        assert_eq!(wide.take().await, "publish 1 up for wide", "what waits for another is none of it");
        assert_eq!((wide.ping().await, away.ping().await), ("pingresp".into(), "pingresp".into()));
        away.leave().await;
        let mut away = fixture.lasting_client("away", true).await;
        assert_eq!(away.ping().await, "pingresp", "all of it was acknowledged");
    }
}

/// Whatever the session is subscribed to, and with which options.
#[tokio::test]
async fn what_waits_for_a_client_comes_as_it_was_published() {
    let options = Options { no_local: true, ..Options::of(AtMostOnce) };
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut one = lasting(&fixture, "one", false).await;
        assert_eq!(one.subscribe_with(&[("#", options), ("+/p2p/+", options)], Some(7)).await, "00");
        one.leave().await;
        let mut mouth = client(&fixture, "mouth").await;
        let with = ContentWriter::new().user_property("a", "1");
        let publish = Publish { topic: "up/p2p/one", qos: AtLeastOnce, payload: b"x", ..Publish::default() };
        mouth.send_publish(&Publish { content: with.content(), ..publish }).await;
        assert_eq!(mouth.next().await, "puback 1");
        let mut one = lasting(&fixture, "one", true).await;
        assert_eq!(one.take().await, "publish 1 up/p2p/one x {a=1}", "{workers}");
        one.send_publish(&publish).await;
        let mut came = [one.next().await, one.next().await];
        came.sort();
        assert_eq!(came[1], "publish 1 up/p2p/one x", "also its own");
    }
}

#[tokio::test]
async fn it_waits_through_a_restart() {
    let fixture = Given::workers(2).start_with_files();
    fixture.lasting_client("away", false).await.leave().await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("up/p2p/away", "waits").await;
    let fixture = fixture.restart().await;
    let mut away = fixture.lasting_client("away", true).await;
    assert_eq!(away.take().await, "publish 1 up/p2p/away waits");
}

#[tokio::test]
async fn rights_are_those_to_the_topic_and_nothing_is_kept() {
    let some = r#"[{"actions":["publish"],"topic_filter":"up/p2p/+","qos_max":1,"retain":true}]"#;
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut pump = fixture.client(1, "pump").await;
        let token = fixture.sign(&TokenClaims { grants: grants(some), ..claims(1, "mouth") });
        let (mut mouth, answer) = connected(&fixture, &v5("mouth", &token)).await;
        assert_eq!(answer, "connack 0");
        let to = |topic, retain| Publish { topic, retain, qos: AtLeastOnce, ..Publish::default() };
        for (publish, code) in [
            (to("up/p2p/pump", false), ""),
            (to("up/p2p/pump", true), " 0x87"),
            (to("down/p2p/pump", false), " 0x87"),
            (to("up/p2p/line/pump", false), " 0x87"),
        ] {
            let packet_id = mouth.send_publish(&publish).await;
            assert_eq!(mouth.next().await, format!("puback {packet_id}{code}"), "{publish:?}");
        }
        assert_eq!(pump.take().await, "publish 1 up/p2p/pump ");
        assert_eq!(pump.ping().await, "pingresp");
    }
}

#[tokio::test]
async fn a_client_that_is_not_there_is_counted() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut mouth = client(&fixture, "mouth").await;
        let publish = Publish { topic: "up/p2p/nobody", qos: AtLeastOnce, ..Publish::default() };
        let packet_id = mouth.send_publish(&publish).await;
        let answer = mouth.next().await;
        // Whether it is there is known to its own worker alone.
        let known = [format!("puback {packet_id} 0x10"), format!("puback {packet_id}")];
        assert!(known[..workers.min(2)].contains(&answer), "{answer}");
        if workers == 1 {
            let unmatched = async || fixture.broker.metrics().await.total.messages_unmatched == 1;
            wait_for("a message that nobody wanted", unmatched).await;
        }
        let mut itself = lasting(&fixture, "self", false).await;
        itself.publish("up/p2p/self", "to itself", AtMostOnce).await;
        assert_eq!(itself.next().await, "publish 0 up/p2p/self to itself");
    }
}

#[tokio::test]
async fn an_application_reaches_one_client_and_knows_whether_it_did() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut pump = fixture.client(1, "pump").await;
        let control = fixture.broker.control();
        for (topic, matched) in [("up/p2p/pump", 1), ("up/p2p/nobody", 0)] {
            let message = publication(b"go", AtLeastOnce, false);
            let published = control.publish(instance_id(1), topic, message, "").await;
            assert_eq!(published.map(|it| (it.stored, it.matched)), Ok((false, matched)), "{topic}");
        }
        assert_eq!(pump.take().await, "publish 1 up/p2p/pump go");
        let kept = publication(b"go", AtLeastOnce, true);
        let refused = control.publish(instance_id(1), "up/p2p/pump", kept, "").await;
        assert_eq!(refused, Err(PublishError::Refused(Refusal::NotAuthorized)));
    }
}

/// [MQTT-3.2.0-1]: also where CONNACK waits until the session before is deleted.
#[tokio::test]
async fn it_comes_behind_the_connack_of_a_new_session() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut mouth = fixture.client(1, "mouth").await;
        let token = fixture.sign(&may_all("ear"));
        lasting(&fixture, "ear", false).await.leave().await;
        wait_for("the session", async || !fixture.log.keys(instance_id(1), "p/").is_empty()).await;
        fixture.log.hold();
        mouth.publish("up/p2p/ear", "early", AtLeastOnce).await;
        fixture.log.wait_held(1).await;
        let mut ear = fixture.peer().await;
        ear.connect(&Connect { clean_start: true, ..kept("ear", &token, 3_600) }).await;
        wait_for("the newcomer", async || fixture.broker.connections() == 2).await;
        fixture.log.release();
        assert_eq!(ear.next().await, "connack 0", "{workers} workers");
        assert_eq!(ear.take().await, "publish 1 up/p2p/ear early");
        assert_eq!(mouth.next().await, "puback 1");
        mouth.publish_acknowledged("up/p2p/ear", "later").await;
        assert_eq!(ear.take().await, "publish 1 up/p2p/ear later");
        assert_eq!(ear.ping().await, "pingresp");
    }
}

/// The log shows it to workers that know nothing of its receiver.
#[tokio::test]
async fn one_that_came_is_not_counted_as_for_nobody() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ears = Vec::new();
        for at in 0..6 {
            let mut ear = fixture.lasting_client(&format!("ear-{at}"), false).await;
            assert_eq!(ear.subscribe(&[("mark", AtLeastOnce)]).await, "1");
            ears.push(ear);
        }
        let mut mouth = fixture.client(1, "mouth").await;
        fixture.log.hold();
        for at in 0..6 {
            mouth.publish(&format!("up/p2p/ear-{at}"), "x", AtLeastOnce).await;
        }
        mouth.publish("mark", "x", AtLeastOnce).await;
        fixture.log.wait_held(7).await;
        // Who comes now may want anything: the log shows everything to all.
        let mut late = fixture.client(1, "late").await;
        assert_eq!(late.subscribe(&[("up/+/+", AtMostOnce), ("+", AtMostOnce)]).await, "00");
        fixture.log.release();
        for (at, ear) in ears.iter_mut().enumerate() {
            assert_eq!(ear.take().await, format!("publish 1 up/p2p/ear-{at} x"), "{workers} workers");
            assert_eq!(ear.take().await, "publish 1 mark x");
        }
        assert_eq!(late.next().await, "publish 0 mark x");
        assert_eq!(fixture.broker.metrics().await.total.messages_unmatched, 0, "{workers} workers");
    }
}
