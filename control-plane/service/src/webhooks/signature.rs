//! Signatures of webhooks, as Standard Webhooks has them: HMAC-SHA256 over `<id>.<timestamp>.<body>`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::seal::random;
use crate::secret::Secret;

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// The random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// The key behind a secret that people copy.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret([u8; SECRET_BYTES]);

impl SigningSecret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(random())
    }

    /// The one of these bytes; none if they are not as many.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As people copy it: `whsec_` and base64.
    #[must_use]
    pub fn text(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}", STANDARD.encode(self.0)))
    }

    fn sign(&self, content: &[u8]) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), content);
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// The header `webhook-signature`: one signature for each secret, so that a receiver may know either.
#[must_use]
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp_secs: i64, body: &str) -> String {
    let content = format!("{id}.{timestamp_secs}.{body}");
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(content.as_bytes())).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_the_specification_says() {
        // HMAC-SHA256 of `msg_1.1614265330.{"test": 2432232314}` under 32 bytes of 7, computed with another program.
        let secret = SigningSecret([7; 32]);
        assert_eq!(secret.text().expose(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        let signature = sign(&[secret], "msg_1", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,4tb+MnkCTqymlrGQQ6f66PPeMjMas7AHx6XI40qL5MA=");
    }

    #[test]
    fn while_secrets_change_both_sign() {
        let (old, new) = (SigningSecret::generate(), SigningSecret::generate());
        let one = |secret: &SigningSecret| sign(std::slice::from_ref(secret), "a", 1, "{}");
        assert_eq!(sign(&[new.clone(), old.clone()], "a", 1, "{}"), format!("{} {}", one(&new), one(&old)));
        assert_ne!(one(&new), sign(std::slice::from_ref(&new), "a", 2, "{}"), "the time is signed");
        assert_ne!(one(&new), sign(std::slice::from_ref(&new), "b", 1, "{}"), "the id is signed");
    }
}
