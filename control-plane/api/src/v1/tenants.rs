//! Tenants.

use std::collections::BTreeMap;

use axum::extract::State;
use contract::ids::TenantId;
use serde::{Deserialize, Serialize};
use service::tenants::{CreatedTenant, NewOwner, NewTenant, Tenant, TenantPatch, TenantState};
use utoipa::ToSchema;

use super::parameters::{LabelParameters, NameParameters, PageParameters};
use super::session::MemberSummary;
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::labels::Labels;
use crate::page::{self, RawQuery, list_of};
use crate::path::Path;
use crate::preconditions::{IfMatch, PreferWait};
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// Whether a tenant is served.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = TenantState)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TenantStateView {
    /// It is.
    Active,
    /// Its instances serve nobody and its members may only read.
    Suspended,
}

impl From<TenantState> for TenantStateView {
    fn from(state: TenantState) -> Self {
        match state {
            TenantState::Active => Self::Active,
            TenantState::Suspended => Self::Suspended,
        }
    }
}

/// An organisation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(crate) struct TenantView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: TenantId,
    /// What people call it.
    name: String,
    /// Whether it is served.
    state: TenantStateView,
    /// What people sort it by.
    labels: Labels,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Grows with every change.
    revision: i64,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id,
            name: tenant.name,
            state: tenant.state.into(),
            labels: tenant.labels.into(),
            created_at: tenant.created_at.into(),
            updated_at: tenant.updated_at.into(),
            revision: tenant.revision,
        }
    }
}

list_of! {
    /// Tenants.
    TenantList of TenantView
}

/// A new tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTenantRequest {
    /// What people call it; 1 to 100 characters.
    #[schema(example = "acme")]
    name: String,
    /// What people sort it by.
    #[serde(default)]
    labels: Labels,
    /// Its first owner; the caller, when left out.
    owner: Option<OwnerRequest>,
}

/// The first owner of a new tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnerRequest {
    /// The address to sign in with. Whoever has it already becomes the owner.
    #[schema(example = "li@example.com")]
    email: String,
    /// What people call it.
    name: String,
}

/// A tenant that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedTenant)]
pub(crate) struct CreatedTenantView {
    #[serde(flatten)]
    tenant: TenantView,
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<MemberSummary>,
    /// The owner's password, when it is new here: shown once, to be changed at the first sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    one_time_password: Option<String>,
}

/// Create a tenant. Operators only.
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", request_body = CreateTenantRequest,
    responses((status = 201, description = "Created", body = CreatedTenantView)))]
pub(crate) async fn create_tenant(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Body(request): Body<CreateTenantRequest>,
) -> Result<Answer<CreatedTenantView>, Problem> {
    let owner = request.owner.map(|owner| NewOwner { email: owner.email, name: owner.name });
    let new = NewTenant { name: request.name, labels: request.labels.into(), owner };
    let created = state.services.tenants.create(signed_in.caller(), new).await?;
    let CreatedTenant { tenant, owner, one_time_password } = created;
    let (location, revision) = (format!("/v1/tenants/{}", tenant.id), tenant.revision);
    let view = CreatedTenantView {
        tenant: tenant.into(),
        owner: owner.map(Into::into),
        one_time_password: one_time_password.map(|password| password.expose().to_owned()),
    };
    Ok(Answer::created(&location, view).revision(revision))
}

/// List the caller's tenants; every one, for operators.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", params(PageParameters, NameParameters, LabelParameters),
    responses((status = 200, description = "A page", body = TenantList)))]
pub(crate) async fn list_tenants(
    State(state): State<AppState>,
    signed_in: SignedIn,
    query: RawQuery,
) -> Result<Answer<TenantList>, Problem> {
    let parameters = query.list(&page::NAMED)?;
    let page = state.services.tenants.list(signed_in.caller(), &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}

fn answer(tenant: Tenant) -> Answer<TenantView> {
    let revision = tenant.revision;
    Answer::ok(TenantView::from(tenant)).revision(revision)
}

/// Show a tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant_id}", tag = "tenants", params(("tenant_id" = Uuid, Path)),
    responses((status = 200, description = "The tenant", body = TenantView)))]
pub(crate) async fn get_tenant(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(tenant): Path<TenantId>,
) -> Result<Answer<TenantView>, Problem> {
    Ok(answer(state.services.tenants.get(signed_in.caller(), tenant).await?))
}

/// What to change of a tenant; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateTenantRequest {
    /// What people call it; 1 to 100 characters.
    name: Option<String>,
    /// Labels to set, or with null to take away.
    #[serde(default)]
    labels: BTreeMap<String, Option<String>>,
}

/// Rename and label a tenant.
#[utoipa::path(patch, path = "/v1/tenants/{tenant_id}", tag = "tenants", params(("tenant_id" = Uuid, Path)),
    request_body = UpdateTenantRequest, responses((status = 200, description = "Changed", body = TenantView)))]
pub(crate) async fn update_tenant(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(tenant): Path<TenantId>,
    if_match: IfMatch,
    Body(request): Body<UpdateTenantRequest>,
) -> Result<Answer<TenantView>, Problem> {
    let patch = TenantPatch { name: request.name, labels: request.labels };
    Ok(answer(state.services.tenants.update(signed_in.caller(), tenant, if_match.0, patch).await?))
}

/// Suspend a tenant: its instances stop, its members may only read. Operators only.
#[utoipa::path(post, path = "/v1/tenants/{tenant_id}/suspend", tag = "tenants", params(("tenant_id" = Uuid, Path)),
    responses((status = 200, description = "Suspended", body = TenantView)))]
pub(crate) async fn suspend_tenant(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(tenant): Path<TenantId>,
    prefer: PreferWait,
) -> Result<Answer<TenantView>, Problem> {
    let (tenant, written) = state.services.tenants.suspend(signed_in.caller(), tenant).await?;
    Ok(answer(tenant).written(&state, prefer, written).await)
}

/// End the suspension of a tenant. Operators only.
#[utoipa::path(post, path = "/v1/tenants/{tenant_id}/resume", tag = "tenants", params(("tenant_id" = Uuid, Path)),
    responses((status = 200, description = "Resumed", body = TenantView)))]
pub(crate) async fn resume_tenant(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(tenant): Path<TenantId>,
    prefer: PreferWait,
) -> Result<Answer<TenantView>, Problem> {
    let (tenant, written) = state.services.tenants.resume(signed_in.caller(), tenant).await?;
    Ok(answer(tenant).written(&state, prefer, written).await)
}
