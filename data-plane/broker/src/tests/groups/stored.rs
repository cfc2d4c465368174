//! What of a group outlives connections and the node, and what ends it.

use std::collections::BTreeSet;

use contract::feed::{Change, Document, DocumentKey, DocumentKind};
use contract::qos::Qos::AtLeastOnce;
use engine::Pos;
use mqtt::Connect;
use session::{Group, Millis};

use super::{SHARED, fixture, given, lasting_member, nothing_more, numbers, publish, take_all};
use crate::testing::{Fixture, Peer, claims, connect, document, grants, instance_id, wait_for};
use crate::tests::WORKERS;

/// Where the document of the group is.
const DOCUMENT: &str = "g/work/a/#";

#[tokio::test]
async fn what_comes_while_all_are_away_waits_through_a_restart() {
    for workers in [1, 2] {
        let fixture = given(workers).start_with_files();
        for client_id in ["one", "two"] {
            lasting_member(&fixture, client_id).await.leave().await;
        }
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..300).await;
        let fixture = fixture.restart().await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 300..310).await;
        let mut two = [fixture.lasting_client("two", true).await];
        let taken = take_all(&mut two, 310).await;
        let order: Vec<_> = taken.iter().map(|(_, number)| *number).collect();
        assert_eq!(order, (0..310).collect::<Vec<_>>(), "{workers} workers, in the order of the log");
        publish(&mut mouth, 310..312).await;
        assert_eq!(numbers(&take_all(&mut two, 2).await), [310, 311]);
        nothing_more(&mut two).await;
    }
}

#[tokio::test]
async fn a_new_member_takes_its_share_of_what_waits() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        lasting_member(&fixture, "away").await.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..50).await;
        let mut members = super::members(&fixture, 2).await;
        assert_eq!(numbers(&take_all(&mut members, 50).await), (0..50).collect::<Vec<_>>());
        nothing_more(&mut members).await;
        // The one that is away belongs to it still.
        publish(&mut mouth, 50..60).await;
        let mut back = [fixture.lasting_client("away", true).await];
        assert_eq!(numbers(&take_all(&mut back, 10).await), (50..60).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_was_acknowledged_does_not_come_again_after_a_stop() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut member = [lasting_member(&fixture, "member").await];
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..30).await;
        assert_eq!(take_all(&mut member, 30).await.len(), 30);
        publish(&mut mouth, 30..33).await;
        for _ in 30..33 {
            member[0].next().await;
        }
        // Only the last of them is acknowledged.
        member[0].answer(mqtt::client::puback).await;
        assert_eq!(member[0].ping().await, "pingresp");
        quiet(&fixture, 2).await;
        let fixture = fixture.restart_on_log().await;
        let mut member = [fixture.lasting_client("member", true).await];
        assert_eq!(numbers(&take_all(&mut member, 2).await), [30, 31], "{workers} workers");
        nothing_more(&mut member).await;
    }
}

/// Waits until the group has so many messages in flight.
async fn quiet(fixture: &Fixture, in_flight: u64) {
    wait_for("acknowledgements", async || {
        let groups =
            fixture.broker.control().list_groups(instance_id(1)).await.expect("every worker answers");
        groups.iter().all(|it| it.in_flight == in_flight && it.returned == 0)
    })
    .await;
}

#[tokio::test]
async fn a_crash_loses_nothing_and_repeats_what_was_acknowledged_since() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut member = [lasting_member(&fixture, "member").await];
        let mut mouth = fixture.client(1, "mouth").await;
        // Enough for a document, and some behind it.
        publish(&mut mouth, 0..520).await;
        take_all(&mut member, 520).await;
        wait_for("the document", async || !fixture.log.keys(instance_id(1), "g/").is_empty()).await;
        publish(&mut mouth, 520..540).await;
        take_all(&mut member, 10).await;
        fixture.log.lose(true);
        let fixture = fixture.restart_on_log().await;
        let mut member = [fixture.lasting_client("member", true).await];
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 540..541).await;
        // What was unacknowledged when the document was written may come behind what was read since.
        let mut again = BTreeSet::new();
        while again.last() != Some(&540) || again.first().is_some_and(|first| again.len() < 541 - first) {
            let taken = numbers(&take_all(&mut member, 1).await);
            assert!(again.insert(taken[0]), "{taken:?} comes once");
        }
        let first = again.first().expect("one came");
        assert!((300..=530).contains(first), "from {first} on, since the document");
    }
}

#[tokio::test]
async fn a_group_ends_with_its_last_lasting_member() {
    for workers in WORKERS {
        for expires in [true, false] {
            let secs = if expires { 1 } else { 3_600 };
            let fixture = given(workers).limits(|limits| limits.session_expiry_secs_max = secs).start();
            ended(fixture, expires).await;
        }
    }
}

async fn ended(fixture: Fixture, expires: bool) {
    let mut member = [lasting_member(&fixture, "member").await];
    let mut mouth = fixture.client(1, "mouth").await;
    publish(&mut mouth, 0..600).await;
    take_all(&mut member, 600).await;
    wait_for("the document", async || fixture.log.keys(instance_id(1), "g/") == [DOCUMENT]).await;
    let [member] = member;
    member.leave().await;
    if !expires {
        fixture.client(1, "member").await.leave().await;
    }
    wait_for("its end", async || fixture.log.keys(instance_id(1), "").is_empty()).await;
    assert!(
        fixture.broker.control().list_groups(instance_id(1)).await.expect("every worker answers").is_empty()
    );
    let logged = fixture.log.payloads().len();
    publish(&mut mouth, 600..601).await;
    assert_eq!(fixture.log.payloads().len(), logged, "nothing is logged for it any more");
    // One of the same name begins anew.
    let mut member = [lasting_member(&fixture, "member").await];
    publish(&mut mouth, 601..602).await;
    assert_eq!(numbers(&take_all(&mut member, 1).await), [601]);
}

#[tokio::test]
async fn the_document_of_a_group_that_has_ended_is_not_believed() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let ahead = Pos { record: 1_000_000, index: 0 };
        let mut body = Vec::new();
        Group::<u8>::new(ahead, Millis(0)).write(&mut body, Millis(0));
        fixture.log.plant(instance_id(1), DOCUMENT, body);
        // Something else of the instance is stored, so that it is looked at.
        fixture.lasting_client("other", false).await.leave().await;
        let fixture = fixture.restart_on_log().await;
        wait_for("its deletion", async || fixture.log.keys(instance_id(1), "g/").is_empty()).await;
        let mut member = [lasting_member(&fixture, "member").await];
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..3).await;
        assert_eq!(numbers(&take_all(&mut member, 3).await), [0, 1, 2]);
    }
}

#[tokio::test]
async fn a_group_whose_document_is_damaged_begins_with_its_members() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut member = [lasting_member(&fixture, "member").await];
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..510).await;
        take_all(&mut member, 510).await;
        wait_for("the document", async || fixture.log.keys(instance_id(1), "g/") == [DOCUMENT]).await;
        let [member] = member;
        member.leave().await;
        publish(&mut mouth, 510..512).await;
        let fixture = crashed(fixture).await;
        fixture.log.damage(instance_id(1), DOCUMENT);
        let fixture = fixture.restart_on_log().await;
        let mut member = [fixture.lasting_client("member", true).await];
        let taken = numbers(&take_all(&mut member, 512).await);
        assert_eq!(taken, (0..512).collect::<Vec<_>>(), "nothing is lost, and it comes again");
    }
}

async fn crashed(fixture: Fixture) -> Fixture {
    fixture.log.lose(true);
    fixture.restart_on_log().await
}

/// Rights are those of who comes back.
#[tokio::test]
async fn a_member_that_may_no_more_is_none_when_it_comes_back() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        lasting_member(&fixture, "member").await.leave().await;
        lasting_member(&fixture, "other").await.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..5).await;
        let mut less = claims(1, "member");
        less.grants = grants(r#"[{"actions":["subscribe"],"topic_filter":"b","qos_max":2}]"#);
        let token = fixture.sign(&less);
        let mut member = fixture.peer().await;
        member.connect(&Connect { clean_start: false, ..connect("member", &token) }).await;
        assert_eq!(member.next().await, "connack with a session");
        let mut other = [fixture.lasting_client("other", true).await];
        assert_eq!(numbers(&take_all(&mut other, 5).await), (0..5).collect::<Vec<_>>());
        publish(&mut mouth, 5..10).await;
        assert_eq!(numbers(&take_all(&mut other, 5).await), (5..10).collect::<Vec<_>>());
        assert_eq!(member.ping().await, "pingresp", "nothing of it was for this one");
        let figures =
            fixture.broker.control().list_groups(instance_id(1)).await.expect("every worker answers");
        assert_eq!((figures[0].members_connected, figures[0].members_away), (1, 0));
    }
}

#[tokio::test]
async fn groups_wait_for_their_instance() {
    for workers in WORKERS {
        let mut fixture = fixture(workers);
        lasting_member(&fixture, "member").await.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..3).await;
        drop(mouth);
        let key = DocumentKey { kind: DocumentKind::Instance, instance: instance_id(1), name: String::new() };
        fixture.change(&[Change::Delete { key }]).await;
        let mut fixture = fixture.restart_on_log().await;
        fixture.put(Document::Instance(document(1))).await;
        fixture.put_key(1).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 3..4).await;
        let mut member = [fixture.lasting_client("member", true).await];
        assert_eq!(numbers(&take_all(&mut member, 4).await), [0, 1, 2, 3], "{workers} workers");
    }
}

/// What a group had with members that are gone with the node is there for those that come.
#[tokio::test]
async fn what_was_in_flight_at_a_stop_is_for_whoever_comes_first() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut one = lasting_member(&fixture, "one").await;
        lasting_member(&fixture, "two").await.leave().await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..7).await;
        for _ in 0..7 {
            one.next().await;
        }
        let fixture = fixture.restart_on_log().await;
        let mut two: [Peer; 1] = [fixture.lasting_client("two", true).await];
        assert_eq!(numbers(&take_all(&mut two, 7).await), (0..7).collect::<Vec<_>>());
        let mut one = [fixture.lasting_client("one", true).await];
        assert_eq!(one[0].ping().await, "pingresp");
        assert_eq!(one[0].unsubscribe(SHARED).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_clean_member_s_group_leaves_nothing() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut member = super::members(&fixture, 1).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..600).await;
        take_all(&mut member, 600).await;
        assert!(fixture.log.keys(instance_id(1), "").is_empty());
        drop(member);
        wait_for("its end", async || {
            fixture
                .broker
                .control()
                .list_groups(instance_id(1))
                .await
                .expect("every worker answers")
                .is_empty()
        })
        .await;
        let logged = fixture.log.payloads().len();
        mouth.publish_acknowledged("a/x", "for nobody").await;
        assert_eq!(fixture.log.payloads().len(), logged);
        let mut member = fixture.client(1, "member").await;
        assert_eq!(member.subscribe(&[(SHARED, AtLeastOnce)]).await, "1");
        assert_eq!(member.ping().await, "pingresp");
    }
}

/// How far a group has come is stored for those that come back to it, and for no others.
#[tokio::test]
async fn nothing_is_written_of_a_group_without_lasting_members() {
    for workers in WORKERS {
        let fixture = fixture(workers);
        let mut lasting = lasting_member(&fixture, "lasting").await;
        let mut member = super::members(&fixture, 1).await;
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 0..3).await;
        let document = || fixture.log.body(instance_id(1), DOCUMENT);
        let mut both = [lasting, member.remove(0)];
        take_all(&mut both, 3).await;
        publish(&mut mouth, 3..600).await;
        take_all(&mut both, 597).await;
        wait_for("the document", async || document().is_some()).await;
        let [before, clean] = both;
        lasting = before;
        assert_eq!(lasting.unsubscribe(SHARED).await, [""; 0]);
        quiet(&fixture, 0).await;
        let written = document();
        let mut clean = [clean];
        publish(&mut mouth, 600..1_200).await;
        take_all(&mut clean, 600).await;
        quiet(&fixture, 0).await;
        assert_eq!(clean[0].ping().await, "pingresp");
        assert_eq!(document(), written, "{workers} workers");

        // Whoever comes to stay now finds the group where it is, after a crash too.
        assert_eq!(lasting.subscribe(&[(SHARED, AtLeastOnce)]).await, "1");
        wait_for("another document", async || document() != written).await;
        let fixture = crashed(fixture).await;
        let mut lasting = [fixture.lasting_client("lasting", true).await];
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 1_200..1_201).await;
        assert_eq!(numbers(&take_all(&mut lasting, 1).await), [1_200]);
    }
}
