//! How fast a replay goes: as fast as its client takes it, and what it has no room for waits in the log.

use contract::feed::Document;
use contract::limits::InstanceLimits;
use contract::qos::Qos::{AtLeastOnce, AtMostOnce};
use mqtt::client;

use super::{WORKERS, ear, given, moment, publish_many, replay};
use crate::DropReason;
use crate::testing::document;

/// Whoever subscribes while others publish finds neither a gap nor a repetition where the past meets the present.
#[tokio::test]
async fn the_past_meets_the_present_under_load() {
    const MESSAGES: usize = 3_000;
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 50).start();
        let mut talking = Vec::new();
        for mouth in ["a", "b"] {
            let mut peer = fixture.client(1, mouth).await;
            talking.push(tokio::spawn(async move {
                for number in 0..MESSAGES {
                    peer.publish(&format!("cars/{mouth}"), &number.to_string(), AtLeastOnce).await;
                    if number % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                peer.publish_until_acknowledged(&format!("cars/{mouth}"), "end").await;
            }));
        }
        let mut hearing = Vec::new();
        for number in 0..6 {
            let mut ear = ear(&fixture, &format!("ear-{number}")).await;
            let qos = [AtMostOnce, AtLeastOnce][number % 2];
            let granted = ear.subscribe(&[("$replay/0/cars/+", qos)]).await;
            assert!(granted == "0" || granted == "1" || granted.starts_with("publish"), "{granted}");
            hearing.push(tokio::spawn(async move {
                let mut heard = [Vec::new(), Vec::new()];
                let mut ends = 0;
                // What came before SUBACK was answered in its place.
                let mut packet = if granted.starts_with("publish") { granted } else { ear.next().await };
                loop {
                    if qos == AtLeastOnce && packet.starts_with("publish 1") {
                        ear.answer(client::puback).await;
                    }
                    if let Some((_, message)) = packet.split_once(" cars/") {
                        let (mouth, payload) = message.split_once(' ').expect("a payload");
                        heard[usize::from(mouth == "b")].push(payload.to_owned());
                        ends += usize::from(payload == "end");
                    }
                    if ends == 2 {
                        return heard;
                    }
                    packet = ear.next().await;
                }
            }));
        }
        for talking in talking {
            talking.await.expect("all were acknowledged");
        }
        let sent: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).chain(["end".into()]).collect();
        for hearing in hearing {
            let heard = hearing.await.expect("all were heard");
            assert!(heard.iter().all(|heard| *heard == sent), "{workers} workers: {heard:?}");
        }
        assert_eq!(fixture.broker.metrics().await.total.dropped.values().sum::<u64>(), 0);
    }
}

/// A client has as much in flight as it may, and nothing waits for it in memory: what it has no room for is dropped
/// neither while it is behind nor when it is live.
#[tokio::test]
async fn it_goes_as_fast_as_the_client_acknowledges() {
    let limits = |limits: &mut InstanceLimits| {
        (limits.in_flight_messages_max, limits.outbox_messages_max) = (10, 1);
        (limits.packet_bytes_max, limits.outbox_bytes_max) = (1_024, 4_096);
    };
    for workers in WORKERS {
        let fixture = given(workers).limits(limits).start();
        let mut mouth = fixture.client(1, "mouth").await;
        publish_many(&mut mouth, "cars/x", (0..5_000).map(|at| at.to_string())).await;
        let mut ear = ear(&fixture, "ear").await;
        assert_eq!(replay(&mut ear, 0, "cars/#").await, "1");
        let mut ids = Vec::new();
        for at in 0..10 {
            assert_eq!(ear.next().await, format!("publish 1 cars/x {at}"));
            ids.push(ear.last_packet_id.expect("of QoS 1"));
        }
        assert_eq!(ear.ping().await, "pingresp", "no more than ten");
        for id in ids {
            let mut bytes = Vec::new();
            client::puback(&mut bytes, id);
            ear.send(&bytes).await;
        }
        for at in 10..5_000 {
            assert_eq!(ear.take().await, format!("publish 1 cars/x {at}"));
        }
        // Live now. It takes nothing for a while, and is behind again.
        publish_many(&mut mouth, "cars/y", (0..500).map(|at| at.to_string())).await;
        for at in 0..500 {
            assert_eq!(ear.take().await, format!("publish 1 cars/y {at}"));
        }
        assert_eq!(ear.ping().await, "pingresp");
        let counts = fixture.broker.metrics().await.total;
        assert_eq!((counts.messages_out, counts.dropped.values().sum::<u64>()), (5_500, 0));
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_waited_for() {
    // More than the sockets hold.
    const MESSAGES: usize = 1_000;
    let limits = |limits: &mut InstanceLimits| {
        (limits.packet_bytes_max, limits.outbox_bytes_max) = (20_000, 40_000);
    };
    for workers in WORKERS {
        let fixture = given(workers).limits(limits).start();
        let mut mouth = fixture.client(1, "mouth").await;
        let payload = |at: usize| format!("{at:04}{}", "x".repeat(16_000));
        publish_many(&mut mouth, "cars/x", (0..MESSAGES).map(payload)).await;
        let mut ear = ear(&fixture, "ear").await;
        assert_eq!(ear.subscribe(&[("$replay/0/cars/#", AtMostOnce)]).await, "0");
        // What is live comes meanwhile, and finds no room either.
        publish_many(&mut mouth, "cars/x", (MESSAGES..MESSAGES + 100).map(payload)).await;
        for at in 0..MESSAGES + 100 {
            assert_eq!(ear.next().await, format!("publish 0 cars/x {}", payload(at)), "{workers} workers");
        }
        assert_eq!(fixture.broker.metrics().await.total.dropped.values().sum::<u64>(), 0);
    }
}

#[tokio::test]
async fn rates_slow_it_down_and_lose_nothing() {
    let fixture = given(1)
        .limits(|limits| (limits.client_messages_out_per_sec, limits.messages_out_per_sec) = (500, 400))
        .start();
    let mut mouth = fixture.client(1, "mouth").await;
    publish_many(&mut mouth, "cars/x", (0..900).map(|at| at.to_string())).await;
    let mut ear = ear(&fixture, "ear").await;
    assert_eq!(ear.subscribe(&[("$replay/0/cars/#", AtMostOnce)]).await, "0");
    for at in 0..900 {
        assert_eq!(ear.next().await, format!("publish 0 cars/x {at}"));
    }
    assert_eq!(fixture.dropped(DropReason::ClientRate).await, 0);
}

#[tokio::test]
async fn two_of_one_client_take_turns() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 10).start();
        let mut mouth = fixture.client(1, "mouth").await;
        publish_many(&mut mouth, "cars/x", (0..300).map(|at| at.to_string())).await;
        let middle = moment().await;
        publish_many(&mut mouth, "vans/x", (0..300).map(|at| at.to_string())).await;
        let mut ear = ear(&fixture, "ear").await;
        let (one, two) = ("$replay/0/cars/#".to_owned(), format!("$replay/{middle}/vans/#"));
        assert_eq!(ear.subscribe(&[(&one, AtLeastOnce), (&two, AtLeastOnce)]).await, "11");
        let (mut cars, mut vans, mut lead_max) = (0_i64, 0_i64, 0);
        while cars + vans < 600 {
            let message = ear.take().await;
            if message == format!("publish 1 cars/x {cars}") {
                cars += 1;
            } else {
                assert_eq!(message, format!("publish 1 vans/x {vans}"));
                vans += 1;
            }
            if cars < 300 && vans < 300 {
                lead_max = lead_max.max((cars - vans).abs());
            }
        }
        assert!(lead_max <= 100, "{lead_max}: neither waits for the other's end");
        assert_eq!(ear.ping().await, "pingresp");
    }
}

#[tokio::test]
async fn what_can_no_longer_be_sent_is_passed_over_and_counted() {
    for workers in WORKERS {
        let mut fixture = given(workers).start();
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("cars/x", "first").await;
        mouth.publish_acknowledged("cars/x", &"x".repeat(5_000)).await;
        mouth.publish_acknowledged("cars/x", "last").await;
        let mut smaller = document(1);
        (smaller.limits.packet_bytes_max, smaller.limits.outbox_bytes_max) = (1_024, 4_096);
        fixture.put(Document::Instance(smaller)).await;
        let mut ear = ear(&fixture, "ear").await;
        assert_eq!(replay(&mut ear, 0, "cars/#").await, "1");
        assert_eq!(ear.take().await, "publish 1 cars/x first");
        assert_eq!(ear.take().await, "publish 1 cars/x last");
        assert_eq!(fixture.dropped(DropReason::OutboxBytes).await, 1);
    }
}
