//! Generated secrets, and what recognises one without knowing it.

use std::num::NonZeroU32;

use aws_lc_rs::{hmac, pbkdf2};
use contract::base64::Base64;
use contract::feed::{CredentialSecret, PasswordVerifier, ScramKeys};

use crate::seal::{random, sha256};
use crate::secret::Secret;

/// The random bytes of a generated secret.
pub const SECRET_BYTES: usize = 32;
/// The bytes of a salt.
const SALT_BYTES: usize = 16;
/// The iterations of SCRAM: the least that RFC 7677 allows. A generated secret cannot be guessed, so more would only
/// cost devices, which compute them too.
const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");

/// A new secret: [`SECRET_BYTES`] random bytes in URL-safe base64.
#[must_use]
pub fn generate_secret() -> Secret {
    Secret::new(Base64(random::<SECRET_BYTES>().to_vec()).encode())
}

/// What recognises this secret: for a password in CONNECT and for SCRAM-SHA-256.
#[must_use]
pub fn verifiers(secret: &Secret) -> CredentialSecret {
    verifiers_beside(secret, None)
}

/// The same of a secret that will be good beside `other`. In SCRAM a server names the one salt of a user before it knows
/// which of two secrets the device has, so both have the same.
#[must_use]
pub fn verifiers_beside(secret: &Secret, other: Option<&CredentialSecret>) -> CredentialSecret {
    let secret = secret.expose().as_bytes();
    let salt = other.and_then(|other| other.scram.salt.0.as_slice().try_into().ok());
    let scram = scram_keys(secret, salt.unwrap_or_else(random));
    CredentialSecret { verifier: password_verifier(secret), scram }
}

fn password_verifier(secret: &[u8]) -> PasswordVerifier {
    let salt = random::<SALT_BYTES>();
    PasswordVerifier { salt: Base64(salt.to_vec()), hash: Base64(hmac_sha256(&salt, secret)) }
}

fn scram_keys(secret: &[u8], salt: [u8; SALT_BYTES]) -> ScramKeys {
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, SCRAM_ITERATIONS, &salt, secret, &mut salted);
    let client_key = hmac_sha256(&salted, b"Client Key");
    ScramKeys {
        salt: Base64(salt.to_vec()),
        iterations: SCRAM_ITERATIONS.get(),
        stored_key: Base64(sha256(&client_key)),
        server_key: Base64(hmac_sha256(&salted, b"Server Key")),
    }
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scram_keys_are_those_of_the_rfc() {
        // RFC 7677 part 3: user `user`, password `pencil`.
        let salt =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, "W22ZaJ0SNY7soEsUEjb6gQ==");
        let salt: [u8; SALT_BYTES] = salt.expect("base64").try_into().expect("16 bytes");
        let keys = scram_keys(b"pencil", salt);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac_sha256(&keys.server_key.0, message.as_bytes());
        let standard = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature);
        assert_eq!(standard, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(keys.iterations, 4096);
    }

    #[test]
    fn a_verifier_knows_its_secret_and_no_other() {
        let (secret, other) = (generate_secret(), generate_secret());
        assert_eq!(secret.expose().len(), 43);
        let kept = verifiers(&secret).verifier;
        assert_eq!(hmac_sha256(&kept.salt.0, secret.expose().as_bytes()), kept.hash.0);
        assert_ne!(hmac_sha256(&kept.salt.0, other.expose().as_bytes()), kept.hash.0);
        assert_ne!(kept.salt, verifiers(&secret).verifier.salt, "each has a salt of its own");
    }

    #[test]
    fn two_secrets_that_are_good_together_share_the_salt_of_scram() {
        let first = verifiers(&generate_secret());
        let second = verifiers_beside(&generate_secret(), Some(&first));
        assert_eq!(first.scram.salt, second.scram.salt);
        assert_ne!(first.scram.stored_key, second.scram.stored_key);
        assert_ne!(first.verifier.salt, second.verifier.salt);
        assert_ne!(first.scram.salt, verifiers(&generate_secret()).scram.salt);
    }
}
