//! How much of one costly kind of work runs at once: in all, and of one tenant. Who must wait, waits in turn, and a
//! tenant's own queue comes first, so that none stands in the way of the others with more than its share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use contract::ids::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits of one kind of work.
pub(crate) struct Permits {
    all: Arc<Semaphore>,
    of_tenant: usize,
    /// Of the tenants that have some or wait for some; the others have passed and go when the next comes.
    tenants: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

/// The right to work, until it is dropped.
pub(crate) struct Permit {
    _of_all: OwnedSemaphorePermit,
    _of_tenant: OwnedSemaphorePermit,
}

impl Permits {
    /// So many in all, and so many of each tenant.
    pub(crate) fn new(all: usize, of_tenant: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_tenant, tenants: Mutex::default() }
    }

    /// Waits for the tenant's turn.
    pub(crate) async fn acquire(&self, tenant: TenantId) -> Permit {
        let never = "these semaphores are never closed";
        let of_tenant = self.of(tenant).acquire_owned().await.expect(never);
        let of_all = Arc::clone(&self.all).acquire_owned().await.expect(never);
        Permit { _of_all: of_all, _of_tenant: of_tenant }
    }

    fn of(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(&tenant).and_then(Weak::upgrade) {
            return known;
        }
        tenants.retain(|_, semaphore| semaphore.strong_count() > 0);
        let new = Arc::new(Semaphore::new(self.of_tenant));
        tenants.insert(tenant, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn tenant(number: u128) -> TenantId {
        TenantId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn a_tenant_that_asks_too_much_waits_for_itself_and_nobody_for_it() {
        let permits = Permits::new(4, 2);
        let mut held: Vec<Permit> = Vec::new();
        for number in [1, 1, 2] {
            held.extend(poll(pin!(permits.acquire(tenant(number)))));
        }
        assert_eq!(held.len(), 3);
        let mut third = pin!(permits.acquire(tenant(1)));
        assert!(poll(third.as_mut()).is_none(), "its share is used");
        held.extend(poll(pin!(permits.acquire(tenant(3)))));
        assert_eq!(held.len(), 4, "who waits for its own share holds nothing");
        held.remove(0);
        assert!(poll(third.as_mut()).is_some(), "one of its own is over");
    }

    #[test]
    fn all_together_have_no_more_than_there_is() {
        let permits = Permits::new(3, 2);
        let held: Vec<Permit> =
            [1, 2, 3].into_iter().filter_map(|number| poll(pin!(permits.acquire(tenant(number))))).collect();
        assert_eq!(held.len(), 3);
        let mut fourth = pin!(permits.acquire(tenant(4)));
        assert!(poll(fourth.as_mut()).is_none());
        drop(held);
        assert!(poll(fourth).is_some());
        assert_eq!(permits.tenants.lock().expect("whole").len(), 4);
        poll(pin!(permits.acquire(tenant(5)))).expect("a permit");
        assert_eq!(permits.tenants.lock().expect("whole").len(), 1, "who is gone is forgotten");
    }
}
