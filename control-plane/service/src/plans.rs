//! Plans: named, versioned sets of limits. An instance keeps the version it was given until its plan is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::limits::{InstanceLimits, LimitError};
use serde_json::json;
use store::StoreError;
use store::error::Constraint;
pub use store::plans::Plan;

use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{GetError, Invalid, ListError, NameTaken, UpdateError};
use crate::ids::new_id;
use crate::page::{ListQuery, Page};
use crate::validate::Check;
use crate::write::{Audited, Write};

/// Shows plans, and lets operators make them.
#[derive(Clone)]
pub struct Plans {
    core: Arc<Core>,
}

/// What a new plan is to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewPlan {
    /// The name: 1 to 40 of `a-z`, `0-9` and `-`, beginning with a letter.
    pub name: String,
    /// For people; at most 1 024 bytes.
    pub description: String,
    /// Limits by name; what is left out has its default.
    pub limits: BTreeMap<String, u64>,
}

/// Why a plan was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreatePlanError {
    /// Only operators may.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good: an unknown limit, one out of bounds.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A plan of this name exists: make a new version of it.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Plans {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The highest version of every plan, for any caller.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Page<Plan>, ListError> {
        // Plans are nobody's secret: any caller sees them.
        let _ = caller;
        let listing = query.listing()?;
        query.page(store::plans::list(&mut *self.core.store.read().await?, &listing).await)
    }

    /// The highest version of a plan, or the one that is asked for.
    pub async fn get(&self, caller: &Caller, name: &str, version: Option<i32>) -> Result<Plan, GetError> {
        let _ = caller;
        let mut connection = self.core.store.read().await?;
        let found = match version {
            Some(version) => store::plans::find_version(&mut connection, name, version).await?,
            None => store::plans::find_highest(&mut connection, name).await?,
        };
        Ok(found.ok_or_else(|| AccessError::not_found("plan", name))?)
    }

    /// Makes version 1 of a plan.
    pub async fn create(&self, caller: &Caller, new: NewPlan) -> Result<Plan, CreatePlanError> {
        caller.platform_action(Action::ManagePlans)?;
        let mut write = Write::begin(&self.core, caller).await?;
        let plan = create(&mut write, new).await?;
        write.commit().await?;
        Ok(plan)
    }

    /// Makes the next version of a plan; what is left out is as in the version before.
    pub async fn create_version(
        &self,
        caller: &Caller,
        name: &str,
        description: Option<String>,
        limits: BTreeMap<String, u64>,
    ) -> Result<Plan, UpdateError> {
        caller.platform_action(Action::ManagePlans)?;
        let mut write = Write::begin(&self.core, caller).await?;
        let before = lock(&mut write, name).await?;
        let plan = Plan {
            id: new_id(write.now),
            version: before.version + 1,
            description: description.unwrap_or_else(|| before.description.clone()),
            limits: with_limits(before.limits.clone(), &limits)?,
            retired_at: None,
            created_at: write.now,
            name: before.name.clone(),
        };
        check(&plan)?;
        store::plans::insert(&mut write.tx, &plan).await?;
        audit(&mut write, "create_plan_version", Some(&before), &plan);
        write.commit().await?;
        Ok(plan)
    }

    /// Lets no instance begin to use the plan. Instances that do keep it.
    pub async fn retire(&self, caller: &Caller, name: &str) -> Result<Plan, UpdateError> {
        caller.platform_action(Action::ManagePlans)?;
        let mut write = Write::begin(&self.core, caller).await?;
        let before = lock(&mut write, name).await?;
        if before.retired_at.is_some() {
            return Ok(before);
        }
        store::plans::retire(&mut write.tx, name, write.now).await?;
        let plan = Plan { retired_at: Some(write.now), ..before.clone() };
        audit(&mut write, "retire_plan", Some(&before), &plan);
        write.commit().await?;
        Ok(plan)
    }
}

/// Makes version 1 of a plan.
pub(crate) async fn create(write: &mut Write<'_>, new: NewPlan) -> Result<Plan, CreatePlanError> {
    let plan = Plan {
        id: new_id(write.now),
        name: new.name,
        version: 1,
        description: new.description,
        limits: with_limits(InstanceLimits::default(), &new.limits)?,
        retired_at: None,
        created_at: write.now,
    };
    check(&plan)?;
    if store::plans::find_highest(&mut write.tx, &plan.name).await?.is_some() {
        return Err(NameTaken { pointer: "/name", name: plan.name }.into());
    }
    store::plans::insert(&mut write.tx, &plan).await.map_err(|error| {
        if error.breaks(Constraint::PlanTaken) {
            return NameTaken { pointer: "/name", name: plan.name.clone() }.into();
        }
        CreatePlanError::Store(error)
    })?;
    audit(write, "create_plan", None, &plan);
    Ok(plan)
}

async fn lock(write: &mut Write<'_>, name: &str) -> Result<Plan, UpdateError> {
    let plan = store::plans::lock_highest(&mut write.tx, name).await?;
    Ok(plan.ok_or_else(|| AccessError::not_found("plan", name))?)
}

/// The limits with these set; every one that cannot be is named.
fn with_limits(
    mut limits: InstanceLimits,
    values: &BTreeMap<String, u64>,
) -> Result<InstanceLimits, Invalid> {
    let mut check = Check::default();
    for (name, value) in values {
        if let Err(error) = limits.set(name, *value) {
            let code = match error {
                LimitError::Unknown { .. } => "unknown",
                LimitError::OutOfBounds { .. } => "out_of_bounds",
            };
            check.fail(&format!("/limits/{name}"), code, error.to_string());
        }
    }
    check.finish()?;
    Ok(limits)
}

/// The longest name of a plan.
const NAME_BYTES_MAX: usize = 40;

fn check(plan: &Plan) -> Result<(), Invalid> {
    let mut check = Check::default();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = plan.name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || plan.name.len() > NAME_BYTES_MAX || !plan.name.chars().all(good) {
        let detail = format!("1 to {NAME_BYTES_MAX} of `a-z`, `0-9` and `-`, beginning with a letter");
        check.fail("/name", "invalid", detail);
    }
    check.description("/description", &plan.description);
    check.finish()
}

fn audit(write: &mut Write<'_>, action: &'static str, before: Option<&Plan>, plan: &Plan) {
    let summary = |plan: &Plan| {
        json!({ "version": plan.version, "description": plan.description, "limits": plan.limits,
                "retired_at": plan.retired_at })
    };
    let (before, after) = (before.map(summary), Some(summary(plan)));
    write.audit(None, None, Audited { action, resource: "plan", id: &plan.name, before, after });
}
