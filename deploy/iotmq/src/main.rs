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
}

fn main() -> ExitCode {
    let Command::Standalone(flags) =
        CommandLine::parse().command.unwrap_or_else(|| Command::Standalone(config::Flags::default()));
    match standalone::run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            announce::failure(&error);
            ExitCode::FAILURE
        }
    }
}
