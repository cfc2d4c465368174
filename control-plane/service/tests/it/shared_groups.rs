//! Shared subscriptions over several nodes, with nodes that play their part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use contract::ids::InstanceId;
use contract::message::{MessageQuery, MessagesAnswer, PublishAnswer, PublishRequest};
use contract::shared_group::{SharedGroupKey, SharedGroupState, SharedGroupsAnswer, SharedGroupsQuery};
use contract::time::UnixMillis;
use service::access::{AccessError, Role};
use service::instances::Instance;
use service::node_calls::{Call, Missing, NodeCallError, NodeCalls, Peer};
use service::shared_groups::{ListSharedGroups, ListSharedGroupsError, SharedGroupPage};

use crate::messages::report;
use crate::world::{Tenant, World, caller, no_instance};

/// What a node has been asked, how it fails, and its groups, in any order.
#[derive(Default)]
struct Part {
    asked: Vec<SharedGroupsQuery>,
    fails: Option<NodeCallError>,
    groups: Vec<(InstanceId, SharedGroupState)>,
}

/// The nodes' parts, by their names.
#[derive(Default)]
struct Cast(Mutex<BTreeMap<String, Part>>);

impl Cast {
    fn with<T>(&self, node: &str, act: impl FnOnce(&mut Part) -> T) -> T {
        act(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(node.to_owned()).or_default())
    }

    fn fail(&self, node: &str, how: NodeCallError) {
        self.with(node, |part| part.fails = Some(how));
    }
}

impl NodeCalls for Cast {
    fn messages(&self, _: &Peer, _: &MessageQuery) -> Call<MessagesAnswer> {
        unreachable!("nobody asks for messages here")
    }

    fn publish(&self, _: &Peer, _: &PublishRequest) -> Call<PublishAnswer> {
        unreachable!("nobody publishes here")
    }

    fn shared_groups(&self, node: &Peer, query: &SharedGroupsQuery) -> Call<SharedGroupsAnswer> {
        let answer = self.with(&node.name, |part| {
            part.asked.push(query.clone());
            if let Some(error) = &part.fails {
                return Err(error.clone());
            }
            let fits = |state: &SharedGroupState| {
                query.group.as_ref().is_none_or(|group| state.key.group == *group)
                    && query.after.as_ref().is_none_or(|after| state.key > *after)
            };
            let own =
                part.groups.iter().filter(|(instance, state)| *instance == query.instance && fits(state));
            let mut items: Vec<SharedGroupState> = own.map(|(_, state)| state.clone()).collect();
            items.sort_by(|a, b| a.key.cmp(&b.key));
            let limit = usize::try_from(query.limit).expect("small");
            let has_more = items.len() > limit;
            items.truncate(limit);
            Ok(SharedGroupsAnswer { items, has_more })
        });
        Box::pin(std::future::ready(answer))
    }
}

/// A platform with nodes and an instance.
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
        for name in names {
            let node = world.node(name).await;
            report(&world, node, Some("http://127.0.0.1:9466"), &instance, 1).await;
        }
        Self { world, tenant, instance, cast }
    }

    /// A group of this instance on a node, with so many messages waiting.
    fn group(&self, node: &str, group: &str, filter: &str, waiting: u64) {
        let state = SharedGroupState {
            key: SharedGroupKey { group: group.to_owned(), filter: filter.to_owned() },
            members_connected: 1,
            members_away: 0,
            in_flight: 0,
            waiting_messages: waiting,
            waiting_bytes: 100 * waiting,
            oldest_at: Some(UnixMillis(7)),
            complete: true,
        };
        self.cast.with(node, |part| part.groups.push((self.instance.id, state)));
    }

    async fn list(&self, list: &ListSharedGroups) -> Result<SharedGroupPage, ListSharedGroupsError> {
        self.world.services.shared_groups.list(&self.tenant.owner, self.instance.id, list).await
    }

    /// Group, filter and how many wait, over all pages.
    async fn all(&self, list: &ListSharedGroups) -> Vec<(String, String, u64)> {
        let mut found = Vec::new();
        let mut list = list.clone();
        loop {
            let page = self.list(&list).await.expect("a page");
            assert!(page.items.len() <= list.limit.unwrap_or(50) as usize);
            found.extend(page.items.into_iter().map(|it| (it.key.group, it.key.filter, it.waiting_messages)));
            list.cursor = page.next_cursor;
            if list.cursor.is_none() {
                return found;
            }
        }
    }
}

fn group(name: &str) -> ListSharedGroups {
    ListSharedGroups { group: Some(name.to_owned()), ..ListSharedGroups::default() }
}

fn rows(rows: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
    rows.iter()
        .map(|(group, filter, waiting)| ((*group).to_owned(), (*filter).to_owned(), *waiting))
        .collect()
}

#[tokio::test]
async fn groups_of_several_nodes_are_one_list_that_can_be_paged_and_narrowed() {
    let scene = Scene::with_nodes(&["one", "two", "three"]).await;
    assert_eq!(scene.all(&ListSharedGroups::default()).await, []);
    scene.group("one", "b", "cars/#", 5);
    scene.group("one", "a", "cars/+", 1);
    scene.group("two", "b", "cars/#", 2);
    scene.group("two", "b", "cars/+", 3);
    scene.group("three", "c", "#", 4);
    let whole = rows(&[("a", "cars/+", 1), ("b", "cars/#", 7), ("b", "cars/+", 3), ("c", "#", 4)]);
    for limit in [None, Some(1), Some(2), Some(3), Some(4), Some(200)] {
        assert_eq!(scene.all(&ListSharedGroups { limit, ..ListSharedGroups::default() }).await, whole);
    }
    let of_b = rows(&[("b", "cars/#", 7), ("b", "cars/+", 3)]);
    assert_eq!(scene.all(&ListSharedGroups { limit: Some(1), ..group("b") }).await, of_b);
    assert_eq!(scene.all(&group("cars/#")).await, []);
}

#[tokio::test]
async fn a_node_that_cannot_be_asked_is_named() {
    let scene = Scene::with_nodes(&["one", "two", "new"]).await;
    scene.group("one", "a", "#", 1);
    scene.group("two", "a", "#", 1);
    scene.cast.fail("two", NodeCallError::NotReached);
    scene.cast.fail("new", NodeCallError::Refused { code: "instance_unknown".to_owned() });
    let closed = scene.world.node("closed").await;
    report(&scene.world, closed, None, &scene.instance, 0).await;
    let page = scene.list(&ListSharedGroups::default()).await.expect("a page");
    assert_eq!(page.items.iter().map(|it| it.waiting_messages).collect::<Vec<_>>(), [1]);
    let missing: Vec<_> = page.missing.iter().map(|node| (node.name.as_str(), node.reason)).collect();
    assert_eq!(missing, [("closed", Missing::Closed), ("two", Missing::Unreachable)]);
}

/// What a node has not shown on one page is not made good by its answer to the next.
#[tokio::test]
async fn a_node_that_comes_back_within_a_list_stays_missing() {
    let scene = Scene::with_nodes(&["one", "two"]).await;
    for name in ["a", "b", "c"] {
        scene.group("one", name, "#", 1);
        scene.group("two", name, "#", 1);
    }
    scene.cast.fail("two", NodeCallError::NotReached);
    let mut list = ListSharedGroups { limit: Some(1), ..ListSharedGroups::default() };
    for _ in 0..3 {
        let page = scene.list(&list).await.expect("a page");
        assert_eq!(page.items[0].waiting_messages, 1);
        let missing: Vec<_> = page.missing.iter().map(|node| (node.name.as_str(), node.reason)).collect();
        assert_eq!(missing, [("two", Missing::Unreachable)]);
        scene.cast.with("two", |part| part.fails = None);
        list.cursor = page.next_cursor;
    }
    assert_eq!(list.cursor, None);
    let anew = scene.list(&ListSharedGroups::default()).await.expect("a page");
    assert_eq!((anew.items[0].waiting_messages, anew.missing.len()), (2, 0));
}

#[tokio::test]
async fn a_node_whose_answer_is_none_to_the_question_is_named() {
    let scene = Scene::with_nodes(&["one", "two"]).await;
    scene.group("one", "a", "#", 1);
    scene.group("two", "a", "#", 1);
    scene.group("two", "a", "#", 1);
    let page = scene.list(&ListSharedGroups::default()).await.expect("a page");
    assert_eq!((page.items[0].waiting_messages, page.missing[0].reason), (1, Missing::Failed));
}

#[tokio::test]
async fn where_nobody_answers_that_is_said() {
    let scene = Scene::with_nodes(&["one", "two"]).await;
    let outcome = async || scene.list(&ListSharedGroups::default()).await.expect_err("nobody answers");
    scene.cast.fail("one", NodeCallError::TimedOut);
    scene.cast.fail("two", NodeCallError::TimedOut);
    assert!(matches!(outcome().await, ListSharedGroupsError::TimedOut));
    scene.cast.fail("two", NodeCallError::Broken);
    assert!(matches!(outcome().await, ListSharedGroupsError::NodeUnavailable));
}

#[tokio::test]
async fn a_node_that_was_gone_before_the_instance_was_made_has_no_groups_of_it() {
    let world = World::with_nodes(Arc::new(Cast::default())).await;
    world.node("gone").await;
    world.pass(TimeDelta::minutes(3));
    let (tenant, instance) = world.demo().await;
    let list = ListSharedGroups::default();
    let page = world.services.shared_groups.list(&tenant.owner, instance.id, &list).await.expect("a page");
    assert_eq!((page.items, page.missing, page.next_cursor), (vec![], vec![], None));
}

#[tokio::test]
async fn a_list_that_cannot_be_is_refused_by_name() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.group("one", "a", "x", 1);
    scene.group("one", "b", "x", 1);
    let list = async |list: ListSharedGroups| scene.list(&list).await.expect_err("refused");
    for limit in [0, 201] {
        let bad = ListSharedGroups { limit: Some(limit), ..ListSharedGroups::default() };
        assert!(matches!(list(bad).await, ListSharedGroupsError::Limit(it) if it == limit));
    }
    let one = ListSharedGroups { limit: Some(1), ..ListSharedGroups::default() };
    let cursor = scene.list(&one).await.expect("a page").next_cursor.expect("one more");
    for text in ["", "?", "e30"] {
        let bad = ListSharedGroups { cursor: Some(text.to_owned()), ..one.clone() };
        assert!(matches!(list(bad).await, ListSharedGroupsError::Cursor), "{text}");
    }
    let elsewhere = ListSharedGroups { cursor: Some(cursor.clone()), ..group("a") };
    assert!(matches!(list(elsewhere).await, ListSharedGroupsError::Cursor));
    let other = scene.world.instance(&scene.tenant, "other").await;
    let there = ListSharedGroups { cursor: Some(cursor), ..one };
    let outcome = scene.world.services.shared_groups.list(&scene.tenant.owner, other.id, &there).await;
    assert!(matches!(outcome, Err(ListSharedGroupsError::Cursor)));
}

#[tokio::test]
async fn every_member_sees_groups_and_a_stranger_none() {
    let scene = Scene::with_nodes(&["one"]).await;
    scene.group("one", "a", "#", 1);
    let groups = &scene.world.services.shared_groups;
    let list = ListSharedGroups::default();
    let viewer = caller(scene.tenant.owner.member().expect("a person"), scene.tenant.id, Role::Viewer);
    assert_eq!(groups.list(&viewer, scene.instance.id, &list).await.expect("a page").items.len(), 1);
    let stranger = scene.world.tenant("stranger").await;
    let theirs = scene.world.instance(&stranger, "theirs").await;
    assert_eq!(groups.list(&stranger.owner, theirs.id, &list).await.expect("a page").items, []);
    let asked = scene.cast.with("one", |part| part.asked.len());
    for instance in [scene.instance.id, no_instance()] {
        let outcome = groups.list(&stranger.owner, instance, &list).await;
        assert!(matches!(outcome, Err(ListSharedGroupsError::Access(AccessError::NotFound { .. }))));
    }
    assert_eq!(scene.cast.with("one", |part| part.asked.len()), asked, "no node is bothered");
}
