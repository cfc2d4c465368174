//! The properties of MQTT 5.0 that an application gives its message: what is no good, said of which member. Bounds of
//! the instance are checked here as a node checks them.

use contract::limits::InstanceLimits;
use contract::message::{MessageProperties, PayloadFormat};
use contract::topic::{check_name, levels};

use crate::validate::Check;

/// The longest text or bytes of one property: its length has two bytes on the wire.
const PROPERTY_BYTES_MAX: usize = 65_535;

pub(super) fn check(
    check: &mut Check,
    properties: &MessageProperties,
    payload: &[u8],
    limits: &InstanceLimits,
) {
    let MessageProperties { payload_format, content_type, response_topic, correlation_data, user_properties } =
        properties;
    if *payload_format == Some(PayloadFormat::Text) && std::str::from_utf8(payload).is_err() {
        check.fail("/properties/payload_format", "invalid", "the payload is no UTF-8");
    }
    if let Some(content_type) = content_type {
        text(check, "/properties/content_type", content_type);
    }
    if let Some(topic) = response_topic {
        response(check, topic, limits);
    }
    if correlation_data.as_ref().is_some_and(|data| data.0.len() > PROPERTY_BYTES_MAX) {
        let detail = format!("at most {PROPERTY_BYTES_MAX} bytes");
        check.fail("/properties/correlation_data", "too_long", detail);
    }
    if user_properties.len() as u64 > limits.user_properties_max {
        let detail = format!("at most {} of one message", limits.user_properties_max);
        check.fail("/properties/user_properties", "too_many", detail);
        return;
    }
    for (at, pair) in user_properties.iter().enumerate() {
        text(check, &format!("/properties/user_properties/{at}/name"), &pair.name);
        text(check, &format!("/properties/user_properties/{at}/value"), &pair.value);
    }
    if properties.wire_bytes() > limits.properties_bytes_max {
        let detail = format!("at most {} bytes, all of them together", limits.properties_bytes_max);
        check.fail("/properties", "too_long", detail);
    }
}

/// A text as MQTT knows it [MQTT-1.5.4-2].
fn text(check: &mut Check, pointer: &str, text: &str) {
    if text.len() > PROPERTY_BYTES_MAX {
        check.fail(pointer, "too_long", format!("at most {PROPERTY_BYTES_MAX} bytes"));
    } else if text.contains('\0') {
        check.fail(pointer, "invalid", "no null character");
    }
}

/// A topic name that one can publish to [MQTT-3.3.2-14].
fn response(check: &mut Check, topic: &str, limits: &InstanceLimits) {
    const POINTER: &str = "/properties/response_topic";
    if let Err(error) = check_name(topic) {
        check.fail(POINTER, "invalid", error.to_string());
    } else if topic.len() as u64 > limits.topic_bytes_max {
        check.fail(POINTER, "too_long", format!("at most {} bytes", limits.topic_bytes_max));
    } else if levels(topic) as u64 > limits.topic_levels_max {
        check.fail(POINTER, "too_long", format!("at most {} levels", limits.topic_levels_max));
    }
}

#[cfg(test)]
mod tests {
    use contract::base64::Base64;
    use contract::message::UserProperty;

    use super::*;

    fn failures(properties: &MessageProperties, payload: &[u8]) -> Vec<(String, &'static str)> {
        let limits = InstanceLimits {
            topic_bytes_max: 16,
            topic_levels_max: 3,
            properties_bytes_max: 64,
            user_properties_max: 2,
            ..InstanceLimits::default()
        };
        let mut found = Check::default();
        check(&mut found, properties, payload, &limits);
        let failures = found.finish().err().map(|invalid| invalid.0).unwrap_or_default();
        failures.into_iter().map(|it| (it.pointer, it.code)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> MessageProperties {
        let pair = |(name, value): &(&str, &str)| UserProperty {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        MessageProperties {
            user_properties: pairs.iter().map(pair).collect(),
            ..MessageProperties::default()
        }
    }

    #[test]
    fn each_member_is_held_to_what_mqtt_and_the_instance_allow() {
        let none = MessageProperties::default;
        let text = || MessageProperties { payload_format: Some(PayloadFormat::Text), ..none() };
        let bytes = || MessageProperties { payload_format: Some(PayloadFormat::Bytes), ..none() };
        let kind = |it: &str| MessageProperties { content_type: Some(it.to_owned()), ..none() };
        let answer = |it: &str| MessageProperties { response_topic: Some(it.to_owned()), ..none() };
        let data = |bytes| MessageProperties { correlation_data: Some(Base64(vec![0; bytes])), ..none() };
        let format = "/properties/payload_format";
        let topic = "/properties/response_topic";
        for (properties, payload, expected) in [
            (none(), &b"\xff"[..], &[][..]),
            (text(), "车".as_bytes(), &[]),
            (text(), b"\xff", &[(format, "invalid")]),
            (bytes(), b"\xff", &[]),
            (kind("text/plain"), b"", &[]),
            (kind("a\0"), b"", &[("/properties/content_type", "invalid")]),
            (kind(&"x".repeat(61)), b"", &[]),
            (kind(&"x".repeat(62)), b"", &[("/properties", "too_long")]),
            (answer("up/a"), b"", &[]),
            (answer("up/+"), b"", &[(topic, "invalid")]),
            (answer("#"), b"", &[(topic, "invalid")]),
            (answer(""), b"", &[(topic, "invalid")]),
            (answer("a/b/c/d"), b"", &[(topic, "too_long")]),
            (answer("up/0123456789abcd"), b"", &[(topic, "too_long")]),
            (data(61), b"", &[]),
            (data(65_536), b"", &[("/properties/correlation_data", "too_long"), ("/properties", "too_long")]),
            (pairs(&[("a", "1"), ("a", "2")]), b"", &[]),
            (pairs(&[("", "")]), b"", &[]),
            (pairs(&[("a", ""), ("b", "\0")]), b"", &[("/properties/user_properties/1/value", "invalid")]),
            (pairs(&[("\0", "")]), b"", &[("/properties/user_properties/0/name", "invalid")]),
            (pairs(&[("", ""); 3]), b"", &[("/properties/user_properties", "too_many")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(at, code)| (at.to_owned(), code)).collect();
            assert_eq!(failures(&properties, payload), expected, "{properties:?}");
        }
    }
}
