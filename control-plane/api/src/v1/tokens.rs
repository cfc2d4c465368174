//! Temporary tokens: issuing and showing them.

use axum::Json;
use axum::extract::State;
use contract::grant::{Grant, Grants};
use contract::ids::{InstanceId, RevocationId, TokenId};
use serde::{Deserialize, Serialize};
use service::tokens::{IssuedToken, NewToken, Token, TokenState};
use utoipa::ToSchema;

use super::parameters::{LabelParameters, NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::labels::Labels;
use crate::observe::RequestId;
use crate::page::{NAMED, RawQuery, list_of};
use crate::path::Path;
use crate::problem::{Problem, ProblemBody};
use crate::rate::RateTicket;
use crate::state::AppState;
use crate::time::Timestamp;

/// The forms of tokens.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenForm {
    /// A JWT that nodes verify without asking.
    #[default]
    Signed,
}

/// A new temporary token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueTokenRequest {
    /// The one client identifier that may use it. Either this or `subject`.
    #[schema(example = "car-001")]
    client_id: Option<String>,
    /// The subject, when any client identifier may use it.
    subject: Option<String>,
    /// How long it is good, from `not_before` on. What the instance does not allow is refused, never shortened.
    #[schema(example = 86400)]
    ttl_secs: u64,
    /// From when on it is good; from now, when left out.
    not_before: Option<Timestamp>,
    /// What sorts it for people and revocations.
    #[serde(default)]
    labels: Labels,
    /// Its form.
    #[serde(default)]
    form: TokenForm,
    /// What its holder may do; nothing, when left out.
    #[serde(default)]
    grants: Vec<Grant>,
}

impl From<IssueTokenRequest> for NewToken {
    fn from(request: IssueTokenRequest) -> Self {
        let TokenForm::Signed = request.form;
        Self {
            client_id: request.client_id,
            subject: request.subject,
            ttl_secs: request.ttl_secs,
            not_before: request.not_before.map(|time| time.0),
            labels: request.labels.into(),
            grants: Grants::new(request.grants),
        }
    }
}

/// A temporary token as it is shown once.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedToken)]
pub(crate) struct IssuedTokenView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: TokenId,
    /// The token itself, for the MQTT password: shown once.
    token: String,
    /// The one client identifier that may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// The subject, when any client identifier may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Not good before.
    not_before: Timestamp,
    /// Not good from then on.
    expires_at: Timestamp,
    /// The key that signed it.
    signing_key: String,
    /// The length of the token. Some devices have little room for it.
    bytes: usize,
}

impl From<IssuedToken> for IssuedTokenView {
    fn from(issued: IssuedToken) -> Self {
        Self {
            id: issued.token.id,
            token: issued.text.expose().to_owned(),
            client_id: issued.token.client_id,
            subject: issued.token.subject,
            not_before: issued.token.not_before.into(),
            expires_at: issued.token.expires_at.into(),
            signing_key: issued.token.signing_key,
            bytes: issued.bytes,
        }
    }
}

/// Issue a temporary token.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/tokens", tag = "tokens",
    params(("instance_id" = Uuid, Path)), request_body = IssueTokenRequest,
    responses((status = 201, description = "Issued", body = IssuedTokenView)))]
pub(crate) async fn issue_token(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    Body(request): Body<IssueTokenRequest>,
) -> Result<Answer<IssuedTokenView>, Problem> {
    let issued = state.services.tokens.issue(signed_in.caller(), instance, request.into()).await?;
    let location = format!("/v1/instances/{instance}/tokens/{}", issued.token.id);
    Ok(Answer::created(&location, issued.into()))
}

/// Many new temporary tokens.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueTokenBatchRequest {
    /// The tokens; 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    tokens: Vec<IssueTokenRequest>,
}

/// What became of one token of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenBatchResult {
    /// 201, or the problem's status.
    status: u16,
    /// The token, if it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<IssuedTokenView>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemBody>,
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenBatch {
    /// One for each token that was asked for, in that order.
    results: Vec<TokenBatchResult>,
    /// How many were issued.
    issued: usize,
    /// How many were not.
    failed: usize,
}

/// Issue many temporary tokens, each answered apart. It costs as many requests as it has elements.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/tokens/batch", tag = "tokens",
    params(("instance_id" = Uuid, Path)), request_body = IssueTokenBatchRequest,
    responses((status = 200, description = "What became of each", body = TokenBatch)))]
pub(crate) async fn issue_token_batch(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    id: RequestId,
    ticket: RateTicket,
    Body(request): Body<IssueTokenBatchRequest>,
) -> Result<Json<TokenBatch>, Problem> {
    ticket.take_batch(request.tokens.len())?;
    let new = request.tokens.into_iter().map(Into::into).collect();
    let outcomes = state.services.tokens.issue_batch(signed_in.caller(), instance, new).await?;
    let id = id.to_string();
    let results: Vec<TokenBatchResult> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(issued) => TokenBatchResult { status: 201, token: Some(issued.into()), problem: None },
            Err(error) => {
                let problem = Problem::from(error).body(&id);
                TokenBatchResult { status: problem.status, token: None, problem: Some(problem) }
            }
        })
        .collect();
    let issued = results.iter().filter(|result| result.token.is_some()).count();
    Ok(Json(TokenBatch { failed: results.len() - issued, issued, results }))
}

/// What a token is good for at this moment.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = TokenState)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenStateView {
    /// Its time has not come.
    NotYetValid,
    /// It is good.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl From<TokenState> for TokenStateView {
    fn from(state: TokenState) -> Self {
        match state {
            TokenState::NotYetValid => Self::NotYetValid,
            TokenState::Active => Self::Active,
            TokenState::Expired => Self::Expired,
            TokenState::Revoked => Self::Revoked,
        }
    }
}

/// An issued temporary token, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: TokenId,
    /// What it is good for now.
    state: TokenStateView,
    /// The one client identifier that may use it.
    client_id: Option<String>,
    /// The subject, when any client identifier may use it.
    subject: Option<String>,
    /// What sorts it for people and revocations.
    labels: Labels,
    /// What its holder may do.
    grants: Vec<Grant>,
    /// The key that signed it.
    signing_key: String,
    /// Not good before.
    not_before: Timestamp,
    /// Not good from then on.
    expires_at: Timestamp,
    /// When it was issued.
    issued_at: Timestamp,
    /// Who issued it: `member:<id>` or `platform`.
    issued_by: String,
    /// In which request.
    request_id: String,
    /// When it was taken back.
    revoked_at: Option<Timestamp>,
    /// By which revocation; null once that is forgotten.
    #[schema(value_type = Option<String>, format = Uuid)]
    revocation_id: Option<RevocationId>,
}

impl From<(Token, TokenState)> for TokenView {
    fn from((token, state): (Token, TokenState)) -> Self {
        Self {
            id: token.id,
            state: state.into(),
            client_id: token.client_id,
            subject: token.subject,
            labels: token.labels.into(),
            grants: token.grants.as_slice().to_vec(),
            signing_key: token.signing_key,
            not_before: token.not_before.into(),
            expires_at: token.expires_at.into(),
            issued_at: token.issued_at.into(),
            issued_by: token.issued_by.to_string(),
            request_id: token.request_id,
            revoked_at: token.revoked_at.map(Into::into),
            revocation_id: token.revocation,
        }
    }
}

list_of! {
    /// Issued temporary tokens.
    TokenList of TokenView
}

/// List the issued temporary tokens of an instance. A token's name is its client identifier, else its subject.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/tokens", tag = "tokens",
    params(("instance_id" = Uuid, Path), PageParameters, NameParameters, LabelParameters),
    responses((status = 200, description = "A page", body = TokenList)))]
pub(crate) async fn list_tokens(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Answer<TokenList>, Problem> {
    let parameters = query.list(&NAMED)?;
    let tokens = &state.services.tokens;
    let page = tokens.list(signed_in.caller(), instance, &parameters.query).await?;
    let page = page.map(|token| {
        let state = tokens.state(&token);
        (token, state)
    });
    Ok(Answer::ok(page.into()))
}

/// Show an issued temporary token, without its text.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/tokens/{token_id}", tag = "tokens",
    params(("instance_id" = Uuid, Path), ("token_id" = Uuid, Path)),
    responses((status = 200, description = "The token", body = TokenView)))]
pub(crate) async fn get_token(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, token)): Path<(InstanceId, TokenId)>,
) -> Result<Json<TokenView>, Problem> {
    let token = state.services.tokens.get(signed_in.caller(), instance, token).await?;
    let token_state = state.services.tokens.state(&token);
    Ok(Json((token, token_state).into()))
}
