//! The very first start: plans, the first operator, and a tenant to try things with.

use std::collections::BTreeMap;

use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{Authentication, TopicMode};
use contract::ids::{InstanceId, TenantId};
use contract::shared_group::SharedStrategy;
use store::platform::Bootstrap;
use store::{Labels, StoreError};

use crate::Services;
use crate::access::Caller;
use crate::instances::{CreateInstanceError, NewInstance};
use crate::members::{NewMember, new_member};
use crate::plans::{CreatePlanError, NewPlan};
use crate::secret::Secret;
use crate::topics::{CreateTopicError, HistoryPatch, NewTopic};
use crate::write::Write;

/// The address of the first operator.
pub const OPERATOR_EMAIL: &str = "operator@localhost";
/// The name of the first tenant, of its instance and of the topic in it.
const DEMO: &str = "demo";
/// The plan of the first instance.
const DEMO_PLAN: &str = "standard";

/// A plan's name, its description, and what differs from the table's defaults.
type FirstPlan = (&'static str, &'static str, &'static [(&'static str, u64)]);

/// The plans of a new platform.
const PLANS: &[FirstPlan] = &[
    (
        "free",
        "To try things: a hundred devices, little traffic",
        &[
            ("connections_max", 100),
            ("connects_per_sec", 10),
            ("messages_in_per_sec", 100),
            ("bytes_in_per_sec", 262_144),
            ("messages_out_per_sec", 1_000),
            ("bytes_out_per_sec", 1_048_576),
            ("client_messages_in_per_sec", 20),
            ("client_bytes_in_per_sec", 65_536),
            ("packet_bytes_max", 65_536),
            ("subscriptions_max", 1_000),
            ("topics_max", 10),
            ("credentials_max", 100),
            ("revocations_max", 1_000),
        ],
    ),
    (DEMO_PLAN, "A fleet of a thousand devices", &[]),
    (
        "large",
        "A fleet of a hundred thousand devices",
        &[
            ("connections_max", 100_000),
            ("connects_per_sec", 2_000),
            ("messages_in_per_sec", 200_000),
            ("bytes_in_per_sec", 209_715_200),
            ("messages_out_per_sec", 1_000_000),
            ("bytes_out_per_sec", 1_048_576_000),
            ("client_messages_in_per_sec", 5_000),
            ("client_bytes_in_per_sec", 20_971_520),
            ("client_messages_out_per_sec", 20_000),
            ("client_bytes_out_per_sec", 83_886_080),
            ("subscriptions_max", 5_000_000),
            ("client_subscriptions_max", 1_000),
            ("topics_max", 1_000),
            ("credentials_max", 500_000),
        ],
    ),
];

/// What there is after the first start, and after each later one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrapped {
    /// The first operator, also owner of the demo tenant.
    pub operator_email: String,
    /// Its password, at the very first start only; to be changed at the first sign-in.
    pub one_time_password: Option<Secret>,
    /// The demo tenant.
    pub tenant: TenantId,
    /// The demo instance.
    pub instance: InstanceId,
    /// The demo topic.
    pub topic: String,
}

/// Why the first start failed.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A plan was not made.
    #[error(transparent)]
    Plan(#[from] CreatePlanError),
    /// The instance was not made.
    #[error(transparent)]
    Instance(#[from] CreateInstanceError),
    /// The topic was not made.
    #[error(transparent)]
    Topic(#[from] CreateTopicError),
    /// The password could not be hashed.
    #[error("too many passwords are being hashed")]
    Busy,
}

/// Makes what a new database lacks, all of it or nothing; on a later start it changes nothing.
pub async fn bootstrap(services: &Services) -> Result<Bootstrapped, BootstrapError> {
    let core = &services.core;
    let known = store::platform::find_bootstrap(&mut *core.store.read().await?).await?;
    if let Some(made) = known {
        return Ok(answer(made, None));
    }
    let operator = new_member(core, OPERATOR_EMAIL, "Operator", true).await;
    let operator = operator.map_err(|_| BootstrapError::Busy)?;
    let caller = Caller::platform("bootstrap");
    let mut write = Write::begin(core, &caller).await?;
    store::platform::lock_bootstrap(&mut write.tx).await?;
    if let Some(made) = store::platform::find_bootstrap(&mut write.tx).await? {
        return Ok(answer(made, None));
    }
    let made = make(&mut write, &operator).await?;
    let now = write.now;
    store::platform::insert_bootstrap(&mut write.tx, &made, now).await?;
    write.commit().await?;
    Ok(answer(made, Some(operator.one_time_password)))
}

async fn make(write: &mut Write<'_>, operator: &NewMember) -> Result<Bootstrap, BootstrapError> {
    for (name, description, limits) in PLANS {
        let limits: BTreeMap<String, u64> =
            limits.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let new = NewPlan { name: (*name).to_owned(), description: (*description).to_owned(), limits };
        crate::plans::create(write, new).await?;
    }
    let member = &operator.member;
    crate::members::insert(write, operator).await?;
    let tenant = crate::tenants::create(write, DEMO.to_owned(), Labels::new(), Some(member)).await?;
    let new = NewInstance {
        name: DEMO.to_owned(),
        plan: DEMO_PLAN.to_owned(),
        topic_mode: TopicMode::Provisioned,
        durability: DurabilityClass::default(),
        queue_overflow: QueueOverflow::default(),
        shared_strategy: SharedStrategy::default(),
        authentication: vec![Authentication::Password, Authentication::Token],
        delete_protection: false,
        labels: Labels::new(),
    };
    let instance = crate::instances::create(write, &tenant, new).await?;
    // Kept, so that who has followed the printed lines finds the message again.
    let history = HistoryPatch { enabled: Some(true), ..HistoryPatch::default() };
    let new = NewTopic { name: DEMO.to_owned(), history, ..NewTopic::default() };
    let topic = crate::topics::create(write, &instance, new).await?;
    Ok(Bootstrap { member: member.id, tenant: tenant.id, instance: instance.id, topic: topic.name })
}

fn answer(made: Bootstrap, one_time_password: Option<Secret>) -> Bootstrapped {
    Bootstrapped {
        operator_email: OPERATOR_EMAIL.to_owned(),
        one_time_password,
        tenant: made.tenant,
        instance: made.instance,
        topic: made.topic,
    }
}
