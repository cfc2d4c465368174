//! Calling what tenants name: which addresses may be called, how a call is signed, when it is tried again.

pub mod address;
mod call;
pub mod retry;
mod sender;
pub mod signature;
pub mod target;

pub use address::{Network, ParseNetworkError};
pub(crate) use call::Calls;
pub use sender::{deliver_due, send_deliveries};

/// How the platform calls what tenants name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WebhookOptions {
    /// Networks that may be called although they are not public, plain HTTP included. Empty in most deployments: who
    /// may name what the platform calls could reach everything in them.
    pub allowed_networks: Vec<Network>,
}
