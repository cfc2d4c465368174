//! Signing: bounds checked, claims made, and the record that goes with them.

use chrono::{DateTime, TimeDelta, Utc};
use contract::claims::{AUDIENCE, TokenClaims};
use contract::feed::Authentication;
use contract::ids::{InstanceId, TokenId};
use contract::limits::InstanceLimits;
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::{IssueBatchError, IssueTokenError, IssuedToken, NewToken, Token, Tokens};
use crate::access::{Action, Caller};
use crate::error::{Invalid, WrongState};
use crate::ids::new_id;
use crate::secret::Secret;
use crate::signing_keys::{PRIVATE_KEY_COLUMN, seal_owner};
use crate::validate::Check;

/// The shortest life of a token.
pub(crate) const TTL_SECS_MIN: u64 = 1;

/// The key of an instance, opened, and the bounds of what it may sign.
pub(super) struct Signer {
    instance: InstanceId,
    limits: InstanceLimits,
    kid: String,
    key: EncodingKey,
}

impl Tokens {
    /// What signs for this instance, if the caller may have tokens of it.
    pub(super) async fn signer(
        &self,
        caller: &Caller,
        instance: InstanceId,
    ) -> Result<Signer, IssueTokenError> {
        let found = self.core.instance(caller, instance, Action::IssueTokens).await?;
        if found.deleted_at.is_some() || found.suspended_reason.is_some() {
            return Err(WrongState(format!("instance `{}` is not running", found.name)).into());
        }
        if !found.authentication.contains(&Authentication::Token) {
            return Err(WrongState(format!("instance `{}` accepts no tokens", found.name)).into());
        }
        let mut connection = self.core.store.read().await?;
        let (kid, sealed) = store::signing_keys::find_signing(&mut connection, instance)
            .await?
            .ok_or_else(|| WrongState(format!("instance `{}` has no signing key", found.name)))?;
        let opened = self.core.master_key.open(&seal_owner(&found), PRIVATE_KEY_COLUMN, &sealed);
        let private = opened.map_err(|_| {
            tracing::error!(instance.id = %instance, kid, "a signing key does not open with this master key");
            WrongState("the signing key does not open with the platform's master key".to_owned())
        })?;
        let key = EncodingKey::from_ed_der(&private);
        Ok(Signer { instance, limits: found.limits, kid, key })
    }
}

impl Signer {
    /// Signs one token. Nothing is stored.
    pub(super) fn sign(
        &self,
        caller: &Caller,
        new: NewToken,
        now: DateTime<Utc>,
    ) -> Result<IssuedToken, IssueTokenError> {
        self.check(&new)?;
        let (not_before, expires_at) = self.life(&new, now)?;
        let id = TokenId(new_id(now));
        let seconds = |time: DateTime<Utc>| u64::try_from(time.timestamp()).unwrap_or(0);
        let claims = TokenClaims {
            aud: AUDIENCE.to_owned(),
            jti: id,
            instance: self.instance,
            client_id: new.client_id,
            subject: new.subject,
            labels: new.labels,
            grants: new.grants,
            nbf: seconds(not_before),
            exp: seconds(expires_at),
            iat: seconds(now),
        };
        let header = Header { typ: None, kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let text = jsonwebtoken::encode(&header, &claims, &self.key).expect("the key is of Ed25519");
        let token = Token {
            id,
            instance: self.instance,
            client_id: claims.client_id,
            subject: claims.subject,
            labels: claims.labels,
            grants: claims.grants,
            signing_key: self.kid.clone(),
            not_before,
            expires_at,
            issued_at: now,
            issued_by: caller.actor,
            request_id: caller.request_id.clone(),
            revoked_at: None,
            revocation: None,
        };
        Ok(IssuedToken { token, bytes: text.len(), text: Secret::new(text) })
    }

    fn check(&self, new: &NewToken) -> Result<(), IssueTokenError> {
        let given = new.grants.as_slice().len() as u64;
        if given > self.limits.grants_max {
            return Err(IssueTokenError::GrantsTooMany { given, max: self.limits.grants_max });
        }
        let mut check = Check::default();
        match (&new.client_id, &new.subject) {
            (Some(client_id), None) => {
                check.client_id("/client_id", client_id, self.limits.client_id_bytes_max);
            }
            (None, Some(subject)) => check.client_id("/subject", subject, self.limits.client_id_bytes_max),
            (None, None) => check.fail("/client_id", "required", "`client_id` or `subject`"),
            (Some(_), Some(_)) => check.fail("/subject", "invalid", "not beside `client_id`"),
        }
        check.grants(&new.grants, self.limits.topic_bytes_max);
        check.labels(&new.labels);
        Ok(check.finish()?)
    }

    /// From when to when the token is good, in whole seconds as it says itself. Its end is within the longest life
    /// counted from now, whenever it begins: a revocation knows then when the last token that it means is over.
    fn life(
        &self,
        new: &NewToken,
        now: DateTime<Utc>,
    ) -> Result<(DateTime<Utc>, DateTime<Utc>), IssueTokenError> {
        let (given, min, max) = (new.ttl_secs, TTL_SECS_MIN, self.limits.token_ttl_secs_max);
        let out_of_bounds = || IssueTokenError::TtlOutOfBounds { given, min, max };
        if !(min..=max).contains(&given) {
            return Err(out_of_bounds());
        }
        let whole = |time: DateTime<Utc>| DateTime::from_timestamp(time.timestamp(), 0).unwrap_or(time);
        let not_before = whole(new.not_before.unwrap_or(now));
        if not_before < whole(now) {
            return Err(Invalid::field("/not_before", "out_of_bounds", "not before now").into());
        }
        let ttl = TimeDelta::seconds(i64::try_from(given).unwrap_or(i64::MAX / 1_000));
        let last = TimeDelta::seconds(i64::try_from(max).unwrap_or(i64::MAX / 1_000));
        let expires_at = not_before.checked_add_signed(ttl).ok_or_else(out_of_bounds)?;
        if expires_at > whole(now) + last {
            return Err(out_of_bounds());
        }
        Ok((not_before, expires_at))
    }
}

impl From<IssueTokenError> for IssueBatchError {
    fn from(error: IssueTokenError) -> Self {
        match error {
            IssueTokenError::Access(error) => Self::Access(error),
            IssueTokenError::State(error) => Self::State(error),
            IssueTokenError::Store(error) => Self::Store(error),
            IssueTokenError::Invalid(error) => Self::Invalid(error),
            other @ (IssueTokenError::TtlOutOfBounds { .. } | IssueTokenError::GrantsTooMany { .. }) => {
                Self::Invalid(Invalid::field("/tokens", "invalid", other.to_string()))
            }
        }
    }
}
