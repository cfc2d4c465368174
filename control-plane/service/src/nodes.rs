//! Nodes: how they join, how they are recognised, and what they report.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::{DateTime, TimeDelta, Utc};
use contract::base64::Base64;
use contract::feed::FORMAT_VERSION;
use contract::ids::{JoinTokenId, NodeId};
use contract::node::{EnrolAnswer, EnrolRequest, NodeReport, REACHABLE_SECS};
use serde_json::json;
use store::StoreError;
pub use store::nodes::Node;
use uuid::Uuid;

use crate::access::{AccessError, Action, Actor, Caller};
use crate::core::Core;
use crate::error::{GetError, Invalid, ListError};
use crate::ids::new_id;
use crate::page::{ListQuery, Page};
use crate::seal::sha256;
use crate::secret::Secret;
use crate::validate::Check;
use crate::verifiers::generate_secret;
use crate::write::{Audited, Write};

/// How long a join token waits for its node.
pub const JOIN_TOKEN_LIFE: TimeDelta = TimeDelta::hours(1);

/// Lets nodes join and hears their reports.
#[derive(Clone)]
pub struct Nodes {
    core: Arc<Core>,
}

/// A node that asks, recognised by its secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeCaller {
    /// Which one.
    pub node: NodeId,
}

/// A one-time right of a node to join, shown once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinToken {
    /// Its id.
    pub id: JoinTokenId,
    /// The token itself.
    pub token: Secret,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Why no join token was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateJoinTokenError {
    /// Only operators may.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The join token is unknown, too old, or another node has used it.
    #[error("the join token is not good")]
    JoinTokenWrong,
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Nodes {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Makes a one-time right to join. Operators only.
    pub async fn create_join_token(&self, caller: &Caller) -> Result<JoinToken, CreateJoinTokenError> {
        caller.platform_action(Action::ManageNodes)?;
        let mut write = Write::begin(&self.core, caller).await?;
        let (id, secret) = (JoinTokenId(new_id(write.now)), generate_secret());
        let (secret_sha256, expires_at) = (sha256(secret.expose().as_bytes()), write.now + JOIN_TOKEN_LIFE);
        let now = write.now;
        store::nodes::insert_join_token(&mut write.tx, id, &secret_sha256, expires_at, now).await?;
        let (resource_id, after) = (id.to_string(), Some(json!({ "expires_at": expires_at })));
        let audited = Audited {
            action: "create_join_token",
            resource: "join_token",
            id: &resource_id,
            before: None,
            after,
        };
        write.audit(None, None, audited);
        write.commit().await?;
        Ok(JoinToken { id, token: Secret::new(format!("{id}.{}", secret.expose())), expires_at })
    }

    /// Lets a node join. The same token with the same secret gives the same answer again.
    pub async fn enrol(&self, request: EnrolRequest) -> Result<EnrolAnswer, EnrolError> {
        check(&request)?;
        let (id, secret) = parse_bearer(&request.join_token).ok_or(EnrolError::JoinTokenWrong)?;
        let id = JoinTokenId(id);
        let request_id = format!("join token {id}");
        let mut write = Write::begin_as(&self.core, Actor::Platform, &request_id).await?;
        let token =
            store::nodes::lock_join_token(&mut write.tx, id).await?.ok_or(EnrolError::JoinTokenWrong)?;
        if !equal(&token.secret_sha256, &sha256(secret.as_bytes())) || token.expires_at <= write.now {
            return Err(EnrolError::JoinTokenWrong);
        }
        if let Some(node) = token.node {
            let known = store::nodes::find_secret(&mut write.tx, node).await?;
            let same = known.is_some_and(|known| equal(&known, &request.secret_sha256.0));
            return if same { Ok(EnrolAnswer { node }) } else { Err(EnrolError::JoinTokenWrong) };
        }
        let node = Node {
            id: NodeId(new_id(write.now)),
            name: request.name,
            version: request.version,
            format_version: FORMAT_VERSION,
            address: request.address,
            generation: None,
            urgent_sequence: 0,
            connections: BTreeMap::new(),
            last_seen_at: write.now,
            created_at: write.now,
        };
        store::nodes::insert(&mut write.tx, &node, &request.secret_sha256.0, id).await?;
        let after = Some(json!({ "name": node.name, "version": node.version, "address": node.address }));
        let resource_id = node.id.to_string();
        let audited =
            Audited { action: "enrol_node", resource: "node", id: &resource_id, before: None, after };
        write.audit(None, None, audited);
        write.commit().await?;
        Ok(EnrolAnswer { node: node.id })
    }

    /// The node of the bearer `<node id>.<secret>`, if that is right.
    pub async fn find_node(&self, bearer: &str) -> Result<Option<NodeCaller>, StoreError> {
        let Some((node, secret)) = parse_bearer(bearer) else { return Ok(None) };
        let node = NodeId(node);
        let given = Base64::decode(secret).unwrap_or_default();
        let known = store::nodes::find_secret(&mut *self.core.store.read_for_node().await?, node).await?;
        let right = known.is_some_and(|known| equal(&known, &sha256(&given.0)));
        Ok(right.then_some(NodeCaller { node }))
    }

    /// Takes a node's report, which also says how far it has come.
    pub async fn report(&self, node: NodeCaller, report: NodeReport) -> Result<(), StoreError> {
        // What it tells of instances is taken even while the database fails; told again, it changes nothing.
        self.core.ring.take(node.node, &report.metrics, self.core.now());
        let mut connection = self.core.store.read_for_node().await?;
        let own = store::nodes::Report {
            version: bounded(&report.version),
            format_version: report.format_version,
            address: report.address.as_deref().filter(|address| is_address(address)),
            generation: report.generation,
            urgent_timeline: report.urgent_timeline,
            urgent_sequence: report.urgent_sequence,
            connections: &report.connections,
        };
        let closed = &report.closed;
        let known = report.urgent_timeline == Some(store::feed::head(&mut connection).await?.timeline);
        if known && !closed.is_empty() && closed.len() <= CLOSED_MAX {
            store::urgent::put_closed(&mut connection, node.node, closed).await?;
        }
        store::nodes::update(&mut connection, node.node, &own, self.core.now()).await?;
        self.core.wake.progress.send_replace(());
        Ok(())
    }

    /// Whether a node was heard of lately enough to be waited for.
    #[must_use]
    pub fn is_reachable(&self, node: &Node) -> bool {
        node.last_seen_at >= seen_since(&self.core)
    }

    /// Every node. Operators only.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Page<Node>, ListError> {
        caller.platform_action(Action::ManageNodes)?;
        let listing = query.listing()?;
        query.page(store::nodes::list(&mut *self.core.store.read().await?, &listing).await)
    }

    /// One node. Operators only.
    pub async fn get(&self, caller: &Caller, node: NodeId) -> Result<Node, GetError> {
        caller.platform_action(Action::ManageNodes)?;
        let found = store::nodes::find(&mut *self.core.store.read().await?, node).await?;
        Ok(found.ok_or_else(|| AccessError::not_found("node", node))?)
    }
}

/// The most urgent entries of which one report tells what they closed.
const CLOSED_MAX: usize = 10_000;
/// The longest name or release of a node.
const TEXT_BYTES_MAX: usize = 100;

/// Nodes heard of before are unreachable.
pub(crate) fn seen_since(core: &Core) -> DateTime<Utc> {
    core.now() - TimeDelta::seconds(REACHABLE_SECS.cast_signed())
}

/// An id and what follows the dot after it.
fn parse_bearer(text: &str) -> Option<(Uuid, &str)> {
    let (id, secret) = text.split_once('.')?;
    Some((id.parse().ok()?, secret))
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

fn bounded(text: &str) -> &str {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    &text[..end]
}

fn check(request: &EnrolRequest) -> Result<(), Invalid> {
    let mut check = Check::default();
    check.name("/name", &request.name);
    check.name("/version", &request.version);
    if request.secret_sha256.0.len() != 32 {
        check.fail("/secret_sha256", "invalid", "the 32 bytes of a SHA-256");
    }
    if request.address.as_deref().is_some_and(|address| !is_address(address)) {
        check.fail(
            "/address",
            "invalid",
            "`http://` with a loopback address and a port, and nothing behind them",
        );
    }
    check.finish()
}

/// Whether it is where a node's own listener can be. An IP address alone: a name might lead elsewhere tomorrow. And
/// loopback alone, as long as nodes listen there alone: who holds a node's key must not send the controller anywhere.
fn is_address(text: &str) -> bool {
    let address = text.strip_prefix("http://").and_then(|rest| rest.parse::<SocketAddr>().ok());
    address.is_some_and(|address| {
        address.ip().is_loopback() && address.port() != 0 && text == format!("http://{address}")
    })
}
