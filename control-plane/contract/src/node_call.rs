//! How the controller proves itself to a node, and a node its answer: the texts that are signed. Who signs them keeps
//! the key and does the arithmetic.
//!
//! Both ends know the SHA-256 of the node's secret. The key is HMAC-SHA-256 of [`KEY_LABEL`] under it; a signature is
//! HMAC-SHA-256 of one of the texts here under that key, in URL-safe base64.

/// What the key is derived for.
pub const KEY_LABEL: &[u8] = b"iotmq node call v1";

/// The scheme in the `Authorization` header: `IOTMQ-NODE timestamp=…, nonce=…, signature=…`.
pub const SCHEME: &str = "IOTMQ-NODE";

/// The header of an answer's signature.
pub const ANSWER_HEADER: &str = "iotmq-signature";

/// How far the clocks of the two may be apart; a nonce is remembered for twice as long.
pub const CLOCK_SKEW_SECS_MAX: u64 = 300;

/// The bytes of a nonce.
pub const NONCE_BYTES: usize = 16;

/// What the controller signs. `target` is path and query as they are sent, `timestamp` in Unix seconds.
#[must_use]
pub fn request_text(method: &str, target: &str, body_sha256: &[u8], timestamp: u64, nonce: &str) -> String {
    format!("{method}\n{target}\n{}\n{timestamp}\n{nonce}", hex(body_sha256))
}

/// What the node signs: its answer to the call with this nonce.
#[must_use]
pub fn answer_text(nonce: &str, status: u16, body_sha256: &[u8]) -> String {
    format!("{nonce}\n{status}\n{}", hex(body_sha256))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The members of an `Authorization` header of [`SCHEME`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authorization<'a> {
    /// Unix seconds.
    pub timestamp: u64,
    /// Unlike any other of this controller.
    pub nonce: &'a str,
    /// In URL-safe base64.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads a header's value; `None` if it is no such header, or a member is missing or said twice.
    #[must_use]
    pub fn parse(header: &'a str) -> Option<Self> {
        let members = header.strip_prefix(SCHEME)?.strip_prefix(' ')?;
        let (mut timestamp, mut nonce, mut signature) = (None, None, None);
        for member in members.split(',') {
            let (name, value) = member.trim().split_once('=')?;
            let place = match name {
                "timestamp" => &mut timestamp,
                "nonce" => &mut nonce,
                "signature" => &mut signature,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        Some(Self { timestamp: timestamp?.parse().ok()?, nonce: nonce?, signature: signature? })
    }

    /// The header's value.
    #[must_use]
    pub fn render(&self) -> String {
        let Self { timestamp, nonce, signature } = self;
        format!("{SCHEME} timestamp={timestamp}, nonce={nonce}, signature={signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_nothing_else_is_one() {
        let authorization = Authorization { timestamp: 7, nonce: "bm9uY2U", signature: "c2ln" };
        assert_eq!(Authorization::parse(&authorization.render()), Some(authorization));
        for wrong in [
            "Bearer x",
            "IOTMQ-NODE timestamp=7, nonce=a",
            "IOTMQ-NODE timestamp=7, nonce=a, signature=b, nonce=c",
            "IOTMQ-NODE timestamp=seven, nonce=a, signature=b",
            "IOTMQ-NODE timestamp=7, nonce=a, signature=b, more=c",
        ] {
            assert_eq!(Authorization::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_part_of_a_call_is_in_its_text() {
        let text = request_text("GET", "/node/v1/messages?query=x", &[0xab, 0x01], 7, "n");
        assert_eq!(text, "GET\n/node/v1/messages?query=x\nab01\n7\nn");
        assert_eq!(answer_text("n", 200, &[0]), "n\n200\n00");
    }
}
