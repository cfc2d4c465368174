//! One write: rows, audit rows, urgent entries and, last, the generation, in one transaction.

use chrono::{DateTime, Utc};
use contract::feed::{DocumentKey, DocumentKind, Generation, Urgent};
use contract::ids::{CredentialId, InstanceId, TenantId};
use serde_json::Value;
use store::actor::Actor;
use store::audit::AuditEntry;
use store::instances::Instance;
use store::tenants::Tenant;
use store::{StoreError, Transaction};

use crate::access::{AccessError, Action, Caller, check};
use crate::core::Core;
use crate::error::{GetError, RevisionMismatch, WrongState};
use crate::ids::new_id;
use crate::seal::MasterKey;

/// What a write has given besides its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// The generation that carries it to the nodes; none when nodes need not know.
    pub generation: Option<Generation>,
    /// Its place in the urgent lane; none when it does not travel there.
    pub urgent_sequence: Option<u64>,
}

/// A write on its way: what is noted here is stored by [`Write::commit`], in the order that the feed needs.
pub(crate) struct Write<'a> {
    core: &'a Core,
    pub(crate) tx: Transaction,
    pub(crate) now: DateTime<Utc>,
    actor: Actor,
    request_id: &'a str,
    keys: Vec<DocumentKey>,
    urgent: Vec<(InstanceId, Urgent)>,
    audit: Vec<AuditEntry>,
}

/// What an audit row says was done, and to what.
pub(crate) struct Audited<'a> {
    /// The operation: `create_topic`.
    pub(crate) action: &'static str,
    /// The kind of thing: `topic`.
    pub(crate) resource: &'static str,
    /// Which one.
    pub(crate) id: &'a str,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl<'a> Write<'a> {
    /// Begins a write of this caller's.
    pub(crate) async fn begin(core: &'a Core, caller: &'a Caller) -> Result<Self, StoreError> {
        Self::begin_as(core, caller.actor, &caller.request_id).await
    }

    /// Begins a write of somebody who is no caller yet.
    pub(crate) async fn begin_as(
        core: &'a Core,
        actor: Actor,
        request_id: &'a str,
    ) -> Result<Self, StoreError> {
        let (keys, urgent, audit) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            core,
            tx: core.store.begin().await?,
            now: core.now(),
            actor,
            request_id,
            keys,
            urgent,
            audit,
        })
    }

    /// The tenant, locked, if the caller may do this to it.
    pub(crate) async fn tenant(
        &mut self,
        caller: &Caller,
        tenant: TenantId,
        action: Action,
    ) -> Result<Tenant, GetError> {
        let not_found = || AccessError::not_found("tenant", tenant);
        // Before the lock: a stranger holds up nobody.
        if caller.role(tenant).is_none() && !caller.operator {
            return Err(not_found().into());
        }
        let found = store::tenants::lock(&mut self.tx, tenant).await?.ok_or_else(not_found)?;
        check(caller, tenant, found.state, action, not_found)?;
        Ok(found)
    }

    /// The instance, locked, if the caller may do this to it.
    pub(crate) async fn instance(
        &mut self,
        caller: &Caller,
        instance: InstanceId,
        action: Action,
    ) -> Result<Instance, GetError> {
        let not_found = || AccessError::not_found("instance", instance);
        let seen = self.core.instance_in(&mut self.tx, caller, instance, action).await?;
        let locked = store::instances::lock(&mut self.tx, seen.tenant, instance).await?;
        let locked = locked.ok_or_else(not_found)?;
        // Again, now that it stays so: while the lock was waited for, the tenant may have been suspended.
        let tenant = store::tenants::find(&mut self.tx, locked.tenant).await?.ok_or_else(not_found)?;
        check(caller, tenant.id, tenant.state, action, not_found)?;
        Ok(locked)
    }

    pub(crate) fn master_key(&self) -> &'a MasterKey {
        &self.core.master_key
    }

    /// The nodes must hear of this document.
    pub(crate) fn changed(&mut self, kind: DocumentKind, instance: InstanceId, name: &str) {
        self.keys.push(DocumentKey { kind, instance, name: name.to_owned() });
    }

    /// The nodes must hear of this at once.
    pub(crate) fn urgent(&mut self, instance: InstanceId, urgent: Urgent) {
        self.urgent.push((instance, urgent));
    }

    /// The nodes must hear of this credential, and at once.
    pub(crate) fn credential_changed(
        &mut self,
        instance: InstanceId,
        credential: CredentialId,
        username: &str,
    ) {
        self.changed(DocumentKind::Credential, instance, username);
        // The document is filled in when a node asks, as it is then.
        let username = username.to_owned();
        self.urgent(instance, Urgent::CredentialChanged { credential, document: None, username });
    }

    /// Notes what was done in the tenant's audit log, or in the platform's.
    pub(crate) fn audit(
        &mut self,
        tenant: Option<TenantId>,
        instance: Option<InstanceId>,
        audited: Audited<'_>,
    ) {
        self.audit.push(AuditEntry {
            id: new_id(self.now),
            tenant,
            instance,
            at: self.now,
            actor: self.actor,
            action: audited.action.to_owned(),
            resource: audited.resource.to_owned(),
            resource_id: audited.id.to_owned(),
            request_id: self.request_id.to_owned(),
            before: audited.before,
            after: audited.after,
        });
    }

    /// Notes what was done to something of an instance.
    pub(crate) fn audit_in(&mut self, instance: &Instance, audited: Audited<'_>) {
        self.audit(Some(instance.tenant), Some(instance.id), audited);
    }

    /// Makes it so, and wakes those who wait.
    pub(crate) async fn commit(mut self) -> Result<Written, StoreError> {
        for entry in &self.audit {
            store::audit::insert(&mut self.tx, entry).await?;
        }
        let mut written = Written::default();
        for (instance, urgent) in &self.urgent {
            let sequence = store::urgent::append(&mut self.tx, *instance, urgent, self.now).await?;
            written.urgent_sequence = Some(sequence);
        }
        if !self.keys.is_empty() {
            written.generation = Some(store::feed::append(&mut self.tx, &self.keys, self.now).await?);
        }
        self.tx.commit().await?;
        if written != Written::default() {
            self.core.wake.feed.send_replace(());
        }
        Ok(written)
    }
}

/// Whether the thing still has the revision that the caller has read.
pub(crate) fn check_revision(if_revision: Option<i64>, current: i64) -> Result<(), RevisionMismatch> {
    match if_revision {
        Some(revision) if revision != current => Err(RevisionMismatch { current }),
        _ => Ok(()),
    }
}

/// What is being deleted is not changed.
pub(crate) fn not_deleting(instance: &Instance) -> Result<(), WrongState> {
    if instance.deleted_at.is_some() {
        return Err(WrongState(format!("instance `{}` is being deleted", instance.name)));
    }
    Ok(())
}
