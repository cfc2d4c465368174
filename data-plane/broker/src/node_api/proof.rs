//! How a call proves that it is the controller's, and an answer that it is this node's. Pure but for the arithmetic:
//! the texts that are signed are those of [`contract::node_call`].

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use contract::base64::Base64;
use contract::node_call::{
    Authorization, CLOCK_SKEW_SECS_MAX, KEY_LABEL, NONCE_BYTES, answer_text, request_text,
};

/// The key of both ends, derived from the node's secret.
pub(crate) struct CallKey(hmac::Key);

/// Why a call is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ProofError {
    /// There is no signature, or it does not fit the call.
    #[error("the signature is missing or wrong")]
    Wrong,
    /// The clocks are too far apart, or the call is an old one.
    #[error("the call was signed more than {CLOCK_SKEW_SECS_MAX} s away from this node's time")]
    Clock,
    /// The call was signed for the node as it was before it was started again, which has forgotten its nonces.
    #[error("the call was signed before this node was started")]
    BeforeStart,
    /// The nonce was used before.
    #[error("the call was made before")]
    Replayed,
}

impl ProofError {
    /// What the caller is told.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Wrong => "signature_wrong",
            Self::Clock | Self::BeforeStart => "signature_expired",
            Self::Replayed => "nonce_replayed",
        }
    }
}

impl CallKey {
    /// The key of the node with this secret.
    pub(crate) fn of_secret(secret: &[u8]) -> Self {
        let of_both = hmac::Key::new(hmac::HMAC_SHA256, digest(&SHA256, secret).as_ref());
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&of_both, KEY_LABEL).as_ref()))
    }

    /// The nonce of a call that the controller has signed. Whether it was used before is not known here, nor is it to
    /// anybody of a call that was signed before `since_secs`.
    pub(crate) fn check<'a>(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        header: &'a str,
        now_secs: u64,
        since_secs: u64,
    ) -> Result<&'a str, ProofError> {
        let authorization = Authorization::parse(header).ok_or(ProofError::Wrong)?;
        let Authorization { timestamp, nonce, signature } = authorization;
        if Base64::decode(nonce).is_none_or(|nonce| nonce.0.len() != NONCE_BYTES) {
            return Err(ProofError::Wrong);
        }
        let signature = Base64::decode(signature).ok_or(ProofError::Wrong)?;
        let text = request_text(method, target, digest(&SHA256, body).as_ref(), timestamp, nonce);
        // In constant time.
        hmac::verify(&self.0, text.as_bytes(), &signature.0).map_err(|_| ProofError::Wrong)?;
        // Only now: who cannot sign does not learn this node's time.
        if timestamp.abs_diff(now_secs) > CLOCK_SKEW_SECS_MAX {
            return Err(ProofError::Clock);
        }
        if timestamp < since_secs {
            return Err(ProofError::BeforeStart);
        }
        Ok(nonce)
    }

    /// The signature of the answer to the call with this nonce.
    pub(crate) fn sign_answer(&self, nonce: &str, status: u16, body: &[u8]) -> String {
        self.sign(&answer_text(nonce, status, digest(&SHA256, body).as_ref()))
    }

    fn sign(&self, text: &str) -> String {
        Base64(hmac::sign(&self.0, text.as_bytes()).as_ref().to_vec()).encode()
    }

    /// The header of a call, as the controller makes it.
    #[cfg(test)]
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "AAECAwQFBgcICQoLDA0ODw";
    const NOW: u64 = 1_800_000_000;

    fn key() -> CallKey {
        CallKey::of_secret(&[7; 32])
    }

    /// The vectors that the controller's side is tested with too.
    #[test]
    fn the_signatures_are_these() {
        let header = key().header("GET", "/node/v1/messages?query=x", b"", NOW, NONCE);
        assert_eq!(
            header,
            "IOTMQ-NODE timestamp=1800000000, nonce=AAECAwQFBgcICQoLDA0ODw, \
             signature=4sknfFXofX-DwR7RQQh6cyHtn7gi0oS_29rbj_Ozt-s"
        );
        assert_eq!(key().sign_answer(NONCE, 200, b"{}"), "txgE42Q_nx9VsF7F2ZObCkJF3EXPwcC3iqGpXx-3F7A");
    }

    #[test]
    fn a_call_that_is_older_than_the_process_is_not_believed() {
        let header = key().header("GET", "/", b"", NOW, NONCE);
        for (since, checked) in
            [(NOW - 1, Ok(NONCE)), (NOW, Ok(NONCE)), (NOW + 1, Err(ProofError::BeforeStart))]
        {
            assert_eq!(key().check("GET", "/", b"", &header, NOW + 2, since), checked, "{since}");
        }
    }

    #[test]
    fn a_call_is_believed_as_it_was_signed_and_in_no_other_way() {
        let header = key().header("POST", "/node/v1/publish", b"{}", NOW, NONCE);
        let check = |method, target, body: &[u8], header: &str, now| {
            key().check(method, target, body, header, now, 0).map(str::to_owned)
        };
        let (post, target) = ("POST", "/node/v1/publish");
        assert_eq!(check(post, target, b"{}", &header, NOW).as_deref(), Ok(NONCE));
        for now in [NOW - CLOCK_SKEW_SECS_MAX, NOW + CLOCK_SKEW_SECS_MAX] {
            assert!(check(post, target, b"{}", &header, now).is_ok(), "within the bound");
        }
        for now in [NOW - CLOCK_SKEW_SECS_MAX - 1, NOW + CLOCK_SKEW_SECS_MAX + 1, 0] {
            assert_eq!(check(post, target, b"{}", &header, now), Err(ProofError::Clock));
        }
        let short_nonce = key().header(post, target, b"{}", NOW, "AAEC");
        let other_key = CallKey::of_secret(&[8; 32]).header(post, target, b"{}", NOW, NONCE);
        let later = header.replace("timestamp=1800000000", "timestamp=1800000001");
        for (method, target, body, header) in [
            ("GET", target, &b"{}"[..], header.as_str()),
            (post, "/node/v1/publish?", b"{}", &header),
            (post, target, b"{ }", &header),
            (post, target, b"{}", &later),
            (post, target, b"{}", &other_key),
            (post, target, b"{}", &short_nonce),
            (post, target, b"{}", "Bearer x"),
            (post, target, b"{}", ""),
        ] {
            assert_eq!(check(method, target, body, header, NOW), Err(ProofError::Wrong), "{header}");
        }
    }
}
