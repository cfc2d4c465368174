//! The broker process: a front that lets connections in, workers that own their clients whole, and the node's part in
//! keeping its configuration. It obeys: nothing is decided here that the configuration does not say, and nothing waits
//! for the controller.

mod app;
mod authenticate;
mod buckets;
mod client;
mod clock;
mod command;
pub mod config;
pub(crate) mod config_sync;
mod connect;
mod control;
mod crossing;
mod delivery;
pub(crate) mod enrol;
mod farewell;
mod front;
mod http;
mod instances;
mod local_instance;
mod membership;
mod metrics;
mod node;
pub(crate) mod node_client;
mod placement;
mod policy;
mod publish;
mod recheck;
pub(crate) mod report;
mod round;
mod routes;
mod schedule;
mod sink;
mod timers;
mod tokens;
mod topics;
mod turn;
mod worker;

pub use app::{Broker, ClientStartError, StartError, start};
pub use config::Config;
pub use metrics::{Counts, DropReason, Metrics};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
