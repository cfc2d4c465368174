//! What nodes read of an instance and its things, whole and as it is now. These functions serve nodes, which are of
//! all tenants.

mod export;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{
    Authentication, CredentialDocument, CredentialSecret, Document, DocumentKey, DocumentKind,
    InstanceDocument, InstanceState, SigningKeyDocument, TopicDocument, TopicHistory, TopicMode,
};
use contract::grant::Grants;
use contract::ids::{CredentialId, InstanceId, TenantId};
use contract::limits::InstanceLimits;
use contract::shared_group::SharedStrategy;
use contract::time::UnixMillis;
use sqlx::types::Json;
use uuid::Uuid;

pub use self::export::{EXPORTED, list_after};
use crate::named::Named;
use crate::{PgConnection, StoreError, unsigned};

struct InstanceRow {
    instance_id: Uuid,
    tenant_id: Uuid,
    label: String,
    deleted: bool,
    suspended: bool,
    topic_mode: Named<TopicMode>,
    authentication: Json<Vec<Authentication>>,
    durability: Named<DurabilityClass>,
    queue_overflow: Named<QueueOverflow>,
    shared_strategy: Named<SharedStrategy>,
    limits: Json<InstanceLimits>,
}

impl From<InstanceRow> for Document {
    fn from(row: InstanceRow) -> Self {
        let state = match (row.deleted, row.suspended) {
            (true, _) => InstanceState::Deleting,
            (false, true) => InstanceState::Suspended,
            (false, false) => InstanceState::Running,
        };
        Self::Instance(InstanceDocument {
            id: InstanceId(row.instance_id),
            tenant: TenantId(row.tenant_id),
            label: row.label,
            state,
            topic_mode: row.topic_mode.0,
            authentication: row.authentication.0,
            durability: row.durability.0,
            queue_overflow: row.queue_overflow.0,
            shared_strategy: row.shared_strategy.0,
            limits: row.limits.0,
        })
    }
}

struct TopicRow {
    instance_id: Uuid,
    name: String,
    payload_bytes_max: Option<i64>,
    history_since: Option<DateTime<Utc>>,
    history_retention_secs: i64,
    history_retention_bytes: Option<i64>,
    durability: Option<Named<DurabilityClass>>,
}

impl From<TopicRow> for Document {
    fn from(row: TopicRow) -> Self {
        let history = row.history_since.map(|since| TopicHistory {
            retention_secs: unsigned(row.history_retention_secs),
            retention_bytes: row.history_retention_bytes.map(unsigned),
            since: UnixMillis(unsigned(since.timestamp_millis())),
        });
        Self::Topic(TopicDocument {
            instance: InstanceId(row.instance_id),
            name: row.name,
            payload_bytes_max: row.payload_bytes_max.map(unsigned),
            history,
            durability: row.durability.map(|class| class.0),
        })
    }
}

struct CredentialRow {
    credential_id: Uuid,
    instance_id: Uuid,
    username: String,
    client_id: Option<String>,
    enabled: bool,
    primary_secret: Json<CredentialSecret>,
    secondary_secret: Option<Json<CredentialSecret>>,
    grants: Json<Grants>,
}

impl From<CredentialRow> for Document {
    fn from(row: CredentialRow) -> Self {
        let secondary = row.secondary_secret.map(|secret| secret.0);
        Self::Credential(CredentialDocument {
            id: CredentialId(row.credential_id),
            instance: InstanceId(row.instance_id),
            username: row.username,
            client_id: row.client_id,
            enabled: row.enabled,
            secrets: std::iter::once(row.primary_secret.0).chain(secondary).collect(),
            grants: row.grants.0,
        })
    }
}

struct SigningKeyRow {
    instance_id: Uuid,
    kid: String,
    public_key: Vec<u8>,
    verifies_until: Option<DateTime<Utc>>,
}

impl From<SigningKeyRow> for Document {
    fn from(row: SigningKeyRow) -> Self {
        Self::SigningKey(SigningKeyDocument {
            instance: InstanceId(row.instance_id),
            kid: row.kid,
            public_key: contract::base64::Base64(row.public_key),
            verifies_until: row.verifies_until.map(|until| UnixMillis(unsigned(until.timestamp_millis()))),
        })
    }
}

macro_rules! instances {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            InstanceRow,
            r#"SELECT instance_id, tenant_id, label, deleted_at IS NOT NULL AS "deleted!",
                      suspended_by IS NOT NULL OR tenant.state <> 'active' AS "suspended!",
                      topic_mode AS "topic_mode: Named<TopicMode>",
                      authentication AS "authentication: Json<Vec<Authentication>>",
                      durability AS "durability: Named<DurabilityClass>",
                      queue_overflow AS "queue_overflow: Named<QueueOverflow>",
                      shared_strategy AS "shared_strategy: Named<SharedStrategy>",
                      limits AS "limits: Json<InstanceLimits>"
               FROM instance JOIN tenant USING (tenant_id) JOIN plan USING (plan_id) "# + $tail
            $(, $arg)*
        )
    };
}
macro_rules! topics {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            TopicRow,
            r#"SELECT instance_id, name, payload_bytes_max, history_since, history_retention_secs,
                      history_retention_bytes, durability AS "durability: Named<DurabilityClass>"
               FROM topic "# + $tail
            $(, $arg)*
        )
    };
}
macro_rules! credentials {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            CredentialRow,
            r#"SELECT credential_id, instance_id, username, client_id, enabled,
                      primary_secret AS "primary_secret: Json<CredentialSecret>",
                      secondary_secret AS "secondary_secret: Json<CredentialSecret>",
                      grants AS "grants: Json<Grants>"
               FROM credential "# + $tail
            $(, $arg)*
        )
    };
}
macro_rules! signing_keys {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            SigningKeyRow,
            "SELECT instance_id, kid, public_key, verifies_until FROM signing_key
             WHERE revoked_at IS NULL AND NOT withdrawn " + $tail
            $(, $arg)*
        )
    };
}
pub(super) use {credentials, instances, signing_keys, topics};

/// The documents with these keys, as far as they exist.
pub async fn list(
    connection: &mut PgConnection,
    keys: &[DocumentKey],
) -> Result<BTreeMap<DocumentKey, Document>, StoreError> {
    let mut documents = Vec::new();
    for kind in EXPORTED {
        let (instances, names): (Vec<Uuid>, Vec<String>) =
            keys.iter().filter(|key| key.kind == *kind).map(|key| (key.instance.0, key.name.clone())).unzip();
        if !instances.is_empty() {
            documents.extend(list_kind(connection, *kind, &instances, &names).await?);
        }
    }
    Ok(documents.into_iter().filter_map(|document| document.key().map(|key| (key, document))).collect())
}

async fn list_kind(
    connection: &mut PgConnection,
    kind: DocumentKind,
    instances: &[Uuid],
    names: &[String],
) -> Result<Vec<Document>, StoreError> {
    match kind {
        DocumentKind::Instance => {
            let rows = instances!("WHERE instance_id = ANY($1)", instances).fetch_all(connection).await?;
            Ok(rows.into_iter().map(Document::from).collect())
        }
        DocumentKind::Topic => {
            let rows = topics!(
                "WHERE (instance_id, name) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))",
                instances,
                names
            );
            Ok(rows.fetch_all(connection).await?.into_iter().map(Document::from).collect())
        }
        DocumentKind::Credential => {
            let rows = credentials!(
                "WHERE (instance_id, username) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))",
                instances,
                names
            );
            Ok(rows.fetch_all(connection).await?.into_iter().map(Document::from).collect())
        }
        DocumentKind::SigningKey => {
            let rows = signing_keys!(
                "AND (instance_id, kid) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))",
                instances,
                names
            );
            Ok(rows.fetch_all(connection).await?.into_iter().map(Document::from).collect())
        }
        DocumentKind::Revocation => {
            let ids: Vec<Uuid> = names.iter().filter_map(|name| name.parse().ok()).collect();
            let revocations = crate::revocations::list_by_id(connection, &ids).await?;
            Ok(revocations.into_iter().map(Document::Revocation).collect())
        }
        DocumentKind::Unknown => Ok(Vec::new()),
    }
}
