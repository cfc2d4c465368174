//! The claims of a temporary token: a JWT that an instance's key has signed and any node verifies without a call.
//!
//! The signature is not checked here. Algorithm and key come from the instance's own table, never from the header:
//! the header's `kid` only names one of the instance's keys, and the algorithm is always EdDSA (Ed25519).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::grant::Grants;
use crate::ids::{InstanceId, TokenId};
use crate::time::UnixMillis;

/// The audience of every temporary token of a device.
pub const AUDIENCE: &str = "iotmq:device";

/// What a temporary token says. Every member but the principal's is required and typed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenClaims {
    /// Always [`AUDIENCE`].
    pub aud: String,
    /// The token's id; its time of issue in milliseconds is in it.
    pub jti: TokenId,
    /// The instance whose key signed it and in which alone it is good.
    pub instance: InstanceId,
    /// The one client identifier that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The subject, when any client identifier may use it.
    #[serde(default, rename = "sub", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What sorts the token for people and revocations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What its holder may do.
    pub grants: Grants,
    /// Not before this second.
    pub nbf: u64,
    /// Not from this second on.
    pub exp: u64,
    /// Issued in this second.
    pub iat: u64,
}

/// Why claims whose signature is right are still no right to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClaimsError {
    /// It is for another purpose.
    #[error("the token is not for devices")]
    Audience,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It names nobody, or both a client identifier and a subject.
    #[error("the token must name a client identifier or a subject, and not both")]
    Principal,
    /// Its id carries no time of issue.
    #[error("the token's id is not of version 7")]
    Id,
}

impl TokenClaims {
    /// Whether the claims hold at `now`.
    pub fn check(&self, now: UnixMillis) -> Result<(), ClaimsError> {
        if self.aud != AUDIENCE {
            return Err(ClaimsError::Audience);
        }
        if self.client_id.is_some() == self.subject.is_some() {
            return Err(ClaimsError::Principal);
        }
        if self.jti.issued_at().is_none() {
            return Err(ClaimsError::Id);
        }
        if now < UnixMillis::from_secs(self.nbf) {
            return Err(ClaimsError::NotYetValid);
        }
        if now >= UnixMillis::from_secs(self.exp) {
            return Err(ClaimsError::Expired);
        }
        Ok(())
    }

    /// When the token was issued, to the millisecond.
    #[must_use]
    pub fn issued_at(&self) -> UnixMillis {
        self.jti.issued_at().unwrap_or(UnixMillis::from_secs(self.iat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> TokenClaims {
        serde_json::from_value(serde_json::json!({
            "aud": AUDIENCE, "jti": "0193a5f0-0000-7000-8000-000000000000",
            "instance": "0193a5f0-0000-7000-8000-000000000001", "client_id": "car-001",
            "grants": [], "nbf": 100, "exp": 200, "iat": 100,
        }))
        .expect("claims")
    }

    #[test]
    fn a_token_holds_from_nbf_until_exp() {
        for (millis, expected) in [
            (99_999, Err(ClaimsError::NotYetValid)),
            (100_000, Ok(())),
            (199_999, Ok(())),
            (200_000, Err(ClaimsError::Expired)),
        ] {
            assert_eq!(claims().check(UnixMillis(millis)), expected, "{millis}");
        }
    }

    #[test]
    fn a_token_is_for_devices_and_names_one_principal() {
        let now = UnixMillis(150_000);
        let foreign = TokenClaims { aud: "iotmq:console".into(), ..claims() };
        let nobody = TokenClaims { client_id: None, ..claims() };
        let both = TokenClaims { subject: Some("fleet".into()), ..claims() };
        assert_eq!(foreign.check(now), Err(ClaimsError::Audience));
        assert_eq!(nobody.check(now), Err(ClaimsError::Principal));
        assert_eq!(both.check(now), Err(ClaimsError::Principal));
    }

    #[test]
    fn times_are_numbers_and_required() {
        let mut json = serde_json::to_value(claims()).expect("serializes");
        json["exp"] = "200".into();
        assert!(serde_json::from_value::<TokenClaims>(json.clone()).is_err(), "a text is no time");
        json.as_object_mut().expect("an object").remove("exp");
        assert!(serde_json::from_value::<TokenClaims>(json).is_err(), "a token without end is none");
    }
}
