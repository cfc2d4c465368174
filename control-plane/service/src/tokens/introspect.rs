//! What a token's text says, judged as a node judges it.

use contract::claims::{ClaimsError, TokenClaims};
use contract::ids::InstanceId;
use contract::refusal::Refusal;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use store::signing_keys::SigningKey;

use super::{Introspection, Tokens};
use crate::access::{Action, Caller};
use crate::clock::millis;
use crate::error::GetError;

/// The longest text that is looked into: far more than a token of the most grants has.
const TEXT_BYTES_MAX: usize = 256 * 1024;

impl Tokens {
    pub(super) async fn look_into(
        &self,
        caller: &Caller,
        instance: InstanceId,
        text: &str,
    ) -> Result<Introspection, GetError> {
        let instance = self.core.instance(caller, instance, Action::ReadCredentials).await?;
        let mut connection = self.core.store.read().await?;
        let keys = store::signing_keys::list(&mut connection, instance.id).await?;
        let Some((claims, key)) = decode(text, &keys) else { return Ok(refused(Refusal::TokenInvalid)) };
        let refusal = if claims.instance != instance.id {
            return Ok(refused(Refusal::TokenInvalid));
        } else if key.revoked_at.is_some() {
            Some(Refusal::TokenRevoked)
        } else if !key.verifies(self.core.now()) {
            Some(Refusal::TokenInvalid)
        } else {
            claims.check(millis(self.core.now())).err().map(refusal)
        };
        let refusal = match refusal {
            Some(refusal) => Some(refusal),
            None if self.is_revoked(&mut connection, &claims, &key.kid).await? => Some(Refusal::TokenRevoked),
            None => None,
        };
        Ok(Introspection {
            active: refusal.is_none(),
            reason: refusal.map(Refusal::name),
            claims: Some(claims),
            signing_key: Some(key.kid.clone()),
        })
    }

    async fn is_revoked(
        &self,
        connection: &mut store::PgConnection,
        claims: &TokenClaims,
        kid: &str,
    ) -> Result<bool, GetError> {
        let row = store::tokens::find(connection, claims.instance, claims.jti).await?;
        if row.is_some_and(|token| token.revoked_at.is_some()) {
            return Ok(true);
        }
        let (client_id, subject) = (claims.client_id.as_deref(), claims.subject.as_deref());
        let candidates =
            store::revocations::list_meaning(connection, claims.instance, client_id, subject, kid).await?;
        Ok(candidates.iter().any(|revocation| revocation.revokes(claims, kid)))
    }
}

fn refused(refusal: Refusal) -> Introspection {
    Introspection { active: false, reason: Some(refusal.name()), claims: None, signing_key: None }
}

const fn refusal(error: ClaimsError) -> Refusal {
    match error {
        ClaimsError::NotYetValid => Refusal::TokenNotYetValid,
        ClaimsError::Expired => Refusal::TokenExpired,
        ClaimsError::Audience | ClaimsError::Principal | ClaimsError::Id => Refusal::TokenInvalid,
    }
}

/// The claims of a text that one of these keys has signed. The header only names the key; the algorithm is ours.
fn decode<'a>(text: &str, keys: &'a [SigningKey]) -> Option<(TokenClaims, &'a SigningKey)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let kid = jsonwebtoken::decode_header(text).ok()?.kid?;
    let key = keys.iter().find(|key| key.kid == kid)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Times and audience are judged by the claims themselves, as on a node.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = jsonwebtoken::decode(text, &DecodingKey::from_ed_der(&key.public_key), &validation);
    decoded.ok().map(|decoded| (decoded.claims, key))
}
