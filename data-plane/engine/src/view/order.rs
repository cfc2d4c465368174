//! The topics of a table that grows in the order of their bytes: made by who asks for it first, and kept. Adding a row
//! costs nothing for it. It takes four bytes a topic.

use std::sync::{Arc, PoisonError, RwLock};

use super::builder::FooterBuilder;
use super::dictionary::{Dictionary, Text};

/// Numbers of topics, sorted as far as somebody has asked.
///
/// Topics are added while nobody asks, and never go: so the order is that of all topics, or it lacks the last numbers.
#[derive(Debug, Default)]
pub(super) struct TopicOrder(RwLock<Arc<Vec<u32>>>);

impl Clone for TopicOrder {
    fn clone(&self) -> Self {
        Self(RwLock::new(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))))
    }
}

impl TopicOrder {
    fn is_asked_for(&self) -> bool {
        !self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The numbers of all topics by their texts.
    pub(super) fn of(&self, topics: &Dictionary) -> Arc<Vec<u32>> {
        let known = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        if known.len() == topics.texts.len() {
            return known;
        }
        // Else extending it would copy it.
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < topics.texts.len() {
            extend(Arc::make_mut(&mut known), &topics.texts);
        }
        Arc::clone(&known)
    }
}

impl FooterBuilder {
    /// Brings the order of topics up to date where somebody has asked for it, so that who asks next need not.
    pub fn keep_order(&self) {
        for (_, rows) in self.instances().filter(|(_, it)| it.order.is_asked_for()) {
            drop(rows.order.of(&rows.topics));
        }
    }
}

/// Sorts the numbers in that are missing.
fn extend(order: &mut Vec<u32>, texts: &[Text]) {
    let text = |number: u32| &*texts[number as usize].text;
    let known = order.len();
    let new = sorted(texts, known);
    order.resize(texts.len(), 0);
    // From behind, so that each known one is moved once.
    let mut end = known;
    for (before, &number) in new.iter().enumerate().rev() {
        let at = order[..end].partition_point(|&it| text(it) < text(number));
        order.copy_within(at..end, at + before + 1);
        order[at + before] = number;
        end = at;
    }
}

/// The numbers from `first` on by their texts. Most are told apart by a few bytes behind what all of them begin with, and
/// comparing these needs no look at the texts.
fn sorted(texts: &[Text], first: usize) -> Vec<u32> {
    let text = |number: u32| texts[number as usize].text.as_bytes();
    let mut new = texts[first..].iter().map(|it| it.text.as_bytes());
    let begin = new.next().unwrap_or_default();
    let common = new.fold(begin.len(), |common, text| {
        let both = begin[..common].iter().zip(text);
        both.take_while(|(a, b)| a == b).count()
    });
    let key = |number: u32| {
        let mut bytes = [0; 8];
        let rest = &text(number)[common..];
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        u64::from_be_bytes(bytes)
    };
    let numbers = (0..texts.len()).skip(first).map(|it| u32::try_from(it).expect("no more texts than rows"));
    let mut keyed: Vec<_> = numbers.map(|number| (key(number), number)).collect();
    keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| text(a.1).cmp(text(b.1))));
    keyed.into_iter().map(|(_, number)| number).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_order_of_all_topics_whenever_it_is_asked_for(
            texts in prop::collection::vec(("a/b/|", "[ab/\\x00é]{0,12}"), 0..200),
            asked in prop::collection::vec(any::<bool>(), 200),
        ) {
            let (mut topics, order) = (Dictionary::default(), TopicOrder::default());
            for ((prefix, rest), is_asked) in texts.iter().zip(asked) {
                topics.add(&[prefix.as_str(), rest].concat(), 1);
                if is_asked {
                    prop_assert_eq!(&*order.of(&topics), &topics.sorted());
                }
            }
            prop_assert_eq!(&*order.clone().of(&topics), &topics.sorted());
            prop_assert_eq!(&*order.of(&topics), &topics.sorted());
        }
    }
}
