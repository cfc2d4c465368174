//! Who gets what, and what becomes of it when somebody is slow, leaves or dies.

use std::collections::BTreeMap;

use contract::durability::DurabilityClass;
use contract::feed::{CredentialDocument, Document};
use contract::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use contract::refusal::Refusal;
use contract::shared_group::SharedStrategy;
use mqtt::{Connect, ConnectProperties};

use super::{
    SHARED, fixture, given, lasting_member, members, nothing_more, number, numbers, publish, take_all,
    without_rates,
};
use crate::DropReason;
use crate::testing::{ALL, Fixture, PASSWORD, Peer, claims, connect, credential, document, grants, wait_for};
use crate::tests::WORKERS;
use crate::tests::versions::{connected, v5};

#[tokio::test]
async fn each_message_goes_to_one_member_and_all_have_their_turns() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut members = members(&fixture, 5).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..100).await;
        let taken = take_all(&mut members, 100).await;
        assert_eq!(numbers(&taken), (0..100).collect::<Vec<_>>(), "{workers} workers");
        for member in 0..5 {
            let share = taken.iter().filter(|(by, _)| *by == member).count();
            assert!((10..=40).contains(&share), "{share} for member {member} of {workers} workers");
        }
        nothing_more(&mut members).await;
    }
}

/// The instance says whose turn it is, also to groups that are there.
#[tokio::test]
async fn one_member_gets_all_as_long_as_it_has_room_where_the_instance_wants_that() {
    for workers in WORKERS {
        let mut fixture = fixture(workers);
        let mut members = members(&fixture, 5).await;
        let mut document = document(1);
        without_rates(&mut document.limits);
        document.shared_strategy = SharedStrategy::Sticky;
        fixture.put(Document::Instance(document)).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..20).await;
        let taken = take_all(&mut members, 20).await;
        let (first, _) = taken[0];
        assert!(taken.iter().all(|(by, _)| *by == first), "{workers} workers: {taken:?}");
    }
}

/// Whichever worker a group has its home on, with a client there or without one.
#[tokio::test]
async fn a_group_is_served_wherever_its_home_is() {
    let fixture = fixture(3);
    let mut member = fixture.client(1, "member").await;
    let mut mouth = fixture.client(1, "mouth").await;
    for at in 0..12 {
        let (text, topic) = (format!("$share/g{at}/t/{at}"), format!("t/{at}"));
        assert_eq!(member.subscribe(&[(&text, AtLeastOnce)]).await, "1");
        mouth.publish(&topic, "at once", AtMostOnce).await;
        assert_eq!(member.next().await, format!("publish 0 {topic} at once"));
        mouth.publish_acknowledged(&topic, "logged").await;
        assert_eq!(member.take().await, format!("publish 1 {topic} logged"));
    }
}

/// Two groups, and whoever subscribes for itself, get a message each.
#[tokio::test]
async fn groups_and_plain_subscriptions_do_not_share() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut peers = Vec::new();
        for (client_id, filter) in
            [("one", "$share/one/a/#"), ("two", "$share/two/a/#"), ("other", "$share/one/#"), ("self", "a/+")]
        {
            let mut peer = fixture.client(1, client_id).await;
            assert_eq!(peer.subscribe(&[(filter, AtLeastOnce)]).await, "1");
            peers.push(peer);
        }
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..3).await;
        for peer in &mut peers {
            for at in 0..3 {
                assert_eq!(peer.take().await, format!("publish 1 a/x {at}"));
            }
        }
    }
}

#[tokio::test]
async fn a_slow_member_stalls_nobody() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 5).start();
        let mut slow = lasting_member(&fixture, "slow").await;
        let mut others = members(&fixture, 2).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..200).await;
        let taken = take_all(&mut others, 195).await;
        let mut unacknowledged = Vec::new();
        for _ in 0..5 {
            unacknowledged.push(number(&slow.next().await));
        }
        let mut all = numbers(&taken);
        all.extend(&unacknowledged);
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>(), "{workers} workers");
        assert_eq!(slow.ping().await, "pingresp", "it has its window and no more");
        drop(slow);
        let mut returned = numbers(&take_all(&mut others, 5).await);
        returned.sort_unstable();
        unacknowledged.sort_unstable();
        assert_eq!(returned, unacknowledged, "what it had is for the others when it has gone");
        nothing_more(&mut others).await;
    }
}

#[tokio::test]
async fn a_member_that_dies_hands_over_what_it_had() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut first = members(&fixture, 1).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..10).await;
        for at in 0..10 {
            assert_eq!(number(&first[0].next().await), at);
        }
        let mut second = fixture.client(1, "second").await;
        second.subscribe(&[(SHARED, AtLeastOnce)]).await;
        drop(first);
        let taken = take_all(std::slice::from_mut(&mut second), 10).await;
        assert_eq!(numbers(&taken), (0..10).collect::<Vec<_>>());
        publish(&mut mouth, 10..12).await;
        assert_eq!(number(&second.take().await), 10);
        assert_eq!(number(&second.take().await), 11);
    }
}

/// [MQTT-3.10.4-2]: of a group, to whoever leaves it nothing is sent; what it has is another's.
#[tokio::test]
async fn who_leaves_gives_back_and_gets_nothing_more() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut both = members(&fixture, 2).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..10).await;
        let mut had = Vec::new();
        while had.len() < 5 {
            had.push(number(&both[0].next().await));
        }
        assert_eq!(both[0].unsubscribe(SHARED).await, [""; 0]);
        let (leaver, stayer) = both.split_at_mut(1);
        assert_eq!(numbers(&take_all(stayer, 10).await), (0..10).collect::<Vec<_>>(), "{workers}: {had:?}");
        leaver[0].answer(mqtt::client::puback).await;
        publish(&mut mouth, 10..20).await;
        assert_eq!(numbers(&take_all(stayer, 10).await), (10..20).collect::<Vec<_>>());
        assert_eq!(leaver[0].ping().await, "pingresp");

        // And back: it has its turns again.
        assert_eq!(leaver[0].subscribe(&[(SHARED, AtLeastOnce)]).await, "1");
        publish(&mut mouth, 20..30).await;
        let taken = take_all(&mut both, 10).await;
        assert_eq!(numbers(&taken), (20..30).collect::<Vec<_>>());
        assert!(taken.iter().any(|(by, _)| *by == 0), "{taken:?}");
    }
}

/// [MQTT-3.1.4-2]
#[tokio::test]
async fn a_takeover_hands_over_too() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut first = lasting_member(&fixture, "member").await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..3).await;
        for at in 0..3 {
            assert_eq!(number(&first.next().await), at);
        }
        let mut second = [fixture.lasting_client("member", true).await];
        assert_eq!(first.next().await, "closed");
        assert_eq!(numbers(&take_all(&mut second, 3).await), [0, 1, 2]);
        publish(&mut mouth, 3..6).await;
        assert_eq!(numbers(&take_all(&mut second, 3).await), [3, 4, 5]);
        nothing_more(&mut second).await;
    }
}

#[tokio::test]
async fn what_is_in_no_log_goes_to_one_member_at_once_or_to_nobody() {
    for workers in WORKERS {
        let mut given = given(workers);
        if let Document::Instance(instance) = &mut given.documents[0] {
            instance.durability = DurabilityClass::Relay;
        }
        let fixture = given.start();
        let mut member = lasting_member(&fixture, "member").await;
        let mut mouth = fixture.client(1, "mouth").await;
        for (at, qos) in [AtMostOnce, AtLeastOnce, ExactlyOnce, AtMostOnce].into_iter().enumerate() {
            mouth.publish("a/x", &at.to_string(), qos).await;
        }
        for expected in ["publish 0 a/x 0", "publish 1 a/x 1", "publish 1 a/x 2", "publish 0 a/x 3"] {
            assert_eq!(member.next().await, expected, "{workers} workers");
        }
        assert!(fixture.log.payloads().is_empty());
        member.leave().await;
        mouth.publish_until_acknowledged("a/x", "for nobody").await;
        wait_for("the drop", async || fixture.dropped(DropReason::SharedNoMember).await == 1).await;
        let mut member = fixture.lasting_client("member", true).await;
        assert_eq!(member.ping().await, "pingresp");
    }
}

#[tokio::test]
async fn of_many_members_one_gets_what_is_at_qos_0() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut members = members(&fixture, 4).await;
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..40 {
            mouth.publish("a/x", &at.to_string(), AtMostOnce).await;
        }
        let mut shares = [0; 4];
        while shares.iter().sum::<usize>() < 40 {
            for (at, member) in members.iter_mut().enumerate() {
                while member.next_within(std::time::Duration::from_millis(1)).await.is_some() {
                    shares[at] += 1;
                }
            }
        }
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        nothing_more(&mut members).await;
        assert_eq!(shares.iter().sum::<usize>(), 40);
    }
}

/// Granted QoS 1 at most, and 0 where 0 was asked for.
#[tokio::test]
async fn the_qos_is_the_lowest_of_three() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut two = fixture.client(1, "two").await;
        assert_eq!(two.subscribe(&[("$share/g/a/#", ExactlyOnce)]).await, "1");
        let mut zero = fixture.client(1, "zero").await;
        assert_eq!(zero.subscribe(&[("$share/h/a/#", AtMostOnce)]).await, "0");
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_exactly_once("a/x", "2").await;
        mouth.publish_acknowledged("a/x", "1").await;
        assert_eq!(two.take().await, "publish 1 a/x 2");
        assert_eq!(two.take().await, "publish 1 a/x 1");
        assert_eq!(zero.next().await, "publish 0 a/x 2");
        assert_eq!(zero.next().await, "publish 0 a/x 1");
        let figures = fixture
            .broker
            .control()
            .list_groups(crate::testing::instance_id(1))
            .await
            .expect("every worker answers");
        assert_eq!(figures.len(), 2);
        wait_for("the acknowledgements", async || {
            let figures = fixture
                .broker
                .control()
                .list_groups(crate::testing::instance_id(1))
                .await
                .expect("every worker answers");
            figures.iter().all(|it| (it.in_flight, it.returned) == (0, 0))
        })
        .await;
    }
}

#[tokio::test]
async fn no_retained_message_comes_with_a_shared_subscription() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let claims = contract::claims::TokenClaims {
            grants: crate::testing::grants(
                r##"[{"actions":["publish","subscribe"],"topic_filter":"#","qos_max":2,"retain":true}]"##,
            ),
            ..crate::testing::claims(1, "mouth")
        };
        let mut mouth = fixture.client_with(&claims, "mouth").await;
        mouth.retain("a/kept", "0").await;
        let mut member = members(&fixture, 1).await;
        publish(&mut mouth, 1..2).await;
        assert_eq!(number(&member[0].take().await), 1);
        nothing_more(&mut member).await;
    }
}

#[tokio::test]
async fn what_is_no_shared_subscription_is_refused_and_the_connection_goes_on() {
    let fixture = fixture(1);
    let mut client = fixture.client(1, "client").await;
    let filters = ["$share/g", "$share//a", "$share/g/", "$replay/yesterday/a", "$replay/0"]
        .map(|it| (it, AtLeastOnce));
    assert_eq!(client.subscribe(&filters).await, "xxxxx");
    assert_eq!(client.unsubscribe("$share/g").await, [""; 0]);
    assert_eq!(client.ping().await, "pingresp");
    assert_eq!(fixture.refused(Refusal::FilterInvalid).await, 5);
}

/// Rights are asked for what the group wants, also when they change.
#[tokio::test]
async fn a_member_whose_right_goes_is_sent_away_and_hands_over() {
    for workers in WORKERS {
        let meter = credential(1, "meter", ALL);
        let mut fixture = given(workers).with(Document::Credential(meter.clone())).start();
        let mut member = fixture.peer().await;
        member.connect(&Connect { username: Some("meter"), ..connect("metered", PASSWORD) }).await;
        assert_eq!(member.next().await, "connack 0");
        assert_eq!(member.subscribe(&[(SHARED, AtLeastOnce)]).await, "1");
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..3).await;
        for at in 0..3 {
            assert_eq!(number(&member.next().await), at);
        }
        let with = |json| CredentialDocument { grants: grants(json), ..meter.clone() };
        let enough = r#"[{"actions":["subscribe"],"topic_filter":"a/#","qos_max":1}]"#;
        fixture.put(Document::Credential(with(enough))).await;
        assert_eq!(member.ping().await, "pingresp");
        let mut other = members(&fixture, 1).await;
        let little = r#"[{"actions":["subscribe"],"topic_filter":"a/x","qos_max":1}]"#;
        fixture.put(Document::Credential(with(little))).await;
        assert_eq!(member.next().await, "closed");
        fixture.wait_refused(Refusal::RightsWithdrawn, 1).await;
        assert_eq!(numbers(&take_all(&mut other, 3).await), [0, 1, 2]);
    }
}

/// A client of 5.0 that takes packets of so many bytes, and so many messages at a time.
async fn limited_member(fixture: &Fixture, client_id: &str, bytes_max: u32, receive_max: u16) -> Peer {
    let token = fixture.sign(&claims(1, client_id));
    let connect = v5(client_id, &token);
    let properties = ConnectProperties {
        packet_bytes_max: Some(bytes_max).filter(|max| *max > 0),
        receive_max,
        ..connect.properties
    };
    let (mut member, answer) = connected(fixture, &Connect { properties, ..connect }).await;
    assert_eq!(answer, "connack 0");
    assert_eq!(member.subscribe(&[(SHARED, AtLeastOnce)]).await, "1");
    member
}

/// [MQTT-3.1.2-25]: the server may send it to another, and discards it if none can.
#[tokio::test]
async fn what_is_too_large_for_some_is_for_the_others() {
    let payload = "x".repeat(200);
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut small = Vec::new();
        for at in 0..3 {
            small.push(limited_member(&fixture, &format!("small-{at}"), 100, 65_535).await);
        }
        let mut large = limited_member(&fixture, "large", 0, 1).await;
        let mut mouth = fixture.client(1, "mouth").await;
        for _ in 0..4 {
            mouth.publish("a/x", &payload, AtMostOnce).await;
            assert_eq!(large.next().await, format!("publish 0 a/x {payload}"), "{workers} workers");
        }
        for _ in 0..4 {
            mouth.publish_acknowledged("a/x", &payload).await;
        }
        // It takes one at a time: the rest waits for it.
        for _ in 0..4 {
            assert_eq!(large.take().await, format!("publish 1 a/x {payload}"), "{workers} workers");
        }
        large.leave().await;
        assert_eq!(fixture.broker.metrics().await.total.dropped, BTreeMap::new());
        for qos in [AtLeastOnce, AtMostOnce] {
            mouth.publish("a/x", &payload, qos).await;
        }
        assert_eq!(mouth.next().await, "puback 5");
        publish(&mut mouth, 0..9).await;
        let taken = take_all(&mut small, 9).await;
        assert_eq!(numbers(&taken), (0..9).collect::<Vec<_>>(), "{workers} workers");
        assert_eq!(fixture.dropped(DropReason::ClientPacketBytes).await, 2, "nobody takes these");
        for member in &mut small {
            assert_eq!(member.ping().await, "pingresp");
        }
    }
}
