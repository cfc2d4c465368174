//! The properties of a message of MQTT 5.0, as people and applications read and write them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::base64::Base64;
use contract::message::{MessageProperties, PayloadFormat, UserProperty};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// What a message of MQTT 5.0 carries beside its payload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageProperties)]
pub(crate) struct PropertiesView {
    /// What its publisher says that the payload is; null: nothing.
    #[schema(inline)]
    payload_format: Option<PayloadFormat>,
    /// What the payload is, in words that publisher and subscribers have agreed on, often a MIME type.
    content_type: Option<String>,
    /// The topic name to which an answer is to be published.
    response_topic: Option<String>,
    /// What the answer is to carry: Base64 with padding (RFC 4648, 4).
    correlation_data: Option<String>,
    /// Pairs of texts, in the order in which they came; names may repeat.
    user_properties: Vec<UserProperty>,
}

impl PropertiesView {
    /// None where there is none.
    pub(crate) fn of(properties: MessageProperties) -> Option<Self> {
        if properties.is_empty() {
            return None;
        }
        let MessageProperties {
            payload_format,
            content_type,
            response_topic,
            correlation_data,
            user_properties,
        } = properties;
        let correlation_data = correlation_data.map(|data| STANDARD.encode(data.0));
        Some(Self { payload_format, content_type, response_topic, correlation_data, user_properties })
    }
}

/// What a message carries beside its payload, for subscribers of MQTT 5.0. Subscribers of 3.1.1 get the payload alone.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMessageProperties)]
pub(crate) struct PropertiesInput {
    /// What the payload is; `text`: it is UTF-8, which is checked.
    #[schema(inline)]
    payload_format: Option<PayloadFormat>,
    /// What the payload is, in words that publisher and subscribers have agreed on, often a MIME type.
    #[schema(example = "application/json")]
    content_type: Option<String>,
    /// The topic name to which an answer is to be published: no wildcard.
    #[schema(example = "vehicle/car-001/up/answer")]
    response_topic: Option<String>,
    /// What the answer is to carry: Base64 with padding (RFC 4648, 4).
    #[schema(example = "NDI=")]
    correlation_data: Option<String>,
    /// Pairs of texts, kept in this order; names may repeat.
    #[serde(default)]
    user_properties: Vec<PairInput>,
}

/// One user property.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUserProperty)]
pub(crate) struct PairInput {
    /// Its name.
    name: String,
    /// Its value.
    value: String,
}

impl PropertiesInput {
    pub(crate) fn read(self) -> Result<MessageProperties, Problem> {
        let Self { payload_format, content_type, response_topic, correlation_data, user_properties } = self;
        let decode = |data: String| {
            let wrong = |error: base64::DecodeError| {
                Problem::field("/properties/correlation_data", "invalid", error.to_string())
            };
            STANDARD.decode(data).map(Base64).map_err(wrong)
        };
        let pair = |PairInput { name, value }: PairInput| UserProperty { name, value };
        Ok(MessageProperties {
            payload_format,
            content_type,
            response_topic,
            correlation_data: correlation_data.map(decode).transpose()?,
            user_properties: user_properties.into_iter().map(pair).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_given_is_shown() {
        let given = json!({"payload_format": "bytes", "content_type": "a/b", "response_topic": null,
            "correlation_data": "/wA=", "user_properties": [{"name": "b", "value": "1"}, {"name": "b", "value": "0"}]});
        let read = serde_json::from_value::<PropertiesInput>(given.clone()).expect("parses").read();
        let read = read.expect("it is good");
        assert_eq!(read.correlation_data, Some(Base64(vec![0xff, 0])));
        assert_eq!(serde_json::to_value(PropertiesView::of(read)).expect("serializes"), given);
        assert!(PropertiesView::of(MessageProperties::default()).is_none());
    }

    #[test]
    fn what_is_no_base64_is_said_of_its_member() {
        let given = serde_json::from_value::<PropertiesInput>(json!({"correlation_data": "_wA"}));
        let problem = given.expect("parses").read().expect_err("refused");
        assert_eq!(problem.errors()[0].pointer, "/properties/correlation_data");
    }
}
