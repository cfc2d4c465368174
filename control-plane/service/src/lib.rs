//! The rules of the control plane, over the store.
//!
//! One small struct per resource, made once by [`Services::new`]. Each function that acts for a person takes the
//! [`access::Caller`] and asks the permission matrix itself; each write is one transaction with its audit row and, as
//! its last statement, its generation. There is no HTTP here: `api` turns errors into answers.

pub mod access;
pub mod alarm_rules;
pub mod alarms;
pub mod audit;
pub mod bootstrap;
pub mod channels;
pub mod clock;
mod core;
pub mod credentials;
pub mod error;
pub mod feed;
pub mod idempotency;
pub mod ids;
pub mod instances;
mod label;
pub mod members;
pub mod messages;
pub mod metrics;
pub mod node_calls;
pub mod nodes;
pub mod page;
mod passwords;
mod permits;
pub mod plans;
pub mod platform;
pub mod reconcile;
mod revocations;
pub mod rollout;
pub mod seal;
pub mod secret;
pub mod session;
pub mod shared_groups;
pub mod signing_keys;
pub mod tenants;
pub mod tokens;
pub mod topics;
mod validate;
pub mod verifiers;
mod wake;
pub mod webhooks;
pub mod write;

use std::sync::Arc;

pub use store::{Labels, Store};

use crate::core::Core;

/// What the services need to be made.
pub struct Options {
    /// What time it is.
    pub clock: Arc<dyn clock::Clock>,
    /// The key under which private keys and stored answers are sealed.
    pub master_key: seal::MasterKey,
    /// The deployment around them.
    pub platform: platform::PlatformOptions,
    /// How a node is called.
    pub node_calls: Arc<dyn node_calls::NodeCalls>,
    /// How what tenants name is called.
    pub webhooks: webhooks::WebhookOptions,
}

/// Every service. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Signing in and out.
    pub session: session::Sessions,
    /// The caller's own account.
    pub members: members::Members,
    /// Plans.
    pub plans: plans::Plans,
    /// Tenants.
    pub tenants: tenants::Tenants,
    /// Instances.
    pub instances: instances::Instances,
    /// The keys that sign temporary tokens.
    pub signing_keys: signing_keys::SigningKeys,
    /// Topics.
    pub topics: topics::Topics,
    /// Credentials.
    pub credentials: credentials::Credentials,
    /// Temporary tokens.
    pub tokens: tokens::Tokens,
    /// Stored messages.
    pub messages: messages::Messages,
    /// Shared subscriptions.
    pub shared_groups: shared_groups::SharedGroups,
    /// What is counted of instances.
    pub metrics: metrics::Metrics,
    /// Alarm rules.
    pub alarm_rules: alarm_rules::AlarmRules,
    /// Alarms.
    pub alarms: alarms::Alarms,
    /// Where alarms are told.
    pub channels: channels::Channels,
    /// Nodes.
    pub nodes: nodes::Nodes,
    /// What nodes read.
    pub feed: feed::Feed,
    /// How far a change has come.
    pub rollout: rollout::Rollout,
    /// The audit log.
    pub audit: audit::Audit,
    /// Answers given once and again.
    pub idempotency: idempotency::Idempotency,
    core: Arc<Core>,
}

impl Services {
    /// Makes them all over one store.
    #[must_use]
    pub fn new(store: Store, options: Options) -> Self {
        let started_at = options.clock.now();
        let core = Arc::new(Core {
            store,
            clock: options.clock,
            master_key: options.master_key,
            platform: options.platform,
            node_calls: options.node_calls,
            passwords: passwords::PasswordHasher::new(),
            wake: wake::Wake::new(),
            ring: metrics::Ring::default(),
            webhooks: webhooks::Calls::of_system(options.webhooks),
            started_at,
        });
        Self {
            session: session::Sessions::new(core.clone()),
            members: members::Members::new(core.clone()),
            plans: plans::Plans::new(core.clone()),
            tenants: tenants::Tenants::new(core.clone()),
            instances: instances::Instances::new(core.clone()),
            signing_keys: signing_keys::SigningKeys::new(core.clone()),
            topics: topics::Topics::new(core.clone()),
            credentials: credentials::Credentials::new(core.clone()),
            tokens: tokens::Tokens::new(core.clone()),
            messages: messages::Messages::new(core.clone()),
            shared_groups: shared_groups::SharedGroups::new(core.clone()),
            metrics: metrics::Metrics::new(core.clone()),
            alarm_rules: alarm_rules::AlarmRules::new(core.clone()),
            alarms: alarms::Alarms::new(core.clone()),
            channels: channels::Channels::new(core.clone()),
            nodes: nodes::Nodes::new(core.clone()),
            feed: feed::Feed::new(core.clone()),
            rollout: rollout::Rollout::new(core.clone()),
            audit: audit::Audit::new(core.clone()),
            idempotency: idempotency::Idempotency::new(core.clone()),
            core,
        }
    }

    /// What time the services say it is.
    #[must_use]
    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.core.now()
    }

    /// Whether the database answers.
    pub async fn check_database(&self) -> Result<(), store::StoreError> {
        store::platform::ping(&mut *self.core.store.read().await?).await
    }
}
