//! Taking the whole configuration anew, page by page, while the old one serves.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use contract::feed::{Document, FORMAT_VERSION, Generation, Urgent};
use contract::ids::InstanceId;
use fjall::PersistMode;

use crate::affected::Affected;
use crate::apply::{ReplicaError, URGENT_DURING_EXPORT_MAX};
use crate::copy::{Copy, StoredPosition};
use crate::directory;
use crate::edit::Edit;
use crate::rules::Drafts;
use crate::{Replica, Writer, lock};

/// An export being taken. Dropped before [`Export::finish`] it leaves the replica as it was.
pub struct Export {
    replica: Arc<Replica>,
    /// Taken out when it begins to serve.
    copy: Option<Copy>,
    number: u64,
}

impl Replica {
    /// Begins to take an export, into a copy of its own.
    pub fn begin_export(self: &Arc<Self>) -> Result<Export, ReplicaError> {
        let mut writer = self.writer();
        if writer.during_export.is_some() {
            return Err(ReplicaError::ExportUnderway);
        }
        let number = writer.copies + 1;
        let copy = Copy::open(&self.database, number)?;
        writer.copies = number;
        writer.during_export = Some(Vec::new());
        Ok(Export { replica: Arc::clone(self), copy: Some(copy), number })
    }
}

impl Export {
    /// Adds documents. What this release does not know is passed over; of two with one key the later counts.
    pub fn put(&mut self, documents: &[Document]) -> Result<(), ReplicaError> {
        let mut edit = Edit::new(self.copy());
        for document in documents {
            edit.put(document.clone());
        }
        Ok(edit.write_rows(&self.replica.database)?)
    }

    /// Makes the new copy the serving one, at the generation and the urgent sequence of the export's *first* page.
    ///
    /// What the urgent lane brought meanwhile is kept, where the history is the same one; and so are the revocations
    /// held, since they outlive a restored database. The lane is held up only for what it brought itself.
    pub fn finish(mut self, generation: Generation, urgent_sequence: u64) -> Result<Affected, ReplicaError> {
        self.carry_revocations()?;
        let (mut drafts, unreadable) = self.copy().drafts()?;
        let replica = Arc::clone(&self.replica);
        let mut writer = replica.writer();
        let same_history =
            writer.stored.as_ref().filter(|stored| stored.generation.timeline == generation.timeline);
        let reached =
            same_history.map_or(urgent_sequence, |stored| stored.urgent_sequence.max(urgent_sequence));
        for instance in self.repeat_urgent(&writer, same_history.is_some())? {
            drafts.insert(instance, self.copy().draft(instance)?);
        }
        let position = StoredPosition { generation, urgent_sequence: reached, feed_format: FORMAT_VERSION };
        self.point_here(&position)?;
        self.show(&mut writer, drafts, position);
        writer.has_gaps = unreadable > 0;
        *lock(&replica.position) = writer.position();
        tracing::info!(number = generation.number, timeline = %generation.timeline, "took an export");
        Ok(Affected::everything())
    }

    fn copy(&self) -> &Copy {
        self.copy.as_ref().expect("taken out by finish alone")
    }

    /// Revocations that come later are among the urgent entries remembered.
    fn carry_revocations(&self) -> Result<(), ReplicaError> {
        let Some(old) = self.replica.copy.load_full() else { return Ok(()) };
        let mut edit = Edit::new(self.copy());
        for revocation in old.revocations() {
            let revocation = Document::Revocation(revocation?);
            let known = revocation.key().map(|key| self.copy().get(&key)).transpose()?.flatten().is_some();
            if !known {
                edit.put(revocation);
            }
        }
        Ok(edit.write_rows(&self.replica.database)?)
    }

    /// Writes what the urgent lane brought since the export began; returns the instances it was about.
    fn repeat_urgent(
        &self,
        writer: &Writer,
        same_history: bool,
    ) -> Result<BTreeSet<InstanceId>, ReplicaError> {
        let entries = writer.during_export.as_deref().unwrap_or_default();
        if entries.len() > URGENT_DURING_EXPORT_MAX {
            return Err(ReplicaError::ExportOvertaken);
        }
        let mut edit = Edit::new(self.copy());
        let mut instances = BTreeSet::new();
        for entry in entries {
            if same_history || matches!(entry.urgent, Urgent::Revoke { .. }) {
                edit.urgent(entry)?;
                instances.insert(entry.instance);
            }
        }
        edit.write_rows(&self.replica.database)?;
        Ok(instances)
    }

    /// The one batch that counts; it also makes durable all that was written to the copy before.
    fn point_here(&self, position: &StoredPosition) -> Result<(), ReplicaError> {
        let mut batch = self.replica.database.batch().durability(Some(PersistMode::SyncAll));
        self.copy().put_position(&mut batch, position);
        directory::put_pointer(&mut batch, &self.replica.pointer, self.number);
        Ok(batch.commit()?)
    }

    /// Shows the new copy to readers and deletes the old one. While this goes on a reader may find one instance as it
    /// was and another as it is; each by itself is whole.
    fn show(&mut self, writer: &mut Writer, drafts: Drafts, position: StoredPosition) {
        let replica = &self.replica;
        let old = replica.copy.swap(self.copy.take().map(Arc::new));
        replica.credentials.forget_all();
        replica.show(drafts);
        writer.stored = Some(position);
        writer.during_export = None;
        if let Some(old) = old {
            // Readers that still hold it keep its files until they let go.
            if let Err(error) = old.delete(&replica.database) {
                tracing::warn!(error = ?error, "an old copy of the configuration could not be deleted");
            }
        }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Nothing to take out: it serves.
        let Some(copy) = mem::take(&mut self.copy) else { return };
        self.replica.writer().during_export = None;
        if let Err(error) = copy.delete(&self.replica.database) {
            tracing::warn!(error = ?error, "a half-taken export could not be deleted");
        }
    }
}
