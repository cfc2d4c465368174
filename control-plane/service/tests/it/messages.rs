//! Stored messages over several nodes, and publishing to one: with nodes that play their part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::base64::Base64;
use contract::ids::{InstanceId, NodeId};
use contract::message::{
    MessageId, MessageProperties, MessageQuery, MessagesAnswer, Order, PayloadFormat, PublishAnswer,
    PublishRequest, StoredMessage, UserProperty,
};
use contract::node::NodeReport;
use contract::qos::Qos;
use contract::shared_group::{SharedGroupsAnswer, SharedGroupsQuery};
use contract::topic::TopicFilter;
use serde_json::json;
use service::access::{AccessError, Role};
use service::clock::millis;
use service::instances::Instance;
use service::messages::{
    MessagePage, MessagesQuery, NewMessage, PublishError, QueryMessagesError, SHOWN_PAYLOAD_BYTES_MAX,
};
use service::node_calls::{Call, Missing, NodeCallError, NodeCalls, Peer};
use service::nodes::NodeCaller;
use service::page::ListQuery;
use service::topics::{HistoryPatch, NewTopic};
use tokio::sync::Notify;

use crate::access::no_message;
use crate::world::{Tenant, World, caller, no_instance};

/// One node's log, by its name, and how it takes calls.
#[derive(Clone, Default)]
pub(crate) struct Cast(Arc<Mutex<BTreeMap<String, Part>>>);

#[derive(Default)]
struct Part {
    log: Vec<(InstanceId, StoredMessage)>,
    fails: Option<NodeCallError>,
    published: Vec<PublishRequest>,
    asked: usize,
    /// How long it takes to give messages, how many calls it is at, and at how many it has been.
    takes: Duration,
    running: usize,
    most_running: usize,
    /// Is told that a message came, and tells when to go on.
    publishing: Option<Arc<Notify>>,
}

impl Cast {
    fn with<T>(&self, node: &str, act: impl FnOnce(&mut Part) -> T) -> T {
        act(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(node.to_owned()).or_default())
    }

    /// Stores a message on a node.
    fn store(&self, node: &str, instance: InstanceId, topic: &str, client: &str, at: DateTime<Utc>) {
        self.with(node, |part| {
            let payload = Base64(topic.as_bytes().to_vec());
            let message = StoredMessage {
                id: MessageId { shard: 0, record: part.log.len() as u64 + 1, index: 0 },
                topic: topic.to_owned(),
                client_id: Some(client.to_owned()),
                qos: Qos::AtLeastOnce,
                retain: false,
                stored_at: millis(at),
                bytes: payload.0.len() as u64,
                payload,
                expires_at: None,
                properties: MessageProperties::default(),
                content: Vec::new(),
            };
            part.log.push((instance, message));
        });
    }

    fn fail(&self, node: &str, how: NodeCallError) {
        self.with(node, |part| part.fails = Some(how));
    }
}

/// The most messages that a node looks at in one call, so that it is asked again.
const STEP: usize = 3;

impl Part {
    fn answer(&mut self, query: &MessageQuery) -> Result<MessagesAnswer, NodeCallError> {
        self.asked += 1;
        if let Some(error) = &self.fails {
            return Err(error.clone());
        }
        let filter: Option<TopicFilter> =
            query.topic_filter.as_ref().map(|filter| filter.parse().expect("a filter that was checked"));
        let mut log: Vec<&StoredMessage> = self.log.iter().map(|(_, message)| message).collect();
        if query.order == Order::Newest {
            log.reverse();
        }
        let from = query.after.map_or(0, |after| {
            log.iter().position(|message| message.id == after).expect("a place that it gave") + 1
        });
        let looked_at = &log[from..log.len().min(from + STEP)];
        let next = looked_at.last().filter(|_| from + STEP < log.len()).map(|message| message.id);
        let of = |message: &StoredMessage| {
            let own = |(instance, known): &(InstanceId, StoredMessage)| {
                *instance == query.instance && known.id == message.id
            };
            self.log.iter().any(own)
                && (query.from..query.to).contains(&message.stored_at)
                && filter.as_ref().is_none_or(|filter| filter.matches(&message.topic))
                && query.client_id.as_ref().is_none_or(|client| message.client_id.as_ref() == Some(client))
                && query.id.is_none_or(|id| id == message.id)
        };
        let found = looked_at.iter().filter(|message| of(message));
        let items: Vec<StoredMessage> = found
            .map(|message| {
                let mut message = (*message).clone();
                message.payload.0.truncate(usize::try_from(query.payload_bytes_max).unwrap_or(usize::MAX));
                message
            })
            .collect();
        // A node that has more than was asked for says so.
        assert!(items.len() <= query.limit as usize || query.limit > 0);
        let cut = items.len() > query.limit as usize;
        let items: Vec<_> = items.into_iter().take(query.limit as usize).collect();
        let next = if cut { items.last().map(|message| message.id) } else { next };
        Ok(MessagesAnswer { items, next, covered_from: query.from, complete: true })
    }
}

impl NodeCalls for Cast {
    fn messages(&self, node: &Peer, query: &MessageQuery) -> Call<MessagesAnswer> {
        let (answer, takes) = self.with(&node.name, |part| {
            part.running += 1;
            part.most_running = part.most_running.max(part.running);
            (part.answer(query), part.takes)
        });
        let (cast, node) = (self.clone(), node.name.clone());
        Box::pin(async move {
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            cast.with(&node, |part| part.running -= 1);
            answer
        })
    }

    fn publish(&self, node: &Peer, request: &PublishRequest) -> Call<PublishAnswer> {
        let answer = self.with(&node.name, |part| {
            if let Some(error) = &part.fails {
                return Err(error.clone());
            }
            part.published.push(request.clone());
            let id = MessageId { shard: 0, record: part.published.len() as u64, index: 0 };
            Ok(PublishAnswer { id: Some(id), matched: 2 })
        });
        let publishing = self.with(&node.name, |part| part.publishing.clone());
        Box::pin(async move {
            if let Some(publishing) = publishing {
                publishing.notify_one();
                publishing.notified().await;
            }
            answer
        })
    }

    fn shared_groups(&self, _: &Peer, _: &SharedGroupsQuery) -> Call<SharedGroupsAnswer> {
        unreachable!("nobody asks for shared subscriptions here")
    }
}

/// A platform with nodes, and an instance whose topic `cars` keeps history.
struct Scene {
    world: World,
    tenant: Tenant,
    instance: Instance,
    cast: Arc<Cast>,
}

impl Scene {
    async fn with_nodes(names: &[&str]) -> Self {
        let cast = Arc::new(Cast::default());
        let world = World::with_nodes(cast.clone()).await;
        let (tenant, instance) = world.demo().await;
        let history = HistoryPatch { enabled: Some(true), ..HistoryPatch::default() };
        let new = NewTopic { name: "cars".to_owned(), history, ..NewTopic::default() };
        world.services.topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
        for name in names {
            let node = world.node(name).await;
            report(&world, node, Some("http://127.0.0.1:9466"), &instance, 1).await;
        }
        world.pass(TimeDelta::minutes(10));
        Self { world, tenant, instance, cast }
    }

    fn at(&self, secs_ago: i64) -> DateTime<Utc> {
        self.world.services.now() - TimeDelta::seconds(secs_ago)
    }

    fn store(&self, node: &str, topic: &str, client: &str, secs_ago: i64) {
        self.cast.store(node, self.instance.id, topic, client, self.at(secs_ago));
    }

    async fn list(&self, query: &MessagesQuery) -> Result<MessagePage, QueryMessagesError> {
        self.world.services.messages.list(&self.tenant.owner, self.instance.id, query).await
    }

    async fn topics(&self, query: &MessagesQuery) -> Vec<String> {
        let page = self.list(query).await.expect("a page");
        page.items.into_iter().map(|message| message.topic).collect()
    }

    async fn publish(&self, topic: &str) -> Result<service::messages::Published, PublishError> {
        let new = NewMessage {
            topic: topic.to_owned(),
            payload: b"stop".to_vec(),
            qos: Qos::AtLeastOnce,
            retain: false,
            ..no_message()
        };
        self.world.services.messages.publish(&self.tenant.owner, self.instance.id, new).await
    }
}

pub(crate) async fn report(
    world: &World,
    node: NodeCaller,
    address: Option<&str>,
    instance: &Instance,
    connections: u64,
) {
    let connections = BTreeMap::from([(instance.id, connections)]);
    let told = NodeReport { address: address.map(str::to_owned), connections, ..NodeReport::default() };
    world.services.nodes.report(node, told).await.expect("heard");
}

fn filter(filter: &str) -> MessagesQuery {
    MessagesQuery { topic_filter: Some(filter.to_owned()), ..MessagesQuery::default() }
}

#[tokio::test]
async fn messages_of_several_nodes_are_one_list_that_can_be_paged() {
    let scene = Scene::with_nodes(&["one", "two", "three"]).await;
    for (node, secs_ago) in
        [("one", 90), ("two", 80), ("two", 70), ("one", 60), ("two", 50), ("two", 40), ("one", 30)]
    {
        scene.store(node, &format!("cars/{secs_ago}"), "car-001", secs_ago);
    }
    let newest = ["30", "40", "50", "60", "70", "80", "90"].map(|at| format!("cars/{at}"));
    assert_eq!(scene.topics(&filter("cars/#")).await, newest);
    for order in [Order::Newest, Order::Oldest] {
        let mut query = MessagesQuery { order, limit: Some(3), ..filter("cars/#") };
        let mut pages = Vec::new();
        loop {
            let page = scene.list(&query).await.expect("a page");
            assert!(page.coverage.complete);
            pages.push(page.items.iter().map(|message| message.topic.clone()).collect::<Vec<_>>());
            let Some(cursor) = page.next_cursor else { break };
            query.cursor = Some(cursor);
            // What comes between two pages belongs to neither.
            scene.store("one", "cars/new", "car-001", 0);
            scene.world.pass(TimeDelta::minutes(6));
        }
        let expected = match order {
            Order::Newest => newest.to_vec(),
            Order::Oldest => newest.iter().rev().cloned().collect(),
        };
        let kept = pages.concat().into_iter().filter(|topic| topic != "cars/new").collect::<Vec<_>>();
        assert_eq!(kept, expected, "{order:?}");
        assert_eq!(pages[0].len(), 3);
        scene.cast.with("one", |part| part.log.retain(|(_, message)| message.topic != "cars/new"));
        scene.world.pass(TimeDelta::minutes(-12));
    }
}

#[tokio::test]
async fn a_message_has_one_name_on_every_page_and_can_be_had_by_it() {
    let scene = Scene::with_nodes(&["one", "two"]).await;
    scene.store("one", "cars/1", "car-001", 20);
    scene.store("two", "cars/2", "car-002", 10);
    let page = scene.list(&filter("cars/#")).await.expect("a page");
    let ids: Vec<MessageId> = page.items.iter().map(|message| message.id).collect();
    assert_ne!(ids[0], ids[1], "both are the first message of their node");
    let messages = &scene.world.services.messages;
    for (id, topic) in ids.iter().zip(["cars/2", "cars/1"]) {
        let found = messages.get(&scene.tenant.owner, scene.instance.id, *id).await.expect("found");
        assert_eq!((found.id, found.topic.as_str(), &found.payload.0[..]), (*id, topic, topic.as_bytes()));
        let query = MessagesQuery { id: Some(*id), ..MessagesQuery::default() };
        assert_eq!(scene.topics(&query).await, [topic]);
    }
    let nothing = MessageId { shard: 9, record: 1, index: 0 };
    for id in [nothing, MessageId { record: 7, ..ids[0] }] {
        let outcome = messages.get(&scene.tenant.owner, scene.instance.id, id).await;
        assert!(matches!(outcome, Err(QueryMessagesError::Access(AccessError::NotFound { .. }))));
    }
}

#[tokio::test]
async fn what_narrows_narrows() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.store("one", "cars/a", "car-001", 30);
    scene.store("one", "cars/b", "car-002", 20);
    scene.cast.store("one", no_instance(), "cars/c", "car-001", scene.at(10));
    let client_id = Some("car-001".to_owned());
    for (query, expected) in [
        (MessagesQuery::default(), &["cars/b", "cars/a"][..]),
        (filter("cars/+"), &["cars/b", "cars/a"]),
        (filter("cars/a"), &["cars/a"]),
        (MessagesQuery { client_id, ..MessagesQuery::default() }, &["cars/a"]),
        (MessagesQuery { from: Some(scene.at(25)), ..MessagesQuery::default() }, &["cars/b"]),
        (MessagesQuery { to: Some(scene.at(25)), ..MessagesQuery::default() }, &["cars/a"]),
        (MessagesQuery { limit: Some(1), ..MessagesQuery::default() }, &["cars/b"]),
    ] {
        assert_eq!(scene.topics(&query).await, expected, "{query:?}");
    }
}

#[tokio::test]
async fn a_node_that_cannot_be_asked_is_named() {
    let scene = Scene::with_nodes(&["one", "two", "three"]).await;
    scene.store("one", "cars/1", "car-001", 20);
    scene.store("two", "cars/2", "car-001", 10);
    scene.cast.fail("two", NodeCallError::NotReached);
    let closed = scene.world.node("closed").await;
    report(&scene.world, closed, None, &scene.instance, 0).await;
    let page = scene.list(&filter("cars/#")).await.expect("a page");
    assert_eq!(page.items.iter().map(|message| message.topic.as_str()).collect::<Vec<_>>(), ["cars/1"]);
    assert!(!page.coverage.complete);
    let mut missing: Vec<_> =
        page.coverage.missing.iter().map(|node| (node.name.as_str(), node.reason)).collect();
    missing.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(missing, [("closed", Missing::Closed), ("two", Missing::Unreachable)]);
    for node in ["one", "three"] {
        scene.cast.fail(node, NodeCallError::TimedOut);
    }
    let outcome = scene.list(&filter("cars/#")).await;
    assert!(matches!(outcome, Err(QueryMessagesError::NodeUnavailable)), "{outcome:?}");
}

#[tokio::test]
async fn a_node_that_was_gone_before_history_began_holds_nothing_and_is_not_missed() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    world.node("gone").await;
    world.pass(TimeDelta::minutes(2));
    world.node("here").await;
    let history = HistoryPatch { enabled: Some(true), ..HistoryPatch::default() };
    let new = NewTopic { name: "cars".to_owned(), history, ..NewTopic::default() };
    world.services.topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
    let outcome = world.services.messages.list(&tenant.owner, instance.id, &filter("cars/#")).await;
    // Nobody can be called in this world, so that whoever counts is missed.
    assert!(matches!(outcome, Err(QueryMessagesError::NodeUnavailable)), "{outcome:?}");
    world.sql("DELETE FROM join_token; DELETE FROM node WHERE name = 'here'");
    let page = world.services.messages.list(&tenant.owner, instance.id, &filter("cars/#")).await;
    let coverage = page.expect("a page").coverage;
    assert_eq!((coverage.missing, coverage.complete), (vec![], true));
}

#[tokio::test]
async fn a_query_that_cannot_be_is_refused_by_name() {
    let scene = Scene::with_nodes(&["one"]).await;
    let other_list = scene.list(&MessagesQuery { limit: Some(1), ..filter("cars/#") }).await.expect("a page");
    assert_eq!(other_list.next_cursor, None);
    let list = async |query: MessagesQuery| scene.list(&query).await.expect_err("refused");
    assert!(matches!(list(filter("a/#/b")).await, QueryMessagesError::TopicFilter { .. }));
    assert!(matches!(list(filter("bikes/#")).await, QueryMessagesError::HistoryDisabled { .. }));
    let limit = MessagesQuery { limit: Some(201), ..filter("cars/#") };
    assert!(matches!(list(limit).await, QueryMessagesError::Limit(201)));
    let window = MessagesQuery { from: Some(scene.at(0)), to: Some(scene.at(5)), ..filter("cars/#") };
    assert!(matches!(list(window).await, QueryMessagesError::Window));
    scene.store("one", "cars/1", "car-001", 20);
    scene.store("one", "cars/2", "car-001", 10);
    let first = scene.list(&MessagesQuery { limit: Some(1), ..filter("cars/#") }).await.expect("a page");
    let cursor = first.next_cursor.expect("one more");
    let elsewhere = MessagesQuery { limit: Some(1), cursor: Some(cursor), ..filter("cars/+") };
    assert!(matches!(list(elsewhere).await, QueryMessagesError::Cursor));
}

#[tokio::test]
async fn only_who_may_see_payloads_sees_them() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.store("one", "cars/1", "car-001", 20);
    let viewer = {
        let owner = scene.tenant.owner.member().expect("a person");
        caller(owner, scene.tenant.id, Role::Viewer)
    };
    let messages = &scene.world.services.messages;
    let plain = messages.list(&viewer, scene.instance.id, &filter("cars/#")).await.expect("a page");
    assert!(plain.items[0].payload.0.is_empty());
    let id = plain.items[0].id;
    let with_payload = MessagesQuery { payload: true, ..filter("cars/#") };
    let denied = messages.list(&viewer, scene.instance.id, &with_payload).await;
    let missing = "messages:read_payload";
    let is_denied = |error: &QueryMessagesError| matches!(error, QueryMessagesError::Access(AccessError::PermissionDenied { missing: it }) if *it == missing);
    assert!(denied.as_ref().is_err_and(is_denied), "{denied:?}");
    assert!(messages.payload(&viewer, scene.instance.id, id).await.as_ref().is_err_and(is_denied));
    let shown = messages.get(&viewer, scene.instance.id, id).await.expect("the rest of it");
    assert!(shown.payload.0.is_empty());
    let page = scene.list(&with_payload).await.expect("a page");
    assert_eq!(page.items[0].payload.0, b"cars/1");
    let whole = messages.payload(&scene.tenant.owner, scene.instance.id, id).await.expect("the payload");
    assert_eq!(whole.payload.0, b"cars/1");
}

#[tokio::test]
async fn a_large_payload_is_shown_cut_and_downloaded_whole() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.store("one", "cars/1", "car-001", 20);
    let large = vec![b'x'; usize::try_from(SHOWN_PAYLOAD_BYTES_MAX).expect("fits") + 1];
    scene.cast.with("one", |part| {
        let message = &mut part.log[0].1;
        message.bytes = large.len() as u64;
        message.payload = Base64(large.clone());
    });
    let id = scene.list(&filter("cars/#")).await.expect("a page").items[0].id;
    let (messages, owner) = (&scene.world.services.messages, &scene.tenant.owner);
    let shown = messages.get(owner, scene.instance.id, id).await.expect("the message");
    assert_eq!((shown.payload.0.len(), shown.bytes), (large.len() - 1, large.len() as u64));
    let whole = messages.payload(owner, scene.instance.id, id).await.expect("the payload");
    assert_eq!(whole.payload.0, large);
}

#[tokio::test]
async fn a_tenant_reads_few_whole_payloads_at_one_time() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.store("one", "cars/1", "car-001", 20);
    let id = scene.list(&filter("cars/#")).await.expect("a page").items[0].id;
    scene.cast.with("one", |part| part.takes = Duration::from_millis(100));
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (messages, owner) = (scene.world.services.messages.clone(), scene.tenant.owner.clone());
        let instance = scene.instance.id;
        reads.spawn(async move { messages.payload(&owner, instance, id).await.expect("the payload") });
    }
    assert_eq!(reads.join_all().await.len(), 6);
    assert_eq!(scene.cast.with("one", |part| (part.most_running, part.running)), (4, 0));
}

#[tokio::test]
async fn what_is_or_may_be_published_is_in_the_audit_log_without_its_payload() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.world.pass(TimeDelta::minutes(-10));
    let published = scene.publish("cars/1/down").await.expect("published");
    for failure in [NodeCallError::Broken, NodeCallError::TimedOut, NodeCallError::NotBelieved] {
        scene.cast.fail("one", failure);
        assert!(scene.publish("cars/2").await.is_err_and(|error| error.is_uncertain()));
    }
    let stopping = NodeCallError::Refused { code: "node_stopping".to_owned() };
    scene.cast.fail("one", stopping);
    assert!(scene.publish("cars/2").await.is_err_and(|error| error.is_uncertain()), "it may have taken it");
    for failure in [NodeCallError::NotReached, NodeCallError::Refused { code: "busy".to_owned() }] {
        scene.cast.fail("one", failure);
        assert!(scene.publish("cars/3").await.is_err_and(|error| !error.is_uncertain()));
    }
    scene.publish("cars/+").await.expect_err("no topic");
    let log = &scene.world.services.audit;
    let page = log.list(&scene.tenant.owner, scene.tenant.id, &ListQuery::default()).await.expect("a page");
    let mut rows: Vec<_> = page.items.into_iter().filter(|row| row.action == "publish_message").collect();
    rows.sort_unstable_by_key(|row| row.id);
    let after: Vec<_> = rows.iter().filter_map(|row| row.after.clone()).collect();
    let sent = json!({"topic": "cars/1/down", "bytes": 4, "id": published.id, "matched": 2});
    let unknown = json!({"topic": "cars/2", "bytes": 4, "uncertain": true});
    assert_eq!(after.iter().filter(|it| **it == sent).count(), 1);
    assert_eq!(after.iter().filter(|it| **it == unknown).count(), 4);
    assert_eq!(after.len(), 5, "what was refused is not there: {after:?}");
    for row in &rows {
        assert_eq!((row.resource.as_str(), row.resource_id.as_str()), ("topic", "cars"));
        assert_eq!((row.instance, row.actor), (Some(scene.instance.id), scene.tenant.owner.actor));
    }
}

#[tokio::test]
async fn a_message_to_be_retained_is_handed_on_as_such() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.world.pass(TimeDelta::minutes(-10));
    let messages = &scene.world.services.messages;
    for (payload, retain) in [(&b"on"[..], true), (b"", true), (b"on", false)] {
        let topic = "cars/1".to_owned();
        let new =
            NewMessage { topic, payload: payload.to_vec(), qos: Qos::AtLeastOnce, retain, ..no_message() };
        messages.publish(&scene.tenant.owner, scene.instance.id, new).await.expect("published");
        let sent = scene.cast.with("one", |part| part.published.last().cloned()).expect("it was sent");
        assert_eq!((sent.payload.0.as_slice(), sent.retain), (payload, retain));
    }
    scene.cast.fail("one", NodeCallError::Refused { code: "retained_max".to_owned() });
    let error = scene.publish("cars/1").await.expect_err("refused");
    assert!(matches!(error, PublishError::State(_)) && !error.is_uncertain(), "{error:?}");
    assert!(error.to_string().contains("all the retained messages"), "{error}");
}

#[tokio::test]
async fn what_a_message_carries_is_handed_on_and_what_is_no_good_of_it_is_named() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.world.pass(TimeDelta::minutes(-10));
    let publish = async |new: NewMessage| {
        let new = NewMessage { qos: Qos::AtLeastOnce, ..new };
        scene.world.services.messages.publish(&scene.tenant.owner, scene.instance.id, new).await
    };
    let pair = |name: &str| UserProperty { name: name.to_owned(), value: String::new() };
    let properties = MessageProperties {
        payload_format: Some(PayloadFormat::Text),
        content_type: Some("text/plain".to_owned()),
        user_properties: vec![pair("b"), pair("a"), pair("b")],
        ..MessageProperties::default()
    };
    let topic = |name: &str| NewMessage { topic: name.to_owned(), ..no_message() };
    let whole = NewMessage { expires_in_secs: Some(7), properties: properties.clone(), ..topic("cars/1") };
    publish(whole).await.expect("published");
    let sent = scene.cast.with("one", |part| part.published.last().cloned()).expect("it was sent");
    assert_eq!((sent.expires_in_secs, sent.properties), (Some(7), properties));
    let many = MessageProperties { user_properties: vec![pair("a"); 65], ..MessageProperties::default() };
    for (new, pointer) in [
        (NewMessage { expires_in_secs: Some(0), ..topic("cars/1") }, "/expires_in_secs"),
        (NewMessage { properties: many, ..topic("cars/1") }, "/properties/user_properties"),
        (NewMessage { retain: true, ..topic("cars/p2p/car-001") }, "/retain"),
    ] {
        let refused = publish(new).await;
        let is_named = matches!(&refused, Err(PublishError::Invalid(it)) if it.0[0].pointer == pointer);
        assert!(is_named, "{pointer}: {refused:?}");
    }
    for (code, pointer) in [
        ("properties_bytes_max", "/properties"),
        ("user_properties_max", "/properties/user_properties"),
        ("payload_format_invalid", "/properties/payload_format"),
    ] {
        scene.cast.fail("one", NodeCallError::Refused { code: code.to_owned() });
        let refused = publish(topic("cars/1")).await;
        let is_named = matches!(&refused, Err(PublishError::Invalid(it)) if it.0[0].pointer == pointer);
        assert!(is_named, "{code}: {refused:?}");
    }
}

#[tokio::test]
async fn properties_are_shown_where_payloads_are() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.store("one", "cars/1", "car-001", 20);
    let carried =
        MessageProperties { content_type: Some("text/plain".to_owned()), ..MessageProperties::default() };
    scene.cast.with("one", |part| part.log[0].1.properties = carried.clone());
    let owner = &scene.tenant.owner;
    let viewer = caller(owner.member().expect("a person"), scene.tenant.id, Role::Viewer);
    let plain = scene.list(&filter("cars/#")).await.expect("a page").items;
    assert!(plain[0].properties.is_empty(), "not asked for");
    let query = MessagesQuery { payload: true, ..filter("cars/#") };
    assert_eq!(scene.list(&query).await.expect("a page").items[0].properties, carried);
    let messages = &scene.world.services.messages;
    let get =
        async |by| messages.get(by, scene.instance.id, plain[0].id).await.expect("the message").properties;
    assert_eq!(get(owner).await, carried);
    assert!(get(&viewer).await.is_empty());
}

#[tokio::test]
async fn a_publication_that_nobody_waits_for_any_more_is_in_the_audit_log() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.world.pass(TimeDelta::minutes(-10));
    let asked = Arc::new(Notify::new());
    scene.cast.with("one", |part| part.publishing = Some(Arc::clone(&asked)));
    tokio::select! {
        biased;
        outcome = scene.publish("cars/1") => panic!("the node has not answered: {outcome:?}"),
        () = asked.notified() => {}
    }
    asked.notify_one();
    let noted = async {
        let (log, query) = (&scene.world.services.audit, ListQuery::default());
        loop {
            let page = log.list(&scene.tenant.owner, scene.tenant.id, &query).await.expect("a page");
            if page.items.iter().any(|row| row.action == "publish_message") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), noted).await.expect("it is noted");
}

#[tokio::test]
async fn another_tenants_messages_are_not_there() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.store("one", "cars/1", "car-001", 20);
    let id = scene.list(&filter("cars/#")).await.expect("a page").items[0].id;
    let stranger = scene.world.tenant("stranger").await;
    let theirs = scene.world.instance(&stranger, "theirs").await;
    let messages = &scene.world.services.messages;
    let outcome = messages.list(&stranger.owner, scene.instance.id, &MessagesQuery::default()).await;
    assert!(matches!(outcome, Err(QueryMessagesError::Access(AccessError::NotFound { .. }))));
    for instance in [scene.instance.id, theirs.id] {
        let outcome = messages.get(&stranger.owner, instance, id).await;
        assert!(matches!(outcome, Err(QueryMessagesError::Access(AccessError::NotFound { .. }))));
    }
}

#[tokio::test]
async fn a_message_goes_to_the_one_reachable_node_with_most_clients() {
    let scene = Scene::with_nodes(&[]).await;
    assert!(matches!(scene.publish("cars/1").await, Err(PublishError::NodeUnavailable)));
    let nodes: Vec<(&str, NodeCaller)> = {
        let mut nodes = Vec::new();
        for name in ["few", "many", "silent"] {
            nodes.push((name, scene.world.node(name).await));
        }
        nodes
    };
    let address = Some("http://127.0.0.1:9466");
    report(&scene.world, nodes[2].1, address, &scene.instance, 99).await;
    scene.world.pass(TimeDelta::seconds(20));
    report(&scene.world, nodes[0].1, address, &scene.instance, 1).await;
    report(&scene.world, nodes[1].1, address, &scene.instance, 5).await;
    let published = scene.publish("cars/1").await.expect("published");
    assert_eq!(published.matched, 2);
    let counts = || ["few", "many", "silent"].map(|name| scene.cast.with(name, |part| part.published.len()));
    assert_eq!(counts(), [0, 1, 0]);
    let request = scene.cast.with("many", |part| part.published[0].clone());
    assert_eq!((request.instance, &request.payload.0[..]), (scene.instance.id, &b"stop"[..]));
    scene.cast.fail("many", NodeCallError::NotReached);
    scene.publish("cars/1").await.expect("published by another");
    assert_eq!(counts(), [1, 1, 0]);
    scene.cast.fail("many", NodeCallError::Broken);
    assert!(matches!(scene.publish("cars/1").await, Err(PublishError::Unknown)));
    assert_eq!(counts(), [1, 1, 0], "it may have been published: nobody else is asked");
}

#[tokio::test]
async fn a_message_that_cannot_be_is_refused_at_its_member() {
    let scene = Scene::with_nodes(&["one"]).await;
    for (topic, code) in
        [("cars/+", "invalid"), ("", "invalid"), ("$SYS/a", "invalid"), ("bikes/a", "unknown")]
    {
        match scene.publish(topic).await {
            Err(PublishError::Invalid(invalid)) => {
                assert_eq!((invalid.0[0].pointer.as_str(), invalid.0[0].code), ("/topic", code), "{topic}");
            }
            other => panic!("{topic}: {other:?}"),
        }
    }
    scene.world.services.instances.suspend(&scene.tenant.owner, scene.instance.id).await.expect("suspended");
    assert!(matches!(scene.publish("cars/1").await, Err(PublishError::State(_))));
}

#[tokio::test]
async fn where_a_node_is_comes_from_the_node_and_is_loopback() {
    let scene = Scene::with_nodes(&["one"]).await;
    let node = scene.world.node("two").await;
    let address = async |node: NodeId| {
        scene.world.services.nodes.get(&scene.world.operator, node).await.expect("a node").address
    };
    for (told, kept) in [
        (Some("http://127.0.0.1:9466"), Some("http://127.0.0.1:9466")),
        (Some("http://[::1]:9466"), Some("http://[::1]:9466")),
        (None, None),
        (Some("http://192.0.2.1:80"), None),
        (Some("http://127.0.0.1:0"), None),
        (Some("http://localhost:80"), None),
        (Some("http://127.0.0.1:80/path"), None),
        (Some("https://127.0.0.1:80"), None),
    ] {
        report(&scene.world, node, told, &scene.instance, 0).await;
        assert_eq!(address(node.node).await.as_deref(), kept, "{told:?}");
    }
}
