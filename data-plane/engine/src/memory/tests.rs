//! The engine in memory passes the suite; and what it does beyond that.

use std::cell::Cell;
use std::time::Duration;

use contract::ids::NodeId;
use contract::time::UnixMillis;
use uuid::Uuid;

use super::{Memory, MemoryOptions};
use crate::conformance::{Subject, wait};
use crate::{AcquireError, History, Leases, Log, RenewError, Replay};

thread_local! {
    /// The present of a test: its engine's clock is asked on its own thread.
    static NOW: Cell<u64> = const { Cell::new(1_000) };
}

impl Subject for Memory {
    fn log(&self) -> &dyn Log {
        self
    }

    fn history(&self) -> &dyn History {
        self
    }

    fn replay(&self) -> &dyn Replay {
        self
    }
}

fn start() -> Memory {
    Memory::start(MemoryOptions::new(|| UnixMillis(NOW.get())))
}

mod large_segments {
    crate::log_conformance!(super::start);
    crate::replay_conformance!(super::start);
    crate::state_conformance!(super::start);
    crate::documents_conformance!(super::start);
    crate::bus_conformance!(super::start);
    crate::leases_conformance!(super::start);
}

/// Segments of a few messages: nearly every answer is put together from footers.
mod small_segments {
    use crate::memory::{Memory, MemoryOptions};

    fn start() -> Memory {
        let options = MemoryOptions::new(|| contract::time::UnixMillis(0));
        Memory::start(MemoryOptions { segment_bytes: 1_000, ..options })
    }

    crate::log_conformance!(start);
    crate::replay_conformance!(start);
}

const fn node(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

#[test]
fn time_ends_a_lease() {
    let engine = start();
    let acquire = |by| wait(engine.acquire("a", node(by), Duration::from_millis(500)));
    let first = acquire(1).expect("nobody holds it");
    NOW.set(1_499);
    assert_eq!(acquire(2), Err(AcquireError::Held { by: node(1) }));
    assert_eq!(wait(engine.renew(&first, Duration::from_millis(500))), Ok(()));
    NOW.set(1_998);
    assert_eq!(acquire(2), Err(AcquireError::Held { by: node(1) }));
    NOW.set(1_999);
    assert_eq!(wait(engine.renew(&first, Duration::from_secs(1))), Err(RenewError::Lost), "too late");
    let second = acquire(2).expect("it has ended");
    assert!(second.epoch > first.epoch);
}
