//! People, and which tenants they belong to.

use chrono::{DateTime, Utc};
use contract::ids::{MemberId, TenantId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::named::Named;
use crate::{PgConnection, StoreError};

/// A person who signs in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// The address to sign in with, in lower case; unique.
    pub email: String,
    /// What people call it.
    pub name: String,
    /// Whether it runs the platform.
    pub operator: bool,
    /// Whether the password must be changed before anything else.
    pub password_change_required: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub revision: i64,
}

/// What a member is in a tenant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything in the tenant.
    Owner,
    /// Everything but what makes or unmakes owners.
    Admin,
    /// Topics, credentials, tokens; not instances or keys.
    Developer,
    /// Reads.
    Viewer,
}

/// One tenant that a member belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: String,
    /// What the member is in it.
    pub role: Role,
}

struct Row {
    member_id: Uuid,
    email: String,
    name: String,
    operator: bool,
    password_change_required: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
}

impl From<Row> for Member {
    fn from(row: Row) -> Self {
        Self {
            id: MemberId(row.member_id),
            email: row.email,
            name: row.name,
            operator: row.operator,
            password_change_required: row.password_change_required,
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            "SELECT member_id, email, name, operator, password_change_required, created_at, updated_at, revision
             FROM member " + $tail
            $(, $arg)*
        )
    };
}

/// Makes a member. [`crate::error::Constraint::EmailTaken`] if its address is known.
pub async fn insert(
    connection: &mut PgConnection,
    member: &Member,
    password_hash: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO member (member_id, email, name, operator, password_hash, password_change_required,
             created_at, updated_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        member.id.0,
        member.email,
        member.name,
        member.operator,
        password_hash,
        member.password_change_required,
        member.created_at,
        member.updated_at,
        member.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The member with this id.
pub async fn find(connection: &mut PgConnection, member: MemberId) -> Result<Option<Member>, StoreError> {
    let row = select!("WHERE member_id = $1", member.0).fetch_optional(connection).await?;
    Ok(row.map(Member::from))
}

/// The member with this id, locked until the transaction ends.
pub async fn lock(connection: &mut PgConnection, member: MemberId) -> Result<Option<Member>, StoreError> {
    let row = select!("WHERE member_id = $1 FOR UPDATE", member.0).fetch_optional(connection).await?;
    Ok(row.map(Member::from))
}

/// The member with this address, which is given in lower case.
pub async fn find_by_email(connection: &mut PgConnection, email: &str) -> Result<Option<Member>, StoreError> {
    let row = select!("WHERE email = $1", email).fetch_optional(connection).await?;
    Ok(row.map(Member::from))
}

/// The PHC string of a member's password.
pub async fn find_password_hash(
    connection: &mut PgConnection,
    member: MemberId,
) -> Result<Option<String>, StoreError> {
    let hash = sqlx::query_scalar!("SELECT password_hash FROM member WHERE member_id = $1", member.0)
        .fetch_optional(connection)
        .await?;
    Ok(hash)
}

/// Changes the name.
pub async fn update_name(
    connection: &mut PgConnection,
    member: MemberId,
    name: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE member SET name = $2, updated_at = $3, revision = revision + 1 WHERE member_id = $1",
        member.0,
        name,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Changes the password, which its owner has chosen.
pub async fn update_password(
    connection: &mut PgConnection,
    member: MemberId,
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE member SET password_hash = $2, password_change_required = false, updated_at = $3,
             revision = revision + 1
         WHERE member_id = $1",
        member.0,
        password_hash,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a member one of a tenant's, or changes what it is there.
pub async fn put_membership(
    connection: &mut PgConnection,
    tenant: TenantId,
    member: MemberId,
    role: Role,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO membership (tenant_id, member_id, role, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, member_id) DO UPDATE SET role = excluded.role",
        tenant.0,
        member.0,
        Named(role) as _,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The tenants of a member, by name.
pub async fn list_memberships(
    connection: &mut PgConnection,
    member: MemberId,
) -> Result<Vec<Membership>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, tenant.name, role AS "role: Named<Role>"
           FROM membership JOIN tenant USING (tenant_id)
           WHERE member_id = $1 ORDER BY tenant.name, tenant_id"#,
        member.0,
    )
    .fetch_all(connection)
    .await?;
    let memberships = rows.into_iter().map(|row| Membership {
        tenant: TenantId(row.tenant_id),
        tenant_name: row.name,
        role: row.role.0,
    });
    Ok(memberships.collect())
}
