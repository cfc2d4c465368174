//! Alarms: what was raised, who knows, what is over.

use axum::extract::State;
use contract::ids::{AlarmId, AlarmRuleId, InstanceId};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};
use service::alarms::{Alarm, AlarmFilter, AlarmState, ResolvedReason};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::alarm_rules::SeverityView;
use super::parameters::{NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::page::{ListSpec, RawQuery, list_of, value};
use crate::path::Path;
use crate::preconditions::IfMatch;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// How far an alarm has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AlarmState)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlarmStateView {
    /// It was raised, and nobody has said that they know.
    Firing,
    /// Somebody knows.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// Why an alarm is over.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = AlarmResolvedReason)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlarmResolvedReasonView {
    /// All is well again.
    Cleared,
    /// The rule watches something else now.
    RuleChanged,
    /// The rule was disabled.
    RuleDisabled,
    /// The rule is gone.
    RuleDeleted,
}

/// One alarm.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alarm)]
pub(crate) struct AlarmView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: AlarmId,
    /// The rule that raised it; it may be gone.
    #[schema(value_type = String, format = Uuid)]
    rule_id: AlarmRuleId,
    /// What the rule was called.
    rule_name: String,
    /// How bad it is.
    severity: SeverityView,
    /// How far it has come.
    state: AlarmStateView,
    /// What was measured when it was last told that it fires.
    value: u64,
    /// From where on it was wrong.
    threshold: u64,
    /// When it was raised.
    fired_at: Timestamp,
    /// When somebody said that they know.
    acknowledged_at: Option<Timestamp>,
    /// Who: `member:<id>` or `platform`.
    acknowledged_by: Option<String>,
    /// What they said.
    note: Option<String>,
    /// When it was over.
    resolved_at: Option<Timestamp>,
    /// Why it is over.
    resolved_reason: Option<AlarmResolvedReasonView>,
    /// Grows with every change.
    revision: i64,
}

impl From<Alarm> for AlarmView {
    fn from(alarm: Alarm) -> Self {
        Self {
            id: alarm.id,
            rule_id: alarm.rule,
            rule_name: alarm.rule_name,
            severity: alarm.severity.into(),
            state: match alarm.state {
                AlarmState::Firing => AlarmStateView::Firing,
                AlarmState::Acknowledged => AlarmStateView::Acknowledged,
                AlarmState::Resolved => AlarmStateView::Resolved,
            },
            value: alarm.value,
            threshold: alarm.threshold,
            fired_at: alarm.fired_at.into(),
            acknowledged_at: alarm.acknowledged_at.map(Into::into),
            acknowledged_by: alarm.acknowledged_by.map(|by| by.to_string()),
            note: alarm.note,
            resolved_at: alarm.resolved_at.map(Into::into),
            resolved_reason: alarm.resolved_reason.map(|reason| match reason {
                ResolvedReason::Cleared => AlarmResolvedReasonView::Cleared,
                ResolvedReason::RuleChanged => AlarmResolvedReasonView::RuleChanged,
                ResolvedReason::RuleDisabled => AlarmResolvedReasonView::RuleDisabled,
                ResolvedReason::RuleDeleted => AlarmResolvedReasonView::RuleDeleted,
            }),
            revision: alarm.revision,
        }
    }
}

list_of! {
    /// Alarms.
    AlarmList of AlarmView
}

/// What the list of alarms takes beside.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) struct AlarmParameters {
    /// Only alarms in this state.
    #[param(inline)]
    state: Option<AlarmStateView>,
    /// Only alarms of this rule, which may be gone.
    rule_id: Option<Uuid>,
}

/// The parameters of the list of alarms alone.
const ALARM_LIST: ListSpec = ListSpec { names: true, labels: false, others: &["state", "rule_id"] };

fn parse_state(text: &str) -> Result<AlarmState, Problem> {
    let state = AlarmStateView::deserialize(text.into_deserializer());
    let state = state.map_err(|error: serde::de::value::Error| Problem::parameter("state", error))?;
    Ok(match state {
        AlarmStateView::Firing => AlarmState::Firing,
        AlarmStateView::Acknowledged => AlarmState::Acknowledged,
        AlarmStateView::Resolved => AlarmState::Resolved,
    })
}

/// List the alarms of an instance, by when they were raised. An alarm's name is its rule's.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/alarms", tag = "alarms",
    params(("instance_id" = Uuid, Path), PageParameters, NameParameters, AlarmParameters),
    responses((status = 200, description = "A page", body = AlarmList)))]
pub(crate) async fn list_alarms(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Answer<AlarmList>, Problem> {
    let parameters = query.list(&ALARM_LIST)?;
    let of = |name: &str| parameters.others.get(name).map(String::as_str);
    let filter = AlarmFilter {
        state: of("state").map(parse_state).transpose()?,
        rule: of("rule_id").map(|text| value("rule_id", text)).transpose()?,
    };
    let page = state.services.alarms.list(signed_in.caller(), instance, filter, &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}

fn answer(alarm: Alarm) -> Answer<AlarmView> {
    let revision = alarm.revision;
    Answer::ok(AlarmView::from(alarm)).revision(revision)
}

/// Show an alarm.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/alarms/{alarm_id}", tag = "alarms",
    params(("instance_id" = Uuid, Path), ("alarm_id" = Uuid, Path)),
    responses((status = 200, description = "The alarm", body = AlarmView)))]
pub(crate) async fn get_alarm(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, alarm)): Path<(InstanceId, AlarmId)>,
) -> Result<Answer<AlarmView>, Problem> {
    Ok(answer(state.services.alarms.get(signed_in.caller(), instance, alarm).await?))
}

/// What is said with an acknowledgement.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcknowledgeAlarmRequest {
    /// For people; at most 1024 bytes.
    #[schema(example = "looking at it")]
    note: Option<String>,
}

/// Say that somebody knows of an alarm that fires; it is told again no more. The body may be left out.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/alarms/{alarm_id}/acknowledge", tag = "alarms",
    params(("instance_id" = Uuid, Path), ("alarm_id" = Uuid, Path)),
    request_body = Option<AcknowledgeAlarmRequest>,
    responses((status = 200, description = "Acknowledged", body = AlarmView)))]
pub(crate) async fn acknowledge_alarm(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, alarm)): Path<(InstanceId, AlarmId)>,
    if_match: IfMatch,
    body: Option<Body<AcknowledgeAlarmRequest>>,
) -> Result<Answer<AlarmView>, Problem> {
    let note = body.and_then(|Body(request)| request.note);
    let alarms = &state.services.alarms;
    Ok(answer(alarms.acknowledge(signed_in.caller(), instance, alarm, if_match.0, note).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::ProblemCode;

    #[test]
    fn a_state_is_one_of_three() {
        for (text, state) in [
            ("firing", AlarmState::Firing),
            ("acknowledged", AlarmState::Acknowledged),
            ("resolved", AlarmState::Resolved),
        ] {
            assert_eq!(parse_state(text).expect("a state"), state);
        }
        for text in ["", "Firing", "open"] {
            let problem = parse_state(text).expect_err(text);
            assert_eq!(problem.code(), ProblemCode::InvalidParameter, "{text}");
            assert!(problem.detail().starts_with("`state`"), "{}", problem.detail());
        }
    }
}
