//! The rules of one instance, as front and workers read them: an immutable snapshot, replaced whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::durability::DurabilityClass;
use contract::feed::{
    Document, DocumentKey, DocumentKind, InstanceDocument, SigningKeyDocument, TopicDocument, TopicHistory,
};
use contract::ids::RevocationId;
use contract::time::UnixMillis;
use foldhash::HashMap;

use crate::revocations::Revocations;

/// The rule of a provisioned topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TopicRule {
    /// The largest payload in bytes, where it is smaller than the packet limit allows.
    pub payload_bytes_max: Option<u64>,
    /// How its messages are stored; not at all, when left out.
    pub history: Option<TopicHistory>,
    /// Which of its messages are logged; as its instance has it, when left out.
    pub durability: Option<DurabilityClass>,
}

/// A public key with which an instance's tokens are verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SigningKey {
    /// The Ed25519 public key.
    pub public_key: [u8; PUBLIC_KEY_BYTES],
    /// When it ceases to let anybody in; never, when left out.
    pub verifies_until: Option<UnixMillis>,
}

impl SigningKey {
    /// Whether a token that it signed may let a client in at `now`.
    #[must_use]
    pub fn verifies_at(&self, now: UnixMillis) -> bool {
        self.verifies_until.is_none_or(|until| now < until)
    }
}

/// Everything about an instance but its credentials.
#[derive(Clone, Debug)]
pub struct InstanceRules {
    /// Its document: state, limits, how clients prove themselves.
    pub document: InstanceDocument,
    /// Its provisioned topics, by their first level.
    pub topics: Arc<HashMap<Box<str>, TopicRule>>,
    /// Its public Ed25519 keys, by their `kid`.
    pub keys: Arc<HashMap<Box<str>, SigningKey>>,
    /// The tokens taken back.
    pub revocations: Revocations,
    /// Another number whenever document, topics or keys are other ones, and never one used before in this process. It
    /// stays when only revocations are added, which decide about connections and not about messages.
    pub epoch: u64,
}

/// The bytes of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;

/// An instance's rules in the making. Without a document there is no instance, whatever else is known of it.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) document: Option<InstanceDocument>,
    topics: Arc<HashMap<Box<str>, TopicRule>>,
    keys: Arc<HashMap<Box<str>, SigningKey>>,
    revocations: Revocations,
    /// Something other than revocations was touched.
    renewed: bool,
    epoch: u64,
}

impl Draft {
    pub(crate) fn of(rules: &InstanceRules) -> Self {
        Self {
            document: Some(rules.document.clone()),
            topics: Arc::clone(&rules.topics),
            keys: Arc::clone(&rules.keys),
            revocations: rules.revocations.clone(),
            renewed: false,
            epoch: rules.epoch,
        }
    }

    pub(crate) fn put(&mut self, document: Document) {
        match document {
            Document::Instance(instance) => {
                self.renewed = true;
                self.document = Some(instance);
            }
            Document::Topic(TopicDocument { name, payload_bytes_max, history, durability, .. }) => {
                self.renewed = true;
                let rule = TopicRule { payload_bytes_max, history, durability };
                Arc::make_mut(&mut self.topics).insert(name.into(), rule);
            }
            Document::SigningKey(SigningKeyDocument { kid, public_key, instance, verifies_until }) => {
                self.renewed = true;
                let keys = Arc::make_mut(&mut self.keys);
                if let Ok(public_key) = public_key.0.as_slice().try_into() {
                    keys.insert(kid.into(), SigningKey { public_key, verifies_until });
                } else {
                    // Fail closed: a key that cannot verify verifies nothing.
                    keys.remove(kid.as_str());
                    tracing::warn!(instance.id = %instance, kid, "a signing key does not have 32 bytes");
                }
            }
            Document::Revocation(revocation) => self.revocations.insert(revocation),
            Document::Credential(_) | Document::Unknown => {}
        }
    }

    /// Takes away what `gone` names; revocations are collected, since taking them away costs a pass over all.
    pub(crate) fn delete<'a>(&mut self, gone: impl Iterator<Item = &'a DocumentKey>) {
        let mut revocations: Vec<RevocationId> = Vec::new();
        for key in gone {
            match key.kind {
                DocumentKind::Instance => self.document = None,
                DocumentKind::Topic => {
                    self.renewed = true;
                    Arc::make_mut(&mut self.topics).remove(key.name.as_str());
                }
                DocumentKind::SigningKey => {
                    self.renewed = true;
                    Arc::make_mut(&mut self.keys).remove(key.name.as_str());
                }
                DocumentKind::Revocation => revocations.extend(key.name.parse::<RevocationId>().ok()),
                DocumentKind::Credential | DocumentKind::Unknown => {}
            }
        }
        if !revocations.is_empty() {
            self.revocations.remove(&revocations);
        }
    }

    /// The rules; none when there is no instance. A new epoch is drawn when anything but revocations was touched.
    pub(crate) fn finish(self, next_epoch: impl FnOnce() -> u64) -> Option<Arc<InstanceRules>> {
        let epoch = if self.renewed { next_epoch() } else { self.epoch };
        let Self { document, topics, keys, revocations, .. } = self;
        Some(Arc::new(InstanceRules { document: document?, topics, keys, revocations, epoch }))
    }
}

/// Drafts by instance, in order.
pub(crate) type Drafts = BTreeMap<contract::ids::InstanceId, Draft>;
