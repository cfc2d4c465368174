//! What an instance may use, and what it uses.

use chrono::TimeDelta;
use contract::ids::InstanceId;
use contract::limits::{LIMITS, Limit};
use contract::node::REACHABLE_SECS;

use super::Instances;
use crate::access::{Action, Caller};
use crate::alarms::outbox;
use crate::error::GetError;

/// One limit of an instance, and its use where the control plane knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitUse {
    /// The row of the table of limits.
    pub limit: &'static Limit,
    /// The value for this instance.
    pub value: u64,
    /// How much is in use, where it is counted here or reported by nodes.
    pub used: Option<u64>,
}

impl Instances {
    /// Every limit of an instance, in the order of the table.
    pub async fn limits(&self, caller: &Caller, instance: InstanceId) -> Result<Vec<LimitUse>, GetError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let mut connection = self.core.store.read().await?;
        let seen_since = self.core.now() - TimeDelta::seconds(REACHABLE_SECS.cast_signed());
        let connections = store::nodes::count_connections(&mut connection, instance.id, seen_since).await?;
        let now = self.core.now();
        let keys = store::signing_keys::list(&mut connection, instance.id).await?;
        let keys = keys.iter().filter(|key| key.verifies(now)).count() as u64;
        let revocations = store::revocations::count(&mut connection, instance.id).await?;
        let rules = store::alarm_rules::count(&mut connection, instance.id).await?;
        let channels = store::channels::count(&mut connection, instance.id).await?;
        let pending = outbox::count_pending(&mut connection, &instance).await?;
        let used = |name: &str| match name {
            "connections_max" => Some(connections),
            "topics_max" => Some(instance.topics_used),
            "credentials_max" => Some(instance.credentials_used),
            "signing_keys_max" => Some(keys),
            "revocations_max" => Some(revocations),
            "alarm_rules_max" => Some(rules),
            "channels_max" => Some(channels),
            "deliveries_pending_max" => Some(pending),
            _ => None,
        };
        let limits = LIMITS.iter().map(|limit| LimitUse {
            limit,
            value: instance.limits.get(limit.name).unwrap_or(limit.default),
            used: used(limit.name),
        });
        Ok(limits.collect())
    }
}
