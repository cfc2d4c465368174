//! Applying what the controller says: ordinary changes in the order of their generation, urgent entries at once.

use contract::feed::{
    Change, Document, DocumentKey, DocumentKind, Generation, Urgent, UrgentAnswer, UrgentEntry,
};
use contract::ids::TimelineId;
use contract::time::UnixMillis;

use crate::Replica;
use crate::affected::Affected;
use crate::copy::{StoredPosition, UnreadableRow};
use crate::edit::{Edit, credential_id};

/// The most urgent entries remembered while an export is being taken; with more the export is given up.
pub(crate) const URGENT_DURING_EXPORT_MAX: usize = 100_000;

/// Why the replica did not take or give something. It is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// There is no copy, or not one that changes can be added to: take an export.
    #[error("the replica needs an export")]
    ExportNeeded,
    /// What was handed in belongs to another history: take an export.
    #[error("the configuration is of timeline `{theirs}`, the replica of `{ours}`")]
    OtherTimeline {
        /// The replica's.
        ours: TimelineId,
        /// The one handed in.
        theirs: TimelineId,
    },
    /// Another export is being taken.
    #[error("another export is under way")]
    ExportUnderway,
    /// More urgent entries arrived during the export than are remembered: take it again.
    #[error("more than {URGENT_DURING_EXPORT_MAX} urgent entries arrived during the export")]
    ExportOvertaken,
    /// A row cannot be read, which an export puts right.
    #[error("a row of the replica cannot be read")]
    UnreadableRow(#[source] serde_json::Error),
    /// The disk refused. After a failed write it takes no more until the node starts again.
    #[error("the replica's storage failed")]
    Storage(#[from] fjall::Error),
}

impl From<UnreadableRow> for ReplicaError {
    fn from(row: UnreadableRow) -> Self {
        Self::UnreadableRow(row.0)
    }
}

impl Replica {
    /// Takes changes and the generation they lead to, in one durable batch.
    ///
    /// At or below the generation held nothing happens, so that an answer said twice does no harm. Kinds of documents
    /// and of changes that this release does not know are passed over.
    pub fn apply(&self, changes: &[Change], generation: Generation) -> Result<Affected, ReplicaError> {
        let mut writer = self.writer();
        let (Some(stored), Some(copy)) = (writer.stored.clone(), self.copy.load_full()) else {
            return Err(ReplicaError::ExportNeeded);
        };
        check_timeline(&stored, generation.timeline)?;
        if writer.position().generation.is_none() {
            return Err(ReplicaError::ExportNeeded);
        }
        if generation.number <= stored.generation.number {
            return Ok(Affected::default());
        }
        let mut edit = Edit::new(&copy);
        for change in changes {
            match change {
                Change::Put { document } => edit.put(Document::clone(document)),
                Change::Delete { key } => edit.delete(key.clone())?,
                Change::Unknown => {}
            }
        }
        edit.commit(self, &mut writer, StoredPosition { generation, ..stored })
    }

    /// Takes what is new in an answer of the urgent lane, in one durable batch, and says for each new entry which
    /// connections to look at.
    ///
    /// Entries at or below the sequence held are passed over. Unlike [`Replica::apply`] it works on a copy that waits
    /// for an export too: a right taken back is not waited for.
    pub fn apply_urgent(&self, answer: &UrgentAnswer) -> Result<Vec<(u64, Affected)>, ReplicaError> {
        let mut writer = self.writer();
        let (Some(stored), Some(copy)) = (writer.stored.clone(), self.copy.load_full()) else {
            return Err(ReplicaError::ExportNeeded);
        };
        check_timeline(&stored, answer.timeline)?;
        let held = stored.urgent_sequence;
        let fresh: Vec<&UrgentEntry> = answer.entries.iter().filter(|entry| entry.sequence > held).collect();
        let last = fresh.iter().map(|entry| entry.sequence).fold(answer.sequence, u64::max);
        if last <= held {
            return Ok(Vec::new());
        }
        let mut edit = Edit::new(&copy);
        for entry in &fresh {
            edit.urgent(entry)?;
        }
        edit.commit(self, &mut writer, StoredPosition { urgent_sequence: last, ..stored })?;
        if let Some(during_export) = &mut writer.during_export {
            let room = (URGENT_DURING_EXPORT_MAX + 1).saturating_sub(during_export.len());
            during_export.extend(fresh.iter().take(room).map(|entry| (*entry).clone()));
        }
        Ok(fresh.into_iter().map(|entry| (entry.sequence, affected(entry))).collect())
    }

    /// Forgets the revocations that no token living at `now` can need; returns how many.
    pub fn forget_expired(&self, now: UnixMillis) -> Result<usize, ReplicaError> {
        let mut writer = self.writer();
        let (Some(stored), Some(copy)) = (writer.stored.clone(), self.copy.load_full()) else {
            return Ok(0);
        };
        let mut edit = Edit::new(&copy);
        let mut forgotten = 0;
        for revocation in copy.revocations() {
            let revocation = revocation?;
            if revocation.expires_at <= now
                && let Some(key) = Document::Revocation(revocation).key()
            {
                edit.delete(key)?;
                forgotten += 1;
            }
        }
        if forgotten > 0 {
            edit.commit(self, &mut writer, stored)?;
        }
        Ok(forgotten)
    }
}

impl Edit<'_> {
    /// The rows of one urgent entry.
    pub(crate) fn urgent(&mut self, entry: &UrgentEntry) -> Result<(), ReplicaError> {
        let key = |kind, name: &str| DocumentKey { kind, instance: entry.instance, name: name.to_owned() };
        match &entry.urgent {
            Urgent::Revoke { revocation } => self.put(Document::Revocation(revocation.clone())),
            Urgent::CredentialChanged { document: Some(document), .. } => {
                self.put(Document::Credential(document.clone()));
            }
            Urgent::CredentialChanged { document: None, username, credential } => {
                let key = key(DocumentKind::Credential, username);
                let is_another = match self.get(&key) {
                    // The name may have been given away since.
                    Ok(held) => held.as_ref().and_then(credential_id).is_some_and(|held| held != *credential),
                    Err(ReplicaError::UnreadableRow(_)) => false, // no proof of anything
                    Err(error) => return Err(error),
                };
                if !is_another {
                    self.delete(key)?;
                }
            }
            Urgent::InstanceStateChanged { state } => {
                if let Some(Document::Instance(mut document)) = self.get(&key(DocumentKind::Instance, ""))? {
                    document.state = *state;
                    self.put(Document::Instance(document));
                }
            }
            Urgent::Unknown => {}
        }
        Ok(())
    }
}

fn affected(entry: &UrgentEntry) -> Affected {
    match &entry.urgent {
        Urgent::Revoke { revocation } => {
            Affected { revocations: vec![revocation.clone()], ..Affected::default() }
        }
        Urgent::CredentialChanged { credential, .. } => {
            Affected { credentials: vec![(entry.instance, *credential)], ..Affected::default() }
        }
        Urgent::InstanceStateChanged { .. } => {
            Affected { instances: vec![entry.instance], ..Affected::default() }
        }
        Urgent::Unknown => Affected::default(),
    }
}

fn check_timeline(stored: &StoredPosition, theirs: TimelineId) -> Result<(), ReplicaError> {
    let ours = stored.generation.timeline;
    if ours == theirs { Ok(()) } else { Err(ReplicaError::OtherTimeline { ours, theirs }) }
}
