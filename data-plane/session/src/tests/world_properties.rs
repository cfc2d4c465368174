//! What holds for two lasting sessions whatever happens when: no acknowledged message is missed and none of QoS 2 comes
//! twice. And that the world notices when a rule is broken.

use mqtt::Version;
use proptest::prelude::*;

use super::world::{STEPS, World};
use crate::Rules;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_of_qos_2_comes_twice(
        version in prop::sample::select(vec![Version::V311, Version::V5]),
        steps in prop::collection::vec(0..STEPS, 0..400),
    ) {
        let outcome = World::new(version, Rules::ALL).run(&steps);
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
    }
}

/// Runs of the world; a broken rule is noticed in far fewer.
const SEEDS: u64 = 3_000;

/// Steps drawn by a small generator: the same for the same seed.
fn steps(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..300)
        .map(|_| {
            // Crashes and failures are rare, or nothing would ever get far.
            let step = u8::try_from(next() % u64::from(STEPS)).expect("a few");
            if step >= 15 && next() % 4 != 0 { 3 + step % 12 } else { step }
        })
        .collect()
}

/// What goes wrong first among so many seeds.
fn first_fault(version: Version, rules: Rules) -> Option<String> {
    let run = |seed| World::new(version, rules).run(&steps(seed)).err();
    (0..SEEDS).find_map(|seed| Some(format!("seed {seed}: {}", run(seed)?)))
}

#[test]
fn with_all_rules_no_seed_finds_a_fault() {
    for version in [Version::V311, Version::V5] {
        assert_eq!(first_fault(version, Rules::ALL), None, "{version:?}");
    }
}

#[test]
fn each_broken_rule_is_noticed() {
    let all = Rules::ALL;
    for (rules, name, fault) in [
        (Rules { assign_before_publish: false, ..all }, "assign_before_publish", ""),
        (Rules { record_before_release: false, ..all }, "record_before_release", "twice"),
        (Rules { record_before_reuse: false, ..all }, "record_before_reuse", ""),
        (Rules { receive_with_message: false, ..all }, "receive_with_message", "twice"),
        (Rules { repeat_when_safe: false, ..all }, "repeat_when_safe", "did not arrive"),
        (Rules { release_before_complete: false, ..all }, "release_before_complete", "did not arrive"),
        (Rules { subscribe_before_suback: false, ..all }, "subscribe_before_suback", "did not arrive"),
        (Rules { contiguous_cursor: false, ..all }, "contiguous_cursor", "did not arrive"),
    ] {
        for version in [Version::V311, Version::V5] {
            let found = first_fault(version, rules);
            println!("without {name} in {version:?}: {found:?}");
            let is_found = found.as_ref().is_some_and(|found| found.contains(fault));
            assert!(is_found, "`{name}` is broken in {version:?}: {found:?}");
        }
    }
}
