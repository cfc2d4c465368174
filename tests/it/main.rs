//! The scenarios. Each file is one promise; each test reads as the sentence it proves.

mod config_sync;
mod connect;
mod controller_down;
mod first_message;
mod isolation;
mod limits;
mod provisioning;
mod standalone;
mod tidy;
mod tokens;
