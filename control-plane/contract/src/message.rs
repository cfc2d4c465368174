//! Stored messages: their identifiers, and the forms in which the controller asks a node for them.
//!
//! The calls are the controller's, on the node's own listener: `GET /node/v1/messages` with a [`MessageQuery`] as its
//! query string's one member `query` (JSON), and `POST /node/v1/publish` with a [`PublishRequest`].

mod id;
mod properties;

use serde::{Deserialize, Serialize};

pub use id::{MessageId, MessageIdError};
pub use properties::{MessageProperties, PayloadFormat, UserProperty};

use crate::base64::Base64;
use crate::ids::InstanceId;
use crate::qos::Qos;
use crate::time::UnixMillis;

/// The most messages of one answer.
pub const MESSAGES_PER_ANSWER_MAX: u32 = 200;

/// The most bytes of a payload in a list; what is longer is cut.
pub const LISTED_PAYLOAD_BYTES_MAX: u64 = 4_096;

/// Which of two messages comes first in an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The one stored last.
    #[default]
    Newest,
    /// The one stored first.
    Oldest,
}

/// What the controller asks of a node. Members that are left out do not narrow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct MessageQuery {
    /// The instance; another one's messages are never seen.
    pub instance: InstanceId,
    /// Messages whose topic name this filter matches. Checked by the node again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_filter: Option<String>,
    /// Messages of this client identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// This message alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// Stored at this moment or later.
    pub from: UnixMillis,
    /// Stored before this moment.
    pub to: UnixMillis,
    /// Which come first.
    #[serde(default)]
    pub order: Order,
    /// Only messages behind this one, in the order asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<MessageId>,
    /// At most so many, and never more than [`MESSAGES_PER_ANSWER_MAX`].
    pub limit: u32,
    /// At most so many bytes of each payload; 0: none.
    #[serde(default)]
    pub payload_bytes_max: u64,
}

/// One stored message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct StoredMessage {
    /// Its identifier.
    pub id: MessageId,
    /// The topic name.
    pub topic: String,
    /// The client that published it; none when an application did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The QoS it was published with.
    #[cfg_attr(feature = "utoipa", schema(value_type = u8))]
    pub qos: Qos,
    /// Whether it was to be kept for its topic.
    pub retain: bool,
    /// When it was stored.
    pub stored_at: UnixMillis,
    /// The bytes of its payload.
    pub bytes: u64,
    /// The payload, or its beginning; empty where none was asked for.
    #[serde(default)]
    pub payload: Base64,
    /// From when on nobody who has not had it yet is to get it; none: there is no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
    /// What it carries beside its payload.
    #[serde(default, skip_serializing_if = "MessageProperties::is_empty")]
    pub properties: MessageProperties,
    /// Its properties as they are stored, in the wire form of MQTT 5.0. Within a node alone, which takes them apart before
    /// it answers.
    #[serde(skip)]
    pub content: Vec<u8>,
}

/// What a node answers to a [`MessageQuery`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct MessagesAnswer {
    /// In the order asked for.
    pub items: Vec<StoredMessage>,
    /// Where to go on, as the next query's `after`; none when the node has looked at all it has. An answer may have
    /// fewer items than the limit, or none, and still go on: a call looks at a bounded number of messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<MessageId>,
    /// The earliest moment from which nothing has been dropped that the query could match.
    pub covered_from: UnixMillis,
    /// Whether the node's own log is whole where the query looked; damage on its disk makes it false.
    pub complete: bool,
}

/// An application's message, handed to a node: `POST /node/v1/publish`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct PublishRequest {
    /// The instance.
    pub instance: InstanceId,
    /// The topic name.
    pub topic: String,
    /// The payload.
    pub payload: Base64,
    /// The QoS.
    #[cfg_attr(feature = "utoipa", schema(value_type = u8))]
    pub qos: Qos,
    /// Whether to keep it for its topic; with an empty payload: whether to forget what is kept.
    #[serde(default)]
    pub retain: bool,
    /// After how many seconds nobody who has not had it yet is to get it; none: there is no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<u32>,
    /// What it carries beside its payload. The controller has checked it; the node holds it to the instance's limits.
    #[serde(default, skip_serializing_if = "MessageProperties::is_empty")]
    pub properties: MessageProperties,
}

/// What became of a [`PublishRequest`]; said once it is acknowledged as a message of QoS 1 would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct PublishAnswer {
    /// The identifier it is stored under; none when its topic is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// The clients it was for.
    pub matched: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_another_release_is_understood() {
        let json = r#"{"instance":"00000000-0000-0000-0000-000000000001","from":1,"to":2,"limit":5,"of_the_future":true}"#;
        let query: MessageQuery = serde_json::from_str(json).expect("parses");
        assert_eq!((query.order, query.after, query.payload_bytes_max), (Order::Newest, None, 0));
    }
}
