//! Channels: who may be called, with which secret, how often, and what is shown of it.

use chrono::TimeDelta;
use contract::ids::InstanceId;
use service::access::Caller;
use service::channels::{
    Channel, ChannelKind, ChannelPatch, DeleteChannelError, Delivery, DeliveryState, NewChannel,
    TEST_SECS_MIN, TestChannelError, WriteChannelError,
};
use service::error::UpdateError;
use service::instances::ChangePlanError;
use service::page::ListQuery;
use service::reconcile;
use service::webhooks::deliver_due;

use crate::alarms::above;
use crate::receiver::Receiver;
use crate::world::World;

pub(crate) fn webhook(name: &str, url: &str) -> NewChannel {
    NewChannel { name: name.to_owned(), kind: ChannelKind::Webhook, url: url.to_owned(), enabled: true }
}

/// The deliveries of a channel, newest first.
pub(crate) async fn deliveries(world: &World, by: &Caller, channel: &Channel) -> Vec<Delivery> {
    let query = ListQuery::default();
    let page = world.services.channels.list_deliveries(by, channel.instance, channel.id, &query).await;
    page.expect("a page").items
}

async fn test(world: &World, by: &Caller, channel: &Channel) -> Delivery {
    world.services.channels.test(by, channel.instance, channel.id).await.expect("on its way")
}

async fn deliver(world: &World) -> u64 {
    deliver_due(&world.services).await.expect("sent")
}

#[tokio::test]
async fn a_channel_is_made_and_its_secret_shown_once() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let channels = &world.services.channels;
    let new = webhook("ops", "https://8.8.8.8/hook?key=hush");
    let (channel, secret) =
        channels.create(&tenant.owner, instance.id, new.clone()).await.expect("a channel");
    assert!(secret.expose().starts_with("whsec_") && secret.expose().len() == 50, "{}", secret.expose());
    assert_eq!(channels.get(&tenant.owner, instance.id, channel.id).await.expect("there"), channel);
    let again = channels.create(&tenant.owner, instance.id, new).await;
    assert!(matches!(again, Err(WriteChannelError::NameTaken(taken)) if taken.name == "ops"));
    world.holds("(SELECT count(*) = 1 FROM channel WHERE length(secret_sealed) > 32)");
    world.holds(
        "NOT EXISTS (SELECT FROM audit WHERE after::text LIKE '%hush%' OR after::text LIKE '%whsec%')",
    );
    world.holds("EXISTS (SELECT FROM audit WHERE action = 'create_channel' AND after->>'host' = '8.8.8.8')");
}

#[tokio::test]
async fn what_the_platform_does_not_call_makes_no_channel() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let channels = &world.services.channels;
    let outcome = async |url: &str| match channels.create(&tenant.owner, instance.id, webhook("x", url)).await
    {
        Err(WriteChannelError::AddressForbidden(_)) => "forbidden",
        Err(WriteChannelError::Invalid(invalid)) => {
            assert_eq!(invalid.0[0].pointer, "/url");
            "invalid"
        }
        Err(error) => panic!("{url}: {error:?}"),
        Ok((channel, _)) => {
            channels.delete(&tenant.owner, instance.id, channel.id, None).await.expect("deleted");
            "made"
        }
    };
    for (url, expected) in [
        ("https://8.8.8.8/", "made"),
        ("http://127.0.0.1:9/", "made"),
        ("http://8.8.8.8/", "forbidden"),
        ("https://10.0.0.1/", "forbidden"),
        ("https://169.254.169.254/latest/meta-data", "forbidden"),
        ("https://[::1]/", "forbidden"),
        ("https://[::ffff:10.0.0.1]/", "forbidden"),
        ("https://0xa000001/", "forbidden"),
        ("ftp://8.8.8.8/", "invalid"),
        ("https://user:pass@8.8.8.8/", "invalid"),
        ("", "invalid"),
    ] {
        assert_eq!(outcome(url).await, expected, "{url}");
    }
    let (channel, _) =
        channels.create(&tenant.owner, instance.id, webhook("x", "https://8.8.8.8/")).await.expect("made");
    let patch = ChannelPatch { url: Some("https://192.168.0.1/".to_owned()), ..ChannelPatch::default() };
    let changed = channels.update(&tenant.owner, instance.id, channel.id, None, patch).await;
    assert!(matches!(changed, Err(WriteChannelError::AddressForbidden(_))), "{changed:?}");
}

#[tokio::test]
async fn limits_revisions_and_use_are_kept() {
    let world = World::new().await;
    world.plan("tiny", &[("channels_max", 1)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "tiny").await.id;
    let (channels, owner) = (&world.services.channels, &tenant.owner);
    let (channel, _) =
        channels.create(owner, instance, webhook("a", "https://8.8.8.8/")).await.expect("made");
    let second = channels.create(owner, instance, webhook("b", "https://8.8.8.8/")).await;
    assert!(
        matches!(second, Err(WriteChannelError::Limit(limit)) if limit.name == "channels_max" && limit.used == 1)
    );
    let renamed = ChannelPatch { name: Some("c".to_owned()), ..ChannelPatch::default() };
    let stale = channels.update(owner, instance, channel.id, Some(7), renamed.clone()).await;
    assert!(matches!(stale, Err(WriteChannelError::Revision(it)) if it.current == 1));
    let channel = channels.update(owner, instance, channel.id, Some(1), renamed).await.expect("renamed");
    assert_eq!((channel.revision, channel.name.as_str()), (2, "c"));
    world.plan("none", &[("channels_max", 1), ("alarm_rules_max", 1)]).await;
    let mut new = above("many", 10, 5);
    new.channels = vec![channel.id];
    let rule = world.services.alarm_rules.create(owner, instance, new).await.expect("a rule");
    world.services.alarm_rules.create(owner, instance, above("more", 10, 5)).await.expect("a rule");
    let refused = world.services.instances.change_plan(owner, instance, "none", false).await;
    let exceeds = |limit: &str| {
        matches!(&refused, Err(ChangePlanError::WouldExceedLimits { exceeded, .. })
        if exceeded.len() == 1 && exceeded[0].name == limit && exceeded[0].used == 2)
    };
    assert!(exceeds("alarm_rules_max"), "{refused:?}");
    let used = channels.delete(owner, instance, channel.id, None).await;
    assert!(matches!(used, Err(DeleteChannelError::InUse(it)) if it.rule == "many"));
    world.services.alarm_rules.delete(owner, instance, rule.id, None).await.expect("deleted");
    channels.delete(owner, instance, channel.id, Some(2)).await.expect("deleted");
}

#[tokio::test]
async fn a_test_arrives_signed_and_is_listed() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let receiver = Receiver::start().await;
    let new = webhook("ops", &receiver.url);
    let (channel, secret) =
        world.services.channels.create(&tenant.owner, instance.id, new).await.expect("a channel");
    let delivery = test(&world, &tenant.owner, &channel).await;
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Pending, 0));
    assert_eq!(deliver(&world).await, 1);
    assert_eq!(deliver(&world).await, 0, "it is not sent twice");
    let [call] = receiver.calls().try_into().expect("one call");
    assert!(call.is_signed_with(secret.expose()) && call.signatures() == 1);
    assert_eq!(call.header("webhook-id"), delivery.id.to_string());
    assert_eq!(call.header("webhook-timestamp"), world.services.now().timestamp().to_string());
    assert_eq!(call.header("content-type"), "application/cloudevents+json");
    let event = call.json();
    assert_eq!((&event["specversion"], &event["type"]), (&"1.0".into(), &"channel.test".into()));
    assert_eq!(event["source"], format!("/v1/instances/{}", instance.id));
    let [told] = deliveries(&world, &tenant.owner, &channel).await.try_into().expect("one");
    assert_eq!((told.state, told.attempts, told.last_status), (DeliveryState::Delivered, 1, Some(204)));
    assert_eq!((told.next_attempt_at, told.last_error), (None, None));
}

#[tokio::test]
async fn what_fails_is_tried_again_under_the_same_id_for_a_day() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let receiver = Receiver::start().await;
    let new = webhook("ops", &receiver.url);
    let (channel, _) =
        world.services.channels.create(&tenant.owner, instance.id, new).await.expect("a channel");
    let long = "x".repeat(1_000);
    receiver.answer(&format!("500 Oops\r\ncontent-length: 1000\r\n\r\n{long}"));
    receiver.answer("302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
    let sent = test(&world, &tenant.owner, &channel).await;
    assert_eq!(deliver(&world).await, 1);
    let [told] = deliveries(&world, &tenant.owner, &channel).await.try_into().expect("one");
    assert_eq!((told.state, told.attempts, told.last_status), (DeliveryState::Pending, 1, Some(500)));
    let error = told.last_error.expect("an error");
    assert!(error.starts_with("answered 500: xxx") && error.len() < 280, "{error}");
    let pause = told.next_attempt_at.expect("again") - world.services.now();
    assert!(pause >= TimeDelta::seconds(5) && pause <= TimeDelta::seconds(6), "{pause}");
    world.pass(TimeDelta::milliseconds(4_999));
    assert_eq!(deliver(&world).await, 0, "not before its time");
    world.pass(TimeDelta::seconds(2));
    assert_eq!(deliver(&world).await, 1);
    let calls = receiver.calls();
    assert_eq!(calls.len(), 2, "a redirect is not followed");
    assert!(calls.iter().all(|call| call.header("webhook-id") == sent.id.to_string()));
    assert_eq!(calls[0].json(), calls[1].json());
    assert_ne!(calls[0].header("webhook-timestamp"), calls[1].header("webhook-timestamp"));
    let [told] = deliveries(&world, &tenant.owner, &channel).await.try_into().expect("one");
    assert_eq!((told.last_status, told.attempts), (Some(302), 2));
    drop(receiver);
    world.pass(TimeDelta::hours(24));
    assert_eq!(deliver(&world).await, 1);
    let [told] = deliveries(&world, &tenant.owner, &channel).await.try_into().expect("one");
    assert_eq!((told.state, told.last_status, told.next_attempt_at), (DeliveryState::Failed, None, None));
    assert!(told.last_error.is_some_and(|error| error.contains("refused")), "nobody listens");
    world.pass(reconcile::DELIVERIES_KEPT);
    assert_eq!(deliver(&world).await, 0);
    assert_eq!(reconcile::expire_alarms(&world.services).await.expect("reconciled"), 0);
    world.pass(TimeDelta::milliseconds(1));
    assert_eq!(reconcile::expire_alarms(&world.services).await.expect("reconciled"), 1);
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_sign() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let receiver = Receiver::start().await;
    let (channels, owner) = (&world.services.channels, &tenant.owner);
    let (channel, old) =
        channels.create(owner, instance.id, webhook("ops", &receiver.url)).await.expect("made");
    let too_long = channels.rotate_secret(owner, instance.id, channel.id, Some(604_801)).await;
    assert!(matches!(too_long, Err(UpdateError::Invalid(_))));
    let (rotated, new) =
        channels.rotate_secret(owner, instance.id, channel.id, Some(60)).await.expect("rotated");
    assert_eq!(rotated.revision, 2);
    assert_eq!(rotated.previous_signs_until, Some(world.services.now() + TimeDelta::seconds(60)));
    test(&world, owner, &channel).await;
    deliver(&world).await;
    world.pass(TimeDelta::seconds(60));
    test(&world, owner, &channel).await;
    deliver(&world).await;
    let signed: Vec<_> = receiver
        .calls()
        .iter()
        .map(|call| (call.signatures(), call.is_signed_with(old.expose()), call.is_signed_with(new.expose())))
        .collect();
    assert_eq!(signed, [(2, true, true), (1, false, true)]);
}

#[tokio::test]
async fn a_disabled_channel_is_told_nothing() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let receiver = Receiver::start().await;
    let (channels, owner) = (&world.services.channels, &tenant.owner);
    let (channel, _) =
        channels.create(owner, instance.id, webhook("ops", &receiver.url)).await.expect("made");
    test(&world, owner, &channel).await;
    let off = ChannelPatch { enabled: Some(false), ..ChannelPatch::default() };
    channels.update(owner, instance.id, channel.id, None, off).await.expect("disabled");
    assert_eq!(deliver(&world).await, 0);
    let [told] = deliveries(&world, owner, &channel).await.try_into().expect("one");
    assert_eq!(
        (told.state, told.last_error.as_deref()),
        (DeliveryState::Failed, Some("the channel was disabled"))
    );
    let refused = channels.test(owner, instance.id, channel.id).await;
    assert!(matches!(refused, Err(TestChannelError::State(_))), "{refused:?}");
    assert!(receiver.calls().is_empty());
}

async fn fill(world: &World, by: &Caller, instance: InstanceId, channel: &Channel, count: usize) {
    for _ in 0..count {
        world.services.channels.test(by, instance, channel.id).await.expect("on its way");
        world.pass(TimeDelta::seconds(TEST_SECS_MIN.cast_signed()));
    }
}

#[tokio::test]
async fn a_channel_is_tried_now_and_then_and_not_all_the_time() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (channels, owner) = (&world.services.channels, &tenant.owner);
    let (one, _) =
        channels.create(owner, instance.id, webhook("one", "https://8.8.8.8/")).await.expect("made");
    let (two, _) =
        channels.create(owner, instance.id, webhook("two", "https://8.8.8.8/")).await.expect("made");
    test(&world, owner, &one).await;
    for (pass, expected) in [(0, 10), (1, 10), (8_998, 2), (1, 1), (999, 1)] {
        world.pass(TimeDelta::milliseconds(pass));
        let refused = channels.test(owner, instance.id, one.id).await;
        assert!(
            matches!(&refused, Err(TestChannelError::Lately(it)) if it.retry_after_secs == expected && it.channel == "one"),
            "{expected}: {refused:?}"
        );
    }
    test(&world, owner, &two).await;
    world.pass(TimeDelta::milliseconds(1));
    test(&world, owner, &one).await;
    assert_eq!(deliveries(&world, owner, &one).await.len(), 2, "what is refused is not sent");
}

#[tokio::test]
async fn what_is_suspended_or_deleted_tells_nothing() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let (tenant, instance) = world.demo().await;
    let (it, owner) = (&world.services, &tenant.owner);
    let made = it.channels.create(owner, instance.id, webhook("ops", &receiver.url)).await;
    let (channel, _) = made.expect("made");
    test(&world, owner, &channel).await;
    it.instances.suspend(owner, instance.id).await.expect("suspended");
    assert_eq!(deliver(&world).await, 0);
    it.instances.resume(owner, instance.id).await.expect("resumed");
    it.tenants.suspend(&world.operator, tenant.id).await.expect("suspended");
    assert_eq!(deliver(&world).await, 0);
    it.tenants.resume(&world.operator, tenant.id).await.expect("resumed");
    // Another instance of the same tenant goes on.
    let other = world.instance(&tenant, "other").await;
    let made = it.channels.create(owner, other.id, webhook("ops", &receiver.url)).await;
    test(&world, owner, &made.expect("made").0).await;
    it.instances.delete(owner, instance.id, None).await.expect("deleted");
    assert_eq!(deliver(&world).await, 1);
    it.instances.restore(owner, instance.id).await.expect("restored");
    it.instances.resume(owner, instance.id).await.expect("resumed");
    assert_eq!(deliver(&world).await, 1);
    assert_eq!(receiver.calls().len(), 2);
}

#[tokio::test]
async fn a_list_is_of_one_channel_of_one_instance() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let other = world.instance(&tenant, "other").await;
    let (channels, owner) = (&world.services.channels, &tenant.owner);
    let made = channels.create(owner, instance.id, webhook("ops", "https://8.8.8.8/")).await;
    let channel = made.expect("made").0;
    let second = channels.create(owner, instance.id, webhook("more", "https://8.8.8.8/")).await;
    for channel in [&channel, &second.expect("made").0] {
        test(&world, owner, channel).await;
    }
    // Ids are unique by chance alone: another instance may have the same.
    world.sql(&format!(
        "INSERT INTO channel SELECT channel_id, '{0}', name, kind, url, enabled, secret_sealed, NULL, NULL,
             created_at, updated_at FROM channel WHERE channel_id = '{1}';
         INSERT INTO delivery SELECT gen_random_uuid(), '{0}', channel_id, tenant_id, event, body, state, 0, NULL,
             NULL, next_attempt_at, created_at FROM delivery WHERE channel_id = '{1}'",
        other.id, channel.id
    ));
    let query = ListQuery { count: true, ..ListQuery::default() };
    let page = channels.list_deliveries(owner, instance.id, channel.id, &query).await.expect("a page");
    assert_eq!((page.total, page.items.len()), (Some(1), 1));
}

#[tokio::test]
async fn tenants_whose_receivers_are_dead_do_not_hold_up_the_others() {
    let world = World::new().await;
    let mut tenants = Vec::new();
    for name in ["dead", "alive"] {
        let tenant = world.tenant(name).await;
        let instance = world.instance(&tenant, "cars").await;
        let new = webhook("ops", "https://8.8.8.8/");
        let made = world.services.channels.create(&tenant.owner, instance.id, new).await;
        fill(&world, &tenant.owner, instance.id, &made.expect("a channel").0, 4).await;
        tenants.push(tenant.id);
    }
    let now = world.services.now();
    let mut first = std::collections::HashSet::new();
    // By chance: that one of them never has its turn comes once in 2^63.
    for _ in 0..64 {
        let mut tx = world.store.begin().await.expect("a transaction");
        let until = now + TimeDelta::seconds(60);
        let taken = store::deliveries::claim_of_all_tenants(&mut tx, (now, until), (4, 4), &[]).await;
        first.extend(taken.expect("taken").iter().map(|it| it.tenant));
    }
    assert_eq!(first.len(), 2, "{first:?}");
}

#[tokio::test]
async fn what_is_pending_is_bounded() {
    let world = World::new().await;
    world.plan("tiny", &[("deliveries_pending_max", 10)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "tiny").await;
    let receiver = Receiver::start().await;
    let (channels, owner) = (&world.services.channels, &tenant.owner);
    let (channel, _) =
        channels.create(owner, instance.id, webhook("ops", &receiver.url)).await.expect("made");
    fill(&world, owner, instance.id, &channel, 10).await;
    let more = channels.test(owner, instance.id, channel.id).await;
    let limits = world.services.instances.limits(owner, instance.id).await.expect("limits");
    let used = |name: &str| limits.iter().find(|row| row.limit.name == name).and_then(|row| row.used);
    assert_eq!((used("deliveries_pending_max"), used("channels_max")), (Some(10), Some(1)));
    assert!(
        matches!(&more, Err(TestChannelError::Limit(limit)) if limit.name == "deliveries_pending_max" && limit.used == 10),
        "{more:?}"
    );
    assert_eq!(deliver(&world).await, 10);
    fill(&world, owner, instance.id, &channel, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_send_each_once() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    for name in ["a", "b", "c"] {
        let tenant = world.tenant(name).await;
        let instance = world.instance(&tenant, "cars").await;
        let new = webhook("ops", &receiver.url);
        let made = world.services.channels.create(&tenant.owner, instance.id, new).await;
        fill(&world, &tenant.owner, instance.id, &made.expect("a channel").0, 7).await;
    }
    let other = world.another_controller();
    let (one, two) = tokio::join!(deliver_due(&world.services), deliver_due(&other));
    assert_eq!(one.expect("sent") + two.expect("sent"), 21);
    let mut ids: Vec<String> =
        receiver.calls().iter().map(|call| call.header("webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 21);
}

#[tokio::test]
async fn what_a_dead_process_had_taken_is_taken_again() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let receiver = Receiver::start().await;
    let new = webhook("ops", &receiver.url);
    let (channel, _) = world.services.channels.create(&tenant.owner, instance.id, new).await.expect("made");
    test(&world, &tenant.owner, &channel).await;
    let now = world.services.now();
    let mut tx = world.store.begin().await.expect("a transaction");
    let until = now + TimeDelta::seconds(60);
    let taken = store::deliveries::claim_of_all_tenants(&mut tx, (now, until), (10, 10), &[]).await;
    assert_eq!(taken.expect("taken").len(), 1);
    tx.commit().await.expect("committed");
    assert_eq!(deliver(&world).await, 0);
    world.pass(TimeDelta::seconds(60));
    assert_eq!(deliver(&world).await, 1);
    let [told] = deliveries(&world, &tenant.owner, &channel).await.try_into().expect("one");
    assert_eq!((told.state, told.attempts), (DeliveryState::Delivered, 2));
}

#[tokio::test]
async fn a_tenant_with_much_to_tell_does_not_hold_up_another() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut tenants = Vec::new();
    for (name, count) in [("loud", 20), ("quiet", 1)] {
        let tenant = world.tenant(name).await;
        let instance = world.instance(&tenant, "cars").await;
        let new = webhook("ops", &receiver.url);
        let made = world.services.channels.create(&tenant.owner, instance.id, new).await;
        fill(&world, &tenant.owner, instance.id, &made.expect("a channel").0, count).await;
        world.pass(TimeDelta::seconds(1));
        tenants.push(tenant.id);
    }
    let now = world.services.now();
    let claim = async |busy: &[contract::ids::TenantId]| {
        let mut tx = world.store.begin().await.expect("a transaction");
        let until = now + TimeDelta::seconds(60);
        let taken = store::deliveries::claim_of_all_tenants(&mut tx, (now, until), (10, 4), busy).await;
        tx.commit().await.expect("committed");
        let taken = taken.expect("taken");
        let of = |tenant| taken.iter().filter(|it| it.tenant == tenant).count();
        [of(tenants[0]), of(tenants[1])]
    };
    assert_eq!(claim(&[]).await, [4, 1]);
    assert_eq!(claim(&[tenants[0]]).await, [0, 0]);
    assert_eq!(claim(&[]).await, [4, 0]);
}
