//! Alarm rules from the nodes' reports to alarms and what is told of them.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use contract::ids::{ChannelId, InstanceId};
use contract::metrics::{InstanceSample, MetricsReport};
use contract::node::NodeReport;
use service::Services;
use service::access::Caller;
use service::alarm_rules::{
    AlarmRule, AlarmRulePatch, Compare, Condition, NewAlarmRule, RuleState, Severity, Threshold,
    WriteAlarmRuleError,
};
use service::alarms::{Alarm, AlarmFilter, AlarmState, ResolvedReason, evaluate_alarms};
use service::clock::millis;
use service::error::UpdateError;
use service::metrics::refill;
use service::nodes::NodeCaller;
use service::page::ListQuery;
use service::reconcile;
use service::webhooks::deliver_due;
use uuid::Uuid;

use crate::channels::webhook;
use crate::receiver::Receiver;
use crate::world::{Tenant, World, nothing};

/// How often rules are evaluated, and how long a slot is.
const PERIOD: TimeDelta = TimeDelta::seconds(10);

/// A rule on connections that fires at once.
pub(crate) fn above(name: &str, value: u64, clear_value: u64) -> NewAlarmRule {
    let threshold = Threshold {
        metric: "connections".to_owned(),
        reason: None,
        compare: Compare::Above,
        window_secs: 60,
        value,
        clear_value,
    };
    NewAlarmRule {
        name: name.to_owned(),
        severity: Severity::Warning,
        enabled: true,
        condition: Condition::Threshold(threshold),
        for_secs: 0,
        channels: Vec::new(),
        repeat_secs: None,
    }
}

/// A world with an instance, a node that tells of it, and a receiver on a channel.
struct Stage {
    world: World,
    tenant: Tenant,
    instance: InstanceId,
    node: NodeCaller,
    receiver: Receiver,
    channel: ChannelId,
    secret: String,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        let (tenant, instance) = world.demo().await;
        let node = world.node("one").await;
        let receiver = Receiver::start().await;
        let new = webhook("ops", &receiver.url);
        let made = world.services.channels.create(&tenant.owner, instance.id, new).await;
        let (channel, secret) = made.expect("a channel");
        let secret = secret.expose().to_owned();
        Self { world, tenant, instance: instance.id, node, receiver, channel: channel.id, secret }
    }

    fn owner(&self) -> &Caller {
        &self.tenant.owner
    }

    /// A rule that tells the channel.
    async fn rule(&self, new: NewAlarmRule) -> AlarmRule {
        let new = NewAlarmRule { channels: vec![self.channel], ..new };
        self.world.services.alarm_rules.create(self.owner(), self.instance, new).await.expect("a rule")
    }

    async fn told(&self, services: &Services, node: NodeCaller, connections: u64) {
        let now = millis(self.world.services.now()).secs() / 10 * 10;
        let sample = InstanceSample { connections, ..InstanceSample::default() };
        let report = MetricsReport {
            boot: Uuid::from_u128(1),
            slot: contract::time::UnixMillis::from_secs(now - 10),
            slot_millis: 10_000,
            instances: BTreeMap::from([(self.instance, sample)]),
            refused_before_instance: BTreeMap::new(),
            more: false,
        };
        let report = NodeReport { metrics: vec![report], ..NodeReport::default() };
        services.nodes.report(node, report).await.expect("heard");
    }

    /// Ten seconds later the node tells this, and the rules are evaluated; answers how many have changed.
    async fn turn(&self, connections: u64) -> u64 {
        self.world.pass(PERIOD);
        self.told(&self.world.services, self.node, connections).await;
        self.evaluate().await
    }

    async fn evaluate(&self) -> u64 {
        evaluate_alarms(&self.world.services, PERIOD).await.expect("evaluated")
    }

    async fn state(&self, rule: &AlarmRule) -> RuleState {
        let found = self.world.services.alarm_rules.get(self.owner(), self.instance, rule.id).await;
        found.expect("the rule").evaluated.state
    }

    async fn alarms(&self, filter: AlarmFilter) -> Vec<Alarm> {
        let query = ListQuery::default();
        let page = self.world.services.alarms.list(self.owner(), self.instance, filter, &query).await;
        page.expect("a page").items
    }

    async fn alarm(&self) -> Alarm {
        let [alarm] = self.alarms(AlarmFilter::default()).await.try_into().expect("one alarm");
        alarm
    }

    /// The events that arrive now, in the order in which they happened; each must be signed.
    async fn heard(&self) -> Vec<String> {
        deliver_due(&self.world.services).await.expect("sent");
        let mut calls = self.receiver.calls();
        assert!(calls.iter().all(|call| call.is_signed_with(&self.secret)));
        calls.sort_by_key(|call| {
            let event = call.json();
            (event["time"].to_string(), event["data"]["alarm"]["revision"].as_i64())
        });
        calls.iter().map(crate::receiver::Call::event).collect()
    }
}

#[tokio::test]
async fn an_alarm_is_raised_acknowledged_and_resolved_and_each_is_told_once() {
    let stage = Stage::new().await;
    let rule = stage.rule(NewAlarmRule { for_secs: 20, ..above("many", 100, 80) }).await;
    assert_eq!(stage.turn(99).await, 0);
    assert_eq!(stage.turn(100).await, 1);
    assert_eq!(stage.state(&rule).await, RuleState::Pending);
    assert_eq!((stage.turn(150).await, stage.alarms(AlarmFilter::default()).await.len()), (0, 0));
    assert_eq!(stage.turn(120).await, 1);
    let alarm = stage.alarm().await;
    assert_eq!((alarm.state, alarm.value, alarm.threshold), (AlarmState::Firing, 120, 100));
    assert_eq!(
        (alarm.fired_at, alarm.rule, alarm.severity),
        (stage.world.services.now(), rule.id, Severity::Warning)
    );
    assert_eq!((stage.turn(130).await, stage.turn(90).await), (0, 0));
    assert_eq!(stage.heard().await, ["alarm.firing"]);

    let alarms = &stage.world.services.alarms;
    let note = Some("on it".to_owned());
    let stale = alarms.acknowledge(stage.owner(), stage.instance, alarm.id, Some(9), note.clone()).await;
    assert!(matches!(stale, Err(UpdateError::Revision(_))));
    let known =
        alarms.acknowledge(stage.owner(), stage.instance, alarm.id, Some(1), note).await.expect("known");
    assert_eq!((known.state, known.acknowledged_by), (AlarmState::Acknowledged, Some(stage.owner().actor)));
    let again = alarms.acknowledge(stage.owner(), stage.instance, alarm.id, None, None).await.expect("known");
    assert_eq!(again, known, "who comes second changes nothing");
    assert_eq!(stage.heard().await, ["alarm.acknowledged"]);

    assert_eq!(stage.turn(80).await, 1);
    let over = stage.alarm().await;
    assert_eq!((over.state, over.resolved_reason), (AlarmState::Resolved, Some(ResolvedReason::Cleared)));
    assert_eq!((over.resolved_at, over.note.as_deref()), (Some(stage.world.services.now()), Some("on it")));
    assert_eq!((over.revision, stage.state(&rule).await), (3, RuleState::Ok));
    assert_eq!(stage.heard().await, ["alarm.resolved"]);
    let late = alarms.acknowledge(stage.owner(), stage.instance, alarm.id, None, None).await;
    assert!(matches!(late, Err(UpdateError::State(_))));
    stage
        .world
        .holds("EXISTS (SELECT FROM audit WHERE action = 'acknowledge_alarm' AND after->>'note' = 'on it')");

    stage.world.pass(reconcile::ALARMS_KEPT + TimeDelta::milliseconds(1));
    reconcile::expire_alarms(&stage.world.services).await.expect("reconciled");
    assert!(stage.alarms(AlarmFilter::default()).await.is_empty());
}

#[tokio::test]
async fn what_is_told_says_what_it_is_about() {
    let stage = Stage::new().await;
    let rule = stage.rule(above("many", 100, 80)).await;
    stage.turn(100).await;
    deliver_due(&stage.world.services).await.expect("sent");
    let [call] = stage.receiver.calls().try_into().expect("one call");
    let event = call.json();
    let alarm = stage.alarm().await;
    assert_eq!(event["subject"], format!("alarms/{}", alarm.id));
    assert_eq!(event["time"], "2027-01-15T08:00:10.123Z");
    assert_eq!(event["data"]["instance"]["id"], stage.instance.to_string());
    let told = &event["data"]["alarm"];
    assert_eq!((&told["rule_id"], &told["rule_name"]), (&rule.id.to_string().into(), &"many".into()));
    assert_eq!(
        (&told["metric"], &told["value"], &told["threshold"]),
        (&"connections".into(), &100.into(), &100.into())
    );
    assert_eq!((&told["severity"], &told["state"]), (&"warning".into(), &"firing".into()));
}

#[tokio::test]
async fn without_a_node_nothing_is_known_and_nothing_resolved() {
    let stage = Stage::new().await;
    let rule = stage.rule(above("many", 100, 80)).await;
    stage.turn(100).await;
    assert_eq!(stage.heard().await, ["alarm.firing"]);
    // The node is lost: what would be 0 is not.
    stage.world.pass(TimeDelta::seconds(40));
    assert_eq!(stage.evaluate().await, 1);
    assert_eq!(stage.state(&rule).await, RuleState::NoData);
    assert_eq!(stage.alarm().await.state, AlarmState::Firing);
    assert_eq!(stage.turn(100).await, 1);
    assert_eq!(stage.state(&rule).await, RuleState::Firing);
    assert!(stage.heard().await.is_empty(), "the same alarm");
    // One of two is lost: the sum of the others is no reason to say that all is well.
    let second = stage.world.node("two").await;
    stage.told(&stage.world.services, second, 60).await;
    for _ in 0..4 {
        stage.world.pass(PERIOD);
        stage.told(&stage.world.services, second, 60).await;
    }
    stage.evaluate().await;
    assert_eq!(stage.state(&rule).await, RuleState::NoData);
    assert_eq!(stage.alarm().await.state, AlarmState::Firing);
}

#[tokio::test]
async fn another_process_goes_on_where_one_has_ended() {
    let stage = Stage::new().await;
    let rule = stage.rule(NewAlarmRule { for_secs: 30, ..above("many", 100, 80) }).await;
    stage.turn(100).await;
    assert_eq!(stage.state(&rule).await, RuleState::Pending);
    let next = stage.world.another_controller();
    stage.world.pass(PERIOD);
    assert_eq!(evaluate_alarms(&next, PERIOD).await.expect("evaluated"), 0, "it has not heard of any node");
    assert_eq!(stage.state(&rule).await, RuleState::Pending);
    for _ in 0..2 {
        stage.world.pass(PERIOD);
        stage.told(&next, stage.node, 100).await;
        evaluate_alarms(&next, PERIOD).await.expect("evaluated");
    }
    let alarm = stage.alarm().await;
    assert_eq!(alarm.fired_at, rule.created_at + TimeDelta::seconds(40), "30 s after it was first seen");
}

#[tokio::test]
async fn a_process_that_begins_hears_every_node_before_it_finds_too_little() {
    let stage = Stage::new().await;
    let Condition::Threshold(threshold) = above("few", 7, 9).condition;
    let condition = Condition::Threshold(Threshold { compare: Compare::Below, ..threshold });
    let rule = stage.rule(NewAlarmRule { condition, ..above("few", 7, 9) }).await;
    let second = stage.world.node("two").await;
    for _ in 0..2 {
        stage.world.pass(PERIOD);
        stage.told(&stage.world.services, second, 5).await;
        stage.told(&stage.world.services, stage.node, 5).await;
        stage.evaluate().await;
    }
    reconcile::flush_metrics(&stage.world.services).await.expect("flushed");
    let next = stage.world.another_controller();
    refill(&next).await.expect("read");
    stage.world.pass(PERIOD);
    for node in [stage.node, second] {
        stage.told(&next, node, 5).await;
        assert_eq!(evaluate_alarms(&next, PERIOD).await.expect("evaluated"), 0);
        assert_eq!(stage.state(&rule).await, RuleState::Ok);
    }
}

#[tokio::test]
async fn what_another_process_hears_is_missing_and_not_nothing() {
    let stage = Stage::new().await;
    let rule = stage.rule(above("many", 100, 80)).await;
    let second = stage.world.node("two").await;
    let all = &stage.world.services;
    let pass = async |hears: &[(&Services, NodeCaller)]| {
        stage.world.pass(PERIOD);
        for (services, node) in hears {
            stage.told(services, *node, 60).await;
        }
    };
    pass(&[(all, stage.node), (all, second)]).await;
    stage.evaluate().await;
    assert_eq!(stage.state(&rule).await, RuleState::Firing);
    let next = stage.world.another_controller();
    // Until it has run for so long that it would say what it does not know.
    for _ in 0..4 {
        pass(&[(all, stage.node), (all, second)]).await;
        assert_eq!(evaluate_alarms(&next, PERIOD).await.expect("evaluated"), 0, "it hears no node");
        assert_eq!(stage.state(&rule).await, RuleState::Firing);
    }
    pass(&[(all, stage.node), (&next, second)]).await;
    assert_eq!(evaluate_alarms(&next, PERIOD).await.expect("evaluated"), 1, "it hears one of two");
    assert_eq!(stage.state(&rule).await, RuleState::NoData);
    assert_eq!(stage.alarm().await.state, AlarmState::Firing);
    pass(&[(&next, stage.node), (&next, second)]).await;
    evaluate_alarms(&next, PERIOD).await.expect("evaluated");
    assert_eq!(stage.state(&rule).await, RuleState::Firing);
}

#[tokio::test]
async fn what_fails_of_one_instance_holds_up_no_other() {
    let stage = Stage::new().await;
    let other = stage.world.instance(&stage.tenant, "other").await;
    let rules = &stage.world.services.alarm_rules;
    // Instances are taken in the order of their ids: one that fails comes before one that does not, and after one.
    let last = stage.world.instance(&stage.tenant, "last").await;
    let few = |name| {
        let NewAlarmRule { condition: Condition::Threshold(threshold), .. } = above(name, 7, 9);
        let threshold = Threshold { compare: Compare::Below, ..threshold };
        NewAlarmRule { condition: Condition::Threshold(threshold), ..above(name, 7, 9) }
    };
    for instance in [stage.instance, other.id, last.id] {
        rules.create(stage.owner(), instance, few("few")).await.expect("a rule");
    }
    stage.world.sql(&format!(
        "ALTER TABLE alarm ADD CONSTRAINT alarm_broken CHECK (instance_id <> '{}') NOT VALID",
        other.id
    ));
    stage.world.pass(PERIOD);
    stage.told(&stage.world.services, stage.node, 5).await;
    evaluate_alarms(&stage.world.services, PERIOD).await.expect_err("one has failed");
    let count = async |instance| {
        let (filter, query) = (AlarmFilter::default(), ListQuery::default());
        let page = stage.world.services.alarms.list(stage.owner(), instance, filter, &query).await;
        page.expect("a page").items.len()
    };
    assert_eq!([count(stage.instance).await, count(other.id).await, count(last.id).await], [1, 0, 1]);
    stage.world.sql("ALTER TABLE alarm DROP CONSTRAINT alarm_broken");
    assert_eq!(stage.evaluate().await, 1, "it has its turn again");
    assert_eq!(count(other.id).await, 1);
}

#[tokio::test]
async fn what_is_suspended_or_deleted_raises_no_alarm() {
    let stage = Stage::new().await;
    let rule = stage.rule(above("many", 100, 80)).await;
    let (it, operator) = (&stage.world.services, &stage.world.operator);
    it.instances.suspend(stage.owner(), stage.instance).await.expect("suspended");
    assert_eq!(stage.turn(100).await, 0);
    it.instances.resume(stage.owner(), stage.instance).await.expect("resumed");
    it.tenants.suspend(operator, stage.tenant.id).await.expect("suspended");
    assert_eq!(stage.turn(100).await, 0);
    it.tenants.resume(operator, stage.tenant.id).await.expect("resumed");
    it.instances.delete(stage.owner(), stage.instance, None).await.expect("deleted");
    assert_eq!(stage.turn(100).await, 0);
    it.instances.restore(stage.owner(), stage.instance).await.expect("restored");
    it.instances.resume(stage.owner(), stage.instance).await.expect("resumed");
    assert_eq!(
        (stage.state(&rule).await, stage.alarms(AlarmFilter::default()).await.len()),
        (RuleState::Ok, 0)
    );
    assert_eq!(stage.turn(100).await, 1);
    assert_eq!(stage.state(&rule).await, RuleState::Firing);
}

#[tokio::test]
async fn what_was_measured_for_a_rule_that_has_changed_is_not_noted() {
    let stage = Stage::new().await;
    let rule = stage.rule(above("many", 100, 80)).await;
    let now = stage.world.services.now();
    for (revision, expected) in [(rule.revision - 1, 0), (rule.revision + 1, 0), (rule.revision, 1)] {
        let mut tx = stage.world.store.begin().await.expect("a transaction");
        let measured = [(rule.id, revision, Some(5))];
        let noted = store::alarm_rules::touch_of_all_tenants(&mut tx, &measured, now).await;
        assert_eq!(noted.expect("noted"), expected, "{revision}");
        tx.commit().await.expect("committed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_raise_one_alarm() {
    let stage = Stage::new().await;
    let other = stage.world.another_controller();
    for name in 0..20 {
        stage.rule(above(&format!("r{name}"), 100, 80)).await;
    }
    for connections in [100, 50, 100] {
        stage.world.pass(PERIOD);
        stage.told(&stage.world.services, stage.node, connections).await;
        stage.told(&other, stage.node, connections).await;
        let (one, two) =
            tokio::join!(evaluate_alarms(&stage.world.services, PERIOD), evaluate_alarms(&other, PERIOD));
        assert_eq!(one.expect("evaluated") + two.expect("evaluated"), 20);
    }
    assert_eq!(stage.alarms(AlarmFilter::default()).await.len(), 40);
    assert_eq!(stage.heard().await.len(), 60);
    assert_eq!(stage.evaluate().await, 0, "evaluated already");
}

#[tokio::test]
async fn it_is_told_again_until_somebody_knows() {
    let stage = Stage::new().await;
    stage.rule(NewAlarmRule { repeat_secs: Some(60), ..above("many", 100, 80) }).await;
    let mut heard = Vec::new();
    for turn in 0..14 {
        stage.turn(100 + turn).await;
        heard.push(stage.heard().await.len());
    }
    assert_eq!(heard, [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
    let alarm = stage.alarm().await;
    assert_eq!((alarm.value, alarm.revision), (112, 3));
    let alarms = &stage.world.services.alarms;
    alarms.acknowledge(stage.owner(), stage.instance, alarm.id, None, None).await.expect("known");
    assert_eq!(stage.heard().await, ["alarm.acknowledged"]);
    for _ in 0..7 {
        stage.turn(100).await;
    }
    assert!(stage.heard().await.is_empty());
}

#[tokio::test]
async fn a_rule_that_is_changed_or_goes_ends_its_alarm() {
    let stage = Stage::new().await;
    let rules = &stage.world.services.alarm_rules;
    let rule = stage.rule(above("many", 100, 80)).await;
    let patch = async |patch: AlarmRulePatch| {
        rules.update(stage.owner(), stage.instance, rule.id, None, patch).await.expect("changed")
    };
    stage.turn(100).await;
    // Other bounds of the same: it goes on.
    let Condition::Threshold(threshold) = rule.condition.clone();
    let bounds = Threshold { value: 90, clear_value: 70, ..threshold.clone() };
    let changed =
        AlarmRulePatch { condition: Some(Condition::Threshold(bounds)), ..AlarmRulePatch::default() };
    assert_eq!(patch(changed).await.evaluated.state, RuleState::Firing);
    assert_eq!(stage.alarm().await.state, AlarmState::Firing);
    let other = Threshold { metric: "messages_in".to_owned(), ..threshold.clone() };
    let changed =
        AlarmRulePatch { condition: Some(Condition::Threshold(other)), ..AlarmRulePatch::default() };
    assert_eq!(patch(changed).await.evaluated.state, RuleState::Ok);
    assert_eq!(stage.alarm().await.resolved_reason, Some(ResolvedReason::RuleChanged));
    let back = AlarmRulePatch { condition: Some(rule.condition.clone()), ..AlarmRulePatch::default() };
    patch(back).await;
    stage.turn(100).await;
    patch(AlarmRulePatch { enabled: Some(false), ..AlarmRulePatch::default() }).await;
    assert_eq!((stage.turn(100).await, stage.state(&rule).await), (0, RuleState::Ok));
    patch(AlarmRulePatch { enabled: Some(true), ..AlarmRulePatch::default() }).await;
    stage.turn(100).await;
    rules.delete(stage.owner(), stage.instance, rule.id, None).await.expect("deleted");
    let reasons: Vec<_> =
        stage.alarms(AlarmFilter::default()).await.iter().map(|it| it.resolved_reason).collect();
    let expected = [ResolvedReason::RuleDeleted, ResolvedReason::RuleDisabled, ResolvedReason::RuleChanged];
    assert_eq!(reasons, expected.map(Some));
    assert_eq!(stage.heard().await, ["alarm.firing", "alarm.resolved"].repeat(3));
    let of_rule = AlarmFilter { rule: Some(rule.id), state: Some(AlarmState::Resolved) };
    assert_eq!(stage.alarms(of_rule).await.len(), 3);
    assert!(stage.alarms(AlarmFilter { state: Some(AlarmState::Firing), rule: None }).await.is_empty());
    assert!(
        stage
            .alarms(AlarmFilter { rule: Some(nothing(contract::ids::AlarmRuleId)), state: None })
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_list_of_alarms_is_paged_within_its_filter() {
    let stage = Stage::new().await;
    for at in 0..5 {
        stage.rule(above(&format!("r{at}"), 100, 80)).await;
    }
    stage.turn(100).await;
    let filter = AlarmFilter { state: Some(AlarmState::Firing), rule: None };
    let mut query =
        ListQuery { limit: Some(2), sort: Some("name".to_owned()), count: true, ..ListQuery::default() };
    let mut names = Vec::new();
    loop {
        let page = stage.world.services.alarms.list(stage.owner(), stage.instance, filter, &query).await;
        let page = page.expect("a page");
        assert_eq!(page.total, Some(5));
        names.extend(page.items.into_iter().map(|alarm| alarm.rule_name));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(names, ["r0", "r1", "r2", "r3", "r4"]);
}

#[tokio::test]
async fn limits_names_channels_and_revisions_are_kept() {
    let world = World::new().await;
    world.plan("tiny", &[("alarm_rules_max", 1)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "tiny").await.id;
    let (rules, owner) = (&world.services.alarm_rules, &tenant.owner);
    let unknown = NewAlarmRule { channels: vec![nothing(ChannelId)], ..above("a", 1, 0) };
    let refused = rules.create(owner, instance, unknown).await;
    assert!(
        matches!(&refused, Err(WriteAlarmRuleError::Invalid(it)) if it.0[0].pointer == "/channels/0"),
        "{refused:?}"
    );
    let rule = rules.create(owner, instance, above("a", 1, 0)).await.expect("a rule");
    let second = rules.create(owner, instance, above("b", 1, 0)).await;
    assert!(matches!(second, Err(WriteAlarmRuleError::Limit(limit)) if limit.name == "alarm_rules_max"));
    let patch = AlarmRulePatch { repeat_secs: Some(Some(60)), ..AlarmRulePatch::default() };
    let stale = rules.update(owner, instance, rule.id, Some(2), patch.clone()).await;
    assert!(matches!(stale, Err(WriteAlarmRuleError::Revision(it)) if it.current == 1));
    let changed = rules.update(owner, instance, rule.id, Some(1), patch).await.expect("changed");
    assert_eq!((changed.revision, changed.repeat_secs), (2, Some(60)));
    rules.delete(owner, instance, rule.id, Some(2)).await.expect("deleted");
    world.holds("(SELECT count(*) = 3 FROM audit WHERE resource = 'alarm_rule')");
    let instance = world.instance(&tenant, "boats").await.id;
    rules.create(owner, instance, above("a", 1, 0)).await.expect("a rule");
    let taken = rules.create(owner, instance, above("a", 1, 0)).await;
    assert!(matches!(taken, Err(WriteAlarmRuleError::NameTaken(it)) if it.name == "a"));
}
