//! The keys with which an instance signs temporary tokens.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use chrono::TimeDelta;
use contract::feed::DocumentKind;
use contract::ids::InstanceId;
use contract::revocation::TokenSelector;
use serde_json::json;
use store::StoreError;
use store::instances::Instance;
pub use store::signing_keys::SigningKey;

use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{GetError, Invalid, LimitReached, WrongState, takes_get_error};
use crate::revocations;
use crate::write::{Audited, Write, Written, not_deleting};

/// Shows, rotates and revokes signing keys.
#[derive(Clone)]
pub struct SigningKeys {
    core: Arc<Core>,
}

/// Why keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeKeysError {
    /// The instance or key is not there for this caller, or not to be changed by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The overlap is longer than any token can live.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The instance has all the keys it may have: revoke one.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The instance is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SigningKeys {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Every key of the instance that is still known, newest first; they are few.
    pub async fn list(&self, caller: &Caller, instance: InstanceId) -> Result<Vec<SigningKey>, GetError> {
        let instance = self.core.instance(caller, instance, Action::ReadCredentials).await?;
        Ok(store::signing_keys::list(&mut *self.core.store.read().await?, instance.id).await?)
    }

    /// The keys whose tokens are good now: for the public JWKS of the instance.
    pub async fn list_verifying(
        &self,
        caller: &Caller,
        instance: InstanceId,
    ) -> Result<Vec<SigningKey>, GetError> {
        let now = self.core.now();
        let keys = self.list(caller, instance).await?;
        Ok(keys.into_iter().filter(|key| key.verifies(now)).collect())
    }

    /// Makes a new signing key; tokens of the one before are good for `overlap_secs` more (the instance's longest
    /// token life, when none).
    pub async fn rotate(
        &self,
        caller: &Caller,
        instance: InstanceId,
        overlap_secs: Option<u64>,
    ) -> Result<(SigningKey, Written), ChangeKeysError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let instance = write.instance(caller, instance, Action::WriteKeys).await?;
        not_deleting(&instance)?;
        let overlap_max = instance.limits.token_ttl_secs_max;
        let overlap_secs = overlap_secs.unwrap_or(overlap_max);
        if overlap_secs > overlap_max {
            let detail = format!("at most {overlap_max}, the longest life of a token");
            return Err(Invalid::field("/overlap_secs", "out_of_bounds", detail).into());
        }
        let keys = store::signing_keys::list(&mut write.tx, instance.id).await?;
        let used = keys.iter().filter(|key| key.verifies(write.now)).count() as u64;
        if used >= instance.limits.signing_keys_max {
            return Err(ChangeKeysError::Limit(LimitReached {
                name: "signing_keys_max",
                value: instance.limits.signing_keys_max,
                used,
                scope: "instance",
                subject: instance.name.clone(),
            }));
        }
        let until = write.now + TimeDelta::seconds(i64::try_from(overlap_secs).unwrap_or(i64::MAX / 1_000));
        for key in keys.iter().filter(|key| key.signs()) {
            store::signing_keys::end_signing(&mut write.tx, instance.id, &key.kid, until).await?;
            // Nodes hear when it ends, and keep to it even if nobody can tell them then.
            write.changed(DocumentKind::SigningKey, instance.id, &key.kid);
        }
        let key = insert(&mut write, &instance, keys.len()).await?;
        let after = Some(json!({ "overlap_secs": overlap_secs }));
        audit(&mut write, &instance, "rotate_signing_key", &key.kid, after);
        Ok((key, write.commit().await?))
    }

    /// Makes every token of a key bad at once and closes their connections. If the key was the one that signs, a new
    /// one takes its place.
    pub async fn revoke(
        &self,
        caller: &Caller,
        instance: InstanceId,
        kid: &str,
    ) -> Result<(SigningKey, Written), ChangeKeysError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let instance = write.instance(caller, instance, Action::WriteKeys).await?;
        let keys = store::signing_keys::list(&mut write.tx, instance.id).await?;
        let key = keys.iter().find(|key| key.kid == kid);
        let key = key.ok_or_else(|| AccessError::not_found("signing_key", kid))?.clone();
        if key.revoked_at.is_some() {
            return Ok((key, Written::default()));
        }
        store::signing_keys::revoke(&mut write.tx, instance.id, kid, write.now).await?;
        if key.signs() {
            insert(&mut write, &instance, keys.len()).await?;
        }
        write.changed(DocumentKind::SigningKey, instance.id, kid);
        let selector = TokenSelector::SigningKey(kid.to_owned());
        revocations::make(&mut write, &instance, selector, None).await?;
        let key = SigningKey { revoked_at: Some(write.now), ..key };
        audit(&mut write, &instance, "revoke_signing_key", kid, None);
        Ok((key, write.commit().await?))
    }
}

/// Makes the next key of a locked instance, of which no other may sign. `known` keys it had before.
pub(crate) async fn insert(
    write: &mut Write<'_>,
    instance: &Instance,
    known: usize,
) -> Result<SigningKey, StoreError> {
    let pair = Ed25519KeyPair::generate().expect("the system has randomness");
    let private = pair.to_pkcs8().expect("a generated key has a PKCS #8 form");
    let key = SigningKey {
        instance: instance.id,
        kid: format!("k{}", known + 1),
        public_key: pair.public_key().as_ref().to_vec(),
        created_at: write.now,
        verifies_until: None,
        revoked_at: None,
    };
    let owner = seal_owner(instance);
    let sealed = write.master_key().seal(&owner, PRIVATE_KEY_COLUMN, private.as_ref());
    store::signing_keys::insert(&mut write.tx, instance.id, &key, &sealed).await?;
    write.changed(DocumentKind::SigningKey, instance.id, &key.kid);
    Ok(key)
}

/// What a private key is sealed for: it opens in its own instance only.
pub(crate) fn seal_owner(instance: &Instance) -> String {
    format!("{}/{}", instance.tenant, instance.id)
}

/// The column in which private keys are sealed.
pub(crate) const PRIVATE_KEY_COLUMN: &str = "signing_key.private_key";

fn audit(
    write: &mut Write<'_>,
    instance: &Instance,
    action: &'static str,
    kid: &str,
    after: Option<serde_json::Value>,
) {
    write.audit_in(instance, Audited { action, resource: "signing_key", id: kid, before: None, after });
}

takes_get_error!(ChangeKeysError);
