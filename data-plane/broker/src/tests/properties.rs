//! What a message of 5.0 has besides topic and payload: it goes unaltered every way that a message can go, and a client of
//! 3.1.1 gets the message without. And what a publisher of 5.0 is told.

use std::num::NonZeroU16;
use std::time::Duration;

use contract::claims::TokenClaims;
use contract::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use contract::refusal::Refusal;
use mqtt::{ContentWriter, Publish};

use super::WORKERS;
use super::versions::{connected, kept, v5};
use crate::DropReason;
use crate::api_publish::Publication;
use crate::testing::{Fixture, Given, Peer, claims, grants, instance_id, publication};

const ALL_RIGHTS: &str =
    r##"[{"actions":["publish","subscribe","replay"],"topic_filter":"#","qos_max":2,"retain":true}]"##;

/// What every message of these tests carries, and how it reads.
fn content() -> ContentWriter {
    ContentWriter::new()
        .user_property("b", "1")
        .payload_format(true)
        .content_type("text/plain")
        .user_property("a", "2")
        .response_topic("answers/here")
        .correlation_data(b"7")
        .user_property("b", "3")
}

const SHOWN: &str = "format=1 type=text/plain response=answers/here correlation=7 b=1 a=2 b=3";

pub(super) fn may_all(client_id: &str) -> TokenClaims {
    TokenClaims { grants: grants(ALL_RIGHTS), ..claims(1, client_id) }
}

/// A client of 5.0 with a session that ends with the connection.
pub(crate) async fn client(fixture: &Fixture, client_id: &str) -> Peer {
    let token = fixture.sign(&may_all(client_id));
    let (peer, answer) = connected(fixture, &v5(client_id, &token)).await;
    assert_eq!(answer, "connack 0");
    peer
}

/// A client of 5.0 whose session is kept.
pub(super) async fn lasting(fixture: &Fixture, client_id: &str, present: bool) -> Peer {
    let token = fixture.sign(&may_all(client_id));
    let (peer, answer) = connected(fixture, &kept(client_id, &token, 3_600)).await;
    assert_eq!(answer, if present { "connack with a session" } else { "connack 0" });
    peer
}

/// A client of 3.1.1.
async fn old(fixture: &Fixture, client_id: &str) -> Peer {
    fixture.client_with(&may_all(client_id), client_id).await
}

/// [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18], [MQTT-3.3.2-20]
#[tokio::test]
async fn they_go_unaltered_every_way() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut away = lasting(&fixture, "away", false).await;
        assert_eq!(away.subscribe(&[("logged/#", AtLeastOnce)]).await, "1");
        away.leave().await;
        let mut ears = Vec::new();
        for at in 0..4 {
            let mut ear = client(&fixture, &format!("ear-{at}")).await;
            assert_eq!(ear.subscribe(&[("#", AtMostOnce)]).await, "0");
            ears.push(ear);
        }
        let mut sharing = client(&fixture, "sharing").await;
        assert_eq!(sharing.subscribe(&[("$share/g/#", AtMostOnce)]).await, "0");
        let mut ancient = old(&fixture, "ancient").await;
        assert_eq!(ancient.subscribe(&[("#", AtMostOnce)]).await, "0");

        let mut mouth = client(&fixture, "mouth").await;
        let with = content();
        for (topic, qos, retain) in
            [("passed", AtMostOnce, false), ("logged/x", AtLeastOnce, false), ("kept", AtLeastOnce, true)]
        {
            let publish =
                Publish { topic, qos, retain, payload: b"x", content: with.content(), ..Publish::default() };
            let packet_id = mouth.send_publish(&publish).await;
            if qos != AtMostOnce {
                assert_eq!(mouth.next().await, format!("puback {packet_id}"));
            }
            let expected = format!("publish 0 {topic} x {{{SHOWN}}}");
            for ear in &mut ears {
                assert_eq!(ear.next().await, expected, "{workers}");
            }
            assert_eq!(sharing.next().await, expected, "{workers}");
            assert_eq!(ancient.next().await, format!("publish 0 {topic} x"));
        }
        let mut late = client(&fixture, "late").await;
        late.subscribe(&[("kept", AtLeastOnce)]).await;
        assert_eq!(late.take().await, format!("retained publish 1 kept x {{{SHOWN}}}"));
        let mut away = lasting(&fixture, "away", true).await;
        assert_eq!(away.take().await, format!("publish 1 logged/x x {{{SHOWN}}}"));

        let message = Publication { content: with.into_bytes(), ..publication(b"x", AtMostOnce, false) };
        let published = fixture.broker.control().publish(instance_id(1), "api", message, "").await;
        assert_eq!(published.map(|it| it.stored), Ok(false));
        assert_eq!(ears[0].next().await, format!("publish 0 api x {{{SHOWN}}}"));
    }
}

/// The neighbours of a message in the log are alike in all but what they carry.
#[tokio::test]
async fn each_message_of_one_topic_has_its_own() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = lasting(&fixture, "ear", false).await;
        ear.subscribe(&[("a", AtLeastOnce)]).await;
        let mut mouth = client(&fixture, "mouth").await;
        let (one, two) = (ContentWriter::new().content_type("1"), ContentWriter::new().content_type("2"));
        let plain = Publish { topic: "a", qos: AtLeastOnce, payload: b"x", ..Publish::default() };
        let expiring = Publish { expiry_secs: Some(1_000), ..plain };
        let all = [
            plain,
            plain,
            Publish { content: one.content(), ..plain },
            Publish { content: one.content(), ..plain },
            Publish { content: two.content(), ..plain },
            plain,
            expiring,
            expiring,
            plain,
        ];
        for publish in &all {
            mouth.send_publish(publish).await;
        }
        for shown in ["", "", " {type=1}", " {type=1}", " {type=2}", "", " {expires_in=1000}"] {
            assert_eq!(ear.take().await, format!("publish 1 a x{shown}"));
        }
        for _ in &all {
            assert!(mouth.next().await.starts_with("puback"));
        }
        // It has the last two, and goes without a word of them; of the others its word has come.
        for shown in [" {expires_in=1000}", ""] {
            assert_eq!(ear.next().await, format!("publish 1 a x{shown}"));
        }
        assert_eq!(ear.ping().await, "pingresp");
        drop(ear);
        let mut ear = lasting(&fixture, "ear", true).await;
        let expiring = ear.take().await;
        assert!(expiring.starts_with("again publish 1 a x {expires_in="), "{expiring}");
        assert_eq!(ear.take().await, "again publish 1 a x");
    }
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[tokio::test]
async fn what_has_expired_is_sent_to_nobody_and_the_rest_says_what_is_left() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut away = lasting(&fixture, "away", false).await;
        away.subscribe(&[("#", AtLeastOnce)]).await;
        away.leave().await;
        let mut mouth = client(&fixture, "mouth").await;
        for (topic, retain, expiry_secs) in
            [("soon", false, 1), ("late", false, 60), ("soon/kept", true, 1), ("late/kept", true, 60)]
        {
            let expiry_secs = Some(expiry_secs);
            let message = Publish { topic, payload: b"x", qos: AtLeastOnce, ..Publish::default() };
            let packet_id = mouth.send_publish(&Publish { retain, expiry_secs, ..message }).await;
            assert_eq!(mouth.next().await, format!("puback {packet_id}"));
        }
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let is_left = |packet: &str, topic: &str| {
            (40..60).any(|left| *packet == format!("publish 1 {topic} x {{expires_in={left}}}"))
        };
        let mut away = lasting(&fixture, "away", true).await;
        for topic in ["late", "late/kept"] {
            let packet = away.take().await;
            assert!(is_left(&packet, topic), "{packet}");
        }
        assert_eq!(fixture.dropped(DropReason::MessageExpired).await, 2);
        let mut new = client(&fixture, "new").await;
        new.subscribe(&[("+/kept", AtLeastOnce)]).await;
        let packet = new.take().await;
        assert!(is_left(packet.strip_prefix("retained ").unwrap_or_default(), "late/kept"), "{packet}");
        assert_eq!(new.ping().await, "pingresp");
    }
}

/// [MQTT-3.3.2-7] and what a publisher is told besides: it goes on after all of it.
#[tokio::test]
async fn a_refused_message_is_answered_with_the_reason() {
    let few = r#"[{"actions":["publish"],"topic_filter":"up/#","qos_max":2}]"#;
    for workers in WORKERS {
        let given = Given::workers(workers).limits(|limits| {
            limits.properties_bytes_max = 100;
            limits.user_properties_max = 2;
        });
        let fixture = given.start();
        let mut ear = client(&fixture, "ear").await;
        ear.subscribe(&[("up/#", AtLeastOnce)]).await;
        let token = fixture.sign(&TokenClaims { grants: grants(few), ..claims(1, "mouth") });
        let (mut mouth, _) = connected(&fixture, &v5("mouth", &token)).await;
        let text = ContentWriter::new().payload_format(true);
        let long = ContentWriter::new().content_type(&"x".repeat(100));
        let many = ContentWriter::new().user_property("", "").user_property("", "").user_property("", "");
        for (topic, payload, content, code) in [
            ("up/x", &b"\xff"[..], &text, " 0x99"),
            ("up/x", b"x", &long, " 0x97"),
            ("up/x", b"x", &many, " 0x97"),
            ("down/x", b"x", &text, " 0x87"),
            ("up/x", "\u{e9}".as_bytes(), &text, ""),
        ] {
            let content = content.content();
            let publish = Publish { topic, payload, content, qos: AtLeastOnce, ..Publish::default() };
            let packet_id = mouth.send_publish(&publish).await;
            assert_eq!(mouth.next().await, format!("puback {packet_id}{code}"), "{topic}");
            let packet_id = mouth.send_publish(&Publish { qos: ExactlyOnce, ..publish }).await;
            assert_eq!(mouth.next().await, format!("pubrec {packet_id}{code}"), "{topic}");
        }
        assert_eq!(ear.take().await, "publish 1 up/x \u{e9} {format=1}");
        assert_eq!(ear.take().await, "publish 1 up/x \u{e9} {format=1}");
        fixture.wait_refused(Refusal::PayloadFormatInvalid, 2).await;
        mouth.send_publish(&Publish { topic: "down", ..Publish::default() }).await;
        assert_eq!(mouth.ping().await, "pingresp", "at QoS 0 there is no answer");
        fixture.wait_refused(Refusal::NotAuthorized, 3).await;
    }
}

#[tokio::test]
async fn a_publisher_is_told_that_nobody_wants_it() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let (mut mouth, mut ancient) = (client(&fixture, "mouth").await, old(&fixture, "old").await);
        let to = |topic| Publish { topic, qos: AtLeastOnce, ..Publish::default() };
        assert_eq!(mouth.send_publish(&to("a")).await, 1);
        assert_eq!(mouth.next().await, "puback 1 0x10");
        let packet_id = mouth.send_publish(&Publish { qos: ExactlyOnce, ..to("a") }).await;
        assert_eq!(mouth.next().await, format!("pubrec {packet_id} 0x10"));
        ancient.publish_acknowledged("a", "3.1.1 has no word for it").await;
        let mut away = lasting(&fixture, "away", false).await;
        away.subscribe(&[("a", AtLeastOnce)]).await;
        away.leave().await;
        mouth.publish_acknowledged("a", "is stored").await;
        let mut ear = client(&fixture, "ear").await;
        ear.subscribe(&[("b", AtMostOnce)]).await;
        mouth.publish_acknowledged("b", "somebody is there").await;
    }
}

/// [MQTT-3.3.2-8], [MQTT-3.3.2-12]
#[tokio::test]
async fn an_alias_stands_for_its_topic_whichever_way_the_message_goes() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = lasting(&fixture, "ear", false).await;
        ear.subscribe(&[("relayed", AtMostOnce), ("logged", AtLeastOnce)]).await;
        let mut mouth = client(&fixture, "mouth").await;
        let with = content();
        for (topic, alias, payload) in [
            ("relayed", 1, "0"),
            ("logged", 2, "1"),
            ("", 1, "2"),
            ("", 2, "3"),
            ("logged", 1, "4"),
            ("", 1, "5"),
            ("", 2, "6"),
        ] {
            let is_logged = !matches!(payload, "0" | "2");
            let publish = Publish {
                topic,
                topic_alias: NonZeroU16::new(alias),
                payload: payload.as_bytes(),
                qos: if is_logged { AtLeastOnce } else { AtMostOnce },
                content: with.content(),
                ..Publish::default()
            };
            mouth.send_publish(&publish).await;
            if is_logged {
                assert_eq!(ear.take().await, format!("publish 1 logged {payload} {{{SHOWN}}}"), "{workers}");
            } else {
                assert_eq!(ear.next().await, format!("publish 0 relayed {payload} {{{SHOWN}}}"), "{workers}");
            }
        }
        mouth.send_publish(&Publish { topic_alias: NonZeroU16::new(3), ..Publish::default() }).await;
        let mut last = mouth.next().await;
        while last.starts_with("puback") {
            last = mouth.next().await;
        }
        assert_eq!(last, "disconnect 0x82 protocol_error");
        assert_eq!(mouth.next().await, "closed");
    }
}
