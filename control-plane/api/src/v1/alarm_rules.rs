//! Alarm rules.

use axum::extract::State;
use contract::ids::{AlarmRuleId, ChannelId, InstanceId};
use serde::{Deserialize, Serialize};
use service::alarm_rules::{
    AlarmRule, AlarmRulePatch, Compare, Condition, NewAlarmRule, RuleState, Severity, Threshold,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters::{NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::{Body, Patch};
use crate::page::{ListSpec, RawQuery, list_of};
use crate::path::Path;
use crate::preconditions::IfMatch;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// How bad it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Severity)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SeverityView {
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

impl From<Severity> for SeverityView {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

impl From<SeverityView> for Severity {
    fn from(severity: SeverityView) -> Self {
        match severity {
            SeverityView::Info => Self::Info,
            SeverityView::Warning => Self::Warning,
            SeverityView::Critical => Self::Critical,
        }
    }
}

/// Which side of a threshold is wrong.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Compare)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CompareView {
    /// The value and what is more.
    Above,
    /// The value and what is less.
    Below,
}

/// The kinds of conditions.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlarmConditionKind {
    /// A metric compared with a value.
    Threshold,
}

/// What a rule watches.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlarmCondition {
    /// What kind of condition it is.
    kind: AlarmConditionKind,
    /// The metric's name.
    #[schema(example = "connections")]
    metric: String,
    /// Only what has this reason, of a metric that is told apart by reason; all of it, when null or left out.
    reason: Option<String>,
    /// Which side is wrong.
    compare: CompareView,
    /// How far back is looked: a gauge's newest value in it counts, a counter's sum over it.
    #[schema(minimum = 10, maximum = 3600, example = 60)]
    window_secs: u64,
    /// From where on it is wrong: `above` from this value on upwards, `below` downwards.
    #[schema(maximum = 9_007_199_254_740_991_u64, example = 100)]
    value: u64,
    /// From where on it is well again; between the two nothing changes. `above`: at most the value; `below`: at least.
    #[schema(maximum = 9_007_199_254_740_991_u64, example = 80)]
    clear_value: u64,
}

impl From<Condition> for AlarmCondition {
    fn from(condition: Condition) -> Self {
        let Condition::Threshold(threshold) = condition;
        Self {
            kind: AlarmConditionKind::Threshold,
            metric: threshold.metric,
            reason: threshold.reason,
            compare: match threshold.compare {
                Compare::Above => CompareView::Above,
                Compare::Below => CompareView::Below,
            },
            window_secs: threshold.window_secs,
            value: threshold.value,
            clear_value: threshold.clear_value,
        }
    }
}

impl From<AlarmCondition> for Condition {
    fn from(condition: AlarmCondition) -> Self {
        let AlarmConditionKind::Threshold = condition.kind;
        Self::Threshold(Threshold {
            metric: condition.metric,
            reason: condition.reason,
            compare: match condition.compare {
                CompareView::Above => Compare::Above,
                CompareView::Below => Compare::Below,
            },
            window_secs: condition.window_secs,
            value: condition.value,
            clear_value: condition.clear_value,
        })
    }
}

/// How it stands with a rule.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = AlarmRuleState)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlarmRuleStateView {
    /// All is well, or the rule was not evaluated yet.
    Ok,
    /// It is wrong, but not yet for `for_secs`.
    Pending,
    /// It is wrong: an alarm is open.
    Firing,
    /// Nobody can say, since a node is lost or has not told yet. An open alarm stays open.
    NoData,
}

/// A rule that raises alarms.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlarmRule)]
pub(crate) struct AlarmRuleView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: AlarmRuleId,
    /// What people call it; unique in the instance.
    name: String,
    /// How bad it is.
    severity: SeverityView,
    /// Whether it is evaluated.
    enabled: bool,
    /// What it watches.
    condition: AlarmCondition,
    /// For how long it must be wrong before an alarm is raised.
    for_secs: u64,
    /// Who is told.
    channels: Vec<Uuid>,
    /// How often an alarm that nobody has acknowledged is told again; null: never.
    repeat_secs: Option<u64>,
    /// How it stands, as the last evaluation found.
    state: AlarmRuleStateView,
    /// Since when it is wrong, while it is pending.
    pending_since: Option<Timestamp>,
    /// What was measured; null where nobody could say.
    value: Option<u64>,
    /// When that was; null before the first time.
    evaluated_at: Option<Timestamp>,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Grows with every change; an evaluation is none.
    revision: i64,
}

impl From<AlarmRule> for AlarmRuleView {
    fn from(rule: AlarmRule) -> Self {
        Self {
            id: rule.id,
            name: rule.name,
            severity: rule.severity.into(),
            enabled: rule.enabled,
            condition: rule.condition.into(),
            for_secs: rule.for_secs,
            channels: rule.channels.into_iter().map(|channel| channel.0).collect(),
            repeat_secs: rule.repeat_secs,
            state: match rule.evaluated.state {
                RuleState::Ok => AlarmRuleStateView::Ok,
                RuleState::Pending => AlarmRuleStateView::Pending,
                RuleState::Firing => AlarmRuleStateView::Firing,
                RuleState::NoData => AlarmRuleStateView::NoData,
            },
            pending_since: rule.evaluated.pending_since.map(Into::into),
            value: rule.evaluated.value,
            evaluated_at: rule.evaluated.at.map(Into::into),
            created_at: rule.created_at.into(),
            updated_at: rule.updated_at.into(),
            revision: rule.revision,
        }
    }
}

list_of! {
    /// Alarm rules.
    AlarmRuleList of AlarmRuleView
}

fn yes() -> bool {
    true
}

/// A new alarm rule.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAlarmRuleRequest {
    /// What people call it; unique in the instance.
    #[schema(example = "too many connections")]
    name: String,
    /// How bad it is.
    severity: SeverityView,
    /// Whether it is evaluated.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
    /// What it watches.
    condition: AlarmCondition,
    /// For how long it must be wrong before an alarm is raised; at once, when left out.
    #[serde(default)]
    #[schema(maximum = 86_400, example = 60)]
    for_secs: u64,
    /// Who is told: ids of channels, at most 10.
    #[serde(default)]
    channels: Vec<Uuid>,
    /// How often an alarm that nobody has acknowledged is told again; never, when null or left out.
    #[schema(minimum = 60, maximum = 604_800, example = 3600)]
    repeat_secs: Option<u64>,
}

fn ids(channels: Vec<Uuid>) -> Vec<ChannelId> {
    channels.into_iter().map(ChannelId).collect()
}

/// Create an alarm rule.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/alarm-rules", tag = "alarms",
    params(("instance_id" = Uuid, Path)), request_body = CreateAlarmRuleRequest,
    responses((status = 201, description = "Created", body = AlarmRuleView)))]
pub(crate) async fn create_alarm_rule(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    Body(request): Body<CreateAlarmRuleRequest>,
) -> Result<Answer<AlarmRuleView>, Problem> {
    let new = NewAlarmRule {
        name: request.name,
        severity: request.severity.into(),
        enabled: request.enabled,
        condition: request.condition.into(),
        for_secs: request.for_secs,
        channels: ids(request.channels),
        repeat_secs: request.repeat_secs,
    };
    let rule = state.services.alarm_rules.create(signed_in.caller(), instance, new).await?;
    let (location, revision) = (format!("/v1/instances/{instance}/alarm-rules/{}", rule.id), rule.revision);
    Ok(Answer::created(&location, AlarmRuleView::from(rule)).revision(revision))
}

/// List the alarm rules of an instance.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/alarm-rules", tag = "alarms",
    params(("instance_id" = Uuid, Path), PageParameters, NameParameters),
    responses((status = 200, description = "A page", body = AlarmRuleList)))]
pub(crate) async fn list_alarm_rules(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Answer<AlarmRuleList>, Problem> {
    let parameters = query.list(&ListSpec { names: true, ..ListSpec::default() })?;
    let page = state.services.alarm_rules.list(signed_in.caller(), instance, &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}

fn answer(rule: AlarmRule) -> Answer<AlarmRuleView> {
    let revision = rule.revision;
    Answer::ok(AlarmRuleView::from(rule)).revision(revision)
}

/// Show an alarm rule.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/alarm-rules/{alarm_rule_id}", tag = "alarms",
    params(("instance_id" = Uuid, Path), ("alarm_rule_id" = Uuid, Path)),
    responses((status = 200, description = "The rule", body = AlarmRuleView)))]
pub(crate) async fn get_alarm_rule(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, rule)): Path<(InstanceId, AlarmRuleId)>,
) -> Result<Answer<AlarmRuleView>, Problem> {
    Ok(answer(state.services.alarm_rules.get(signed_in.caller(), instance, rule).await?))
}

/// What to change of an alarm rule; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateAlarmRuleRequest {
    /// What people call it.
    name: Option<String>,
    /// How bad it is; of the next alarm.
    severity: Option<SeverityView>,
    /// Whether it is evaluated. The open alarm of a rule that is disabled is over.
    enabled: Option<bool>,
    /// What it watches, whole. Where it watches something else than before, an open alarm is over.
    condition: Option<AlarmCondition>,
    /// For how long it must be wrong before an alarm is raised.
    #[schema(maximum = 86_400)]
    for_secs: Option<u64>,
    /// Who is told, all of them: ids of channels, at most 10.
    channels: Option<Vec<Uuid>>,
    /// How often an alarm that nobody has acknowledged is told again; null: never.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 60, maximum = 604_800)]
    repeat_secs: Patch<u64>,
}

/// Change an alarm rule.
#[utoipa::path(patch, path = "/v1/instances/{instance_id}/alarm-rules/{alarm_rule_id}", tag = "alarms",
    params(("instance_id" = Uuid, Path), ("alarm_rule_id" = Uuid, Path)), request_body = UpdateAlarmRuleRequest,
    responses((status = 200, description = "Changed", body = AlarmRuleView)))]
pub(crate) async fn update_alarm_rule(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, rule)): Path<(InstanceId, AlarmRuleId)>,
    if_match: IfMatch,
    Body(request): Body<UpdateAlarmRuleRequest>,
) -> Result<Answer<AlarmRuleView>, Problem> {
    let patch = AlarmRulePatch {
        name: request.name,
        severity: request.severity.map(Into::into),
        enabled: request.enabled,
        condition: request.condition.map(Into::into),
        for_secs: request.for_secs,
        channels: request.channels.map(ids),
        repeat_secs: request.repeat_secs.into(),
    };
    let rules = &state.services.alarm_rules;
    Ok(answer(rules.update(signed_in.caller(), instance, rule, if_match.0, patch).await?))
}

/// Delete an alarm rule. Its alarms stay; an open one is over.
#[utoipa::path(delete, path = "/v1/instances/{instance_id}/alarm-rules/{alarm_rule_id}", tag = "alarms",
    params(("instance_id" = Uuid, Path), ("alarm_rule_id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete_alarm_rule(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, rule)): Path<(InstanceId, AlarmRuleId)>,
    if_match: IfMatch,
) -> Result<Answer<()>, Problem> {
    state.services.alarm_rules.delete(signed_in.caller(), instance, rule, if_match.0).await?;
    Ok(Answer::no_content())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::parse;
    use crate::problem::ProblemCode;

    fn create(change: impl FnOnce(&mut serde_json::Value)) -> Result<CreateAlarmRuleRequest, Problem> {
        let mut body = json!({
            "name": "many", "severity": "warning",
            "condition": {"kind": "threshold", "metric": "connections", "compare": "above", "window_secs": 60,
                "value": 100, "clear_value": 80},
        });
        change(&mut body);
        parse(body.to_string().as_bytes())
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let request = create(|_| ()).expect("parses");
        assert!(request.enabled && request.channels.is_empty());
        assert_eq!((request.for_secs, request.repeat_secs, request.condition.reason), (0, None, None));
    }

    #[test]
    fn a_condition_comes_back_as_it_went() {
        let sent = create(|body| body["condition"]["reason"] = json!("rate")).expect("parses").condition;
        let sent_json = serde_json::to_value(&sent).expect("serializes");
        let back = AlarmCondition::from(Condition::from(sent));
        assert_eq!(serde_json::to_value(back).expect("serializes"), sent_json);
    }

    #[test]
    fn what_no_rule_has_is_pointed_at() {
        use ProblemCode::{UnknownField, ValidationFailed};
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, ProblemCode, &str); 6] = [
            (|body| body["severity"] = json!("bad"), ValidationFailed, "/severity"),
            (|body| body["colour"] = json!("red"), UnknownField, "/colour"),
            (|body| body["condition"]["kind"] = json!("rate"), ValidationFailed, "/condition/kind"),
            (|body| body["condition"]["value"] = json!(-1), ValidationFailed, "/condition/value"),
            (|body| body["condition"]["value"] = json!(1.5), ValidationFailed, "/condition/value"),
            (|body| body["channels"] = json!(["x"]), ValidationFailed, "/channels/0"),
        ];
        for (change, code, pointer) in cases {
            let problem = create(change).err().expect(pointer);
            let first = problem.errors().first().map(|it| it.pointer.clone());
            assert_eq!((problem.code(), first.as_deref()), (code, Some(pointer)));
        }
    }
}
