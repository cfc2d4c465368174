//! A node under a scheduler that a seed decides keeps what it has acknowledged, whatever befalls the machine. And the
//! simulation is no decoration: without any one of the rules it finds what goes wrong.

use std::env;

use session::Rules;
use tests::simulation::{Conditions, GlueRules, Outcome, run};

/// How many seeds are run; `cargo xtask simulate` sets it.
const SEEDS: &str = "IOTMQ_SIMULATE_SEEDS";

/// The first of them.
const FIRST_SEED: &str = "IOTMQ_SIMULATE_FIRST_SEED";

/// Seeds of an ordinary run of the tests.
const SEEDS_DEFAULT: u64 = 240;

/// Seeds in which a broken rule has to be noticed.
const SEEDS_TO_NOTICE: u64 = 300;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number and not `{text}`")))
}

fn check(seed: u64) -> Outcome {
    let outcome = run(seed, Conditions::ORDINARY);
    if let Some((wrong, before)) = &outcome.wrong {
        panic!("{before}seed {seed}: {wrong}\nagain: cargo xtask simulate --seed {seed}\n");
    }
    outcome
}

#[test]
fn what_was_acknowledged_is_kept_whatever_befalls_the_machine() {
    let first = number(FIRST_SEED).unwrap_or(0);
    let seeds = number(SEEDS).unwrap_or(SEEDS_DEFAULT);
    let mut sum = Outcome::default();
    for seed in first..first + seeds {
        sum.add(&check(seed));
    }
    println!(
        "{seeds} seeds: {} stops of the machine that left {} unfinished ends, {} changes of what its disk fails at, {} \
         messages acknowledged, {} delivered, {} repeated as QoS 1 allows, {} passed over as was said, {} owed to groups, \
         {} wills",
        sum.crashes,
        sum.cuts,
        sum.faults,
        sum.acknowledged,
        sum.delivered,
        sum.repeated,
        sum.passed_over,
        sum.shared,
        sum.wills
    );
    // A simulation in which little happens proves nothing.
    if seeds >= SEEDS_DEFAULT {
        assert!(sum.crashes > 1_000 && sum.cuts > 100 && sum.faults > 500);
        assert!(sum.acknowledged > 10_000 && sum.delivered > 10_000 && sum.repeated > 1_000);
        assert!(sum.passed_over > 500 && sum.shared > 1_000 && sum.wills > 500);
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

fn is_noticed(rules: Rules, glue: GlueRules) -> bool {
    let conditions = Conditions { rules, glue, ..Conditions::ORDINARY };
    (0..SEEDS_TO_NOTICE).any(|seed| run(seed, conditions).wrong.is_some())
}

macro_rules! each_is_needed {
    ($($name:ident: $rules:ident $rule:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let broken = $rules { $rule: false, ..$rules::ALL };
            assert!(broken.goes_noticed(), "no seed has noticed");
        }
    )*};
}

trait Broken {
    fn goes_noticed(self) -> bool;
}

impl Broken for Rules {
    fn goes_noticed(self) -> bool {
        is_noticed(self, GlueRules::ALL)
    }
}

impl Broken for GlueRules {
    fn goes_noticed(self) -> bool {
        is_noticed(Rules::ALL, self)
    }
}

each_is_needed! {
    it_is_noticed_when_publish_goes_before_its_identifier_is_safe: Rules assign_before_publish,
    it_is_noticed_when_pubrel_goes_before_pubrec_is_safe: Rules record_before_release,
    it_is_noticed_when_an_identifier_is_used_again_too_early: Rules record_before_reuse,
    it_is_noticed_when_a_message_is_safe_and_that_it_was_received_is_not: Rules receive_with_message,
    it_is_noticed_when_a_repeated_message_is_acknowledged_before_it_is_safe: Rules repeat_when_safe,
    it_is_noticed_when_pubcomp_goes_before_the_release_is_safe: Rules release_before_complete,
    it_is_noticed_when_suback_goes_before_the_subscription_is_safe: Rules subscribe_before_suback,
    it_is_noticed_when_the_cursor_goes_to_the_newest: Rules contiguous_cursor,
    it_is_noticed_when_a_will_is_published_and_its_session_still_has_it: GlueRules will_with_session,
    it_is_noticed_when_a_failure_to_store_is_not_told: GlueRules failure_is_told,
    it_is_noticed_when_a_session_is_taken_for_connected_after_a_stop: GlueRules away_from_start,
    it_is_noticed_when_what_a_session_leaves_is_not_deleted: GlueRules delete_expired,
    it_is_noticed_when_a_message_goes_out_after_its_time: GlueRules see_expiry,
    it_is_noticed_when_more_is_passed_over_than_is_counted: GlueRules pass_over_what_is_counted,
}
