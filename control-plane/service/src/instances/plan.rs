//! Changing the plan of an instance.

use contract::feed::DocumentKind;
use contract::ids::InstanceId;
use store::StoreError;
use store::plans::Plan;

use super::{Instance, Instances, PlanError, summary, usable_plan};
use crate::access::{AccessError, Action, Caller};
use crate::error::{Invalid, LimitReached, WrongState, takes_get_error};
use crate::write::{Audited, Write, Written, not_deleting};

/// What a change of plan has done or, as a preview, would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanChange {
    /// The instance; in a preview as it would be.
    pub instance: Instance,
    /// What is in use beyond the new limits; never anything but in a preview.
    pub exceeded: Vec<LimitReached>,
}

/// Why the plan was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePlanError {
    /// It is not there for this caller, or not to be changed by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The plan is unknown or retired.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// More is in use than the new plan allows.
    #[error("more is in use than plan `{plan}` allows")]
    WouldExceedLimits {
        /// The new plan.
        plan: String,
        /// What is in use beyond it; at least one.
        exceeded: Vec<LimitReached>,
    },
    /// It is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Instances {
    /// Gives the instance the highest version of a plan; as a `preview` it only says what would be.
    pub async fn change_plan(
        &self,
        caller: &Caller,
        instance: InstanceId,
        plan: &str,
        preview: bool,
    ) -> Result<(PlanChange, Written), ChangePlanError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let before = write.instance(caller, instance, Action::WriteInstances).await?;
        not_deleting(&before)?;
        let plan = usable_plan(&mut write, plan).await?;
        let exceeded = exceeded(&mut write, &before, &plan).await?;
        if preview {
            let instance =
                Instance { plan_name: plan.name, plan_version: plan.version, limits: plan.limits, ..before };
            return Ok((PlanChange { instance, exceeded }, Written::default()));
        }
        if !exceeded.is_empty() {
            return Err(ChangePlanError::WouldExceedLimits { plan: plan.name, exceeded });
        }
        store::instances::update_plan(&mut write.tx, before.tenant, before.id, plan.id, write.now).await?;
        let instance = Instance {
            plan_name: plan.name,
            plan_version: plan.version,
            limits: plan.limits,
            updated_at: write.now,
            revision: before.revision + 1,
            ..before.clone()
        };
        write.changed(DocumentKind::Instance, instance.id, "");
        let id = instance.id.to_string();
        let (before, after) = (Some(summary(&before)), Some(summary(&instance)));
        write.audit_in(
            &instance,
            Audited { action: "change_plan", resource: "instance", id: &id, before, after },
        );
        Ok((PlanChange { instance, exceeded }, write.commit().await?))
    }
}

/// What the instance uses beyond the limits of a plan.
async fn exceeded(
    write: &mut Write<'_>,
    instance: &Instance,
    plan: &Plan,
) -> Result<Vec<LimitReached>, StoreError> {
    let rules = store::alarm_rules::count(&mut write.tx, instance.id).await?;
    let channels = store::channels::count(&mut write.tx, instance.id).await?;
    let uses = [
        ("topics_max", plan.limits.topics_max, instance.topics_used),
        ("credentials_max", plan.limits.credentials_max, instance.credentials_used),
        ("alarm_rules_max", plan.limits.alarm_rules_max, rules),
        ("channels_max", plan.limits.channels_max, channels),
    ];
    let beyond = uses.into_iter().filter(|(_, value, used)| used > value);
    let subject = &instance.name;
    let exceeded = beyond.map(|(name, value, used)| LimitReached {
        name,
        value,
        used,
        scope: "instance",
        subject: subject.clone(),
    });
    Ok(exceeded.collect())
}

impl From<PlanError> for ChangePlanError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Invalid(error) => Self::Invalid(error),
            PlanError::Store(error) => Self::Store(error),
        }
    }
}

takes_get_error!(ChangePlanError);
