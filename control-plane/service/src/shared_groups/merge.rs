//! What several nodes have answered, as one page. Pure.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use contract::shared_group::{SharedGroupKey, SharedGroupState, SharedGroupsAnswer, SharedGroupsQuery};

/// Whether an answer is one to this question: in order, behind where it was to go on, not more than was asked for, and
/// never at a standstill.
pub(super) fn is_believable(answer: &SharedGroupsAnswer, query: &SharedGroupsQuery) -> bool {
    let keys = || answer.items.iter().map(|item| &item.key);
    keys().is_sorted_by(|a, b| a < b)
        && keys().next().is_none_or(|first| query.after.as_ref().is_none_or(|after| first > after))
        && keys().all(|key| query.group.as_ref().is_none_or(|group| key.group == *group))
        && answer.items.len() <= usize::try_from(query.limit).unwrap_or(usize::MAX)
        && !(answer.has_more && answer.items.is_empty())
}

/// At most `limit` groups, each with what all nodes say of it, and whether more follow. Each node must have been asked
/// for more than `limit`.
pub(super) fn merge(answers: Vec<SharedGroupsAnswer>, limit: usize) -> (Vec<SharedGroupState>, bool) {
    // Behind the last one of a node that has more, nobody knows what it would have said.
    let known_to = answers.iter().filter(|answer| answer.has_more);
    let known_to: Option<SharedGroupKey> =
        known_to.filter_map(|answer| answer.items.last()).map(|last| &last.key).min().cloned();
    let mut groups: BTreeMap<SharedGroupKey, SharedGroupState> = BTreeMap::new();
    for state in answers.into_iter().flat_map(|answer| answer.items) {
        match groups.entry(state.key.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(state);
            }
            Entry::Occupied(mut entry) => add(entry.get_mut(), &state),
        }
    }
    let found = groups.len();
    let known = groups.into_values().take_while(|it| known_to.as_ref().is_none_or(|last| it.key <= *last));
    let page: Vec<SharedGroupState> = known.take(limit).collect();
    let has_more = known_to.is_some() || page.len() < found;
    (page, has_more)
}

/// What another node says of the same group.
fn add(sum: &mut SharedGroupState, other: &SharedGroupState) {
    let unknown = |it: &SharedGroupState| it.waiting_messages > 0 && it.oldest_at.is_none();
    sum.oldest_at = if unknown(sum) || unknown(other) {
        None
    } else {
        sum.oldest_at.into_iter().chain(other.oldest_at).min()
    };
    for (sum, more) in [
        (&mut sum.members_connected, other.members_connected),
        (&mut sum.members_away, other.members_away),
        (&mut sum.in_flight, other.in_flight),
        (&mut sum.waiting_messages, other.waiting_messages),
        (&mut sum.waiting_bytes, other.waiting_bytes),
    ] {
        *sum = sum.saturating_add(more);
    }
    sum.complete &= other.complete;
}

#[cfg(test)]
mod tests {
    use contract::ids::InstanceId;
    use contract::time::UnixMillis;
    use uuid::Uuid;

    use super::*;

    fn key(text: &str) -> SharedGroupKey {
        let (group, filter) = text.split_once(' ').expect("a group and a filter");
        SharedGroupKey { group: group.into(), filter: filter.into() }
    }

    fn state(text: &str, waiting: u64, oldest_at: Option<u64>) -> SharedGroupState {
        SharedGroupState {
            key: key(text),
            members_connected: 1,
            members_away: 2,
            in_flight: 3,
            waiting_messages: waiting,
            waiting_bytes: 10 * waiting,
            oldest_at: oldest_at.map(UnixMillis),
            complete: true,
        }
    }

    fn answer(keys: &[&str], has_more: bool) -> SharedGroupsAnswer {
        SharedGroupsAnswer { items: keys.iter().map(|text| state(text, 0, None)).collect(), has_more }
    }

    #[test]
    fn every_group_comes_once_and_in_order_however_it_is_cut() {
        let nodes = [&["a x", "b x", "d x"][..], &["a x", "a y", "c x"], &[]];
        let whole = ["a x", "a y", "b x", "c x", "d x"];
        for limit in 1..=6 {
            // A node may stop early, but for at least one group.
            for step in 1..=limit + 1 {
                let mut pages: Vec<Vec<String>> = Vec::new();
                let mut after: Option<SharedGroupKey> = None;
                loop {
                    let answers = nodes.map(|keys| {
                        let left =
                            || keys.iter().copied().filter(|it| after.as_ref().is_none_or(|a| key(it) > *a));
                        let items: Vec<&str> = left().take(step).collect();
                        answer(&items, items.len() < left().count())
                    });
                    let (page, has_more) = merge(answers.into(), limit);
                    assert!(page.len() <= limit && (!page.is_empty() || !has_more), "{page:?}");
                    after = page.last().map(|last| last.key.clone());
                    pages.push(page.iter().map(|it| format!("{} {}", it.key.group, it.key.filter)).collect());
                    if !has_more {
                        break;
                    }
                }
                assert_eq!(pages.concat(), whole, "{limit} {step}");
                if step > limit {
                    assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit), "{pages:?}");
                    assert_eq!(pages.len(), whole.len().div_ceil(limit), "no empty page at the end");
                }
            }
        }
    }

    #[test]
    fn a_group_on_two_nodes_is_one() {
        for (one, other, oldest) in [
            ((2, Some(7)), (3, Some(5)), Some(5)),
            ((2, Some(7)), (0, None), Some(7)),
            ((0, None), (3, Some(5)), Some(5)),
            ((2, None), (3, Some(5)), None),
            ((2, Some(7)), (3, None), None),
            ((0, None), (0, None), None),
        ] {
            let answers = [one, other].map(|(waiting, oldest)| SharedGroupsAnswer {
                items: vec![state("a x", waiting, oldest)],
                has_more: false,
            });
            let (page, has_more) = merge(answers.into(), 9);
            assert!(!has_more);
            let sum = SharedGroupState {
                members_connected: 2,
                members_away: 4,
                in_flight: 6,
                ..state("a x", one.0 + other.0, oldest)
            };
            assert_eq!(page, [sum]);
        }
        let mut damaged = answer(&["a x"], false);
        damaged.items[0].complete = false;
        for answers in [[damaged.clone(), answer(&["a x"], false)], [answer(&["a x"], false), damaged]] {
            assert!(!merge(answers.into(), 9).0[0].complete);
        }
    }

    #[test]
    fn what_was_not_asked_for_is_not_believed() {
        let query = |group: Option<&str>, after: Option<&str>| SharedGroupsQuery {
            instance: InstanceId(Uuid::nil()),
            group: group.map(str::to_owned),
            after: after.map(key),
            limit: 2,
        };
        for (answer, query, believed) in [
            (answer(&[], false), query(None, None), true),
            (answer(&["a x", "a y"], true), query(None, None), true),
            (answer(&["a y"], true), query(Some("a"), Some("a x")), true),
            (answer(&["a y", "a x"], false), query(None, None), false),
            (answer(&["a x", "a x"], false), query(None, None), false),
            (answer(&["a x"], false), query(None, Some("a x")), false),
            (answer(&["b x"], false), query(Some("a"), None), false),
            (answer(&["a x", "b x", "c x"], false), query(None, None), false),
            (answer(&[], true), query(None, None), false),
        ] {
            assert_eq!(is_believable(&answer, &query), believed, "{answer:?}");
        }
    }
}
