//! What the two planes agree on: names, bounds, documents and their wire forms.
//!
//! The control plane decides, the data plane obeys; this crate is the whole of their agreement. Nothing here does
//! I/O, reads a clock or draws chance: time comes in as [`time::UnixMillis`].

pub mod base64;
pub mod behaviour;
pub mod claims;
pub mod durability;
pub mod feed;
pub mod grant;
pub mod ids;
pub mod limits;
pub mod message;
pub mod metrics;
pub mod node;
pub mod node_call;
pub mod p2p;
pub mod qos;
pub mod refusal;
pub mod revocation;
pub mod shared_group;
pub mod subscription;
pub mod time;
pub mod topic;
