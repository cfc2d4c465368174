//! Temporary tokens: issued by one insert, taken back by a revocation.

mod introspect;
mod issue;
mod revoke;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contract::claims::TokenClaims;
use contract::grant::Grants;
use contract::ids::{InstanceId, RevocationId, TokenId};
use contract::revocation::TokenSelector;
pub use store::tokens::Token;
use store::{Labels, StoreError};

use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{GetError, Invalid, ListError, WrongState, takes_get_error};
use crate::page::{ListQuery, Page};
use crate::secret::Secret;
use crate::write::Written;

/// The most tokens of one batch.
pub const BATCH_MAX: usize = 1_000;

/// Issues, shows and revokes temporary tokens.
#[derive(Clone)]
pub struct Tokens {
    core: Arc<Core>,
}

/// What a new token is to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewToken {
    /// The one client identifier that may use it. Either this or `subject`.
    pub client_id: Option<String>,
    /// The subject, when any client identifier may use it.
    pub subject: Option<String>,
    /// How long it is good, from `not_before` on.
    pub ttl_secs: u64,
    /// From when on it is good; from now, when none.
    pub not_before: Option<DateTime<Utc>>,
    /// What sorts it for people and revocations.
    pub labels: Labels,
    /// What its holder may do.
    pub grants: Grants,
}

/// A token as it is shown once, at its issue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuedToken {
    /// Its record.
    pub token: Token,
    /// The token itself, for the MQTT password.
    pub text: Secret,
    /// The length of the text.
    pub bytes: usize,
}

/// What a token is good for at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenState {
    /// Its time has not come.
    NotYetValid,
    /// It is good.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

/// Which tokens to take back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevokeTokens {
    /// Which of the instance's.
    pub selector: TokenSelector,
    /// Only those issued before this moment; before now, when none. Never later than now.
    pub issued_before: Option<DateTime<Utc>>,
    /// Why, for the audit log; at most 1 024 bytes.
    pub reason: Option<String>,
}

/// What a revocation has done here; [`crate::rollout`] knows what it did to connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// The revocation; none when nothing that could be good was meant.
    pub revocation: Option<RevocationId>,
    /// How many issued tokens that were still good it has taken back.
    pub revoked: u64,
}

/// What a token's text says, and whether it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Introspection {
    /// Whether a node would let it connect now.
    pub active: bool,
    /// Why not: `token_invalid`, `token_expired`, `token_revoked`, `token_not_yet_valid`, as nodes name it.
    pub reason: Option<&'static str>,
    /// What it says; none unless this instance has signed it.
    pub claims: Option<TokenClaims>,
    /// The key that signed it.
    pub signing_key: Option<String>,
}

/// Why a token was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueTokenError {
    /// There is no such instance for this caller, or it may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Its life is outside the instance's bounds; it is never shortened silently.
    #[error("`ttl_secs` may be {min} to {max}, not {given}")]
    TtlOutOfBounds {
        /// What was asked.
        given: u64,
        /// The shortest.
        min: u64,
        /// The longest, counted from now.
        max: u64,
    },
    /// It has more grants than the instance allows.
    #[error("at most {max} grants, not {given}")]
    GrantsTooMany {
        /// How many were given.
        given: u64,
        /// How many there may be.
        max: u64,
    },
    /// The instance is suspended or being deleted, or does not accept tokens.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a batch was not looked at.
#[derive(Debug, thiserror::Error)]
pub enum IssueBatchError {
    /// There is no such instance for this caller, or it may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It has none or too many elements.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The instance is suspended or being deleted, or does not accept tokens.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why tokens were not taken back.
#[derive(Debug, thiserror::Error)]
pub enum RevokeTokensError {
    /// There is no such instance (or token) for this caller, or it may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tokens {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// What a token is good for now.
    #[must_use]
    pub fn state(&self, token: &Token) -> TokenState {
        let now = self.core.now();
        if token.revoked_at.is_some() {
            TokenState::Revoked
        } else if now >= token.expires_at {
            TokenState::Expired
        } else if now < token.not_before {
            TokenState::NotYetValid
        } else {
            TokenState::Active
        }
    }

    /// Issues one token: one insert, no generation.
    pub async fn issue(
        &self,
        caller: &Caller,
        instance: InstanceId,
        new: NewToken,
    ) -> Result<IssuedToken, IssueTokenError> {
        let signer = self.signer(caller, instance).await?;
        let issued = signer.sign(caller, new, self.core.now())?;
        let mut connection = self.core.store.read().await?;
        store::tokens::insert(&mut connection, instance, std::slice::from_ref(&issued.token)).await?;
        Ok(issued)
    }

    /// Issues up to [`BATCH_MAX`] tokens, each answered apart, in order; those that are good by one insert.
    pub async fn issue_batch(
        &self,
        caller: &Caller,
        instance: InstanceId,
        new: Vec<NewToken>,
    ) -> Result<Vec<Result<IssuedToken, IssueTokenError>>, IssueBatchError> {
        if new.is_empty() || new.len() > BATCH_MAX {
            let detail = format!("1 to {BATCH_MAX} tokens, not {}", new.len());
            return Err(Invalid::field("/tokens", "out_of_bounds", detail).into());
        }
        let signer = self.signer(caller, instance).await.map_err(IssueBatchError::from)?;
        let (caller, now) = (caller.clone(), self.core.now());
        // A thousand signatures are 50 ms of a core: not on a thread that serves others.
        let signing = tokio::task::spawn_blocking(move || {
            new.into_iter().map(|new| signer.sign(&caller, new, now)).collect::<Vec<_>>()
        });
        let results = signing.await.expect("signing does not panic");
        let tokens: Vec<Token> = results.iter().flatten().map(|issued| issued.token.clone()).collect();
        if !tokens.is_empty() {
            let mut connection = self.core.store.read().await?;
            store::tokens::insert(&mut connection, instance, &tokens).await?;
        }
        Ok(results)
    }

    /// Issued tokens, without their text. Their name is the client identifier, else the subject.
    pub async fn list(
        &self,
        caller: &Caller,
        instance: InstanceId,
        query: &ListQuery,
    ) -> Result<Page<Token>, ListError> {
        let instance = self.core.instance(caller, instance, Action::ReadCredentials).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        query.page(store::tokens::list(&mut connection, instance.id, &listing).await)
    }

    /// One issued token, without its text.
    pub async fn get(
        &self,
        caller: &Caller,
        instance: InstanceId,
        token: TokenId,
    ) -> Result<Token, GetError> {
        let instance = self.core.instance(caller, instance, Action::ReadCredentials).await?;
        let mut connection = self.core.store.read().await?;
        let found = store::tokens::find(&mut connection, instance.id, token).await?;
        Ok(found.ok_or_else(|| AccessError::not_found("token", token))?)
    }

    /// Takes tokens back. [`Written::urgent_sequence`] is what to wait for.
    pub async fn revoke(
        &self,
        caller: &Caller,
        instance: InstanceId,
        revoke: RevokeTokens,
    ) -> Result<(Revoked, Written), RevokeTokensError> {
        self.revoke_selected(caller, instance, revoke).await
    }

    /// Takes one token back. Doing so twice changes nothing.
    pub async fn revoke_one(
        &self,
        caller: &Caller,
        instance: InstanceId,
        token: TokenId,
        reason: Option<String>,
    ) -> Result<(Revoked, Written), RevokeTokensError> {
        let found = self.get(caller, instance, token).await?;
        let selector = TokenSelector::Ids(vec![found.id]);
        self.revoke_selected(caller, instance, RevokeTokens { selector, issued_before: None, reason }).await
    }

    /// What a token's text says, and whether it holds.
    pub async fn introspect(
        &self,
        caller: &Caller,
        instance: InstanceId,
        text: &str,
    ) -> Result<Introspection, GetError> {
        self.look_into(caller, instance, text).await
    }
}

takes_get_error!(IssueTokenError, IssueBatchError, RevokeTokensError);
