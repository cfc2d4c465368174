//! Provisioned topics.

use std::collections::BTreeMap;

use axum::extract::State;
use contract::durability::DurabilityClass;
use contract::ids::InstanceId;
use serde::{Deserialize, Serialize};
use service::topics::{History, HistoryPatch, NewTopic, Topic, TopicPatch};
use utoipa::ToSchema;

use super::durability::DurabilityClassView;
use super::parameters::{LabelParameters, NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::{Body, Patch};
use crate::labels::Labels;
use crate::page::{NAMED, RawQuery, list_of};
use crate::path::Path;
use crate::preconditions::{IfMatch, PreferWait};
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// A provisioned topic: the rules of every topic name with this first level.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topic)]
pub(crate) struct TopicView {
    /// The first level; unique in the instance.
    name: String,
    /// For people.
    description: String,
    /// The largest payload; null where only the instance's packets are bounded.
    payload_bytes_max: Option<u64>,
    /// Whether and how long its messages are kept.
    history: TopicHistoryView,
    /// Which of its messages are logged; null: as its instance has it.
    durability: Option<DurabilityClassView>,
    /// What people sort it by.
    labels: Labels,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Grows with every change.
    revision: i64,
}

/// Whether and how long a topic's messages are kept, to be found again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicHistory)]
pub(crate) struct TopicHistoryView {
    /// Whether they are kept.
    enabled: bool,
    /// How long, in seconds; while they are not kept, how long they would be.
    retention_secs: u64,
    /// How much of the newest is kept, in bytes; null: all of `retention_secs`.
    retention_bytes: Option<u64>,
    /// Since when they have been kept; null while they are not.
    enabled_since: Option<Timestamp>,
}

impl From<History> for TopicHistoryView {
    fn from(history: History) -> Self {
        Self {
            enabled: history.since.is_some(),
            retention_secs: history.retention_secs,
            retention_bytes: history.retention_bytes,
            enabled_since: history.since.map(Timestamp::from),
        }
    }
}

/// Whether and how long a topic's messages are to be kept; what is left out stays, and for a new topic is: not, three
/// days, any number of bytes.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TopicHistoryRequest)]
pub(crate) struct HistoryRequest {
    /// Whether they are kept, from now on. Switched off, those kept before are not shown again.
    enabled: Option<bool>,
    /// How long, in seconds.
    #[schema(minimum = 60, maximum = 2_592_000, example = 259_200)]
    retention_secs: Option<u64>,
    /// How much of the newest is kept, in bytes; null takes the bound away.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1_048_576, maximum = 1_099_511_627_776_i64)]
    retention_bytes: Patch<u64>,
}

impl From<HistoryRequest> for HistoryPatch {
    fn from(request: HistoryRequest) -> Self {
        let HistoryRequest { enabled, retention_secs, retention_bytes } = request;
        Self { enabled, retention_secs, retention_bytes: retention_bytes.into() }
    }
}

impl From<Topic> for TopicView {
    fn from(topic: Topic) -> Self {
        Self {
            name: topic.name,
            description: topic.description,
            payload_bytes_max: topic.payload_bytes_max,
            history: topic.history.into(),
            durability: topic.durability.map(Into::into),
            labels: topic.labels.into(),
            created_at: topic.created_at.into(),
            updated_at: topic.updated_at.into(),
            revision: topic.revision,
        }
    }
}

list_of! {
    /// Topics.
    TopicList of TopicView
}

/// A new topic.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTopicRequest {
    /// The first level of the topic names it rules: no `/`, no wildcard, not beginning with `$`.
    #[schema(example = "vehicle")]
    name: String,
    /// For people.
    #[serde(default)]
    description: String,
    /// The largest payload.
    payload_bytes_max: Option<u64>,
    /// Whether and how long its messages are kept.
    #[serde(default)]
    history: HistoryRequest,
    /// Which of its messages are logged; as its instance has it, when left out.
    durability: Option<DurabilityClassView>,
    /// What people sort it by.
    #[serde(default)]
    labels: Labels,
}

/// Create a topic.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/topics", tag = "topics",
    params(("instance_id" = Uuid, Path)), request_body = CreateTopicRequest,
    responses((status = 201, description = "Created", body = TopicView)))]
pub(crate) async fn create_topic(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    prefer: PreferWait,
    Body(request): Body<CreateTopicRequest>,
) -> Result<Answer<TopicView>, Problem> {
    let CreateTopicRequest { name, description, payload_bytes_max, history, durability, labels } = request;
    let (history, labels) = (history.into(), labels.into());
    let durability = durability.map(Into::into);
    let new = NewTopic { name, description, payload_bytes_max, history, durability, labels };
    let (topic, written) = state.services.topics.create(signed_in.caller(), instance, new).await?;
    let (location, revision) = (location(instance, &topic.name), topic.revision);
    let answer = Answer::created(&location, TopicView::from(topic)).revision(revision);
    Ok(answer.written(&state, prefer, written).await)
}

/// The path of a topic, whose name may hold what a path may not.
fn location(instance: InstanceId, name: &str) -> String {
    let name = name.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            text + char::from(byte).encode_utf8(&mut [0])
        }
        other => format!("{text}%{other:02X}"),
    });
    format!("/v1/instances/{instance}/topics/{name}")
}

/// List the topics of an instance.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/topics", tag = "topics",
    params(("instance_id" = Uuid, Path), PageParameters, NameParameters, LabelParameters),
    responses((status = 200, description = "A page", body = TopicList)))]
pub(crate) async fn list_topics(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Answer<TopicList>, Problem> {
    let parameters = query.list(&NAMED)?;
    let page = state.services.topics.list(signed_in.caller(), instance, &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}

fn answer(topic: Topic) -> Answer<TopicView> {
    let revision = topic.revision;
    Answer::ok(TopicView::from(topic)).revision(revision)
}

/// Show a topic.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/topics/{topic}", tag = "topics",
    params(("instance_id" = Uuid, Path), ("topic" = String, Path)),
    responses((status = 200, description = "The topic", body = TopicView)))]
pub(crate) async fn get_topic(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, topic)): Path<(InstanceId, String)>,
) -> Result<Answer<TopicView>, Problem> {
    Ok(answer(state.services.topics.get(signed_in.caller(), instance, &topic).await?))
}

/// What to change of a topic; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateTopicRequest {
    /// For people.
    description: Option<String>,
    /// The largest payload; null takes the bound away.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    payload_bytes_max: Patch<u64>,
    /// Whether and how long its messages are kept.
    #[serde(default)]
    history: HistoryRequest,
    /// Which of its messages are logged; null: as its instance has it.
    #[serde(default)]
    #[schema(value_type = Option<DurabilityClassView>)]
    durability: Patch<DurabilityClassView>,
    /// Labels to set, or with null to take away.
    #[serde(default)]
    labels: BTreeMap<String, Option<String>>,
}

/// Change a topic.
#[utoipa::path(patch, path = "/v1/instances/{instance_id}/topics/{topic}", tag = "topics",
    params(("instance_id" = Uuid, Path), ("topic" = String, Path)), request_body = UpdateTopicRequest,
    responses((status = 200, description = "Changed", body = TopicView)))]
pub(crate) async fn update_topic(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, topic)): Path<(InstanceId, String)>,
    if_match: IfMatch,
    prefer: PreferWait,
    Body(request): Body<UpdateTopicRequest>,
) -> Result<Answer<TopicView>, Problem> {
    let UpdateTopicRequest { description, payload_bytes_max, history, durability, labels } = request;
    let (payload_bytes_max, history) = (payload_bytes_max.into(), history.into());
    let durability = Option::<Option<_>>::from(durability).map(|class| class.map(DurabilityClass::from));
    let patch = TopicPatch { description, payload_bytes_max, history, durability, labels };
    let topics = &state.services.topics;
    let (topic, written) = topics.update(signed_in.caller(), instance, &topic, if_match.0, patch).await?;
    Ok(answer(topic).written(&state, prefer, written).await)
}

/// Delete a topic.
#[utoipa::path(delete, path = "/v1/instances/{instance_id}/topics/{topic}", tag = "topics",
    params(("instance_id" = Uuid, Path), ("topic" = String, Path)),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete_topic(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, topic)): Path<(InstanceId, String)>,
    if_match: IfMatch,
    prefer: PreferWait,
) -> Result<Answer<()>, Problem> {
    let written = state.services.topics.delete(signed_in.caller(), instance, &topic, if_match.0).await?;
    Ok(Answer::no_content().written(&state, prefer, written).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_can_be_followed_whatever_the_name() {
        let instance = InstanceId(uuid::Uuid::nil());
        for (name, tail) in [("vehicle", "vehicle"), ("a b/c", "a%20b%2Fc"), ("é?#%", "%C3%A9%3F%23%25")] {
            let location = location(instance, name);
            assert!(location.ends_with(&format!("/topics/{tail}")), "{location}");
            assert!(location.parse::<axum::http::Uri>().is_ok());
        }
    }
}
