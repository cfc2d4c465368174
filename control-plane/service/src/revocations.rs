//! Making revocations, and keeping their number bounded by merging the oldest into wider ones.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use contract::feed::{DocumentKind, Urgent};
use contract::ids::RevocationId;
use contract::revocation::{Revocation, TokenSelector};
use contract::time::UnixMillis;
use store::StoreError;
use store::instances::Instance;

use crate::clock::{millis, time};
use crate::ids::new_id;
use crate::write::Write;

/// Takes back the tokens of an instance that the selector means and that were issued before `issued_before` (before
/// now, when none): in their rows, in the feed and in the urgent lane. Answers how many were still good.
pub(crate) async fn make(
    write: &mut Write<'_>,
    instance: &Instance,
    selector: TokenSelector,
    issued_before: Option<DateTime<Utc>>,
) -> Result<(RevocationId, u64), StoreError> {
    let id = RevocationId(new_id(write.now));
    // A token of this very millisecond was issued before.
    let issued_before = issued_before.unwrap_or(write.now + TimeDelta::milliseconds(1));
    let now = write.now;
    let marked =
        store::tokens::mark_revoked(&mut write.tx, instance.id, id, &selector, issued_before, now).await?;
    // A token that is being issued at this moment has no row yet that is seen here.
    let ttl_max = i64::try_from(instance.limits.token_ttl_secs_max).unwrap_or(i64::MAX / 1_000);
    let in_flight = write.now + TimeDelta::seconds(ttl_max);
    let revocation = Revocation {
        id,
        instance: instance.id,
        selector,
        issued_before: millis(issued_before),
        expires_at: millis(marked.expires_at.map_or(in_flight, |last| last.max(in_flight))),
    };
    put(write, instance, revocation).await?;
    Ok((id, marked.tokens))
}

/// Stores a revocation and tells it, merging older ones if there are too many.
async fn put(write: &mut Write<'_>, instance: &Instance, revocation: Revocation) -> Result<(), StoreError> {
    store::revocations::insert(&mut write.tx, instance.id, &revocation, write.now).await?;
    write.changed(DocumentKind::Revocation, instance.id, &revocation.id.to_string());
    write.urgent(instance.id, Urgent::Revoke { revocation });
    let count = store::revocations::count(&mut write.tx, instance.id).await?;
    if count > instance.limits.revocations_max {
        merge(write, instance, count).await?;
    }
    Ok(())
}

/// The part of the allowed number that a merge makes room for, so that not every revocation merges.
const ROOM_DIVISOR: u64 = 10;

/// Merges the oldest revocations: first those of single tokens into one per client, then what is still too many into
/// one of the whole instance. What is merged means more than before, never less.
async fn merge(write: &mut Write<'_>, instance: &Instance, count: u64) -> Result<(), StoreError> {
    let max = instance.limits.revocations_max;
    let room = (max / ROOM_DIVISOR).max(1);
    let excess = i64::try_from(count - max + room).unwrap_or(i64::MAX);
    let oldest = store::revocations::list_oldest(&mut write.tx, instance.id, excess).await?;
    let by_client = per_principal(write, instance, &oldest).await?;
    let merged = if by_client.len() as u64 + count <= max + oldest.len() as u64 {
        by_client
    } else {
        vec![widest(&oldest, TokenSelector::All)]
    };
    let gone: Vec<RevocationId> = oldest.iter().map(|revocation| revocation.id).collect();
    store::revocations::delete(&mut write.tx, instance.id, &gone).await?;
    for id in &gone {
        write.changed(DocumentKind::Revocation, instance.id, &id.to_string());
    }
    for wider in merged {
        let wider = Revocation { id: RevocationId(new_id(write.now)), instance: instance.id, ..wider };
        // Rows that only the wider one means are marked too: nodes refuse those tokens from now on.
        let before = time(wider.issued_before);
        let now = write.now;
        store::tokens::mark_revoked(&mut write.tx, instance.id, wider.id, &wider.selector, before, now)
            .await?;
        store::revocations::insert(&mut write.tx, instance.id, &wider, write.now).await?;
        write.changed(DocumentKind::Revocation, instance.id, &wider.id.to_string());
        write.urgent(instance.id, Urgent::Revoke { revocation: wider });
    }
    Ok(())
}

/// The revocations with those of single tokens replaced by those of their clients, and equal selectors joined.
async fn per_principal(
    write: &mut Write<'_>,
    instance: &Instance,
    revocations: &[Revocation],
) -> Result<Vec<Revocation>, StoreError> {
    let mut joined: BTreeMap<String, Vec<Revocation>> = BTreeMap::new();
    for revocation in revocations {
        for selector in selectors(write, instance, &revocation.selector).await? {
            let name = format!("{selector:?}");
            joined.entry(name).or_default().push(Revocation { selector, ..revocation.clone() });
        }
    }
    Ok(joined.into_values().map(|equal| widest(&equal, equal[0].selector.clone())).collect())
}

async fn selectors(
    write: &mut Write<'_>,
    instance: &Instance,
    selector: &TokenSelector,
) -> Result<Vec<TokenSelector>, StoreError> {
    let TokenSelector::Ids(ids) = selector else { return Ok(vec![selector.clone()]) };
    let known = store::tokens::list_principals(&mut write.tx, instance.id, ids).await?;
    let unknown: Vec<_> =
        ids.iter().filter(|id| known.iter().all(|(known, ..)| known != *id)).copied().collect();
    let unknown = (!unknown.is_empty()).then_some(TokenSelector::Ids(unknown));
    let known = known.into_iter().filter_map(|(_, client_id, subject)| {
        client_id.map(TokenSelector::ClientId).or(subject.map(TokenSelector::Subject))
    });
    Ok(known.chain(unknown).collect())
}

/// One revocation that means whatever any of these means, and more if the selector is wider.
fn widest(revocations: &[Revocation], selector: TokenSelector) -> Revocation {
    let latest = |time: fn(&Revocation) -> UnixMillis| revocations.iter().map(time).max().unwrap_or_default();
    Revocation {
        id: RevocationId(uuid::Uuid::nil()),
        instance: revocations[0].instance,
        selector,
        issued_before: latest(|it| it.issued_before),
        expires_at: latest(|it| it.expires_at),
    }
}
