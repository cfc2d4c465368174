//! Stored messages: queries, one message, its payload as a file, and publishing without a device.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::ids::InstanceId;
use contract::message::{MessageId, Order, StoredMessage};
use contract::qos::Qos;
use serde::{Deserialize, Serialize};
use service::clock::time;
use service::messages::{Coverage, MessagePage, MessagesQuery, NewMessage};
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::page::{RawQuery, value};
use crate::path::Path;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;
use crate::v1::message_properties::{PropertiesInput, PropertiesView};
use crate::v1::missing::MissingNodeView;

/// How bytes are written as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PayloadEncoding {
    /// As they are: they are UTF-8.
    Utf8,
    /// Base64 with padding (RFC 4648, 4).
    Base64,
}

/// A payload, or its beginning.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payload)]
pub(crate) struct PayloadView {
    /// `utf8` where the bytes are that, else `base64`.
    encoding: PayloadEncoding,
    /// The bytes.
    data: String,
    /// How many bytes the whole payload has.
    bytes: u64,
    /// Whether there is more of it than is shown here.
    truncated: bool,
}

impl PayloadView {
    fn new(payload: Vec<u8>, bytes: u64) -> Self {
        let truncated = (payload.len() as u64) < bytes;
        match text(payload, truncated) {
            Ok(data) => Self { encoding: PayloadEncoding::Utf8, data, bytes, truncated },
            Err(payload) => {
                let data = STANDARD.encode(payload);
                Self { encoding: PayloadEncoding::Base64, data, bytes, truncated }
            }
        }
    }
}

/// The payload as a text, if it is one; the cut end of a longer text may be in the middle of a character.
fn text(payload: Vec<u8>, truncated: bool) -> Result<String, Vec<u8>> {
    String::from_utf8(payload).or_else(|error| {
        let end = error.utf8_error();
        let mut payload = error.into_bytes();
        if !truncated || end.error_len().is_some() {
            return Err(payload);
        }
        payload.truncate(end.valid_up_to());
        String::from_utf8(payload).map_err(std::string::FromUtf8Error::into_bytes)
    })
}

/// A stored message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageView {
    /// Its id.
    id: MessageId,
    /// The topic name.
    topic: String,
    /// The client that published it; null when an application did.
    client_id: Option<String>,
    /// The QoS it was published with.
    #[schema(value_type = u8, minimum = 0, maximum = 2)]
    qos: Qos,
    /// Whether it was to be kept for its topic.
    retain: bool,
    /// When it was stored.
    stored_at: Timestamp,
    /// How many bytes its payload has.
    bytes: u64,
    /// From when on nobody who has not had it yet is to get it; null: there is no such time.
    expires_at: Option<Timestamp>,
    /// What it carries beside its payload; null where that is nothing, was not asked for or may not be seen, as the
    /// payload.
    properties: Option<PropertiesView>,
    /// Its payload; null where it was not asked for or may not be seen.
    payload: Option<PayloadView>,
}

impl MessageView {
    fn new(message: StoredMessage, with_payload: bool) -> Self {
        let StoredMessage { id, topic, client_id, qos, retain, stored_at, bytes, payload, .. } = message;
        let (expires_at, properties) = (message.expires_at, message.properties);
        // Where there is something and nothing of it came, it was not to be seen.
        let seen = with_payload && (bytes == 0 || !payload.0.is_empty());
        Self {
            id,
            topic,
            client_id,
            qos,
            retain,
            stored_at: time(stored_at).into(),
            bytes,
            expires_at: expires_at.map(|at| time(at).into()),
            properties: PropertiesView::of(properties),
            payload: seen.then(|| PayloadView::new(payload.0, bytes)),
        }
    }
}

/// What a page can say anything about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageCoverage)]
pub(crate) struct CoverageView {
    /// From then on nothing that was asked for is left out, but for what is missing. Later than the `from` that was
    /// asked for where history began later or messages have passed out of their retention.
    from: Timestamp,
    /// Up to then.
    to: Timestamp,
    /// Since when messages have been kept; of several topics the latest. Null where no topic keeps any.
    history_enabled_since: Option<Timestamp>,
    /// Whether every node that may hold messages was asked and its log was whole.
    complete: bool,
    /// The nodes that were not.
    missing: Vec<MissingNodeView>,
}

impl From<Coverage> for CoverageView {
    fn from(coverage: Coverage) -> Self {
        Self {
            from: coverage.from.into(),
            to: coverage.to.into(),
            history_enabled_since: coverage.history_enabled_since.map(Timestamp::from),
            complete: coverage.complete,
            missing: coverage.missing.into_iter().map(MissingNodeView::from).collect(),
        }
    }
}

/// Stored messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageList {
    /// The messages of this page.
    items: Vec<MessageView>,
    /// The cursor of the next page; null exactly when nothing follows.
    next_cursor: Option<String>,
    /// What the page can say anything about.
    coverage: CoverageView,
}

/// What a query of messages takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this type only describes")]
pub(crate) struct MessageParameters {
    /// Only messages whose topic this filter matches; `+` travels as `%2B`, `#` as `%23`. A first level that is no
    /// wildcard must be a topic that keeps history.
    #[param(example = "vehicle/+/up/#")]
    topic_filter: Option<String>,
    /// Only messages of this client.
    client_id: Option<String>,
    /// This message alone.
    id: Option<MessageId>,
    /// Stored then or later; 15 minutes before `to` unless given.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Stored before; now unless given.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Which come first.
    #[param(inline)]
    order: Option<Order>,
    /// `payload`: show the payloads too, cut after 4 KiB, and the properties.
    #[param(inline)]
    include: Option<Include>,
    /// The most messages of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the other parameters as they were.
    cursor: Option<String>,
}

/// What may be shown beside.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "this type only describes")]
pub(crate) enum Include {
    /// Payloads.
    Payload,
}

const PARAMETERS: &[&str] =
    &["topic_filter", "client_id", "id", "from", "to", "order", "include", "limit", "cursor"];

fn parse(query: &RawQuery) -> Result<MessagesQuery, Problem> {
    let mut given: BTreeMap<String, String> = query.only(PARAMETERS)?;
    let mut take = |name: &str| given.remove(name);
    let moment = |name: &str, text: Option<String>| {
        let moment = |text: String| {
            serde_json::from_value::<Timestamp>(text.into())
                .map(|it| it.0)
                .map_err(|error| Problem::parameter(name, error))
        };
        text.map(moment).transpose()
    };
    let order = match take("order").as_deref() {
        None | Some("newest") => Order::Newest,
        Some("oldest") => Order::Oldest,
        Some(other) => {
            return Err(Problem::parameter("order", format_args!("`newest` or `oldest`, not `{other}`")));
        }
    };
    let payload = match take("include").as_deref() {
        None => false,
        Some("payload") => true,
        Some(other) => {
            return Err(Problem::parameter("include", format_args!("`payload`, not `{other}`")));
        }
    };
    Ok(MessagesQuery {
        topic_filter: take("topic_filter"),
        client_id: take("client_id"),
        id: take("id").map(|text| value("id", &text)).transpose()?,
        from: moment("from", take("from"))?,
        to: moment("to", take("to"))?,
        order,
        payload,
        limit: take("limit").map(|text| value("limit", &text)).transpose()?,
        cursor: take("cursor"),
    })
}

/// List stored messages.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/messages", tag = "messages",
    params(("instance_id" = Uuid, Path), MessageParameters),
    responses((status = 200, description = "A page", body = MessageList)))]
pub(crate) async fn list_messages(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Answer<MessageList>, Problem> {
    let query = parse(&query)?;
    let page = state.services.messages.list(signed_in.caller(), instance, &query).await?;
    let MessagePage { items, next_cursor, coverage } = page;
    let items = items.into_iter().map(|message| MessageView::new(message, query.payload)).collect();
    Ok(Answer::ok(MessageList { items, next_cursor, coverage: coverage.into() }))
}

/// Show a stored message, its payload cut after 64 KiB.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/messages/{message_id}", tag = "messages",
    params(("instance_id" = Uuid, Path), ("message_id" = MessageId, Path)),
    responses((status = 200, description = "The message", body = MessageView)))]
pub(crate) async fn get_message(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, message)): Path<(InstanceId, MessageId)>,
) -> Result<Answer<MessageView>, Problem> {
    let message = state.services.messages.get(signed_in.caller(), instance, message).await?;
    Ok(Answer::ok(MessageView::new(message, true)))
}

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "this type only describes")]
pub(crate) struct PayloadBytes(Vec<u8>);

/// The bytes of a payload, to be kept as a file: never to be shown by a browser as what they claim to be.
type PayloadFile = ([(HeaderName, HeaderValue); 3], Vec<u8>);

/// Download the payload of a stored message.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/messages/{message_id}/payload", tag = "messages",
    params(("instance_id" = Uuid, Path), ("message_id" = MessageId, Path)),
    responses((status = 200, description = "The payload's bytes, as a file",
        body = PayloadBytes, content_type = "application/octet-stream")))]
pub(crate) async fn get_message_payload(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, message)): Path<(InstanceId, MessageId)>,
) -> Result<PayloadFile, Problem> {
    let found = state.services.messages.payload(signed_in.caller(), instance, message).await?;
    let name = format!("attachment; filename=\"{message}.bin\"");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_DISPOSITION, HeaderValue::try_from(name).expect("an id is a header value")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, found.payload.0))
}

/// Bytes as text.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishPayload {
    /// How they are written.
    encoding: PayloadEncoding,
    /// The bytes.
    data: String,
}

/// A message to publish.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishRequest {
    /// The topic name: no wildcard, not beginning with `$`.
    #[schema(example = "vehicle/car-001/down/command")]
    topic: String,
    /// Its payload.
    payload: PublishPayload,
    /// The QoS that receivers may get it with.
    #[serde(default = "at_least_once")]
    #[schema(value_type = u8, minimum = 0, maximum = 2, default = 1)]
    qos: Qos,
    /// Whether it is to be kept for its topic and sent to who subscribes later. With an empty payload, what is kept for
    /// the topic is forgotten.
    #[serde(default)]
    retain: bool,
    /// After how many seconds nobody who has not had it yet is to get it; null: there is no such time.
    #[serde(default)]
    #[schema(minimum = 1)]
    expires_in_secs: Option<u32>,
    /// What it carries beside its payload.
    #[serde(default)]
    properties: PropertiesInput,
}

const fn at_least_once() -> Qos {
    Qos::AtLeastOnce
}

/// What became of a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishedMessage {
    /// What it is stored as; null when its topic keeps no history.
    id: Option<MessageId>,
    /// Whether it is stored.
    stored: bool,
    /// How many clients it was for.
    matched: u64,
}

/// Publish a message without a device.
///
/// Answered once a client at QoS 1 would have its acknowledgement. The message goes to the node that has most of the
/// instance's clients.
///
/// **When the outcome is unknown.** After a 504, or any failure with `uncertain: true`, nobody knows whether the message
/// is published; nor after an answer that never came: a connection that broke, a proxy's own 502, a time limit of the
/// caller. Ask again under the same `Idempotency-Key`, for up to 24 hours: what was answered comes again and nothing is
/// published again, unless the controller itself was lost before it had answered. To publish again, at the risk of doing
/// it twice, take a new key. After any other failure it is not published, and the key is free again.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/messages/publish", tag = "messages",
    params(("instance_id" = Uuid, Path)), request_body = PublishRequest,
    responses((status = 200, description = "Published", body = PublishedMessage)))]
pub(crate) async fn publish_message(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    Body(request): Body<PublishRequest>,
) -> Result<Answer<PublishedMessage>, Problem> {
    let PublishRequest { topic, payload, qos, retain, expires_in_secs, properties } = request;
    let payload = match payload.encoding {
        PayloadEncoding::Utf8 => payload.data.into_bytes(),
        PayloadEncoding::Base64 => STANDARD
            .decode(payload.data)
            .map_err(|error| Problem::field("/payload/data", "invalid", error.to_string()))?,
    };
    let properties = properties.read()?;
    let new = NewMessage { topic, payload, qos, retain, expires_in_secs, properties };
    let published = state.services.messages.publish(signed_in.caller(), instance, new).await?;
    let (id, matched) = (published.id, published.matched);
    Ok(Answer::ok(PublishedMessage { id, stored: id.is_some(), matched }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn view(payload: &[u8], bytes: u64, encoding: PayloadEncoding, data: &str, truncated: bool) {
        let view = PayloadView::new(payload.to_vec(), bytes);
        assert_eq!((view.encoding, view.data.as_str(), view.truncated), (encoding, data, truncated));
        assert_eq!(view.bytes, bytes);
    }

    #[test]
    fn a_payload_is_text_where_it_can_be() {
        use PayloadEncoding::{Base64, Utf8};
        view(b"{\"lat\":1}", 9, Utf8, "{\"lat\":1}", false);
        view(b"", 0, Utf8, "", false);
        view(b"\xff\x00", 2, Base64, "/wA=", false);
        view("车".as_bytes(), 3, Utf8, "车", false);
        view(b"a\xe8\xbd", 4, Utf8, "a", true);
        view(b"a\xe8\xbd", 3, Base64, "Yei9", false);
        view(b"\xffa\xe8\xbd", 9, Base64, "/2HovQ==", true);
    }

    #[tokio::test]
    async fn every_parameter_is_understood_and_what_is_not_is_named() {
        let ask = async |query: &str| {
            use axum::extract::FromRequestParts as _;
            let request = axum::http::Request::get(format!("/?{query}")).body(()).expect("a request");
            let Ok(query) = RawQuery::from_request_parts(&mut request.into_parts().0, &()).await;
            parse(&query)
        };
        assert_eq!(ask("").await.expect("nothing is needed"), MessagesQuery::default());
        let query =
            ask("topic_filter=a/%2B/%23&client_id=c&id=m-0000000000000000000g&from=2026-11-23T01:00:00Z\
             &to=2026-11-23T10:00:00%2B08:00&order=oldest&include=payload&limit=7&cursor=x");
        let query = query.await.expect("parses");
        assert_eq!(
            (query.topic_filter.as_deref(), query.client_id.as_deref(), query.cursor.as_deref()),
            (Some("a/+/#"), Some("c"), Some("x"))
        );
        assert_eq!(query.id, Some(MessageId { shard: 0, record: 0, index: 1 }));
        assert_eq!((query.order, query.payload, query.limit), (Order::Oldest, true, Some(7)));
        let hours = query.to.zip(query.from).map(|(to, from)| (to - from).num_hours());
        assert_eq!(hours, Some(1));
        for (query, named) in [
            ("topic=a", "`topic`"),
            ("id=7", "`id`"),
            ("from=yesterday", "`from`"),
            ("order=up", "`order`"),
            ("include=all", "`include`"),
            ("limit=x", "`limit`"),
            ("limit=1&limit=2", "`limit`"),
        ] {
            let problem = ask(query).await.expect_err(query);
            assert!(problem.detail().contains(named), "{query}: {}", problem.detail());
        }
    }
}
