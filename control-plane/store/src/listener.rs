//! Notices of what other controllers have written.

use sqlx::postgres::PgListener;

use crate::{Store, StoreError};

/// The channel on which every write that nodes must know of gives notice.
pub(crate) const CHANNEL: &str = "iotmq_feed";

/// Listens for notices, on a connection of its own.
pub struct Listener(PgListener);

impl Store {
    /// Begins to listen.
    pub async fn listen(&self) -> Result<Listener, StoreError> {
        let mut listener = PgListener::connect_with(self.pool()).await?;
        listener.listen(CHANNEL).await?;
        Ok(Listener(listener))
    }
}

impl Listener {
    /// Waits for a notice. False: the connection was lost and notices with it, so look for yourself.
    pub async fn wait(&mut self) -> Result<bool, StoreError> {
        Ok(self.0.try_recv().await?.is_some())
    }
}
