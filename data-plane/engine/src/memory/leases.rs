//! Leases in memory.

use std::collections::HashMap;
use std::time::Duration;

use contract::ids::NodeId;

use super::{Memory, lock};
use crate::{AcquireError, Answer, LEASE_NAME_BYTES_MAX, Lease, Leases, RenewError, ready};

/// Every name that was ever held: an epoch is never forgotten.
#[derive(Default)]
pub(super) struct Held(HashMap<Box<str>, Holding>);

struct Holding {
    epoch: u64,
    holder: NodeId,
    /// The millisecond from which on it is held no longer; 0 when it was given back.
    until: u64,
}

impl Held {
    fn acquire(&mut self, name: &str, holder: NodeId, now: u64, until: u64) -> Result<Lease, AcquireError> {
        if name.is_empty() || name.len() > LEASE_NAME_BYTES_MAX {
            return Err(AcquireError::Name);
        }
        let before = self.0.get(name);
        if let Some(held) = before.filter(|held| held.until > now && held.holder != holder) {
            return Err(AcquireError::Held { by: held.holder });
        }
        let epoch = before.map_or(0, |held| held.epoch) + 1;
        self.0.insert(name.into(), Holding { epoch, holder, until });
        Ok(Lease { name: name.into(), holder, epoch })
    }

    fn extend(&mut self, lease: &Lease, now: u64, until: u64) -> Result<(), RenewError> {
        let held = self.0.get_mut(&lease.name).ok_or(RenewError::Lost)?;
        if held.epoch != lease.epoch || held.holder != lease.holder || held.until <= now {
            return Err(RenewError::Lost);
        }
        held.until = until;
        Ok(())
    }
}

impl Memory {
    fn now_and_in(&self, ttl: Duration) -> (u64, u64) {
        let now = (self.options.clock)().0;
        (now, now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Leases for Memory {
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        holder: NodeId,
        ttl: Duration,
    ) -> Answer<'a, Result<Lease, AcquireError>> {
        let (now, until) = self.now_and_in(ttl);
        ready(lock(&self.leases).acquire(name, holder, now, until))
    }

    fn renew<'a>(&'a self, lease: &'a Lease, ttl: Duration) -> Answer<'a, Result<(), RenewError>> {
        let (now, until) = self.now_and_in(ttl);
        ready(lock(&self.leases).extend(lease, now, until))
    }

    fn release(&self, lease: Lease) -> Answer<'_, Result<(), RenewError>> {
        let (now, _) = self.now_and_in(Duration::ZERO);
        ready(lock(&self.leases).extend(&lease, now, 0))
    }
}
