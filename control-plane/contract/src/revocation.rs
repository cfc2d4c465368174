//! Revocations of temporary tokens: which tokens are good no more, whatever their signature says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::claims::TokenClaims;
use crate::ids::{InstanceId, RevocationId, TokenId};
use crate::time::UnixMillis;

/// Which tokens of an instance a revocation takes back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenSelector {
    /// These tokens.
    Ids(Vec<TokenId>),
    /// All of one client identifier.
    ClientId(String),
    /// All of one subject.
    Subject(String),
    /// All that carry every one of these labels.
    Labels(BTreeMap<String, String>),
    /// All that this signing key signed.
    SigningKey(String),
    /// All of the instance.
    All,
}

/// One revocation. It speaks of tokens issued before it, so that a token issued later is good.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Revocation {
    /// Its id.
    pub id: RevocationId,
    /// The instance whose tokens it takes back.
    pub instance: InstanceId,
    /// Which of them.
    pub selector: TokenSelector,
    /// Only tokens issued before this moment are meant.
    pub issued_before: UnixMillis,
    /// When the last token that it means has expired by itself: it may be forgotten then.
    pub expires_at: UnixMillis,
}

impl Revocation {
    /// Whether it takes back the token with these claims, signed by the key `kid`.
    #[must_use]
    pub fn revokes(&self, claims: &TokenClaims, kid: &str) -> bool {
        if claims.instance != self.instance || claims.issued_at() >= self.issued_before {
            return false;
        }
        match &self.selector {
            TokenSelector::Ids(ids) => ids.contains(&claims.jti),
            TokenSelector::ClientId(client_id) => claims.client_id.as_ref() == Some(client_id),
            TokenSelector::Subject(subject) => claims.subject.as_ref() == Some(subject),
            TokenSelector::Labels(labels) => {
                !labels.is_empty()
                    && labels.iter().all(|(name, value)| claims.labels.get(name) == Some(value))
            }
            TokenSelector::SigningKey(key) => key == kid,
            TokenSelector::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::AUDIENCE;

    fn claims() -> TokenClaims {
        serde_json::from_value(serde_json::json!({
            "aud": AUDIENCE, "jti": "0193a5f0-0000-7000-8000-000000000000",
            "instance": "0193a5f0-0000-7000-8000-000000000001", "client_id": "car-001",
            "labels": {"tour": "42", "fleet": "a"}, "grants": [], "nbf": 0, "exp": 9, "iat": 0,
        }))
        .expect("claims")
    }

    #[track_caller]
    fn check(selector: TokenSelector, revoked: bool) {
        let issued = claims().issued_at();
        let mut revocation = Revocation {
            id: RevocationId(uuid::Uuid::nil()),
            instance: claims().instance,
            selector,
            issued_before: UnixMillis(issued.0 + 1),
            expires_at: UnixMillis(u64::MAX),
        };
        assert_eq!(revocation.revokes(&claims(), "k1"), revoked);
        revocation.issued_before = issued;
        assert!(!revocation.revokes(&claims(), "k1"), "a token issued at or after the revocation is good");
        revocation.issued_before = UnixMillis(issued.0 + 1);
        revocation.instance = InstanceId(uuid::Uuid::nil());
        assert!(!revocation.revokes(&claims(), "k1"), "another instance's tokens are not meant");
    }

    #[test]
    fn selectors() {
        let labels = |pairs: &[(&str, &str)]| {
            TokenSelector::Labels(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        check(TokenSelector::Ids(vec![claims().jti]), true);
        check(TokenSelector::Ids(vec![]), false);
        check(TokenSelector::ClientId("car-001".into()), true);
        check(TokenSelector::ClientId("car-002".into()), false);
        check(TokenSelector::Subject("car-001".into()), false);
        check(labels(&[("tour", "42")]), true);
        check(labels(&[("tour", "42"), ("fleet", "b")]), false);
        check(labels(&[]), false);
        check(TokenSelector::SigningKey("k1".into()), true);
        check(TokenSelector::SigningKey("k2".into()), false);
        check(TokenSelector::All, true);
    }
}
