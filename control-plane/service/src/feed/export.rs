//! Exports: every document, page by page in the order of their keys. Each page is read on its own, so that none holds
//! up the database; the changes after the first page's generation make them whole.

use contract::base64::Base64;
use contract::feed::{DocumentKey, DocumentKind, ExportPage, FORMAT_VERSION};
use contract::ids::InstanceId;
use store::documents::EXPORTED;
use uuid::Uuid;

use super::{ExportError, Feed};
use crate::nodes::NodeCaller;

/// The most documents of one page.
const DOCUMENTS_MAX: i64 = 1_000;

impl Feed {
    pub(super) async fn export(
        &self,
        node: NodeCaller,
        cursor: Option<&str>,
    ) -> Result<ExportPage, ExportError> {
        let after = cursor.map(parse).transpose()?.unwrap_or(start(EXPORTED[0]));
        let mut connection = self.core.store.read_for_node().await?;
        store::nodes::see(&mut connection, node.node, None, self.core.now()).await?;
        // Before the documents: what changes while they are read comes after it.
        let generation = store::feed::head(&mut connection).await?;
        let urgent_sequence = store::urgent::head(&mut connection).await?;
        let place = (after.instance, after.name.as_str());
        let documents =
            store::documents::list_after(&mut connection, after.kind, place, DOCUMENTS_MAX).await?;
        let full = i64::try_from(documents.len()).unwrap_or(i64::MAX) >= DOCUMENTS_MAX;
        let last = documents.last().and_then(contract::feed::Document::key).filter(|_| full);
        let next = last.or_else(|| next_kind(after.kind).map(start));
        let next = next.map(|key| Base64(serde_json::to_vec(&key).expect("a key has a JSON form")).encode());
        Ok(ExportPage { format_version: FORMAT_VERSION, generation, urgent_sequence, documents, next })
    }
}

/// Before the first document of a kind.
const fn start(kind: DocumentKind) -> DocumentKey {
    DocumentKey { kind, instance: InstanceId(Uuid::nil()), name: String::new() }
}

fn next_kind(kind: DocumentKind) -> Option<DocumentKind> {
    let at = EXPORTED.iter().position(|exported| *exported == kind)?;
    EXPORTED.get(at + 1).copied()
}

fn parse(cursor: &str) -> Result<DocumentKey, ExportError> {
    let json = Base64::decode(cursor).ok_or(ExportError::InvalidCursor)?;
    serde_json::from_slice(&json.0).map_err(|_| ExportError::InvalidCursor)
}
