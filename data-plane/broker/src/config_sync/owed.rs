//! The looks at live connections that the workers did not take in time. The lanes go on without them; nothing of what
//! they were about is forgotten before the workers have it.

use std::sync::{Mutex, PoisonError};

use replica::Affected;
use tokio::sync::Notify;

use super::Connections;

/// The most things owed by name; with more, every connection is looked at.
const OWED_MAX: usize = 100_000;

#[derive(Default)]
pub(super) struct Owed {
    affected: Mutex<Affected>,
    due: Notify,
}

impl Owed {
    pub(super) fn add(&self, affected: &Affected) {
        let mut owed = self.affected.lock().unwrap_or_else(PoisonError::into_inner);
        *owed = Affected::merged([&*owed, affected]);
        if owed.count() > OWED_MAX {
            *owed = Affected::everything();
        }
        drop(owed);
        self.due.notify_one();
    }

    /// Hands what is owed to the workers, however long they take. Never returns.
    pub(super) async fn settle<C: Connections>(&self, connections: &C) {
        loop {
            self.due.notified().await;
            let owed = std::mem::take(&mut *self.affected.lock().unwrap_or_else(PoisonError::into_inner));
            connections.recheck(owed).await;
            tracing::info!("the workers have taken what they had not in time");
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.affected.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
