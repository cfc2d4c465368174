//! What MQTT 5.0 knows of a message beside topic and payload, as documents say it. The wire form is the codec's.

use serde::{Deserialize, Serialize};

use crate::base64::Base64;

/// The properties of a message that go unaltered from its publisher to every subscriber. A message of MQTT 3.1.1 has
/// none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct MessageProperties {
    /// What the publisher says that the payload is; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_format: Option<PayloadFormat>,
    /// What the payload is, in words that publisher and subscribers have agreed on, often a MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The topic name to which an answer is to be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_topic: Option<String>,
    /// What the answer is to carry, so that whoever asked knows to what it belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_data: Option<Base64>,
    /// Pairs of texts, in the order in which they came; names may repeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_properties: Vec<UserProperty>,
}

/// What a payload is said to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PayloadFormat {
    /// UTF-8 (indicator 1).
    Text,
    /// Any bytes (indicator 0).
    Bytes,
}

/// One user property.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct UserProperty {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl MessageProperties {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The bytes that they take in a PUBLISH packet: what the limit `properties_bytes_max` counts.
    #[must_use]
    pub fn wire_bytes(&self) -> u64 {
        /// An identifier, and a length of two bytes.
        const HEAD: usize = 3;
        let text = |text: &Option<String>| text.as_ref().map_or(0, |text| HEAD + text.len());
        let pairs = self.user_properties.iter().map(|pair| HEAD + pair.name.len() + 2 + pair.value.len());
        let bytes = self.payload_format.map_or(0, |_| 2)
            + text(&self.content_type)
            + text(&self.response_topic)
            + self.correlation_data.as_ref().map_or(0, |data| HEAD + data.0.len())
            + pairs.sum::<usize>();
        bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> MessageProperties {
        let pair = |name: &str, value: &str| UserProperty { name: name.to_owned(), value: value.to_owned() };
        MessageProperties {
            payload_format: Some(PayloadFormat::Text),
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("up/answers".to_owned()),
            correlation_data: Some(Base64(vec![0xff, 0])),
            user_properties: vec![pair("b", "1"), pair("a", "2"), pair("b", "")],
        }
    }

    #[test]
    fn what_is_not_said_is_left_out_and_the_order_of_pairs_stays() {
        let json = serde_json::to_value(whole()).expect("serializes");
        assert_eq!(json["payload_format"], "text");
        assert_eq!(json["correlation_data"], "_wA");
        assert_eq!(json["user_properties"][2], serde_json::json!({"name": "b", "value": ""}));
        assert_eq!(serde_json::from_value::<MessageProperties>(json).expect("parses"), whole());
        assert_eq!(serde_json::to_string(&MessageProperties::default()).expect("serializes"), "{}");
        let older: MessageProperties = serde_json::from_str(r#"{"of_the_future":1}"#).expect("parses");
        assert!(older.is_empty() && !whole().is_empty());
    }

    #[test]
    fn bytes_are_those_of_the_wire() {
        assert_eq!(MessageProperties::default().wire_bytes(), 0);
        assert_eq!(whole().wire_bytes(), 2 + (3 + 10) + (3 + 10) + (3 + 2) + (5 + 2) * 2 + 6);
    }
}
