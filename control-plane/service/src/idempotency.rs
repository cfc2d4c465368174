//! Idempotency keys: the first answer to a request, kept for a day and given again.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::idempotency::ClaimTimes;

use crate::access::Caller;
use crate::core::Core;
use crate::ids::new_id;

/// How long an answer is kept.
pub const ANSWER_LIFE: TimeDelta = TimeDelta::hours(24);
/// How long a request may take before its key is free again, its controller having died.
pub const CLAIM_LIFE: TimeDelta = TimeDelta::seconds(60);
/// How long a request with a key is let run: it is over, its answer kept, before another may claim the key.
pub const RUN_MAX: Duration = Duration::from_secs(35);
const _: () = assert!(RUN_MAX.as_secs().cast_signed() < CLAIM_LIFE.num_seconds(), "a claim outlives its run");
/// The largest answer that is kept; a larger one is not, and its request runs again.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Keeps first answers.
#[derive(Clone)]
pub struct Idempotency {
    core: Arc<Core>,
}

/// An answer, as it was given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The status.
    pub status: u16,
    /// The headers worth repeating.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: contract::base64::Base64,
}

/// The right to run the request of a key; to be finished or abandoned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    caller: String,
    key: String,
    claim: uuid::Uuid,
}

/// What is to be done with a request that bears a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begun {
    /// It is the first: run it, then finish or abandon.
    Fresh(Claim),
    /// It was answered: answer so again.
    Replay(StoredAnswer),
    /// The key belongs to another request.
    Mismatch,
    /// The first is still running.
    InProgress,
}

impl Idempotency {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// What is to be done with the request whose method, path and body hash to `request_sha256`.
    pub async fn begin(
        &self,
        caller: &Caller,
        key: &str,
        request_sha256: [u8; 32],
    ) -> Result<Begun, StoreError> {
        let now = self.core.now();
        let claim = Claim { caller: caller.actor.to_string(), key: key.to_owned(), claim: new_id(now) };
        let times = ClaimTimes { now, kept_since: now - ANSWER_LIFE, running_since: now - CLAIM_LIFE };
        let mut connection = self.core.store.read().await?;
        let (id, of) = (claim.claim, &claim.caller);
        if store::idempotency::claim(&mut connection, of, key, id, &request_sha256, times).await? {
            return Ok(Begun::Fresh(claim));
        }
        let known = store::idempotency::find(&mut connection, &claim.caller, key).await?;
        // Gone between the two statements: it was abandoned, so it is as if it still ran, and the next try is fresh.
        let Some(known) = known else { return Ok(Begun::InProgress) };
        if known.request_sha256 != request_sha256 {
            return Ok(Begun::Mismatch);
        }
        let Some(sealed) = known.answer_sealed else { return Ok(Begun::InProgress) };
        let opened = self.core.master_key.open(&claim.owner(), ANSWER_COLUMN, &sealed);
        let answer = opened.ok().and_then(|json| serde_json::from_slice(&json).ok());
        // An answer that no longer opens, its master key having gone, is not given; neither is the request run twice.
        Ok(answer.map_or(Begun::InProgress, Begun::Replay))
    }

    /// Keeps the answer, sealed.
    pub async fn finish(&self, claim: Claim, answer: &StoredAnswer) -> Result<(), StoreError> {
        if answer.body.0.len() > ANSWER_BYTES_MAX {
            return self.abandon(claim).await;
        }
        let json = serde_json::to_vec(answer).expect("an answer has a JSON form");
        let sealed = self.core.master_key.seal(&claim.owner(), ANSWER_COLUMN, &json);
        let mut connection = self.core.store.read().await?;
        store::idempotency::finish(&mut connection, &claim.caller, &claim.key, claim.claim, &sealed).await
    }

    /// Frees the key: the request failed in a way that may be tried again.
    pub async fn abandon(&self, claim: Claim) -> Result<(), StoreError> {
        let mut connection = self.core.store.read().await?;
        store::idempotency::delete(&mut connection, &claim.caller, &claim.key, claim.claim).await
    }
}

/// The column in which answers are sealed.
const ANSWER_COLUMN: &str = "idempotency.answer";

impl Claim {
    /// Whom its answer is sealed for.
    fn owner(&self) -> String {
        format!("{}/{}", self.caller, self.key)
    }
}
