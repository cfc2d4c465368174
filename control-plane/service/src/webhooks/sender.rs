//! Sends what is to be told over channels: at least once, each tenant in its turn, so much at one time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use contract::ids::TenantId;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use store::StoreError;
use store::channels::SealedSecrets;
use store::deliveries::{Claimed, Delivery, DeliveryState};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::call::Called;
use super::retry::next_attempt;
use super::signature::{SigningSecret, sign};
use crate::Services;
use crate::channels::{SECRET_COLUMN, seal_owner};
use crate::core::Core;
use crate::seal::random;

/// The most deliveries that are sent at one time.
const AT_ONE_TIME_MAX: usize = 64;
/// The most of them that are one tenant's: a receiver that does not answer holds up its own tenant.
const OF_ONE_TENANT_MAX: i64 = 4;
/// How long a delivery is this process's: longer than a call may take. After it whoever took it is thought dead.
const CLAIM: TimeDelta = TimeDelta::seconds(60);
/// How often to look for what is due while nobody says that something is.
const PERIOD: Duration = Duration::from_secs(1);

static ID: HeaderName = HeaderName::from_static("webhook-id");
static TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
static SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What is being sent.
#[derive(Default)]
struct Flight {
    tasks: JoinSet<()>,
    tenants: HashMap<Id, TenantId>,
}

impl Flight {
    /// Takes what is due, as far as there is room; answers how much that was.
    async fn take_due(&mut self, core: &Arc<Core>) -> Result<usize, StoreError> {
        let room = AT_ONE_TIME_MAX.saturating_sub(self.tasks.len());
        if room == 0 {
            return Ok(0);
        }
        let busy: Vec<TenantId> = self.tenants.values().copied().collect();
        let now = core.now();
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let mut tx = core.store.begin().await?;
        let claimed = store::deliveries::claim_of_all_tenants(
            &mut tx,
            (now, now + CLAIM),
            (limit, OF_ONE_TENANT_MAX),
            &busy,
        )
        .await?;
        tx.commit().await?;
        let taken = claimed.len();
        for claimed in claimed {
            let tenant = claimed.tenant;
            let core = Arc::clone(core);
            let task = self.tasks.spawn(async move {
                if let Err(error) = attempt(&core, claimed).await {
                    tracing::warn!(
                        ?error,
                        "how a delivery went cannot be written down; it will be tried again"
                    );
                }
            });
            self.tenants.insert(task.id(), tenant);
        }
        Ok(taken)
    }

    /// Waits until one has ended; for ever while there is none.
    async fn one_ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(?error, "a delivery broke off");
                error.id()
            }
            None => std::future::pending().await,
        };
        self.tenants.remove(&id);
    }
}

/// Sends what is due, and what becomes so, until stopped; then what is being sent has its time to end.
pub async fn send_deliveries(services: Services, stop: CancellationToken) {
    let core = services.core;
    let mut woken = core.wake.deliveries.subscribe();
    let mut flight = Flight::default();
    loop {
        if let Err(error) = flight.take_due(&core).await {
            tracing::warn!(?error, "what is to be told over channels cannot be read, will look again");
        }
        tokio::select! {
            () = flight.one_ended() => {}
            // The sender of the wake-ups lives as long as the core, which is held here.
            _ = woken.changed() => {}
            () = tokio::time::sleep(PERIOD) => {}
            () = stop.cancelled() => break,
        }
    }
    while !flight.tasks.is_empty() {
        flight.one_ended().await;
    }
}

/// Sends everything that is due now; answers how many attempts that were.
pub async fn deliver_due(services: &Services) -> Result<u64, StoreError> {
    let mut flight = Flight::default();
    let mut attempts = 0;
    loop {
        attempts += flight.take_due(&services.core).await? as u64;
        if flight.tasks.is_empty() {
            return Ok(attempts);
        }
        flight.one_ended().await;
    }
}

/// One attempt, and what comes of it.
async fn attempt(core: &Core, claimed: Claimed) -> Result<(), StoreError> {
    let Claimed { delivery, tenant, url, body } = claimed;
    let mut connection = core.store.read().await?;
    let sealed = store::channels::find_secrets(&mut connection, delivery.instance, delivery.channel).await?;
    drop(connection);
    // Gone with its channel.
    let Some(sealed) = sealed else { return Ok(()) };
    let called = match headers(core, &delivery, tenant, &sealed, &body) {
        Some(headers) => core.webhooks.post(&url, headers, body).await,
        None => Called::Failed("the channel's secret does not open".to_owned()),
    };
    let delivery = settled(core, delivery, called);
    if !store::deliveries::update(&mut *core.store.read().await?, &delivery).await? {
        tracing::debug!(delivery.id = %delivery.id, "another has taken the delivery, or it was given up");
    }
    Ok(())
}

/// What Standard Webhooks wants beside the body: the id is the same at every attempt.
fn headers(
    core: &Core,
    delivery: &Delivery,
    tenant: TenantId,
    sealed: &SealedSecrets,
    body: &str,
) -> Option<HeaderMap> {
    let now = core.now();
    let owner = seal_owner(tenant, delivery.instance, delivery.channel);
    let open = |sealed: &[u8]| {
        let bytes = core.master_key.open(&owner, SECRET_COLUMN, sealed).ok()?;
        SigningSecret::from_bytes(&bytes)
    };
    let previous = sealed.previous.iter().filter(|(_, until)| now < *until);
    let secrets = std::iter::once(&sealed.current).chain(previous.map(|(secret, _)| secret));
    let secrets: Vec<SigningSecret> = secrets.map(|sealed| open(sealed)).collect::<Option<_>>()?;
    let (id, timestamp) = (delivery.id.to_string(), now.timestamp());
    let signature = sign(&secrets, &id, timestamp, body);
    Some(HeaderMap::from_iter([
        (ID.clone(), HeaderValue::try_from(id).ok()?),
        (TIMESTAMP.clone(), HeaderValue::from(timestamp)),
        (SIGNATURE.clone(), HeaderValue::try_from(signature).ok()?),
    ]))
}

/// The delivery after an attempt.
fn settled(core: &Core, delivery: Delivery, called: Called) -> Delivery {
    let now = core.now();
    let (status, error) = match called {
        Called::Answered(status @ 200..=299, _) => (Some(status), None),
        Called::Answered(status @ 300..=399, _) => {
            (Some(status), Some(format!("answered {status}: redirects are not followed")))
        }
        Called::Answered(status, text) if text.is_empty() => {
            (Some(status), Some(format!("answered {status}")))
        }
        Called::Answered(status, text) => (Some(status), Some(format!("answered {status}: {text}"))),
        Called::Failed(error) => (None, Some(error)),
    };
    let [chance] = random();
    let next = error.as_ref().and_then(|_| next_attempt(delivery.created_at, delivery.attempts, now, chance));
    let state = match (&error, next) {
        (None, _) => DeliveryState::Delivered,
        (Some(_), Some(_)) => DeliveryState::Pending,
        (Some(_), None) => DeliveryState::Failed,
    };
    Delivery {
        state,
        last_status: status,
        last_error: error,
        next_attempt_at: next,
        finished_at: next.is_none().then_some(now),
        ..delivery
    }
}
