//! The request that makes a WebSocket of an HTTP connection (RFC 6455, section 4.2), and its answer.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The sub-protocol of MQTT [MQTT-6.0.0-3], [MQTT-6.0.0-4].
const PROTOCOL: &str = "mqtt";

/// What is hashed behind the key (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a request makes no WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("this is MQTT over WebSocket: connect with a WebSocket client and the sub-protocol `mqtt`")]
    NotAsked,
    #[error("WebSocket is served in version 13")]
    Version,
    #[error("`Sec-WebSocket-Key` must be 16 bytes in Base64")]
    Key,
    #[error("offer the sub-protocol `mqtt` in `Sec-WebSocket-Protocol`")]
    Protocol,
    #[error(
        "pages of this origin may not connect: the operator allows them with `websocket.allowed_origins`"
    )]
    Origin,
}

impl IntoResponse for HandshakeError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotAsked | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::Protocol => StatusCode::BAD_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
        };
        let mut response = (status, format!("{self}\n")).into_response();
        if status == StatusCode::UPGRADE_REQUIRED {
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// The answer that makes the connection a WebSocket, or why it is none. Pages may connect from the host that they ask,
/// and from `allowed_origins`; what is no page names no origin.
pub(crate) fn accept(
    version: Version,
    headers: &HeaderMap,
    allowed_origins: &[String],
) -> Result<Response, HandshakeError> {
    if version < Version::HTTP_11
        || !names(headers, UPGRADE, "websocket")
        || !names(headers, CONNECTION, "upgrade")
    {
        return Err(HandshakeError::NotAsked);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(HandshakeError::Version);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    if STANDARD.decode(key).is_ok_and(|nonce| nonce.len() != 16) || STANDARD.decode(key).is_err() {
        return Err(HandshakeError::Key);
    }
    if !offers_mqtt(headers) {
        return Err(HandshakeError::Protocol);
    }
    if !may_connect(headers, allowed_origins) {
        return Err(HandshakeError::Origin);
    }
    let proof = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()));
    let answer = [
        (UPGRADE, "websocket"),
        (CONNECTION, "Upgrade"),
        (SEC_WEBSOCKET_ACCEPT, &proof),
        (SEC_WEBSOCKET_PROTOCOL, PROTOCOL),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, answer).into_response())
}

fn may_connect(headers: &HeaderMap, allowed_origins: &[String]) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let Some(origin) = only(headers, &ORIGIN) else { return false };
    let same_host = only(headers, &HOST).is_some_and(|host| {
        let of_page = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        of_page.is_some_and(|of_page| of_page.eq_ignore_ascii_case(host))
    });
    same_host || allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

fn offers_mqtt(headers: &HeaderMap) -> bool {
    words(headers, SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == PROTOCOL)
}

fn names(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted))
}

/// The words of a header that is a list.
fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// The value of a header that may come once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of section 1.3, with the sub-protocol of MQTT.
    fn request(changes: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "broker.example:8443"),
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "mqttv3.1, mqtt"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        for (name, value) in changes {
            headers.remove(*name);
            for value in value.split('|').filter(|value| !value.is_empty()) {
                headers.append(*name, value.parse().expect("a value"));
            }
        }
        headers
    }

    #[test]
    fn a_lawful_request_is_answered_as_the_standard_says() {
        let answer = accept(Version::HTTP_11, &request(&[]), &[]).expect("accepted");
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(header("sec-websocket-protocol"), "mqtt");
        assert_eq!((header("upgrade"), header("connection")), ("websocket".into(), "Upgrade".into()));
        assert!(!answer.headers().contains_key("sec-websocket-extensions"), "no compression");
    }

    #[test]
    fn what_is_missing_is_said() {
        use HandshakeError::{Key, NotAsked, Origin, Protocol, Version as OfWebSocket};
        for (change, error) in [
            (("upgrade", ""), NotAsked),
            (("upgrade", "h2c"), NotAsked),
            (("connection", "keep-alive"), NotAsked),
            (("sec-websocket-version", ""), OfWebSocket),
            (("sec-websocket-version", "8"), OfWebSocket),
            (("sec-websocket-key", ""), Key),
            (("sec-websocket-key", "c2hvcnQ="), Key),
            (("sec-websocket-key", "no base 64"), Key),
            (("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==|dGhlIHNhbXBsZSBub25jZQ=="), Key),
            (("sec-websocket-protocol", ""), Protocol),
            (("sec-websocket-protocol", "mqttv3.1"), Protocol),
            (("sec-websocket-protocol", "MQTT"), Protocol),
            (("origin", "https://evil.example"), Origin),
            (("origin", "null"), Origin),
            (("origin", "https://broker.example"), Origin),
            (("origin", "https://broker.example:8443|https://evil.example"), Origin),
        ] {
            let found = accept(Version::HTTP_11, &request(&[change]), &["https://app.example".into()]);
            assert_eq!(found.expect_err("refused"), error, "{change:?}");
        }
        let old = accept(Version::HTTP_10, &request(&[]), &[]);
        assert_eq!(old.expect_err("refused"), NotAsked);
        assert_eq!(NotAsked.into_response().status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(Protocol.into_response().status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn pages_of_the_same_host_and_those_of_allowed_origins_may_connect() {
        for origin in ["https://broker.example:8443", "http://BROKER.example:8443", "https://app.example"] {
            let headers = request(&[("origin", origin)]);
            assert!(accept(Version::HTTP_11, &headers, &["https://app.example".into()]).is_ok(), "{origin}");
        }
    }
}
