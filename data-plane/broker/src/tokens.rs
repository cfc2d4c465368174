//! Temporary tokens: their signature, and the memory of those whose signature was right.
//!
//! Algorithm and key come from the instance's own table: the header's `kid` only says which of its keys. Whether the
//! claims hold now, and whether the token has been taken back, is asked at every connect and never remembered.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use contract::claims::TokenClaims;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use replica::InstanceRules;

/// A token whose signature was right under a key that its instance had.
#[derive(Debug)]
pub(crate) struct VerifiedToken {
    pub(crate) claims: TokenClaims,
    pub(crate) kid: Box<str>,
    key: [u8; 32],
}

impl VerifiedToken {
    /// Whether the instance still has the key that signed it.
    pub(crate) fn is_signed_by(&self, rules: &InstanceRules) -> bool {
        rules.keys.get(&self.kid).is_some_and(|key| key.public_key == self.key)
    }

    /// Whether that key may still let clients in at `now`. Those that are in may stay.
    pub(crate) fn may_connect_at(&self, rules: &InstanceRules, now: UnixMillis) -> bool {
        rules.keys.get(&self.kid).is_some_and(|key| key.verifies_at(now))
    }
}

type Digest = [u8; digest::SHA256_OUTPUT_LEN];
type Remembered = HashMap<Digest, Arc<VerifiedToken>, RandomState>;

/// Verified tokens by their SHA-256, in two generations: what is asked for moves to the young one; when that is half
/// of the bound, what is in the old one is forgotten.
pub(crate) struct Tokens {
    generations: Mutex<[Remembered; 2]>,
    remembered_max: usize,
}

impl Tokens {
    pub(crate) fn new(remembered_max: usize) -> Self {
        Self { generations: Mutex::default(), remembered_max }
    }

    /// The claims of a token that `rules_of` its instance can verify, with those rules. No claim is checked but the
    /// instance.
    pub(crate) fn verify(
        &self,
        token: &[u8],
        rules_of: impl Fn(&TokenClaims) -> Result<Arc<InstanceRules>, Refusal>,
    ) -> Result<(Arc<VerifiedToken>, Arc<InstanceRules>), Refusal> {
        let mut digest = Digest::default();
        digest.copy_from_slice(digest::digest(&digest::SHA256, token).as_ref());
        if let Some(verified) = self.recall(&digest) {
            let rules = rules_of(&verified.claims)?;
            if verified.is_signed_by(&rules) {
                return Ok((verified, rules));
            }
        }
        let claims =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Refusal::TokenInvalid)?;
        let rules = rules_of(&claims)?;
        let verified = Arc::new(check_signature(token, &rules)?);
        self.remember(digest, Arc::clone(&verified));
        Ok((verified, rules))
    }

    fn recall(&self, digest: &Digest) -> Option<Arc<VerifiedToken>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if let Some(verified) = young.get(digest) {
            return Some(Arc::clone(verified));
        }
        let verified = old.remove(digest)?;
        self.insert(young, old, *digest, Arc::clone(&verified));
        Some(verified)
    }

    fn remember(&self, digest: Digest, verified: Arc<VerifiedToken>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        self.insert(young, old, digest, verified);
    }

    fn insert(
        &self,
        young: &mut Remembered,
        old: &mut Remembered,
        digest: Digest,
        verified: Arc<VerifiedToken>,
    ) {
        if young.len() >= self.remembered_max.div_ceil(2) {
            *old = std::mem::take(young);
        }
        young.insert(digest, verified);
    }
}

/// Whether the bytes have the form of a signed token: what tells one from a password.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    let is_part = |part: &[u8]| {
        !part.is_empty()
            && part.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // Every header begins with `{"`.
    bytes.starts_with(b"eyJ")
        && bytes.split(|&byte| byte == b'.').count() == 3
        && bytes.split(|&byte| byte == b'.').all(is_part)
}

fn check_signature(token: &[u8], rules: &InstanceRules) -> Result<VerifiedToken, Refusal> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::TokenInvalid)?;
    let kid: Box<str> = header.kid.ok_or(Refusal::TokenInvalid)?.into();
    let key = rules.keys.get(&kid).ok_or(Refusal::TokenInvalid)?.public_key;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // The claims are checked by the agreement's own rules.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let token = jsonwebtoken::decode::<TokenClaims>(token, &DecodingKey::from_ed_der(&key), &validation)
        .map_err(|_| Refusal::TokenInvalid)?;
    if token.claims.instance != rules.document.id {
        return Err(Refusal::TokenInvalid);
    }
    Ok(VerifiedToken { claims: token.claims, kid, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_a_password_by_its_form() {
        for (text, token) in [
            ("eyJhbGciOiJFZERTQSJ9.eyJhIjoxfQ.c2ln_-", true),
            ("eyJhbGciOiJFZERTQSJ9.eyJhIjoxfQ.", false),
            ("eyJhbGciOiJFZERTQSJ9.eyJhIjoxfQ", false),
            ("eyJ.a.b.c", false),
            ("hunter2.with.dots", false),
            ("eyJ a.b.c", false),
            ("", false),
        ] {
            assert_eq!(is_token(text.as_bytes()), token, "{text}");
        }
    }
}
