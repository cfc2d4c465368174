//! Subscriptions come and go.

use contract::qos::Qos;
use contract::refusal::Refusal;

use super::{ANY, filter, matches, subscriber, table, worker};
use crate::{ClientKey, FILTER_LEVELS_MAX, Inserted, RouteSet, Scratch, Subscriber};

#[test]
fn each_kind_of_filter_is_found() {
    for (text, topic, wanted) in [
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("a/b", "a", false),
        ("a/+", "a/b", true),
        ("a/+", "a/", true),
        ("a/+", "a", false),
        ("a/+/c", "a/b/c", true),
        ("a/#", "a", true),
        ("a/#", "a/b/c/d", true),
        ("a/#", "ab", false),
        ("#", "a", true),
        ("#", "/", true),
        ("#", "$SYS/a", false),
        ("+/a", "$SYS/a", false),
        ("$SYS/#", "$SYS/a", true),
        ("$SYS/+", "$SYS/a", true),
        ("+/+", "/a", true),
        ("+", "/a", false),
        ("/+", "/a", true),
        ("+//#", "a//b", true),
        ("A/+", "a/b", false),
    ] {
        let (mut table, _) = table();
        assert_eq!(table.insert(&filter(text), subscriber(3, 7, Qos::AtLeastOnce), ANY), Ok(Inserted::New));
        let expected = if wanted { vec![(3, 7, 1)] } else { vec![] };
        assert_eq!(matches(&table, topic), expected, "`{text}` and `{topic}`");
        assert_eq!(filter(text).matches(topic), wanted, "as the contract has it");
        assert!(table.remove(&filter(text), worker(3), ClientKey::new(7, 0)));
        assert_eq!(matches(&table, topic), [], "`{text}` is gone");
        assert!(table.is_empty());
    }
}

#[test]
fn a_client_is_there_once_with_its_best_qos() {
    let (mut table, _) = table();
    for (text, qos) in [("#", Qos::AtMostOnce), ("a/b", Qos::AtLeastOnce), ("a/+", Qos::AtMostOnce)] {
        assert_eq!(table.insert(&filter(text), subscriber(0, 1, qos), ANY), Ok(Inserted::New));
    }
    assert_eq!(table.insert(&filter("a/#"), subscriber(0, 2, Qos::AtMostOnce), ANY), Ok(Inserted::New));
    assert_eq!(table.insert(&filter("a/#"), subscriber(5, 1, Qos::AtMostOnce), ANY), Ok(Inserted::New));
    assert_eq!(matches(&table, "a/b"), [(0, 1, 1), (0, 2, 0), (5, 1, 0)]);
    assert_eq!(matches(&table, "c"), [(0, 1, 0)]);
}

#[test]
fn generations_of_a_slot_are_two_clients() {
    let (mut table, _) = table();
    for text in ["a", "+"] {
        for generation in [1, 2] {
            let mut both = subscriber(0, 9, Qos::AtMostOnce);
            both.client = ClientKey::new(9, generation);
            assert_eq!(table.insert(&filter(text), both, ANY), Ok(Inserted::New));
        }
    }
    assert_eq!(table.matches("a", &mut Scratch::new()).len(), 2);
    assert!(table.remove(&filter("a"), worker(0), ClientKey::new(9, 1)));
    assert!(table.remove(&filter("+"), worker(0), ClientKey::new(9, 1)));
    assert!(!table.remove(&filter("+"), worker(0), ClientKey::new(9, 1)));
    let left = table.matches("a", &mut Scratch::new());
    assert_eq!(left.of(worker(0)).iter().map(|target| target.client().generation()).collect::<Vec<_>>(), [2]);
}

#[test]
fn the_same_subscription_again_replaces_the_qos() {
    let (mut table, epochs) = table();
    for text in ["a/b", "a/+"] {
        let insert = |table: &mut crate::RouteTable, slot, qos| {
            table.insert(&filter(text), subscriber(0, slot, qos), ANY)
        };
        assert_eq!(insert(&mut table, 1, Qos::AtMostOnce), Ok(Inserted::New));
        let mut stamp = epochs.stamp(table.slots("a/b"));
        assert_eq!(insert(&mut table, 1, Qos::AtMostOnce), Ok(Inserted::Replaced(Qos::AtMostOnce)));
        assert!(epochs.is_current(&mut stamp), "nothing has changed");
        assert_eq!(insert(&mut table, 1, Qos::AtLeastOnce), Ok(Inserted::Replaced(Qos::AtMostOnce)));
        assert!(!epochs.is_current(&mut stamp), "the QoS has");
        assert_eq!(insert(&mut table, 2, Qos::AtMostOnce), Ok(Inserted::New));
        assert_eq!(insert(&mut table, 2, Qos::AtLeastOnce), Ok(Inserted::Replaced(Qos::AtMostOnce)));
        assert_eq!(matches(&table, "a/b"), [(0, 1, 1), (0, 2, 1)]);
        assert!(table.remove(&filter(text), worker(0), ClientKey::new(1, 0)));
        assert!(table.remove(&filter(text), worker(0), ClientKey::new(2, 0)));
    }
    assert_eq!(table.subscriptions(), 0);
}

#[test]
fn one_special_subscription_of_several_makes_a_client_special() {
    for text in ["a/b", "a/+"] {
        let (mut table, epochs) = table();
        let insert = |table: &mut crate::RouteTable, text, slot, qos, is_special| {
            let wanted = Subscriber { is_special, ..subscriber(0, slot, qos) };
            table.insert(&filter(text), wanted, ANY).expect("room");
        };
        let specials = |table: &crate::RouteTable| {
            let set = table.matches("a/b", &mut Scratch::new());
            set.iter().map(|it| (it.client.slot(), it.qos.bits(), it.is_special)).collect::<Vec<_>>()
        };
        insert(&mut table, text, 1, Qos::AtLeastOnce, false);
        insert(&mut table, text, 2, Qos::AtLeastOnce, false);
        let mut stamp = epochs.stamp(table.slots("a/b"));
        insert(&mut table, text, 1, Qos::AtLeastOnce, true);
        assert!(!epochs.is_current(&mut stamp), "publishers have to know");
        assert_eq!(specials(&table), [(1, 1, true), (2, 1, false)]);
        insert(&mut table, "#", 1, Qos::ExactlyOnce, false);
        insert(&mut table, "a/#", 2, Qos::AtMostOnce, true);
        assert_eq!(specials(&table), [(1, 2, true), (2, 1, true)], "the best QoS, whichever has it");
        insert(&mut table, text, 1, Qos::AtMostOnce, false);
        assert_eq!(specials(&table), [(1, 2, false), (2, 1, true)]);
    }
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    let (mut table, epochs) = table();
    assert_eq!(table.insert(&filter("a/b"), subscriber(0, 1, Qos::AtMostOnce), ANY), Ok(Inserted::New));
    assert_eq!(table.insert(&filter("a/+/c"), subscriber(0, 1, Qos::AtMostOnce), ANY), Ok(Inserted::New));
    let mut stamp = epochs.stamp(table.slots("a/b"));
    for (text, worker_index, slot) in [
        ("a/b", 0, 2),
        ("a/b", 1, 1),
        ("a/+", 0, 1),
        ("a/+/c", 0, 2),
        ("a/+/c/#", 0, 1),
        ("a/#", 0, 1),
        ("a", 0, 1),
    ] {
        assert!(!table.remove(&filter(text), worker(worker_index), ClientKey::new(slot, 0)), "{text}");
    }
    assert!(epochs.is_current(&mut stamp));
    assert_eq!(table.subscriptions(), 2);
}

#[test]
fn subscriptions_are_bounded_and_a_replacement_needs_no_room() {
    let (mut table, _) = table();
    let some = |slot| subscriber(0, slot, Qos::AtMostOnce);
    assert_eq!(table.insert(&filter("a"), some(1), 2), Ok(Inserted::New));
    assert_eq!(table.insert(&filter("a/+"), some(1), 2), Ok(Inserted::New));
    for text in ["a", "a/+", "b", "+", "a/#"] {
        assert_eq!(table.insert(&filter(text), some(2), 2), Err(Refusal::SubscriptionsMax), "{text}");
    }
    assert_eq!(table.insert(&filter("a"), some(1), 2), Ok(Inserted::Replaced(Qos::AtMostOnce)));
    assert_eq!(table.insert(&filter("a/+"), some(1), 0), Ok(Inserted::Replaced(Qos::AtMostOnce)));
    assert!(table.remove(&filter("a"), worker(0), ClientKey::new(1, 0)));
    assert_eq!(table.insert(&filter("b"), some(2), 2), Ok(Inserted::New));
    assert_eq!(table.subscriptions(), 2);
}

#[test]
fn levels_are_bounded() {
    let (mut table, epochs) = table();
    let mut stamp = epochs.stamp(table.slots("x"));
    for (levels, result) in
        [(FILTER_LEVELS_MAX, Ok(Inserted::New)), (FILTER_LEVELS_MAX + 1, Err(Refusal::TopicLevelsMax))]
    {
        for level in ["x", "+"] {
            let text = vec![level; levels].join("/");
            assert_eq!(table.insert(&filter(&text), subscriber(0, 1, Qos::AtMostOnce), ANY), result);
        }
    }
    assert!(!epochs.is_current(&mut stamp), "the lawful ones were taken");
    let most =
        contract::limits::LIMITS.iter().find(|limit| limit.name == "topic_levels_max").map(|limit| limit.max);
    assert_eq!(most, u64::try_from(FILTER_LEVELS_MAX).ok(), "no plan allows more");
}

#[test]
fn a_thousand_subscribers_come_and_go() {
    for text in ["a/b", "a/+"] {
        let (mut table, _) = table();
        for slot in (0..1000).rev() {
            let worker_index = slot as usize % 3;
            assert_eq!(
                table.insert(&filter(text), subscriber(worker_index, slot, Qos::AtLeastOnce), ANY),
                Ok(Inserted::New)
            );
        }
        let set = table.matches("a/b", &mut Scratch::new());
        assert_eq!((set.len(), set.workers()), (1000, 0b111));
        assert_eq!([0, 1, 2].map(|index| set.of(worker(index)).len()), [334, 333, 333]);
        for slot in 0..1000 {
            assert!(table.remove(&filter(text), worker(slot as usize % 3), ClientKey::new(slot, 0)));
        }
        assert_eq!(table.matches("a/b", &mut Scratch::new()), RouteSet::default());
        assert_eq!(set.len(), 1000, "an answer stays as it was");
    }
}
