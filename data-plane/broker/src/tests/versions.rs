//! CONNECT in the three versions: what each may ask for, what it gets of that, and what it is told.

use contract::claims::TokenClaims;
use contract::feed::Document;
use contract::limits::InstanceLimits;
use contract::qos::Qos::AtLeastOnce;
use contract::refusal::Refusal;
use mqtt::{Connect, ConnectProperties, ContentWriter, Version, Will};

use super::WORKERS;
use crate::testing::{
    ALL, Fixture, Given, PASSWORD, Peer, claims, connect, credential, instance_id, wait_for,
};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// A CONNECT of 5.0 for a new session that ends with the connection.
pub(super) fn v5<'a>(client_id: &'a str, token: &'a str) -> Connect<'a> {
    Connect { version: Version::V5, ..connect(client_id, token) }
}

/// The same with a session that is kept for so many seconds, which goes on with what there is.
pub(super) fn kept<'a>(client_id: &'a str, token: &'a str, session_expiry_secs: u32) -> Connect<'a> {
    let properties = ConnectProperties { session_expiry_secs, ..ConnectProperties::default() };
    Connect { clean_start: false, properties, ..v5(client_id, token) }
}

/// A client that has said this, and what it was answered.
pub(super) async fn connected(fixture: &Fixture, connect: &Connect<'_>) -> (Peer, String) {
    let mut peer = fixture.peer().await;
    peer.connect(connect).await;
    let answer = peer.next().await;
    (peer, answer)
}

#[tokio::test]
async fn all_versions_are_served_alike() {
    for workers in WORKERS {
        let fixture = Given::workers(workers).with(Document::Credential(credential(1, "meter", ALL))).start();
        let token = fixture.sign(&claims(1, "car"));
        for version in VERSIONS {
            let (mut car, answer) = connected(&fixture, &Connect { version, ..connect("car", &token) }).await;
            assert_eq!(answer, "connack 0");
            assert_eq!(car.subscribe(&[("a", AtLeastOnce)]).await, "1");
            let packet_id = car.publish("b", "for nobody", AtLeastOnce).await;
            let why = if version == Version::V5 { " 0x10" } else { "" };
            assert_eq!(car.next().await, format!("puback {packet_id}{why}"));
            assert_eq!(car.ping().await, "pingresp");
            car.leave().await;
            let password = Some(PASSWORD.as_bytes());
            let by_name = Connect { version, username: Some("meter"), password, ..connect("any", "") };
            assert_eq!(fixture.answer_to(&by_name).await, "connack 0");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_why_in_the_words_of_its_version() {
    let mut narrow = claims(1, "car");
    narrow.grants = crate::testing::grants(r#"[{"actions":["publish"],"topic_filter":"up/#"}]"#);
    let fixture = Given::workers(1).limits(|limits| limits.client_id_bytes_max = 30).start();
    let (token, expired) =
        (fixture.sign(&narrow), fixture.sign(&TokenClaims { exp: narrow.iat - 1, ..narrow.clone() }));
    let long = "x".repeat(31);
    let forbidden = Some(Will { topic: "down", ..Will::default() });
    let text = ContentWriter::default().payload_format(true);
    let no_text = Will { topic: "up/x", payload: b"\xFF", content: text.content(), ..Will::default() };
    let many = (0..100).fold(ContentWriter::default(), |content, _| content.user_property("a", "b"));
    let many = Will { topic: "up/x", content: many.content(), ..Will::default() };
    for (connect, old, new) in [
        (connect(&long, &token), "connack 2", "connack 0x85 client_id_invalid"),
        (connect("bus", &token), "connack 2", "connack 0x85 client_id_not_allowed"),
        (
            Connect { username: Some("device@label-9"), ..connect("car", "no token") },
            "connack 5",
            "connack 0x87 instance_unknown",
        ),
        (Connect { password: None, ..connect("car", "") }, "connack 4", "connack 0x86 credentials_wrong"),
        (connect("car", &expired), "connack 5", "connack 0x87 token_expired"),
        (
            Connect { will: forbidden, ..connect("car", &token) },
            "connack 5",
            "connack 0x87 will_not_authorized",
        ),
        (
            Connect { will: Some(no_text), ..connect("car", &token) },
            "",
            "connack 0x99 payload_format_invalid",
        ),
        (Connect { will: Some(many), ..connect("car", &token) }, "", "connack 0x97 user_properties_max"),
    ] {
        for version in VERSIONS.into_iter().filter(|version| !old.is_empty() || *version == Version::V5) {
            let (mut peer, answer) = connected(&fixture, &Connect { version, ..connect }).await;
            assert_eq!(answer, if version == Version::V5 { new } else { old }, "{connect:?}");
            assert_eq!(peer.next().await, "closed");
        }
    }
}

/// [MQTT-3.1.4-4], and what comes with CONNECT is served.
#[tokio::test]
async fn connack_comes_first_whatever_comes_with_connect() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let token = fixture.sign(&claims(1, "car"));
        for version in VERSIONS {
            for clean_start in [true, false] {
                for (behind, answers) in [
                    (&b"\xE0\x00"[..], &["connack 0", "closed"][..]),
                    (b"\xC0\x00\xE0\x00", &["connack 0", "pingresp", "closed"]),
                ] {
                    // Nothing is left of it from the round before.
                    fixture.client(1, "car").await.leave().await;
                    let mut bytes = Vec::new();
                    let connect = Connect { version, clean_start, ..connect("car", &token) };
                    mqtt::client::connect(&mut bytes, &connect).expect("is written");
                    bytes.extend_from_slice(behind);
                    let mut peer = fixture.peer().await;
                    peer.speak(version);
                    peer.send(&bytes).await;
                    for answer in answers {
                        assert_eq!(peer.next().await, *answer, "{version:?} {clean_start}");
                    }
                }
            }
        }
    }
}

/// [MQTT-3.1.3-8], [MQTT-3.1.3-6], [MQTT-3.1.3-7]
#[tokio::test]
async fn a_client_without_a_name_is_given_one_where_its_version_lets_it() {
    let fixture = Fixture::start(1);
    let anybody = TokenClaims { client_id: None, subject: Some("fleet".into()), ..claims(1, "") };
    let token = fixture.sign(&anybody);
    for (version, clean_start, answer) in [
        (Version::V31, true, "connack 2"),
        (Version::V31, false, "connack 2"),
        (Version::V311, true, "connack 0"),
        (Version::V311, false, "connack 2"),
        (Version::V5, true, "connack 0"),
        (Version::V5, false, "connack 0"),
    ] {
        let nameless = Connect { version, clean_start, ..connect("", &token) };
        let (peer, answered) = connected(&fixture, &nameless).await;
        assert_eq!(answered, answer, "{version:?} {clean_start}");
        assert_eq!(peer.told.assigned_client_id.is_some(), version == Version::V5);
    }
    let properties = ConnectProperties { session_expiry_secs: 60, ..ConnectProperties::default() };
    let (first, _) = connected(&fixture, &Connect { properties, ..v5("", &token) }).await;
    let name = first.told.assigned_client_id.clone().expect("a name");
    first.leave().await;
    let (_, answer) = connected(&fixture, &kept(&name, &token, 60)).await;
    assert_eq!(answer, "connack with a session", "the name is one to come back with");
}

/// [MQTT-3.2.2-21], [MQTT-3.2.2-22]
#[tokio::test]
async fn what_is_lowered_is_told_and_what_is_not_is_not() {
    let defaults = InstanceLimits::default();
    let limits = |limits: &mut InstanceLimits| {
        limits.session_expiry_secs_max = 600;
        limits.keep_alive_secs_max = 100;
        limits.receive_max = 20;
        limits.topic_alias_max = 0;
    };
    let fixture = Given::workers(1).limits(limits).start();
    let token = fixture.sign(&claims(1, "car"));
    for (asked, keep_alive_secs, told, told_keep_alive) in [
        (0, 60, None, None),
        (600, 100, None, None),
        (601, 101, Some(600), Some(100)),
        (u32::MAX, 0, Some(600), Some(100)),
    ] {
        let (peer, answer) = connected(
            &fixture,
            &Connect { keep_alive_secs, clean_start: true, ..kept("car", &token, asked) },
        )
        .await;
        assert_eq!(answer, "connack 0");
        assert_eq!(
            (peer.told.session_expiry_secs, peer.told.server_keep_alive_secs),
            (told, told_keep_alive)
        );
        assert_eq!((peer.told.receive_max, peer.told.topic_alias_max), (20, 0));
        assert_eq!(peer.told.packet_bytes_max.map(u64::from), Some(defaults.packet_bytes_max));
        assert_eq!((peer.told.assigned_client_id.as_deref(), peer.told.auth_method.as_deref()), (None, None));
    }
}

/// [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-3.1.2-6]
#[tokio::test]
async fn a_session_lasts_as_long_as_was_asked_and_ends_with_a_clean_start() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let token = fixture.sign(&claims(1, "car"));
        let sessions = async || fixture.log.keys(instance_id(1), "s/").len();
        // Clean start with an expiry: new, and kept.
        let fresh = Connect { clean_start: true, ..kept("car", &token, 60) };
        for _ in 0..2 {
            let (mut car, answer) = connected(&fixture, &fresh).await;
            assert_eq!(answer, "connack 0");
            assert_eq!(car.subscribe(&[("a", AtLeastOnce)]).await, "1");
            car.leave().await;
        }
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("a", "waits").await;
        // Gone on with, and not to be kept any longer.
        let (mut car, answer) = connected(&fixture, &kept("car", &token, 0)).await;
        assert_eq!(answer, "connack with a session");
        assert_eq!(car.take().await, "publish 1 a waits");
        assert_eq!(sessions().await, 1);
        car.leave().await;
        wait_for("its end", async || sessions().await == 0).await;
        let (_, answer) = connected(&fixture, &kept("car", &token, 60)).await;
        assert_eq!(answer, "connack 0");
    }
}

/// A lasting session is the client's, whatever it speaks.
#[tokio::test]
async fn one_session_goes_from_version_to_version() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let token = fixture.sign(&claims(1, "car"));
        let mut mouth = fixture.client(1, "mouth").await;
        let mut expected = "connack 0";
        for round in ["one", "two"] {
            for connect in [
                kept("car", &token, 3_600),
                Connect { clean_start: false, ..connect("car", &token) },
                Connect { version: Version::V31, clean_start: false, ..connect("car", &token) },
            ] {
                let (mut car, answer) = connected(&fixture, &connect).await;
                // 3.1 has no word for it.
                let is_v31 = connect.version == Version::V31;
                assert_eq!(answer, if is_v31 { "connack 0" } else { expected }, "{round}");
                if expected == "connack 0" {
                    assert_eq!(car.subscribe(&[("a", AtLeastOnce)]).await, "1");
                } else {
                    assert_eq!(car.take().await, format!("publish 1 a {round}"));
                }
                assert_eq!(car.ping().await, "pingresp");
                car.leave().await;
                expected = "connack with a session";
                let next = if is_v31 { "two" } else { round };
                mouth.publish_acknowledged("a", next).await;
            }
        }
    }
}

/// Section 3.14.2.2.2: not from 0 to anything else.
#[tokio::test]
async fn a_client_says_anew_when_it_goes_how_long_its_session_lasts() {
    let fixture = Fixture::start(1);
    let token = fixture.sign(&claims(1, "car"));
    for (asked, said, is_kept) in [(3_600, 0, false), (3_600, 60, true), (3_600, u32::MAX, true)] {
        let (mut car, _) = connected(&fixture, &kept("car", &token, asked)).await;
        car.send(&goodbye(said)).await;
        assert_eq!(car.next().await, "closed");
        let (car, answer) = connected(&fixture, &kept("car", &token, 0)).await;
        assert_eq!(answer, if is_kept { "connack with a session" } else { "connack 0" }, "{said}");
        car.leave().await;
        wait_for("its end", async || fixture.log.keys(instance_id(1), "s/").is_empty()).await;
    }
    let (mut car, _) = connected(&fixture, &v5("car", &token)).await;
    car.send(&goodbye(1)).await;
    assert_eq!(car.next().await, "disconnect 0x82 protocol_error");
    assert_eq!(car.next().await, "closed");
    fixture.wait_refused(Refusal::ProtocolError, 1).await;
}

/// DISCONNECT with a session expiry.
pub(super) fn goodbye(session_expiry_secs: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let disconnect =
        mqtt::Disconnect { session_expiry_secs: Some(session_expiry_secs), ..mqtt::Disconnect::default() };
    mqtt::client::disconnect_v5(&mut bytes, &disconnect);
    bytes
}

/// [MQTT-3.1.2-24], [MQTT-3.2.2-19]
#[tokio::test]
async fn a_client_is_sent_nothing_that_it_does_not_take() {
    let fixture = Fixture::start(1);
    let token = fixture.sign(&claims(1, "car"));
    let of = |packet_bytes_max, wants_problem_info| ConnectProperties {
        packet_bytes_max: Some(packet_bytes_max),
        wants_problem_info,
        ..ConnectProperties::default()
    };
    for (packet_bytes_max, wants_problem_info, client_id, answer) in [
        (1_000, true, "bus", "connack 0x85 client_id_not_allowed"),
        (1_000, false, "bus", "connack 0x85"),
        (10, true, "bus", "connack 0x85"),
        (10, true, "car", "connack 0x95"),
        (1_000, true, "car", "connack 0"),
    ] {
        let properties = of(packet_bytes_max, wants_problem_info);
        let (_, answered) = connected(&fixture, &Connect { properties, ..v5(client_id, &token) }).await;
        assert_eq!(answered, answer, "{packet_bytes_max} {wants_problem_info} {client_id}");
    }
}

/// [MQTT-3.1.4-1], [MQTT-4.13.1-1]
#[tokio::test]
async fn what_is_no_connect_of_5_0_is_answered_if_it_says_that_it_is_one() {
    let mut given = Given::workers(1);
    given.config.front.connect_bytes_max = 1_000;
    let fixture = given.start();
    let mut large = b"\x10\xFF\x7F\x00\x04MQTT\x05\x02\x00\x3c".to_vec();
    large.resize(200, 0);
    for (bytes, answer) in [
        // The reserved flag.
        (&b"\x10\x0d\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x00"[..], "connack 0x81 malformed_packet"),
        // Receive maximum 0.
        (b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x00\x00\x00", "connack 0x82 protocol_error"),
        (&large, "connack 0x95 packet_bytes_max"),
        (b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x00\x00", "closed"),
        // A wildcard in the topic of a will.
        (b"\x10\x12\x00\x04MQTT\x04\x06\x00\x3c\x00\x01a\x00\x01#\x00\x00", "closed"),
        (b"\xF0\x00", "closed"),
    ] {
        let mut peer = fixture.peer().await;
        peer.send(bytes).await;
        peer.speak(Version::V5);
        assert_eq!(peer.next().await, answer, "{bytes:x?}");
    }
}
