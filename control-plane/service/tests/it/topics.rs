//! Topics: names, bounds, revisions.

use std::collections::BTreeMap;

use service::error::{DeleteError, LimitReached, UpdateError};
use service::topics::{CreateTopicError, NewTopic, TopicPatch};

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
