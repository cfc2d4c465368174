//! SCRAM-SHA-256, the server's part (RFC 5802, RFC 7677): messages in, messages out. Who a name is, and what is kept of
//! the secret, is told to it; chance too.
//!
//! Channel binding is not offered, and a client that insists on it is refused. An identity to act for is not taken
//! either: whoever proves a credential is that credential.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::feed::ScramKeys;

/// The bytes of a message of the client at most: a name, two nonces and a proof fit many times.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// The characters of the client's nonce at most. It comes back in every message.
const NONCE_BYTES_MAX: usize = 512;

/// The bytes of SHA-256, and so of every key and proof.
pub(crate) const KEY_BYTES: usize = 32;

/// The random bytes of the server's part of the nonce.
pub(crate) const NONCE_BYTES: usize = 18;

/// Why an exchange does not end well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ScramError {
    /// The message is not of the form that is due.
    #[error("the message is no SCRAM message, or not the one that is due")]
    Malformed,
    /// The client wants its channel bound, or to act for somebody else.
    #[error("channel binding and other identities are not offered")]
    NotOffered,
    /// The proof is not that of the secret.
    #[error("the proof is wrong")]
    Proof,
}

/// The client's first message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClientFirst {
    /// The user name, as it was meant.
    pub(crate) username: String,
    /// What is said about channel binding; comes back in the last message.
    header: String,
    /// The message without that.
    bare: String,
    nonce: String,
}

/// An exchange that waits for the client's last message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Exchange {
    header: String,
    client_first_bare: String,
    server_first: String,
    /// The client's nonce and the server's.
    nonce: String,
}

/// The proof of an exchange, not yet compared with any secret.
#[derive(Debug)]
pub(crate) struct Final {
    auth_message: String,
    proof: [u8; KEY_BYTES],
}

impl ClientFirst {
    /// Reads `gs2-header client-first-message-bare`.
    pub(crate) fn read(message: &[u8]) -> Result<Self, ScramError> {
        let message = text(message)?;
        let (binding, rest) = message.split_once(',').ok_or(ScramError::Malformed)?;
        let (identity, bare) = rest.split_once(',').ok_or(ScramError::Malformed)?;
        if !matches!(binding, "n" | "y") {
            let is_asked_for = binding.starts_with("p=");
            return Err(if is_asked_for { ScramError::NotOffered } else { ScramError::Malformed });
        }
        if !identity.is_empty() {
            let is_named = identity.starts_with("a=");
            return Err(if is_named { ScramError::NotOffered } else { ScramError::Malformed });
        }
        // An extension that must be understood would stand first, as `m=`.
        let mut attributes = bare.split(',');
        let username = attribute(attributes.next(), "n=").and_then(unescape)?;
        let nonce = attribute(attributes.next(), "r=")?;
        if username.is_empty() || !is_nonce(nonce) {
            return Err(ScramError::Malformed);
        }
        Ok(Self {
            username,
            header: format!("{binding},{identity},"),
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}

impl Exchange {
    /// Answers the first message with the salt and the iterations of a secret, and a nonce made of `chance`.
    pub(crate) fn begin(first: ClientFirst, keys: &ScramKeys, chance: [u8; NONCE_BYTES]) -> Self {
        Self::begin_with(first, keys, &STANDARD.encode(chance))
    }

    fn begin_with(first: ClientFirst, keys: &ScramKeys, server_nonce: &str) -> Self {
        let ClientFirst { header, bare, nonce, .. } = first;
        let nonce = format!("{nonce}{server_nonce}");
        let server_first = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt.0), keys.iterations);
        Self { header, client_first_bare: bare, server_first, nonce }
    }

    /// The server's first message.
    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Reads the client's last message.
    pub(crate) fn read_final(self, message: &[u8]) -> Result<Final, ScramError> {
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attribute(attributes.next(), "c=")?;
        let binding = STANDARD.decode(binding).map_err(|_| ScramError::Malformed)?;
        let nonce = attribute(attributes.next(), "r=")?;
        // Both are what the client has said before, so that nobody can have changed it on the way.
        if binding != self.header.as_bytes() || nonce != self.nonce {
            return Err(ScramError::Malformed);
        }
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        let proof = proof.try_into().map_err(|_| ScramError::Malformed)?;
        let Self { client_first_bare, server_first, .. } = self;
        Ok(Final { auth_message: format!("{client_first_bare},{server_first},{without_proof}"), proof })
    }
}

impl Final {
    /// The server's last message, if the proof is that of the secret behind these keys.
    pub(crate) fn verify(&self, keys: &ScramKeys) -> Result<String, ScramError> {
        let signature = sign(&keys.stored_key.0, &self.auth_message);
        let mut client_key = self.proof;
        for (byte, signed) in client_key.iter_mut().zip(signature.as_ref()) {
            *byte ^= signed;
        }
        let stored = digest::digest(&digest::SHA256, &client_key);
        verify_slices_are_equal(stored.as_ref(), &keys.stored_key.0).map_err(|_| ScramError::Proof)?;
        Ok(format!("v={}", STANDARD.encode(sign(&keys.server_key.0, &self.auth_message))))
    }
}

fn sign(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed)?;
    if text.len() > MESSAGE_BYTES_MAX { Err(ScramError::Malformed) } else { Ok(text) }
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, ScramError> {
    part.and_then(|part| part.strip_prefix(name)).ok_or(ScramError::Malformed)
}

/// Printable characters but the comma.
fn is_nonce(nonce: &str) -> bool {
    (1..=NONCE_BYTES_MAX).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `=2C` stands for a comma and `=3D` for an equals sign, which stands for nothing else.
fn unescape(name: &str) -> Result<String, ScramError> {
    let mut parts = name.split('=');
    let mut meant = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = if let Some(rest) = part.strip_prefix("2C") {
            (',', rest)
        } else {
            ('=', part.strip_prefix("3D").ok_or(ScramError::Malformed)?)
        };
        meant.push(sign);
        meant.push_str(rest);
    }
    Ok(meant)
}

/// What a client answers to a server's first message; for tests.
#[cfg(test)]
pub(crate) fn answer(first_bare: &str, header: &str, server_first: &str, secret: &[u8]) -> String {
    use std::num::NonZeroU32;

    use aws_lc_rs::pbkdf2;

    let part = |at: usize, name: &str| {
        server_first.split(',').nth(at).and_then(|part| part.strip_prefix(name)).expect("a part").to_owned()
    };
    let (nonce, salt, iterations) = (part(0, "r="), part(1, "s="), part(2, "i="));
    let salt = STANDARD.decode(salt).expect("base64");
    let iterations = NonZeroU32::new(iterations.parse().expect("a number")).expect("not zero");
    let mut salted = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, secret, &mut salted);
    let client_key = sign(&salted, "Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let without_proof = format!("c={},r={nonce}", STANDARD.encode(header));
    let signature = sign(stored_key.as_ref(), &format!("{first_bare},{server_first},{without_proof}"));
    let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    format!("{without_proof},p={}", STANDARD.encode(proof))
}

/// What is kept of a secret; for tests.
#[cfg(test)]
pub(crate) fn keys(secret: &[u8], salt: &[u8]) -> ScramKeys {
    use std::num::NonZeroU32;

    use aws_lc_rs::pbkdf2;
    use contract::base64::Base64;

    const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");
    let mut salted = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, secret, &mut salted);
    let client_key = sign(&salted, "Client Key");
    ScramKeys {
        salt: Base64(salt.to_vec()),
        iterations: ITERATIONS.get(),
        stored_key: Base64(digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().to_vec()),
        server_key: Base64(sign(&salted, "Server Key").as_ref().to_vec()),
    }
}

#[cfg(test)]
mod tests;
