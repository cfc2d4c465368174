//! How clients are sent away, and what they are told of why: in 5.0 a DISCONNECT, before that nothing but the end.

use contract::claims::TokenClaims;
use contract::feed::{CredentialDocument, Document, InstanceDocument, InstanceState};
use contract::ids::RevocationId;
use contract::revocation::{Revocation, TokenSelector};
use contract::time::UnixMillis;
use mqtt::{Connect, ConnectProperties, Version};
use uuid::Uuid;

use super::WORKERS;
use super::versions::{connected, v5};
use crate::clock::unix_now;
use crate::testing::{
    ALL, Fixture, Given, PASSWORD, Peer, claims, connect, credential, document, instance_id,
};

/// One client of each version that is served, and how it goes.
async fn gone(mut old: Peer, mut new: Peer, told: &str) {
    assert_eq!(old.next().await, "closed", "{told}");
    assert_eq!(new.next().await, told);
    assert_eq!(new.next().await, "closed", "{told}");
}

async fn both(fixture: &Fixture) -> (Peer, Peer) {
    let (car, bus) = (fixture.sign(&claims(1, "car")), fixture.sign(&claims(1, "bus")));
    let (old, answer) = connected(fixture, &connect("car", &car)).await;
    assert_eq!(answer, "connack 0");
    let (new, answer) = connected(fixture, &v5("bus", &bus)).await;
    assert_eq!(answer, "connack 0");
    (old, new)
}

/// [MQTT-4.13.1-1]
#[tokio::test]
async fn what_a_client_does_wrong_is_told_to_it() {
    let fixture = Given::workers(1).limits(|limits| limits.packet_bytes_max = 1_000).start();
    for (bytes, told) in [
        // CONNECT once more.
        (&b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"[..], "disconnect 0x82 protocol_error"),
        // What only a server sends.
        (b"\x20\x02\x00\x00", "disconnect 0x82 protocol_error"),
        // Reserved flags, and a reserved type.
        (b"\xC1\x00", "disconnect 0x81 malformed_packet"),
        (b"\x00\x00", "disconnect 0x81 malformed_packet"),
        (b"\x30\xFF\xFF\x03", "disconnect 0x95 packet_bytes_max"),
    ] {
        let (mut old, mut new) = both(&fixture).await;
        old.send(bytes).await;
        new.send(bytes).await;
        // What nobody reads must not make a reset of the answer.
        new.send(&[0xC0, 0].repeat(20_000)).await;
        gone(old, new, told).await;
    }
}

/// [MQTT-3.1.2-22], [MQTT-3.1.4-3]
#[tokio::test]
async fn silence_and_a_newcomer_end_a_connection() {
    for workers in WORKERS {
        let fixture = Given::workers(workers).limits(|limits| limits.keep_alive_secs_max = 1).start();
        let (car, bus) = (fixture.sign(&claims(1, "car")), fixture.sign(&claims(1, "bus")));
        for keep_alive_secs in [1, 0] {
            let (old, _) = connected(&fixture, &Connect { keep_alive_secs, ..connect("car", &car) }).await;
            let (new, _) = connected(&fixture, &Connect { keep_alive_secs, ..v5("bus", &bus) }).await;
            assert_eq!(new.told.server_keep_alive_secs, (keep_alive_secs == 0).then_some(1));
            gone(old, new, "disconnect 0x8d keep_alive_timeout").await;
        }
        let (old, new) = both(&fixture).await;
        let (mut car, mut bus) = both(&fixture).await;
        gone(old, new, "disconnect 0x8e taken_over").await;
        assert_eq!((car.ping().await.as_str(), bus.ping().await.as_str()), ("pingresp", "pingresp"));
    }
}

#[tokio::test]
async fn a_node_that_stops_says_so() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let (old, new) = both(&fixture).await;
        let stopping = tokio::spawn(fixture.broker.stop());
        gone(old, new, "disconnect 0x8b node_stopping").await;
        stopping.await.expect("it stops");
    }
}

#[tokio::test]
async fn what_an_administrator_does_is_told_as_such() {
    for workers in WORKERS {
        let mut fixture =
            Given::workers(workers).with(Document::Credential(credential(1, "meter", ALL))).start();
        let suspended = |state| Document::Instance(InstanceDocument { state, ..document(1) });
        let (old, new) = both(&fixture).await;
        fixture.put(suspended(InstanceState::Suspended)).await;
        gone(old, new, "disconnect 0x98 instance_suspended").await;
        fixture.put(suspended(InstanceState::Running)).await;

        let (old, new) = both(&fixture).await;
        fixture
            .put(Document::Revocation(Revocation {
                id: RevocationId(Uuid::now_v7()),
                instance: instance_id(1),
                selector: TokenSelector::All,
                issued_before: UnixMillis(unix_now().0 + 1),
                expires_at: UnixMillis(u64::MAX),
            }))
            .await;
        gone(old, new, "disconnect 0x98 token_revoked").await;

        let password = Some(PASSWORD.as_bytes());
        let by_name = |connect: Connect<'static>| Connect { username: Some("meter"), password, ..connect };
        for (document, told) in [
            (
                CredentialDocument { enabled: false, ..credential(1, "meter", ALL) },
                "disconnect 0x98 credential_disabled",
            ),
            (
                CredentialDocument { secrets: Vec::new(), ..credential(1, "meter", ALL) },
                "disconnect 0x98 credentials_wrong",
            ),
        ] {
            let (old, _) = connected(&fixture, &by_name(connect("car", ""))).await;
            let (new, answer) = connected(&fixture, &by_name(v5("bus", ""))).await;
            assert_eq!(answer, "connack 0");
            fixture.put(Document::Credential(document)).await;
            gone(old, new, told).await;
            fixture.put(Document::Credential(credential(1, "meter", ALL))).await;
        }
    }
}

#[tokio::test]
async fn a_token_that_has_run_out_is_no_administrators_deed() {
    let fixture = Fixture::start(1);
    let soon = |client_id| TokenClaims { exp: unix_now().secs() + 1, ..claims(1, client_id) };
    let (car, bus) = (fixture.sign(&soon("car")), fixture.sign(&soon("bus")));
    let (old, _) = connected(&fixture, &connect("car", &car)).await;
    let (new, _) = connected(&fixture, &v5("bus", &bus)).await;
    gone(old, new, "disconnect 0x87 token_expired").await;
}

/// [MQTT-3.14.2-3]
#[tokio::test]
async fn the_words_are_left_out_where_they_are_not_wanted_or_do_not_fit() {
    let fixture = Fixture::start(1);
    let token = fixture.sign(&claims(1, "car"));
    for (packet_bytes_max, wants_problem_info, told) in [
        (None, true, "disconnect 0x8e taken_over"),
        (None, false, "disconnect 0x8e"),
        (Some(40), true, "disconnect 0x8e taken_over"),
    ] {
        let properties =
            ConnectProperties { packet_bytes_max, wants_problem_info, ..ConnectProperties::default() };
        let (mut car, answer) = connected(&fixture, &Connect { properties, ..v5("car", &token) }).await;
        assert_eq!(answer, "connack 0");
        let (other, _) = connected(&fixture, &Connect { version: Version::V311, ..v5("car", &token) }).await;
        assert_eq!(car.next().await, told, "{packet_bytes_max:?} {wants_problem_info}");
        other.leave().await;
    }
}
