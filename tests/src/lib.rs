//! The harness of the integration tests: a whole cluster in this process, and the clients that talk to it.
//!
//! It is for tests: what goes wrong panics, with a sentence that says what was expected. The scenarios are in `it/`.

pub mod bridge;
pub mod clients;
pub mod cluster;
pub mod fault;
pub mod fault_broker;
pub mod http_client;
pub mod models;
pub mod mosquitto;
pub mod mqtt_client;
pub mod place;
pub mod postgres;
pub mod process;
pub mod simulation;
pub mod tenant;
pub mod vectors;
pub mod wait;
pub mod webhook;

pub use cluster::{Cluster, ClusterBuilder};
pub use contract::qos::Qos;
pub use contract::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
pub use http_client::{Answer, Api};
pub use mqtt_client::{Client, ClientBuilder, Message, Refused};
pub use tenant::{Instance, Tenant, Token};
pub use wait::{PATIENCE, wait_for};
