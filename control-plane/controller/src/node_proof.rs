//! The controller's side of the proof between it and a node: it signs its calls and believes signed answers. The node's
//! side is the broker's; the texts that are signed are those of [`contract::node_call`].

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use contract::base64::Base64;
use contract::node_call::{Authorization, KEY_LABEL, answer_text, request_text};

/// The key of both ends, derived from what the controller knows of the node's secret.
pub(crate) struct CallKey(hmac::Key);

impl CallKey {
    /// The key of the node whose secret has this SHA-256.
    pub(crate) fn of_secret_sha256(secret_sha256: &[u8]) -> Self {
        let of_both = hmac::Key::new(hmac::HMAC_SHA256, secret_sha256);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&of_both, KEY_LABEL).as_ref()))
    }

    /// The header that proves a call.
    pub(crate) fn header(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        timestamp: u64,
        nonce: &str,
    ) -> String {
        let text = request_text(method, target, digest(&SHA256, body).as_ref(), timestamp, nonce);
        Authorization { timestamp, nonce, signature: &self.sign(&text) }.render()
    }

    /// A text's signature.
    pub(crate) fn sign(&self, text: &str) -> String {
        Base64(hmac::sign(&self.0, text.as_bytes()).as_ref().to_vec()).encode()
    }

    /// Whether it is this node's answer to the call with this nonce.
    pub(crate) fn believes(&self, nonce: &str, status: u16, body: &[u8], signature: &str) -> bool {
        let text = answer_text(nonce, status, digest(&SHA256, body).as_ref());
        // In constant time.
        Base64::decode(signature).is_some_and(|it| hmac::verify(&self.0, text.as_bytes(), &it.0).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "AAECAwQFBgcICQoLDA0ODw";
    const SIGNATURE: &str = "txgE42Q_nx9VsF7F2ZObCkJF3EXPwcC3iqGpXx-3F7A";

    fn key(secret: &[u8]) -> CallKey {
        CallKey::of_secret_sha256(digest(&SHA256, secret).as_ref())
    }

    /// The vectors that the node's side is tested with too.
    #[test]
    fn the_signatures_are_these() {
        let header = key(&[7; 32]).header("GET", "/node/v1/messages?query=x", b"", 1_800_000_000, NONCE);
        assert_eq!(
            header,
            "IOTMQ-NODE timestamp=1800000000, nonce=AAECAwQFBgcICQoLDA0ODw, \
             signature=4sknfFXofX-DwR7RQQh6cyHtn7gi0oS_29rbj_Ozt-s"
        );
        assert!(key(&[7; 32]).believes(NONCE, 200, b"{}", SIGNATURE));
    }

    #[test]
    fn an_answer_is_believed_as_it_was_signed_and_in_no_other_way() {
        for (secret, nonce, status, body, signature) in [
            ([8; 32], NONCE, 200, &b"{}"[..], SIGNATURE),
            ([7; 32], "AAECAwQFBgcICQoLDA0ODg", 200, b"{}", SIGNATURE),
            ([7; 32], NONCE, 201, b"{}", SIGNATURE),
            ([7; 32], NONCE, 200, b"{ }", SIGNATURE),
            ([7; 32], NONCE, 200, b"{}", "txgE"),
            ([7; 32], NONCE, 200, b"{}", ""),
        ] {
            assert!(!key(&secret).believes(nonce, status, body, signature), "{nonce} {status} {signature}");
        }
    }
}
