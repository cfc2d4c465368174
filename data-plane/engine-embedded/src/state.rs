//! `State` over the documents. What is read is the newest that was committed; what is compared and set goes through the
//! log like everything else.

use std::io;

use contract::ids::InstanceId;
use engine::{
    Answer, Append, AppendError, Batch, Change, Committed, DOCUMENT_BYTES_MAX, Document, FoundDocument, Key,
    ORIGINS_MAX, RefusedWhy, Rev, SCAN_MAX, State, StateError, WriteError, ready,
};

use crate::documents::key;
use crate::shared::Shared;
use crate::turns::Promise;

impl State for Shared {
    fn load<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
    ) -> Answer<'a, Result<Option<Document>, StateError>> {
        ready(self.store.get(instance, key.as_bytes()).map_err(failed))
    }

    fn put<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        body: Vec<u8>,
        expect: Rev,
    ) -> Answer<'a, Result<Rev, WriteError>> {
        if body.len() > DOCUMENT_BYTES_MAX {
            return ready(Err(WriteError::TooLong));
        }
        Box::pin(async move {
            let change = Change { instance, key: key.as_bytes(), body: Some(&body) };
            Ok(Rev(self.compare_and_set(change, expect).await?.record))
        })
    }

    fn delete<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        expect: Rev,
    ) -> Answer<'a, Result<(), WriteError>> {
        Box::pin(async move {
            let change = Change { instance, key: key.as_bytes(), body: None };
            self.compare_and_set(change, expect).await.map(drop)
        })
    }

    fn scan<'a>(
        &'a self,
        instance: InstanceId,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<(Key, Document)>, StateError>> {
        let from = after.map_or_else(Vec::new, |after| key::behind(after.as_bytes()));
        let (from, prefix) = (key::full(instance, &from), key::full(instance, prefix));
        let rows = self.store.rows(from, &prefix, limit.min(SCAN_MAX)).map_err(failed);
        let found = |(full, document): (Vec<u8>, Document)| Some((key::parse(&full)?.1, document));
        ready(rows.map(|rows| rows.into_iter().filter_map(found).collect()))
    }

    fn scan_all<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<(InstanceId, &'a Key)>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<FoundDocument>, StateError>> {
        let had_readers = self.store.has_readers();
        let found = self.store.rows_of_all(prefix, after, limit.min(SCAN_MAX)).map_err(failed);
        if self.store.has_readers() && !had_readers {
            // They come back soon: meanwhile what waits for them is indexed.
            self.keeper.wake();
        }
        ready(found)
    }
}

impl Shared {
    /// Commits the change if the document has the revision that is expected. The key's turn is kept until the log has
    /// decided, also when nobody waits for the answer any more.
    async fn compare_and_set(&self, change: Change<'_>, expect: Rev) -> Result<Committed, WriteError> {
        let turn = self.turns.take(key::full(change.instance, change.key)).await;
        let found = self.store.get(change.instance, change.key).map_err(failed)?;
        let rev = found.map_or(Rev::ABSENT, |it| it.rev);
        if rev != expect {
            return Err(WriteError::Conflict { found: rev });
        }
        let mut batch = Batch::new();
        batch.change(&change).map_err(|_| WriteError::TooLong)?;
        let promise = Promise::new();
        let promised = promise.clone();
        let completion = Box::new(move |outcome: Result<Committed, AppendError>| {
            drop(turn);
            promised.keep(outcome);
        });
        let append = Append { id: self.own_batch_id(), origin: ORIGINS_MAX, batch, completion };
        let refused = match self.refuses_batch(&append.batch) {
            Some(why) => Err(append.refused(why)),
            None => self.queue.submit(append),
        };
        refused.map_err(|it| match it.why {
            RefusedWhy::NoRoom | RefusedWhy::Full => WriteError::Full,
            RefusedWhy::Failed | RefusedWhy::Invalid => WriteError::State(StateError::Failed),
            RefusedWhy::Stopped => WriteError::State(StateError::Stopped),
        })?;
        promise.kept().await.map_err(|_| WriteError::State(StateError::Failed))
    }
}

fn failed(error: io::Error) -> StateError {
    if error.kind() == io::ErrorKind::NotConnected {
        return StateError::Stopped;
    }
    tracing::error!(%error, "the documents cannot be read");
    StateError::Failed
}
