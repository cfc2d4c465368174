//! The rules of the control plane, over the store.
//!
//! One small struct per resource, made once by [`Services::new`]. Each function that acts for a person takes the
//! [`access::Caller`] and asks the permission matrix itself; each write is one transaction with its audit row and, as
//! its last statement, its generation. There is no HTTP here: `api` turns errors into answers.

pub mod access;
pub mod audit;
pub mod bootstrap;
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
pub mod nodes;
pub mod page;
mod passwords;
pub mod plans;
pub mod platform;
pub mod reconcile;
mod revocations;
pub mod rollout;
pub mod seal;
pub mod secret;
pub mod session;
pub mod signing_keys;
pub mod tenants;
pub mod tokens;
pub mod topics;
mod validate;
pub mod verifiers;
mod wake;
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
        let core = Arc::new(Core {
            store,
            clock: options.clock,
            master_key: options.master_key,
            platform: options.platform,
            passwords: passwords::PasswordHasher::new(),
            wake: wake::Wake::new(),
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
