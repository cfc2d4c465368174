//! Limits of groups: how many there may be, what may wait for one, and what is dropped then.

use contract::durability::QueueOverflow;
use contract::feed::Document;
use contract::qos::Qos::AtLeastOnce;
use contract::refusal::Refusal;

use super::{SHARED, fixture, given, lasting_member, nothing_more, number, numbers, publish, take_all};
use crate::DropReason;
use crate::testing::wait_for;
use crate::tests::WORKERS;

#[tokio::test]
async fn an_instance_has_so_many_groups() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.shared_subscriptions_max = 2).start();
        let mut one = fixture.client(1, "one").await;
        let mut two = fixture.client(1, "two").await;
        assert_eq!(one.subscribe(&[("$share/g/a", AtLeastOnce), ("$share/g/b", AtLeastOnce)]).await, "11");
        assert_eq!(two.subscribe(&[("$share/h/a", AtLeastOnce), ("$share/g/a", AtLeastOnce)]).await, "x1");
        assert_eq!(fixture.refused(Refusal::SharedSubscriptionsMax).await, 1);
        assert_eq!(one.unsubscribe("$share/g/b").await, [""; 0]);
        assert_eq!(two.subscribe(&[("$share/h/a", AtLeastOnce)]).await, "1", "one has ended");
        // A group that another client is in stays when one leaves.
        assert_eq!(one.unsubscribe("$share/g/a").await, [""; 0]);
        assert_eq!(one.subscribe(&[("$share/h/b", AtLeastOnce)]).await, "x");
        let mut neighbour = fixture.client(2, "neighbour").await;
        assert_eq!(neighbour.subscribe(&[("$share/x/a", AtLeastOnce)]).await, "1");
    }
}

#[tokio::test]
async fn too_much_that_waits_is_passed_over() {
    for workers in WORKERS {
        for (overflow, kept) in [
            (QueueOverflow::DropOldest, [5, 6, 7]),
            (QueueOverflow::DropNew, [0, 1, 2]),
            (QueueOverflow::Disconnect, [5, 6, 7]),
        ] {
            let mut given = given(workers).limits(|limits| limits.queued_messages_max = 3);
            if let Document::Instance(instance) = &mut given.documents[0] {
                instance.queue_overflow = overflow;
            }
            let fixture = given.start();
            lasting_member(&fixture, "member").await.leave().await;
            let mut mouth = fixture.client(1, "mouth").await;
            publish(&mut mouth, 0..8).await;
            let mut member = [fixture.lasting_client("member", true).await];
            assert_eq!(numbers(&take_all(&mut member, 3).await), kept, "{overflow:?}");
            assert_eq!(fixture.dropped(DropReason::QueueMessages).await, 5, "{overflow:?}");
            publish(&mut mouth, 8..9).await;
            assert_eq!(numbers(&take_all(&mut member, 1).await), [8], "{overflow:?}");
            nothing_more(&mut member).await;
        }
    }
}

/// A client that may receive little at a time gets all of it in time, and in the meantime the others theirs.
#[tokio::test]
async fn a_member_over_its_rate_has_no_room() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.client_messages_out_per_sec = 20).start();
        let mut members = super::members(&fixture, 2).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..80).await;
        let taken = take_all(&mut members, 80).await;
        assert_eq!(numbers(&taken), (0..80).collect::<Vec<_>>());
        let dropped = fixture.broker.metrics().await.total.dropped;
        assert!(dropped.is_empty(), "{dropped:?}");
    }
}

/// A member takes as many as its window has, whatever else it has unacknowledged; the rest waits in the log.
#[tokio::test]
async fn a_member_s_window_is_for_all_that_it_gets() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 4).start();
        let mut member = fixture.client(1, "member").await;
        assert_eq!(member.subscribe(&[("own", AtLeastOnce), (SHARED, AtLeastOnce)]).await, "11");
        let mut mouth = fixture.client(1, "mouth").await;
        for _ in 0..3 {
            mouth.publish_acknowledged("own", "x").await;
            assert_eq!(member.next().await, "publish 1 own x");
        }
        let own = member.last_packet_id;
        publish(&mut mouth, 0..20).await;
        assert_eq!(number(&member.next().await), 0);
        assert_eq!(member.ping().await, "pingresp", "no room for more");
        member.answer(mqtt::client::puback).await;
        // What it could not take goes back on its way, so the order may be another.
        let taken = take_all(std::slice::from_mut(&mut member), 19).await;
        assert_eq!(numbers(&taken), (1..20).collect::<Vec<_>>(), "{workers} workers");
        member.last_packet_id = own;
        member.answer(mqtt::client::puback).await;
        publish(&mut mouth, 20..21).await;
        assert_eq!(number(&member.take().await), 20);
    }
}

#[tokio::test]
async fn a_backlog_is_drained_at_the_pace_of_its_members() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 10).start();
        lasting_member(&fixture, "away").await.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..500).await;
        let mut members = super::members(&fixture, 3).await;
        let mut taken = take_all(&mut members, 300).await;
        // What comes meanwhile is behind it.
        publish(&mut mouth, 500..520).await;
        taken.extend(take_all(&mut members, 220).await);
        assert_eq!(numbers(&taken), (0..520).collect::<Vec<_>>(), "{workers} workers");
        nothing_more(&mut members).await;
    }
}

#[tokio::test]
async fn a_message_on_its_way_to_who_has_just_gone_is_not_lost() {
    let fixture = fixture(3);
    let mut mouth = fixture.client(1, "mouth").await;
    let mut keeper = [lasting_member(&fixture, "keeper").await];
    let mut next = 0;
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..20 {
        let mut passing = super::members(&fixture, 3).await;
        publish(&mut mouth, next..next + 10).await;
        next += 10;
        if round % 2 == 0 {
            drop(passing);
        } else {
            for member in &mut passing {
                member.unsubscribe(SHARED).await;
            }
        }
        while seen.len() < next {
            seen.extend(take_all(&mut keeper, 1).await.into_iter().map(|(_, number)| number));
        }
    }
    wait_for("all of it", async || {
        let groups = fixture
            .broker
            .control()
            .list_groups(crate::testing::instance_id(1))
            .await
            .expect("every worker answers");
        groups.iter().all(|it| (it.in_flight, it.returned, it.members_connected) == (0, 0, 1))
    })
    .await;
}

/// Where there is no room on the way to a member's worker, the message waits in the log until there is.
#[tokio::test]
async fn a_narrow_way_between_workers_holds_back_and_loses_nothing() {
    let mut given = given(3);
    given.config.worker.crossing_bytes_max = 65_536;
    let fixture = given.start();
    lasting_member(&fixture, "away").await.leave().await;
    let mut mouth = fixture.client(1, "mouth").await;
    let padding = "0".repeat(30_000);
    for at in 0..60 {
        mouth.publish_acknowledged("a/x", &format!("{padding}{at}")).await;
    }
    let mut members = super::members(&fixture, 4).await;
    assert_eq!(numbers(&take_all(&mut members, 60).await), (0..60).collect::<Vec<_>>());
    nothing_more(&mut members).await;
}
