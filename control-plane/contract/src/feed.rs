//! The change feed: how configuration reaches a node.
//!
//! Every committed change of configuration has a number, and the numbers of one timeline are committed in order. A
//! node asks for *changes after G* and gets whole documents as they are now; since a document only ever gets newer,
//! reading a change late or twice does no harm. A node that is new, or whose timeline is gone, takes an export: pages
//! of documents, good once joined with the changes after the generation at which the export began.
//!
//! Revocations, kicks and suspensions also have a lane of their own, with their own sequence, applied at once.
//!
//! Both carry [`FORMAT_VERSION`]. One release of skew works either way: unknown members are ignored, an unknown kind
//! of document or of urgent entry is [`Document::Unknown`] or [`Urgent::Unknown`] and passed over.

use serde::{Deserialize, Serialize};

use crate::base64::Base64;
use crate::durability::{DurabilityClass, QueueOverflow};
use crate::grant::Grants;
use crate::ids::{CredentialId, InstanceId, TenantId, TimelineId};
use crate::limits::InstanceLimits;
use crate::revocation::Revocation;
use crate::shared_group::SharedStrategy;
use crate::time::UnixMillis;

/// The version of these forms. A node accepts its own, the one before and the one after.
pub const FORMAT_VERSION: u32 = 1;

/// Whether a peer that speaks `theirs` can be understood: its own version, one before or one after.
#[must_use]
pub const fn understands(theirs: u32) -> bool {
    theirs.abs_diff(FORMAT_VERSION) <= 1
}

/// A point in the history of configuration. Numbers grow within a timeline and say nothing across timelines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Generation {
    /// Which database's history.
    pub timeline: TimelineId,
    /// How far.
    pub number: u64,
}

/// Which document a change speaks of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct DocumentKey {
    /// What kind of document.
    pub kind: DocumentKind,
    /// The instance it belongs to.
    pub instance: InstanceId,
    /// Which one within its kind and instance: a topic's name, a credential's user name, a key's `kid`, a
    /// revocation's id; for the instance itself nothing.
    pub name: String,
}

/// The kinds of documents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// [`InstanceDocument`]
    Instance,
    /// [`TopicDocument`]
    Topic,
    /// [`CredentialDocument`]
    Credential,
    /// [`SigningKeyDocument`]
    SigningKey,
    /// [`Revocation`]
    Revocation,
    /// A kind of a later release.
    #[serde(other)]
    Unknown,
}

/// One document, whole.
#[expect(
    clippy::large_enum_variant,
    reason = "documents are read and applied one after the other, never kept as such"
)]
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Document {
    /// An instance.
    Instance(InstanceDocument),
    /// A provisioned topic.
    Topic(TopicDocument),
    /// A credential.
    Credential(CredentialDocument),
    /// A public key that verifies temporary tokens.
    SigningKey(SigningKeyDocument),
    /// Tokens taken back.
    Revocation(Revocation),
    /// A kind of a later release.
    #[serde(other)]
    Unknown,
}

impl Document {
    /// The key of this document; `None` for a kind that this release does not know.
    #[must_use]
    pub fn key(&self) -> Option<DocumentKey> {
        let (kind, instance, name) = match self {
            Self::Instance(it) => (DocumentKind::Instance, it.id, String::new()),
            Self::Topic(it) => (DocumentKind::Topic, it.instance, it.name.clone()),
            Self::Credential(it) => (DocumentKind::Credential, it.instance, it.username.clone()),
            Self::SigningKey(it) => (DocumentKind::SigningKey, it.instance, it.kid.clone()),
            Self::Revocation(it) => (DocumentKind::Revocation, it.instance, it.id.to_string()),
            Self::Unknown => return None,
        };
        Some(DocumentKey { kind, instance, name })
    }
}

/// Whether an instance serves its clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It does.
    Running,
    /// Its clients are refused and disconnected, its things are kept.
    Suspended,
    /// It is being deleted: as suspended.
    Deleting,
    /// A state of a later release: as suspended, since a node fails closed.
    #[serde(other)]
    Unknown,
}

/// Which topics an instance accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TopicMode {
    /// Only those whose first level is a provisioned topic.
    Provisioned,
    /// Any.
    Open,
}

/// How clients of an instance may prove themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// A credential's user name and password.
    Password,
    /// A temporary token.
    Token,
    /// A way of a later release, which this one cannot check and so never accepts.
    #[serde(other)]
    Unknown,
}

/// An instance, as a node needs it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct InstanceDocument {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The first label of its server name, unique in the platform and never given to another tenant.
    pub label: String,
    /// Whether it serves.
    pub state: InstanceState,
    /// Which topics it accepts.
    pub topic_mode: TopicMode,
    /// How its clients may prove themselves.
    pub authentication: Vec<Authentication>,
    /// Which messages are logged, of topics that do not say themselves.
    #[serde(default)]
    pub durability: DurabilityClass,
    /// What gives way when more waits for a lasting session than the limits allow.
    #[serde(default)]
    pub queue_overflow: QueueOverflow,
    /// Whose turn it is among the members of a shared subscription.
    #[serde(default)]
    pub shared_strategy: SharedStrategy,
    /// What it may use.
    pub limits: InstanceLimits,
}

/// A provisioned topic: the rules of every topic name with this first level.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct TopicDocument {
    /// The instance.
    pub instance: InstanceId,
    /// The first level.
    pub name: String,
    /// The largest payload, where it is smaller than the packet limit allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_bytes_max: Option<u64>,
    /// How its messages are stored; not at all, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<TopicHistory>,
    /// Which of its messages are logged; as its instance has it, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<DurabilityClass>,
}

/// How long, and how much of, the messages of a topic are kept for queries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct TopicHistory {
    /// The age at which a message is no longer shown.
    pub retention_secs: u64,
    /// The bytes of messages beyond which the oldest are no longer shown; any number, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<u64>,
    /// Since when messages are stored.
    pub since: UnixMillis,
}

impl TopicHistory {
    /// What was stored before this moment is not shown at `now`.
    #[must_use]
    pub fn shown_since(&self, now: UnixMillis) -> UnixMillis {
        UnixMillis(now.0.saturating_sub(self.retention_secs.saturating_mul(1_000))).max(self.since)
    }
}

/// How a node recognises a generated secret without knowing it: HMAC-SHA-256 of the secret under the salt.
///
/// That is enough for a generated secret, which has too much entropy to be guessed, and takes a microsecond.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct PasswordVerifier {
    /// The key of the HMAC, of this secret alone.
    pub salt: Base64,
    /// The HMAC of the secret.
    pub hash: Base64,
}

/// What SCRAM-SHA-256 needs of a secret (RFC 5802, RFC 7677), made with it since it is not known later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct ScramKeys {
    /// The salt of the salted password.
    pub salt: Base64,
    /// The iterations of PBKDF2.
    pub iterations: u32,
    /// H(HMAC(salted password, "Client Key")).
    pub stored_key: Base64,
    /// HMAC(salted password, "Server Key").
    pub server_key: Base64,
}

/// One secret of a credential, as its verifiers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct CredentialSecret {
    /// For a password in CONNECT.
    pub verifier: PasswordVerifier,
    /// For enhanced authentication.
    pub scram: ScramKeys,
}

/// A credential, as a node needs it: no secret, only what recognises one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct CredentialDocument {
    /// Its id.
    pub id: CredentialId,
    /// The instance.
    pub instance: InstanceId,
    /// The user name, unique in the instance.
    pub username: String,
    /// The one client identifier that may use it; any, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whether it may be used.
    pub enabled: bool,
    /// The secrets that are good: one, or two while the device changes over.
    pub secrets: Vec<CredentialSecret>,
    /// What its holder may do.
    pub grants: Grants,
}

/// A public key of an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct SigningKeyDocument {
    /// The instance.
    pub instance: InstanceId,
    /// The key's name within it.
    pub kid: String,
    /// The 32 bytes of the Ed25519 public key.
    pub public_key: Base64,
    /// Tokens that it signed are good before this moment only, since another key signs; none while it signs itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifies_until: Option<UnixMillis>,
}

/// What changed to one document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// It is now this.
    Put {
        /// The whole document.
        document: Box<Document>,
    },
    /// It is gone. Deleting an instance takes everything below it.
    Delete {
        /// Which one.
        key: DocumentKey,
    },
    /// A way of a later release.
    #[serde(other)]
    Unknown,
}

/// The answer to *changes after G*.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ChangesAnswer {
    /// What changed; nothing, when the wait ran out.
    Changes {
        /// [`FORMAT_VERSION`] of the sender.
        format_version: u32,
        /// Where the node is once it has applied them all.
        generation: Generation,
        /// In order.
        changes: Vec<Change>,
    },
    /// The asked generation is of another timeline, in the future, or too old: take an export.
    ExportNeeded {
        /// [`FORMAT_VERSION`] of the sender.
        format_version: u32,
    },
}

/// One page of an export.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct ExportPage {
    /// [`FORMAT_VERSION`] of the sender.
    pub format_version: u32,
    /// The generation before the first page was read. Each page of one export bears its own; the node keeps the
    /// first's and asks for the changes after it.
    pub generation: Generation,
    /// The last sequence of the urgent lane before the page was read; as with the generation, the first page's counts.
    pub urgent_sequence: u64,
    /// Whole documents.
    pub documents: Vec<Document>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// One entry of the urgent lane.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct UrgentEntry {
    /// Its place in the lane, growing over the whole platform.
    pub sequence: u64,
    /// The instance it is about.
    pub instance: InstanceId,
    /// When it was made.
    pub at: UnixMillis,
    /// What to do at once.
    pub urgent: Urgent,
}

/// What the urgent lane carries. Each is idempotent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Urgent {
    /// Take back tokens and close the connections that were opened with them.
    Revoke {
        /// Which.
        revocation: Revocation,
    },
    /// Close the connections opened with this credential; the feed carries its new state.
    CredentialChanged {
        /// Which.
        credential: CredentialId,
        /// Its document as it is now; none when it is deleted.
        document: Option<CredentialDocument>,
        /// Its user name.
        username: String,
    },
    /// The instance is suspended, resumed or being deleted.
    InstanceStateChanged {
        /// Its state now.
        state: InstanceState,
    },
    /// An entry of a later release.
    #[serde(other)]
    Unknown,
}

/// The answer to *urgent entries after S*.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct UrgentAnswer {
    /// [`FORMAT_VERSION`] of the sender.
    pub format_version: u32,
    /// The history this lane belongs to; another than the node's own means that the node must take an export.
    pub timeline: TimelineId,
    /// In order of their sequence; empty, when the wait ran out.
    pub entries: Vec<UrgentEntry>,
    /// Entries after this sequence are what to ask for next.
    pub sequence: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_a_later_release_is_passed_over() {
        let later = r#"{"answer":"changes","format_version":2,
            "generation":{"timeline":"00000000-0000-0000-0000-000000000000","number":7},
            "changes":[{"change":"put","document":{"kind":"hologram","instance":"x","shape":[1]}},
                       {"change":"transmogrify","key":1},
                       {"change":"put","document":{"kind":"topic","colour":"red","name":"cars",
                        "instance":"00000000-0000-0000-0000-000000000001"}}]}"#;
        let ChangesAnswer::Changes { changes, format_version, .. } =
            serde_json::from_str(later).expect("parses")
        else {
            panic!("changes")
        };
        assert!(understands(format_version) && !understands(3));
        assert_eq!(changes[0], Change::Put { document: Box::new(Document::Unknown) });
        assert_eq!(changes[1], Change::Unknown);
        let Change::Put { document } = &changes[2] else { panic!("a put") };
        assert_eq!(
            document.key().map(|key| (key.kind, key.name)),
            Some((DocumentKind::Topic, "cars".into()))
        );
    }

    #[test]
    fn an_unknown_state_and_an_unknown_proof_fail_closed() {
        let json = r#"{"id":"00000000-0000-0000-0000-000000000001","tenant":"00000000-0000-0000-0000-000000000002",
            "label":"cars","state":"hibernating","topic_mode":"open","authentication":["token","telepathy"],"limits":{}}"#;
        let instance: InstanceDocument = serde_json::from_str(json).expect("parses");
        assert_eq!(instance.state, InstanceState::Unknown);
        assert_eq!(instance.authentication, [Authentication::Token, Authentication::Unknown]);
    }

    #[test]
    fn an_unknown_urgent_entry_keeps_its_place_in_the_lane() {
        let json = r#"{"format_version":2,"timeline":"00000000-0000-0000-0000-000000000000","sequence":9,"entries":[
            {"sequence":9,"instance":"00000000-0000-0000-0000-000000000001","at":5,"urgent":{"kind":"teleport","to":[1]}}]}"#;
        let answer: UrgentAnswer = serde_json::from_str(json).expect("parses");
        assert_eq!(answer.entries[0].urgent, Urgent::Unknown);
        assert_eq!(answer.entries[0].sequence, 9);
    }
}
