//! Instances: isolated MQTT namespaces, each with its plan, label and first signing key.

mod lifecycle;
mod limits;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{Authentication, DocumentKind, TopicMode};
use contract::ids::{InstanceId, TenantId};
use contract::shared_group::SharedStrategy;
use serde_json::{Value, json};
use store::error::Constraint;
pub use store::instances::{Instance, SuspendedReason};
use store::plans::Plan;
use store::tenants::Tenant;
use store::{Labels, StoreError};

pub use self::lifecycle::DELETE_GRACE;
pub(crate) use self::lifecycle::tell_state;
pub use self::limits::LimitUse;
pub use self::plan::{ChangePlanError, PlanChange};
use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{
    GetError, Invalid, LimitReached, ListError, NameTaken, RevisionMismatch, WrongState, takes_get_error,
};
use crate::ids::new_id;
use crate::label::new_label;
use crate::page::{ListQuery, Page};
use crate::platform::Endpoints;
use crate::validate::{Check, patched};
use crate::write::{Audited, Write, Written, check_revision, not_deleting};

/// The most instances of one tenant, those that are being deleted aside.
pub const INSTANCES_MAX: u64 = 100;

/// Makes, changes and deletes instances.
#[derive(Clone)]
pub struct Instances {
    core: Arc<Core>,
}

/// What a new instance is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewInstance {
    /// What people call it; 1 to 100 characters, unique in the tenant.
    pub name: String,
    /// The name of its plan, of which it gets the highest version.
    pub plan: String,
    /// Which topics it accepts.
    pub topic_mode: TopicMode,
    /// How its clients may prove themselves; at least one way.
    pub authentication: Vec<Authentication>,
    /// Which messages are logged, of topics that do not say themselves.
    pub durability: DurabilityClass,
    /// What gives way when more waits for a lasting session than the plan allows.
    pub queue_overflow: QueueOverflow,
    /// Whose turn it is among the members of a shared subscription.
    pub shared_strategy: SharedStrategy,
    /// Whether deletion is refused.
    pub delete_protection: bool,
    /// What people sort it by.
    pub labels: Labels,
}

/// What is to change of an instance; what is none stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InstancePatch {
    /// What people call it. Its label stays.
    pub name: Option<String>,
    /// Which topics it accepts.
    pub topic_mode: Option<TopicMode>,
    /// How its clients may prove themselves.
    pub authentication: Option<Vec<Authentication>>,
    /// Which messages are logged, of topics that do not say themselves.
    pub durability: Option<DurabilityClass>,
    /// What gives way when more waits for a lasting session than the plan allows.
    pub queue_overflow: Option<QueueOverflow>,
    /// Whose turn it is among the members of a shared subscription.
    pub shared_strategy: Option<SharedStrategy>,
    /// Whether deletion is refused.
    pub delete_protection: Option<bool>,
    /// Labels to set, or with none to take away.
    pub labels: BTreeMap<String, Option<String>>,
}

/// Why an instance was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateInstanceError {
    /// There is no such tenant for this caller, or it may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good: also a plan that is unknown or retired.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The tenant has all the instances it may have.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The tenant has an instance of this name.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an instance was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateInstanceError {
    /// It is not there for this caller, or not to be changed by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The tenant has all the instances it may have: this one cannot be restored.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The tenant has another instance of this name.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// It has changed meanwhile.
    #[error(transparent)]
    Revision(#[from] RevisionMismatch),
    /// It is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an instance was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteInstanceError {
    /// It is not there for this caller, or not to be deleted by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Its delete protection is on.
    #[error("the instance is protected from deletion")]
    DeleteProtected,
    /// It has changed meanwhile.
    #[error(transparent)]
    Revision(#[from] RevisionMismatch),
    /// It is being deleted already.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Instances {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Where the devices of an instance connect.
    #[must_use]
    pub fn endpoints(&self, instance: &Instance) -> Endpoints {
        self.core.platform.endpoints(&instance.label)
    }

    /// Makes an instance with its label and its first signing key `k1`.
    pub async fn create(
        &self,
        caller: &Caller,
        tenant: TenantId,
        new: NewInstance,
    ) -> Result<(Instance, Written), CreateInstanceError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let tenant = write.tenant(caller, tenant, Action::WriteInstances).await?;
        let instance = create(&mut write, &tenant, new).await?;
        Ok((instance, write.commit().await?))
    }

    /// The instances of a tenant; with `deleted` those that can still be restored.
    pub async fn list(
        &self,
        caller: &Caller,
        tenant: TenantId,
        deleted: bool,
        query: &ListQuery,
    ) -> Result<Page<Instance>, ListError> {
        let tenant = self.core.tenant(caller, tenant, Action::Read).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        query.page(store::instances::list(&mut connection, tenant.id, deleted, &listing).await)
    }

    /// One instance; one that is being deleted too, until its grace is over.
    pub async fn get(&self, caller: &Caller, instance: InstanceId) -> Result<Instance, GetError> {
        self.core.instance(caller, instance, Action::Read).await
    }

    /// Changes an instance.
    pub async fn update(
        &self,
        caller: &Caller,
        instance: InstanceId,
        if_revision: Option<i64>,
        patch: InstancePatch,
    ) -> Result<(Instance, Written), UpdateInstanceError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let before = write.instance(caller, instance, Action::WriteInstances).await?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&before)?;
        let instance = Instance {
            name: patch.name.unwrap_or_else(|| before.name.clone()),
            topic_mode: patch.topic_mode.unwrap_or(before.topic_mode),
            authentication: patch.authentication.unwrap_or_else(|| before.authentication.clone()),
            durability: patch.durability.unwrap_or(before.durability),
            queue_overflow: patch.queue_overflow.unwrap_or(before.queue_overflow),
            shared_strategy: patch.shared_strategy.unwrap_or(before.shared_strategy),
            delete_protection: patch.delete_protection.unwrap_or(before.delete_protection),
            labels: patched(&before.labels, &patch.labels),
            ..before.clone()
        };
        check(&instance.name, &instance.authentication, &instance.labels)?;
        let wanted = instance.name.clone();
        let told = told(&before) != told(&instance);
        let suspended_by = suspended_by(&mut write, &before).await?;
        let stored = put(&mut write, "update_instance", &before, instance, suspended_by).await;
        let instance = stored.map_err(|error| {
            if error.breaks(Constraint::InstanceNameTaken) {
                return UpdateInstanceError::from(NameTaken { pointer: "/name", name: wanted });
            }
            error.into()
        })?;
        if told {
            write.changed(DocumentKind::Instance, instance.id, "");
        }
        Ok((instance, write.commit().await?))
    }
}

/// Makes an instance of a locked tenant.
pub(crate) async fn create(
    write: &mut Write<'_>,
    tenant: &Tenant,
    new: NewInstance,
) -> Result<Instance, CreateInstanceError> {
    check(&new.name, &new.authentication, &new.labels)?;
    check_room(write, tenant).await??;
    let plan = usable_plan(write, &new.plan).await?;
    let label = take_label(write, tenant.id, &new.name).await?;
    let id = InstanceId(new_id(write.now));
    let row = store::instances::NewInstance {
        id,
        name: &new.name,
        label: &label,
        plan: plan.id,
        topic_mode: new.topic_mode,
        authentication: &new.authentication,
        durability: new.durability,
        queue_overflow: new.queue_overflow,
        shared_strategy: new.shared_strategy,
        delete_protection: new.delete_protection,
        labels: &new.labels,
        now: write.now,
    };
    store::instances::insert(&mut write.tx, tenant.id, row).await.map_err(|error| {
        if error.breaks(Constraint::InstanceNameTaken) {
            return NameTaken { pointer: "/name", name: new.name.clone() }.into();
        }
        CreateInstanceError::Store(error)
    })?;
    let instance = store::instances::lock(&mut write.tx, tenant.id, id).await?.expect("just made");
    write.changed(DocumentKind::Instance, id, "");
    crate::signing_keys::insert(write, &instance, 0).await?;
    let after = Some(summary(&instance));
    write.audit_in(
        &instance,
        Audited { action: "create_instance", resource: "instance", id: &id.to_string(), before: None, after },
    );
    Ok(instance)
}

/// Whether a locked tenant may have one instance more.
async fn check_room(write: &mut Write<'_>, tenant: &Tenant) -> Result<Result<(), LimitReached>, StoreError> {
    let used = store::instances::list_ids(&mut write.tx, tenant.id).await?.len() as u64;
    if used < INSTANCES_MAX {
        return Ok(Ok(()));
    }
    let (name, value, subject) = ("instances_max", INSTANCES_MAX, tenant.name.clone());
    Ok(Err(LimitReached { name, value, used, scope: "tenant", subject }))
}

/// The highest version of a plan, if instances may begin to use it.
async fn usable_plan(write: &mut Write<'_>, name: &str) -> Result<Plan, PlanError> {
    let plan = store::plans::find_highest(&mut write.tx, name).await?;
    match plan {
        Some(plan) if plan.retired_at.is_none() => Ok(plan),
        Some(_) => Err(Invalid::field("/plan", "retired", format!("plan `{name}` is retired")).into()),
        None => Err(Invalid::field("/plan", "unknown", format!("there is no plan `{name}`")).into()),
    }
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PlanError> for CreateInstanceError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Invalid(error) => Self::Invalid(error),
            PlanError::Store(error) => Self::Store(error),
        }
    }
}

/// How often a label is drawn before it must be a fault: one draw in a million meets a label of the same name.
const LABEL_DRAWS_MAX: usize = 20;

async fn take_label(
    write: &mut Write<'_>,
    tenant: TenantId,
    name: &str,
) -> Result<String, CreateInstanceError> {
    for _ in 0..LABEL_DRAWS_MAX {
        let label = new_label(name);
        if store::instances::take_label(&mut write.tx, tenant, &label, write.now).await? {
            return Ok(label);
        }
    }
    Err(NameTaken { pointer: "/name", name: name.to_owned() }.into())
}

/// Who suspended the instance itself, its tenant's state aside.
async fn suspended_by(
    write: &mut Write<'_>,
    instance: &Instance,
) -> Result<Option<SuspendedReason>, StoreError> {
    store::instances::find_suspended_by(&mut write.tx, instance.tenant, instance.id).await
}

/// Stores a locked instance with its next revision, notes it in the audit log, and reads it back.
async fn put(
    write: &mut Write<'_>,
    action: &'static str,
    before: &Instance,
    instance: Instance,
    suspended_by: Option<SuspendedReason>,
) -> Result<Instance, StoreError> {
    let instance = Instance { updated_at: write.now, revision: before.revision + 1, ..instance };
    store::instances::update(&mut write.tx, instance.tenant, &instance, suspended_by).await?;
    let instance =
        store::instances::lock(&mut write.tx, instance.tenant, instance.id).await?.expect("it is locked");
    let (id, before, after) = (instance.id.to_string(), Some(summary(before)), Some(summary(&instance)));
    write.audit_in(&instance, Audited { action, resource: "instance", id: &id, before, after });
    Ok(instance)
}

fn check(name: &str, authentication: &[Authentication], labels: &Labels) -> Result<(), Invalid> {
    let mut check = Check::default();
    check.name("/name", name);
    if authentication.is_empty() {
        check.fail("/authentication", "required", "at least one way");
    }
    let twice = authentication.iter().enumerate().any(|(at, way)| authentication[..at].contains(way));
    if twice || authentication.contains(&Authentication::Unknown) {
        check.fail("/authentication", "invalid", "`password` and `token`, each at most once");
    }
    check.labels(labels);
    check.finish()
}

/// What nodes are told of what people may change.
fn told(
    instance: &Instance,
) -> (TopicMode, &[Authentication], DurabilityClass, QueueOverflow, SharedStrategy) {
    let Instance { topic_mode, authentication, durability, queue_overflow, shared_strategy, .. } = instance;
    (*topic_mode, authentication, *durability, *queue_overflow, *shared_strategy)
}

fn summary(instance: &Instance) -> Value {
    json!({
        "name": instance.name,
        "label": instance.label,
        "state": instance.state,
        "plan": { "name": instance.plan_name, "version": instance.plan_version },
        "topic_mode": instance.topic_mode,
        "authentication": instance.authentication,
        "durability": instance.durability,
        "queue_overflow": instance.queue_overflow,
        "shared_strategy": instance.shared_strategy,
        "delete_protection": instance.delete_protection,
        "labels": instance.labels,
    })
}

takes_get_error!(CreateInstanceError, UpdateInstanceError, DeleteInstanceError);
