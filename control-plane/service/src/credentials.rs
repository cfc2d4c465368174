//! Credentials: user names with generated secrets, which are shown once and kept as verifiers only.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::feed::{CredentialSecret, Document, DocumentKey, DocumentKind};
use contract::grant::Grants;
use contract::ids::{CredentialId, InstanceId};
use contract::limits::InstanceLimits;
use serde_json::{Value, json};
pub use store::credentials::{Credential, SecretSlot};
use store::error::Constraint;
use store::instances::Instance;
use store::{Labels, StoreError};

use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{
    DeleteError, GetError, Invalid, LimitReached, ListError, NameTaken, RevisionMismatch, UpdateError,
    WrongState, takes_get_error,
};
use crate::ids::new_id;
use crate::page::{ListQuery, Page};
use crate::secret::Secret;
use crate::validate::{Check, patched};
use crate::verifiers::{generate_secret, verifiers, verifiers_beside};
use crate::write::{Audited, Write, Written, check_revision, not_deleting};

/// Makes, changes and deletes credentials.
#[derive(Clone)]
pub struct Credentials {
    core: Arc<Core>,
}

/// What a new password credential is to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewCredential {
    /// The user name; unique in the instance. No `@`, which begins an instance's suffix.
    pub username: String,
    /// The one client identifier that may use it.
    pub client_id: Option<String>,
    /// What its holder may do. Nothing, when empty.
    pub grants: Grants,
    /// What people sort it by.
    pub labels: Labels,
}

/// What is to change of a credential; what is none stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CredentialPatch {
    /// The one client identifier that may use it; `Some(None)` lets any.
    pub client_id: Option<Option<String>>,
    /// What its holder may do.
    pub grants: Option<Grants>,
    /// Labels to set, or with none to take away.
    pub labels: BTreeMap<String, Option<String>>,
}

/// Why a credential was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateCredentialError {
    /// There is no such instance for this caller, or it may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It has more grants than the instance allows.
    #[error("at most {max} grants, not {given}")]
    GrantsTooMany {
        /// How many were given.
        given: u64,
        /// How many there may be.
        max: u64,
    },
    /// The instance has all the credentials it may have.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The instance has a credential of this user name.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// The instance is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a credential was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateCredentialError {
    /// It is not there for this caller, or not to be changed by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It has more grants than the instance allows.
    #[error("at most {max} grants, not {given}")]
    GrantsTooMany {
        /// How many were given.
        given: u64,
        /// How many there may be.
        max: u64,
    },
    /// It has changed meanwhile.
    #[error(transparent)]
    Revision(#[from] RevisionMismatch),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Credentials {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Makes a credential with a generated primary secret, which is in this answer only.
    pub async fn create(
        &self,
        caller: &Caller,
        instance: InstanceId,
        new: NewCredential,
    ) -> Result<(Credential, Secret, Written), CreateCredentialError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let instance = write.instance(caller, instance, Action::WriteCredentials).await?;
        not_deleting(&instance)?;
        let credential = Credential {
            id: CredentialId(new_id(write.now)),
            instance: instance.id,
            username: new.username,
            client_id: new.client_id,
            enabled: true,
            grants: new.grants,
            labels: new.labels,
            has_secondary: false,
            created_at: write.now,
            updated_at: write.now,
            revision: 1,
        };
        check(&credential, &instance.limits)?;
        grants_too_many(&credential, &instance.limits)
            .map_or(Ok(()), |(given, max)| Err(CreateCredentialError::GrantsTooMany { given, max }))?;
        if instance.credentials_used >= instance.limits.credentials_max {
            return Err(CreateCredentialError::Limit(LimitReached {
                name: "credentials_max",
                value: instance.limits.credentials_max,
                used: instance.credentials_used,
                scope: "instance",
                subject: instance.name.clone(),
            }));
        }
        let secret = generate_secret();
        let inserted =
            store::credentials::insert(&mut write.tx, instance.id, &credential, &verifiers(&secret)).await;
        inserted.map_err(|error| {
            if error.breaks(Constraint::UsernameTaken) {
                return NameTaken { pointer: "/username", name: credential.username.clone() }.into();
            }
            CreateCredentialError::Store(error)
        })?;
        count(&mut write, &instance, instance.credentials_used + 1).await?;
        write.changed(DocumentKind::Credential, instance.id, &credential.username);
        audit(&mut write, &instance, "create_credential", None, Some(&credential));
        Ok((credential, secret, write.commit().await?))
    }

    /// The credentials of an instance. Their name is the user name.
    pub async fn list(
        &self,
        caller: &Caller,
        instance: InstanceId,
        query: &ListQuery,
    ) -> Result<Page<Credential>, ListError> {
        let instance = self.core.instance(caller, instance, Action::ReadCredentials).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        query.page(store::credentials::list(&mut connection, instance.id, &listing).await)
    }

    /// One credential.
    pub async fn get(
        &self,
        caller: &Caller,
        instance: InstanceId,
        credential: CredentialId,
    ) -> Result<Credential, GetError> {
        let instance = self.core.instance(caller, instance, Action::ReadCredentials).await?;
        let mut connection = self.core.store.read().await?;
        let found = store::credentials::find(&mut connection, instance.id, credential).await?;
        Ok(found.ok_or_else(|| AccessError::not_found("credential", credential))?)
    }

    /// Changes a credential. Where rights change, its connections are closed, to come back with the new ones.
    pub async fn update(
        &self,
        caller: &Caller,
        instance: InstanceId,
        credential: CredentialId,
        if_revision: Option<i64>,
        patch: CredentialPatch,
    ) -> Result<(Credential, Written), UpdateCredentialError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, credential).await?;
        check_revision(if_revision, before.revision)?;
        let credential = Credential {
            client_id: patch.client_id.unwrap_or_else(|| before.client_id.clone()),
            grants: patch.grants.unwrap_or_else(|| before.grants.clone()),
            labels: patched(&before.labels, &patch.labels),
            updated_at: write.now,
            revision: before.revision + 1,
            ..before.clone()
        };
        check(&credential, &instance.limits)?;
        grants_too_many(&credential, &instance.limits)
            .map_or(Ok(()), |(given, max)| Err(UpdateCredentialError::GrantsTooMany { given, max }))?;
        store::credentials::update(&mut write.tx, instance.id, &credential).await?;
        if (&credential.client_id, &credential.grants) != (&before.client_id, &before.grants) {
            write.credential_changed(instance.id, credential.id, &credential.username);
        }
        audit(&mut write, &instance, "update_credential", Some(&before), Some(&credential));
        Ok((credential, write.commit().await?))
    }

    /// Deletes a credential and closes its connections.
    pub async fn delete(
        &self,
        caller: &Caller,
        instance: InstanceId,
        credential: CredentialId,
        if_revision: Option<i64>,
    ) -> Result<Written, DeleteError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, credential).await?;
        check_revision(if_revision, before.revision)?;
        store::credentials::delete(&mut write.tx, instance.id, credential).await?;
        count(&mut write, &instance, instance.credentials_used.saturating_sub(1)).await?;
        write.credential_changed(instance.id, credential, &before.username);
        audit(&mut write, &instance, "delete_credential", Some(&before), None);
        Ok(write.commit().await?)
    }

    /// Disables a credential and closes its connections. Disabling twice changes nothing.
    pub async fn disable(
        &self,
        caller: &Caller,
        instance: InstanceId,
        credential: CredentialId,
    ) -> Result<(Credential, Written), UpdateError> {
        self.set_enabled(caller, instance, credential, false).await
    }

    /// Enables a credential. Enabling twice changes nothing.
    pub async fn enable(
        &self,
        caller: &Caller,
        instance: InstanceId,
        credential: CredentialId,
    ) -> Result<(Credential, Written), UpdateError> {
        self.set_enabled(caller, instance, credential, true).await
    }

    /// Puts a new generated secret in one of the two slots; the other slot's stays good.
    pub async fn rotate(
        &self,
        caller: &Caller,
        instance: InstanceId,
        credential: CredentialId,
        slot: SecretSlot,
    ) -> Result<(Credential, Secret, Written), UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, credential).await?;
        let credential = Credential {
            has_secondary: before.has_secondary || slot == SecretSlot::Secondary,
            updated_at: write.now,
            revision: before.revision + 1,
            ..before.clone()
        };
        let secret = generate_secret();
        let other = secret_beside(&mut write, instance.id, &before, slot).await?;
        let kept = verifiers_beside(&secret, other.as_ref());
        store::credentials::update_secret(&mut write.tx, instance.id, credential.id, slot, &kept).await?;
        store::credentials::update(&mut write.tx, instance.id, &credential).await?;
        write.credential_changed(instance.id, credential.id, &credential.username);
        audit(&mut write, &instance, "rotate_credential", Some(&before), Some(&credential));
        Ok((credential, secret, write.commit().await?))
    }

    async fn set_enabled(
        &self,
        caller: &Caller,
        instance: InstanceId,
        credential: CredentialId,
        enabled: bool,
    ) -> Result<(Credential, Written), UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, credential).await?;
        if before.enabled == enabled {
            return Ok((before, Written::default()));
        }
        let credential =
            Credential { enabled, updated_at: write.now, revision: before.revision + 1, ..before.clone() };
        store::credentials::update(&mut write.tx, instance.id, &credential).await?;
        write.credential_changed(instance.id, credential.id, &credential.username);
        let action = if enabled { "enable_credential" } else { "disable_credential" };
        audit(&mut write, &instance, action, Some(&before), Some(&credential));
        Ok((credential, write.commit().await?))
    }
}

/// What recognises the secret in the other slot, if there is one.
async fn secret_beside(
    write: &mut Write<'_>,
    instance: InstanceId,
    credential: &Credential,
    slot: SecretSlot,
) -> Result<Option<CredentialSecret>, StoreError> {
    let key = DocumentKey { kind: DocumentKind::Credential, instance, name: credential.username.clone() };
    let found = store::documents::list(&mut write.tx, std::slice::from_ref(&key)).await?.remove(&key);
    let Some(Document::Credential(document)) = found else { return Ok(None) };
    let mut secrets = document.secrets.into_iter();
    let (primary, secondary) = (secrets.next(), secrets.next());
    Ok(match slot {
        SecretSlot::Primary => secondary,
        SecretSlot::Secondary => primary,
    })
}

/// The credential with its locked instance.
async fn lock(
    write: &mut Write<'_>,
    caller: &Caller,
    instance: InstanceId,
    credential: CredentialId,
) -> Result<(Instance, Credential), GetError> {
    let instance = write.instance(caller, instance, Action::WriteCredentials).await?;
    let found = store::credentials::find(&mut write.tx, instance.id, credential).await?;
    Ok((instance, found.ok_or_else(|| AccessError::not_found("credential", credential))?))
}

async fn count(write: &mut Write<'_>, instance: &Instance, credentials: u64) -> Result<(), StoreError> {
    let topics = instance.topics_used;
    store::instances::update_use(&mut write.tx, instance.tenant, instance.id, topics, credentials).await
}

fn audit(
    write: &mut Write<'_>,
    instance: &Instance,
    action: &'static str,
    before: Option<&Credential>,
    after: Option<&Credential>,
) {
    let id = before.or(after).map(|credential| credential.id.to_string()).unwrap_or_default();
    let (before, after) = (before.map(summary), after.map(summary));
    write.audit_in(instance, Audited { action, resource: "credential", id: &id, before, after });
}

fn summary(credential: &Credential) -> Value {
    json!({
        "username": credential.username,
        "client_id": credential.client_id,
        "enabled": credential.enabled,
        "grants": credential.grants,
        "labels": credential.labels,
        "has_secondary": credential.has_secondary,
    })
}

fn check(credential: &Credential, limits: &InstanceLimits) -> Result<(), Invalid> {
    let mut check = Check::default();
    check.client_id("/username", &credential.username, limits.client_id_bytes_max);
    if credential.username.contains('@') || credential.username.chars().any(char::is_control) {
        check.fail(
            "/username",
            "invalid",
            "no `@`, which begins an instance's suffix, and no control character",
        );
    }
    if let Some(client_id) = &credential.client_id {
        check.client_id("/client_id", client_id, limits.client_id_bytes_max);
    }
    check.grants(&credential.grants, limits.topic_bytes_max);
    check.labels(&credential.labels);
    check.finish()
}

/// How many grants there are and may be, if there are too many.
fn grants_too_many(credential: &Credential, limits: &InstanceLimits) -> Option<(u64, u64)> {
    let given = credential.grants.as_slice().len() as u64;
    (given > limits.grants_max).then_some((given, limits.grants_max))
}

takes_get_error!(CreateCredentialError, UpdateCredentialError);
