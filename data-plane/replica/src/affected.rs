//! What a change of configuration means for connections that are already there.

use contract::ids::{CredentialId, InstanceId};
use contract::revocation::Revocation;

/// What live connections must be checked for again, against the rules as they are now. It says nothing of what became
/// of the things named: a credential in it may be changed or gone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Affected {
    /// Instances whose document, topics or signing keys changed: every connection of them.
    pub instances: Vec<InstanceId>,
    /// Credentials that changed: the connections opened with them.
    pub credentials: Vec<(InstanceId, CredentialId)>,
    /// Revocations that are new: the connections opened with tokens that they take back.
    pub revocations: Vec<Revocation>,
    /// Everything may have changed: every connection, for all of the above.
    pub all: bool,
}

impl Affected {
    /// Every connection.
    #[must_use]
    pub fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Whether no connection needs to be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && self.instances.is_empty() && self.credentials.is_empty() && self.revocations.is_empty()
    }

    /// All that these name, each thing once.
    #[must_use]
    pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut merged = Self::default();
        for part in parts {
            merged.all |= part.all;
            merged.instances.extend(&part.instances);
            merged.credentials.extend(&part.credentials);
            merged.revocations.extend(part.revocations.iter().cloned());
        }
        if merged.all {
            return Self::everything();
        }
        merged.instances.sort_unstable();
        merged.instances.dedup();
        merged.credentials.sort_unstable();
        merged.credentials.dedup();
        merged
    }

    /// How many things it names; everything is none by name.
    #[must_use]
    pub fn count(&self) -> usize {
        self.instances.len() + self.credentials.len() + self.revocations.len()
    }
}
