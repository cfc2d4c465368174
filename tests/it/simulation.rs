//! A node under a scheduler that a seed decides keeps what it has acknowledged, whatever befalls the machine. And the
//! simulation is no decoration: without any one of the rules it finds what goes wrong.

use std::env;

use session::Rules;
use tests::simulation::{Conditions, Outcome, run};

/// How many seeds are run; `cargo xtask simulate` sets it.
const SEEDS: &str = "IOTMQ_SIMULATE_SEEDS";

/// The first of them.
const FIRST_SEED: &str = "IOTMQ_SIMULATE_FIRST_SEED";

/// Whether disks may write the end of what they had not synced and not the middle.
const HOLES: &str = "IOTMQ_SIMULATE_HOLES";

/// Seeds of an ordinary run of the tests.
const SEEDS_DEFAULT: u64 = 240;

/// Seeds in which a broken rule has to be noticed.
const SEEDS_TO_NOTICE: u64 = 300;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number and not `{text}`")))
}

fn check(seed: u64) -> Outcome {
    let holes = env::var_os(HOLES).is_some();
    let outcome = run(seed, Conditions { holes, ..Conditions::ORDINARY });
    if let Some((wrong, before)) = &outcome.wrong {
        let option = if holes { " --holes" } else { "" };
        panic!("{before}seed {seed}: {wrong}\nagain: cargo xtask simulate --seed {seed}{option}\n");
    }
    outcome
}

#[test]
fn what_was_acknowledged_is_kept_whatever_befalls_the_machine() {
    let first = number(FIRST_SEED).unwrap_or(0);
    let seeds = number(SEEDS).unwrap_or(SEEDS_DEFAULT);
    let (mut crashes, mut holes, mut acknowledged, mut delivered, mut repeated) = (0, 0, 0, 0, 0);
    for seed in first..first + seeds {
        let outcome = check(seed);
        crashes += outcome.crashes;
        holes += outcome.holes;
        acknowledged += outcome.acknowledged;
        delivered += outcome.delivered;
        repeated += outcome.repeated;
    }
    println!(
        "{seeds} seeds: {crashes} stops of the machine that left {holes} holes, {acknowledged} messages acknowledged, \
         {delivered} delivered, {repeated} repeated as QoS 1 allows"
    );
    // A simulation in which little happens proves nothing.
    if seeds >= SEEDS_DEFAULT {
        assert!(crashes > 1_000 && acknowledged > 10_000 && delivered > 10_000 && repeated > 1_000);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 51, 78] {
        let digest = run(seed, Conditions::ORDINARY).digest;
        assert_eq!(digest, run(seed, Conditions::ORDINARY).digest, "seed {seed}");
        assert_ne!(digest, run(seed + 1, Conditions::ORDINARY).digest, "seed {seed}");
    }
}

fn is_noticed(rules: Rules) -> bool {
    let conditions = Conditions { rules, ..Conditions::ORDINARY };
    (0..SEEDS_TO_NOTICE).any(|seed| run(seed, conditions).wrong.is_some())
}

macro_rules! each_is_needed {
    ($($name:ident: $rule:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            assert!(is_noticed(Rules { $rule: false, ..Rules::ALL }), "no seed has noticed");
        }
    )*};
}

each_is_needed! {
    it_is_noticed_when_publish_goes_before_its_identifier_is_safe: assign_before_publish,
    it_is_noticed_when_pubrel_goes_before_pubrec_is_safe: record_before_release,
    it_is_noticed_when_an_identifier_is_used_again_too_early: record_before_reuse,
    it_is_noticed_when_a_message_is_safe_and_that_it_was_received_is_not: receive_with_message,
    it_is_noticed_when_a_repeated_message_is_acknowledged_before_it_is_safe: repeat_when_safe,
    it_is_noticed_when_pubcomp_goes_before_the_release_is_safe: release_before_complete,
    it_is_noticed_when_suback_goes_before_the_subscription_is_safe: subscribe_before_suback,
    it_is_noticed_when_the_cursor_goes_to_the_newest: contiguous_cursor,
}
