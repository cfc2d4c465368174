//! The control-plane process: wiring, listeners and reconcilers. It decides nothing: `service` does.

mod app;
mod config;
mod reconcilers;
mod serve;

pub use app::{Controller, StartError, start};
pub use config::{Config, DEFAULTS};
