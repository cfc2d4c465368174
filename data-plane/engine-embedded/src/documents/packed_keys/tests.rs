//! The specification of the keys: a sorted map is what they are compared with.

use proptest::prelude::*;

use super::*;

type Model = BTreeMap<Vec<u8>, u32>;

/// What is done to both.
#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, u32),
    Remove(Vec<u8>),
    /// Everything between two keys goes, the last first where it says so.
    Clear(Vec<u8>, Vec<u8>, bool),
    /// So many keys that begin alike come, in order.
    Fill(Vec<u8>, u16),
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => prop::collection::vec(prop::sample::select(vec![b'a', b'b', b'/', 0, 0xFF]), 0..9),
        4 => "d/[0-9]{1,3}(/[a-c])?".prop_map(String::into_bytes),
        1 => (any::<u8>(), 100..3_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any_key(), any::<u32>()).prop_map(|(key, number)| Step::Insert(key, number)),
        4 => any_key().prop_map(Step::Remove),
        1 => (any_key(), any_key(), any::<bool>()).prop_map(|(from, to, last)| Step::Clear(from, to, last)),
        2 => (any_key(), 0..400_u16).prop_map(|(key, count)| Step::Fill(key, count)),
    ]
}

/// Both after a step, which answers the same.
fn take(step: Step, keys: &mut PackedKeys, model: &mut Model) {
    match step {
        Step::Insert(key, number) => {
            assert_eq!(keys.insert(&key, number), model.insert(key, number));
        }
        Step::Remove(key) => assert_eq!(keys.remove(&key), model.remove(&key)),
        Step::Clear(from, to, is_last_first) => {
            let mut gone: Vec<_> = model.keys().filter(|key| (&from..&to).contains(key)).cloned().collect();
            if is_last_first {
                gone.reverse();
            }
            for key in gone {
                assert_eq!(keys.remove(&key), model.remove(&key));
            }
        }
        Step::Fill(key, count) => {
            for number in 0..count {
                let key = [&key[..], &number.to_be_bytes()].concat();
                assert_eq!(keys.insert(&key, number.into()), model.insert(key, number.into()));
            }
        }
    }
}

/// All keys from a place on.
fn all_from(keys: &PackedKeys, from: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    keys.walk(&mut from.to_vec(), |key, _| {
        found.push(key.to_vec());
        true
    });
    found
}

/// What has to be true of the blocks whatever was done.
fn check(keys: &PackedKeys, model: &Model) {
    let mut bound: Option<&[u8]> = None;
    let mut numbers = Vec::new();
    for (begin, block) in &keys.blocks {
        assert!(bound.is_some() || begin.is_empty(), "the first block begins before everything");
        assert!(!block.is_empty() || begin.is_empty() && keys.blocks.len() > 1, "no block is empty");
        let (mut cursor, mut at) = (Cursor::new(block), 0);
        while cursor.advance() {
            assert!(**begin <= *cursor.key, "a block begins before its keys");
            numbers.push((cursor.key.clone(), Entry::read(block, at).number));
            at = cursor.at;
        }
        bound = Some(begin);
    }
    let expected: Vec<_> = model.iter().map(|(key, number)| (key.clone(), *number)).collect();
    assert_eq!(numbers, expected);
}

proptest! {
    #[test]
    fn the_keys_are_those_of_a_sorted_map(
        steps in prop::collection::vec(any_step(), 0..60),
        places in prop::collection::vec(any_key(), 10),
    ) {
        let (mut keys, mut model) = (PackedKeys::default(), Model::new());
        for step in steps {
            take(step, &mut keys, &mut model);
            check(&keys, &model);
        }
        for from in &places {
            let expected: Vec<_> = model.range(from.clone()..).map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(all_from(&keys, from), expected);
        }
        // From place to place, as far ahead as each of them is.
        let (mut place, mut found, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        let mut jumps = places.iter();
        keys.walk(&mut place, |key, place| {
            found.push(key.to_vec());
            *place = jumps.next().cloned().unwrap_or_else(|| [key, b"/"].concat());
            found.len() < 15
        });
        let (mut next, mut jumps) = (Vec::new(), places.iter());
        while let Some((key, _)) = model.range(next..).next().filter(|_| expected.len() < 15) {
            expected.push(key.clone());
            let jump = jumps.next().cloned().unwrap_or_else(|| [key.as_slice(), b"/"].concat());
            next = jump.max([key.as_slice(), &[0]].concat());
        }
        prop_assert_eq!(found, expected);
        for key in model.keys() {
            prop_assert!(keys.remove(key).is_some());
        }
        prop_assert!(keys.blocks.is_empty(), "nothing is left of what has gone");
    }
}

/// Whatever the order in which topics come, they take less than their texts.
#[test]
fn keys_that_begin_alike_take_little_memory() {
    const COUNT: usize = 20_000;
    let key = |number: usize| format!("0123456789abcdefr/plant/device-{:06}/{}", number / 10, "abcdefghij");
    let of = |number: usize| {
        key(number)
            .into_bytes()
            .into_iter()
            .chain([b'0' + u8::try_from(number % 10).unwrap_or(0)])
            .collect::<Vec<_>>()
    };
    for step in [1, 7_919] {
        let mut keys = PackedKeys::default();
        for number in 0..COUNT {
            assert_eq!(keys.insert(&of(number * step % COUNT), 130), None);
        }
        let begins: usize = keys.blocks.keys().map(|begin| begin.len() + 16).sum();
        let bytes = begins + keys.blocks.values().map(|block| block.capacity() + 24).sum::<usize>();
        assert!(bytes < COUNT * 12, "{} bytes each", bytes / COUNT);
        let numbers = (0..COUNT).map(|number| keys.insert(&of(number), 7));
        assert!(numbers.eq(std::iter::repeat_n(Some(130), COUNT)));
    }
}
