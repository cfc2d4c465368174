//! The audit log of a tenant.

use axum::extract::State;
use contract::ids::{InstanceId, TenantId};
use serde::Serialize;
use serde_json::Value;
use service::audit::AuditEntry;
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters::{NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::page::{ListSpec, RawQuery, list_of};
use crate::path::Path;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// One entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditEntryView {
    /// Its id.
    id: Uuid,
    /// The instance, if it is about one.
    #[schema(value_type = Option<String>, format = Uuid)]
    instance_id: Option<InstanceId>,
    /// When.
    at: Timestamp,
    /// Who: `member:<id>` or `platform`.
    actor: String,
    /// What was done: the operation's name.
    #[schema(example = "create_topic")]
    action: String,
    /// To what kind of thing.
    #[schema(example = "topic")]
    resource: String,
    /// To which one.
    resource_id: String,
    /// In which request.
    request_id: String,
    /// What it was before, where something was.
    before: Option<Value>,
    /// What it was afterwards, where something was.
    after: Option<Value>,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            instance_id: entry.instance,
            at: entry.at.into(),
            actor: entry.actor.to_string(),
            action: entry.action,
            resource: entry.resource,
            resource_id: entry.resource_id,
            request_id: entry.request_id,
            before: entry.before,
            after: entry.after,
        }
    }
}

list_of! {
    /// Entries of the audit log.
    AuditList of AuditEntryView
}

/// List the audit log of a tenant. An entry's name is its action.
#[utoipa::path(get, path = "/v1/tenants/{tenant_id}/audit", tag = "audit",
    params(("tenant_id" = Uuid, Path), PageParameters, NameParameters),
    responses((status = 200, description = "A page", body = AuditList)))]
pub(crate) async fn list_audit(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(tenant): Path<TenantId>,
    query: RawQuery,
) -> Result<Answer<AuditList>, Problem> {
    let parameters = query.list(&ListSpec { names: true, ..ListSpec::default() })?;
    let page = state.services.audit.list(signed_in.caller(), tenant, &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}
