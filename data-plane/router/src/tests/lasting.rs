//! Lasting subscriptions are counted apart from the clients that have them.

use contract::qos::Qos;
use contract::refusal::Refusal;

use super::{ANY, filter, subscriber, table, worker};
use crate::{ClientKey, FILTER_LEVELS_MAX, Inserted, Scratch};

#[test]
fn only_the_first_and_the_last_change_an_answer() {
    for text in ["a/b", "a/+", "#"] {
        let (mut table, epochs) = table();
        let lasts = |table: &crate::RouteTable| table.matches("a/b", &mut Scratch::new()).is_lasting();
        let mut stamp = epochs.stamp(table.slots("a/b"));
        assert!(!lasts(&table));
        for (first, count) in [(true, 1), (false, 2)] {
            assert_eq!(table.insert_lasting(&filter(text)), Ok(()));
            assert_eq!(epochs.is_current(&mut stamp), !first, "{text}");
            assert_eq!((lasts(&table), table.lasting()), (true, count));
            stamp = epochs.stamp(table.slots("a/b"));
        }
        for (last, count) in [(false, 1), (true, 0)] {
            assert!(table.remove_lasting(&filter(text)));
            assert_eq!(epochs.is_current(&mut stamp), !last, "{text}");
            assert_eq!((lasts(&table), table.lasting()), (!last, count));
        }
        assert!(!table.remove_lasting(&filter(text)), "there is none left");
        assert!(table.is_empty());
    }
}

#[test]
fn a_client_that_went_leaves_its_lasting_subscription() {
    let (mut table, _) = table();
    for text in ["a/b", "a/+"] {
        assert_eq!(table.insert_lasting(&filter(text)), Ok(()));
        assert_eq!(table.insert(&filter(text), subscriber(0, 1, Qos::AtLeastOnce), ANY), Ok(Inserted::New));
        assert!(table.remove(&filter(text), worker(0), ClientKey::new(1, 0)));
    }
    let set = table.matches("a/b", &mut Scratch::new());
    assert!(set.is_lasting() && set.iter().next().is_none() && !set.is_empty());
    assert!(!table.is_empty() && table.subscriptions() == 0);
    assert!(!table.matches("b", &mut Scratch::new()).is_lasting());
}

#[test]
fn lasting_subscriptions_know_the_same_depth() {
    let (mut table, _) = table();
    let deep = filter(&vec!["+"; FILTER_LEVELS_MAX + 1].join("/"));
    assert_eq!(table.insert_lasting(&deep), Err(Refusal::TopicLevelsMax));
    assert!(table.is_empty());
}
