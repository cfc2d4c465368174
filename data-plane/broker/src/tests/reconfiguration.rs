//! Configuration that changes under live connections: it bites at once, and only where it should.

use contract::feed::{
    Change, CredentialDocument, Document, DocumentKey, DocumentKind, InstanceDocument, InstanceState,
};
use contract::ids::RevocationId;
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::revocation::{Revocation, TokenSelector};
use contract::time::UnixMillis;
use mqtt::{Connect, Will};
use replica::Affected;
use uuid::Uuid;

use super::WORKERS;
use crate::clock::unix_now;
use crate::testing::{
    ALL, Fixture, Given, KID, PASSWORD, Peer, claims, connect, credential, document, instance_id,
};

use Qos::{AtLeastOnce, AtMostOnce};

fn revocation(selector: TokenSelector) -> Document {
    Document::Revocation(Revocation {
        id: RevocationId(Uuid::now_v7()),
        instance: instance_id(1),
        selector,
        issued_before: UnixMillis(unix_now().0 + 1),
        expires_at: UnixMillis(u64::MAX),
    })
}

async fn with_password(fixture: &Fixture, client_id: &str, username: &str) -> Peer {
    let mut peer = fixture.peer().await;
    let password = Some(PASSWORD.as_bytes());
    peer.connect(&Connect { username: Some(username), password, ..connect(client_id, "") }).await;
    assert_eq!(peer.next().await, "connack 0");
    peer
}

#[tokio::test]
async fn a_revoked_token_ends_its_connections_and_no_others() {
    for workers in WORKERS {
        let mut fixture = Fixture::start(workers);
        let mut car = fixture.client(1, "car").await;
        let mut bus = fixture.client(1, "bus").await;
        let mut namesake = fixture.client(2, "car").await;
        let claims = claims(1, "car");
        fixture.put(revocation(TokenSelector::ClientId("car".into()))).await;
        assert_eq!(car.next().await, "closed");
        assert_eq!((bus.ping().await, namesake.ping().await), ("pingresp".into(), "pingresp".into()));
        let before = fixture.sign(&claims);
        assert_eq!(fixture.answer_to(&connect("car", &before)).await, "connack 5");
        assert_eq!(fixture.refused(Refusal::TokenRevoked).await, 2);

        let renewed = contract::claims::TokenClaims {
            jti: contract::ids::TokenId(Uuid::new_v7(uuid::Timestamp::from_unix(
                uuid::NoContext,
                unix_now().secs() + 2,
                0,
            ))),
            ..claims
        };
        fixture.client_with(&renewed, "car").await;
        fixture.put(revocation(TokenSelector::SigningKey(KID.into()))).await;
        assert_eq!(bus.next().await, "closed");
        assert_eq!(namesake.ping().await, "pingresp");
    }
}

#[tokio::test]
async fn how_many_connections_an_urgent_entry_closed_is_told() {
    for workers in WORKERS {
        let mut fixture = Fixture::start(workers);
        let mut clients = Vec::new();
        for at in 0..5 {
            clients.push(fixture.client(1, &format!("car-{at}")).await);
        }
        let _bystander = fixture.client(2, "car").await;
        let generation =
            contract::feed::Generation { timeline: contract::ids::TimelineId(Uuid::nil()), number: 9 };
        let all = Change::Put { document: Box::new(revocation(TokenSelector::All)) };
        let affected = fixture.broker.replica().apply(&[all], generation).expect("applies");
        assert_eq!(fixture.recheck(affected.clone()).await, 5);
        assert_eq!(fixture.recheck(affected).await, 0);
        for client in &mut clients {
            assert_eq!(client.next().await, "closed");
        }
        assert_eq!(fixture.recheck(Affected::everything()).await, 0, "the bystander is as it should be");
        fixture.put(Document::Instance(InstanceDocument { label: "renamed".into(), ..document(2) })).await;
        assert_eq!(fixture.broker.connections(), 1);
    }
}

#[tokio::test]
async fn a_suspended_instance_sends_its_clients_away_and_withholds_their_wills() {
    for workers in WORKERS {
        let mut fixture = Fixture::start(workers);
        let token = fixture.sign(&claims(1, "car"));
        let mut car = fixture.peer().await;
        let will =
            Some(Will { topic: "gone", payload: b"x", qos: AtMostOnce, retain: false, ..Will::default() });
        car.connect(&Connect { will, ..connect("car", &token) }).await;
        assert_eq!(car.next().await, "connack 0");
        let mut other = fixture.client(2, "other").await;
        fixture
            .put(Document::Instance(InstanceDocument { state: InstanceState::Suspended, ..document(1) }))
            .await;
        assert_eq!(car.next().await, "closed");
        assert_eq!(other.ping().await, "pingresp");
        assert_eq!(fixture.refused(Refusal::InstanceSuspended).await, 1);
        fixture.wait_refused(Refusal::WillNotAuthorized, 1).await;
        fixture.put(Document::Instance(document(1))).await;
        fixture.client(1, "car").await;
        let instance =
            DocumentKey { kind: DocumentKind::Instance, instance: instance_id(2), name: String::new() };
        fixture.change(&[Change::Delete { key: instance }]).await;
        assert_eq!(other.next().await, "closed");
    }
}

#[tokio::test]
async fn more_clients_than_one_round_ends_are_all_sent_away() {
    let mut given = Given::workers(1).limits(|limits| limits.connects_per_sec = 1_000);
    given.config.front.handshakes_per_address_max = 1_000;
    let mut fixture = given.start();
    let mut clients = Vec::new();
    for at in 0..600 {
        clients.push(fixture.client(1, &format!("car-{at}")).await);
    }
    let mut other = fixture.client(2, "other").await;
    fixture
        .put(Document::Instance(InstanceDocument { state: InstanceState::Suspended, ..document(1) }))
        .await;
    assert_eq!(other.ping().await, "pingresp");
    for client in &mut clients {
        assert_eq!(client.next().await, "closed");
    }
    assert_eq!(fixture.refused(Refusal::InstanceSuspended).await, 600);
    assert_eq!(fixture.broker.connections(), 1);
}

#[tokio::test]
async fn a_credential_that_changes_changes_its_connections() {
    for workers in WORKERS {
        let meter = credential(1, "meter", ALL);
        let mut fixture = Given::workers(workers)
            .with(Document::Credential(meter.clone()))
            .with(Document::Credential(credential(1, "other", ALL)))
            .start();
        let mut a = with_password(&fixture, "a", "meter").await;
        let mut b = with_password(&fixture, "b", "meter").await;
        let mut bystander = with_password(&fixture, "c", "other").await;
        assert_eq!(b.subscribe(&[("down/x", AtLeastOnce)]).await, "1");
        a.publish_acknowledged("up/x", "1").await;

        // Fewer rights: who holds a subscription that goes beyond them is sent away, who does not goes on with them.
        let up = r#"[{"actions":["publish"],"topic_filter":"up/#","qos_max":0}]"#;
        let fewer = CredentialDocument { grants: crate::testing::grants(up), ..meter.clone() };
        fixture.put(Document::Credential(fewer)).await;
        assert_eq!(b.next().await, "closed");
        assert_eq!(a.ping().await, "pingresp");
        assert_eq!(fixture.refused(Refusal::RightsWithdrawn).await, 1);
        a.publish("up/x", "2", AtLeastOnce).await;
        assert_eq!(a.next().await, "closed");

        // Another secret, disabled, gone.
        fixture.put(Document::Credential(meter.clone())).await;
        let mut a = with_password(&fixture, "a", "meter").await;
        let mut changed = meter.clone();
        changed.secrets[0].verifier.salt = contract::base64::Base64(b"other".to_vec());
        fixture.put(Document::Credential(changed)).await;
        assert_eq!(a.next().await, "closed");
        fixture.put(Document::Credential(meter.clone())).await;
        let mut a = with_password(&fixture, "a", "meter").await;
        fixture.put(Document::Credential(CredentialDocument { enabled: false, ..meter.clone() })).await;
        assert_eq!(a.next().await, "closed");
        fixture.put(Document::Credential(meter)).await;
        let mut a = with_password(&fixture, "a", "meter").await;
        let key =
            DocumentKey { kind: DocumentKind::Credential, instance: instance_id(1), name: "meter".into() };
        fixture.change(&[Change::Delete { key }]).await;
        assert_eq!(a.next().await, "closed");
        assert_eq!(bystander.ping().await, "pingresp");
    }
}

#[tokio::test]
async fn changed_limits_and_topics_hold_from_the_next_message_on() {
    for workers in WORKERS {
        let mut fixture = Fixture::start(workers);
        let mut client = fixture.client(1, "car").await;
        client.publish_acknowledged("up/x", "remembered").await;
        let mut stricter = document(1);
        stricter.topic_mode = contract::feed::TopicMode::Provisioned;
        fixture.put(Document::Instance(stricter.clone())).await;
        client.publish("up/x", "no such topic", AtMostOnce).await;
        assert_eq!(client.ping().await, "pingresp");
        assert_eq!(fixture.refused(Refusal::TopicNotProvisioned).await, 1);
        stricter.limits.packet_bytes_max = 128;
        fixture.put(Document::Instance(stricter)).await;
        client.publish("up/x", &"x".repeat(200), AtMostOnce).await;
        assert_eq!(client.next().await, "closed");
        assert_eq!(fixture.refused(Refusal::PacketBytesMax).await, 1);
    }
}

#[tokio::test]
async fn a_removed_signing_key_ends_what_it_opened() {
    let mut fixture = Fixture::start(1);
    let mut client = fixture.client(1, "car").await;
    let key = DocumentKey { kind: DocumentKind::SigningKey, instance: instance_id(1), name: KID.into() };
    fixture.change(&[Change::Delete { key }]).await;
    assert_eq!(client.next().await, "closed");
    assert_eq!(fixture.refused(Refusal::TokenInvalid).await, 1);
}

#[tokio::test]
async fn a_token_that_expires_ends_its_connection() {
    let fixture = Fixture::start(1);
    let mut narrow = claims(1, "car");
    narrow.exp = unix_now().secs() + 2;
    let mut client = fixture.client_with(&narrow, "car").await;
    assert_eq!(client.ping().await, "pingresp");
    assert_eq!(client.next().await, "closed");
    assert_eq!(fixture.refused(Refusal::TokenExpired).await, 1);
}
