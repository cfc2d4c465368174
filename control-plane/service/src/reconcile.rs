//! Reconcilers: each idempotent, each without input, to be run periodically by one controller. Each answers how much
//! it has done.

use chrono::TimeDelta;
use contract::feed::DocumentKind;
use store::actor::Actor;
use store::{StoreError, Transaction};

use crate::Services;
use crate::core::Core;
use crate::idempotency::ANSWER_LIFE;
use crate::instances::DELETE_GRACE;
use crate::write::{Audited, Write};

/// How long an expired token can still be looked up.
pub const EXPIRED_TOKENS_KEPT: TimeDelta = TimeDelta::days(7);
/// How long a revocation is kept beyond the last token that it means, for clocks that are behind.
pub const REVOCATION_GRACE: TimeDelta = TimeDelta::hours(1);
/// How long a generation can be resumed from.
pub const FEED_KEPT: TimeDelta = TimeDelta::days(7);
/// How long an alarm that is over is shown.
pub const ALARMS_KEPT: TimeDelta = TimeDelta::days(90);
/// How long a delivery that arrived, or was given up, is shown.
pub const DELIVERIES_KEPT: TimeDelta = TimeDelta::days(7);
/// How many generations can be resumed from.
pub const FEED_GENERATIONS_MAX: u64 = 100_000;
/// How many rows one statement deletes, so that none takes long.
const ROWS_MAX: i64 = 10_000;
/// How many documents one generation names, so that a node's answer stays small.
const DOCUMENTS_MAX: i64 = 1_000;

/// A transaction whose statements may take long.
async fn begin(core: &Core) -> Result<Transaction, StoreError> {
    let mut tx = core.store.begin().await?;
    tx.allow_long().await?;
    Ok(tx)
}

/// Forgets tokens that expired some days ago.
pub async fn expire_tokens(services: &Services) -> Result<u64, StoreError> {
    let core = &services.core;
    let before = core.now() - EXPIRED_TOKENS_KEPT;
    let mut total = 0;
    loop {
        let mut tx = begin(core).await?;
        let deleted = store::tokens::delete_expired_of_all_tenants(&mut tx, before, ROWS_MAX).await?;
        tx.commit().await?;
        total += deleted;
        if deleted < ROWS_MAX.unsigned_abs() {
            return Ok(total);
        }
    }
}

/// Forgets kept answers that are a day old.
pub async fn expire_idempotency(services: &Services) -> Result<u64, StoreError> {
    let core = &services.core;
    let mut tx = begin(core).await?;
    let deleted = store::idempotency::delete_expired(&mut tx, core.now() - ANSWER_LIFE).await?;
    tx.commit().await?;
    Ok(deleted)
}

/// Forgets sessions, challenges, rights to join and sign-in attempts whose time is over.
pub async fn expire_sessions(services: &Services) -> Result<u64, StoreError> {
    let now = services.core.now();
    let mut tx = begin(&services.core).await?;
    let sessions = store::sessions::delete_expired(&mut tx, now).await?;
    let attempts = store::throttle::delete_expired(&mut tx, now).await?;
    let join_tokens = store::nodes::delete_expired_join_tokens(&mut tx, now).await?;
    tx.commit().await?;
    Ok(sessions + attempts + join_tokens)
}

/// Forgets revocations that mean only expired tokens.
pub async fn forget_revocations(services: &Services) -> Result<u64, StoreError> {
    let mut total = 0;
    loop {
        let mut write = Write::begin_as(&services.core, Actor::Platform, "forget_revocations").await?;
        let before = write.now - REVOCATION_GRACE;
        let forgotten =
            store::revocations::delete_expired_of_all_tenants(&mut write.tx, before, DOCUMENTS_MAX).await?;
        for (instance, revocation) in &forgotten {
            write.changed(DocumentKind::Revocation, *instance, &revocation.to_string());
        }
        write.commit().await?;
        total += forgotten.len() as u64;
        if (forgotten.len() as u64) < DOCUMENTS_MAX.unsigned_abs() {
            return Ok(total);
        }
    }
}

/// Takes signing keys whose overlap is over from the nodes.
pub async fn retire_signing_keys(services: &Services) -> Result<u64, StoreError> {
    let mut total = 0;
    loop {
        let mut write = Write::begin_as(&services.core, Actor::Platform, "retire_signing_keys").await?;
        let now = write.now;
        let withdrawn =
            store::signing_keys::withdraw_of_all_tenants(&mut write.tx, now, DOCUMENTS_MAX).await?;
        for (instance, kid) in &withdrawn {
            write.changed(DocumentKind::SigningKey, *instance, kid);
        }
        write.commit().await?;
        total += withdrawn.len() as u64;
        if (withdrawn.len() as u64) < DOCUMENTS_MAX.unsigned_abs() {
            return Ok(total);
        }
    }
}

/// Deletes instances whose grace is over, with all that is theirs. Their labels stay taken.
pub async fn delete_after_grace(services: &Services) -> Result<u64, StoreError> {
    let mut total = 0;
    loop {
        let mut write = Write::begin_as(&services.core, Actor::Platform, "delete_after_grace").await?;
        write.tx.allow_long().await?;
        let before = write.now - DELETE_GRACE;
        let over = store::instances::lock_deleted_of_all_tenants(&mut write.tx, before, 1).await?;
        let Some(instance) = over.first() else { return Ok(total) };
        store::tokens::delete_all(&mut write.tx, instance.id).await?;
        store::instances::delete(&mut write.tx, instance.tenant, instance.id).await?;
        write.changed(DocumentKind::Instance, instance.id, "");
        let id = instance.id.to_string();
        let audited = Audited {
            action: "delete_instance_finally",
            resource: "instance",
            id: &id,
            before: None,
            after: None,
        };
        write.audit_in(instance, audited);
        write.commit().await?;
        total += 1;
    }
}

/// Gives the database what nodes have told of instances.
pub async fn flush_metrics(services: &Services) -> Result<u64, StoreError> {
    crate::metrics::flush(&services.core).await
}

/// Forgets the days of metrics that are kept no longer.
pub async fn drop_old_metrics(services: &Services) -> Result<u64, StoreError> {
    crate::metrics::drop_old_days(&services.core).await
}

/// Trims the feed and the urgent lane: nodes that are further behind take an export.
pub async fn trim_feed(services: &Services) -> Result<u64, StoreError> {
    let core = &services.core;
    let before = core.now() - FEED_KEPT;
    let mut tx = begin(core).await?;
    let generations = store::feed::trim(&mut tx, before, FEED_GENERATIONS_MAX).await?;
    let entries = store::urgent::trim(&mut tx, before, FEED_GENERATIONS_MAX).await?;
    tx.commit().await?;
    Ok(generations + entries)
}

/// Forgets alarms that were over long ago, and deliveries of some days ago.
pub async fn expire_alarms(services: &Services) -> Result<u64, StoreError> {
    let core = &services.core;
    let now = core.now();
    let mut total = 0;
    loop {
        let mut tx = begin(core).await?;
        let before = now - ALARMS_KEPT;
        let alarms = store::alarms::delete_resolved_of_all_tenants(&mut tx, before, ROWS_MAX).await?;
        let before = now - DELIVERIES_KEPT;
        let told = store::deliveries::delete_finished_of_all_tenants(&mut tx, before, ROWS_MAX).await?;
        tx.commit().await?;
        total += alarms + told;
        if alarms.max(told) < ROWS_MAX.unsigned_abs() {
            return Ok(total);
        }
    }
}
