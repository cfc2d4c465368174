//! Keys of documents as they are kept: the instance's 16 bytes in front, so that an instance's documents stand together.

use contract::ids::InstanceId;
use engine::{Key, RETAINED_PREFIX};

/// Bytes of the instance.
pub(crate) const INSTANCE_BYTES: usize = 16;

/// A key with its instance.
pub(crate) fn full(instance: InstanceId, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(INSTANCE_BYTES + key.len());
    full.extend_from_slice(instance.0.as_bytes());
    full.extend_from_slice(key);
    full
}

/// The instance and the key; none for what no document stands under.
pub(crate) fn split(full: &[u8]) -> Option<(InstanceId, &[u8])> {
    let (instance, key) = full.split_first_chunk::<INSTANCE_BYTES>()?;
    (!key.is_empty()).then(|| (InstanceId(uuid::Uuid::from_bytes(*instance)), key))
}

/// Instance and key of a document that was found.
pub(crate) fn parse(full: &[u8]) -> Option<(InstanceId, Key)> {
    let (instance, key) = split(full)?;
    Some((instance, Key::new(key).ok()?))
}

/// Whether the document is a retained message.
pub(crate) fn is_retained(full: &[u8]) -> bool {
    full.get(INSTANCE_BYTES..).is_some_and(|key| key.starts_with(RETAINED_PREFIX.as_bytes()))
}

/// The first key behind all that begin with `prefix`; none when there is no such key.
pub(crate) fn behind_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut behind = prefix[..=last].to_vec();
    behind[last] += 1;
    Some(behind)
}

/// The key right behind another.
pub(crate) fn behind(full: &[u8]) -> Vec<u8> {
    [full, &[0]].concat()
}
