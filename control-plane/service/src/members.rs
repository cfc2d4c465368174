//! The caller's own account.

use std::sync::Arc;

use contract::ids::MemberId;
use serde_json::json;
use store::StoreError;
pub use store::members::{Member, Membership};

use crate::access::{AccessError, Caller};
use crate::core::Core;
use crate::error::{GetError, Invalid, UpdateError};
use crate::ids::new_id;
use crate::label::chance;
use crate::passwords::{Busy, check_new_password};
use crate::seal::{random, sha256};
use crate::secret::Secret;
use crate::session::{ChangePasswordError, throttle};
use crate::validate::Check;
use crate::write::{Audited, Write, check_revision};

/// Shows and changes the caller's own account.
#[derive(Clone)]
pub struct Members {
    core: Arc<Core>,
}

/// The caller's own account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Me {
    /// Who.
    pub member: Member,
    /// Where the person belongs.
    pub tenants: Vec<Membership>,
}

impl Members {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The caller's own account. The platform itself has none.
    pub async fn get_me(&self, caller: &Caller) -> Result<Me, GetError> {
        let mut connection = self.core.store.read().await?;
        let member = match caller.member() {
            Some(member) => store::members::find(&mut connection, member).await?,
            None => None,
        };
        let member = member.ok_or_else(|| AccessError::not_found("member", caller.actor))?;
        let tenants = store::members::list_memberships(&mut connection, member.id).await?;
        Ok(Me { member, tenants })
    }

    /// Changes the caller's name.
    pub async fn update_me(
        &self,
        caller: &Caller,
        if_revision: Option<i64>,
        name: Option<String>,
    ) -> Result<Me, UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let before = match caller.member() {
            Some(member) => store::members::lock(&mut write.tx, member).await?,
            None => None,
        };
        let before = before.ok_or_else(|| AccessError::not_found("member", caller.actor))?;
        check_revision(if_revision, before.revision)?;
        // Read in the transaction: whoever holds one connection does not ask for a second.
        let tenants = store::members::list_memberships(&mut write.tx, before.id).await?;
        let Some(name) = name else { return Ok(Me { member: before, tenants }) };
        let mut check = Check::default();
        check.name("/name", &name);
        check.finish()?;
        store::members::update_name(&mut write.tx, before.id, &name, write.now).await?;
        let (id, was, is) = (before.id.to_string(), json!({ "name": before.name }), json!({ "name": name }));
        let audited =
            Audited { action: "update_me", resource: "member", id: &id, before: Some(was), after: Some(is) };
        write.audit(None, None, audited);
        let (updated_at, revision) = (write.now, before.revision + 1);
        write.commit().await?;
        Ok(Me { member: Member { name, updated_at, revision, ..before }, tenants })
    }

    /// Changes the caller's password and ends every session of it but the one with `keep_session`'s token.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: &Secret,
        new: &Secret,
        keep_session: &str,
    ) -> Result<(), ChangePasswordError> {
        let mut connection = self.core.store.read().await?;
        let member = match caller.member() {
            Some(member) => store::members::find(&mut connection, member).await?,
            None => None,
        };
        let member = member.ok_or(ChangePasswordError::CredentialsWrong)?;
        throttle::count_account(&self.core, &mut connection, &member.email).await?;
        let verified = store::members::find_password_hash(&mut connection, member.id).await?;
        drop(connection);
        if !self.core.passwords.verify(current, verified.as_deref()).await? {
            return Err(ChangePasswordError::CredentialsWrong);
        }
        check_new_password("/new_password", new, &member.email)?;
        if current == new {
            return Err(
                Invalid::field("/new_password", "invalid", "not the password that is to be changed").into()
            );
        }
        let hash = self.core.passwords.hash(new).await?;
        let mut write = Write::begin(&self.core, caller).await?;
        let member = lock_verified(&mut write, member.id, verified.as_deref()).await?;
        let member = member.ok_or(ChangePasswordError::CredentialsWrong)?;
        store_password(&mut write, &member, &hash, &sha256(keep_session.as_bytes())).await?;
        throttle::forget_account(&mut write.tx, &member.email).await?;
        write.commit().await?;
        Ok(())
    }
}

/// A member that is about to be made, with the password that is shown once.
pub(crate) struct NewMember {
    pub(crate) member: Member,
    pub(crate) password_hash: String,
    pub(crate) one_time_password: Secret,
}

/// A member with a generated password that must be changed at the first sign-in.
pub(crate) async fn new_member(
    core: &Core,
    email: &str,
    name: &str,
    operator: bool,
) -> Result<NewMember, Busy> {
    let one_time_password = one_time_password();
    let password_hash = core.passwords.hash(&one_time_password).await?;
    let now = core.now();
    let member = Member {
        id: MemberId(new_id(now)),
        email: email.to_lowercase(),
        name: name.to_owned(),
        operator,
        password_change_required: true,
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    Ok(NewMember { member, password_hash, one_time_password })
}

/// Stores a new member and notes it in the platform's audit log.
pub(crate) async fn insert(write: &mut Write<'_>, new: &NewMember) -> Result<(), StoreError> {
    let member = &new.member;
    store::members::insert(&mut write.tx, member, &new.password_hash).await?;
    let (action, resource, id) = ("create_member", "member", member.id.to_string());
    let after = Some(json!({ "email": member.email, "name": member.name, "operator": member.operator }));
    write.audit(None, None, Audited { action, resource, id: &id, before: None, after });
    Ok(())
}

/// Groups of five characters, a hundred bits in all: easily typed from a terminal, not to be guessed.
fn one_time_password() -> Secret {
    let groups: Vec<String> = (0..4).map(|_| chance(&random::<5>())).collect();
    Secret::new(groups.join("-"))
}

/// The member, locked, if its password is still the one of this hash: it may have been changed while it was verified.
pub(crate) async fn lock_verified(
    write: &mut Write<'_>,
    member: MemberId,
    verified: Option<&str>,
) -> Result<Option<Member>, StoreError> {
    let locked = store::members::lock(&mut write.tx, member).await?;
    let hash = store::members::find_password_hash(&mut write.tx, member).await?;
    Ok(locked.filter(|_| hash.as_deref() == verified))
}

/// Stores a password that its owner has chosen, and ends every session of the member but one.
pub(crate) async fn store_password(
    write: &mut Write<'_>,
    member: &Member,
    hash: &str,
    keep_sha256: &[u8],
) -> Result<(), StoreError> {
    store::members::update_password(&mut write.tx, member.id, hash, write.now).await?;
    store::sessions::delete_others(&mut write.tx, member.id, keep_sha256).await?;
    let id = member.id.to_string();
    let audited =
        Audited { action: "change_password", resource: "member", id: &id, before: None, after: None };
    write.audit(None, None, audited);
    Ok(())
}
