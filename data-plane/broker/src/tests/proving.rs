//! Enhanced authentication over sockets: SCRAM-SHA-256 and tokens as a method, at CONNECT and again later.

use contract::claims::TokenClaims;
use contract::feed::{CredentialDocument, Document};
use contract::qos::Qos::{AtLeastOnce, AtMostOnce};
use contract::refusal::Refusal;
use mqtt::{Auth, Connect, ConnectProperties, ReasonCode, Version, Will};

use super::WORKERS;
use super::versions::{connected, v5};
use crate::clock::unix_now;
use crate::scram;
use crate::testing::{ALL, Fixture, Given, PASSWORD, Peer, claims, connect, credential, grants, wait_for};

const SCRAM: &str = "SCRAM-SHA-256";

/// A CONNECT that names a method.
fn by<'a>(client_id: &'a str, method: &'a str, data: Option<&'a [u8]>) -> Connect<'a> {
    let properties =
        ConnectProperties { auth_method: Some(method), auth_data: data, ..ConnectProperties::default() };
    Connect { version: Version::V5, username: None, password: None, properties, ..connect(client_id, "") }
}

async fn send_auth(peer: &mut Peer, reason: ReasonCode, method: &str, data: Option<&[u8]>) {
    let mut bytes = Vec::new();
    mqtt::client::auth(&mut bytes, &Auth { reason, method: Some(method), data, ..Auth::default() });
    peer.send(&bytes).await;
}

/// Answers the challenge that has come.
async fn answer(peer: &mut Peer, bare: &str, header: &str, secret: &str) -> String {
    let challenge = String::from_utf8(peer.auth_data.clone()).expect("text");
    let last = scram::answer(bare, header, &challenge, secret.as_bytes());
    send_auth(peer, ReasonCode::ContinueAuthentication, SCRAM, Some(last.as_bytes())).await;
    peer.next().await
}

/// Connects by SCRAM, as far as it goes.
async fn prove(fixture: &Fixture, client_id: &str, header: &str, bare: &str, secret: &str) -> (Peer, String) {
    let first = format!("{header}{bare}");
    let (mut peer, challenged) = connected(fixture, &by(client_id, SCRAM, Some(first.as_bytes()))).await;
    if challenged != "auth 0x18" {
        return (peer, challenged);
    }
    let answered = answer(&mut peer, bare, header, secret).await;
    (peer, answered)
}

/// [MQTT-4.12.0-2], [MQTT-4.12.0-3], [MQTT-4.12.0-4], [MQTT-4.12.0-5]
#[tokio::test]
async fn scram_proves_a_credential_without_showing_its_secret() {
    for workers in WORKERS {
        let bound = CredentialDocument { client_id: Some("only-me".into()), ..credential(1, "bound", ALL) };
        let fixture = Given::workers(workers)
            .with(Document::Credential(credential(1, "meter", ALL)))
            .with(Document::Credential(credential(2, "meter", ALL)))
            .with(Document::Credential(bound))
            .start();
        for (client_id, header, bare, secret, answer) in [
            ("any", "n,,", "n=meter,r=abc", PASSWORD, "connack 0"),
            ("any", "y,,", "n=meter,r=abc", PASSWORD, "connack 0"),
            ("any", "n,,", "n=meter@label-2,r=abc", PASSWORD, "connack 0"),
            ("only-me", "n,,", "n=bound,r=abc", PASSWORD, "connack 0"),
            ("not-me", "n,,", "n=bound,r=abc", PASSWORD, "connack 0x85 client_id_not_allowed"),
            ("any", "n,,", "n=meter,r=abc", "wrong", "connack 0x86 credentials_wrong"),
            ("any", "n,,", "n=nobody,r=abc", PASSWORD, "connack 0x86 credentials_wrong"),
            ("any", "n,,", "n=meter@label-9,r=abc", PASSWORD, "connack 0x87 instance_unknown"),
            (
                "any",
                "p=tls-unique,,",
                "n=meter,r=abc",
                PASSWORD,
                "connack 0x8c authentication_method_invalid",
            ),
            ("any", "n,a=other,", "n=meter,r=abc", PASSWORD, "connack 0x8c authentication_method_invalid"),
            ("any", "n,,", "r=abc", PASSWORD, "connack 0x86 credentials_wrong"),
        ] {
            let (mut peer, answered) = prove(&fixture, client_id, header, bare, secret).await;
            assert_eq!(answered, answer, "{client_id} {header}{bare}");
            if answer == "connack 0" {
                assert_eq!(peer.told.auth_method.as_deref(), Some(SCRAM));
                assert!(peer.told.auth_data.starts_with(b"v="));
                assert_eq!(peer.subscribe(&[("a", AtLeastOnce)]).await, "1");
                peer.leave().await;
            } else {
                assert_eq!(peer.next().await, "closed");
            }
        }
    }
}

#[tokio::test]
async fn who_does_not_exist_is_challenged_like_all_others() {
    let fixture = Given::workers(1).with(Document::Credential(credential(1, "meter", ALL))).start();
    let challenge = async |fixture: &Fixture, name: &str| {
        let first = format!("n,,n={name},r=abc");
        let (peer, challenged) = connected(fixture, &by("any", SCRAM, Some(first.as_bytes()))).await;
        assert_eq!(challenged, "auth 0x18");
        let challenge = String::from_utf8(peer.auth_data).expect("text");
        let (nonce, rest) = challenge.split_once(',').expect("its parts");
        (nonce.to_owned(), rest.to_owned())
    };
    let (here, nobody) = (challenge(&fixture, "meter").await, challenge(&fixture, "nobody").await);
    assert_eq!((here.0.len(), here.1.ends_with(",i=4096")), (nobody.0.len(), nobody.1.ends_with(",i=4096")));
    assert_ne!(nobody.1, challenge(&fixture, "somebody").await.1);
    let fixture = fixture.restart_on_log().await;
    assert_eq!(
        (here.1, nobody.1),
        (challenge(&fixture, "meter").await.1, challenge(&fixture, "nobody").await.1)
    );
}

/// [MQTT-3.1.2-30], [MQTT-4.12.0-1], [MQTT-4.12.0-6]
#[tokio::test]
async fn an_exchange_goes_one_way_only() {
    let fixture = Given::workers(1).with(Document::Credential(credential(1, "meter", ALL))).start();
    let bare = "n=meter,r=abc";
    let auth = |reason, method, data| {
        let mut bytes = Vec::new();
        mqtt::client::auth(&mut bytes, &Auth { reason, method: Some(method), data, ..Auth::default() });
        bytes
    };
    let going_on = ReasonCode::ContinueAuthentication;
    for (sent, answer) in [
        (auth(going_on, SCRAM, Some(b"c=biws,r=abc,p=AAAA")), "connack 0x86 credentials_wrong"),
        (auth(going_on, SCRAM, None), "connack 0x86 credentials_wrong"),
        (auth(going_on, "token", Some(b"x")), "connack 0x8c authentication_method_invalid"),
        (auth(ReasonCode::Reauthenticate, SCRAM, Some(b"n,,n=meter,r=abc")), "connack 0x82 protocol_error"),
        (auth(ReasonCode::Success, SCRAM, None), "connack 0x82 protocol_error"),
        (b"\xF0\x00".to_vec(), "connack 0x82 protocol_error"),
        (b"\xC0\x00".to_vec(), "connack 0x82 protocol_error"),
        (b"\xF1\x00".to_vec(), "connack 0x81 malformed_packet"),
        (b"\xE0\x00".to_vec(), "closed"),
    ] {
        let first = format!("n,,{bare}");
        let (mut peer, challenged) = connected(&fixture, &by("any", SCRAM, Some(first.as_bytes()))).await;
        assert_eq!(challenged, "auth 0x18");
        peer.send(&sent).await;
        assert_eq!(peer.next().await, answer, "{sent:x?}");
    }
    // Without data the client is asked for its first word.
    let (mut peer, asked) = connected(&fixture, &by("any", SCRAM, None)).await;
    assert_eq!((asked.as_str(), peer.auth_data.is_empty()), ("auth 0x18", true));
    send_auth(&mut peer, going_on, SCRAM, Some(format!("n,,{bare}").as_bytes())).await;
    assert_eq!(peer.next().await, "auth 0x18");
    assert_eq!(answer(&mut peer, bare, "n,,", PASSWORD).await, "connack 0");
    let first = format!("n,,{bare}");
    let small = by("any", SCRAM, Some(first.as_bytes()));
    let properties = ConnectProperties { packet_bytes_max: Some(60), ..small.properties };
    let (_, answered) = connected(&fixture, &Connect { properties, ..small }).await;
    assert_eq!(answered, "connack 0x95 packet_bytes_max", "the challenge is larger than the client takes");
    for unknown in ["SCRAM-SHA-1", "", "PLAIN"] {
        let (_, answered) = connected(&fixture, &by("any", unknown, None)).await;
        assert_eq!(answered, "connack 0x8c authentication_method_invalid");
    }
}

#[tokio::test]
async fn what_comes_behind_the_last_word_is_not_lost_and_nobody_is_waited_for() {
    let mut given = Given::workers(1).with(Document::Credential(credential(1, "meter", ALL)));
    given.config.front.connect_secs_max = 1;
    let fixture = given.start();
    let first = b"n,,n=meter,r=abc";
    let (mut silent, challenged) = connected(&fixture, &by("any", SCRAM, Some(first))).await;
    assert_eq!(challenged, "auth 0x18");
    let (mut peer, _) = connected(&fixture, &by("other", SCRAM, Some(first))).await;
    let challenge = String::from_utf8(peer.auth_data.clone()).expect("text");
    let last = scram::answer("n=meter,r=abc", "n,,", &challenge, PASSWORD.as_bytes());
    let mut bytes = Vec::new();
    let (reason, method, data) = (ReasonCode::ContinueAuthentication, Some(SCRAM), Some(last.as_bytes()));
    mqtt::client::auth(&mut bytes, &Auth { reason, method, data, ..Auth::default() });
    bytes.extend_from_slice(&[0xC0, 0]);
    peer.send(&bytes).await;
    assert_eq!((peer.next().await.as_str(), peer.next().await.as_str()), ("connack 0", "pingresp"));
    assert_eq!(silent.next().await, "closed");
    fixture.wait_refused(Refusal::ConnectTimeout, 1).await;
}

#[tokio::test]
async fn a_token_may_be_the_data_of_its_method() {
    let fixture = Given::workers(1).with(Document::Credential(credential(1, "meter", ALL))).start();
    let token = fixture.sign(&claims(1, "car"));
    let data = Some(token.as_bytes());
    for (connect, answer) in [
        (by("car", "token", data), "connack 0"),
        (Connect { username: Some("x@label-1"), ..by("car", "token", data) }, "connack 0"),
        // The token may stand where it stands without a method too.
        (Connect { username: Some("x"), password: data, ..by("car", "token", None) }, "connack 0"),
        (Connect { username: Some("x@label-2"), ..by("car", "token", data) }, "connack 0x86 token_invalid"),
        (by("bus", "token", data), "connack 0x85 client_id_not_allowed"),
        (by("car", "token", Some(b"no token")), "connack 0x86 token_invalid"),
        (by("car", "token", None), "connack 0x86 credentials_wrong"),
        (
            Connect {
                username: Some("meter"),
                password: Some(PASSWORD.as_bytes()),
                ..by("car", "token", None)
            },
            "connack 0x86 token_invalid",
        ),
    ] {
        let (peer, answered) = connected(&fixture, &connect).await;
        assert_eq!(answered, answer, "{connect:?}");
        assert_eq!(peer.told.auth_method.is_some(), answer == "connack 0");
    }
}

/// [MQTT-4.12.1-1], [MQTT-4.12.1-2]
#[tokio::test]
async fn the_next_token_takes_the_place_of_the_one_before() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let soon = TokenClaims { exp: unix_now().secs() + 3, ..claims(1, "car") };
        let token = fixture.sign(&soon);
        let (mut car, answer) = connected(&fixture, &by("car", "token", Some(token.as_bytes()))).await;
        assert_eq!(answer, "connack 0");
        assert_eq!(car.subscribe(&[("up/a", AtLeastOnce), ("down/a", AtLeastOnce)]).await, "11");
        let later = fixture.sign(&TokenClaims {
            grants: grants(r#"[{"actions":["publish","subscribe"],"topic_filter":"up/#","qos_max":1}]"#),
            ..claims(1, "car")
        });
        send_auth(&mut car, ReasonCode::Reauthenticate, "token", Some(later.as_bytes())).await;
        assert_eq!(car.next().await, "auth 0x00");
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("down/a", "not for it any more").await;
        mouth.publish_acknowledged("up/a", "for it").await;
        assert_eq!(car.take().await, "publish 1 up/a for it");
        let down = car.publish("down/b", "may not", AtLeastOnce).await;
        assert_eq!(car.next().await, format!("puback {down} 0x87"));
        // The one before is over now.
        wait_for("its end", async || unix_now().secs() > soon.exp).await;
        assert_eq!(car.ping().await, "pingresp");
        // The next is over sooner than this one.
        let short = TokenClaims { exp: unix_now().secs() + 1, ..claims(1, "car") };
        send_auth(&mut car, ReasonCode::Reauthenticate, "token", Some(fixture.sign(&short).as_bytes())).await;
        assert_eq!(car.next().await, "auth 0x00");
        assert_eq!(car.next().await, "disconnect 0x87 token_expired");
        assert!(unix_now().secs() >= short.exp);
    }
}

#[tokio::test]
async fn a_lasting_session_loses_what_the_next_token_does_not_grant() {
    let fixture = Fixture::start(1);
    let token = fixture.sign(&claims(1, "car"));
    let connect = by("car", "token", Some(token.as_bytes()));
    let properties = ConnectProperties { session_expiry_secs: 3_600, ..connect.properties };
    let (mut car, _) = connected(&fixture, &Connect { properties, ..connect }).await;
    assert_eq!(car.subscribe(&[("up/a", AtLeastOnce), ("down/a", AtLeastOnce)]).await, "11");
    let narrow = grants(r#"[{"actions":["subscribe"],"topic_filter":"up/#","qos_max":1}]"#);
    let narrow = fixture.sign(&TokenClaims { grants: narrow, ..claims(1, "car") });
    send_auth(&mut car, ReasonCode::Reauthenticate, "token", Some(narrow.as_bytes())).await;
    assert_eq!(car.next().await, "auth 0x00");
    car.leave().await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("down/a", "not for it").await;
    mouth.publish_acknowledged("up/a", "for it").await;
    let (mut car, answer) =
        connected(&fixture, &Connect { clean_start: false, ..v5("car", &fixture.sign(&claims(1, "car"))) })
            .await;
    assert_eq!(answer, "connack with a session");
    assert_eq!(car.take().await, "publish 1 up/a for it");
    assert_eq!(car.ping().await, "pingresp");
}

/// [MQTT-4.12.1-2]
#[tokio::test]
async fn what_is_wrong_in_a_new_proof_sends_the_client_away() {
    let fixture = Given::workers(1).with(Document::Credential(credential(1, "meter", ALL))).start();
    let token = fixture.sign(&claims(1, "car"));
    let of_subject = TokenClaims { client_id: None, subject: Some("car".into()), ..claims(1, "car") };
    let of_another = TokenClaims { subject: Some("fleet".into()), ..claims(1, "car") };
    let expired = TokenClaims { exp: unix_now().secs() - 1, ..claims(1, "car") };
    let wrong = [
        fixture.sign(&claims(1, "bus")),
        fixture.sign(&claims(2, "car")),
        fixture.sign(&of_subject),
        fixture.sign(&of_another),
        fixture.sign(&expired),
        "no token".into(),
        String::new(),
    ];
    let again = ReasonCode::Reauthenticate;
    let cases = wrong.iter().map(|wrong| (again, "token", wrong.as_str(), "disconnect 0x87 not_authorized"));
    let others = [
        (again, SCRAM, "n,,n=meter,r=abc", "disconnect 0x82 protocol_error"),
        (ReasonCode::ContinueAuthentication, "token", token.as_str(), "disconnect 0x82 protocol_error"),
        (ReasonCode::Success, "token", &token, "disconnect 0x82 protocol_error"),
    ];
    for (reason, method, data, answer) in cases.chain(others) {
        let (mut car, _) = connected(&fixture, &by("car", "token", Some(token.as_bytes()))).await;
        send_auth(&mut car, reason, method, Some(data.as_bytes())).await;
        assert_eq!(car.next().await, answer, "{reason:?} {method} {data}");
        assert_eq!(car.next().await, "closed");
    }
    // A connection that has named no method has none to prove itself anew by.
    let (mut car, _) = connected(&fixture, &v5("car", &token)).await;
    send_auth(&mut car, again, "token", Some(token.as_bytes())).await;
    assert_eq!(car.next().await, "disconnect 0x82 protocol_error");
    // Nor has one of 3.1.1 any such packet.
    let mut old = fixture.client(1, "car").await;
    send_auth(&mut old, again, "token", Some(token.as_bytes())).await;
    assert_eq!(old.next().await, "closed");
}

#[tokio::test]
async fn scram_may_be_said_again_by_the_same_credential() {
    let fixture = Given::workers(1)
        .with(Document::Credential(credential(1, "meter", ALL)))
        .with(Document::Credential(credential(1, "other", ALL)))
        .start();
    let first = |name: &str| format!("n,,n={name},r=again");
    let again = ReasonCode::Reauthenticate;
    let (mut meter, answered) = prove(&fixture, "any", "n,,", "n=meter,r=abc", PASSWORD).await;
    assert_eq!(answered, "connack 0");
    for name in ["meter", "meter@label-1"] {
        send_auth(&mut meter, again, SCRAM, Some(first(name).as_bytes())).await;
        assert_eq!(meter.next().await, "auth 0x18");
        // It goes on as what it was before meanwhile.
        assert_eq!(meter.subscribe(&[("a", AtMostOnce)]).await, "0");
        let bare = format!("n={name},r=again");
        assert_eq!(answer(&mut meter, &bare, "n,,", PASSWORD).await, "auth 0x00");
        assert!(meter.auth_data.starts_with(b"v="));
    }
    for (name, secret) in [("meter", "wrong"), ("other", PASSWORD), ("meter@label-2", PASSWORD)] {
        let (mut meter, _) = prove(&fixture, "any", "n,,", "n=meter,r=abc", PASSWORD).await;
        send_auth(&mut meter, again, SCRAM, Some(first(name).as_bytes())).await;
        assert_eq!(meter.next().await, "auth 0x18");
        let answered = answer(&mut meter, &format!("n={name},r=again"), "n,,", secret).await;
        assert_eq!(answered, "disconnect 0x87 not_authorized", "{name} {secret}");
    }
    let (mut meter, _) = prove(&fixture, "any", "n,,", "n=meter,r=abc", PASSWORD).await;
    send_auth(&mut meter, ReasonCode::ContinueAuthentication, SCRAM, Some(b"c=biws,r=x,p=AAAA")).await;
    assert_eq!(meter.next().await, "disconnect 0x82 protocol_error", "nothing was asked");
}

#[tokio::test]
async fn a_client_of_scram_goes_with_its_credential() {
    let mut fixture = Given::workers(1).with(Document::Credential(credential(1, "meter", ALL))).start();
    let (mut meter, _) = prove(&fixture, "any", "n,,", "n=meter,r=abc", PASSWORD).await;
    let disabled = CredentialDocument { enabled: false, ..credential(1, "meter", ALL) };
    fixture.put(Document::Credential(disabled)).await;
    assert_eq!(meter.next().await, "disconnect 0x98 credential_disabled");
    let (_, answered) = prove(&fixture, "any", "n,,", "n=meter,r=abc", PASSWORD).await;
    assert_eq!(answered, "connack 0x87 credential_disabled");
}

/// A will that waits is published with the rights that its client had when it went.
#[tokio::test]
async fn a_will_that_waits_is_held_to_the_next_token() {
    const NO_WILLS: &str = r#"[{"actions":["publish"],"topic_filter":"up/#","qos_max":2}]"#;
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = fixture.client(1, "ear").await;
        assert_eq!(ear.subscribe(&[("will/#", AtMostOnce)]).await, "0");
        for (client_id, grants_now) in [("narrow", NO_WILLS), ("wide", ALL)] {
            let token = fixture.sign(&claims(1, client_id));
            let connect = by(client_id, "token", Some(token.as_bytes()));
            let properties = ConnectProperties { session_expiry_secs: 3_600, ..connect.properties };
            let topic = format!("will/{client_id}");
            let will = Some(Will { topic: &topic, payload: b"gone", delay_secs: 1, ..Will::default() });
            let (mut peer, _) = connected(&fixture, &Connect { properties, will, ..connect }).await;
            let next = fixture.sign(&TokenClaims { grants: grants(grants_now), ..claims(1, client_id) });
            send_auth(&mut peer, ReasonCode::Reauthenticate, "token", Some(next.as_bytes())).await;
            assert_eq!(peer.next().await, "auth 0x00");
            drop(peer);
            wait_for("its end", async || fixture.broker.connections() == 1).await;
        }
        // That of the first would have come before.
        assert_eq!(ear.next().await, "publish 0 will/wide gone", "{workers} workers");
        fixture.wait_refused(Refusal::WillNotAuthorized, 1).await;
        assert_eq!(ear.ping().await, "pingresp");
    }
}
