//! What every service holds: the store, the clock, the master key and the wake-up for those who wait.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use store::Store;

use crate::clock::Clock;
use crate::passwords::PasswordHasher;
use crate::platform::PlatformOptions;
use crate::seal::MasterKey;
use crate::wake::Wake;

pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) master_key: MasterKey,
    pub(crate) platform: PlatformOptions,
    pub(crate) passwords: PasswordHasher,
    pub(crate) wake: Wake,
}

impl Core {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
