//! What every write owes: one transaction with its audit row and its generation, or nothing at all.

use contract::feed::TopicMode;
use service::credentials::NewCredential;
use service::instances::InstancePatch;
use service::page::ListQuery;
use service::topics::NewTopic;

use crate::world::World;

#[tokio::test]
async fn rows_audit_and_generation_are_of_one_transaction() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let new = NewTopic { name: "vehicle".to_owned(), ..NewTopic::default() };
    let made = world.services.topics.create(&tenant.owner, instance.id, new).await;
    let number = made.expect("a topic").1.generation.expect("a generation").number;
    world.holds(&format!(
        "SELECT topic.xmin = audit.xmin AND audit.xmin = feed.xmin
         FROM topic, audit, feed WHERE audit.action = 'create_topic' AND feed.number = {number}"
    ));
    let new = NewCredential { username: "car".to_owned(), ..NewCredential::default() };
    let made = world.services.credentials.create(&tenant.owner, instance.id, new).await;
    let (credential, ..) = made.expect("a credential");
    let deleted = world.services.credentials.delete(&tenant.owner, instance.id, credential.id, None).await;
    let written = deleted.expect("deleted");
    world.holds(&format!(
        "SELECT urgent.xmin = audit.xmin AND audit.xmin = feed.xmin
         FROM urgent, audit, feed WHERE audit.action = 'delete_credential'
         AND feed.number = {} AND urgent.sequence = {}",
        written.generation.expect("a generation").number,
        written.urgent_sequence.expect("a place in the lane"),
    ));
}

#[tokio::test]
async fn a_refused_write_leaves_nothing_behind() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let new = || NewTopic { name: "vehicle".to_owned(), ..NewTopic::default() };
    world.services.topics.create(&tenant.owner, instance.id, new()).await.expect("a topic");
    world.sql("CREATE TABLE before AS SELECT count(*) AS audits FROM audit");
    let heads = world.heads().await;
    world.services.topics.create(&tenant.owner, instance.id, new()).await.expect_err("taken");
    world.services.topics.delete(&tenant.owner, instance.id, "bus", None).await.expect_err("unknown");
    let patch = InstancePatch { topic_mode: Some(TopicMode::Open), ..InstancePatch::default() };
    let stale = world.services.instances.update(&tenant.owner, instance.id, Some(99), patch).await;
    stale.expect_err("stale");
    assert_eq!(world.heads().await, heads);
    world.holds("SELECT audits = (SELECT count(*) FROM audit) FROM before");
    world.holds("SELECT topics_used = 1 FROM instance");
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_in_which_request() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let new = NewTopic { name: "vehicle".to_owned(), ..NewTopic::default() };
    world.services.topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
    world.services.topics.delete(&tenant.owner, instance.id, "vehicle", None).await.expect("deleted");
    let query = ListQuery { name: Some("delete_topic".to_owned()), ..ListQuery::default() };
    let page = world.services.audit.list(&tenant.owner, tenant.id, &query).await.expect("a page");
    let [entry] = page.items.as_slice() else { panic!("one entry: {:?}", page.items) };
    assert_eq!(entry.actor, tenant.owner.actor);
    assert_eq!(
        (entry.instance, entry.resource.as_str(), entry.resource_id.as_str(), entry.request_id.as_str()),
        (Some(instance.id), "topic", "vehicle", "request-1")
    );
    assert!(entry.before.is_some() && entry.after.is_none());
}

#[tokio::test]
async fn no_secret_is_stored_as_it_is() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let new = NewCredential { username: "car".to_owned(), ..NewCredential::default() };
    let made = world.services.credentials.create(&tenant.owner, instance.id, new).await;
    let (credential, first, _) = made.expect("a credential");
    let slot = service::credentials::SecretSlot::Secondary;
    let rotated = world.services.credentials.rotate(&tenant.owner, instance.id, credential.id, slot).await;
    let (_, second, _) = rotated.expect("rotated");
    let join = world.services.nodes.create_join_token(&world.operator).await.expect("a join token");
    let token = world
        .services
        .tokens
        .issue(&tenant.owner, instance.id, crate::tokens::for_client("car", 60))
        .await
        .expect("a token");
    let join_secret = join.token.expose().split_once('.').expect("an id and a secret").1.to_owned();
    for secret in [first.expose(), second.expose(), &join_secret, token.text.expose()] {
        world.sql(&format!(
            "DO $$ DECLARE name text; found bigint; BEGIN
               FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
                 EXECUTE format('SELECT count(*) FROM %I AS row WHERE row::text LIKE %L', name, '%{secret}%')
                   INTO found;
                 ASSERT found = 0, name;
               END LOOP; END $$"
        ));
    }
    let mut connection = world.store.read().await.expect("a connection");
    let key = store::signing_keys::find_signing(&mut connection, instance.id).await.expect("answers");
    let sealed = key.expect("a key").1;
    assert!(aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(&sealed).is_err());
    assert!(sealed.len() > 13 + 48, "version, nonce, key and tag");
}
