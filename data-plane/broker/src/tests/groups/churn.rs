//! Members that come, take some and go in every way, on all workers, while messages come.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::qos::Qos::AtLeastOnce;

use super::{SHARED, given, lasting_member, number};
use crate::testing::{Fixture, Peer};
use crate::tests::WORKERS;

/// What was acknowledged by anybody.
type Seen = Arc<Mutex<BTreeSet<usize>>>;

const MESSAGES: usize = 400;

#[tokio::test]
async fn each_message_is_acknowledged_by_somebody() {
    for workers in WORKERS {
        let mut given = given(workers).limits(|limits| limits.in_flight_messages_max = 20);
        given.config.front.handshakes_per_address_max = 1_000;
        let fixture = Arc::new(given.start());
        let seen = Seen::default();
        let mut keeper = lasting_member(&fixture, "keeper").await;
        let pass_by = |at| tokio::spawn(pass_by(Arc::clone(&fixture), at, Arc::clone(&seen)));
        let passing: Vec<_> = (0..4).map(pass_by).collect();
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..MESSAGES {
            mouth.publish_acknowledged("a/x", &at.to_string()).await;
            if at % 50 == 7 {
                keeper = fixture.lasting_client("keeper", true).await;
            }
            while let Some(packet) = keeper.next_within(Duration::from_micros(200)).await {
                acknowledge(&mut keeper, &packet, &seen).await;
            }
        }
        for passing in passing {
            passing.await.expect("is served");
        }
        while seen.lock().expect("no panic").len() < MESSAGES {
            let packet = keeper.next().await;
            acknowledge(&mut keeper, &packet, &seen).await;
        }
        assert_eq!(fixture.broker.metrics().await.panics, 0);
    }
}

async fn acknowledge(member: &mut Peer, packet: &str, seen: &Seen) {
    seen.lock().expect("no panic").insert(number(packet));
    member.answer(mqtt::client::puback).await;
}

/// A member that joins, acknowledges some of what it gets, and goes, again and again.
async fn pass_by(fixture: Arc<Fixture>, at: usize, seen: Seen) {
    for round in 0..15 {
        let mut member = fixture.client(1, &format!("passing-{at}")).await;
        assert_eq!(member.subscribe(&[(SHARED, AtLeastOnce)]).await, "1");
        for _ in 0..(at + round) % 7 {
            let Some(packet) = member.next_within(Duration::from_millis(5)).await else { break };
            acknowledge(&mut member, &packet, &seen).await;
        }
        match round % 3 {
            // What it has said is heard before it goes.
            0 => {
                member.send(&[0xC0, 0]).await;
                member.packets_until("pingresp").await;
            }
            1 => drop(member.unsubscribe(SHARED).await),
            _ => {
                member.send(&[0xE0, 0]).await;
                while member.next().await != "closed" {}
            }
        }
    }
}
