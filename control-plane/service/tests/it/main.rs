//! The rules of the control plane on a real PostgreSQL, each test on a database of its own, with a clock that stands.

mod access;
mod alarms;
mod bootstrap;
mod channels;
mod concurrency;
mod credentials;
mod feed;
mod idempotency;
mod instances;
mod lists;
mod messages;
mod metrics;
mod nodes;
mod plans;
mod receiver;
mod replicator;
mod sessions;
mod shared_groups;
mod signing_keys;
mod tenants;
mod tokens;
mod topics;
mod world;
mod writes;
