//! IoT MQ, the one binary: reads the command line and hands over. What deserves a test lives in a library.

mod announce;
mod clock;
mod config;
mod data;
mod database;
mod layers;
mod logging;
mod standalone;
mod tls;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An open, multi-tenant MQTT cloud.
#[derive(Parser)]
#[command(version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in this process: controller, broker and a private PostgreSQL (the default).
    Standalone(config::Flags),
    /// Prove what a broker's acknowledgements are worth.
    #[command(subcommand)]
    Verify(verify::Verify),
}

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let outcome = match command.unwrap_or_else(|| Command::Standalone(config::Flags::default())) {
        Command::Standalone(flags) => standalone::run(&flags),
        Command::Verify(what) => verify::run(&what),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            announce::failure(&error);
            ExitCode::FAILURE
        }
    }
}
