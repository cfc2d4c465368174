//! The properties of a message, from their wire form to that of documents and back.

use contract::base64::Base64;
use contract::message::{MessageProperties, PayloadFormat, UserProperty};
use mqtt::{Content, ContentWriter};

/// What stored properties say.
pub(super) fn of(content: &[u8]) -> MessageProperties {
    if content.is_empty() {
        return MessageProperties::default();
    }
    let content = Content::from_stored(content);
    let format = |indicator| if indicator == 1 { PayloadFormat::Text } else { PayloadFormat::Bytes };
    let pair = |(name, value): (&str, &str)| UserProperty { name: name.to_owned(), value: value.to_owned() };
    MessageProperties {
        payload_format: content.payload_format().map(format),
        content_type: content.content_type().map(str::to_owned),
        response_topic: content.response_topic().map(str::to_owned),
        correlation_data: content.correlation_data().map(|data| Base64(data.to_vec())),
        user_properties: content.user_properties().iter().map(pair).collect(),
    }
}

/// How they are stored.
pub(super) fn content(properties: &MessageProperties) -> Vec<u8> {
    let MessageProperties { payload_format, content_type, response_topic, correlation_data, user_properties } =
        properties;
    let mut content = ContentWriter::new();
    if let Some(format) = payload_format {
        content = content.payload_format(*format == PayloadFormat::Text);
    }
    if let Some(content_type) = content_type {
        content = content.content_type(content_type);
    }
    if let Some(topic) = response_topic {
        content = content.response_topic(topic);
    }
    if let Some(data) = correlation_data {
        content = content.correlation_data(&data.0);
    }
    for UserProperty { name, value } in user_properties {
        content = content.user_property(name, value);
    }
    content.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let pair = |name: &str, value: &str| UserProperty { name: name.to_owned(), value: value.to_owned() };
        let all = MessageProperties {
            payload_format: Some(PayloadFormat::Text),
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("up/answers".to_owned()),
            correlation_data: Some(Base64(vec![0xff, 0])),
            user_properties: vec![pair("b", "1"), pair("a", "2"), pair("b", "")],
        };
        let bytes = MessageProperties { payload_format: Some(PayloadFormat::Bytes), ..all.clone() };
        let none = MessageProperties::default();
        for properties in [all, bytes, none] {
            let content = content(&properties);
            assert_eq!(content.len() as u64, properties.wire_bytes(), "{properties:?}");
            assert_eq!(of(&content), properties);
        }
    }
}
