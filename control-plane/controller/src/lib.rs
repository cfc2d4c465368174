//! The control-plane process: wiring, listeners and reconcilers. It decides nothing: `service` does.

mod app;
mod config;
mod node_client;
mod node_proof;
mod reconcilers;
mod serve;

pub use app::{Controller, Extras, StartError, start, start_with};
pub use config::{Config, DEFAULTS};
