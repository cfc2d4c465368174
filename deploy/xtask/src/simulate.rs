//! Runs the simulation with as many seeds as one likes, or with the one that failed.

use anyhow::Result;

use crate::run::{self, cargo, step};

/// The test that runs the seeds.
const TEST: &str = "simulation::what_was_acknowledged_is_kept_whatever_befalls_the_machine";

/// Seeds, when nothing is said: some minutes.
const SEEDS_DEFAULT: u64 = 3_000;

/// Read by that test.
const SEEDS: &str = "IOTMQ_SIMULATE_SEEDS";
const FIRST_SEED: &str = "IOTMQ_SIMULATE_FIRST_SEED";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds to run: each is another story. 3000, or 1 with `--seed`
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of them: alone, the one that failed
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let first = arguments.seed.unwrap_or(0);
    let seeds = arguments.seeds.unwrap_or(if arguments.seed.is_some() { 1 } else { SEEDS_DEFAULT });
    step(&format!("simulating a node with {seeds} seeds from {first} on"));
    let mut test = cargo([
        "test",
        "--quiet",
        "--package",
        "tests",
        "--test",
        "it",
        "--",
        "--exact",
        TEST,
        "--nocapture",
    ]);
    test.env(SEEDS, seeds.to_string()).env(FIRST_SEED, first.to_string());
    run::run_and_return(&mut test)
}
