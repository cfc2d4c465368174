//! Provisioned topics.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contract::durability::DurabilityClass;
use contract::feed::DocumentKind;
use contract::ids::InstanceId;
use contract::limits::InstanceLimits;
use contract::topic::check_name;
use serde_json::{Value, json};
use store::error::Constraint;
use store::instances::Instance;
pub use store::topics::{History, Topic};
use store::{Labels, StoreError};

use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::{
    DeleteError, GetError, Invalid, LimitReached, ListError, NameTaken, UpdateError, WrongState,
    takes_get_error,
};
use crate::page::{ListQuery, Page};
use crate::validate::{Check, patched};
use crate::write::{Audited, Write, Written, check_revision, not_deleting};

/// Makes, changes and deletes topics.
#[derive(Clone)]
pub struct Topics {
    core: Arc<Core>,
}

/// What a new topic is to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewTopic {
    /// The first level of the topic names it rules: no `/`, no wildcard, not beginning with `$`.
    pub name: String,
    /// For people; at most 1 024 bytes.
    pub description: String,
    /// The largest payload, at most what the instance's packets allow.
    pub payload_bytes_max: Option<u64>,
    /// Whether and how long its messages are kept; what is none is as [`HISTORY_OFF`] has it.
    pub history: HistoryPatch,
    /// Which of its messages are logged; none: as its instance has it.
    pub durability: Option<DurabilityClass>,
    /// What people sort it by.
    pub labels: Labels,
}

/// How a topic's history is to change; what is none stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HistoryPatch {
    /// Whether messages are kept. Switched off, those that were kept are no longer shown, then or later.
    pub enabled: Option<bool>,
    /// How long: 60 to 2 592 000 seconds.
    pub retention_secs: Option<u64>,
    /// How much: 1 MiB to 1 TiB; `Some(None)` takes the bound away.
    pub retention_bytes: Option<Option<u64>>,
}

/// The bounds of how long messages are kept, in seconds.
pub const RETENTION_SECS: RangeInclusive<u64> = 60..=30 * 24 * 60 * 60;
/// The bounds of how much is kept, in bytes.
pub const RETENTION_BYTES: RangeInclusive<u64> = (1 << 20)..=(1 << 40);
/// The history of a topic of which nobody has said anything: off, and three days once it is on.
pub const HISTORY_OFF: History =
    History { since: None, retention_secs: 3 * 24 * 60 * 60, retention_bytes: None };

impl HistoryPatch {
    fn apply(self, before: History, now: DateTime<Utc>) -> History {
        let since = match self.enabled {
            Some(true) => before.since.or(Some(now)),
            Some(false) => None,
            None => before.since,
        };
        History {
            since,
            retention_secs: self.retention_secs.unwrap_or(before.retention_secs),
            retention_bytes: self.retention_bytes.unwrap_or(before.retention_bytes),
        }
    }
}

/// What is to change of a topic; what is none stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicPatch {
    /// For people.
    pub description: Option<String>,
    /// The largest payload; `Some(None)` takes the bound away.
    pub payload_bytes_max: Option<Option<u64>>,
    /// Whether and how long its messages are kept.
    pub history: HistoryPatch,
    /// Which of its messages are logged; `Some(None)`: as its instance has it.
    pub durability: Option<Option<DurabilityClass>>,
    /// Labels to set, or with none to take away.
    pub labels: BTreeMap<String, Option<String>>,
}

/// Why a topic was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTopicError {
    /// There is no such instance for this caller, or it may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The instance has all the topics it may have.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The instance has a topic of this name.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// The instance is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

takes_get_error!(CreateTopicError);

impl Topics {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Makes a topic.
    pub async fn create(
        &self,
        caller: &Caller,
        instance: InstanceId,
        new: NewTopic,
    ) -> Result<(Topic, Written), CreateTopicError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let instance = write.instance(caller, instance, Action::WriteTopics).await?;
        let topic = create(&mut write, &instance, new).await?;
        Ok((topic, write.commit().await?))
    }

    /// The topics of an instance.
    pub async fn list(
        &self,
        caller: &Caller,
        instance: InstanceId,
        query: &ListQuery,
    ) -> Result<Page<Topic>, ListError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        query.page(store::topics::list(&mut connection, instance.id, &listing).await)
    }

    /// One topic.
    pub async fn get(&self, caller: &Caller, instance: InstanceId, name: &str) -> Result<Topic, GetError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let mut connection = self.core.store.read().await?;
        let topic = store::topics::find(&mut connection, instance.id, name).await?;
        Ok(topic.ok_or_else(|| AccessError::not_found("topic", name))?)
    }

    /// Changes a topic, if it still has the revision that is asked for.
    pub async fn update(
        &self,
        caller: &Caller,
        instance: InstanceId,
        name: &str,
        if_revision: Option<i64>,
        patch: TopicPatch,
    ) -> Result<(Topic, Written), UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = self.lock(&mut write, caller, instance, name).await?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&instance)?;
        let topic = Topic {
            description: patch.description.unwrap_or_else(|| before.description.clone()),
            payload_bytes_max: patch.payload_bytes_max.unwrap_or(before.payload_bytes_max),
            history: patch.history.apply(before.history, write.now),
            durability: patch.durability.unwrap_or(before.durability),
            labels: patched(&before.labels, &patch.labels),
            updated_at: write.now,
            revision: before.revision + 1,
            ..before.clone()
        };
        check(&topic, &instance.limits)?;
        store::topics::update(&mut write.tx, instance.id, &topic).await?;
        let told = |topic: &Topic| (topic.payload_bytes_max, topic.history, topic.durability);
        if told(&topic) != told(&before) {
            write.changed(DocumentKind::Topic, instance.id, name);
        }
        let (before, after) = (Some(summary(&before)), Some(summary(&topic)));
        write.audit_in(
            &instance,
            Audited { action: "update_topic", resource: "topic", id: name, before, after },
        );
        Ok((topic, write.commit().await?))
    }

    /// Deletes a topic. Devices that use it lose it when their node has heard.
    pub async fn delete(
        &self,
        caller: &Caller,
        instance: InstanceId,
        name: &str,
        if_revision: Option<i64>,
    ) -> Result<Written, DeleteError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = self.lock(&mut write, caller, instance, name).await?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&instance)?;
        store::topics::delete(&mut write.tx, instance.id, name).await?;
        count(&mut write, &instance, instance.topics_used.saturating_sub(1)).await?;
        write.changed(DocumentKind::Topic, instance.id, name);
        let before = Some(summary(&before));
        write.audit_in(
            &instance,
            Audited { action: "delete_topic", resource: "topic", id: name, before, after: None },
        );
        Ok(write.commit().await?)
    }

    async fn lock(
        &self,
        write: &mut Write<'_>,
        caller: &Caller,
        instance: InstanceId,
        name: &str,
    ) -> Result<(Instance, Topic), GetError> {
        let instance = write.instance(caller, instance, Action::WriteTopics).await?;
        let topic = store::topics::find(&mut write.tx, instance.id, name).await?;
        Ok((instance, topic.ok_or_else(|| AccessError::not_found("topic", name))?))
    }
}

/// Makes a topic in a locked instance.
pub(crate) async fn create(
    write: &mut Write<'_>,
    instance: &Instance,
    new: NewTopic,
) -> Result<Topic, CreateTopicError> {
    not_deleting(instance)?;
    let topic = Topic {
        instance: instance.id,
        name: new.name,
        description: new.description,
        payload_bytes_max: new.payload_bytes_max,
        history: new.history.apply(HISTORY_OFF, write.now),
        durability: new.durability,
        labels: new.labels,
        created_at: write.now,
        updated_at: write.now,
        revision: 1,
    };
    check(&topic, &instance.limits)?;
    if instance.topics_used >= instance.limits.topics_max {
        return Err(CreateTopicError::Limit(LimitReached {
            name: "topics_max",
            value: instance.limits.topics_max,
            used: instance.topics_used,
            scope: "instance",
            subject: instance.name.clone(),
        }));
    }
    store::topics::insert(&mut write.tx, instance.id, &topic).await.map_err(|error| {
        if error.breaks(Constraint::TopicTaken) {
            return NameTaken { pointer: "/name", name: topic.name.clone() }.into();
        }
        CreateTopicError::Store(error)
    })?;
    count(write, instance, instance.topics_used + 1).await?;
    write.changed(DocumentKind::Topic, instance.id, &topic.name);
    let after = Some(summary(&topic));
    write.audit_in(
        instance,
        Audited { action: "create_topic", resource: "topic", id: &topic.name, before: None, after },
    );
    Ok(topic)
}

async fn count(write: &mut Write<'_>, instance: &Instance, topics: u64) -> Result<(), StoreError> {
    let credentials = instance.credentials_used;
    store::instances::update_use(&mut write.tx, instance.tenant, instance.id, topics, credentials).await
}

fn check(topic: &Topic, limits: &InstanceLimits) -> Result<(), Invalid> {
    let mut check = Check::default();
    let name = topic.name.as_str();
    if let Err(error) = check_name(name) {
        check.fail("/name", "invalid", error.to_string());
    } else if name.contains('/') || name.starts_with('$') || name == "." || name == ".." {
        check.fail(
            "/name",
            "invalid",
            "a topic is named by one level, which is neither `.` nor `..` nor begins with `$`",
        );
    } else if name.chars().any(char::is_control) {
        check.fail("/name", "invalid", "a topic's name has no control character");
    } else if name.len() as u64 > limits.topic_bytes_max {
        check.fail("/name", "too_long", format!("at most {} bytes", limits.topic_bytes_max));
    }
    check.description("/description", &topic.description);
    check.labels(&topic.labels);
    if topic.payload_bytes_max.is_some_and(|max| !(1..=limits.packet_bytes_max).contains(&max)) {
        let detail = format!("1 to {}, which a packet may have", limits.packet_bytes_max);
        check.fail("/payload_bytes_max", "out_of_bounds", detail);
    }
    check_history(&mut check, &topic.history);
    check.finish()
}

fn check_history(check: &mut Check, history: &History) {
    let mut bounded = |pointer: &str, value: u64, bounds: &RangeInclusive<u64>| {
        if !bounds.contains(&value) {
            check.fail(pointer, "out_of_bounds", format!("{} to {}", bounds.start(), bounds.end()));
        }
    };
    bounded("/history/retention_secs", history.retention_secs, &RETENTION_SECS);
    if let Some(bytes) = history.retention_bytes {
        bounded("/history/retention_bytes", bytes, &RETENTION_BYTES);
    }
}

fn summary(topic: &Topic) -> Value {
    json!({
        "description": topic.description,
        "payload_bytes_max": topic.payload_bytes_max,
        "history": {
            "enabled": topic.history.since.is_some(),
            "retention_secs": topic.history.retention_secs,
            "retention_bytes": topic.history.retention_bytes,
        },
        "durability": topic.durability,
        "labels": topic.labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_topics() {
        for (name, good) in [
            ("vehicle", true),
            ("车", true),
            (&"a".repeat(1_024), true),
            (&"a".repeat(1_025), false),
            ("", false),
            ("a/b", false),
            ("+", false),
            ("a#", false),
            ("$SYS", false),
            ("..", false),
            ("a\u{7}", false),
        ] {
            let topic = Topic {
                instance: InstanceId(uuid::Uuid::nil()),
                name: name.to_owned(),
                description: String::new(),
                payload_bytes_max: None,
                history: HISTORY_OFF,
                durability: None,
                labels: Labels::new(),
                created_at: DateTime::UNIX_EPOCH,
                updated_at: DateTime::UNIX_EPOCH,
                revision: 1,
            };
            assert_eq!(check(&topic, &InstanceLimits::default()).is_ok(), good, "{name:?}");
        }
    }
}
