//! The feed: its order, its resumption, and that a replica ends up with what is true.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::feed::{ChangesAnswer, DocumentKey, DocumentKind, Generation};
use contract::ids::{InstanceId, TimelineId};
use service::topics::{NewTopic, TopicPatch};
use service::{Services, reconcile};
use tokio_util::sync::CancellationToken;

use crate::replicator::Replica;
use crate::world::{Tenant, World, no_instance, nothing};

async fn write_topics(
    services: Services,
    tenant: Arc<Tenant>,
    instance: InstanceId,
    name: String,
    rounds: u32,
) {
    let (topics, by) = (&services.topics, &tenant.owner);
    for round in 0..rounds {
        let new = NewTopic { name: name.clone(), ..NewTopic::default() };
        topics.create(by, instance, new).await.expect("made");
        let bound = Some(Some(u64::from(round) + 1));
        let patch = TopicPatch { payload_bytes_max: bound, ..TopicPatch::default() };
        topics.update(by, instance, &name, None, patch).await.expect("changed");
        if round + 1 < rounds {
            topics.delete(by, instance, &name, None).await.expect("deleted");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_smaller_number_is_committed_after_a_reader_has_passed() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let tenant = Arc::new(tenant);
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (world.store.clone(), done.clone());
        tokio::spawn(async move {
            let (mut passed, mut seen) = (0, Vec::new());
            loop {
                let last = done.load(Ordering::Acquire);
                let mut connection = store.read().await.expect("a connection");
                let rows = store::feed::list_after(&mut connection, passed, 500).await.expect("rows");
                seen.extend(rows.iter().map(|row| row.number));
                passed = rows.last().map_or(passed, |row| row.number);
                if last && rows.is_empty() {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let writers: Vec<_> = (0..8)
        .map(|at| {
            // Half of them are other processes, and all write in one instance and in no order.
            let services = if at % 2 == 0 { world.services.clone() } else { world.another_controller() };
            tokio::spawn(write_topics(services, tenant.clone(), instance.id, format!("t{at}"), 10))
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    done.store(true, Ordering::Release);
    let seen = reader.await.expect("no panic");
    let (head, _) = world.heads().await;
    assert_eq!(seen, (1..=head).collect::<Vec<_>>(), "every number, once, in order");
    assert!(head >= 8 * 29);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn export_and_changes_converge_to_what_is_true() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let tenant = Arc::new(tenant);
    let node = world.node("n1").await;
    // Enough to make the export more than one page of topics.
    world.sql(&format!(
        "INSERT INTO topic SELECT '{}', 'x' || n, '', NULL, '{{}}', now(), now(), 1 FROM generate_series(1, 1500) n",
        instance.id
    ));
    let writers: Vec<_> = (0..4)
        .map(|at| {
            tokio::spawn(write_topics(
                world.services.clone(),
                tenant.clone(),
                instance.id,
                format!("t{at}"),
                12,
            ))
        })
        .collect();
    let services = &world.services;
    let mut replica = Replica::export(services, node, async || {
        // Between two pages something goes that was told and something comes where the export has passed.
        services.topics.delete(&tenant.owner, instance.id, "x1", None).await.ok();
        let new = NewTopic { name: "a-early".to_owned(), ..NewTopic::default() };
        services.topics.create(&tenant.owner, instance.id, new).await.ok();
    })
    .await;
    for _ in 0..20 {
        replica.step(services, node).await;
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
    replica.catch_up(services, node).await;
    let truth = Replica::export(services, node, async || ()).await;
    assert_eq!(replica, truth);
    assert_eq!(truth.of_kind(DocumentKind::Topic).len(), 1_500 - 1 + 1 + 4);
}

#[tokio::test]
async fn a_deleted_instance_takes_everything_with_it() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let kept = world.instance(&tenant, "kept").await;
    let node = world.node("n1").await;
    let mut replica = Replica::export(&world.services, node, async || ()).await;
    world.services.instances.delete(&tenant.owner, instance.id, None).await.expect("deleted");
    world.pass(chrono::TimeDelta::days(8));
    assert_eq!(reconcile::delete_after_grace(&world.services).await.expect("runs"), 1);
    replica.catch_up(&world.services, node).await;
    assert!(replica.documents.keys().all(|key| key.instance == kept.id));
    assert_eq!(replica, Replica::export(&world.services, node, async || ()).await);
    assert_eq!(reconcile::delete_after_grace(&world.services).await.expect("runs"), 0);
}

#[tokio::test]
async fn an_export_is_needed_where_the_feed_cannot_lead_on() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let node = world.node("n1").await;
    let feed = &world.services.feed;
    let replica = Replica::export(&world.services, node, async || ()).await;
    let here = replica.generation;
    let ask =
        async |generation| feed.changes_after(node, generation, Duration::ZERO).await.expect("an answer");
    let needed = |answer: &ChangesAnswer| matches!(answer, ChangesAnswer::ExportNeeded { .. });
    assert!(!needed(&ask(here).await));
    assert!(needed(&ask(Generation { number: here.number + 1, ..here }).await), "the future");
    let elsewhere = Generation { timeline: nothing(TimelineId), ..here };
    assert!(needed(&ask(elsewhere).await), "another database");
    assert!(!needed(&ask(Generation { number: 0, ..here }).await), "the beginning, which is still there");
    world.pass(chrono::TimeDelta::days(8));
    assert!(reconcile::trim_feed(&world.services).await.expect("runs") > 0);
    assert!(!needed(&ask(here).await), "nothing was missed");
    assert!(needed(&ask(Generation { number: here.number - 1, ..here }).await), "trimmed");
    let new = NewTopic { name: "late".to_owned(), ..NewTopic::default() };
    world.services.topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
    assert!(!needed(&ask(here).await), "resumed after trimming");
    assert!(needed(&ask(Generation { number: here.number - 1, ..here }).await), "still trimmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_waits_is_woken_by_any_controller() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let node = world.node("n1").await;
    let stop = CancellationToken::new();
    let listening = tokio::spawn({
        let (feed, stop) = (world.services.feed.clone(), stop.clone());
        async move { feed.listen(stop).await }
    });
    let after = Replica::export(&world.services, node, async || ()).await.generation;
    let waiting = tokio::spawn({
        let feed = world.services.feed.clone();
        async move { feed.changes_after(node, after, Duration::from_secs(30)).await.expect("an answer") }
    });
    let new = NewTopic { name: "news".to_owned(), ..NewTopic::default() };
    let other = world.another_controller();
    other.topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
    let answer = tokio::time::timeout(Duration::from_secs(8), waiting).await.expect("woken, not timed out");
    let ChangesAnswer::Changes { generation, changes, .. } = answer.expect("no panic") else {
        panic!("changes")
    };
    assert_eq!((generation.number, changes.len()), (after.number + 1, 1));
    stop.cancel();
    listening.await.expect("it stops");
}

#[tokio::test]
async fn the_urgent_lane_says_where_it_is() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let node = world.node("n1").await;
    let ask = async |after| {
        let answer = world.services.feed.urgent_after(node, after, Duration::ZERO).await;
        let answer = answer.expect("an answer");
        (answer.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), answer.sequence)
    };
    assert_eq!(ask(0).await, (vec![], 0));
    world.services.instances.suspend(&tenant.owner, instance.id).await.expect("suspended");
    world.services.instances.resume(&tenant.owner, instance.id).await.expect("resumed");
    assert_eq!(ask(0).await, (vec![1, 2], 2));
    assert_eq!(ask(1).await, (vec![2], 2));
    assert_eq!(ask(2).await, (vec![], 2));
    assert_eq!(ask(99).await, (vec![], 2), "a node of another history hears where the lane is");
}

#[tokio::test]
async fn a_forged_export_cursor_is_refused() {
    let world = World::new().await;
    let node = world.node("n1").await;
    for cursor in ["", "!", "e30"] {
        let page = world.services.feed.export_page(node, Some(cursor)).await;
        assert!(page.is_err(), "{cursor}");
    }
    let key = DocumentKey { kind: DocumentKind::Unknown, instance: no_instance(), name: String::new() };
    let json = serde_json::to_vec(&key).expect("serializes");
    let cursor = contract::base64::Base64(json).encode();
    let page = world.services.feed.export_page(node, Some(&cursor)).await.expect("the end of all kinds");
    assert_eq!((page.documents.len(), page.next), (0, None));
}
