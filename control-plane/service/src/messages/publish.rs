//! Publishing from an application: one message to one node.
//!
//! Nodes do not share a message engine yet, so the message goes to the node that has most of the instance's clients,
//! and those elsewhere do not receive it. It goes to exactly one: another is tried only where nothing was sent.

use std::sync::Arc;

use contract::base64::Base64;
use contract::feed::{InstanceState, TopicMode};
use contract::ids::InstanceId;
use contract::message::{MessageId, MessageProperties, PublishAnswer, PublishRequest};
use contract::p2p;
use contract::qos::Qos;
use contract::topic::{check_name, first_level, levels};
use serde_json::json;
use store::StoreError;
use store::instances::Instance;
use tracing::Instrument as _;

use super::{Messages, properties};
use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{Invalid, WrongState, takes_get_error};
use crate::node_calls::{NodeCallError, Peer};
use crate::nodes::seen_since;
use crate::validate::Check;
use crate::write::{Audited, Write};

/// A message of an application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMessage {
    /// The topic name.
    pub topic: String,
    /// Any bytes, or none.
    pub payload: Vec<u8>,
    /// The QoS that its receivers may get it with. It is acknowledged as one of QoS 1 whatever this says.
    pub qos: Qos,
    /// Whether it is to be kept for its topic; with an empty payload: whether what is kept is to be forgotten.
    pub retain: bool,
    /// After how many seconds nobody who has not had it yet is to get it, at least 1; none: there is no such time.
    pub expires_in_secs: Option<u32>,
    /// What it carries beside its payload.
    pub properties: MessageProperties,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// What it is stored as; none when its topic keeps no history.
    pub id: Option<MessageId>,
    /// The clients it was for.
    pub matched: u64,
}

/// Why a message was not published, or nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is not there for this caller, or not to be published to by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The message is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The instance does not serve.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The instance publishes as fast as it may.
    #[error("the instance publishes as fast as its plan allows, or the node is busy")]
    Busy,
    /// The node's store takes nothing for now; nothing was published.
    #[error("the node's message store takes nothing for now")]
    StorageUnavailable,
    /// No node that the instance has can be reached; nothing was published.
    #[error("no node can be reached to publish the message")]
    NodeUnavailable,
    /// The node went away before it said what became of it: it may be published.
    #[error("the node went away before it said whether it has published the message")]
    Unknown,
    /// The node did not say in time what became of it: it may be published.
    #[error("the node did not say in time whether it has published the message")]
    TimedOut,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

takes_get_error!(PublishError);

impl PublishError {
    /// Whether the message may have been published all the same.
    #[must_use]
    pub const fn is_uncertain(&self) -> bool {
        matches!(self, Self::Unknown | Self::TimedOut)
    }
}

impl Messages {
    /// Publishes a message; done once it is acknowledged as a message of QoS 1 would be.
    pub async fn publish(
        &self,
        caller: &Caller,
        instance: InstanceId,
        new: NewMessage,
    ) -> Result<Published, PublishError> {
        let instance = self.core.instance(caller, instance, Action::PublishMessages).await?;
        if instance.state != InstanceState::Running {
            return Err(WrongState(format!("instance `{}` is not running", instance.name)).into());
        }
        check(&self.core, &instance, &new).await?;
        let NewMessage { topic, payload, qos, retain, expires_in_secs, properties } = new;
        let payload = Base64(payload);
        let request = PublishRequest {
            instance: instance.id,
            topic,
            payload,
            qos,
            retain,
            expires_in_secs,
            properties,
        };
        let seen_since = seen_since(&self.core);
        let mut peers = self.peers(instance.id).await?;
        peers.retain(|peer| peer.address.is_some() && peer.last_seen_at >= seen_since);
        let (core, caller) = (Arc::clone(&self.core), caller.clone());
        let run = async move {
            let outcome = send(&core, &instance, &peers, &request).await;
            audit(&core, &caller, &instance, &request, &outcome).await;
            outcome
        };
        // To its end even when nobody waits any more: what was sent is in the audit log.
        tokio::spawn(run.in_current_span()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "publishing broke off: a message may or may not be published");
            Err(PublishError::Unknown)
        })
    }
}

/// Hands the message to the first node that can be reached.
async fn send(
    core: &Core,
    instance: &Instance,
    peers: &[Peer],
    request: &PublishRequest,
) -> Result<Published, PublishError> {
    for peer in peers {
        match core.node_calls.publish(peer, request).await {
            Ok(PublishAnswer { id, matched }) => {
                let id = id.map(|id| MessageId { shard: peer.number, ..id });
                return Ok(Published { id, matched });
            }
            Err(NodeCallError::NotReached | NodeCallError::Closed) => {
                tracing::warn!(node = %peer.id, "a node that reports cannot be reached");
            }
            Err(NodeCallError::TimedOut) => return Err(PublishError::TimedOut),
            Err(NodeCallError::Refused { code }) => return Err(refused(&code, instance)),
            Err(error @ (NodeCallError::Broken | NodeCallError::NotBelieved)) => {
                tracing::warn!(node = %peer.id, %error, "a message may or may not be published");
                return Err(PublishError::Unknown);
            }
        }
    }
    Err(PublishError::NodeUnavailable)
}

/// Notes what is, or may be, published; never the payload. What was refused is not noted.
async fn audit(
    core: &Core,
    caller: &Caller,
    instance: &Instance,
    request: &PublishRequest,
    outcome: &Result<Published, PublishError>,
) {
    let (topic, bytes) = (&request.topic, request.payload.0.len());
    let after = match outcome {
        Ok(Published { id, matched }) => {
            json!({"topic": topic, "bytes": bytes, "id": id, "matched": matched})
        }
        Err(error) if error.is_uncertain() => json!({"topic": topic, "bytes": bytes, "uncertain": true}),
        Err(_) => return,
    };
    let audited = Audited {
        action: "publish_message",
        resource: "topic",
        id: first_level(topic),
        before: None,
        after: Some(after),
    };
    let written = async {
        let mut write = Write::begin(core, caller).await?;
        write.audit_in(instance, audited);
        write.commit().await
    };
    // The message is published: who is told that it is not publishes it again.
    if let Err(error) = written.await {
        tracing::error!(?error, instance = %instance.id, topic, bytes, "a published message is not in the audit log");
    }
}

/// What a node would refuse is said here, where it can be said of which member. What it knows better, it says itself.
async fn check(core: &Core, instance: &Instance, new: &NewMessage) -> Result<(), PublishError> {
    let limits = &instance.limits;
    let mut check = Check::default();
    let topic = new.topic.as_str();
    if let Err(error) = check_name(topic) {
        check.fail("/topic", "invalid", error.to_string());
    } else if topic.starts_with('$') {
        check.fail("/topic", "invalid", "a topic that begins with `$` is not for applications");
    } else if topic.len() as u64 > limits.topic_bytes_max {
        check.fail("/topic", "too_long", format!("at most {} bytes", limits.topic_bytes_max));
    } else if levels(topic) as u64 > limits.topic_levels_max {
        check.fail("/topic", "too_long", format!("at most {} levels", limits.topic_levels_max));
    }
    if new.retain && p2p::receiver(topic).is_some() {
        check.fail("/retain", "invalid", "a message for one client cannot be retained");
    }
    if new.expires_in_secs == Some(0) {
        check.fail("/expires_in_secs", "invalid", "at least 1 second");
    }
    properties::check(&mut check, &new.properties, &new.payload, limits);
    check.finish()?;
    let mut payload_bytes_max = limits.packet_bytes_max;
    let name = first_level(topic);
    let found = store::topics::find(&mut *core.store.read().await?, instance.id, name).await?;
    let mut check = Check::default();
    match found {
        Some(topic) => {
            payload_bytes_max = payload_bytes_max.min(topic.payload_bytes_max.unwrap_or(u64::MAX));
        }
        None if instance.topic_mode == TopicMode::Provisioned => {
            check.fail("/topic", "unknown", format!("the instance has no topic `{name}`"));
        }
        None => {}
    }
    if new.payload.len() as u64 > payload_bytes_max {
        check.fail("/payload/data", "too_long", format!("at most {payload_bytes_max} bytes"));
    }
    Ok(check.finish()?)
}

/// What a node's refusal means to who publishes.
fn refused(code: &str, instance: &Instance) -> PublishError {
    match code {
        "instance_unknown" | "instance_suspended" => {
            WrongState(format!("instance `{}` is not served there", instance.name)).into()
        }
        "storage_unavailable" => PublishError::StorageUnavailable,
        "busy" => PublishError::Busy,
        // Also when it stops after it has taken the message.
        "node_stopping" => PublishError::Unknown,
        "topic_not_provisioned" => {
            Invalid::field("/topic", "unknown", "the instance has no such topic").into()
        }
        "retained_max" => {
            WrongState(format!("instance `{}` has all the retained messages it may have", instance.name))
                .into()
        }
        "packet_bytes_max" | "payload_bytes_max" => {
            Invalid::field("/payload/data", "too_long", format!("more than `{code}`")).into()
        }
        "properties_bytes_max" => {
            Invalid::field("/properties", "too_long", format!("more than `{code}`")).into()
        }
        "user_properties_max" => {
            Invalid::field("/properties/user_properties", "too_many", format!("more than `{code}`")).into()
        }
        "payload_format_invalid" => {
            Invalid::field("/properties/payload_format", "invalid", "the payload is no UTF-8").into()
        }
        other => WrongState(format!("the node refused the message: `{other}`")).into(),
    }
}
