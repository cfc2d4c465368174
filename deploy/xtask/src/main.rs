//! The one entry point for people and CI: `cargo xtask <word>`.
//!
//! It is the first thing a newcomer compiles, so it stays small. It decides nothing about the product.
#![expect(clippy::print_stdout, reason = "a program for the terminal: printing is how it answers")]

mod bench;
mod browser;
mod check;
mod conformance;
mod console;
mod node;
mod openapi;
mod packages;
mod prepare;
mod private_postgres;
mod run;
mod screenshots;
mod simulate;
mod soak;
mod test;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs and tests IoT MQ.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    word: Word,
}

#[derive(Subcommand)]
enum Word {
    /// Bring up a complete IoT MQ on this machine: install what is missing, build, start
    Up(up::Arguments),
    /// Run every test of the project, on a private PostgreSQL of their own
    Test(test::Arguments),
    /// Check format, lints, dependencies and the cache of checked queries
    Check,
    /// Measure the broker's CPU per delivered message beside mosquitto's
    Bench(bench::Args),
    /// Count the broker's instructions for a message and compare them with what is committed
    Instructions(bench::instructions::Args),
    /// Write the OpenAPI documents in `openapi/` anew from the code
    Openapi,
    /// Write the documentation's table of MQTT's statements and the tests that prove them
    Conformance,
    /// Take a picture of every page of the console, in both languages, on a desktop and a phone
    Screenshots(screenshots::Arguments),
    /// Simulate a node with many seeds: chance decides who takes the next step and when the machine stops
    Simulate(simulate::Arguments),
    /// Load a broker with a little of everything for a while, and see whether it leaves anything behind
    Soak(soak::Arguments),
    /// Write the cache of checked queries in `.sqlx/` anew from the code and the migrations
    Prepare(prepare::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().word {
        Word::Up(arguments) => up::run(&arguments),
        Word::Test(arguments) => test::run(&arguments),
        Word::Check => check::run(),
        Word::Bench(arguments) => bench::run(&arguments),
        Word::Instructions(arguments) => bench::instructions::run(&arguments),
        Word::Openapi => openapi::run(),
        Word::Conformance => conformance::run(),
        Word::Screenshots(arguments) => screenshots::run(&arguments),
        Word::Simulate(arguments) => simulate::run(&arguments),
        Word::Soak(arguments) => soak::run(&arguments),
        Word::Prepare(arguments) => prepare::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
