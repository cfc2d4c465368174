//! One change of a copy in the making: the last word on each document, and what memory must become with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::feed::{Document, DocumentKey, DocumentKind};
use contract::ids::{CredentialId, InstanceId};
use contract::revocation::Revocation;
use fjall::{Database, OwnedWriteBatch, PersistMode};

use crate::affected::Affected;
use crate::apply::ReplicaError;
use crate::copy::{Copy, StoredPosition, is_kept};
use crate::rules::{Draft, InstanceRules};
use crate::{Replica, Writer};

/// Rows to be, each document once: within one batch the disk knows no order between two writes of one key.
pub(crate) struct Edit<'a> {
    copy: &'a Copy,
    rows: BTreeMap<DocumentKey, Option<Document>>,
}

/// A snapshot to be published; none for an instance that is gone.
type Snapshot = (InstanceId, Option<Arc<InstanceRules>>);

impl<'a> Edit<'a> {
    pub(crate) fn new(copy: &'a Copy) -> Self {
        Self { copy, rows: BTreeMap::new() }
    }

    /// Documents of kinds this release does not know are passed over.
    pub(crate) fn put(&mut self, document: Document) {
        if let Some(key) = document.key().filter(is_kept) {
            self.rows.insert(key, Some(document));
        }
    }

    /// Deleting an instance takes everything below it.
    pub(crate) fn delete(&mut self, key: DocumentKey) -> Result<(), fjall::Error> {
        if !is_kept(&key) {
            return Ok(());
        }
        if key.kind == DocumentKind::Instance {
            for below in self.copy.keys_of(key.instance)? {
                self.rows.insert(below, None);
            }
            for (pending, row) in &mut self.rows {
                if pending.instance == key.instance {
                    *row = None;
                }
            }
        }
        self.rows.insert(key, None);
        Ok(())
    }

    /// The document as it will be.
    pub(crate) fn get(&self, key: &DocumentKey) -> Result<Option<Document>, ReplicaError> {
        match self.rows.get(key) {
            Some(row) => Ok(row.clone()),
            None => self.copy.get(key),
        }
    }

    /// Writes rows and position, durably and at once, then shows them to readers.
    pub(crate) fn commit(
        self,
        replica: &Replica,
        writer: &mut Writer,
        position: StoredPosition,
    ) -> Result<Affected, ReplicaError> {
        let affected = self.affected(replica)?;
        let snapshots = self.snapshots(replica)?;
        self.write(&replica.database, &position)?;
        replica.credentials.forget(
            self.rows
                .keys()
                .filter(|key| key.kind == DocumentKind::Credential)
                .map(|key| (key.instance, key.name.as_str())),
        );
        publish(replica, snapshots);
        writer.stored = Some(position);
        *crate::lock(&replica.position) = writer.position();
        Ok(affected)
    }

    /// Writes the rows alone, in no hurry: for a copy that does not serve yet.
    pub(crate) fn write_rows(self, database: &Database) -> Result<(), fjall::Error> {
        self.batch(database).commit()
    }

    fn write(&self, database: &Database, position: &StoredPosition) -> Result<(), fjall::Error> {
        let mut batch = self.batch(database).durability(Some(PersistMode::SyncAll));
        self.copy.put_position(&mut batch, position);
        batch.commit()
    }

    fn batch(&self, database: &Database) -> OwnedWriteBatch {
        let mut batch = database.batch();
        for (key, row) in &self.rows {
            match row {
                Some(document) => self.copy.put(&mut batch, key, document),
                None => self.copy.delete_row(&mut batch, key),
            }
        }
        batch
    }

    /// What differs from what connections were checked against.
    fn affected(&self, replica: &Replica) -> Result<Affected, ReplicaError> {
        let mut affected = Affected::default();
        for (key, row) in &self.rows {
            match key.kind {
                DocumentKind::Instance | DocumentKind::Topic | DocumentKind::SigningKey => {
                    if affected.instances.last() != Some(&key.instance)
                        && !is_held(replica, key, row.as_ref())
                    {
                        affected.instances.push(key.instance);
                    }
                }
                DocumentKind::Revocation => {
                    if let Some(Document::Revocation(revocation)) = row
                        && !is_in_force(replica, revocation)
                    {
                        affected.revocations.push(revocation.clone());
                    }
                }
                DocumentKind::Credential => {
                    let instance = DocumentKey {
                        kind: DocumentKind::Instance,
                        instance: key.instance,
                        name: String::new(),
                    };
                    if !matches!(self.rows.get(&instance), Some(None)) {
                        let ids = self.changed_credentials(key, row.as_ref())?;
                        affected.credentials.extend(ids.into_iter().map(|id| (key.instance, id)));
                    }
                }
                DocumentKind::Unknown => {}
            }
        }
        affected.instances.sort_unstable();
        affected.instances.dedup();
        Ok(affected)
    }

    /// The credential that had this name and the one that has it now, unless they are the same in everything.
    fn changed_credentials(
        &self,
        key: &DocumentKey,
        row: Option<&Document>,
    ) -> Result<Vec<CredentialId>, ReplicaError> {
        let before = match self.copy.get(key) {
            Ok(before) => before,
            Err(ReplicaError::UnreadableRow(_)) => None, // about to be put right
            Err(error) => return Err(error),
        };
        if before.as_ref() == row {
            return Ok(Vec::new());
        }
        let mut ids: Vec<CredentialId> =
            [before.as_ref(), row].into_iter().flatten().filter_map(credential_id).collect();
        ids.dedup();
        Ok(ids)
    }

    fn snapshots(&self, replica: &Replica) -> Result<Vec<Snapshot>, ReplicaError> {
        let mut touched: BTreeMap<InstanceId, Vec<(&DocumentKey, &Option<Document>)>> = BTreeMap::new();
        for (key, row) in self.rows.iter().filter(|(key, _)| key.kind != DocumentKind::Credential) {
            touched.entry(key.instance).or_default().push((key, row));
        }
        let mut snapshots = Vec::with_capacity(touched.len());
        for (instance, rows) in touched {
            let mut draft = self.draft(replica, instance)?;
            draft.delete(rows.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| *key));
            for document in rows.iter().filter_map(|(_, row)| row.as_ref()) {
                draft.put(document.clone());
            }
            snapshots.push((instance, draft.finish(|| replica.next_epoch())));
        }
        Ok(snapshots)
    }

    /// What was known of the instance: in memory, or on disk where no document has made an instance of it yet.
    fn draft(&self, replica: &Replica, instance: InstanceId) -> Result<Draft, ReplicaError> {
        match replica.instance(instance) {
            Some(rules) => Ok(Draft::of(&rules)),
            None => self.copy.draft(instance),
        }
    }
}

/// Whether an instance's document is put again as it is, which changes nothing.
fn is_held(replica: &Replica, key: &DocumentKey, row: Option<&Document>) -> bool {
    matches!(row, Some(Document::Instance(document))
        if replica.instance(key.instance).is_some_and(|rules| rules.document == *document))
}

/// Whether connections were checked against this very revocation before: the feed repeats what the urgent lane brought.
fn is_in_force(replica: &Replica, revocation: &Revocation) -> bool {
    replica.instance(revocation.instance).is_some_and(|rules| rules.revocations.contains(revocation))
}

pub(crate) fn credential_id(document: &Document) -> Option<CredentialId> {
    match document {
        Document::Credential(credential) => Some(credential.id),
        Document::Instance(_)
        | Document::Topic(_)
        | Document::SigningKey(_)
        | Document::Revocation(_)
        | Document::Unknown => None,
    }
}

/// Shows snapshots to readers. A label is taken away before it is given, should two instances exchange theirs.
fn publish(replica: &Replica, snapshots: Vec<Snapshot>) {
    let (mut gone, mut given) = (Vec::new(), Vec::new());
    for (instance, rules) in &snapshots {
        let before = replica.instance(*instance).map(|rules| rules.document.label.clone());
        let now = rules.as_ref().map(|rules| rules.document.label.clone());
        if before == now {
            continue;
        }
        if let Some(label) = before.filter(|label| replica.instance_by_label(label) == Some(*instance)) {
            gone.push((label.into_boxed_str(), None));
        }
        given.extend(now.map(|label| (label.into_boxed_str(), Some(*instance))));
    }
    replica.instances.update(snapshots);
    replica.labels.update(gone);
    replica.labels.update(given);
}
