//! What is counted for the slots of metrics: everything once, whoever counted it, and what comes before an instance is
//! known apart.

use std::collections::BTreeMap;

use contract::metrics::InstanceSample;
use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::Connect;

use super::WORKERS;
use crate::slots::Sampled;
use crate::testing::{Fixture, Given, connect, instance_id, wait_for};

/// Adds what is new to what was sampled before.
fn add(sum: &mut Sampled, new: Sampled) {
    for (instance, new) in new.instances {
        let old = sum.instances.remove(&instance).unwrap_or_default();
        let add = |old: BTreeMap<String, u64>, new: BTreeMap<String, u64>| {
            new.into_iter().fold(old, |mut sum, (reason, count)| {
                *sum.entry(reason).or_default() += count;
                sum
            })
        };
        let sample = InstanceSample {
            connections: new.connections,
            connects: old.connects + new.connects,
            disconnects: old.disconnects + new.disconnects,
            messages_in: old.messages_in + new.messages_in,
            messages_out: old.messages_out + new.messages_out,
            bytes_in: old.bytes_in + new.bytes_in,
            bytes_out: old.bytes_out + new.bytes_out,
            messages_stored: old.messages_stored + new.messages_stored,
            unmatched: old.unmatched + new.unmatched,
            refused: add(old.refused, new.refused),
            dropped: add(old.dropped, new.dropped),
        };
        sum.instances.insert(instance, sample);
    }
    for (reason, count) in new.refused_before_instance {
        *sum.refused_before_instance.entry(reason).or_default() += count;
    }
}

async fn sample(fixture: &Fixture) -> Sampled {
    fixture.broker.control().sample().await
}

#[tokio::test]
async fn samples_add_up_to_what_happened() {
    for workers in WORKERS {
        let fixture = Given::workers(workers).start();
        let mut ear = fixture.client(1, "ear").await;
        ear.subscribe(&[("a/#", Qos::AtLeastOnce)]).await;
        let mut mouth = fixture.client(1, "mouth").await;
        let mut sum = Sampled::default();
        for number in 0..20 {
            mouth.publish_acknowledged("a/b", &number.to_string()).await;
            mouth.publish_acknowledged("nobody", "x").await;
            if number % 5 == 0 {
                add(&mut sum, sample(&fixture).await);
            }
        }
        for number in 0..20 {
            assert_eq!(ear.next().await, format!("publish 1 a/b {number}"));
        }
        drop(mouth);
        wait_for("the end of a client", async || fixture.broker.connections() == 1).await;
        add(&mut sum, sample(&fixture).await);
        let ours = &sum.instances[&instance_id(1)];
        assert_eq!((ours.connections, ours.connects, ours.disconnects), (1, 2, 1));
        assert_eq!((ours.messages_in, ours.messages_out, ours.unmatched), (40, 20, 20));
        let total = fixture.broker.metrics().await.total;
        assert_eq!((ours.bytes_in, ours.bytes_out), (total.bytes_in, total.bytes_out));
        assert!(!sum.instances.contains_key(&instance_id(2)), "nothing happened there");

        let quiet = sample(&fixture).await;
        let connected = InstanceSample { connections: 1, ..InstanceSample::default() };
        assert_eq!(quiet.instances, BTreeMap::from([(instance_id(1), connected)]), "nothing is told twice");
    }
}

#[tokio::test]
async fn a_refusal_belongs_to_the_instance_that_was_named_or_to_nobody() {
    let fixture = Fixture::start(1);
    let token = fixture.sign(&crate::testing::claims(1, "car"));
    assert_eq!(fixture.answer_to(&connect("another", &token)).await, "connack 2");
    assert_eq!(fixture.answer_to(&connect("car", "a wrong password")).await, "connack 4");
    let nowhere = Connect { username: Some("device@nowhere"), ..connect("car", "a password") };
    fixture.answer_to(&nowhere).await;
    let mut peer = fixture.peer().await;
    peer.send(b"GET / HTTP/1.1\r\n").await;
    assert_eq!(peer.next().await, "closed");
    fixture.wait_refused(Refusal::ProtocolError, 1).await;
    let sampled = sample(&fixture).await;
    let once = |refusals: [Refusal; 2]| refusals.map(|refusal| (refusal.name().to_owned(), 1)).into();
    // The listener's default instance is the one that a password without a name is of.
    let of_one: BTreeMap<_, _> = once([Refusal::ClientIdNotAllowed, Refusal::CredentialsWrong]);
    assert_eq!(sampled.instances[&instance_id(1)].refused, of_one);
    assert_eq!(sampled.instances.len(), 1);
    assert_eq!(sampled.refused_before_instance, once([Refusal::InstanceUnknown, Refusal::ProtocolError]));
    assert_eq!(sample(&fixture).await, Sampled::default());
    assert_eq!(fixture.refused(Refusal::ClientIdNotAllowed).await, 1, "what is asked in all goes on");
}
