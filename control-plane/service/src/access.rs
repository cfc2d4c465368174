//! Who asks, and what they may do: the one permission matrix.

use contract::ids::{InstanceId, MemberId, TenantId};
use store::PgConnection;
pub use store::actor::Actor;
use store::instances::Instance;
pub use store::members::Role;
use store::tenants::{Tenant, TenantState};

use crate::core::Core;
use crate::error::GetError;

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal: $kind:ident;)*) => {
        /// What a caller may be allowed to do.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Action { $($(#[doc = $doc])* $variant,)* }

        impl Action {
            /// Every action, in the order of the matrix.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name that a refusal gives.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn writes(self) -> bool {
                match self { $(Self::$variant => matches!(Kind::$kind, Kind::Write),)* }
            }
        }
    };
}

enum Kind {
    Read,
    Write,
}

actions! {
    /// See the tenant, its instances, topics, shared subscriptions, limits, plans and how far a change has come.
    Read = "read": Read;
    /// See credentials (never their secrets), issued tokens (never the tokens) and public keys.
    ReadCredentials = "credentials:read": Read;
    /// See the audit log.
    ReadAudit = "audit:read": Read;
    /// Make and change topics.
    WriteTopics = "topics:write": Write;
    /// Make, change, rotate, disable and delete credentials.
    WriteCredentials = "credentials:write": Write;
    /// Issue temporary tokens.
    IssueTokens = "tokens:issue": Write;
    /// Find stored messages, without their payloads.
    ReadMessages = "messages:read": Read;
    /// See the payloads of stored messages.
    ReadPayloads = "messages:read_payload": Read;
    /// Publish messages without a device.
    PublishMessages = "messages:publish": Write;
    /// Take temporary tokens back.
    RevokeTokens = "tokens:revoke": Write;
    /// Make, change and delete alarm rules, and acknowledge alarms.
    WriteAlarms = "alarms:write": Write;
    /// Make, change, test and delete channels.
    WriteChannels = "channels:write": Write;
    /// Rotate and revoke signing keys.
    WriteKeys = "keys:write": Write;
    /// Make, change, suspend and resume instances.
    WriteInstances = "instances:write": Write;
    /// Delete and restore instances.
    DeleteInstances = "instances:delete": Write;
    /// Rename and label the tenant.
    WriteTenant = "tenant:write": Write;
    /// Make, suspend and resume tenants.
    ManageTenants = "platform:tenants": Write;
    /// Make and retire plans.
    ManagePlans = "platform:plans": Write;
    /// See nodes and let them join.
    ManageNodes = "platform:nodes": Write;
}

/// In what standing a caller asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// As one who runs the platform.
    Operator,
    /// As a member of the tenant.
    Member(Role),
}

/// The permission matrix.
#[must_use]
pub const fn allows(standing: Standing, action: Action) -> bool {
    use Standing::{Member, Operator};
    match action {
        Action::Read | Action::ReadCredentials | Action::ReadMessages => true,
        Action::WriteTopics
        | Action::WriteCredentials
        | Action::IssueTokens
        | Action::PublishMessages
        | Action::RevokeTokens
        | Action::WriteAlarms
        | Action::WriteChannels => !matches!(standing, Member(Role::Viewer)),
        // What devices say is their tenant's affair, not the platform's.
        Action::ReadPayloads => !matches!(standing, Operator | Member(Role::Viewer)),
        Action::ReadAudit
        | Action::WriteKeys
        | Action::WriteInstances
        | Action::DeleteInstances
        | Action::WriteTenant => matches!(standing, Operator | Member(Role::Owner | Role::Admin)),
        Action::ManageTenants | Action::ManagePlans | Action::ManageNodes => matches!(standing, Operator),
    }
}

/// Why a caller is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccessError {
    /// There is no such thing, or it is another tenant's: the two must not differ.
    #[error("there is no {resource} `{id}`")]
    NotFound {
        /// What kind of thing.
        resource: &'static str,
        /// Which one.
        id: String,
    },
    /// The caller belongs to the tenant but its role does not suffice.
    #[error("the permission `{missing}` is missing")]
    PermissionDenied {
        /// The name of the missing permission.
        missing: &'static str,
    },
    /// Only those who run the platform may do it.
    #[error("only operators may do this")]
    OperatorOnly,
    /// The tenant is suspended: its members may only read.
    #[error("the tenant is suspended")]
    TenantSuspended,
}

impl AccessError {
    /// There is no such thing for this caller.
    pub fn not_found(resource: &'static str, id: impl ToString) -> Self {
        Self::NotFound { resource, id: id.to_string() }
    }
}

/// Who asks, as its session or the process says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// Whether it runs the platform.
    pub operator: bool,
    /// The tenants it belongs to, and as what.
    pub memberships: Vec<(TenantId, Role)>,
    /// The request in which it asks: for the audit log.
    pub request_id: String,
}

impl Caller {
    /// The platform itself: start-up, reconcilers, commands on the machine. It may do what an operator may.
    #[must_use]
    pub fn platform(request_id: &str) -> Self {
        Self {
            actor: Actor::Platform,
            operator: true,
            memberships: Vec::new(),
            request_id: request_id.to_owned(),
        }
    }

    /// The person, if it is one.
    #[must_use]
    pub const fn member(&self) -> Option<MemberId> {
        match self.actor {
            Actor::Member(member) => Some(member),
            Actor::Platform => None,
        }
    }

    /// The role in a tenant.
    #[must_use]
    pub fn role(&self, tenant: TenantId) -> Option<Role> {
        self.memberships.iter().find(|(id, _)| *id == tenant).map(|(_, role)| *role)
    }

    /// May it do something to the platform?
    pub fn platform_action(&self, action: Action) -> Result<(), AccessError> {
        if self.operator && allows(Standing::Operator, action) {
            Ok(())
        } else {
            Err(AccessError::OperatorOnly)
        }
    }
}

/// May the caller do this to the tenant? Who does not belong to it hears that there is no such thing.
pub(crate) fn check(
    caller: &Caller,
    tenant: TenantId,
    state: TenantState,
    action: Action,
    not_found: impl FnOnce() -> AccessError,
) -> Result<(), AccessError> {
    let role = caller.role(tenant);
    if role.is_none() && !caller.operator {
        return Err(not_found());
    }
    let as_member = role.is_some_and(|role| allows(Standing::Member(role), action));
    let as_operator = caller.operator && allows(Standing::Operator, action);
    if !as_member && !as_operator {
        return Err(AccessError::PermissionDenied { missing: action.name() });
    }
    if state == TenantState::Suspended && action.writes() && !caller.operator {
        return Err(AccessError::TenantSuspended);
    }
    Ok(())
}

impl Core {
    /// The tenant, if the caller may do this to it.
    pub(crate) async fn tenant(
        &self,
        caller: &Caller,
        tenant: TenantId,
        action: Action,
    ) -> Result<Tenant, GetError> {
        let not_found = || AccessError::not_found("tenant", tenant);
        let mut connection = self.store.read().await?;
        let found = store::tenants::find(&mut connection, tenant).await?.ok_or_else(not_found)?;
        check(caller, tenant, found.state, action, not_found)?;
        Ok(found)
    }

    /// The instance, if the caller may do this to it.
    pub(crate) async fn instance(
        &self,
        caller: &Caller,
        instance: InstanceId,
        action: Action,
    ) -> Result<Instance, GetError> {
        self.instance_in(&mut *self.store.read().await?, caller, instance, action).await
    }

    pub(crate) async fn instance_in(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        instance: InstanceId,
        action: Action,
    ) -> Result<Instance, GetError> {
        let not_found = || AccessError::not_found("instance", instance);
        let found =
            store::instances::find_of_all_tenants(connection, instance).await?.ok_or_else(not_found)?;
        if caller.role(found.tenant).is_none() && !caller.operator {
            return Err(not_found().into());
        }
        let tenant = store::tenants::find(connection, found.tenant).await?.ok_or_else(not_found)?;
        check(caller, found.tenant, tenant.state, action, not_found)?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDINGS: [Standing; 5] = [
        Standing::Operator,
        Standing::Member(Role::Owner),
        Standing::Member(Role::Admin),
        Standing::Member(Role::Developer),
        Standing::Member(Role::Viewer),
    ];

    #[test]
    fn the_permission_matrix() {
        let row = |action: &Action| {
            let marks = STANDINGS.map(|standing| if allows(standing, *action) { " x" } else { " ." });
            format!("{:<21}{}\n", action.name(), marks.concat())
        };
        let table: String = Action::ALL.iter().map(row).collect();
        //                     operator owner admin developer viewer
        let expected = "\
read                  x x x x x
credentials:read      x x x x x
audit:read            x x x . .
topics:write          x x x x .
credentials:write     x x x x .
tokens:issue          x x x x .
messages:read         x x x x x
messages:read_payload . x x x .
messages:publish      x x x x .
tokens:revoke         x x x x .
alarms:write          x x x x .
channels:write        x x x x .
keys:write            x x x . .
instances:write       x x x . .
instances:delete      x x x . .
tenant:write          x x x . .
platform:tenants      x . . . .
platform:plans        x . . . .
platform:nodes        x . . . .
";
        assert_eq!(table, expected);
    }

    fn caller(operator: bool, memberships: Vec<(TenantId, Role)>) -> Caller {
        Caller { operator, memberships, ..Caller::platform("r") }
    }

    #[test]
    fn a_stranger_hears_that_there_is_nothing() {
        let (tenant, other) =
            (TenantId(crate::ids::new_id(chrono::DateTime::UNIX_EPOCH)), TenantId(uuid::Uuid::nil()));
        let not_found = || AccessError::not_found("tenant", tenant);
        let check = |caller: &Caller, state, action| check(caller, tenant, state, action, not_found);
        let viewer = caller(false, vec![(tenant, Role::Viewer)]);
        let denied = Err(AccessError::PermissionDenied { missing: "topics:write" });
        for (caller, state, action, expected) in [
            (caller(false, vec![]), TenantState::Active, Action::Read, Err(not_found())),
            (caller(false, vec![(other, Role::Owner)]), TenantState::Active, Action::Read, Err(not_found())),
            (viewer.clone(), TenantState::Active, Action::Read, Ok(())),
            (viewer.clone(), TenantState::Active, Action::WriteTopics, denied),
            (viewer, TenantState::Suspended, Action::Read, Ok(())),
            (
                caller(false, vec![(tenant, Role::Owner)]),
                TenantState::Suspended,
                Action::WriteTopics,
                Err(AccessError::TenantSuspended),
            ),
            (caller(true, vec![]), TenantState::Suspended, Action::WriteTopics, Ok(())),
        ] {
            assert_eq!(check(&caller, state, action), expected, "{action:?} of {caller:?}");
        }
    }

    #[test]
    fn only_operators_touch_the_platform() {
        let owner = caller(false, vec![(TenantId(uuid::Uuid::nil()), Role::Owner)]);
        assert_eq!(owner.platform_action(Action::ManagePlans), Err(AccessError::OperatorOnly));
        assert_eq!(caller(true, vec![]).platform_action(Action::ManagePlans), Ok(()));
    }
}
