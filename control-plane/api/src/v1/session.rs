//! Signing in and out.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use chrono::{DateTime, Utc};
use contract::ids::{MemberId, TenantId};
use serde::{Deserialize, Serialize};
use service::access::Role;
use service::members::{Member, Membership};
use service::secret::Secret;
use service::session::{SESSION_LIFE_MAX, SignIn, SignInOutcome};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::caller::{PeerAddress, SESSION_COOKIE, SignedIn};
use crate::json::Body;
use crate::observe::RequestId;
use crate::problem::{Problem, ProblemCode};
use crate::state::AppState;
use crate::time::Timestamp;

/// To sign in: `email` and `password`; in answer to `password_change_required`: `challenge` and `new_password`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInRequest {
    /// The address to sign in with; its case does not matter.
    #[schema(example = "li@example.com")]
    email: Option<String>,
    /// The password.
    password: Option<String>,
    /// The challenge of the problem `password_change_required`.
    challenge: Option<String>,
    /// The password from now on, in answer to a challenge.
    new_password: Option<String>,
}

/// A person.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberSummary)]
pub(crate) struct MemberSummary {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: MemberId,
    /// What people call it.
    name: String,
    /// The address it signs in with.
    email: String,
    /// Whether it runs the platform.
    operator: bool,
}

impl From<Member> for MemberSummary {
    fn from(member: Member) -> Self {
        Self { id: member.id, name: member.name, email: member.email, operator: member.operator }
    }
}

/// What a member is in a tenant.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = Role)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleView {
    /// May do everything in the tenant.
    Owner,
    /// Everything but what makes or unmakes owners.
    Admin,
    /// Topics, credentials, tokens; not instances or keys.
    Developer,
    /// Reads.
    Viewer,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Admin => Self::Admin,
            Role::Developer => Self::Developer,
            Role::Viewer => Self::Viewer,
        }
    }
}

/// One tenant that a member belongs to.
#[derive(Serialize, ToSchema)]
#[schema(as = Membership)]
pub(crate) struct MembershipView {
    /// The tenant's id.
    #[schema(value_type = String, format = Uuid)]
    id: TenantId,
    /// Its name.
    name: String,
    /// What the member is in it.
    role: RoleView,
}

impl From<Membership> for MembershipView {
    fn from(membership: Membership) -> Self {
        Self { id: membership.tenant, name: membership.tenant_name, role: membership.role.into() }
    }
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionView {
    /// Who is signed in.
    member: MemberSummary,
    /// Where the person belongs.
    tenants: Vec<MembershipView>,
    /// What a browser sends as `X-CSRF-Token` with every change.
    csrf_token: String,
    /// When the session ends unless refreshed.
    expires_at: Timestamp,
    /// The session's token, for programs: `Authorization: Bearer`. Only in the answer to signing in.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Sign in.
///
/// The session comes back as the cookie `iotmq_session` for browsers, and as `token` for programs.
#[utoipa::path(post, path = "/v1/session", tag = "session", security(()), request_body = SignInRequest,
    responses((status = 200, description = "Signed in", body = SessionView)))]
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    address: PeerAddress,
    id: RequestId,
    Body(request): Body<SignInRequest>,
) -> Result<Answer<SessionView>, Problem> {
    let signed_in = match request {
        SignInRequest {
            email: Some(email),
            password: Some(password),
            challenge: None,
            new_password: None,
        } => {
            let password = Secret::new(password);
            let sign_in = SignIn { email, password, address: address.0, request_id: id.to_string() };
            match state.services.session.sign_in(sign_in).await? {
                SignInOutcome::SignedIn(signed_in) => *signed_in,
                SignInOutcome::PasswordChangeRequired { challenge } => {
                    let detail = "sign in again with this `challenge` and a `new_password`";
                    return Err(Problem::new(ProblemCode::PasswordChangeRequired, detail)
                        .with_challenge(challenge.expose()));
                }
            }
        }
        SignInRequest {
            email: None,
            password: None,
            challenge: Some(challenge),
            new_password: Some(new),
        } => {
            let new = Secret::new(new);
            state.services.session.complete_password_change(&challenge, &new, &id.to_string()).await?
        }
        SignInRequest { .. } => {
            let detail = "either `email` and `password`, or `challenge` and `new_password`";
            return Err(Problem::field("", "required", detail));
        }
    };
    let lifetime = SESSION_LIFE_MAX.num_seconds();
    let cookie = cookie(&state, signed_in.token.expose(), lifetime)?;
    let session = SessionView {
        member: signed_in.member.into(),
        tenants: signed_in.tenants.into_iter().map(Into::into).collect(),
        csrf_token: signed_in.csrf_token,
        expires_at: signed_in.expires_at.into(),
        token: Some(signed_in.token.expose().to_owned()),
    };
    Ok(Answer::ok(session).header(SET_COOKIE, cookie))
}

/// Show the session.
#[utoipa::path(get, path = "/v1/session", tag = "session",
    responses((status = 200, description = "The session", body = SessionView)))]
pub(crate) async fn get_session(signed_in: SignedIn) -> Json<SessionView> {
    let session = signed_in.session().clone();
    Json(SessionView {
        member: session.member.into(),
        tenants: session.tenants.into_iter().map(Into::into).collect(),
        csrf_token: session.csrf_token,
        expires_at: session.expires_at.into(),
        token: None,
    })
}

/// Sign out.
#[utoipa::path(delete, path = "/v1/session", tag = "session", responses((status = 204, description = "Signed out")))]
pub(crate) async fn sign_out(
    State(state): State<AppState>,
    signed_in: SignedIn,
) -> Result<Answer<()>, Problem> {
    state.services.session.sign_out(signed_in.token()).await?;
    Ok(Answer::no_content().header(SET_COOKIE, cookie(&state, "", 0)?))
}

/// The new end of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionRefreshed {
    /// When the session ends unless refreshed again.
    expires_at: Timestamp,
}

/// Lengthen the session.
#[utoipa::path(post, path = "/v1/session/refresh", tag = "session",
    responses((status = 200, description = "Refreshed", body = SessionRefreshed)))]
pub(crate) async fn refresh_session(
    State(state): State<AppState>,
    signed_in: SignedIn,
) -> Result<Json<SessionRefreshed>, Problem> {
    let expires_at: Option<DateTime<Utc>> = state.services.session.refresh(signed_in.token()).await?;
    let expires_at =
        expires_at.ok_or_else(|| Problem::new(ProblemCode::NotSignedIn, "the session is over"))?;
    Ok(Json(SessionRefreshed { expires_at: expires_at.into() }))
}

/// The session's cookie: not for scripts, not for other sites. `lifetime` 0 takes it away.
fn cookie(state: &AppState, token: &str, lifetime: i64) -> Result<HeaderValue, Problem> {
    let secure = if state.options.secure_cookies { "; Secure" } else { "" };
    let text =
        format!("{SESSION_COOKIE}={token}; Path=/; Max-Age={lifetime}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(text).map_err(|error| Problem::internal(&error))
}
