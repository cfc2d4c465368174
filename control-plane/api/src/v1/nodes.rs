//! Nodes, as operators see them. What nodes themselves call is in [`crate::node`].

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use contract::ids::{InstanceId, JoinTokenId, NodeId, TimelineId};
use serde::Serialize;
use service::nodes::Node;
use utoipa::ToSchema;

use super::parameters::{NameParameters, PageParameters};
use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::page::{ListSpec, RawQuery, list_of};
use crate::path::Path;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;

/// How far a node's configuration is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeGeneration {
    /// Which database's history.
    #[schema(value_type = String, format = Uuid)]
    timeline: TimelineId,
    /// How far.
    number: u64,
}

/// A broker process, as it was last heard of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
pub(crate) struct NodeView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: NodeId,
    /// What people call it.
    name: String,
    /// Its release.
    version: String,
    /// The version of the feed's forms that it speaks.
    format_version: u32,
    /// Where its own listener is, which the controller calls; null while it is closed.
    address: Option<String>,
    /// Whether it was heard of lately enough to be waited for.
    reachable: bool,
    /// How far its configuration is; null before its first export.
    generation: Option<NodeGeneration>,
    /// The last urgent entry that it has applied.
    urgent_sequence: u64,
    /// Clients connected, by instance, at its last report.
    #[schema(value_type = BTreeMap<String, u64>)]
    connections: BTreeMap<InstanceId, u64>,
    /// When it was last heard of.
    last_seen_at: Timestamp,
    /// When it enrolled.
    created_at: Timestamp,
}

impl From<(Node, bool)> for NodeView {
    fn from((node, reachable): (Node, bool)) -> Self {
        let generation = node
            .generation
            .map(|generation| NodeGeneration { timeline: generation.timeline, number: generation.number });
        Self {
            id: node.id,
            name: node.name,
            version: node.version,
            format_version: node.format_version,
            address: node.address,
            reachable,
            generation,
            urgent_sequence: node.urgent_sequence,
            connections: node.connections,
            last_seen_at: node.last_seen_at.into(),
            created_at: node.created_at.into(),
        }
    }
}

list_of! {
    /// Nodes.
    NodeList of NodeView
}

/// List the nodes. Operators only.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", params(PageParameters, NameParameters),
    responses((status = 200, description = "A page", body = NodeList)))]
pub(crate) async fn list_nodes(
    State(state): State<AppState>,
    signed_in: SignedIn,
    query: RawQuery,
) -> Result<Answer<NodeList>, Problem> {
    let parameters = query.list(&ListSpec { names: true, ..ListSpec::default() })?;
    let nodes = &state.services.nodes;
    let page = nodes.list(signed_in.caller(), &parameters.query).await?;
    let page = page.map(|node| {
        let reachable = nodes.is_reachable(&node);
        (node, reachable)
    });
    Ok(Answer::ok(page.into()))
}

/// Show a node. Operators only.
#[utoipa::path(get, path = "/v1/nodes/{node_id}", tag = "nodes", params(("node_id" = Uuid, Path)),
    responses((status = 200, description = "The node", body = NodeView)))]
pub(crate) async fn get_node(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(node): Path<NodeId>,
) -> Result<Answer<NodeView>, Problem> {
    let node = state.services.nodes.get(signed_in.caller(), node).await?;
    let reachable = state.services.nodes.is_reachable(&node);
    Ok(Answer::ok((node, reachable).into()))
}

/// A one-time right of a node to join.
#[derive(Serialize, ToSchema)]
#[schema(as = JoinToken)]
pub(crate) struct JoinTokenView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: JoinTokenId,
    /// The token itself: shown once.
    token: String,
    /// When it ends unless used.
    expires_at: Timestamp,
}

/// Create a one-time right of a node to join. Operators only.
#[utoipa::path(post, path = "/v1/nodes/join-tokens", tag = "nodes",
    responses((status = 201, description = "Created", body = JoinTokenView)))]
pub(crate) async fn create_join_token(
    State(state): State<AppState>,
    signed_in: SignedIn,
) -> Result<Answer<JoinTokenView>, Problem> {
    let join_token = state.services.nodes.create_join_token(signed_in.caller()).await?;
    let view = JoinTokenView {
        id: join_token.id,
        token: join_token.token.expose().to_owned(),
        expires_at: join_token.expires_at.into(),
    };
    Ok(Answer::ok(view).status(StatusCode::CREATED))
}
