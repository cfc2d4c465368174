//! What a worker is told by others, through a queue of its own that it serves before any data.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::feed::CredentialDocument;
use contract::ids::{CredentialId, InstanceId};
use foldhash::HashMap;
use session::Will;
use tokio::sync::oneshot;

use crate::api_publish::ApiPublish;
use crate::authenticate::Proof;
use crate::connect::Asked;
use crate::groups::GroupFigures;
use crate::instances::Instance;
use crate::metrics::Counts;
use crate::transport::Parts;

/// One thing to do.
pub(crate) enum Command {
    /// Take over a connection whose CONNECT was found good.
    Admit(Box<Newcomer>),
    /// Look at live connections again.
    Recheck(Arc<Recheck>, oneshot::Sender<u64>),
    /// Name the credentials that live connections were opened with.
    ListCredentials(Arc<CredentialsAsked>, oneshot::Sender<Vec<CredentialInUse>>),
    /// Say what has been counted.
    Collect(oneshot::Sender<Collected>),
    /// Say what has been counted since this was asked the last time, by instance.
    Sample(oneshot::Sender<BTreeMap<InstanceId, Counts>>),
    /// Take in the sessions of an instance that another worker has woken.
    Wake(Arc<Instance>),
    /// Say how the shared subscriptions of an instance stand that have their home here.
    ListGroups(InstanceId, oneshot::Sender<Vec<GroupFigures>>),
    /// Publish a message for an application.
    Publish(Box<ApiPublish>),
}

/// A connection on its way from the front to its worker.
pub(crate) struct Newcomer {
    pub(crate) transport: Parts,
    /// What the client has sent behind its CONNECT.
    pub(crate) rest: Vec<u8>,
    pub(crate) client_id: Box<str>,
    pub(crate) asked: Box<Asked>,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) proof: Proof,
    pub(crate) instance: Arc<Instance>,
}

/// Which live connections to look at again; see [`replica::Affected`].
#[derive(Default)]
pub(crate) struct Recheck {
    /// All of them; `instances` then says nothing.
    pub(crate) all: bool,
    /// Those of these instances.
    pub(crate) instances: Vec<InstanceId>,
    /// Those opened with these credentials, which are now so; none: gone.
    pub(crate) credentials: HashMap<(InstanceId, CredentialId), Option<Arc<CredentialDocument>>>,
}

impl Recheck {
    pub(crate) fn is_nothing(&self) -> bool {
        !self.all && self.instances.is_empty() && self.credentials.is_empty()
    }
}

/// Which credentials to name.
pub(crate) enum CredentialsAsked {
    All,
    These(Vec<(InstanceId, CredentialId)>),
}

/// A credential with which a connection was opened.
pub(crate) struct CredentialInUse {
    pub(crate) instance: InstanceId,
    pub(crate) credential: CredentialId,
    pub(crate) username: String,
}

/// What one worker has counted.
#[derive(Default)]
pub(crate) struct Collected {
    /// By instance, those that have clients here now or lately had.
    pub(crate) instances: Vec<(InstanceId, Counts)>,
    /// Of those that are forgotten.
    pub(crate) forgotten: Counts,
    pub(crate) panics: u64,
}
