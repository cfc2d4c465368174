//! Taking temporary tokens back, and asking whether one holds.

use axum::Json;
use axum::extract::State;
use contract::grant::Grant;
use contract::ids::{InstanceId, RevocationId, TokenId};
use contract::revocation::TokenSelector;
use serde::{Deserialize, Serialize};
use service::clock;
use service::tokens::{RevokeTokens, Revoked};
use service::write::Written;
use utoipa::ToSchema;

use crate::answer::{Answer, wait_applied};
use crate::caller::SignedIn;
use crate::json::Body;
use crate::labels::Labels;
use crate::path::Path;
use crate::preconditions::PreferWait;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// Which tokens to take back: at most one of `ids`, `client_id`, `subject`, `labels` and `signing_key`, and for all
/// of an instance `issued_before` alone.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeTokensRequest {
    /// These.
    #[schema(value_type = Option<Vec<String>>)]
    ids: Option<Vec<TokenId>>,
    /// All of one client identifier.
    #[schema(example = "car-001")]
    client_id: Option<String>,
    /// All of one subject.
    subject: Option<String>,
    /// All that carry every one of these labels.
    labels: Option<Labels>,
    /// All that this key signed.
    signing_key: Option<String>,
    /// Only those issued before this moment; before now, when left out.
    issued_before: Option<Timestamp>,
    /// Why, for the audit log.
    #[schema(example = "stolen")]
    reason: Option<String>,
}

impl RevokeTokensRequest {
    fn selector(&mut self) -> Result<TokenSelector, Problem> {
        let mut given: Vec<TokenSelector> = [
            self.ids.take().map(TokenSelector::Ids),
            self.client_id.take().map(TokenSelector::ClientId),
            self.subject.take().map(TokenSelector::Subject),
            self.labels.take().map(|labels| TokenSelector::Labels(labels.into())),
            self.signing_key.take().map(TokenSelector::SigningKey),
        ]
        .into_iter()
        .flatten()
        .collect();
        match (given.pop(), given.is_empty(), self.issued_before) {
            (Some(selector), true, _) => Ok(selector),
            (None, _, Some(_)) => Ok(TokenSelector::All),
            (None, _, None) => Err(Problem::field("", "required", "say which tokens are meant")),
            (Some(_), false, _) => {
                Err(Problem::field("", "invalid", "say in one way only which tokens are meant"))
            }
        }
    }
}

/// What a revocation has done.
#[derive(Serialize, ToSchema)]
#[schema(as = Revoked)]
pub(crate) struct RevokedView {
    /// Issued tokens that were still good and are no more.
    revoked: u64,
    /// Connections that were closed; only with `Prefer: wait`, as far as nodes have said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_closed: Option<u64>,
    /// The revocation; null when nothing that could be good was meant.
    #[schema(value_type = Option<String>, format = Uuid)]
    revocation_id: Option<RevocationId>,
    /// Its place in the lane that nodes apply at once.
    sequence: Option<u64>,
    /// Reachable nodes that have applied it; only with `Prefer: wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<u64>,
    /// Nodes that were heard of lately; only with `Prefer: wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reachable: Option<u64>,
    /// Nodes that were not; only with `Prefer: wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable: Option<u64>,
}

async fn answer(
    state: &AppState,
    prefer: PreferWait,
    revoked: Revoked,
    written: Written,
) -> Answer<RevokedView> {
    let applied = wait_applied(state, prefer, written).await;
    let answer = Answer::ok(RevokedView {
        revoked: revoked.revoked,
        sessions_closed: applied.map(|applied| applied.closed),
        revocation_id: revoked.revocation,
        sequence: written.urgent_sequence,
        applied: applied.map(|applied| applied.applied),
        reachable: applied.map(|applied| applied.reachable),
        unreachable: applied.map(|applied| applied.unreachable),
    });
    let answer = answer.generation(written);
    match applied {
        Some(applied) => answer.applied(prefer, applied),
        None => answer,
    }
}

/// Take temporary tokens back. Their connections close within a second.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/tokens/revoke", tag = "tokens",
    params(("instance_id" = Uuid, Path)), request_body = RevokeTokensRequest,
    responses((status = 200, description = "Revoked", body = RevokedView)))]
pub(crate) async fn revoke_tokens(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    prefer: PreferWait,
    Body(mut request): Body<RevokeTokensRequest>,
) -> Result<Answer<RevokedView>, Problem> {
    let revoke = RevokeTokens {
        selector: request.selector()?,
        issued_before: request.issued_before.map(|time| time.0),
        reason: request.reason,
    };
    let (revoked, written) = state.services.tokens.revoke(signed_in.caller(), instance, revoke).await?;
    Ok(answer(&state, prefer, revoked, written).await)
}

/// Why a token is taken back.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeTokenRequest {
    /// Why, for the audit log.
    #[schema(example = "stolen")]
    reason: Option<String>,
}

/// Take one temporary token back. Its connections close within a second. The body may be left out.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/tokens/{token_id}/revoke", tag = "tokens",
    params(("instance_id" = Uuid, Path), ("token_id" = Uuid, Path)), request_body = Option<RevokeTokenRequest>,
    responses((status = 200, description = "Revoked", body = RevokedView)))]
pub(crate) async fn revoke_token(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, token)): Path<(InstanceId, TokenId)>,
    prefer: PreferWait,
    body: Option<Body<RevokeTokenRequest>>,
) -> Result<Answer<RevokedView>, Problem> {
    let reason = body.and_then(|Body(request)| request.reason);
    let tokens = &state.services.tokens;
    let (revoked, written) = tokens.revoke_one(signed_in.caller(), instance, token, reason).await?;
    Ok(answer(&state, prefer, revoked, written).await)
}

/// A token to be looked into.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntrospectTokenRequest {
    /// The token itself.
    token: String,
}

/// What a token says.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenClaims)]
pub(crate) struct ClaimsView {
    /// The token's id.
    #[schema(value_type = String, format = Uuid)]
    id: TokenId,
    /// The one client identifier that may use it.
    client_id: Option<String>,
    /// The subject, when any client identifier may use it.
    subject: Option<String>,
    /// Its labels.
    labels: Labels,
    /// What its holder may do.
    grants: Vec<Grant>,
    /// Not good before.
    not_before: Timestamp,
    /// Not good from then on.
    expires_at: Timestamp,
    /// When it was issued.
    issued_at: Timestamp,
}

/// Whether a token holds, and what it says.
#[derive(Serialize, ToSchema)]
#[schema(as = Introspection)]
pub(crate) struct IntrospectionView {
    /// Whether a node would let it connect now.
    active: bool,
    /// Why not, as nodes name it.
    reason: Option<&'static str>,
    /// The key that signed it; null unless this instance has.
    signing_key: Option<String>,
    /// What it says; null unless this instance has signed it.
    claims: Option<ClaimsView>,
}

/// Ask whether a temporary token holds, and what it says.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/tokens/introspect", tag = "tokens",
    params(("instance_id" = Uuid, Path)), request_body = IntrospectTokenRequest,
    responses((status = 200, description = "What it is", body = IntrospectionView)))]
pub(crate) async fn introspect_token(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    Body(request): Body<IntrospectTokenRequest>,
) -> Result<Json<IntrospectionView>, Problem> {
    let tokens = &state.services.tokens;
    let introspection = tokens.introspect(signed_in.caller(), instance, &request.token).await?;
    let claims = introspection.claims.map(|claims| ClaimsView {
        id: claims.jti,
        issued_at: clock::time(claims.issued_at()).into(),
        not_before: clock::time(contract::time::UnixMillis::from_secs(claims.nbf)).into(),
        expires_at: clock::time(contract::time::UnixMillis::from_secs(claims.exp)).into(),
        client_id: claims.client_id,
        subject: claims.subject,
        labels: claims.labels.into(),
        grants: claims.grants.as_slice().to_vec(),
    });
    Ok(Json(IntrospectionView {
        active: introspection.active,
        reason: introspection.reason,
        signing_key: introspection.signing_key,
        claims,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::problem::ProblemCode;

    fn selector(json: &str) -> Result<TokenSelector, Problem> {
        json::parse::<RevokeTokensRequest>(json.as_bytes()).expect("parses").selector()
    }

    #[test]
    fn tokens_are_selected_in_one_way() {
        let time = r#""issued_before":"2026-11-23T08:00:00Z""#;
        for (json, expected) in [
            (
                r#"{"client_id":"car-001","reason":"stolen"}"#.to_owned(),
                TokenSelector::ClientId("car-001".into()),
            ),
            (r#"{"subject":"fleet"}"#.to_owned(), TokenSelector::Subject("fleet".into())),
            (r#"{"signing_key":"k1"}"#.to_owned(), TokenSelector::SigningKey("k1".into())),
            (r#"{"ids":[]}"#.to_owned(), TokenSelector::Ids(vec![])),
            (format!(r#"{{"signing_key":"k1",{time}}}"#), TokenSelector::SigningKey("k1".into())),
            (format!("{{{time}}}"), TokenSelector::All),
        ] {
            assert_eq!(selector(&json).expect("a selector"), expected, "{json}");
        }
        for json in
            ["{}", r#"{"reason":"x"}"#, r#"{"client_id":"a","subject":"b"}"#, r#"{"ids":[],"labels":{}}"#]
        {
            assert_eq!(
                selector(json).expect_err("a problem").code(),
                ProblemCode::ValidationFailed,
                "{json}"
            );
        }
    }
}
