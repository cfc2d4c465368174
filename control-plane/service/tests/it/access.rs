//! Tenants are apart, and roles may do what the matrix says: every operation, executed by everyone.

use std::collections::BTreeMap;

use contract::ids::{
    AlarmId, AlarmRuleId, ChannelId, CredentialId, InstanceId, MemberId, NodeId, TenantId, TokenId,
};
use contract::message::{MessageId, MessageProperties};
use contract::qos::Qos;
use contract::revocation::TokenSelector;
use service::access::{AccessError, Actor, Caller, Role};
use service::alarm_rules::AlarmRulePatch;
use service::alarms::AlarmFilter;
use service::channels::ChannelPatch;
use service::credentials::{CredentialPatch, NewCredential, SecretSlot};
use service::instances::InstancePatch;
use service::messages::{MessagesQuery, NewMessage};
use service::page::ListQuery;
use service::plans::NewPlan;
use service::tenants::{NewTenant, TenantPatch};
use service::tokens::RevokeTokens;
use service::topics::{NewTopic, TopicPatch};

use crate::alarms::above;
use crate::channels::webhook;
use crate::tokens::for_client;
use crate::world::{World, caller, new_instance, no_instance, nothing};

/// What an operation is tried on.
#[derive(Clone, Copy)]
struct Target {
    tenant: TenantId,
    instance: InstanceId,
}

/// How access turned out: `x` let in, `.` role too small, `-` there is no such thing, `o` operators only,
/// `s` tenant suspended.
fn letter<T, E: Access>(outcome: Result<T, E>) -> char {
    match outcome.as_ref().err().and_then(Access::access) {
        Some(AccessError::PermissionDenied { .. }) => '.',
        Some(AccessError::NotFound { resource: "instance" | "tenant", .. }) => '-',
        // What lies within an instance is looked for once the instance is seen.
        Some(AccessError::NotFound { .. }) | None => 'x',
        Some(AccessError::OperatorOnly) => 'o',
        Some(AccessError::TenantSuspended) => 's',
    }
}

/// An error that may say that access is refused.
trait Access {
    fn access(&self) -> Option<&AccessError>;
}

macro_rules! may_refuse {
    ($($error:ty),* $(,)?) => {$(
        impl Access for $error {
            fn access(&self) -> Option<&AccessError> {
                if let Self::Access(error) = self { Some(error) } else { None }
            }
        }
    )*};
}

may_refuse!(
    service::error::GetError,
    service::error::ListError,
    service::error::UpdateError,
    service::error::DeleteError,
    service::alarm_rules::WriteAlarmRuleError,
    service::channels::WriteChannelError,
    service::channels::DeleteChannelError,
    service::channels::TestChannelError,
    service::credentials::CreateCredentialError,
    service::credentials::UpdateCredentialError,
    service::instances::CreateInstanceError,
    service::instances::UpdateInstanceError,
    service::instances::DeleteInstanceError,
    service::instances::ChangePlanError,
    service::nodes::CreateJoinTokenError,
    service::messages::QueryMessagesError,
    service::messages::PublishError,
    service::plans::CreatePlanError,
    service::signing_keys::ChangeKeysError,
    service::tenants::CreateTenantError,
    service::tokens::IssueTokenError,
    service::tokens::IssueBatchError,
    service::tokens::RevokeTokensError,
    service::topics::CreateTopicError,
);

/// Tries every operation and answers the letter of each, by name.
async fn try_all(world: &World, by: &Caller, on: Target) -> Vec<(&'static str, char)> {
    let it = &world.services;
    let (query, credential, token) = (ListQuery::default(), nothing(CredentialId), nothing(TokenId));
    let message = MessageId { shard: 0, record: 0, index: 0 };
    let payloads = MessagesQuery { payload: true, ..MessagesQuery::default() };
    let mut tried = Vec::new();
    macro_rules! try_ {
        ($($name:literal: $call:expr;)*) => {$( tried.push(($name, letter($call.await))); )*};
    }
    try_! {
        "get_tenant": it.tenants.get(by, on.tenant);
        "update_tenant": it.tenants.update(by, on.tenant, Some(0), TenantPatch::default());
        "list_audit": it.audit.list(by, on.tenant, &query);
        "list_instances": it.instances.list(by, on.tenant, false, &query);
        "create_instance": it.instances.create(by, on.tenant, new_instance("", ""));
        "get_instance": it.instances.get(by, on.instance);
        "update_instance": it.instances.update(by, on.instance, Some(0), InstancePatch::default());
        "change_plan": it.instances.change_plan(by, on.instance, "", true);
        "restore_instance": it.instances.restore(by, on.instance);
        "delete_instance": it.instances.delete(by, on.instance, Some(0));
        "list_limits": it.instances.limits(by, on.instance);
        "get_rollout": it.rollout.progress(by, on.instance, Some(1));
        "list_signing_keys": it.signing_keys.list(by, on.instance);
        "rotate_signing_key": it.signing_keys.rotate(by, on.instance, Some(u64::MAX));
        "revoke_signing_key": it.signing_keys.revoke(by, on.instance, "k99");
        "list_topics": it.topics.list(by, on.instance, &query);
        "create_topic": it.topics.create(by, on.instance, NewTopic::default());
        "get_topic": it.topics.get(by, on.instance, "nothing");
        "update_topic": it.topics.update(by, on.instance, "nothing", None, TopicPatch::default());
        "delete_topic": it.topics.delete(by, on.instance, "nothing", None);
        "list_credentials": it.credentials.list(by, on.instance, &query);
        "create_credential": it.credentials.create(by, on.instance, NewCredential::default());
        "get_credential": it.credentials.get(by, on.instance, credential);
        "update_credential": it.credentials.update(by, on.instance, credential, None, CredentialPatch::default());
        "delete_credential": it.credentials.delete(by, on.instance, credential, None);
        "disable_credential": it.credentials.disable(by, on.instance, credential);
        "enable_credential": it.credentials.enable(by, on.instance, credential);
        "rotate_credential": it.credentials.rotate(by, on.instance, credential, SecretSlot::Primary);
        "list_tokens": it.tokens.list(by, on.instance, &query);
        "get_token": it.tokens.get(by, on.instance, token);
        "introspect_token": it.tokens.introspect(by, on.instance, "");
        "issue_token": it.tokens.issue(by, on.instance, for_client("", 0));
        "issue_tokens": it.tokens.issue_batch(by, on.instance, vec![for_client("", 0)]);
        "revoke_tokens": it.tokens.revoke(by, on.instance, nothing_to_revoke());
        "revoke_token": it.tokens.revoke_one(by, on.instance, token, None);
        "list_messages": it.messages.list(by, on.instance, &MessagesQuery::default());
        "list_payloads": it.messages.list(by, on.instance, &payloads);
        "get_message": it.messages.get(by, on.instance, message);
        "get_message_payload": it.messages.payload(by, on.instance, message);
        "publish_message": it.messages.publish(by, on.instance, no_message());
        "create_tenant": it.tenants.create(by, NewTenant::default());
        "resume_tenant": it.tenants.resume(by, on.tenant);
        "list_plans": it.plans.list(by, &query);
        "get_plan": it.plans.get(by, crate::world::PLAN, None);
        "create_plan": it.plans.create(by, NewPlan::default());
        "create_plan_version": it.plans.create_version(by, "", None, BTreeMap::new());
        "retire_plan": it.plans.retire(by, "");
        "list_nodes": it.nodes.list(by, &query);
        "get_node": it.nodes.get(by, nothing(NodeId));
        "create_join_token": it.nodes.create_join_token(by);
    }
    tried.extend(try_alarms(world, by, on.instance).await);
    tried
}

async fn try_alarms(world: &World, by: &Caller, instance: InstanceId) -> Vec<(&'static str, char)> {
    let (it, query) = (&world.services, ListQuery::default());
    let (rule, alarm, channel) = (nothing(AlarmRuleId), nothing(AlarmId), nothing(ChannelId));
    let mut tried = Vec::new();
    macro_rules! try_ {
        ($($name:literal: $call:expr;)*) => {$( tried.push(($name, letter($call.await))); )*};
    }
    try_! {
        "list_alarm_rules": it.alarm_rules.list(by, instance, &query);
        "create_alarm_rule": it.alarm_rules.create(by, instance, above("", 0, 0));
        "get_alarm_rule": it.alarm_rules.get(by, instance, rule);
        "update_alarm_rule": it.alarm_rules.update(by, instance, rule, None, AlarmRulePatch::default());
        "delete_alarm_rule": it.alarm_rules.delete(by, instance, rule, None);
        "list_alarms": it.alarms.list(by, instance, AlarmFilter::default(), &query);
        "get_alarm": it.alarms.get(by, instance, alarm);
        "acknowledge_alarm": it.alarms.acknowledge(by, instance, alarm, None, None);
        "list_channels": it.channels.list(by, instance, &query);
        "create_channel": it.channels.create(by, instance, webhook("", ""));
        "get_channel": it.channels.get(by, instance, channel);
        "update_channel": it.channels.update(by, instance, channel, None, ChannelPatch::default());
        "delete_channel": it.channels.delete(by, instance, channel, None);
        "test_channel": it.channels.test(by, instance, channel);
        "rotate_channel_secret": it.channels.rotate_secret(by, instance, channel, None);
        "list_deliveries": it.channels.list_deliveries(by, instance, channel, &query);
    }
    tried
}

pub(crate) fn no_message() -> NewMessage {
    NewMessage {
        topic: String::new(),
        payload: vec![],
        qos: Qos::AtMostOnce,
        retain: false,
        expires_in_secs: None,
        properties: MessageProperties::default(),
    }
}

fn nothing_to_revoke() -> RevokeTokens {
    RevokeTokens { selector: TokenSelector::Ids(vec![]), issued_before: None, reason: None }
}

async fn columns(world: &World, callers: &[Caller], on: Target) -> String {
    let mut columns = Vec::new();
    for by in callers {
        columns.push(try_all(world, by, on).await);
    }
    let rows = columns[0].iter().enumerate().map(|(at, (name, _))| {
        let letters: Vec<String> = columns.iter().map(|column| column[at].1.to_string()).collect();
        format!("{name:<20} {}\n", letters.join(" "))
    });
    rows.collect()
}

/// Each operation by each role: who is let in.
//                   operator owner admin developer viewer stranger
const EXPECTED: &str = "\
get_tenant           x x x x x -
update_tenant        x x x . . -
list_audit           x x x . . -
list_instances       x x x x x -
create_instance      x x x . . -
get_instance         x x x x x -
update_instance      x x x . . -
change_plan          x x x . . -
restore_instance     x x x . . -
delete_instance      x x x . . -
list_limits          x x x x x -
get_rollout          x x x x x -
list_signing_keys    x x x x x -
rotate_signing_key   x x x . . -
revoke_signing_key   x x x . . -
list_topics          x x x x x -
create_topic         x x x x . -
get_topic            x x x x x -
update_topic         x x x x . -
delete_topic         x x x x . -
list_credentials     x x x x x -
create_credential    x x x x . -
get_credential       x x x x x -
update_credential    x x x x . -
delete_credential    x x x x . -
disable_credential   x x x x . -
enable_credential    x x x x . -
rotate_credential    x x x x . -
list_tokens          x x x x x -
get_token            x x x x x -
introspect_token     x x x x x -
issue_token          x x x x . -
issue_tokens         x x x x . -
revoke_tokens        x x x x . -
revoke_token         x x x x x -
list_messages        x x x x x -
list_payloads        . x x x . -
get_message          x x x x x -
get_message_payload  . x x x . -
publish_message      x x x x . -
create_tenant        x o o o o o
resume_tenant        x o o o o o
list_plans           x x x x x x
get_plan             x x x x x x
create_plan          x o o o o o
create_plan_version  x o o o o o
retire_plan          x o o o o o
list_nodes           x o o o o o
get_node             x o o o o o
create_join_token    x o o o o o
list_alarm_rules     x x x x x -
create_alarm_rule    x x x x . -
get_alarm_rule       x x x x x -
update_alarm_rule    x x x x . -
delete_alarm_rule    x x x x . -
list_alarms          x x x x x -
get_alarm            x x x x x -
acknowledge_alarm    x x x x . -
list_channels        x x x x x -
create_channel       x x x x . -
get_channel          x x x x x -
update_channel       x x x x . -
delete_channel       x x x x . -
test_channel         x x x x . -
rotate_channel_secret x x x x . -
list_deliveries      x x x x x -
";

#[tokio::test]
async fn every_operation_by_every_role() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let other = world.tenant("other").await;
    let on = Target { tenant: tenant.id, instance: instance.id };
    let as_role = |role| caller(nothing(MemberId), tenant.id, role);
    let callers = [
        world.operator.clone(),
        as_role(Role::Owner),
        as_role(Role::Admin),
        as_role(Role::Developer),
        as_role(Role::Viewer),
        other.owner,
    ];
    let table = columns(&world, &callers, on).await;
    assert_eq!(table, EXPECTED, "\n{table}");
}

#[tokio::test]
async fn anothers_thing_and_no_thing_look_alike() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let stranger = world.tenant("stranger").await.owner;
    let theirs = Target { tenant: tenant.id, instance: instance.id };
    let nowhere = Target { tenant: nothing(TenantId), instance: no_instance() };
    assert_eq!(try_all(&world, &stranger, theirs).await, try_all(&world, &stranger, nowhere).await);
    let theirs = world.services.instances.get(&stranger, instance.id).await.expect_err("not there");
    let nowhere = world.services.instances.get(&stranger, no_instance()).await.expect_err("not there");
    let without_id =
        |error: &service::error::GetError, id: InstanceId| error.to_string().replace(&id.to_string(), "");
    assert_eq!(without_id(&theirs, instance.id), without_id(&nowhere, no_instance()));
}

#[tokio::test]
async fn lists_show_the_callers_own_tenants_only() {
    let world = World::new().await;
    let (red, blue) = (world.tenant("red").await, world.tenant("blue").await);
    let names = async |by: &Caller| {
        let query = ListQuery { sort: Some("name".to_owned()), ..ListQuery::default() };
        let page = world.services.tenants.list(by, &query).await.expect("a page");
        page.items.into_iter().map(|tenant| tenant.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&red.owner).await, ["red"]);
    assert_eq!(names(&blue.owner).await, ["blue"]);
    assert_eq!(names(&world.operator).await, ["blue", "red"]);
    let nobody = Caller { actor: Actor::Member(nothing(MemberId)), memberships: vec![], ..red.owner };
    assert!(names(&nobody).await.is_empty());
}

#[tokio::test]
async fn a_suspended_tenant_reads_and_does_nothing_more() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    world.services.tenants.suspend(&world.operator, tenant.id).await.expect("suspended");
    let on = Target { tenant: tenant.id, instance: instance.id };
    for (name, letter) in try_all(&world, &tenant.owner, on).await {
        let reads = ["get_", "list_", "introspect_"].iter().any(|verb| name.starts_with(verb));
        let expected = match letter {
            // Of the platform, and not of the tenant.
            'o' => 'o',
            // The token is looked for first.
            _ if reads || name == "revoke_token" => 'x',
            _ => 's',
        };
        let expected = if matches!(name, "list_nodes" | "get_node") { 'o' } else { expected };
        assert_eq!(letter, expected, "{name}");
    }
}
