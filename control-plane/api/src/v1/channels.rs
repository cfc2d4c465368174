//! Channels: where alarms are told; and what was told.

use axum::extract::State;
use axum::http::StatusCode;
use contract::ids::{ChannelId, DeliveryId, InstanceId};
use serde::{Deserialize, Serialize};
use service::channels::{Channel, ChannelKind, ChannelPatch, Delivery, DeliveryState, NewChannel};
use utoipa::ToSchema;

use super::parameters::{NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::json::Body;
use crate::page::{ListSpec, RawQuery, list_of};
use crate::path::Path;
use crate::preconditions::IfMatch;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// The kinds of channels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ChannelKind)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChannelKindView {
    /// A URL that is called, as Standard Webhooks has it.
    Webhook,
}

/// Where alarms are told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
pub(crate) struct ChannelView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: ChannelId,
    /// What people call it; unique in the instance.
    name: String,
    /// What it is.
    kind: ChannelKindView,
    /// What is called.
    url: String,
    /// Whether it is told anything.
    enabled: bool,
    /// Until when the secret before signs too; null where none was replaced.
    previous_signs_until: Option<Timestamp>,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Grows with every change.
    revision: i64,
}

impl From<Channel> for ChannelView {
    fn from(channel: Channel) -> Self {
        let ChannelKind::Webhook = channel.kind;
        Self {
            id: channel.id,
            name: channel.name,
            kind: ChannelKindView::Webhook,
            url: channel.url,
            enabled: channel.enabled,
            previous_signs_until: channel.previous_signs_until.map(Into::into),
            created_at: channel.created_at.into(),
            updated_at: channel.updated_at.into(),
            revision: channel.revision,
        }
    }
}

list_of! {
    /// Channels.
    ChannelList of ChannelView
}

/// A channel with a secret that was just generated.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelWithSecret {
    #[serde(flatten)]
    channel: ChannelView,
    /// What signs the calls, `whsec_…`: shown once.
    secret: String,
}

fn yes() -> bool {
    true
}

/// A new channel.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateChannelRequest {
    /// What people call it; unique in the instance.
    #[schema(example = "on call")]
    name: String,
    /// What it is.
    kind: ChannelKindView,
    /// What is called: `https`, at a public address.
    #[schema(example = "https://hooks.example.com/iot")]
    url: String,
    /// Whether it is told anything.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

/// Create a channel. Its secret is generated and shown once.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/channels", tag = "channels",
    params(("instance_id" = Uuid, Path)), request_body = CreateChannelRequest,
    responses((status = 201, description = "Created", body = ChannelWithSecret)))]
pub(crate) async fn create_channel(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    Body(request): Body<CreateChannelRequest>,
) -> Result<Answer<ChannelWithSecret>, Problem> {
    let ChannelKindView::Webhook = request.kind;
    let new = NewChannel {
        name: request.name,
        kind: ChannelKind::Webhook,
        url: request.url,
        enabled: request.enabled,
    };
    let (channel, secret) = state.services.channels.create(signed_in.caller(), instance, new).await?;
    let (location, revision) =
        (format!("/v1/instances/{instance}/channels/{}", channel.id), channel.revision);
    let view = ChannelWithSecret { channel: channel.into(), secret: secret.expose().to_owned() };
    Ok(Answer::created(&location, view).revision(revision))
}

/// List the channels of an instance.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/channels", tag = "channels",
    params(("instance_id" = Uuid, Path), PageParameters, NameParameters),
    responses((status = 200, description = "A page", body = ChannelList)))]
pub(crate) async fn list_channels(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Answer<ChannelList>, Problem> {
    let parameters = query.list(&ListSpec { names: true, ..ListSpec::default() })?;
    let page = state.services.channels.list(signed_in.caller(), instance, &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}

fn answer(channel: Channel) -> Answer<ChannelView> {
    let revision = channel.revision;
    Answer::ok(ChannelView::from(channel)).revision(revision)
}

/// Show a channel.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/channels/{channel_id}", tag = "channels",
    params(("instance_id" = Uuid, Path), ("channel_id" = Uuid, Path)),
    responses((status = 200, description = "The channel", body = ChannelView)))]
pub(crate) async fn get_channel(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, channel)): Path<(InstanceId, ChannelId)>,
) -> Result<Answer<ChannelView>, Problem> {
    Ok(answer(state.services.channels.get(signed_in.caller(), instance, channel).await?))
}

/// What to change of a channel; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateChannelRequest {
    /// What people call it.
    name: Option<String>,
    /// What is called.
    url: Option<String>,
    /// Whether it is told anything. What was not delivered when a channel is disabled is given up.
    enabled: Option<bool>,
}

/// Change a channel.
#[utoipa::path(patch, path = "/v1/instances/{instance_id}/channels/{channel_id}", tag = "channels",
    params(("instance_id" = Uuid, Path), ("channel_id" = Uuid, Path)), request_body = UpdateChannelRequest,
    responses((status = 200, description = "Changed", body = ChannelView)))]
pub(crate) async fn update_channel(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, channel)): Path<(InstanceId, ChannelId)>,
    if_match: IfMatch,
    Body(request): Body<UpdateChannelRequest>,
) -> Result<Answer<ChannelView>, Problem> {
    let UpdateChannelRequest { name, url, enabled } = request;
    let patch = ChannelPatch { name, url, enabled };
    let channels = &state.services.channels;
    Ok(answer(channels.update(signed_in.caller(), instance, channel, if_match.0, patch).await?))
}

/// Delete a channel with its deliveries. A rule that tells it must be changed first.
#[utoipa::path(delete, path = "/v1/instances/{instance_id}/channels/{channel_id}", tag = "channels",
    params(("instance_id" = Uuid, Path), ("channel_id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete_channel(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, channel)): Path<(InstanceId, ChannelId)>,
    if_match: IfMatch,
) -> Result<Answer<()>, Problem> {
    state.services.channels.delete(signed_in.caller(), instance, channel, if_match.0).await?;
    Ok(Answer::no_content())
}

/// How long the secret before is to sign too.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateChannelSecretRequest {
    /// For so long each call bears a signature of either secret; a day, when left out.
    #[schema(maximum = 604_800, example = 86400)]
    overlap_secs: Option<u64>,
}

/// Replace the secret of a channel. The new one is generated and shown once. The body may be left out.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/channels/{channel_id}/rotate-secret", tag = "channels",
    params(("instance_id" = Uuid, Path), ("channel_id" = Uuid, Path)),
    request_body = Option<RotateChannelSecretRequest>,
    responses((status = 200, description = "Replaced", body = ChannelWithSecret)))]
pub(crate) async fn rotate_channel_secret(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, channel)): Path<(InstanceId, ChannelId)>,
    body: Option<Body<RotateChannelSecretRequest>>,
) -> Result<Answer<ChannelWithSecret>, Problem> {
    let overlap = body.and_then(|Body(request)| request.overlap_secs);
    let channels = &state.services.channels;
    let (channel, secret) = channels.rotate_secret(signed_in.caller(), instance, channel, overlap).await?;
    let revision = channel.revision;
    let view = ChannelWithSecret { channel: channel.into(), secret: secret.expose().to_owned() };
    Ok(Answer::ok(view).revision(revision))
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = DeliveryState)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryStateView {
    /// It is tried, or will be again.
    Pending,
    /// The channel has taken it.
    Delivered,
    /// It was given up.
    Failed,
}

/// One event on its way to a channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryView {
    /// Its id, the header `webhook-id` of every attempt.
    #[schema(value_type = String, format = Uuid)]
    id: DeliveryId,
    /// The type of the event.
    #[schema(example = "alarm.firing")]
    event: String,
    /// How far it has come.
    state: DeliveryStateView,
    /// How often it was tried.
    attempts: u32,
    /// The HTTP status of the last answer; null where there was none.
    last_status: Option<u16>,
    /// Why the last attempt failed.
    last_error: Option<String>,
    /// When it is tried next.
    next_attempt_at: Option<Timestamp>,
    /// When it was written.
    created_at: Timestamp,
    /// When it arrived or was given up.
    finished_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event: delivery.event,
            state: match delivery.state {
                DeliveryState::Pending => DeliveryStateView::Pending,
                DeliveryState::Delivered => DeliveryStateView::Delivered,
                DeliveryState::Failed => DeliveryStateView::Failed,
            },
            attempts: delivery.attempts,
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            next_attempt_at: delivery.next_attempt_at.map(Into::into),
            created_at: delivery.created_at.into(),
            finished_at: delivery.finished_at.map(Into::into),
        }
    }
}

list_of! {
    /// Deliveries.
    DeliveryList of DeliveryView
}

/// Send an event over a channel that says nothing but that it works. Its delivery tells how it went.
#[utoipa::path(post, path = "/v1/instances/{instance_id}/channels/{channel_id}/test", tag = "channels",
    params(("instance_id" = Uuid, Path), ("channel_id" = Uuid, Path)),
    responses((status = 202, description = "On its way", body = DeliveryView)))]
pub(crate) async fn test_channel(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, channel)): Path<(InstanceId, ChannelId)>,
) -> Result<Answer<DeliveryView>, Problem> {
    let delivery = state.services.channels.test(signed_in.caller(), instance, channel).await?;
    Ok(Answer::ok(DeliveryView::from(delivery)).status(StatusCode::ACCEPTED))
}

/// List what was told over a channel and what is to be. A delivery's name is its event.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/channels/{channel_id}/deliveries", tag = "channels",
    params(("instance_id" = Uuid, Path), ("channel_id" = Uuid, Path), PageParameters, NameParameters),
    responses((status = 200, description = "A page", body = DeliveryList)))]
pub(crate) async fn list_deliveries(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((instance, channel)): Path<(InstanceId, ChannelId)>,
    query: RawQuery,
) -> Result<Answer<DeliveryList>, Problem> {
    let parameters = query.list(&ListSpec { names: true, ..ListSpec::default() })?;
    let channels = &state.services.channels;
    let page = channels.list_deliveries(signed_in.caller(), instance, channel, &parameters.query).await?;
    Ok(Answer::ok(page.into()))
}
