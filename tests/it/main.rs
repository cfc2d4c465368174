//! The scenarios. Each file is one promise; each test reads as the sentence it proves.

mod alarms;
mod clients;
mod config_sync;
mod connect;
mod console;
mod controller_down;
mod faults;
mod first_light;
mod first_message;
mod isolation;
mod limits;
mod messages;
mod metrics;
mod provisioning;
mod qos2;
mod replay;
mod shared;
mod simulation;
mod soak;
mod standalone;
mod storm;
mod tidy;
mod tls;
mod tokens;
mod vectors;
mod websocket;
