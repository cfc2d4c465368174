//! A mixed load for as long as one likes, and whether memory, descriptors and delays are in the end what they were.

use anyhow::Result;

use crate::packages::{self, C_COMPILER, MAKE, POSTGRES};
use crate::private_postgres::PrivatePostgres;
use crate::run::{self, cargo, step};
use crate::test::{TEST_DATABASE_URL, TEST_FEATURES};

/// The test that does it.
const TEST: &str = "soak::a_mixed_load_leaves_nothing_behind";

/// Read by that test.
const MINUTES: &str = "IOTMQ_TEST_SOAK_MINUTES";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long the load goes on
    #[arg(long, default_value_t = 20)]
    minutes: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    packages::ensure(&[C_COMPILER, MAKE, POSTGRES])?;
    // Selected as for the tests: another selection would have other features and be compiled twice.
    step("building the binary");
    run::run(cargo(["build", "--workspace", "--bin", "iotmq"]).args(TEST_FEATURES))?;
    let postgres = PrivatePostgres::start()?;
    step(&format!("a mixed load for {} minutes", arguments.minutes));
    let mut test = cargo(["test", "--quiet", "--workspace", "--test", "it"]);
    test.args(TEST_FEATURES).args(["--", "--exact", TEST, "--nocapture"]);
    test.env(TEST_DATABASE_URL, postgres.server.url("postgres"));
    run::run_and_return(test.env(MINUTES, arguments.minutes.to_string()))
}
