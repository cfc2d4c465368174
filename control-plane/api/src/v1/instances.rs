//! Instances: what they are, where their devices connect, what they may use, how far a change has come.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use contract::feed::{Authentication, InstanceState, TopicMode};
use contract::ids::{InstanceId, TenantId};
use serde::{Deserialize, Serialize};
use service::instances::{Instance, InstancePatch, NewInstance, SuspendedReason};
use utoipa::ToSchema;

use super::durability::{DurabilityClassView, QueueOverflowView};
use super::parameters::{LabelParameters, NameParameters, PageParameters};
use super::shared_strategy::SharedStrategyView;
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::labels::Labels;
use crate::page::{self, ListSpec, NAMED, RawQuery, list_of};
use crate::path::Path;
use crate::preconditions::{IfMatch, PreferWait};
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// Whether an instance serves its clients.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = InstanceState)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InstanceStateView {
    /// It does.
    Running,
    /// Its clients are refused and disconnected, its things are kept.
    Suspended,
    /// It can still be restored for some days.
    Deleting,
}

impl From<InstanceState> for InstanceStateView {
    fn from(state: InstanceState) -> Self {
        match state {
            InstanceState::Running => Self::Running,
            InstanceState::Suspended | InstanceState::Unknown => Self::Suspended,
            InstanceState::Deleting => Self::Deleting,
        }
    }
}

/// Who suspended an instance, or on whose account.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = SuspendedReason)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SuspendedReasonView {
    /// The operator.
    Operator,
    /// Nobody pays for it.
    Payment,
    /// The tenant itself.
    Tenant,
}

impl From<SuspendedReason> for SuspendedReasonView {
    fn from(reason: SuspendedReason) -> Self {
        match reason {
            SuspendedReason::Operator => Self::Operator,
            SuspendedReason::Payment => Self::Payment,
            SuspendedReason::Tenant => Self::Tenant,
        }
    }
}

/// How clients of an instance may prove themselves.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Authentication)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthenticationView {
    /// A credential's user name and password.
    Password,
    /// A temporary token.
    Token,
}

impl AuthenticationView {
    fn of(authentication: Authentication) -> Option<Self> {
        match authentication {
            Authentication::Password => Some(Self::Password),
            Authentication::Token => Some(Self::Token),
            Authentication::Unknown => None,
        }
    }
}

impl From<AuthenticationView> for Authentication {
    fn from(authentication: AuthenticationView) -> Self {
        match authentication {
            AuthenticationView::Password => Self::Password,
            AuthenticationView::Token => Self::Token,
        }
    }
}

/// The plan that an instance has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstancePlan {
    /// The plan's name.
    name: String,
    /// The version that the instance was given.
    version: i32,
}

/// Where the devices of an instance connect.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoints)]
pub(crate) struct EndpointsView {
    /// The instance's server name, where the platform has a domain.
    server_name: Option<String>,
    /// The host to connect to.
    host: String,
    /// The port for MQTT over TCP.
    mqtt_port: u16,
    /// The same as a URL.
    #[schema(example = "mqtt://127.0.0.1:1883")]
    mqtt: String,
    /// What to append to a user name where no server name says which instance is meant.
    #[schema(example = "@cars-7k2f")]
    username_suffix: String,
}

/// One isolated MQTT namespace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
pub(crate) struct InstanceView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: InstanceId,
    /// Whose it is.
    #[schema(value_type = String, format = Uuid)]
    tenant_id: TenantId,
    /// What people call it; unique in the tenant.
    name: String,
    /// The first label of its server name; never given to another tenant.
    label: String,
    /// Whether it serves.
    state: InstanceStateView,
    /// Why it is suspended, when it is.
    suspended_reason: Option<SuspendedReasonView>,
    /// Its plan.
    plan: InstancePlan,
    /// Which topics it accepts.
    topic_mode: TopicMode,
    /// How its clients may prove themselves.
    authentication: Vec<AuthenticationView>,
    /// Which messages are logged, of topics that do not say themselves.
    durability: DurabilityClassView,
    /// What gives way when more waits for a session or a shared subscription than the limits allow.
    queue_overflow: QueueOverflowView,
    /// Whose turn it is among the members of a shared subscription.
    shared_strategy: SharedStrategyView,
    /// Whether deletion is refused.
    delete_protection: bool,
    /// What people sort it by.
    labels: Labels,
    /// Where its devices connect.
    endpoints: EndpointsView,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// When it was deleted; it can be restored for seven days.
    deleted_at: Option<Timestamp>,
    /// Grows with every change.
    revision: i64,
}

impl InstanceView {
    fn endpoints(state: &AppState, instance: &Instance) -> EndpointsView {
        let endpoints = state.services.instances.endpoints(instance);
        EndpointsView {
            server_name: endpoints.server_name,
            host: endpoints.host,
            mqtt_port: endpoints.mqtt_port,
            mqtt: endpoints.mqtt,
            username_suffix: endpoints.username_suffix,
        }
    }

    /// The instance as it is shown.
    pub(super) fn new(state: &AppState, instance: Instance) -> Self {
        Self {
            endpoints: Self::endpoints(state, &instance),
            id: instance.id,
            tenant_id: instance.tenant,
            name: instance.name,
            label: instance.label,
            state: instance.state.into(),
            suspended_reason: instance.suspended_reason.map(Into::into),
            plan: InstancePlan { name: instance.plan_name, version: instance.plan_version },
            topic_mode: instance.topic_mode,
            authentication: instance.authentication.into_iter().filter_map(AuthenticationView::of).collect(),
            durability: instance.durability.into(),
            queue_overflow: instance.queue_overflow.into(),
            shared_strategy: instance.shared_strategy.into(),
            delete_protection: instance.delete_protection,
            labels: instance.labels.into(),
            created_at: instance.created_at.into(),
            updated_at: instance.updated_at.into(),
            deleted_at: instance.deleted_at.map(Into::into),
            revision: instance.revision,
        }
    }
}

list_of! {
    /// Instances.
    InstanceList of InstanceView
}

/// A new instance.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateInstanceRequest {
    /// What people call it; 1 to 100 characters, unique in the tenant.
    #[schema(example = "cars")]
    name: String,
    /// The name of its plan.
    #[schema(example = "standard")]
    plan: String,
    /// Which topics it accepts; only provisioned ones, when left out.
    #[serde(default = "CreateInstanceRequest::topic_mode_default")]
    topic_mode: TopicMode,
    /// How its clients may prove themselves; every way, when left out.
    #[serde(default = "CreateInstanceRequest::authentication_default")]
    authentication: Vec<AuthenticationView>,
    /// Which messages are logged, of topics that do not say themselves; `logged`, when left out.
    #[serde(default)]
    durability: DurabilityClassView,
    /// What gives way when more waits for a session or a shared subscription than the limits allow; `drop_oldest`, when left out.
    #[serde(default)]
    queue_overflow: QueueOverflowView,
    /// Whose turn it is among the members of a shared subscription; `round_robin`, when left out.
    #[serde(default)]
    shared_strategy: SharedStrategyView,
    /// Whether deletion is refused.
    #[serde(default)]
    delete_protection: bool,
    /// What people sort it by.
    #[serde(default)]
    labels: Labels,
}

impl CreateInstanceRequest {
    const fn topic_mode_default() -> TopicMode {
        TopicMode::Provisioned
    }

    fn authentication_default() -> Vec<AuthenticationView> {
        vec![AuthenticationView::Password, AuthenticationView::Token]
    }
}

/// Create an instance.
#[utoipa::path(post, path = "/v1/tenants/{tenant_id}/instances", tag = "instances",
    params(("tenant_id" = Uuid, Path)), request_body = CreateInstanceRequest,
    responses((status = 201, description = "Created", body = InstanceView)))]
pub(crate) async fn create_instance(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(tenant): Path<TenantId>,
    prefer: PreferWait,
    Body(request): Body<CreateInstanceRequest>,
) -> Result<Answer<InstanceView>, Problem> {
    let new = NewInstance {
        name: request.name,
        plan: request.plan,
        topic_mode: request.topic_mode,
        authentication: request.authentication.into_iter().map(Into::into).collect(),
        durability: request.durability.into(),
        queue_overflow: request.queue_overflow.into(),
        shared_strategy: request.shared_strategy.into(),
        delete_protection: request.delete_protection,
        labels: request.labels.into(),
    };
    let (instance, written) = state.services.instances.create(signed_in.caller(), tenant, new).await?;
    let (location, revision) = (format!("/v1/instances/{}", instance.id), instance.revision);
    let answer = Answer::created(&location, InstanceView::new(&state, instance)).revision(revision);
    Ok(answer.written(&state, prefer, written).await)
}

/// List the instances of a tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant_id}/instances", tag = "instances",
    params(("tenant_id" = Uuid, Path), PageParameters, NameParameters, LabelParameters,
        ("deleted" = Option<bool>, Query, description = "Whether to list what can still be restored, and that only")),
    responses((status = 200, description = "A page", body = InstanceList)))]
pub(crate) async fn list_instances(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(tenant): Path<TenantId>,
    query: RawQuery,
) -> Result<Answer<InstanceList>, Problem> {
    let parameters = query.list(&ListSpec { others: &["deleted"], ..NAMED })?;
    let deleted = parameters.others.get("deleted").map(|text| page::value("deleted", text)).transpose()?;
    let deleted = deleted.unwrap_or(false);
    let page = state.services.instances.list(signed_in.caller(), tenant, deleted, &parameters.query).await?;
    Ok(Answer::ok(page.map(|instance| InstanceView::new(&state, instance)).into()))
}

/// An instance as the answer to reading or changing it.
pub(super) fn answer(state: &AppState, instance: Instance) -> Answer<InstanceView> {
    let revision = instance.revision;
    Answer::ok(InstanceView::new(state, instance)).revision(revision)
}

/// Show an instance.
#[utoipa::path(get, path = "/v1/instances/{instance_id}", tag = "instances", params(("instance_id" = Uuid, Path)),
    responses((status = 200, description = "The instance", body = InstanceView)))]
pub(crate) async fn get_instance(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
) -> Result<Answer<InstanceView>, Problem> {
    let instance = state.services.instances.get(signed_in.caller(), instance).await?;
    Ok(answer(&state, instance))
}

/// What to change of an instance; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateInstanceRequest {
    /// What people call it. Its label stays.
    name: Option<String>,
    /// Which topics it accepts.
    topic_mode: Option<TopicMode>,
    /// How its clients may prove themselves.
    authentication: Option<Vec<AuthenticationView>>,
    /// Which messages are logged, of topics that do not say themselves.
    durability: Option<DurabilityClassView>,
    /// What gives way when more waits for a session or a shared subscription than the limits allow.
    queue_overflow: Option<QueueOverflowView>,
    /// Whose turn it is among the members of a shared subscription.
    shared_strategy: Option<SharedStrategyView>,
    /// Whether deletion is refused.
    delete_protection: Option<bool>,
    /// Labels to set, or with null to take away.
    #[serde(default)]
    labels: BTreeMap<String, Option<String>>,
}

/// Change an instance.
#[utoipa::path(patch, path = "/v1/instances/{instance_id}", tag = "instances", params(("instance_id" = Uuid, Path)),
    request_body = UpdateInstanceRequest, responses((status = 200, description = "Changed", body = InstanceView)))]
pub(crate) async fn update_instance(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    if_match: IfMatch,
    prefer: PreferWait,
    Body(request): Body<UpdateInstanceRequest>,
) -> Result<Answer<InstanceView>, Problem> {
    let patch = InstancePatch {
        name: request.name,
        topic_mode: request.topic_mode,
        authentication: request.authentication.map(|ways| ways.into_iter().map(Into::into).collect()),
        durability: request.durability.map(Into::into),
        queue_overflow: request.queue_overflow.map(Into::into),
        shared_strategy: request.shared_strategy.map(Into::into),
        delete_protection: request.delete_protection,
        labels: request.labels,
    };
    let instances = &state.services.instances;
    let (instance, written) = instances.update(signed_in.caller(), instance, if_match.0, patch).await?;
    Ok(answer(&state, instance).written(&state, prefer, written).await)
}

/// Delete an instance. Its clients are disconnected now; for seven days it can be restored.
#[utoipa::path(delete, path = "/v1/instances/{instance_id}", tag = "instances", params(("instance_id" = Uuid, Path)),
    responses((status = 200, description = "Being deleted", body = InstanceView)))]
pub(crate) async fn delete_instance(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    if_match: IfMatch,
    prefer: PreferWait,
) -> Result<Answer<InstanceView>, Problem> {
    let (instance, written) =
        state.services.instances.delete(signed_in.caller(), instance, if_match.0).await?;
    Ok(answer(&state, instance).written(&state, prefer, written).await)
}

/// Show where the devices of an instance connect.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/endpoints", tag = "instances",
    params(("instance_id" = Uuid, Path)),
    responses((status = 200, description = "The endpoints", body = EndpointsView)))]
pub(crate) async fn get_endpoints(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
) -> Result<Json<EndpointsView>, Problem> {
    let instance = state.services.instances.get(signed_in.caller(), instance).await?;
    Ok(Json(InstanceView::endpoints(&state, &instance)))
}

/// One limit of an instance, and its use.
#[derive(Serialize, ToSchema)]
pub(crate) struct InstanceLimit {
    /// Its name.
    #[schema(example = "topics_max")]
    name: &'static str,
    /// What it counts.
    #[schema(example = "topics")]
    unit: &'static str,
    /// What it bounds.
    description: &'static str,
    /// Its value for this instance.
    value: u64,
    /// How much is in use, where that is counted.
    used: Option<u64>,
}

/// What an instance may use, and uses.
#[derive(Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsView {
    /// Every limit, in the order in which people read them.
    items: Vec<InstanceLimit>,
}

/// Show what an instance may use, and uses.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/limits", tag = "instances",
    params(("instance_id" = Uuid, Path)), responses((status = 200, description = "The limits", body = LimitsView)))]
pub(crate) async fn get_limits(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
) -> Result<Json<LimitsView>, Problem> {
    let limits = state.services.instances.limits(signed_in.caller(), instance).await?;
    let items = limits
        .into_iter()
        .map(|used| InstanceLimit {
            name: used.limit.name,
            unit: used.limit.unit,
            description: used.limit.doc,
            value: used.value,
            used: used.used,
        })
        .collect();
    Ok(Json(LimitsView { items }))
}

/// How far a change has come. It names no node.
#[derive(Serialize, ToSchema)]
#[schema(as = Rollout)]
pub(crate) struct RolloutView {
    /// The generation asked about; the newest, when none was.
    generation: u64,
    /// Reachable nodes that have it.
    applied: u64,
    /// Nodes that were heard of lately.
    reachable: u64,
    /// Nodes that were not.
    unreachable: u64,
    /// Whether every reachable node has it.
    done: bool,
}

/// Show how far a change has come, or whether nodes run the newest configuration.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/rollout", tag = "instances",
    params(("instance_id" = Uuid, Path),
        ("generation" = Option<u64>, Query,
            description = "`Iotmq-Generation` of the answer to the change; the newest of all, when left out")),
    responses((status = 200, description = "How far", body = RolloutView)))]
pub(crate) async fn get_rollout(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Json<RolloutView>, Problem> {
    let parameters = query.only(&["generation"])?;
    let generation = parameters.get("generation").map(|text| page::value("generation", text)).transpose()?;
    let (generation, applied) =
        state.services.rollout.progress(signed_in.caller(), instance, generation).await?;
    Ok(Json(RolloutView {
        generation,
        applied: applied.applied,
        reachable: applied.reachable,
        unreachable: applied.unreachable,
        done: applied.done(),
    }))
}
