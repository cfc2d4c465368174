//! What is answered to proven calls.

use axum::http::StatusCode;
use contract::message::{
    MESSAGES_PER_ANSWER_MAX, MessageId, MessageQuery, MessagesAnswer, PublishAnswer, PublishRequest,
    StoredMessage,
};
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use engine::{HistoryQuery, HistoryRules, QueryError};
use replica::InstanceRules;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{NodeApi, properties};
use crate::api_publish::{Publication, PublishError};
use crate::control::Control;

/// Who is said to have published what an application publishes: nobody.
const NO_CLIENT: &str = "";

/// An answer before it is signed.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

/// What is wrong, for the controller.
#[derive(Serialize)]
struct Problem {
    code: &'static str,
}

impl Answer {
    pub(super) fn ok(body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self { status: StatusCode::OK, body },
            Err(error) => {
                tracing::error!(?error, "an answer has no JSON form");
                Self::failed()
            }
        }
    }

    pub(super) fn problem(status: StatusCode, code: &'static str) -> Self {
        let body = serde_json::to_vec(&Problem { code }).expect("a name has a JSON form");
        Self { status, body }
    }

    pub(super) fn failed() -> Self {
        Self::problem(StatusCode::INTERNAL_SERVER_ERROR, "internal")
    }

    /// Of a publication that means that its outcome is unknown: it may have been handed to the log, and may yet be
    /// delivered. One that had not come so far is not made any more.
    pub(super) fn timed_out() -> Self {
        Self::problem(StatusCode::GATEWAY_TIMEOUT, "timed_out")
    }
}

/// `GET /node/v1/messages`. Blocks on the disk.
pub(super) fn messages(api: &NodeApi, query_string: &str) -> Answer {
    match read(api, query_string) {
        Ok(mut answer) => {
            for message in &mut answer.items {
                message.properties = properties::of(&message.content);
            }
            Answer::ok(&answer)
        }
        Err((status, code)) => Answer::problem(status, code),
    }
}

fn read(api: &NodeApi, query_string: &str) -> Result<MessagesAnswer, (StatusCode, &'static str)> {
    let malformed = (StatusCode::BAD_REQUEST, "malformed_query");
    let query: MessageQuery = query_of(query_string).ok_or(malformed)?;
    let topic_filter = query.topic_filter.as_deref().map(str::parse::<TopicFilter>).transpose();
    let topic_filter = topic_filter.map_err(|_| malformed)?;
    // Without the instance nobody here knows which of its topics may be shown.
    let instance = api.replica.instance(query.instance);
    let instance = instance.ok_or((StatusCode::NOT_FOUND, Refusal::InstanceUnknown.name()))?;
    let rules = rules(api, &instance);
    let answered = if let Some(id) = query.id {
        one(api, &query, topic_filter.as_ref(), id, &rules)
    } else {
        let query_of_engine = HistoryQuery {
            topic_filter,
            client_id: query.client_id.as_deref().map(Box::from),
            from: query.from,
            to: query.to,
            order: query.order,
            after: query.after,
            limit: query.limit.clamp(1, MESSAGES_PER_ANSWER_MAX),
            payload_bytes_max: query.payload_bytes_max,
            ..HistoryQuery::default()
        };
        api.history.query(query.instance, &query_of_engine, &rules)
    };
    answered.map_err(failure)
}

/// What is asked for in a query string: the JSON of its one member.
pub(super) fn query_of<T: DeserializeOwned>(query_string: &str) -> Option<T> {
    let uri = axum::http::Uri::try_from(format!("/?{query_string}")).ok()?;
    let query = axum::extract::Query::<QueryString>::try_from_uri(&uri).ok()?;
    serde_json::from_str(&query.query).ok()
}

/// Why nothing could be read.
pub(super) fn failure(error: QueryError) -> (StatusCode, &'static str) {
    match error {
        QueryError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        QueryError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, Refusal::NodeStopping.name()),
        QueryError::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

#[derive(serde::Deserialize)]
struct QueryString {
    query: String,
}

/// The rules of the topics whose messages may be shown now.
fn rules(api: &NodeApi, instance: &InstanceRules) -> HistoryRules {
    let kept = instance.topics.iter().filter_map(|(name, rule)| Some((name.clone(), rule.history?)));
    HistoryRules { now: (api.now)(), topics: kept.collect() }
}

/// The message with this identifier, if the rest of the query fits it too.
fn one(
    api: &NodeApi,
    query: &MessageQuery,
    topic_filter: Option<&TopicFilter>,
    id: MessageId,
    rules: &HistoryRules,
) -> Result<MessagesAnswer, QueryError> {
    let mut answer =
        MessagesAnswer { items: Vec::new(), next: None, covered_from: query.from, complete: true };
    if query.after.is_some() {
        return Ok(answer);
    }
    let fits = |message: &StoredMessage| {
        (query.from..query.to).contains(&message.stored_at)
            && topic_filter.is_none_or(|filter| filter.matches(&message.topic))
            && query.client_id.as_ref().is_none_or(|client| message.client_id.as_ref() == Some(client))
    };
    let found = api.history.get(query.instance, id, rules)?;
    answer.complete = found.complete;
    if let Some(mut message) = found.message.filter(fits) {
        let shown = usize::try_from(query.payload_bytes_max).unwrap_or(usize::MAX);
        message.payload.0.truncate(shown);
        answer.items.push(message);
    }
    Ok(answer)
}

/// `POST /node/v1/publish`.
pub(super) async fn publish(control: &Control, body: &[u8]) -> Answer {
    let Ok(request) = serde_json::from_slice::<PublishRequest>(body) else {
        return Answer::problem(StatusCode::BAD_REQUEST, "malformed_body");
    };
    let PublishRequest { instance, topic, payload, qos, retain, expires_in_secs, properties } = request;
    let content = properties::content(&properties);
    let message = Publication { payload: payload.0, qos, retain, content, expiry_secs: expires_in_secs };
    match control.publish(instance, &topic, message, NO_CLIENT).await {
        Ok(published) => {
            let answer = PublishAnswer { id: published.id, matched: u64::from(published.matched) };
            Answer::ok(&answer)
        }
        Err(error) => {
            let (status, code) = refusal(error);
            Answer::problem(status, code)
        }
    }
}

fn refusal(error: PublishError) -> (StatusCode, &'static str) {
    match error {
        PublishError::InstanceUnknown => (StatusCode::NOT_FOUND, Refusal::InstanceUnknown.name()),
        PublishError::Refused(refusal) => (StatusCode::CONFLICT, refusal.name()),
        PublishError::StorageUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, Refusal::StorageUnavailable.name())
        }
        PublishError::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
        PublishError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, Refusal::NodeStopping.name()),
    }
}
