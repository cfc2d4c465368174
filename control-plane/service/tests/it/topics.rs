//! Topics: names, bounds, revisions.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use contract::durability::DurabilityClass;
use contract::feed::{Document, DocumentKey, DocumentKind, TopicHistory};
use service::error::{DeleteError, LimitReached, UpdateError};
use service::topics::{CreateTopicError, HISTORY_OFF, History, HistoryPatch, NewTopic, TopicPatch};

use crate::world::World;

fn named(name: &str) -> NewTopic {
    NewTopic { name: name.to_owned(), ..NewTopic::default() }
}

#[tokio::test]
async fn a_topic_is_made_once_and_shown_as_it_was_made() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let topics = &world.services.topics;
    let new = NewTopic { payload_bytes_max: Some(1_000), ..named("vehicle") };
    let (topic, written) = topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
    assert_eq!(topic.revision, 1);
    assert_eq!(written.generation.map(|it| it.number), Some(world.heads().await.0));
    assert_eq!(topics.get(&tenant.owner, instance.id, "vehicle").await.expect("it is there"), topic);
    let again = topics.create(&tenant.owner, instance.id, named("vehicle")).await;
    assert!(matches!(again, Err(CreateTopicError::NameTaken(taken)) if taken.name == "vehicle"));
}

#[tokio::test]
async fn a_limit_is_kept_exactly_and_named_when_it_is_reached() {
    let world = World::new().await;
    world.plan("tiny", &[("topics_max", 2)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "tiny").await;
    let topics = &world.services.topics;
    for name in ["a", "b"] {
        topics.create(&tenant.owner, instance.id, named(name)).await.expect("within the limit");
    }
    let third = topics.create(&tenant.owner, instance.id, named("c")).await.expect_err("too many");
    let expected =
        LimitReached { name: "topics_max", value: 2, used: 2, scope: "instance", subject: "cars".to_owned() };
    assert!(matches!(&third, CreateTopicError::Limit(limit) if *limit == expected), "{third:?}");
    assert_eq!(third.to_string(), "instance `cars` has 2 of 2 in `topics_max`");
    topics.delete(&tenant.owner, instance.id, "a", None).await.expect("deleted");
    topics.create(&tenant.owner, instance.id, named("c")).await.expect("there is room again");
    let limits = world.services.instances.limits(&tenant.owner, instance.id).await.expect("limits");
    let row = limits.iter().find(|row| row.limit.name == "topics_max").expect("the row");
    assert_eq!((row.value, row.used), (2, Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_when_many_ask_at_one_time() {
    let world = World::new().await;
    world.plan("tiny", &[("topics_max", 5)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "tiny").await;
    let tries = (0..20).map(|at| {
        let (topics, caller) = (world.services.topics.clone(), tenant.owner.clone());
        tokio::spawn(async move { topics.create(&caller, instance.id, named(&format!("t{at}"))).await })
    });
    let mut made = 0;
    for outcome in tries.collect::<Vec<_>>() {
        match outcome.await.expect("no panic") {
            Ok(_) => made += 1,
            Err(error) => assert!(matches!(error, CreateTopicError::Limit(_)), "{error:?}"),
        }
    }
    assert_eq!(made, 5);
}

#[tokio::test]
async fn a_change_needs_the_revision_that_was_read() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let topics = &world.services.topics;
    topics.create(&tenant.owner, instance.id, named("vehicle")).await.expect("a topic");
    let patch = TopicPatch { payload_bytes_max: Some(Some(64)), ..TopicPatch::default() };
    let (topic, _) =
        topics.update(&tenant.owner, instance.id, "vehicle", Some(1), patch.clone()).await.expect("changed");
    assert_eq!((topic.revision, topic.payload_bytes_max), (2, Some(64)));
    let stale = topics.update(&tenant.owner, instance.id, "vehicle", Some(1), patch).await;
    assert!(matches!(stale, Err(UpdateError::Revision(it)) if it.current == 2));
    let stale = topics.delete(&tenant.owner, instance.id, "vehicle", Some(1)).await;
    assert!(matches!(stale, Err(DeleteError::Revision(it)) if it.current == 2));
    topics.delete(&tenant.owner, instance.id, "vehicle", Some(2)).await.expect("deleted");
}

#[tokio::test]
async fn what_nodes_need_not_know_makes_no_generation() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let topics = &world.services.topics;
    topics.create(&tenant.owner, instance.id, named("vehicle")).await.expect("a topic");
    let heads = world.heads().await;
    let labels = BTreeMap::from([("fleet".to_owned(), Some("a".to_owned()))]);
    let patch = TopicPatch { description: Some("cars".to_owned()), labels, ..TopicPatch::default() };
    let (topic, written) =
        topics.update(&tenant.owner, instance.id, "vehicle", None, patch).await.expect("changed");
    assert_eq!(topic.labels.get("fleet").map(String::as_str), Some("a"));
    assert_eq!((written.generation, world.heads().await), (None, heads));
}

fn keeping(name: &str) -> NewTopic {
    let history = HistoryPatch { enabled: Some(true), ..HistoryPatch::default() };
    NewTopic { history, ..named(name) }
}

#[tokio::test]
async fn history_is_off_unless_asked_for_and_begins_when_it_is_switched_on() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let topics = &world.services.topics;
    let (topic, _) = topics.create(&tenant.owner, instance.id, named("vehicle")).await.expect("a topic");
    assert_eq!(topic.history, HISTORY_OFF);
    let change = async |history: HistoryPatch| {
        world.pass(TimeDelta::seconds(10));
        let patch = TopicPatch { history, ..TopicPatch::default() };
        topics.update(&tenant.owner, instance.id, "vehicle", None, patch).await.expect("changed")
    };
    let on = HistoryPatch { enabled: Some(true), ..HistoryPatch::default() };
    let (topic, written) = change(on).await;
    let since = topic.history.since;
    assert_eq!((since, written.generation.is_some()), (Some(world.services.now()), true));
    let longer = HistoryPatch { retention_secs: Some(86_400), ..on };
    assert_eq!(change(longer).await.0.history, History { since, retention_secs: 86_400, ..HISTORY_OFF });
    let (topic, _) = change(HistoryPatch { enabled: Some(false), ..HistoryPatch::default() }).await;
    assert_eq!((topic.history.since, topic.history.retention_secs), (None, 86_400), "the rest stays");
    let (topic, _) = change(on).await;
    assert_eq!(topic.history.since, Some(world.services.now()), "what was kept before is not shown again");
}

#[tokio::test]
async fn nodes_hear_how_a_topic_keeps_its_messages() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let document = async || {
        let key =
            DocumentKey { kind: DocumentKind::Topic, instance: instance.id, name: "vehicle".to_owned() };
        let mut connection = world.store.read().await.expect("a connection");
        let documents = store::documents::list(&mut connection, &[key]).await.expect("documents");
        match documents.into_values().next() {
            Some(Document::Topic(topic)) => topic.history,
            other => panic!("no topic: {other:?}"),
        }
    };
    let topics = &world.services.topics;
    let new = keeping("vehicle");
    topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
    let (retention_secs, since) = (259_200, service::clock::millis(world.services.now()));
    assert_eq!(document().await, Some(TopicHistory { retention_secs, retention_bytes: None, since }));
    let history = HistoryPatch { retention_bytes: Some(Some(1 << 20)), ..HistoryPatch::default() };
    let patch = TopicPatch { history, ..TopicPatch::default() };
    topics.update(&tenant.owner, instance.id, "vehicle", None, patch).await.expect("changed");
    let retention_bytes = Some(1 << 20);
    assert_eq!(document().await, Some(TopicHistory { retention_secs, retention_bytes, since }));
    let history = HistoryPatch { enabled: Some(false), ..HistoryPatch::default() };
    let patch = TopicPatch { history, ..TopicPatch::default() };
    topics.update(&tenant.owner, instance.id, "vehicle", None, patch).await.expect("changed");
    assert_eq!(document().await, None);
}

#[tokio::test]
async fn nodes_hear_which_messages_of_a_topic_are_logged() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let document = async || {
        let key =
            DocumentKey { kind: DocumentKind::Topic, instance: instance.id, name: "vehicle".to_owned() };
        let mut connection = world.store.read().await.expect("a connection");
        let documents = store::documents::list(&mut connection, &[key]).await.expect("documents");
        match documents.into_values().next() {
            Some(Document::Topic(topic)) => topic.durability,
            other => panic!("no topic: {other:?}"),
        }
    };
    let topics = &world.services.topics;
    let new = NewTopic { durability: Some(DurabilityClass::Relay), ..named("vehicle") };
    let (topic, _) = topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
    assert_eq!((topic.durability, document().await), (Some(DurabilityClass::Relay), topic.durability));
    let change = async |durability: Option<Option<DurabilityClass>>| {
        let patch = TopicPatch { durability, ..TopicPatch::default() };
        topics.update(&tenant.owner, instance.id, "vehicle", None, patch).await.expect("changed")
    };
    for (patch, durability, told) in [
        (None, Some(DurabilityClass::Relay), false),
        (Some(Some(DurabilityClass::Relay)), Some(DurabilityClass::Relay), false),
        (Some(Some(DurabilityClass::Always)), Some(DurabilityClass::Always), true),
        (Some(Some(DurabilityClass::Logged)), Some(DurabilityClass::Logged), true),
        (Some(Some(DurabilityClass::Synced)), Some(DurabilityClass::Synced), true),
        (Some(None), None, true),
    ] {
        let (topic, written) = change(patch).await;
        assert_eq!((topic.durability, written.generation.is_some()), (durability, told), "{patch:?}");
        assert_eq!(topics.get(&tenant.owner, instance.id, "vehicle").await.expect("it is there"), topic);
        assert_eq!(document().await, durability);
    }
}

#[tokio::test]
async fn history_has_bounds() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let topics = &world.services.topics;
    for (secs, bytes, pointer) in [
        (Some(59), None, Some("/history/retention_secs")),
        (Some(60), None, None),
        (Some(2_592_000), None, None),
        (Some(2_592_001), None, Some("/history/retention_secs")),
        (None, Some((1 << 20) - 1), Some("/history/retention_bytes")),
        (None, Some(1 << 20), None),
        (None, Some(1 << 40), None),
        (None, Some((1 << 40) + 1), Some("/history/retention_bytes")),
    ] {
        let history =
            HistoryPatch { enabled: Some(true), retention_secs: secs, retention_bytes: bytes.map(Some) };
        let name = format!("t-{}-{}", secs.unwrap_or(0), bytes.unwrap_or(0));
        let outcome = topics.create(&tenant.owner, instance.id, NewTopic { history, ..named(&name) }).await;
        match (outcome, pointer) {
            (Ok(_), None) => {}
            (Err(CreateTopicError::Invalid(invalid)), Some(pointer)) => {
                assert_eq!(
                    (invalid.0[0].pointer.as_str(), invalid.0[0].code),
                    (pointer, "out_of_bounds"),
                    "{name}"
                );
            }
            (outcome, _) => panic!("{name}: {outcome:?}"),
        }
    }
}
