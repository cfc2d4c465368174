//! One copy of the configuration: the rows of a keyspace, and the row that says how far they are.
//!
//! All rows of a copy, the position's too, share one keyspace and with it one order of writing: should the end of the
//! disk's journal be lost, what is left is an earlier state and says so itself. Rows are JSON, as in the feed, so that
//! a release before or after this one reads them.

use contract::feed::{CredentialDocument, Document, DocumentKey, DocumentKind, Generation};
use contract::ids::InstanceId;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, Slice};
use serde::{Deserialize, Serialize};

use crate::apply::ReplicaError;
use crate::rules::{Draft, Drafts};

/// The longest name of a document that is kept, in bytes: the disk's keys have at most 65 535.
const NAME_BYTES_MAX: usize = 65_000;
/// Rows held in memory before they are written to a table.
const MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

const POSITION_KEY: [u8; 1] = [0];

/// How far a copy is, as its own row says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StoredPosition {
    pub(crate) generation: Generation,
    pub(crate) urgent_sequence: u64,
    /// The feed's format version of the release that took the copy. Another release may have left out of the rows
    /// what it did not know, so this one serves them and asks for an export.
    pub(crate) feed_format: u32,
}

/// One copy. Dropping it leaves it on disk.
pub(crate) struct Copy {
    keyspace: Keyspace,
}

/// A row that this release cannot read.
#[derive(Debug, thiserror::Error)]
#[error("a row of the replica cannot be read")]
pub(crate) struct UnreadableRow(#[source] pub(crate) serde_json::Error);

impl Copy {
    /// Opens the copy with this number, or begins it.
    pub(crate) fn open(database: &Database, number: u64) -> Result<Self, fjall::Error> {
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX);
        Ok(Self { keyspace: database.keyspace(&Self::name(number), options)? })
    }

    pub(crate) fn name(number: u64) -> String {
        format!("copy-{number}")
    }

    pub(crate) fn number(name: &str) -> Option<u64> {
        name.strip_prefix("copy-")?.parse().ok()
    }

    pub(crate) fn delete(&self, database: &Database) -> Result<(), fjall::Error> {
        database.delete_keyspace(self.keyspace.clone())
    }

    /// The copy's own word on how far it is; none when it has no such row or one that cannot be read.
    pub(crate) fn position(&self) -> Result<Option<StoredPosition>, fjall::Error> {
        Ok(self.keyspace.get(POSITION_KEY)?.and_then(|row| serde_json::from_slice(&row).ok()))
    }

    pub(crate) fn put_position(&self, batch: &mut OwnedWriteBatch, position: &StoredPosition) {
        let row = serde_json::to_vec(position).expect("a struct of plain values serializes");
        batch.insert(&self.keyspace, POSITION_KEY.as_slice(), row);
    }

    pub(crate) fn put(&self, batch: &mut OwnedWriteBatch, key: &DocumentKey, document: &Document) {
        let row = serde_json::to_vec(document).expect("a document serializes");
        batch.insert(&self.keyspace, row_key(key), row);
    }

    pub(crate) fn delete_row(&self, batch: &mut OwnedWriteBatch, key: &DocumentKey) {
        batch.remove(&self.keyspace, row_key(key));
    }

    pub(crate) fn get(&self, key: &DocumentKey) -> Result<Option<Document>, ReplicaError> {
        let row = self.keyspace.get(row_key(key))?;
        row.map(|row| read(&row)).transpose().map_err(ReplicaError::from)
    }

    /// The credential and the bytes of its row.
    pub(crate) fn credential(
        &self,
        instance: InstanceId,
        username: &str,
    ) -> Result<Option<(CredentialDocument, usize)>, ReplicaError> {
        if username.len() > NAME_BYTES_MAX {
            return Ok(None);
        }
        let Some(row) = self.keyspace.get(encode_key(DocumentKind::Credential, instance, username))? else {
            return Ok(None);
        };
        match read(&row)? {
            Document::Credential(document) => Ok(Some((document, row.len()))),
            Document::Instance(_)
            | Document::Topic(_)
            | Document::SigningKey(_)
            | Document::Revocation(_)
            | Document::Unknown => Ok(None),
        }
    }

    /// The keys of every row that belongs to the instance, its own included.
    pub(crate) fn keys_of(&self, instance: InstanceId) -> Result<Vec<DocumentKey>, fjall::Error> {
        let mut keys = Vec::new();
        for kind in KINDS {
            for row in self.keyspace.prefix(encode_key(kind, instance, "")) {
                keys.extend(decode_key(&row.key()?));
            }
        }
        Ok(keys)
    }

    /// What is on disk of an instance, its credentials apart.
    pub(crate) fn draft(&self, instance: InstanceId) -> Result<Draft, ReplicaError> {
        let mut draft = Draft::default();
        for kind in RULE_KINDS {
            for row in self.keyspace.prefix(encode_key(kind, instance, "")) {
                draft.put(read(&row.value()?)?);
            }
        }
        Ok(draft)
    }

    /// Every instance, and how many rows could not be read.
    pub(crate) fn drafts(&self) -> Result<(Drafts, usize), fjall::Error> {
        let (mut drafts, mut unreadable) = (Drafts::default(), 0);
        for kind in RULE_KINDS {
            for row in self.keyspace.prefix([kind_byte(kind)]) {
                let (key, value) = row.into_inner()?;
                match (decode_key(&key), read(&value)) {
                    (Some(key), Ok(document)) => drafts.entry(key.instance).or_default().put(document),
                    _ => unreadable += 1,
                }
            }
        }
        Ok((drafts, unreadable))
    }

    /// Every revocation on disk, those of instances that are not known included.
    pub(crate) fn revocations(
        &self,
    ) -> impl Iterator<Item = Result<contract::revocation::Revocation, fjall::Error>> {
        self.keyspace.prefix([kind_byte(DocumentKind::Revocation)]).filter_map(|row| match row.value() {
            Ok(row) => match read(&row) {
                Ok(Document::Revocation(revocation)) => Some(Ok(revocation)),
                Ok(_) | Err(_) => None,
            },
            Err(error) => Some(Err(error)),
        })
    }
}

/// Whether a document with this key can be a row. What cannot is of a kind this release does not know, or has a name
/// that no topic or user name of MQTT could have.
pub(crate) fn is_kept(key: &DocumentKey) -> bool {
    key.kind != DocumentKind::Unknown && key.name.len() <= NAME_BYTES_MAX
}

/// What a snapshot of rules is made of.
const RULE_KINDS: [DocumentKind; 4] =
    [DocumentKind::Instance, DocumentKind::Topic, DocumentKind::SigningKey, DocumentKind::Revocation];
const KINDS: [DocumentKind; 5] = [
    DocumentKind::Instance,
    DocumentKind::Topic,
    DocumentKind::SigningKey,
    DocumentKind::Revocation,
    DocumentKind::Credential,
];

/// On disk: these must keep their numbers.
const fn kind_byte(kind: DocumentKind) -> u8 {
    match kind {
        DocumentKind::Instance => 1,
        DocumentKind::Topic => 2,
        DocumentKind::SigningKey => 3,
        DocumentKind::Revocation => 4,
        DocumentKind::Credential => 5,
        DocumentKind::Unknown => u8::MAX,
    }
}

fn row_key(key: &DocumentKey) -> Vec<u8> {
    encode_key(key.kind, key.instance, &key.name)
}

fn encode_key(kind: DocumentKind, instance: InstanceId, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(17 + name.len());
    key.push(kind_byte(kind));
    key.extend_from_slice(instance.0.as_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

fn decode_key(key: &[u8]) -> Option<DocumentKey> {
    let (kind, rest) = key.split_first()?;
    let kind = KINDS.into_iter().find(|known| kind_byte(*known) == *kind)?;
    let (instance, name) = rest.split_at_checked(16)?;
    let instance = InstanceId(uuid::Uuid::from_slice(instance).ok()?);
    Some(DocumentKey { kind, instance, name: String::from_utf8(name.to_vec()).ok()? })
}

fn read(row: &Slice) -> Result<Document, UnreadableRow> {
    serde_json::from_slice(row).map_err(UnreadableRow)
}

#[cfg(test)]
impl Copy {
    /// The keys of the documents, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<u8>> {
        self.keyspace.range([1]..).map(|row| row.key().expect("reads").to_vec())
    }

    pub(crate) fn overwrite(&self, database: &Database, key: &[u8], row: &[u8]) {
        let mut batch = database.batch().durability(Some(fjall::PersistMode::SyncAll));
        batch.insert(&self.keyspace, key, row);
        batch.commit().expect("written");
    }
}
