//! The broker process: a front that lets connections in, workers that own their clients whole, and the node's part in
//! keeping its configuration. It obeys: nothing is decided here that the configuration does not say, and nothing waits
//! for the controller.

mod api_publish;
mod app;
mod arrivals;
mod attach;
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
mod decoy;
mod delivery;
mod durable;
mod durable_appends;
mod embedded;
mod enhanced;
pub(crate) mod enrol;
mod fading;
mod farewell;
mod first_packets;
mod front;
mod greeting;
mod groups;
mod http;
mod http_listener;
mod instances;
mod keys;
mod last_words;
mod lasting;
mod local_instance;
mod lookups;
mod membership;
mod metrics;
mod node;
pub(crate) mod node_api;
pub(crate) mod node_client;
mod owed;
mod placement;
mod policy;
mod publish;
mod queue;
mod readers;
mod reauthenticate;
mod recheck;
mod replaying;
pub(crate) mod report;
mod restore;
mod retained;
mod round;
mod routes;
mod sampling;
mod schedule;
mod scram;
mod sink;
mod slots;
mod sweeper;
mod sys_topics;
mod timers;
mod tls;
mod to_one;
mod tokens;
mod topics;
mod transport;
mod turn;
mod websocket;
mod wills;
mod worker;

pub use app::{Broker, ClientStartError, Extras, StartError, start, start_with};
pub use config::Config;
pub use metrics::{Counts, DropReason, Metrics};
pub use tls::Tls;
pub use websocket::mount::Mount;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_log;
#[cfg(test)]
mod testing_peer;
#[cfg(test)]
mod testing_text;
#[cfg(test)]
mod testing_ways;
#[cfg(test)]
mod tests;
