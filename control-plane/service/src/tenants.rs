//! Tenants: organisations, made by operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::ids::TenantId;
use serde_json::json;
use store::error::Constraint;
use store::members::{Member, Role};
pub use store::tenants::{Tenant, TenantState};
use store::{Labels, StoreError};

use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{GetError, Invalid, ListError, UpdateError};
use crate::ids::new_id;
use crate::instances::tell_state;
use crate::members::{self, NewMember, new_member};
use crate::page::{ListQuery, Page};
use crate::passwords::Busy;
use crate::secret::Secret;
use crate::validate::{Check, patched};
use crate::write::{Audited, Write, Written, check_revision};

/// Makes and changes tenants.
#[derive(Clone)]
pub struct Tenants {
    core: Arc<Core>,
}

/// What a new tenant is to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewTenant {
    /// What people call it; 1 to 100 characters.
    pub name: String,
    /// What people sort it by.
    pub labels: Labels,
    /// Its first owner; the caller itself, when none.
    pub owner: Option<NewOwner>,
}

/// The first owner of a new tenant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewOwner {
    /// The address to sign in with. Whoever has it already is made the owner.
    pub email: String,
    /// What people call it.
    pub name: String,
}

/// A tenant that was just made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// Its owner; none when the platform itself has made it.
    pub owner: Option<Member>,
    /// The owner's password, if it is new: shown here only, to be changed at the first sign-in.
    pub one_time_password: Option<Secret>,
}

/// What is to change of a tenant; what is none stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TenantPatch {
    /// What people call it.
    pub name: Option<String>,
    /// Labels to set, or with none to take away.
    pub labels: BTreeMap<String, Option<String>>,
}

/// Why a tenant was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTenantError {
    /// Only operators may.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Too many passwords are being made at this moment.
    #[error("too many sign-ins at one time")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tenants {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Makes a tenant and its first owner. Operators only.
    pub async fn create(&self, caller: &Caller, new: NewTenant) -> Result<CreatedTenant, CreateTenantError> {
        caller.platform_action(Action::ManageTenants)?;
        check(&new.name, &new.labels, new.owner.as_ref())?;
        let owner = self.owner(caller, new.owner).await?;
        let mut write = Write::begin(&self.core, caller).await?;
        let (owner, one_time_password) = match owner {
            Owner::Nobody => (None, None),
            Owner::Known(member) => (Some(member), None),
            Owner::New(fresh) => {
                insert_member(&mut write, &fresh).await?;
                (Some(fresh.member), Some(fresh.one_time_password))
            }
        };
        let tenant = create(&mut write, new.name, new.labels, owner.as_ref()).await?;
        write.commit().await?;
        Ok(CreatedTenant { tenant, owner, one_time_password })
    }

    /// The caller's tenants; every one, for operators.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Page<Tenant>, ListError> {
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        let found = match caller.member() {
            Some(member) if !caller.operator => {
                store::tenants::list_of_member(&mut connection, member, &listing).await
            }
            _ => store::tenants::list_of_all_tenants(&mut connection, &listing).await,
        };
        query.page(found)
    }

    /// One tenant.
    pub async fn get(&self, caller: &Caller, tenant: TenantId) -> Result<Tenant, GetError> {
        self.core.tenant(caller, tenant, Action::Read).await
    }

    /// Renames and labels a tenant.
    pub async fn update(
        &self,
        caller: &Caller,
        tenant: TenantId,
        if_revision: Option<i64>,
        patch: TenantPatch,
    ) -> Result<Tenant, UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let before = write.tenant(caller, tenant, Action::WriteTenant).await?;
        check_revision(if_revision, before.revision)?;
        let tenant = Tenant {
            name: patch.name.unwrap_or_else(|| before.name.clone()),
            labels: patched(&before.labels, &patch.labels),
            ..before.clone()
        };
        check(&tenant.name, &tenant.labels, None)?;
        let tenant = put(&mut write, "update_tenant", &before, tenant).await?;
        write.commit().await?;
        Ok(tenant)
    }

    /// Stops every instance of a tenant; its members may only read. Operators only.
    pub async fn suspend(&self, caller: &Caller, tenant: TenantId) -> Result<(Tenant, Written), UpdateError> {
        self.set_state(caller, tenant, TenantState::Suspended).await
    }

    /// Ends a suspension. Operators only.
    pub async fn resume(&self, caller: &Caller, tenant: TenantId) -> Result<(Tenant, Written), UpdateError> {
        self.set_state(caller, tenant, TenantState::Active).await
    }

    async fn set_state(
        &self,
        caller: &Caller,
        tenant: TenantId,
        state: TenantState,
    ) -> Result<(Tenant, Written), UpdateError> {
        caller.platform_action(Action::ManageTenants)?;
        let mut write = Write::begin(&self.core, caller).await?;
        let before = write.tenant(caller, tenant, Action::ManageTenants).await?;
        if before.state == state {
            return Ok((before, Written::default()));
        }
        let action = match state {
            TenantState::Suspended => "suspend_tenant",
            TenantState::Active => "resume_tenant",
        };
        let tenant = put(&mut write, action, &before, Tenant { state, ..before.clone() }).await?;
        for id in store::instances::list_ids(&mut write.tx, tenant.id).await? {
            if let Some(instance) = store::instances::lock(&mut write.tx, tenant.id, id).await? {
                tell_state(&mut write, &instance);
            }
        }
        Ok((tenant, write.commit().await?))
    }

    /// Who is to own the tenant. A password is hashed before the transaction, which it would hold up.
    async fn owner(&self, caller: &Caller, new: Option<NewOwner>) -> Result<Owner, CreateTenantError> {
        let mut connection = self.core.store.read().await?;
        let known = match (&new, caller.member()) {
            (Some(owner), _) => {
                store::members::find_by_email(&mut connection, &owner.email.to_lowercase()).await?
            }
            (None, Some(member)) => store::members::find(&mut connection, member).await?,
            (None, None) => None,
        };
        drop(connection);
        match (known, new) {
            (Some(member), _) => Ok(Owner::Known(member)),
            (None, None) => Ok(Owner::Nobody),
            (None, Some(owner)) => {
                let fresh = new_member(&self.core, &owner.email, &owner.name, false).await?;
                Ok(Owner::New(Box::new(fresh)))
            }
        }
    }
}

enum Owner {
    Nobody,
    Known(Member),
    New(Box<NewMember>),
}

/// Makes a tenant with its owner, if it has one.
pub(crate) async fn create(
    write: &mut Write<'_>,
    name: String,
    labels: Labels,
    owner: Option<&Member>,
) -> Result<Tenant, StoreError> {
    let tenant = Tenant {
        id: TenantId(new_id(write.now)),
        name,
        state: TenantState::Active,
        labels,
        created_at: write.now,
        updated_at: write.now,
        revision: 1,
    };
    store::tenants::insert(&mut write.tx, &tenant).await?;
    if let Some(owner) = owner {
        store::members::put_membership(&mut write.tx, tenant.id, owner.id, Role::Owner, write.now).await?;
    }
    audit(write, "create_tenant", None, &tenant);
    if let Some(owner) = owner {
        let (id, after) = (owner.id.to_string(), Some(json!({ "role": Role::Owner })));
        let (action, resource) = ("create_membership", "membership");
        write.audit(Some(tenant.id), None, Audited { action, resource, id: &id, before: None, after });
    }
    Ok(tenant)
}

async fn insert_member(write: &mut Write<'_>, fresh: &NewMember) -> Result<(), CreateTenantError> {
    members::insert(write, fresh).await.map_err(|error| {
        if error.breaks(Constraint::EmailTaken) {
            // Somebody has just made this member; the next try will find it.
            return Invalid::field("/owner/email", "taken", "this address was just taken: try again").into();
        }
        CreateTenantError::Store(error)
    })
}

async fn put(
    write: &mut Write<'_>,
    action: &'static str,
    before: &Tenant,
    tenant: Tenant,
) -> Result<Tenant, StoreError> {
    let tenant = Tenant { updated_at: write.now, revision: before.revision + 1, ..tenant };
    store::tenants::update(&mut write.tx, &tenant).await?;
    audit(write, action, Some(before), &tenant);
    Ok(tenant)
}

fn audit(write: &mut Write<'_>, action: &'static str, before: Option<&Tenant>, tenant: &Tenant) {
    let summary =
        |tenant: &Tenant| json!({ "name": tenant.name, "state": tenant.state, "labels": tenant.labels });
    let (id, before, after) = (tenant.id.to_string(), before.map(summary), Some(summary(tenant)));
    write.audit(Some(tenant.id), None, Audited { action, resource: "tenant", id: &id, before, after });
}

fn check(name: &str, labels: &Labels, owner: Option<&NewOwner>) -> Result<(), Invalid> {
    let mut check = Check::default();
    check.name("/name", name);
    check.labels(labels);
    if let Some(owner) = owner {
        check.email("/owner/email", &owner.email);
        check.name("/owner/name", &owner.name);
    }
    check.finish()
}

impl From<Busy> for CreateTenantError {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}
