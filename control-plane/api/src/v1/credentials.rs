//! Credentials.

use std::collections::BTreeMap;

use axum::extract::State;
use contract::grant::{Grant, Grants};
use contract::ids::{CredentialId, InstanceId};
use serde::{Deserialize, Serialize};
use service::credentials::{Credential, CredentialPatch, NewCredential, SecretSlot};
use utoipa::ToSchema;

use super::parameters::{LabelParameters, NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::{Body, Patch};
use crate::labels::Labels;
use crate::page::{NAMED, RawQuery, list_of};
use crate::path::Path;
use crate::preconditions::{IfMatch, PreferWait};
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// The kinds of credentials.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CredentialKind {
    /// A user name with a generated secret.
    Password,
}

/// Whether a credential may be used.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CredentialState {
    /// It may.
    Enabled,
    /// It may not.
    Disabled,
}

/// How a device proves itself for long.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Credential)]
pub(crate) struct CredentialView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: CredentialId,
    /// What kind it is of.
    kind: CredentialKind,
    /// The user name; unique in the instance.
    username: String,
    /// The one client identifier that may use it; null when any may.
    client_id: Option<String>,
    /// Whether it may be used.
    state: CredentialState,
    /// What its holder may do.
    grants: Vec<Grant>,
    /// What people sort it by.
    labels: Labels,
    /// Whether it has a secondary secret.
    has_secondary: bool,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Grows with every change.
    revision: i64,
}

impl From<Credential> for CredentialView {
    fn from(credential: Credential) -> Self {
        Self {
            id: credential.id,
            kind: CredentialKind::Password,
            username: credential.username,
            client_id: credential.client_id,
            state: if credential.enabled { CredentialState::Enabled } else { CredentialState::Disabled },
            grants: credential.grants.as_slice().to_vec(),
            labels: credential.labels.into(),
            has_secondary: credential.has_secondary,
            created_at: credential.created_at.into(),
            updated_at: credential.updated_at.into(),
            revision: credential.revision,
        }
    }
}

list_of! {
    /// Credentials.
    CredentialList of CredentialView
}

/// A credential with a secret that was just generated.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialWithSecret {
    #[serde(flatten)]
    credential: CredentialView,
    /// The secret: shown once.
    secret: String,
}

/// A new credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateCredentialRequest {
    /// What kind it is of.
    kind: CredentialKind,
    /// The user name; unique in the instance.
    #[schema(example = "car-001")]
    username: String,
    /// The one client identifier that may use it; any, when left out.
    #[schema(example = "car-001")]
    client_id: Option<String>,
    /// What its holder may do; nothing, when left out.
    #[serde(default)]
    grants: Vec<Grant>,
    /// What people sort it by.
    #[serde(default)]
    labels: Labels,
}

/// Create a credential. Its secret is generated and shown once.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/credentials", tag = "credentials",
    params(("instance_id" = Uuid, Path)), request_body = CreateCredentialRequest,
    responses((status = 201, description = "Created", body = CredentialWithSecret)))]
pub(crate) async fn create_credential(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    prefer: PreferWait,
    Body(request): Body<CreateCredentialRequest>,
) -> Result<Answer<CredentialWithSecret>, Problem> {
    let CredentialKind::Password = request.kind;
    let new = NewCredential {
        username: request.username,
        client_id: request.client_id,
        grants: Grants::new(request.grants),
        labels: request.labels.into(),
    };
    let created = state.services.credentials.create(signed_in.caller(), instance, new).await?;
    let (credential, secret, written) = created;
    let location = format!("/v1/instances/{instance}/credentials/{}", credential.id);
    let revision = credential.revision;
    let view = CredentialWithSecret { credential: credential.into(), secret: secret.expose().to_owned() };
    Ok(Answer::created(&location, view).revision(revision).written(&state, prefer, written).await)
}

/// List the credentials of an instance. A credential's name is its user name.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/credentials", tag = "credentials",
    params(("instance_id" = Uuid, Path), PageParameters, NameParameters, LabelParameters),
    responses((status = 200, description = "A page", body = CredentialList)))]
pub(crate) async fn list_credentials(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Answer<CredentialList>, Problem> {
    let parameters = query.list(&NAMED)?;
    let page = state.services.credentials.list(signed_in.caller(), instance, &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}

fn answer(credential: Credential) -> Answer<CredentialView> {
    let revision = credential.revision;
    Answer::ok(CredentialView::from(credential)).revision(revision)
}

/// Show a credential.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/credentials/{credential_id}", tag = "credentials",
    params(("instance_id" = Uuid, Path), ("credential_id" = Uuid, Path)),
    responses((status = 200, description = "The credential", body = CredentialView)))]
pub(crate) async fn get_credential(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, credential)): Path<(InstanceId, CredentialId)>,
) -> Result<Answer<CredentialView>, Problem> {
    Ok(answer(state.services.credentials.get(signed_in.caller(), instance, credential).await?))
}

/// What to change of a credential; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateCredentialRequest {
    /// The one client identifier that may use it; null lets any.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    client_id: Patch<String>,
    /// What its holder may do, whole.
    grants: Option<Vec<Grant>>,
    /// Labels to set, or with null to take away.
    #[serde(default)]
    labels: BTreeMap<String, Option<String>>,
}

/// Change a credential.
#[utoipa::path(patch, path = "/v1/instances/{instance_id}/credentials/{credential_id}", tag = "credentials",
    params(("instance_id" = Uuid, Path), ("credential_id" = Uuid, Path)), request_body = UpdateCredentialRequest,
    responses((status = 200, description = "Changed", body = CredentialView)))]
pub(crate) async fn update_credential(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, credential)): Path<(InstanceId, CredentialId)>,
    if_match: IfMatch,
    prefer: PreferWait,
    Body(request): Body<UpdateCredentialRequest>,
) -> Result<Answer<CredentialView>, Problem> {
    let UpdateCredentialRequest { client_id, grants, labels } = request;
    let patch = CredentialPatch { client_id: client_id.into(), grants: grants.map(Grants::new), labels };
    let credentials = &state.services.credentials;
    let (credential, written) =
        credentials.update(signed_in.caller(), instance, credential, if_match.0, patch).await?;
    Ok(answer(credential).written(&state, prefer, written).await)
}

/// Delete a credential and close its connections.
#[utoipa::path(delete, path = "/v1/instances/{instance_id}/credentials/{credential_id}", tag = "credentials",
    params(("instance_id" = Uuid, Path), ("credential_id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete_credential(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, credential)): Path<(InstanceId, CredentialId)>,
    if_match: IfMatch,
    prefer: PreferWait,
) -> Result<Answer<()>, Problem> {
    let credentials = &state.services.credentials;
    let written = credentials.delete(signed_in.caller(), instance, credential, if_match.0).await?;
    Ok(Answer::no_content().written(&state, prefer, written).await)
}

/// Disable a credential and close its connections.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/credentials/{credential_id}/disable", tag = "credentials",
    params(("instance_id" = Uuid, Path), ("credential_id" = Uuid, Path)),
    responses((status = 200, description = "Disabled", body = CredentialView)))]
pub(crate) async fn disable_credential(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, credential)): Path<(InstanceId, CredentialId)>,
    prefer: PreferWait,
) -> Result<Answer<CredentialView>, Problem> {
    let (credential, written) =
        state.services.credentials.disable(signed_in.caller(), instance, credential).await?;
    Ok(answer(credential).written(&state, prefer, written).await)
}

/// Enable a credential.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/credentials/{credential_id}/enable", tag = "credentials",
    params(("instance_id" = Uuid, Path), ("credential_id" = Uuid, Path)),
    responses((status = 200, description = "Enabled", body = CredentialView)))]
pub(crate) async fn enable_credential(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, credential)): Path<(InstanceId, CredentialId)>,
    prefer: PreferWait,
) -> Result<Answer<CredentialView>, Problem> {
    let (credential, written) =
        state.services.credentials.enable(signed_in.caller(), instance, credential).await?;
    Ok(answer(credential).written(&state, prefer, written).await)
}

/// One of the two places for a secret.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = SecretSlot)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SecretSlotView {
    /// The one that every credential has.
    Primary,
    /// A second one, for changing over.
    Secondary,
}

/// A new secret for a credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateCredentialRequest {
    /// Which secret to replace; the other stays good.
    which: SecretSlotView,
}

/// Replace one of the two secrets of a credential. The new one is generated and shown once.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/credentials/{credential_id}/rotate", tag = "credentials",
    params(("instance_id" = Uuid, Path), ("credential_id" = Uuid, Path)), request_body = RotateCredentialRequest,
    responses((status = 200, description = "Replaced", body = CredentialWithSecret)))]
pub(crate) async fn rotate_credential(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, credential)): Path<(InstanceId, CredentialId)>,
    prefer: PreferWait,
    Body(request): Body<RotateCredentialRequest>,
) -> Result<Answer<CredentialWithSecret>, Problem> {
    let slot = match request.which {
        SecretSlotView::Primary => SecretSlot::Primary,
        SecretSlotView::Secondary => SecretSlot::Secondary,
    };
    let rotated = state.services.credentials.rotate(signed_in.caller(), instance, credential, slot).await?;
    let (credential, secret, written) = rotated;
    let revision = credential.revision;
    let view = CredentialWithSecret { credential: credential.into(), secret: secret.expose().to_owned() };
    Ok(Answer::ok(view).revision(revision).written(&state, prefer, written).await)
}
