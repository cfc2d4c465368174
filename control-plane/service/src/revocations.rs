//! Making revocations, and keeping their number bounded by merging the oldest into wider ones.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use contract::feed::{DocumentKind, Urgent};
use contract::ids::{RevocationId, TokenId};
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
    // Rounded once, for the rows and the nodes alike.
    let issued_before = whole_millis_up(issued_before);
    let (before, now) = (time(issued_before), write.now);
    let marked = store::tokens::mark_revoked(&mut write.tx, instance.id, id, &selector, before, now).await?;
    // A token that is being issued at this moment has no row yet that is seen here.
    let ttl_max = i64::try_from(instance.limits.token_ttl_secs_max).unwrap_or(i64::MAX / 1_000);
    let in_flight = write.now + TimeDelta::seconds(ttl_max);
    let revocation = Revocation {
        id,
        instance: instance.id,
        selector,
        issued_before,
        expires_at: millis(marked.expires_at.map_or(in_flight, |last| last.max(in_flight))),
    };
    put(write, instance, revocation).await?;
    Ok((id, marked.tokens))
}

/// The first whole millisecond that is not before this moment: tokens are issued in whole ones, so that both mean the
/// same tokens.
fn whole_millis_up(moment: DateTime<Utc>) -> UnixMillis {
    let whole = millis(moment);
    if time(whole) < moment { UnixMillis(whole.0 + 1) } else { whole }
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
/// The most revocations of one merge: there may be far more than are allowed after a change of plan.
const MERGED_MAX: u64 = 1_000;
/// The most tokens that the revocations of one merge name, beside those of its first.
const MERGED_IDS_MAX: usize = 10_000;

/// Merges the oldest revocations: those of single tokens into one per client where that leaves half of them or less,
/// else all into one of the whole instance. What is merged means more than before, never less.
async fn merge(write: &mut Write<'_>, instance: &Instance, count: u64) -> Result<(), StoreError> {
    let max = instance.limits.revocations_max;
    let room = (max / ROOM_DIVISOR).max(1);
    let excess = (count - max + room).min(MERGED_MAX);
    let excess = i64::try_from(excess).expect("it is bounded");
    let oldest = store::revocations::list_oldest(&mut write.tx, instance.id, excess).await?;
    let oldest = of_few_ids(&oldest);
    let by_client = per_principal(write, instance, oldest).await?;
    let merged = if by_client.len() * 2 <= oldest.len() {
        by_client
    } else {
        let named: Vec<Revocation> = oldest.iter().map(of_its_tokens).collect();
        vec![widest(&named, TokenSelector::All)]
    };
    let gone: Vec<RevocationId> = oldest.iter().map(|revocation| revocation.id).collect();
    store::revocations::delete(&mut write.tx, instance.id, &gone).await?;
    for id in &gone {
        write.changed(DocumentKind::Revocation, instance.id, &id.to_string());
    }
    for wider in merged {
        let wider = Revocation { id: RevocationId(new_id(write.now)), instance: instance.id, ..wider };
        put_merged(write, instance, wider).await?;
    }
    Ok(())
}

/// Stores and tells a revocation that means more than those it is made of. Rows that only this one means are marked
/// too, and it lasts as long as they: nodes refuse those tokens from now on.
async fn put_merged(
    write: &mut Write<'_>,
    instance: &Instance,
    mut wider: Revocation,
) -> Result<(), StoreError> {
    let (before, now) = (time(wider.issued_before), write.now);
    let marked =
        store::tokens::mark_revoked(&mut write.tx, instance.id, wider.id, &wider.selector, before, now)
            .await?;
    let last = marked.expires_at.map(millis).unwrap_or_default();
    wider.expires_at = wider.expires_at.max(last);
    store::revocations::insert(&mut write.tx, instance.id, &wider, now).await?;
    write.changed(DocumentKind::Revocation, instance.id, &wider.id.to_string());
    write.urgent(instance.id, Urgent::Revoke { revocation: wider });
    Ok(())
}

/// The first of these that name few tokens together; two at least, since one is merged with nothing.
fn of_few_ids(oldest: &[Revocation]) -> &[Revocation] {
    let mut ids = 0;
    let few = oldest.iter().enumerate().take_while(|(at, revocation)| {
        ids += named(&revocation.selector).len();
        *at < 2 || ids <= MERGED_IDS_MAX
    });
    &oldest[..few.count()]
}

fn named(selector: &TokenSelector) -> &[TokenId] {
    match selector {
        TokenSelector::Ids(ids) => ids,
        TokenSelector::ClientId(_)
        | TokenSelector::Subject(_)
        | TokenSelector::Labels(_)
        | TokenSelector::SigningKey(_)
        | TokenSelector::All => &[],
    }
}

/// The revocations with those of single tokens replaced by those of their clients, and equal selectors joined.
async fn per_principal(
    write: &mut Write<'_>,
    instance: &Instance,
    revocations: &[Revocation],
) -> Result<Vec<Revocation>, StoreError> {
    let ids: Vec<TokenId> = revocations.iter().flat_map(|it| named(&it.selector)).copied().collect();
    let known = store::tokens::list_principals(&mut write.tx, instance.id, &ids).await?;
    let principals: BTreeMap<TokenId, TokenSelector> = known
        .into_iter()
        .filter_map(|(id, client_id, subject)| {
            Some((id, client_id.map(TokenSelector::ClientId).or(subject.map(TokenSelector::Subject))?))
        })
        .collect();
    let mut joined: BTreeMap<String, Vec<Revocation>> = BTreeMap::new();
    for revocation in revocations {
        for one in split(revocation, &principals) {
            joined.entry(format!("{:?}", one.selector)).or_default().push(one);
        }
    }
    Ok(joined.into_values().map(|equal| widest(&equal, equal[0].selector.clone())).collect())
}

/// A revocation as one of each client whose tokens it names; what it names and is not known stays together.
fn split(revocation: &Revocation, principals: &BTreeMap<TokenId, TokenSelector>) -> Vec<Revocation> {
    let TokenSelector::Ids(ids) = &revocation.selector else { return vec![revocation.clone()] };
    let mut parts = Vec::new();
    let mut unknown = Vec::new();
    for id in ids {
        match principals.get(id) {
            Some(selector) => {
                let one = Revocation { selector: TokenSelector::Ids(vec![*id]), ..revocation.clone() };
                parts.push(Revocation { selector: selector.clone(), ..of_its_tokens(&one) });
            }
            None => unknown.push(*id),
        }
    }
    if !unknown.is_empty() {
        parts.push(Revocation { selector: TokenSelector::Ids(unknown), ..revocation.clone() });
    }
    parts
}

/// A revocation that names tokens, with its moment just after the last of them was issued: made wider, it leaves
/// younger tokens good.
fn of_its_tokens(revocation: &Revocation) -> Revocation {
    let issued = named(&revocation.selector).iter().map(|id| id.issued_at());
    // Of an id that does not say when, nothing is known but what the revocation says.
    let last = issued.max_by_key(|at| at.map_or(u64::MAX, |at| at.0)).flatten();
    let after = last.map_or(revocation.issued_before, |at| UnixMillis(at.0.saturating_add(1)));
    Revocation { issued_before: after.min(revocation.issued_before), ..revocation.clone() }
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
