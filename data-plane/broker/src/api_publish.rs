//! Publishing for an application, which has no connection: the caller has proven who it is and may publish anything to
//! its instance. Limits, topic rules and durability are those of any message.

use std::rc::Rc;
use std::sync::Arc;

use contract::feed::InstanceState;
use contract::grant::PublishRights;
use contract::ids::InstanceId;
use contract::message::MessageId;
use contract::p2p;
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicName;
use mqtt::{Content, Publish};
use tokio::sync::oneshot;

use crate::command::Command;
use crate::control::Control;
use crate::delivery::Passing;
use crate::instances::Instance;
use crate::local_instance::LocalInstance;
use crate::owed::Owing;
use crate::policy::{self, Verdict};
use crate::publish::{Taken, expiry};
use crate::to_one;
use crate::worker::Worker;

/// A message that was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Published {
    /// Its identifier; none when it is not stored.
    pub(crate) id: Option<MessageId>,
    /// Whether it is stored, and safely so.
    pub(crate) stored: bool,
    /// Clients on this node that wanted it when it was taken.
    pub(crate) matched: u32,
}

/// Why a message was not published. Nothing of it is kept, unless the node fails before it has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The node does not have the instance.
    #[error("the instance is not served here")]
    InstanceUnknown,
    /// The instance, its topics or its limits do not allow it.
    #[error("the message is refused: `{}`", .0.name())]
    Refused(Refusal),
    /// The message log takes nothing for now.
    #[error("the message log is not available")]
    StorageUnavailable,
    /// The instance is over its rate, the log has no room, or messages of a topic that is no longer stored are still on
    /// their way through the log: later it may be taken.
    #[error("the node is busy")]
    Busy,
    /// The node is stopping, or its worker has failed.
    #[error("the node is stopping")]
    Stopping,
}

/// What an application publishes.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// The properties that go on with it, in their plain form.
    pub(crate) content: Vec<u8>,
    pub(crate) expiry_secs: Option<u32>,
}

/// One message on its way to the worker that publishes it.
pub(crate) struct ApiPublish {
    pub(crate) shared: Arc<Instance>,
    pub(crate) topic: TopicName,
    pub(crate) message: Publication,
    /// What stands where a client identifier would.
    pub(crate) publisher: Box<str>,
    pub(crate) answer: Answer,
}

/// Where the outcome of one publication goes.
pub(crate) type Answer = oneshot::Sender<Result<Published, PublishError>>;

impl Control {
    /// Publishes a message for an application. It is answered when a client at QoS 1 would be: at once when the topic
    /// is not stored, else when the message is safely in the log, whatever `qos` it is for its receivers. `topic` is a
    /// topic name: anything else is refused. `publisher` stands where a client identifier would; empty: it was no client.
    ///
    /// Who gives up waiting does not know whether the message is published: it is not, unless its worker had taken it.
    pub(crate) async fn publish(
        &self,
        instance: InstanceId,
        topic: &str,
        message: Publication,
        publisher: &str,
    ) -> Result<Published, PublishError> {
        let topic: TopicName = topic.parse().map_err(|_| PublishError::Refused(Refusal::MalformedPacket))?;
        let node = self.node();
        let rules = node.replica.instance(instance).ok_or(PublishError::InstanceUnknown)?;
        let shared = node.instances.get(instance, &rules.document.limits, node.clock.micros());
        // Whether the one that it is for is there is known on that one's worker.
        let worker = shared.worker_of(p2p::receiver(topic.as_str()).unwrap_or(publisher));
        let (answer, outcome) = oneshot::channel();
        let publisher = publisher.into();
        let request = ApiPublish { shared, topic, message, publisher, answer };
        let command = Command::Publish(Box::new(request));
        node.commands_of(worker).send(command).await.map_err(|_| PublishError::Stopping)?;
        outcome.await.unwrap_or(Err(PublishError::Stopping))
    }
}

impl Worker {
    /// Publishes for an application; whoever asked is told once it is done. Who no longer waits was told that it took
    /// too long, and may have published it again: that is not done twice where it can be helped.
    pub(crate) fn publish_for(&self, request: ApiPublish) {
        let ApiPublish { shared, topic, message, publisher, answer } = request;
        if answer.is_closed() {
            return;
        }
        let publish = Publish {
            qos: message.qos,
            retain: message.retain,
            topic: topic.as_str(),
            payload: &message.payload,
            expiry_secs: message.expiry_secs,
            content: Content::from_stored(&message.content),
            ..Publish::default()
        };
        let taken = self.take_for(&shared, &publish, &publisher);
        let (instance, taken) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // Whoever asked may have gone: here, and wherever it is answered.
                let _ = answer.send(Err(error));
                return;
            }
        };
        let matched = match taken.route.to_one() {
            None => u32::try_from(taken.route.len()).unwrap_or(u32::MAX),
            Some(_) => u32::from(!to_one::reaches_nobody(&instance, &taken.route)),
        };
        if let Some(logged) = taken.logged {
            let owing = Owing::Application(matched, answer);
            self.append(&instance, &taken, logged, &publish, &publisher, owing);
        } else {
            let passing = Passing::accepted(&publish, taken.expires_at, &publisher);
            self.hand_over(&instance, &taken.route, &passing);
            let _ = answer.send(Ok(Published { id: None, stored: false, matched }));
        }
    }

    /// Accepts a message of an application, as that of a client with every right.
    fn take_for(
        &self,
        shared: &Arc<Instance>,
        publish: &Publish<'_>,
        publisher: &str,
    ) -> Result<(Rc<LocalInstance>, Taken), PublishError> {
        if self.is_stopping.get() {
            return Err(PublishError::Stopping);
        }
        let rules = self.node.replica.instance(shared.id).ok_or(PublishError::InstanceUnknown)?;
        if rules.document.state != InstanceState::Running {
            return Err(PublishError::Refused(Refusal::InstanceSuspended));
        }
        let instance = self.local_instance(shared, rules);
        let (rules, paces) = (instance.rules(), instance.paces());
        let verdict = Verdict::with_rights(&rules, PublishRights::ALL, publish.topic);
        verdict.check(publish.qos, publish.retain, publish.payload).map_err(PublishError::Refused)?;
        if !publish.content.is_empty() {
            let limits = &rules.document.limits;
            let checked = policy::check_content(limits, publish.content, publish.payload);
            checked.map_err(PublishError::Refused)?;
        }
        let bytes = publish.topic.len() + publish.payload.len() + publish.content.size_bytes();
        if bytes > paces.packet_bytes_max {
            return Err(PublishError::Refused(Refusal::PacketBytesMax));
        }
        let route = self.route(&instance, publish.topic);
        let logged = to_one::logged_by(&instance, &verdict, &route, publish.qos, publish.retain);
        let logged = self.hold_to_disk(&instance, logged);
        if logged.is_some() {
            let may = self.may_log(&instance, &verdict, publish, 0);
            may.map_err(|refusal| {
                let is_of_log = refusal == Refusal::StorageUnavailable;
                if is_of_log { PublishError::StorageUnavailable } else { PublishError::Refused(refusal) }
            })?;
        }
        let has_room = match logged {
            Some(_) => self.can_append(publish, publisher),
            None => self.has_room(&instance) && !self.is_fading(&instance, publish.topic),
        };
        if !has_room || instance.wait(self.now()) > 0 {
            return Err(PublishError::Busy);
        }
        instance.inbound.take(self.now(), &paces.inbound, 1, bytes);
        instance.counts.came_in(bytes);
        instance.unused_since.set(self.now());
        let expires_at = publish.expiry_secs.map(expiry);
        Ok((instance, Taken { route, logged, expires_at }))
    }
}
