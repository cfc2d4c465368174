//! What every service holds: the store, the clock, the master key and the wake-up for those who wait.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use store::Store;

use crate::clock::Clock;
use crate::metrics::Ring;
use crate::node_calls::NodeCalls;
use crate::passwords::PasswordHasher;
use crate::platform::PlatformOptions;
use crate::seal::MasterKey;
use crate::wake::Wake;
use crate::webhooks::Calls;

pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) master_key: MasterKey,
    pub(crate) platform: PlatformOptions,
    pub(crate) node_calls: Arc<dyn NodeCalls>,
    pub(crate) passwords: PasswordHasher,
    pub(crate) wake: Wake,
    /// What nodes have told of instances lately.
    pub(crate) ring: Ring,
    /// Calls what tenants name.
    pub(crate) webhooks: Calls,
    /// When this process began.
    pub(crate) started_at: DateTime<Utc>,
}

impl Core {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
