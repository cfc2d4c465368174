//! Lists: pages, orders, filters, totals, cursors.

use service::error::ListError;
use service::page::ListQuery;
use service::topics::NewTopic;

use crate::world::{World, labels};

#[tokio::test]
async fn pages_join_to_the_whole_list_in_every_order() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    for at in 0..7 {
        let fleet = if at % 2 == 0 { "even" } else { "odd" };
        let name = format!("{}{at}", if at < 4 { "car" } else { "bus" });
        let new = NewTopic { name, labels: labels(&[("fleet", fleet)]), ..NewTopic::default() };
        world.services.topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
        world.pass(chrono::TimeDelta::milliseconds(1));
    }
    let list = async |query: ListQuery| {
        let mut names = Vec::new();
        let mut query = query;
        loop {
            let page = world.services.topics.list(&tenant.owner, instance.id, &query).await.expect("a page");
            assert!(page.items.len() <= 2);
            names.extend(page.items.into_iter().map(|topic| topic.name));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return names.join(" ");
            }
        }
    };
    let by = |sort: &str| ListQuery { limit: Some(2), sort: Some(sort.to_owned()), ..ListQuery::default() };
    for (query, expected) in [
        (by("created_at"), "car0 car1 car2 car3 bus4 bus5 bus6"),
        (by("-created_at"), "bus6 bus5 bus4 car3 car2 car1 car0"),
        (by("name"), "bus4 bus5 bus6 car0 car1 car2 car3"),
        (by("-name"), "car3 car2 car1 car0 bus6 bus5 bus4"),
        (ListQuery { prefix: Some("bus".to_owned()), ..by("name") }, "bus4 bus5 bus6"),
        (ListQuery { name: Some("car1".to_owned()), ..by("name") }, "car1"),
        (ListQuery { labels: labels(&[("fleet", "odd")]), ..by("name") }, "bus5 car1 car3"),
    ] {
        assert_eq!(list(query.clone()).await, expected, "{query:?}");
    }
    let counted = ListQuery { count: true, limit: Some(1), ..ListQuery::default() };
    let page = world.services.topics.list(&tenant.owner, instance.id, &counted).await.expect("a page");
    assert_eq!((page.items.len(), page.total), (1, Some(7)));
}

#[tokio::test]
async fn a_forged_cursor_is_refused() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let credentials = &world.services.credentials;
    for json in [
        r#"{"sort":"-created_at","key":"no time","id":"01900000-0000-7000-8000-000000000000"}"#,
        r#"{"sort":"-created_at","key":"2026-01-01","id":"' OR true --"}"#,
    ] {
        let cursor = contract::base64::Base64(json.as_bytes().to_vec()).encode();
        let query = ListQuery { cursor: Some(cursor), ..ListQuery::default() };
        let listed = credentials.list(&tenant.owner, instance.id, &query).await;
        assert!(matches!(listed, Err(ListError::InvalidCursor)), "{json}: {listed:?}");
    }
}
