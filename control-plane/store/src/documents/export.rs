//! Documents in the order of their keys, page by page.

use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{Authentication, CredentialSecret, Document, DocumentKind, TopicMode};
use contract::grant::Grants;
use contract::ids::InstanceId;
use contract::limits::InstanceLimits;
use contract::shared_group::SharedStrategy;
use sqlx::types::Json;
use uuid::Uuid;

use super::{
    CredentialRow, InstanceRow, SigningKeyRow, TopicRow, credentials, instances, signing_keys, topics,
};
use crate::named::Named;
use crate::{PgConnection, StoreError};

/// The kinds that an export has, in its order: an instance comes before what is in it.
pub const EXPORTED: &[DocumentKind] = &[
    DocumentKind::Instance,
    DocumentKind::SigningKey,
    DocumentKind::Topic,
    DocumentKind::Credential,
    DocumentKind::Revocation,
];

/// The first `limit` documents of a kind after this instance and name, in their order.
pub async fn list_after(
    connection: &mut PgConnection,
    kind: DocumentKind,
    after: (InstanceId, &str),
    limit: i64,
) -> Result<Vec<Document>, StoreError> {
    let (instance, name) = (after.0.0, after.1);
    match kind {
        DocumentKind::Instance => {
            let rows = instances!("WHERE instance_id > $1 ORDER BY instance_id LIMIT $2", instance, limit);
            Ok(rows.fetch_all(connection).await?.into_iter().map(Document::from).collect())
        }
        DocumentKind::SigningKey => {
            let rows = signing_keys!(
                "AND (instance_id, kid) > ($1, $2) ORDER BY instance_id, kid LIMIT $3",
                instance,
                name,
                limit
            );
            Ok(rows.fetch_all(connection).await?.into_iter().map(Document::from).collect())
        }
        DocumentKind::Topic => {
            let rows = topics!(
                "WHERE (instance_id, name) > ($1, $2) ORDER BY instance_id, name LIMIT $3",
                instance,
                name,
                limit
            );
            Ok(rows.fetch_all(connection).await?.into_iter().map(Document::from).collect())
        }
        DocumentKind::Credential => {
            let rows = credentials!(
                "WHERE (instance_id, username) > ($1, $2) ORDER BY instance_id, username LIMIT $3",
                instance,
                name,
                limit
            );
            Ok(rows.fetch_all(connection).await?.into_iter().map(Document::from).collect())
        }
        DocumentKind::Revocation => {
            let after = name.parse().unwrap_or(Uuid::nil());
            let revocations = crate::revocations::list_after(connection, instance, after, limit).await?;
            Ok(revocations.into_iter().map(Document::Revocation).collect())
        }
        DocumentKind::Unknown => Ok(Vec::new()),
    }
}
