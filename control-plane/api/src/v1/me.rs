//! The caller's own account.

use axum::extract::State;
use contract::ids::MemberId;
use serde::{Deserialize, Serialize};
use service::members::Me;
use service::secret::Secret;
use utoipa::ToSchema;

use super::session::MembershipView;
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::preconditions::IfMatch;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// The caller's own account.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub(crate) struct MeView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: MemberId,
    /// The address to sign in with.
    email: String,
    /// What people call it.
    name: String,
    /// Whether it runs the platform.
    operator: bool,
    /// Where it belongs.
    tenants: Vec<MembershipView>,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Grows with every change.
    revision: i64,
}

impl From<Me> for MeView {
    fn from(Me { member, tenants }: Me) -> Self {
        Self {
            id: member.id,
            email: member.email,
            name: member.name,
            operator: member.operator,
            tenants: tenants.into_iter().map(Into::into).collect(),
            created_at: member.created_at.into(),
            updated_at: member.updated_at.into(),
            revision: member.revision,
        }
    }
}

fn answer(me: Me) -> Answer<MeView> {
    let revision = me.member.revision;
    Answer::ok(MeView::from(me)).revision(revision)
}

/// Show the caller's own account.
#[utoipa::path(get, path = "/v1/me", tag = "me", responses((status = 200, description = "The account", body = MeView)))]
pub(crate) async fn get_me(
    State(state): State<AppState>,
    signed_in: SignedIn,
) -> Result<Answer<MeView>, Problem> {
    Ok(answer(state.services.members.get_me(signed_in.caller()).await?))
}

/// What to change of the caller's own account; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMeRequest {
    /// What people call it; 1 to 100 characters.
    name: Option<String>,
}

/// Change the caller's own account.
#[utoipa::path(patch, path = "/v1/me", tag = "me", request_body = UpdateMeRequest,
    responses((status = 200, description = "Changed", body = MeView)))]
pub(crate) async fn update_me(
    State(state): State<AppState>,
    signed_in: SignedIn,
    if_match: IfMatch,
    Body(request): Body<UpdateMeRequest>,
) -> Result<Answer<MeView>, Problem> {
    let me = state.services.members.update_me(signed_in.caller(), if_match.0, request.name).await?;
    Ok(answer(me))
}

/// A change of password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePasswordRequest {
    /// The password until now.
    current_password: String,
    /// The password from now on.
    new_password: String,
}

/// Change the caller's password.
///
/// Every other session of the caller ends.
#[utoipa::path(post, path = "/v1/me/password", tag = "me", request_body = ChangePasswordRequest,
    responses((status = 204, description = "Changed")))]
pub(crate) async fn change_password(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Body(request): Body<ChangePasswordRequest>,
) -> Result<Answer<()>, Problem> {
    let (current, new) = (Secret::new(request.current_password), Secret::new(request.new_password));
    state.services.members.change_password(signed_in.caller(), &current, &new, signed_in.token()).await?;
    Ok(Answer::no_content())
}
