//! The revocations of one instance, so arranged that asking about a token costs the same for one as for 100 000.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::claims::TokenClaims;
use contract::ids::{RevocationId, TokenId};
use contract::revocation::{Revocation, TokenSelector};
use foldhash::{HashMap, HashSet};

/// Additions gathered before they are merged: what one more revocation copies at most.
const RECENT_MAX: usize = 1024;

/// The revocations in force. Cheap to clone; a clone does not see later additions to the other.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    settled: Arc<Index>,
    recent: Arc<Index>,
}

impl Revocations {
    /// The revocation that takes back the token with these claims, signed by the key `kid`.
    ///
    /// Takes constant time for token ids, client identifiers, subjects, keys and whole instances; for labels, time in
    /// the number of revocations that share one of the token's labels.
    pub fn find<'a>(&'a self, claims: &'a TokenClaims, kid: &str) -> Option<&'a Revocation> {
        self.settled.find(claims, kid).or_else(|| self.recent.find(claims, kid))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.settled.by_id.len() + self.recent.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Revocation> {
        self.settled.by_id.values().chain(self.recent.by_id.values()).map(Arc::as_ref)
    }

    /// Whether it is held, the same in everything.
    pub(crate) fn contains(&self, revocation: &Revocation) -> bool {
        self.held(revocation.id).is_some_and(|held| held == revocation)
    }

    fn held(&self, id: RevocationId) -> Option<&Revocation> {
        self.settled.by_id.get(&id).or_else(|| self.recent.by_id.get(&id)).map(Arc::as_ref)
    }

    pub(crate) fn insert(&mut self, revocation: Revocation) {
        match self.held(revocation.id) {
            Some(held) if *held == revocation => return,
            Some(_) => self.remove(&[revocation.id]), // replaced
            None => {}
        }
        Arc::make_mut(&mut self.recent).insert(Arc::new(revocation));
        if self.recent.by_id.len() > RECENT_MAX {
            let recent = std::mem::take(&mut self.recent);
            let settled = Arc::make_mut(&mut self.settled);
            recent.by_id.values().for_each(|revocation| settled.insert(Arc::clone(revocation)));
        }
    }

    pub(crate) fn remove(&mut self, ids: &[RevocationId]) {
        for part in [&mut self.settled, &mut self.recent] {
            if ids.iter().any(|id| part.by_id.contains_key(id)) {
                *part = Arc::new(part.without(ids));
            }
        }
    }
}

/// A label's name and value.
type Label = (Box<str>, Box<str>);

/// Of revocations that mean the same tokens only the one with the latest `issued_before` is asked: it means all that
/// the others mean. All are kept in `by_id`, so that taking one away can let another come forward.
#[derive(Clone, Debug, Default)]
struct Index {
    by_id: HashMap<RevocationId, Arc<Revocation>>,
    tokens: HashMap<TokenId, Arc<Revocation>>,
    client_ids: HashMap<Box<str>, Arc<Revocation>>,
    subjects: HashMap<Box<str>, Arc<Revocation>>,
    keys: HashMap<Box<str>, Arc<Revocation>>,
    /// By the first label of the selector.
    labels: HashMap<Label, Vec<Arc<Revocation>>>,
    all: Option<Arc<Revocation>>,
}

impl Index {
    fn find<'a>(&'a self, claims: &'a TokenClaims, kid: &str) -> Option<&'a Revocation> {
        let named = [
            self.all.as_ref(),
            self.tokens.get(&claims.jti),
            claims.client_id.as_deref().and_then(|client_id| self.client_ids.get(client_id)),
            claims.subject.as_deref().and_then(|subject| self.subjects.get(subject)),
            self.keys.get(kid),
        ];
        named
            .into_iter()
            .flatten()
            .chain(self.labelled(&claims.labels))
            .map(Arc::as_ref)
            .find(|revocation| revocation.revokes(claims, kid))
    }

    fn labelled<'a>(
        &'a self,
        labels: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Arc<Revocation>> + 'a {
        let with_labels = if self.labels.is_empty() { None } else { Some(labels) };
        with_labels
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| self.labels.get(&(name.as_str().into(), value.as_str().into())))
            .flatten()
    }

    fn insert(&mut self, revocation: Arc<Revocation>) {
        match &revocation.selector {
            TokenSelector::Ids(ids) => {
                for id in ids {
                    keep_latest(&mut self.tokens, *id, &revocation);
                }
            }
            TokenSelector::ClientId(it) => keep_latest(&mut self.client_ids, it.as_str().into(), &revocation),
            TokenSelector::Subject(it) => keep_latest(&mut self.subjects, it.as_str().into(), &revocation),
            TokenSelector::SigningKey(it) => keep_latest(&mut self.keys, it.as_str().into(), &revocation),
            TokenSelector::Labels(labels) => {
                // Without any label it means no token.
                if let Some((name, value)) = labels.first_key_value() {
                    let key = (name.as_str().into(), value.as_str().into());
                    self.labels.entry(key).or_default().push(Arc::clone(&revocation));
                }
            }
            TokenSelector::All => {
                if self.all.as_ref().is_none_or(|held| held.issued_before < revocation.issued_before) {
                    self.all = Some(Arc::clone(&revocation));
                }
            }
        }
        self.by_id.insert(revocation.id, revocation);
    }

    fn without(&self, ids: &[RevocationId]) -> Self {
        let ids: HashSet<RevocationId> = ids.iter().copied().collect();
        let mut rest = Self::default();
        for revocation in self.by_id.values().filter(|revocation| !ids.contains(&revocation.id)) {
            rest.insert(Arc::clone(revocation));
        }
        rest
    }
}

fn keep_latest<K: Eq + std::hash::Hash>(
    map: &mut HashMap<K, Arc<Revocation>>,
    key: K,
    revocation: &Arc<Revocation>,
) {
    let held = map.entry(key).or_insert_with(|| Arc::clone(revocation));
    if held.issued_before < revocation.issued_before {
        *held = Arc::clone(revocation);
    }
}

#[cfg(test)]
mod tests {
    use contract::claims::AUDIENCE;
    use contract::grant::Grants;
    use contract::ids::InstanceId;
    use contract::time::UnixMillis;
    use uuid::Uuid;

    use super::*;

    const ISSUED: u64 = 1_700_000_000_000;

    fn token(number: u128) -> TokenId {
        TokenId(Uuid::from_u128((u128::from(ISSUED) << 80) | (7 << 76) | (8 << 60) | number))
    }

    fn claims() -> TokenClaims {
        TokenClaims {
            aud: AUDIENCE.to_owned(),
            jti: token(1),
            instance: InstanceId(Uuid::nil()),
            client_id: Some("car".to_owned()),
            subject: None,
            labels: labels(&[("fleet", "a"), ("tour", "42")]),
            grants: Grants::default(),
            nbf: 0,
            exp: 0,
            iat: 0,
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn revocation(id: u128, selector: TokenSelector, issued_before: u64) -> Revocation {
        Revocation {
            id: RevocationId(Uuid::from_u128(id)),
            instance: InstanceId(Uuid::nil()),
            selector,
            issued_before: UnixMillis(issued_before),
            expires_at: UnixMillis(issued_before + 1),
        }
    }

    /// One revocation with this selector: is it found for [`claims`], signed by `k1`?
    #[track_caller]
    fn check(selector: TokenSelector, found: bool) {
        let mut revocations = Revocations::default();
        revocations.insert(revocation(1, selector.clone(), ISSUED));
        assert_eq!(revocations.find(&claims(), "k1"), None, "issued at or after it, a token is good");
        let one = revocation(2, selector, ISSUED + 1);
        revocations.insert(one.clone());
        assert_eq!(revocations.find(&claims(), "k1"), found.then_some(&one));
        revocations.remove(&[one.id]);
        assert_eq!(revocations.find(&claims(), "k1"), None);
        assert_eq!(revocations.len(), 1);
    }

    #[test]
    fn by_every_selector() {
        check(TokenSelector::Ids(vec![token(9), token(1)]), true);
        check(TokenSelector::Ids(vec![token(9)]), false);
        check(TokenSelector::ClientId("car".to_owned()), true);
        check(TokenSelector::ClientId("bus".to_owned()), false);
        check(TokenSelector::Subject("car".to_owned()), false);
        check(TokenSelector::Labels(labels(&[("tour", "42")])), true);
        check(TokenSelector::Labels(labels(&[("fleet", "a"), ("tour", "42")])), true);
        check(TokenSelector::Labels(labels(&[("fleet", "a"), ("tour", "43")])), false);
        check(TokenSelector::Labels(labels(&[])), false);
        check(TokenSelector::SigningKey("k1".to_owned()), true);
        check(TokenSelector::SigningKey("k2".to_owned()), false);
        check(TokenSelector::All, true);
    }

    #[test]
    fn by_subject() {
        let fleet = TokenClaims { client_id: None, subject: Some("fleet".to_owned()), ..claims() };
        let mut revocations = Revocations::default();
        revocations.insert(revocation(1, TokenSelector::Subject("fleet".to_owned()), ISSUED + 1));
        assert!(revocations.find(&fleet, "k1").is_some());
        assert!(revocations.find(&claims(), "k1").is_none());
    }

    #[test]
    fn of_those_that_mean_the_same_tokens_the_latest_counts_and_the_next_comes_forward() {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let mut revocations = Revocations::default();
            for number in order {
                revocations.insert(revocation(
                    number,
                    TokenSelector::All,
                    ISSUED - 2 + u64::try_from(number).expect("small"),
                ));
            }
            assert!(revocations.find(&claims(), "k1").is_some(), "{order:?}");
            revocations.remove(&[RevocationId(Uuid::from_u128(3))]);
            assert!(revocations.find(&claims(), "k1").is_none(), "{order:?}");
            assert_eq!(revocations.len(), 2);
        }
    }

    #[test]
    fn the_same_id_again_replaces_the_first() {
        let mut revocations = Revocations::default();
        revocations.insert(revocation(1, TokenSelector::All, ISSUED + 1));
        revocations.insert(revocation(1, TokenSelector::ClientId("bus".to_owned()), ISSUED + 1));
        assert_eq!((revocations.len(), revocations.find(&claims(), "k1")), (1, None));
    }

    #[test]
    fn the_very_same_again_costs_nothing() {
        let mut revocations = Revocations::default();
        for number in 0..=RECENT_MAX as u128 + 1 {
            revocations.insert(revocation(number, TokenSelector::All, ISSUED + 1));
        }
        let before = revocations.clone();
        for number in [0, RECENT_MAX as u128 + 1] {
            revocations.insert(revocation(number, TokenSelector::All, ISSUED + 1));
        }
        assert!(Arc::ptr_eq(&before.settled, &revocations.settled), "not built anew");
        assert!(Arc::ptr_eq(&before.recent, &revocations.recent), "not copied");
    }

    #[test]
    fn as_many_as_an_instance_may_have_are_all_found_and_a_clone_stays_as_it_was() {
        const MANY: u128 = 100_000;
        let mut revocations = Revocations::default();
        for number in 0..MANY {
            revocations.insert(revocation(number, TokenSelector::Ids(vec![token(number)]), ISSUED + 1));
        }
        let before = revocations.clone();
        revocations.remove(&[RevocationId(Uuid::from_u128(1))]);
        for number in 0..MANY {
            let claims = TokenClaims { jti: token(number), ..claims() };
            assert!(before.find(&claims, "k1").is_some(), "{number}");
            assert_eq!(revocations.find(&claims, "k1").is_some(), number != 1, "{number}");
        }
        assert_eq!((before.iter().count(), revocations.len()), (100_000, 99_999));
    }
}
