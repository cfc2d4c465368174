//! Urgent entries, with what they speak of as it is when a node asks.

use contract::feed::{Document, DocumentKey, DocumentKind, InstanceState, Urgent, UrgentEntry};
use store::{PgConnection, StoreError};

use super::Feed;

/// The most entries of one answer.
const ENTRIES_MAX: i64 = 500;

impl Feed {
    /// The entries after this sequence and the sequence to ask after next; none while there is nothing to say.
    pub(super) async fn look_for_urgent(
        &self,
        after: u64,
    ) -> Result<Option<(Vec<UrgentEntry>, u64)>, StoreError> {
        let mut connection = self.core.store.read_for_node().await?;
        // In this order: what is written between the two is in the list, or is after the head.
        let head = store::urgent::head(&mut connection).await?;
        let mut entries = store::urgent::list_after(&mut connection, after, ENTRIES_MAX).await?;
        let Some(last) = entries.last().map(|entry| entry.sequence) else {
            // A node that is ahead comes from another history, or all it lacks is trimmed: it hears where the lane is.
            return Ok((after != head).then_some((Vec::new(), head)));
        };
        for entry in &mut entries {
            fill(&mut connection, entry).await?;
        }
        Ok(Some((entries, last)))
    }
}

async fn fill(connection: &mut PgConnection, entry: &mut UrgentEntry) -> Result<(), StoreError> {
    let (kind, name) = match &entry.urgent {
        Urgent::CredentialChanged { username, .. } => (DocumentKind::Credential, username.clone()),
        Urgent::InstanceStateChanged { .. } => (DocumentKind::Instance, String::new()),
        Urgent::Revoke { .. } | Urgent::Unknown => return Ok(()),
    };
    let key = DocumentKey { kind, instance: entry.instance, name };
    let found = store::documents::list(connection, std::slice::from_ref(&key)).await?.remove(&key);
    match (&mut entry.urgent, found) {
        // Another credential may have taken the name since: what is told is of this one or nothing.
        (Urgent::CredentialChanged { credential, document, .. }, Some(Document::Credential(now))) => {
            *document = (now.id == *credential).then_some(now);
        }
        (Urgent::InstanceStateChanged { state }, Some(Document::Instance(now))) => *state = now.state,
        (Urgent::InstanceStateChanged { state }, _) => *state = InstanceState::Deleting,
        _ => {}
    }
    Ok(())
}
