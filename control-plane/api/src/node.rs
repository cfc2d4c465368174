//! For nodes: `/node/v1`. They pull their configuration and push their reports; the forms are `contract`'s.
//!
//! Nodes are one release apart from the controller at times, so unknown members and parameters are passed over here.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use contract::feed::{ChangesAnswer, ExportPage, FORMAT_VERSION, Generation, UrgentAnswer, understands};
use contract::ids::TimelineId;
use contract::node::{EnrolAnswer, EnrolRequest, NodeReport, WAIT_SECS_MAX};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::{Node, PeerAddress};
use crate::json::Body;
use crate::problem::Problem;
use crate::rate::{RateKey, RateTicket};
use crate::state::AppState;

/// Every operation of `/node/v1`, into `router`.
pub(crate) fn add_to(router: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    router
        .routes(routes!(enrol_node))
        .routes(routes!(list_changes))
        .routes(routes!(list_urgent))
        .routes(routes!(export_documents))
        .routes(routes!(report_node))
}

/// Join with a one-time token. Said again with the same secret it gets the same answer.
#[utoipa::path(post, path = "/node/v1/enrol", tag = "node", security(()), request_body = EnrolRequest,
    responses((status = 200, description = "The node's id from now on", body = EnrolAnswer)))]
pub(crate) async fn enrol_node(
    State(state): State<AppState>,
    address: PeerAddress,
    Body(request): Body<EnrolRequest>,
) -> Result<Json<EnrolAnswer>, Problem> {
    RateTicket::take(&state.callers, RateKey::of_address(address.0))?;
    Ok(Json(state.services.nodes.enrol(request).await?))
}

/// Where a node is, and how long it waits.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// Which history the node's generation belongs to.
    #[param(value_type = String, format = Uuid)]
    timeline: TimelineId,
    /// The node's generation, which it has applied and so acknowledges.
    after: u64,
    /// How long to wait for a change, at most 30.
    #[serde(default)]
    wait_secs: u64,
    /// The version of the forms that the node speaks.
    format_version: u32,
}

/// What changed after a generation. Waits for something to change.
#[utoipa::path(get, path = "/node/v1/changes", tag = "node", params(ChangesQuery),
    responses((status = 200, description = "The changes, or that an export is needed", body = ChangesAnswer)))]
pub(crate) async fn list_changes(
    State(state): State<AppState>,
    node: Node,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<ChangesAnswer>, Problem> {
    check_format(query.format_version)?;
    let after = Generation { timeline: query.timeline, number: query.after };
    let feed = &state.services.feed;
    let waiting = feed.changes_after(node.0, after, wait(query.wait_secs));
    let answer = tokio::select! {
        answer = waiting => answer?,
        () = state.stopping.cancelled() => feed.changes_after(node.0, after, Duration::ZERO).await?,
    };
    Ok(Json(answer))
}

/// Where a node is in the urgent lane, and how long it waits.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UrgentQuery {
    /// The last sequence that the node has applied.
    #[serde(default)]
    after: u64,
    /// How long to wait for an entry, at most 30.
    #[serde(default)]
    wait_secs: u64,
    /// The version of the forms that the node speaks; the controller's own, when left out.
    #[serde(default = "UrgentQuery::format_version_default")]
    format_version: u32,
}

impl UrgentQuery {
    const fn format_version_default() -> u32 {
        FORMAT_VERSION
    }
}

/// What must be done at once: revocations, changed credentials, suspensions. Waits for an entry.
#[utoipa::path(get, path = "/node/v1/urgent", tag = "node", params(UrgentQuery),
    responses((status = 200, description = "The entries", body = UrgentAnswer)))]
pub(crate) async fn list_urgent(
    State(state): State<AppState>,
    node: Node,
    Query(query): Query<UrgentQuery>,
) -> Result<Json<UrgentAnswer>, Problem> {
    check_format(query.format_version)?;
    let feed = &state.services.feed;
    let waiting = feed.urgent_after(node.0, query.after, wait(query.wait_secs));
    let answer = tokio::select! {
        answer = waiting => answer?,
        () = state.stopping.cancelled() => feed.urgent_after(node.0, query.after, Duration::ZERO).await?,
    };
    Ok(Json(answer))
}

/// Where an export goes on.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// `next` of the page before; from the beginning, when left out.
    cursor: Option<String>,
}

/// Every document, page by page: for a node that is new or too far behind.
#[utoipa::path(get, path = "/node/v1/export", tag = "node", params(ExportQuery),
    responses((status = 200, description = "A page", body = ExportPage)))]
pub(crate) async fn export_documents(
    State(state): State<AppState>,
    node: Node,
    Query(query): Query<ExportQuery>,
) -> Result<Json<ExportPage>, Problem> {
    Ok(Json(state.services.feed.export_page(node.0, query.cursor.as_deref()).await?))
}

/// How a node is, and how far it has come.
#[utoipa::path(post, path = "/node/v1/report", tag = "node", request_body = NodeReport,
    responses((status = 204, description = "Taken")))]
pub(crate) async fn report_node(
    State(state): State<AppState>,
    node: Node,
    Body(report): Body<NodeReport>,
) -> Result<StatusCode, Problem> {
    state.services.nodes.report(node.0, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wait(secs: u64) -> Duration {
    Duration::from_secs(secs.min(WAIT_SECS_MAX))
}

fn check_format(theirs: u32) -> Result<(), Problem> {
    if understands(theirs) {
        return Ok(());
    }
    let detail = format!("`{theirs}` is more than one away from `{FORMAT_VERSION}`");
    Err(Problem::parameter("format_version", detail))
}
