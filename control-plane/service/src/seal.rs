//! Sealing under the master key, and randomness. What is sealed for one column of one tenant opens nowhere else.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{digest, rand};

/// The bytes of a master key.
pub const MASTER_KEY_BYTES: usize = 32;
/// The first byte of what is sealed in this way.
const SEAL_VERSION: u8 = 1;

/// The key under which private keys and stored answers are sealed. Whoever loses it loses the signing keys.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; MASTER_KEY_BYTES]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

/// What was sealed does not open: it was altered, moved, or sealed under another key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("what was sealed does not open with this master key")]
pub struct OpenError;

impl MasterKey {
    /// A key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; MASTER_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self(random())
    }

    /// The bytes, to be kept where only the controller reads them.
    #[must_use]
    pub const fn expose(&self) -> &[u8; MASTER_KEY_BYTES] {
        &self.0
    }

    fn key(&self) -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).expect("the key has the algorithm's length")
    }

    /// Seals `plain` for one place: `owner` is the tenant (or whoever it belongs to), `column` the table's column.
    pub(crate) fn seal(&self, owner: &str, column: &str, plain: &[u8]) -> Vec<u8> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .key()
            .seal_in_place_append_tag(Aad::from(place(owner, column)), &mut sealed)
            .expect("AES-GCM seals anything below 64 GiB");
        [&[SEAL_VERSION], nonce.as_ref().as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for this place.
    pub(crate) fn open(&self, owner: &str, column: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (version, rest) = sealed.split_first().ok_or(OpenError)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(OpenError)?;
        if *version != SEAL_VERSION {
            return Err(OpenError);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError)?;
        let mut plain = sealed.to_vec();
        let opened = self.key().open_in_place(nonce, Aad::from(place(owner, column)), &mut plain);
        let length = opened.map_err(|_| OpenError)?.len();
        plain.truncate(length);
        Ok(plain)
    }
}

fn place(owner: &str, column: &str) -> Vec<u8> {
    format!("{owner}\n{column}").into_bytes()
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_in_its_place_and_unaltered() {
        let key = MasterKey::generate();
        let sealed = key.seal("tenant a", "signing_key.private_key", b"a private key");
        assert!(!sealed.windows(9).any(|window| window == b"a private"));
        assert_eq!(key.open("tenant a", "signing_key.private_key", &sealed), Ok(b"a private key".to_vec()));
        assert_eq!(key.open("tenant b", "signing_key.private_key", &sealed), Err(OpenError));
        assert_eq!(key.open("tenant a", "idempotency.answer", &sealed), Err(OpenError));
        let other = MasterKey::generate();
        assert_eq!(other.open("tenant a", "signing_key.private_key", &sealed), Err(OpenError));
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(
                key.open("tenant a", "signing_key.private_key", &altered),
                Err(OpenError),
                "byte {at}"
            );
            assert_eq!(key.open("tenant a", "signing_key.private_key", &sealed[..at]), Err(OpenError));
        }
        assert_ne!(sealed, key.seal("tenant a", "signing_key.private_key", b"a private key"));
    }

    #[test]
    fn a_master_key_is_not_printed() {
        assert_eq!(format!("{:?}", MasterKey::new([7; 32])), "MasterKey(***)");
    }
}
