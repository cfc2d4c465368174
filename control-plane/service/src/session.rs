//! Signing in and out: sessions, their CSRF tokens, the throttle and the forced change of a password.

pub(crate) mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::{DateTime, TimeDelta, Utc};
use contract::base64::Base64;
use store::StoreError;
use store::members::{Member, Membership};

pub use self::throttle::{ACCOUNT_ATTEMPTS_MAX, ADDRESS_ATTEMPTS_MAX, WINDOW};
use crate::access::{Actor, Caller};
use crate::core::Core;
use crate::error::Invalid;
use crate::members::{lock_verified, store_password};
use crate::passwords::{Busy, check_new_password};
use crate::seal::sha256;
use crate::secret::Secret;
use crate::verifiers::{generate_secret, hmac_sha256};
use crate::write::{Audited, Write};

/// How long a session lasts after its last refresh.
pub const SESSION_LIFE: TimeDelta = TimeDelta::hours(12);
/// How long a session lasts however often it is refreshed.
pub const SESSION_LIFE_MAX: TimeDelta = TimeDelta::days(7);
/// How long a challenge waits for its answer.
pub const CHALLENGE_LIFE: TimeDelta = TimeDelta::minutes(10);

/// Signs people in and out.
#[derive(Clone)]
pub struct Sessions {
    core: Arc<Core>,
}

/// What a person says to sign in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignIn {
    /// The address; its case does not matter.
    pub email: String,
    /// The password.
    pub password: Secret,
    /// From where.
    pub address: IpAddr,
    /// In which request.
    pub request_id: String,
}

/// A person who is signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedIn {
    /// The session's token: the value of the cookie, or the bearer.
    pub token: Secret,
    /// What a browser must send in a header with every change.
    pub csrf_token: String,
    /// When the session ends unless refreshed.
    pub expires_at: DateTime<Utc>,
    /// Who.
    pub member: Member,
    /// Where the person belongs.
    pub tenants: Vec<Membership>,
}

/// What signing in has led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignInOutcome {
    /// The person is signed in.
    SignedIn(Box<SignedIn>),
    /// The password is right and must be changed first: [`Sessions::complete_password_change`] with this challenge.
    PasswordChangeRequired {
        /// Good once, for [`CHALLENGE_LIFE`].
        challenge: Secret,
    },
}

/// A session that was found by its token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Who asks.
    pub caller: Caller,
    /// What a browser must send in a header with every change.
    pub csrf_token: String,
    /// When it ends unless refreshed.
    pub expires_at: DateTime<Utc>,
    /// Who.
    pub member: Member,
    /// Where the person belongs.
    pub tenants: Vec<Membership>,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The address or the password is wrong; which of them is not said.
    #[error("the address or the password is wrong")]
    CredentialsWrong,
    /// Too many attempts on this account or from this address.
    #[error("too many attempts")]
    LockedOut {
        /// When to try again.
        retry_after_secs: u64,
    },
    /// Too many people are signing in at this moment.
    #[error("too many sign-ins at one time")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The current password is wrong, or the challenge is unknown, used or too old.
    #[error("the password or the challenge is wrong")]
    CredentialsWrong,
    /// The new password is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Too many attempts on this account.
    #[error("too many attempts")]
    LockedOut {
        /// When to try again.
        retry_after_secs: u64,
    },
    /// Too many people are signing in at this moment.
    #[error("too many sign-ins at one time")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sessions {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Signs a person in. An unknown address costs as much as a wrong password.
    pub async fn sign_in(&self, sign_in: SignIn) -> Result<SignInOutcome, SignInError> {
        let email = sign_in.email.to_lowercase();
        let mut connection = self.core.store.read().await?;
        throttle::count_address(&self.core, &mut connection, sign_in.address).await?;
        throttle::count_account(&self.core, &mut connection, &email).await?;
        let member = store::members::find_by_email(&mut connection, &email).await?;
        let hash = match &member {
            Some(member) => store::members::find_password_hash(&mut connection, member.id).await?,
            None => None,
        };
        // Not held while the hash is computed: it is slow on purpose.
        drop(connection);
        let right = self.core.passwords.verify(&sign_in.password, hash.as_deref()).await?;
        let Some(member) = member.filter(|_| right) else { return Err(SignInError::CredentialsWrong) };
        let actor = Actor::Member(member.id);
        let mut write = Write::begin_as(&self.core, actor, &sign_in.request_id).await?;
        let member = lock_verified(&mut write, member.id, hash.as_deref()).await?;
        let member = member.ok_or(SignInError::CredentialsWrong)?;
        throttle::forget_account(&mut write.tx, &email).await?;
        throttle::forgive_address(&mut write.tx, sign_in.address).await?;
        if member.password_change_required {
            let challenge = generate_secret();
            let (sha256, expires_at) = (sha256(challenge.expose().as_bytes()), write.now + CHALLENGE_LIFE);
            store::sessions::insert_challenge(&mut write.tx, &sha256, member.id, expires_at).await?;
            write.commit().await?;
            return Ok(SignInOutcome::PasswordChangeRequired { challenge });
        }
        let signed_in = begin(&mut write, member).await?;
        write.commit().await?;
        Ok(SignInOutcome::SignedIn(Box::new(signed_in)))
    }

    /// Sets a new password in answer to a challenge, ends every session of the member and signs in.
    pub async fn complete_password_change(
        &self,
        challenge: &str,
        new_password: &Secret,
        request_id: &str,
    ) -> Result<SignedIn, ChangePasswordError> {
        let challenge_sha256 = sha256(challenge.as_bytes());
        let mut connection = self.core.store.read().await?;
        let now = self.core.now();
        let found = store::sessions::find_challenge(&mut connection, &challenge_sha256, now).await?;
        let id = found.ok_or(ChangePasswordError::CredentialsWrong)?;
        let member = store::members::find(&mut connection, id).await?;
        let member = member.ok_or(ChangePasswordError::CredentialsWrong)?;
        let current = store::members::find_password_hash(&mut connection, id).await?;
        drop(connection);
        check_new_password("/new_password", new_password, &member.email)?;
        if self.core.passwords.verify(new_password, current.as_deref()).await? {
            let detail = "not the password that is to be changed";
            return Err(Invalid::field("/new_password", "invalid", detail).into());
        }
        let hash = self.core.passwords.hash(new_password).await?;
        let mut write = Write::begin_as(&self.core, Actor::Member(id), request_id).await?;
        // Good once: whoever comes second finds it gone.
        if !store::sessions::take_challenge(&mut write.tx, &challenge_sha256).await? {
            return Err(ChangePasswordError::CredentialsWrong);
        }
        store_password(&mut write, &member, &hash, &[]).await?;
        let member = store::members::find(&mut write.tx, id).await?;
        let signed_in = begin(&mut write, member.ok_or(ChangePasswordError::CredentialsWrong)?).await?;
        write.commit().await?;
        Ok(signed_in)
    }

    /// The session of a token, if it is one and has not ended.
    pub async fn find_session(&self, token: &str, request_id: &str) -> Result<Option<Session>, StoreError> {
        let mut connection = self.core.store.read().await?;
        let now = self.core.now();
        let found = store::sessions::find(&mut connection, &sha256(token.as_bytes()), now).await?;
        let Some(session) = found else { return Ok(None) };
        let Some(member) = store::members::find(&mut connection, session.member).await? else {
            return Ok(None);
        };
        let tenants = store::members::list_memberships(&mut connection, member.id).await?;
        let caller = Caller {
            actor: Actor::Member(member.id),
            operator: member.operator,
            memberships: tenants.iter().map(|it| (it.tenant, it.role)).collect(),
            request_id: request_id.to_owned(),
        };
        let (csrf_token, expires_at) = (csrf_token(token), session.expires_at);
        Ok(Some(Session { caller, csrf_token, expires_at, member, tenants }))
    }

    /// Whether `given` is the CSRF token of the session with this token; in constant time.
    #[must_use]
    pub fn check_csrf(&self, token: &str, given: &str) -> bool {
        verify_slices_are_equal(csrf_token(token).as_bytes(), given.as_bytes()).is_ok()
    }

    /// Lengthens a session; answers its new end, or none when there is no such session.
    pub async fn refresh(&self, token: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let mut connection = self.core.store.read().await?;
        let (now, token_sha256) = (self.core.now(), sha256(token.as_bytes()));
        let found = store::sessions::find(&mut connection, &token_sha256, now).await?;
        let Some(session) = found else { return Ok(None) };
        let expires_at = (now + SESSION_LIFE).min(session.created_at + SESSION_LIFE_MAX);
        store::sessions::update_expiry(&mut connection, &token_sha256, expires_at).await?;
        Ok(Some(expires_at))
    }

    /// Ends a session. Ending none is no error.
    pub async fn sign_out(&self, token: &str) -> Result<(), StoreError> {
        store::sessions::delete(&mut *self.core.store.read().await?, &sha256(token.as_bytes())).await
    }
}

/// Begins a session of a member who has proven itself.
async fn begin(write: &mut Write<'_>, member: Member) -> Result<SignedIn, StoreError> {
    let token = generate_secret();
    let expires_at = write.now + SESSION_LIFE;
    let session = store::sessions::Session { member: member.id, created_at: write.now, expires_at };
    store::sessions::insert(&mut write.tx, &sha256(token.expose().as_bytes()), session).await?;
    let tenants = store::members::list_memberships(&mut write.tx, member.id).await?;
    let id = member.id.to_string();
    let audited = Audited { action: "sign_in", resource: "member", id: &id, before: None, after: None };
    write.audit(None, None, audited);
    Ok(SignedIn { csrf_token: csrf_token(token.expose()), token, expires_at, member, tenants })
}

/// The CSRF token of a session: derived from its token, which a foreign page cannot read.
fn csrf_token(token: &str) -> String {
    Base64(hmac_sha256(token.as_bytes(), b"iotmq csrf token")).encode()
}

impl From<Busy> for SignInError {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

impl From<Busy> for ChangePasswordError {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}
