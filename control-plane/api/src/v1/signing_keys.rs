//! The keys with which an instance signs temporary tokens; of their private halves nothing is ever shown.

use axum::Json;
use axum::extract::State;
use contract::base64::Base64;
use contract::ids::InstanceId;
use serde::{Deserialize, Serialize};
use service::signing_keys::SigningKey;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::path::Path;
use crate::preconditions::PreferWait;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// What a signing key is for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SigningKeyState {
    /// It signs new tokens.
    Signing,
    /// Tokens that it signed are still good.
    Verifying,
    /// Its time is over.
    Retired,
    /// It was revoked.
    Revoked,
}

/// A signing key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SigningKey)]
pub(crate) struct SigningKeyView {
    /// Its name in the instance, the `kid` of the tokens it signs.
    #[schema(example = "k1")]
    kid: String,
    /// The algorithm: `EdDSA`, over Ed25519.
    #[schema(example = "EdDSA")]
    algorithm: &'static str,
    /// What it is for now.
    state: SigningKeyState,
    /// When it was made.
    created_at: Timestamp,
    /// Until when tokens that it signed are good, once another key signs.
    verifies_until: Option<Timestamp>,
    /// When it was revoked.
    revoked_at: Option<Timestamp>,
}

impl SigningKeyView {
    fn new(state: &AppState, key: SigningKey) -> Self {
        let now = state.services.now();
        let key_state = if key.revoked_at.is_some() {
            SigningKeyState::Revoked
        } else if key.signs() {
            SigningKeyState::Signing
        } else if key.verifies(now) {
            SigningKeyState::Verifying
        } else {
            SigningKeyState::Retired
        };
        Self {
            kid: key.kid,
            algorithm: "EdDSA",
            state: key_state,
            created_at: key.created_at.into(),
            verifies_until: key.verifies_until.map(Into::into),
            revoked_at: key.revoked_at.map(Into::into),
        }
    }
}

/// The signing keys of an instance.
#[derive(Serialize, ToSchema)]
pub(crate) struct SigningKeyList {
    /// Every key, newest first.
    items: Vec<SigningKeyView>,
    /// Always null: they are few.
    next_cursor: Option<String>,
}

/// List the signing keys of an instance.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/signing-keys", tag = "signing-keys",
    params(("instance_id" = Uuid, Path)), responses((status = 200, description = "The keys", body = SigningKeyList)))]
pub(crate) async fn list_signing_keys(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
) -> Result<Json<SigningKeyList>, Problem> {
    let keys = state.services.signing_keys.list(signed_in.caller(), instance).await?;
    let items = keys.into_iter().map(|key| SigningKeyView::new(&state, key)).collect();
    Ok(Json(SigningKeyList { items, next_cursor: None }))
}

/// A new signing key.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSigningKeyRequest {
    /// How long tokens of the key before are still good; as long as the longest token, when left out.
    #[schema(example = 86400)]
    overlap_secs: Option<u64>,
}

/// Make a new signing key. The body may be left out.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/signing-keys/rotate", tag = "signing-keys",
    params(("instance_id" = Uuid, Path)), request_body = Option<RotateSigningKeyRequest>,
    responses((status = 200, description = "The new key", body = SigningKeyView)))]
pub(crate) async fn rotate_signing_key(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    prefer: PreferWait,
    body: Option<Body<RotateSigningKeyRequest>>,
) -> Result<Answer<SigningKeyView>, Problem> {
    let overlap = body.and_then(|Body(request)| request.overlap_secs);
    let (key, written) = state.services.signing_keys.rotate(signed_in.caller(), instance, overlap).await?;
    Ok(Answer::ok(SigningKeyView::new(&state, key)).written(&state, prefer, written).await)
}

/// Revoke a signing key: every token that it signed is bad at once.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/signing-keys/{kid}/revoke", tag = "signing-keys",
    params(("instance_id" = Uuid, Path), ("kid" = String, Path)),
    responses((status = 200, description = "Revoked", body = SigningKeyView)))]
pub(crate) async fn revoke_signing_key(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, kid)): Path<(InstanceId, String)>,
    prefer: PreferWait,
) -> Result<Answer<SigningKeyView>, Problem> {
    let (key, written) = state.services.signing_keys.revoke(signed_in.caller(), instance, &kid).await?;
    Ok(Answer::ok(SigningKeyView::new(&state, key)).written(&state, prefer, written).await)
}

/// One public key (RFC 7517, RFC 8037).
#[derive(Serialize, ToSchema)]
pub(crate) struct Jwk {
    /// Always `OKP`.
    kty: &'static str,
    /// Always `Ed25519`.
    crv: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
    /// Always `EdDSA`.
    alg: &'static str,
    /// The key's name.
    kid: String,
    /// The public key, as URL-safe base64.
    x: String,
}

/// Public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(crate) struct Jwks {
    /// Those whose tokens are good now.
    keys: Vec<Jwk>,
}

/// Show the public keys whose tokens are good now, as a JWK set.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/signing-keys/jwks.json", tag = "signing-keys",
    params(("instance_id" = Uuid, Path)), responses((status = 200, description = "The public keys", body = Jwks)))]
pub(crate) async fn get_jwks(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
) -> Result<Json<Jwks>, Problem> {
    let keys = state.services.signing_keys.list_verifying(signed_in.caller(), instance).await?;
    let keys = keys
        .into_iter()
        .map(|key| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            usage: "sig",
            alg: "EdDSA",
            kid: key.kid,
            x: Base64(key.public_key).encode(),
        })
        .collect();
    Ok(Json(Jwks { keys }))
}
