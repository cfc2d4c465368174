//! Who is let in, as whom, and what those are told who are not.

use std::time::Duration;

use contract::claims::TokenClaims;
use contract::feed::{Authentication, Document, InstanceState};
use contract::ids::TokenId;
use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::{Connect, Version, Will};
use uuid::Uuid;

use super::WORKERS;
use crate::testing::{ALL, Fixture, Given, PASSWORD, claims, connect, credential, document, grants};

#[tokio::test]
async fn a_token_or_a_credential_opens_the_door() {
    for workers in WORKERS {
        let bound = contract::feed::CredentialDocument {
            client_id: Some("only-me".into()),
            ..credential(1, "bound", ALL)
        };
        let fixture = Given::workers(workers)
            .with(Document::Credential(credential(1, "meter", ALL)))
            .with(Document::Credential(credential(2, "meter", ALL)))
            .with(Document::Credential(bound))
            .start();
        let token = fixture.sign(&claims(1, "car"));
        let other = fixture.sign(&claims(2, "car"));
        let anybody = TokenClaims { client_id: None, subject: Some("fleet".into()), ..claims(1, "") };
        let anybody = fixture.sign(&anybody);
        for (client_id, username, password, answer) in [
            ("car", Some("anything"), Some(token.as_str()), "connack 0"),
            ("car", Some("anything@label-1"), Some(&token), "connack 0"),
            ("car", Some(token.as_str()), None, "connack 0"),
            ("car", Some("anything"), Some(&other), "connack 0"),
            ("whoever", Some("x"), Some(&anybody), "connack 0"),
            ("", Some("x"), Some(&anybody), "connack 0"),
            ("any", Some("meter"), Some(PASSWORD), "connack 0"),
            ("any", Some("meter@label-2"), Some(PASSWORD), "connack 0"),
            ("only-me", Some("bound"), Some(PASSWORD), "connack 0"),
            // A name binds: the token is of the other instance, the label of none.
            ("car", Some("anything@label-2"), Some(&token), "connack 4"),
            ("car", Some("anything@label-9"), Some(&token), "connack 5"),
            ("any", Some("meter@label-9"), Some(PASSWORD), "connack 5"),
            // Another client identifier than the proof is for.
            ("bus", Some("anything"), Some(&token), "connack 2"),
            ("", Some("anything"), Some(&token), "connack 2"),
            ("not-me", Some("bound"), Some(PASSWORD), "connack 2"),
            // No proof, or none that is right.
            ("any", None, None, "connack 4"),
            ("any", Some("meter"), None, "connack 4"),
            ("any", Some("meter"), Some("wrong"), "connack 4"),
            ("any", Some("nobody"), Some(PASSWORD), "connack 4"),
            ("any", Some("bound@label-2"), Some(PASSWORD), "connack 4"),
        ] {
            let password = password.map(str::as_bytes);
            let connect = Connect { username, password, ..connect(client_id, "") };
            assert_eq!(fixture.answer_to(&connect).await, answer, "{client_id} {username:?}");
        }
    }
}

#[tokio::test]
async fn a_token_must_hold_now_and_be_signed_by_its_instance() {
    let mut fixture = Fixture::start(1);
    let good = claims(1, "car");
    for (claims, answer) in [
        (good.clone(), "connack 0"),
        (TokenClaims { exp: good.iat - 1, ..good.clone() }, "connack 5"),
        (TokenClaims { nbf: good.iat + 60, ..good.clone() }, "connack 5"),
        (TokenClaims { aud: "console".into(), ..good.clone() }, "connack 4"),
        (TokenClaims { subject: Some("both".into()), ..good.clone() }, "connack 4"),
        (TokenClaims { jti: TokenId(Uuid::nil()), ..good.clone() }, "connack 4"),
        (claims(3, "car"), "connack 5"),
    ] {
        let token = fixture.sign(&claims);
        assert_eq!(fixture.answer_to(&connect("car", &token)).await, answer, "{claims:?}");
    }
    let token = fixture.sign(&good);
    let (rest, signature) = token.rsplit_once('.').expect("a token");
    let altered = if signature.starts_with('A') { "B" } else { "A" };
    let altered = format!("{rest}.{altered}{}", &signature[1..]);
    assert_eq!(fixture.answer_to(&connect("car", &altered)).await, "connack 4");
    let foreign = Fixture::start(1);
    let token = foreign.sign(&good);
    assert_eq!(fixture.answer_to(&connect("car", &token)).await, "connack 4", "another node's key");

    let passwords_only =
        contract::feed::InstanceDocument { authentication: vec![Authentication::Password], ..document(1) };
    let token = fixture.sign(&good);
    fixture.put(Document::Instance(passwords_only)).await;
    assert_eq!(fixture.answer_to(&connect("car", &token)).await, "connack 5");
    assert_eq!(fixture.refused(Refusal::AuthenticationKindRefused).await, 1);
    let suspended = contract::feed::InstanceDocument { state: InstanceState::Suspended, ..document(1) };
    fixture.put(Document::Instance(suspended)).await;
    assert_eq!(fixture.answer_to(&connect("car", &token)).await, "connack 5");
    assert_eq!(fixture.refused(Refusal::InstanceSuspended).await, 1);
}

#[tokio::test]
async fn what_is_not_granted_is_refused_and_said() {
    let fixture = Fixture::start(1);
    let mut narrow = claims(1, "car");
    narrow.grants = grants(r#"[{"actions":["publish"],"topic_filter":"up/#"}]"#);
    let token = fixture.sign(&narrow);
    let will = |topic, qos, retain| Some(Will { topic, payload: b"gone", qos, retain, ..Will::default() });
    let good = connect("car", &token);
    for (connect, answer, refusal) in [
        (Connect { clean_start: false, client_id: "", ..good }, "connack 2", Refusal::ClientIdInvalid),
        (
            Connect { will: will("up/x", Qos::AtMostOnce, true), ..good },
            "connack 5",
            Refusal::WillNotAuthorized,
        ),
        (
            Connect { will: will("down/x", Qos::AtMostOnce, false), ..good },
            "connack 5",
            Refusal::WillNotAuthorized,
        ),
    ] {
        let mut peer = fixture.peer().await;
        let before = fixture.refused(refusal).await;
        peer.connect(&connect).await;
        // What nobody will read must not make a reset of the answer.
        peer.send(&[0xC0, 0].repeat(50_000)).await;
        assert_eq!(peer.next().await, answer, "{connect:?}");
        assert_eq!(peer.next().await, "closed");
        assert_eq!(fixture.refused(refusal).await, before + 1, "{refusal:?}");
    }
    let ok = Connect { will: will("up/x", Qos::AtLeastOnce, false), ..good };
    assert_eq!(fixture.answer_to(&ok).await, "connack 0");
}

#[tokio::test]
async fn other_versions_are_answered_in_their_own_form() {
    let fixture = Fixture::start(1);
    for (bytes, version, answer) in [
        (&b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x00"[..], Version::V5, "connack 0x84"),
        (b"\x10\x0c\x00\x04MQTT\x02\x02\x00\x3c\x00\x00", Version::V311, "connack 1"),
        (b"\x10\x0e\x00\x06MQIsdp\x04\x02\x00\x3c\x00\x00", Version::V311, "connack 1"),
    ] {
        let mut peer = fixture.peer().await;
        peer.speak(version);
        peer.send(bytes).await;
        assert_eq!(peer.next().await, answer);
    }
    fixture.wait_refused(Refusal::UnsupportedVersion, 3).await;
}

#[tokio::test]
async fn the_same_identity_takes_over_and_another_is_refused() {
    for workers in WORKERS {
        let fixture = Given::workers(workers).with(Document::Credential(credential(1, "other", ALL))).start();
        let mut first = fixture.client(1, "car").await;
        let mut second = fixture.client(1, "car").await;
        assert_eq!(first.next().await, "closed");
        assert_eq!(fixture.refused(Refusal::TakenOver).await, 1);

        let stranger =
            Connect { username: Some("other"), password: Some(PASSWORD.as_bytes()), ..connect("car", "") };
        assert_eq!(fixture.answer_to(&stranger).await, "connack 2");
        assert_eq!(fixture.refused(Refusal::ClientIdInUse).await, 1);
        assert_eq!(second.ping().await, "pingresp", "the session stays");

        let mut elsewhere = fixture.client(2, "car").await;
        assert_eq!((second.ping().await, elsewhere.ping().await), ("pingresp".into(), "pingresp".into()));
        assert_eq!(fixture.broker.connections(), 2);
    }
}

#[tokio::test]
async fn a_connection_that_says_no_connect_is_closed() {
    let fixture = Fixture::start(1);
    for (bytes, refusal) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], Refusal::ProtocolError),
        (b"\xC0\x00", Refusal::ProtocolError),
        (b"\x10\xFF\xFF\xFF\x7F", Refusal::PacketBytesMax),
        (b"\x10\x04\x00\x04MQ", Refusal::MalformedPacket),
    ] {
        let before = fixture.refused(refusal).await;
        let mut peer = fixture.peer().await;
        peer.send(bytes).await;
        assert_eq!(peer.next().await, "closed", "{bytes:x?}");
        assert_eq!(fixture.refused(refusal).await, before + 1, "{refusal:?}");
    }
}

#[tokio::test]
async fn connections_that_are_not_yet_clients_are_bounded_in_time_and_number() {
    let mut given = Given::workers(1);
    given.config.front.connect_secs_max = 1;
    given.config.front.handshakes_per_address_max = 3;
    let fixture = given.start();
    let mut silent = [fixture.peer().await, fixture.peer().await, fixture.peer().await];
    let mut one_more = fixture.peer().await;
    assert_eq!(one_more.next().await, "closed");
    for peer in &mut silent {
        assert_eq!(tokio::time::timeout(Duration::from_secs(5), peer.next()).await.as_deref(), Ok("closed"));
    }
    assert_eq!(fixture.refused(Refusal::ConnectTimeout).await, 3);
    assert_eq!(fixture.refused(Refusal::TooManyHandshakes).await, 1);
    drop(silent);
    let token = fixture.sign(&claims(1, "car"));
    crate::testing::wait_for("room for another", async || {
        fixture.answer_to(&connect("car", &token)).await == "connack 0"
    })
    .await;
}
