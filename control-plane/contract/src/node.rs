//! What a node says to the controller: that it joins, and how it is.
//!
//! Every call but the first bears the node's key: `Authorization: Bearer <node id>.<secret>`, where the secret is 32
//! random bytes that the node itself has drawn, in URL-safe base64.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base64::Base64;
use crate::feed::Generation;
use crate::ids::{InstanceId, NodeId, TimelineId};
use crate::metrics::MetricsReport;

/// The bytes of a node's secret.
pub const NODE_SECRET_BYTES: usize = 32;
/// The longest a call for changes or urgent entries may be asked to wait.
pub const WAIT_SECS_MAX: u64 = 30;
/// How often a node reports even when nothing happened.
pub const REPORT_PERIOD_SECS: u64 = 5;
/// A node that has not been heard of for this long is unreachable: changes are not waited for on it.
pub const REACHABLE_SECS: u64 = 15;

/// A node asks to join: `POST /node/v1/enrol`. Said again with the same secret it gets the same answer, so a node
/// that did not hear the first one loses nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct EnrolRequest {
    /// The one-time right to join.
    pub join_token: String,
    /// SHA-256 of the node's secret.
    pub secret_sha256: Base64,
    /// What people call the node.
    pub name: String,
    /// The node's release.
    pub version: String,
    /// Where the node's own listener is, as `http://host:port`; none while it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The answer to [`EnrolRequest`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct EnrolAnswer {
    /// The node's id from now on.
    pub node: NodeId,
}

/// How a node is: `POST /node/v1/report`, every [`REPORT_PERIOD_SECS`] and at once after urgent entries.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct NodeReport {
    /// [`crate::feed::FORMAT_VERSION`] of the node.
    pub format_version: u32,
    /// The node's release.
    pub version: String,
    /// How far its configuration is; none before its first export.
    pub generation: Option<Generation>,
    /// Which history its place in the urgent lane belongs to.
    pub urgent_timeline: Option<TimelineId>,
    /// The last urgent entry it has applied.
    pub urgent_sequence: u64,
    /// How many connections each urgent entry closed, for those applied since the last report that arrived.
    #[cfg_attr(feature = "utoipa", schema(value_type = BTreeMap<String, u64>))]
    pub closed: BTreeMap<u64, u64>,
    /// Clients connected now, by instance.
    pub connections: BTreeMap<InstanceId, u64>,
    /// Where the node's own listener is, as `http://host:port`; none while it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Slots of metrics that have not been acknowledged, the oldest first. The answer to the report acknowledges them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricsReport>,
}
