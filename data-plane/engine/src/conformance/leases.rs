//! What every [`Leases`] does. That time ends a lease is each engine's own test, with a clock it can turn.

use std::time::Duration;

use contract::ids::NodeId;
use uuid::Uuid;

use super::wait;
use crate::{AcquireError, LEASE_NAME_BYTES_MAX, Lease, Leases, RenewError};

const LONG: Duration = Duration::from_hours(1);

const fn node(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

fn acquire<L: Leases>(leases: &L, name: &str, by: u128) -> Result<Lease, AcquireError> {
    wait(leases.acquire(name, node(by), LONG))
}

/// Of many nodes that ask at once one is given the lease, and the others are told which.
pub fn one_node_holds_a_lease<L: Leases + Sync>(make: impl Fn() -> L) {
    let leases = &make();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (1..=8).map(|number| scope.spawn(move || acquire(leases, "shard/1", number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    });
    let held: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    let [held] = held[..] else { panic!("one holds it: {answers:?}") };
    for answer in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(*answer, AcquireError::Held { by: held.holder });
    }
    assert!(acquire(leases, "shard/2", 99).is_ok(), "another name is another lease");
    for name in ["", &"x".repeat(LEASE_NAME_BYTES_MAX + 1)] {
        assert_eq!(acquire(leases, name, 1), Err(AcquireError::Name));
    }
}

/// Every acquisition has a higher epoch than all before it, by whomever; renewing keeps it.
pub fn epochs_grow<L: Leases>(make: impl Fn() -> L) {
    let leases = &make();
    let mut last = 0;
    for round in 0..20 {
        let lease = acquire(leases, "shard/1", round % 3).expect("nobody holds it");
        assert!(lease.epoch > last, "{} after {last}", lease.epoch);
        last = lease.epoch;
        assert_eq!(wait(leases.renew(&lease, LONG)), Ok(()));
        let again = acquire(leases, "shard/1", round % 3).expect("its holder may take it again");
        assert!(again.epoch > last, "{} after {last}", again.epoch);
        last = again.epoch;
        assert_eq!(wait(leases.release(again)), Ok(()));
    }
}

/// Who held it before is told so, and does no harm.
pub fn a_lost_lease_is_not_renewed<L: Leases>(make: impl Fn() -> L) {
    let leases = &make();
    let first = acquire(leases, "shard/1", 1).expect("nobody holds it");
    assert_eq!(wait(leases.release(first.clone())), Ok(()));
    assert_eq!(wait(leases.renew(&first, LONG)), Err(RenewError::Lost));
    let second = acquire(leases, "shard/1", 2).expect("it was given back");
    assert_eq!(wait(leases.renew(&first, LONG)), Err(RenewError::Lost));
    assert_eq!(wait(leases.release(first)), Err(RenewError::Lost));
    assert_eq!(wait(leases.renew(&second, LONG)), Ok(()));
    let never = Lease { name: "of nobody".into(), holder: node(1), epoch: 1 };
    assert_eq!(wait(leases.renew(&never, LONG)), Err(RenewError::Lost));
}
