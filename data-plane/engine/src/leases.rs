//! `Leases`: who does what for now, and the number that shuts out who did it before.

use std::time::Duration;

use contract::ids::NodeId;

use crate::Answer;

/// The most bytes of the name of a lease.
pub const LEASE_NAME_BYTES_MAX: usize = 256;

/// Rights that one node has at a time. They are the platform's own, not a tenant's: no instance is named. Rules for
/// every engine:
///
/// - **One holder.** A lease that has not ended is given to no other node.
/// - **Epochs strictly grow.** Each acquisition of a name, by whomever and after whatever, has a higher epoch than all
///   before it, across release, expiry and restarts. What is written under an epoch is refused by whoever has seen a
///   higher one: that, and not the clock, is what keeps a former holder out.
/// - **Renewing keeps the epoch.**
pub trait Leases: Send + Sync {
    /// Takes a lease for so long. The node that holds it already gets it again, with a new epoch: it has forgotten
    /// the old one, or it would renew.
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        holder: NodeId,
        ttl: Duration,
    ) -> Answer<'a, Result<Lease, AcquireError>>;

    /// Holds a lease for so long from now.
    fn renew<'a>(&'a self, lease: &'a Lease, ttl: Duration) -> Answer<'a, Result<(), RenewError>>;

    /// Gives a lease back. One that is held no longer is left alone, and said to be lost.
    fn release(&self, lease: Lease) -> Answer<'_, Result<(), RenewError>>;
}

/// A right that is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// What it is a right to.
    pub name: Box<str>,
    /// Who holds it.
    pub holder: NodeId,
    /// Above every earlier epoch of this name.
    pub epoch: u64,
}

/// Why a lease was not given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum AcquireError {
    /// Another node holds it.
    #[error("the lease is held by node `{by}`")]
    Held {
        /// That node.
        by: NodeId,
    },
    /// An empty name, or one of more than [`LEASE_NAME_BYTES_MAX`].
    #[error("the name of a lease has 1 to {LEASE_NAME_BYTES_MAX} bytes")]
    Name,
    /// The disk or the network does not answer.
    #[error("the leases cannot be reached")]
    Failed,
}

/// Why a lease was not renewed or given back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum RenewError {
    /// It has ended, or someone has it under a higher epoch: its holder stops at once.
    #[error("the lease is lost")]
    Lost,
    /// The disk or the network does not answer. The holder goes on until its time is over.
    #[error("the leases cannot be reached")]
    Failed,
}
