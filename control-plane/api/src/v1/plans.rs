//! Plans: named, versioned sets of limits.

use std::collections::BTreeMap;

use axum::extract::State;
use contract::limits::InstanceLimits;
use serde::{Deserialize, Serialize};
use service::plans::{NewPlan, Plan};
use utoipa::ToSchema;

use super::parameters::{NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::page::{self, ListSpec, RawQuery, list_of};
use crate::path::Path;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// One version of a plan. A version never changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanView {
    /// Its name.
    name: String,
    /// From 1 up; new instances get the highest.
    version: i32,
    /// For people.
    description: String,
    /// What an instance may use.
    limits: InstanceLimits,
    /// Whether no instance may begin to use it.
    retired: bool,
    /// Since when.
    retired_at: Option<Timestamp>,
    /// When this version was made.
    created_at: Timestamp,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self {
            name: plan.name,
            version: plan.version,
            description: plan.description,
            limits: plan.limits,
            retired: plan.retired_at.is_some(),
            retired_at: plan.retired_at.map(Into::into),
            created_at: plan.created_at.into(),
        }
    }
}

list_of! {
    /// Plans.
    PlanList of PlanView
}

/// List the plans, each in its highest version.
#[utoipa::path(get, path = "/v1/plans", tag = "plans", params(PageParameters, NameParameters),
    responses((status = 200, description = "A page", body = PlanList)))]
pub(crate) async fn list_plans(
    State(state): State<AppState>,
    signed_in: SignedIn,
    query: RawQuery,
) -> Result<Answer<PlanList>, Problem> {
    let parameters = query.list(&ListSpec { names: true, ..ListSpec::default() })?;
    let page = state.services.plans.list(signed_in.caller(), &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}

/// Show a plan.
#[utoipa::path(get, path = "/v1/plans/{plan}", tag = "plans",
    params(("plan" = String, Path),
        ("version" = Option<i32>, Query, description = "Which version; the highest, when left out")),
    responses((status = 200, description = "The plan", body = PlanView)))]
pub(crate) async fn get_plan(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(name): Path<String>,
    query: RawQuery,
) -> Result<Answer<PlanView>, Problem> {
    let parameters = query.only(&["version"])?;
    let version = parameters.get("version").map(|text| page::value("version", text)).transpose()?;
    let plan = state.services.plans.get(signed_in.caller(), &name, version).await?;
    Ok(Answer::ok(plan.into()))
}

/// A new plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePlanRequest {
    /// Its name: 1 to 40 of `a-z`, `0-9` and `-`, beginning with a letter.
    #[schema(example = "standard")]
    name: String,
    /// For people.
    #[serde(default)]
    description: String,
    /// Limits by name; what is left out has its default.
    #[serde(default)]
    limits: BTreeMap<String, u64>,
}

fn created(plan: Plan) -> Answer<PlanView> {
    let location = format!("/v1/plans/{}?version={}", plan.name, plan.version);
    Answer::created(&location, plan.into())
}

/// Create a plan. Operators only.
#[utoipa::path(post, path = "/v1/plans", tag = "plans", request_body = CreatePlanRequest,
    responses((status = 201, description = "Created", body = PlanView)))]
pub(crate) async fn create_plan(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Body(request): Body<CreatePlanRequest>,
) -> Result<Answer<PlanView>, Problem> {
    let CreatePlanRequest { name, description, limits } = request;
    let new = NewPlan { name, description, limits };
    Ok(created(state.services.plans.create(signed_in.caller(), new).await?))
}

/// The next version of a plan; what is left out is as in the version before.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePlanVersionRequest {
    /// For people.
    description: Option<String>,
    /// Limits by name.
    #[serde(default)]
    limits: BTreeMap<String, u64>,
}

/// Create the next version of a plan. Instances keep theirs until their plan is changed. Operators only.
#[utoipa::path(post, path = "/v1/plans/{plan}/versions", tag = "plans", params(("plan" = String, Path)),
    request_body = CreatePlanVersionRequest, responses((status = 201, description = "Created", body = PlanView)))]
pub(crate) async fn create_plan_version(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(name): Path<String>,
    Body(request): Body<CreatePlanVersionRequest>,
) -> Result<Answer<PlanView>, Problem> {
    let CreatePlanVersionRequest { description, limits } = request;
    let plan = state.services.plans.create_version(signed_in.caller(), &name, description, limits).await?;
    Ok(created(plan))
}

/// Let no instance begin to use a plan. Those that do keep it. Operators only.
#[utoipa::path(post, path = "/v1/plans/{plan}/retire", tag = "plans", params(("plan" = String, Path)),
    responses((status = 200, description = "Retired", body = PlanView)))]
pub(crate) async fn retire_plan(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(name): Path<String>,
) -> Result<Answer<PlanView>, Problem> {
    Ok(Answer::ok(state.services.plans.retire(signed_in.caller(), &name).await?.into()))
}
