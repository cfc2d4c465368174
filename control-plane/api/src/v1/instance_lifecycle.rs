//! Suspending, resuming and restoring an instance, and changing its plan.

use axum::extract::State;
use contract::ids::InstanceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instances::{InstanceView, answer};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::path::Path;
use crate::preconditions::PreferWait;
use crate::problem::{LimitReached, Problem};
use crate::state::AppState;

/// Suspend an instance: its clients are disconnected and refused, its things are kept.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/suspend", tag = "instances",
    params(("instance_id" = Uuid, Path)), responses((status = 200, description = "Suspended", body = InstanceView)))]
pub(crate) async fn suspend_instance(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    prefer: PreferWait,
) -> Result<Answer<InstanceView>, Problem> {
    let (instance, written) = state.services.instances.suspend(signed_in.caller(), instance).await?;
    Ok(answer(&state, instance).written(&state, prefer, written).await)
}

/// End the suspension of an instance. What an operator has suspended only an operator resumes.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/resume", tag = "instances",
    params(("instance_id" = Uuid, Path)), responses((status = 200, description = "Resumed", body = InstanceView)))]
pub(crate) async fn resume_instance(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    prefer: PreferWait,
) -> Result<Answer<InstanceView>, Problem> {
    let (instance, written) = state.services.instances.resume(signed_in.caller(), instance).await?;
    Ok(answer(&state, instance).written(&state, prefer, written).await)
}

/// Restore an instance that is being deleted.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/restore", tag = "instances",
    params(("instance_id" = Uuid, Path)), responses((status = 200, description = "Restored", body = InstanceView)))]
pub(crate) async fn restore_instance(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    prefer: PreferWait,
) -> Result<Answer<InstanceView>, Problem> {
    let (instance, written) = state.services.instances.restore(signed_in.caller(), instance).await?;
    Ok(answer(&state, instance).written(&state, prefer, written).await)
}

/// Another plan for an instance.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePlanRequest {
    /// The name of the plan, of which the instance gets the highest version.
    #[schema(example = "large")]
    plan: String,
    /// Whether only to say what would be.
    #[serde(default)]
    preview: bool,
}

/// What a change of plan has done or, as a preview, would do.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanChange)]
pub(crate) struct PlanChangeView {
    /// The instance; in a preview as it would be.
    instance: InstanceView,
    /// What is in use beyond the new limits; never anything but in a preview.
    exceeded: Vec<LimitReached>,
    /// Whether this is only a preview.
    preview: bool,
}

/// Change the plan of an instance, or see what that would do.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/change-plan", tag = "instances",
    params(("instance_id" = Uuid, Path)), request_body = ChangePlanRequest,
    responses((status = 200, description = "Changed, or what would be", body = PlanChangeView)))]
pub(crate) async fn change_plan(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    prefer: PreferWait,
    Body(request): Body<ChangePlanRequest>,
) -> Result<Answer<PlanChangeView>, Problem> {
    let ChangePlanRequest { plan, preview } = request;
    let instances = &state.services.instances;
    let (change, written) = instances.change_plan(signed_in.caller(), instance, &plan, preview).await?;
    let revision = change.instance.revision;
    let view = PlanChangeView {
        instance: InstanceView::new(&state, change.instance),
        exceeded: change.exceeded.iter().map(LimitReached::from).collect(),
        preview,
    };
    Ok(Answer::ok(view).revision(revision).written(&state, prefer, written).await)
}
