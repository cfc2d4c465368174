//! Deleting, restoring, suspending and resuming instances.

use chrono::TimeDelta;
use contract::feed::{DocumentKind, Urgent};
use contract::ids::InstanceId;
use store::error::Constraint;

use super::{
    DeleteInstanceError, Instance, Instances, SuspendedReason, UpdateInstanceError, check_room, put,
    suspended_by,
};
use crate::access::{AccessError, Action, Caller};
use crate::error::{NameTaken, UpdateError, WrongState};
use crate::write::{Write, Written, check_revision, not_deleting};

/// How long a deleted instance can be restored.
pub const DELETE_GRACE: TimeDelta = TimeDelta::days(7);

impl Instances {
    /// Begins the deletion: its clients are disconnected now, its things are gone after [`DELETE_GRACE`].
    pub async fn delete(
        &self,
        caller: &Caller,
        instance: InstanceId,
        if_revision: Option<i64>,
    ) -> Result<(Instance, Written), DeleteInstanceError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let before = write.instance(caller, instance, Action::DeleteInstances).await?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&before)?;
        if before.delete_protection {
            return Err(DeleteInstanceError::DeleteProtected);
        }
        let instance = Instance { deleted_at: Some(write.now), ..before.clone() };
        let suspended_by = suspended_by(&mut write, &before).await?;
        let instance = put(&mut write, "delete_instance", &before, instance, suspended_by).await?;
        tell_state(&mut write, &instance);
        Ok((instance, write.commit().await?))
    }

    /// Takes a deletion back.
    pub async fn restore(
        &self,
        caller: &Caller,
        instance: InstanceId,
    ) -> Result<(Instance, Written), UpdateInstanceError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let seen = self.core.instance_in(&mut write.tx, caller, instance, Action::DeleteInstances).await?;
        // The tenant first: what counts in it is decided one after the other.
        let tenant = write.tenant(caller, seen.tenant, Action::DeleteInstances).await?;
        let before = write.instance(caller, instance, Action::DeleteInstances).await?;
        if before.deleted_at.is_none() {
            return Err(WrongState(format!("instance `{}` is not being deleted", before.name)).into());
        }
        check_room(&mut write, &tenant).await??;
        let instance = Instance { deleted_at: None, ..before.clone() };
        let suspended_by = suspended_by(&mut write, &before).await?;
        let restored = put(&mut write, "restore_instance", &before, instance, suspended_by).await;
        let instance = restored.map_err(|error| {
            if error.breaks(Constraint::InstanceNameTaken) {
                return UpdateInstanceError::from(NameTaken { pointer: "", name: before.name.clone() });
            }
            error.into()
        })?;
        tell_state(&mut write, &instance);
        Ok((instance, write.commit().await?))
    }

    /// Disconnects its clients and lets none connect. What an operator suspends only an operator resumes.
    pub async fn suspend(
        &self,
        caller: &Caller,
        instance: InstanceId,
    ) -> Result<(Instance, Written), UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let before = write.instance(caller, instance, Action::WriteInstances).await?;
        not_deleting(&before)?;
        let own = caller.role(before.tenant).is_some();
        let by = if own { SuspendedReason::Tenant } else { SuspendedReason::Operator };
        match suspended_by(&mut write, &before).await? {
            // An operator's suspension is not loosened by the tenant's own.
            Some(known) if known == by || own => return Ok((before, Written::default())),
            _ => {}
        }
        let instance = put(&mut write, "suspend_instance", &before, before.clone(), Some(by)).await?;
        tell_state(&mut write, &instance);
        Ok((instance, write.commit().await?))
    }

    /// Ends a suspension.
    pub async fn resume(
        &self,
        caller: &Caller,
        instance: InstanceId,
    ) -> Result<(Instance, Written), UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let before = write.instance(caller, instance, Action::WriteInstances).await?;
        not_deleting(&before)?;
        match suspended_by(&mut write, &before).await? {
            None => return Ok((before, Written::default())),
            Some(SuspendedReason::Operator | SuspendedReason::Payment) if !caller.operator => {
                return Err(AccessError::OperatorOnly.into());
            }
            Some(_) => {}
        }
        let instance = put(&mut write, "resume_instance", &before, before.clone(), None).await?;
        tell_state(&mut write, &instance);
        Ok((instance, write.commit().await?))
    }
}

/// The nodes must hear of the instance's state, and at once. They are told the state that is then.
pub(crate) fn tell_state(write: &mut Write<'_>, instance: &Instance) {
    write.changed(DocumentKind::Instance, instance.id, "");
    write.urgent(instance.id, Urgent::InstanceStateChanged { state: instance.state });
}
