//! Channels: where an instance's alarms are told.

use std::sync::Arc;

use chrono::TimeDelta;
use contract::ids::{ChannelId, InstanceId, TenantId};
use serde_json::{Value, json};
use store::StoreError;
pub use store::channels::{Channel, ChannelKind};
pub use store::deliveries::{Delivery, DeliveryState};
use store::error::Constraint;
use store::instances::Instance;

use crate::access::{AccessError, Action, Caller};
use crate::alarms::outbox;
use crate::core::Core;
use crate::error::{
    GetError, Invalid, LimitReached, ListError, NameTaken, RevisionMismatch, UpdateError, WrongState,
    takes_get_error,
};
use crate::ids::new_id;
use crate::page::{ListQuery, Page};
use crate::secret::Secret;
use crate::validate::Check;
use crate::webhooks::signature::SigningSecret;
use crate::webhooks::target::{Target, TargetError};
use crate::write::{Audited, Write, check_revision, not_deleting};

/// How long the secret before signs too, unless told.
pub const OVERLAP_SECS_DEFAULT: u64 = 86_400;
/// The longest that it may.
pub const OVERLAP_SECS_MAX: u64 = 604_800;
/// How many seconds are between two tests of a channel: who tests calls whom they name.
pub const TEST_SECS_MIN: u64 = 10;
/// The column in which secrets are sealed.
pub(crate) const SECRET_COLUMN: &str = "channel.secret";
/// Why the deliveries of a disabled channel have failed.
const DISABLED: &str = "the channel was disabled";

/// Makes, changes, tries and deletes channels.
#[derive(Clone)]
pub struct Channels {
    core: Arc<Core>,
}

/// What a new channel is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewChannel {
    /// What people call it; unique in the instance.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
    /// What is called.
    pub url: String,
    /// Whether it is told anything.
    pub enabled: bool,
}

/// What is to change of a channel; what is none stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChannelPatch {
    /// What people call it.
    pub name: Option<String>,
    /// What is called.
    pub url: Option<String>,
    /// Whether it is told anything; what a channel was not told when it is disabled is given up.
    pub enabled: Option<bool>,
}

/// An address that the platform does not call.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(transparent)]
pub struct AddressForbidden(pub TargetError);

/// It was tried a moment ago.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("channel `{channel}` was tried less than {TEST_SECS_MIN} s ago")]
pub struct TestedLately {
    /// The channel's name.
    pub channel: String,
    /// In how many seconds it may be tried again.
    pub retry_after_secs: u64,
}

/// Something still needs it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("alarm rule `{rule}` tells channel `{channel}`")]
pub struct InUse {
    /// The channel's name.
    pub channel: String,
    /// The name of a rule that tells it.
    pub rule: String,
}

/// Why a channel was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteChannelError {
    /// There is no such thing for this caller, or it may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The URL leads where the platform does not call.
    #[error(transparent)]
    AddressForbidden(#[from] AddressForbidden),
    /// The instance has all the channels it may have.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The instance has a channel of this name.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// It has changed meanwhile.
    #[error(transparent)]
    Revision(#[from] RevisionMismatch),
    /// The instance is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a channel was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteChannelError {
    /// It is not there for this caller, or not to be deleted by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It has changed meanwhile.
    #[error(transparent)]
    Revision(#[from] RevisionMismatch),
    /// A rule tells it.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The instance is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a channel was not tried.
#[derive(Debug, thiserror::Error)]
pub enum TestChannelError {
    /// It is not there for this caller, or not to be tried by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It was tried a moment ago.
    #[error(transparent)]
    Lately(#[from] TestedLately),
    /// So much is on its way that nothing can be added.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The channel is disabled, or the instance is being deleted.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

takes_get_error!(WriteChannelError, DeleteChannelError, TestChannelError);

impl Channels {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Makes a channel with a generated secret, which is in this answer only.
    pub async fn create(
        &self,
        caller: &Caller,
        instance: InstanceId,
        new: NewChannel,
    ) -> Result<(Channel, Secret), WriteChannelError> {
        // Who may not make a channel makes no look-up either.
        self.core.instance(caller, instance, Action::WriteChannels).await?;
        self.check_url(&new.url).await?;
        let mut write = Write::begin(&self.core, caller).await?;
        let instance = write.instance(caller, instance, Action::WriteChannels).await?;
        not_deleting(&instance)?;
        let channel = Channel {
            id: ChannelId(new_id(write.now)),
            instance: instance.id,
            name: new.name,
            kind: new.kind,
            url: new.url,
            enabled: new.enabled,
            previous_signs_until: None,
            created_at: write.now,
            updated_at: write.now,
            revision: 1,
        };
        check(&channel)?;
        let used = store::channels::count(&mut write.tx, instance.id).await?;
        if used >= instance.limits.channels_max {
            return Err(WriteChannelError::Limit(LimitReached {
                name: "channels_max",
                value: instance.limits.channels_max,
                used,
                scope: "instance",
                subject: instance.name.clone(),
            }));
        }
        let secret = SigningSecret::generate();
        let sealed = write.master_key().seal(
            &seal_owner(instance.tenant, instance.id, channel.id),
            SECRET_COLUMN,
            secret.bytes(),
        );
        let inserted = store::channels::insert(&mut write.tx, instance.id, &channel, &sealed).await;
        inserted.map_err(|error| name_taken(error, &channel.name))?;
        audit(&mut write, &instance, "create_channel", None, Some(&channel));
        write.commit().await?;
        Ok((channel, secret.text()))
    }

    /// The channels of an instance.
    pub async fn list(
        &self,
        caller: &Caller,
        instance: InstanceId,
        query: &ListQuery,
    ) -> Result<Page<Channel>, ListError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        query.page(store::channels::list(&mut connection, instance.id, &listing).await)
    }

    /// One channel.
    pub async fn get(
        &self,
        caller: &Caller,
        instance: InstanceId,
        channel: ChannelId,
    ) -> Result<Channel, GetError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let mut connection = self.core.store.read().await?;
        let found = store::channels::find(&mut connection, instance.id, channel).await?;
        Ok(found.ok_or_else(|| AccessError::not_found("channel", channel))?)
    }

    /// Changes a channel, if it still has the revision that is asked for.
    pub async fn update(
        &self,
        caller: &Caller,
        instance: InstanceId,
        channel: ChannelId,
        if_revision: Option<i64>,
        patch: ChannelPatch,
    ) -> Result<Channel, WriteChannelError> {
        let before = self.get_to_write(caller, instance, channel).await?;
        if let Some(url) = patch.url.as_deref().filter(|url| *url != before.url) {
            self.check_url(url).await?;
        }
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, channel).await?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&instance)?;
        let channel = Channel {
            name: patch.name.unwrap_or_else(|| before.name.clone()),
            url: patch.url.unwrap_or_else(|| before.url.clone()),
            enabled: patch.enabled.unwrap_or(before.enabled),
            updated_at: write.now,
            revision: before.revision + 1,
            ..before.clone()
        };
        check(&channel)?;
        let updated = store::channels::update(&mut write.tx, instance.id, &channel).await;
        updated.map_err(|error| name_taken(error, &channel.name))?;
        if before.enabled && !channel.enabled {
            let now = write.now;
            store::deliveries::fail_pending(&mut write.tx, instance.id, channel.id, DISABLED, now).await?;
        }
        audit(&mut write, &instance, "update_channel", Some(&before), Some(&channel));
        write.commit().await?;
        Ok(channel)
    }

    /// Gives a channel another secret, which is in this answer only. The one before signs too for `overlap_secs`.
    pub async fn rotate_secret(
        &self,
        caller: &Caller,
        instance: InstanceId,
        channel: ChannelId,
        overlap_secs: Option<u64>,
    ) -> Result<(Channel, Secret), UpdateError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, channel).await?;
        not_deleting(&instance)?;
        let overlap_secs = overlap_secs.unwrap_or(OVERLAP_SECS_DEFAULT);
        if overlap_secs > OVERLAP_SECS_MAX {
            let detail = format!("at most {OVERLAP_SECS_MAX}");
            return Err(Invalid::field("/overlap_secs", "out_of_bounds", detail).into());
        }
        let channel = Channel {
            previous_signs_until: Some(write.now + TimeDelta::seconds(overlap_secs.cast_signed())),
            updated_at: write.now,
            revision: before.revision + 1,
            ..before
        };
        let secret = SigningSecret::generate();
        let sealed = write.master_key().seal(
            &seal_owner(instance.tenant, instance.id, channel.id),
            SECRET_COLUMN,
            secret.bytes(),
        );
        store::channels::rotate(&mut write.tx, instance.id, &channel, &sealed).await?;
        let after = Some(json!({ "overlap_secs": overlap_secs }));
        let id = channel.id.to_string();
        let action = "rotate_channel_secret";
        write.audit_in(&instance, Audited { action, resource: "channel", id: &id, before: None, after });
        write.commit().await?;
        Ok((channel, secret.text()))
    }

    /// Deletes a channel with what was told over it, unless a rule still tells it.
    pub async fn delete(
        &self,
        caller: &Caller,
        instance: InstanceId,
        channel: ChannelId,
        if_revision: Option<i64>,
    ) -> Result<(), DeleteChannelError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, before) = lock(&mut write, caller, instance, channel).await?;
        check_revision(if_revision, before.revision)?;
        not_deleting(&instance)?;
        if let Some(rule) = store::alarm_rules::find_name_telling(&mut write.tx, instance.id, channel).await?
        {
            return Err(InUse { channel: before.name, rule }.into());
        }
        store::channels::delete(&mut write.tx, instance.id, channel).await?;
        audit(&mut write, &instance, "delete_channel", Some(&before), None);
        write.commit().await?;
        Ok(())
    }

    /// Sends an event over a channel that says nothing but that it works.
    pub async fn test(
        &self,
        caller: &Caller,
        instance: InstanceId,
        channel: ChannelId,
    ) -> Result<Delivery, TestChannelError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let (instance, channel) = lock(&mut write, caller, instance, channel).await?;
        not_deleting(&instance)?;
        if !channel.enabled {
            return Err(WrongState(format!("channel `{}` is disabled", channel.name)).into());
        }
        let now = write.now;
        if let Some(wait) = outbox::wait_for_test(&mut write.tx, &channel, now).await? {
            return Err(TestedLately { channel: channel.name, retry_after_secs: wait }.into());
        }
        let used = outbox::count_pending(&mut write.tx, &instance).await?;
        if used >= instance.limits.deliveries_pending_max {
            return Err(TestChannelError::Limit(LimitReached {
                name: "deliveries_pending_max",
                value: instance.limits.deliveries_pending_max,
                used,
                scope: "instance",
                subject: instance.name.clone(),
            }));
        }
        let delivery = outbox::tell_test(&mut write.tx, &instance, &channel, now).await?;
        let id = channel.id.to_string();
        let (action, resource) = ("test_channel", "channel");
        write.audit_in(&instance, Audited { action, resource, id: &id, before: None, after: None });
        write.commit().await?;
        self.core.wake.deliveries.send_replace(());
        Ok(delivery)
    }

    /// What was told over a channel and what is to be, newest first. Its name is the event.
    pub async fn list_deliveries(
        &self,
        caller: &Caller,
        instance: InstanceId,
        channel: ChannelId,
        query: &ListQuery,
    ) -> Result<Page<Delivery>, ListError> {
        let channel = self.get(caller, instance, channel).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        query.page(store::deliveries::list(&mut connection, channel.instance, channel.id, &listing).await)
    }

    async fn get_to_write(
        &self,
        caller: &Caller,
        instance: InstanceId,
        channel: ChannelId,
    ) -> Result<Channel, GetError> {
        let instance = self.core.instance(caller, instance, Action::WriteChannels).await?;
        let mut connection = self.core.store.read().await?;
        let found = store::channels::find(&mut connection, instance.id, channel).await?;
        Ok(found.ok_or_else(|| AccessError::not_found("channel", channel))?)
    }

    /// Whether the URL is one that may be called as things are now; it is asked again at every call.
    async fn check_url(&self, url: &str) -> Result<(), WriteChannelError> {
        let checked = async { self.core.webhooks.check(&Target::parse(url)?).await };
        checked.await.map_err(|error| match error {
            TargetError::Form(detail) => Invalid::field("/url", "invalid", detail).into(),
            TargetError::Unknown(_)
            | TargetError::Plain(_)
            | TargetError::Internal(_)
            | TargetError::Forbidden { .. } => AddressForbidden(error).into(),
        })
    }
}

async fn lock(
    write: &mut Write<'_>,
    caller: &Caller,
    instance: InstanceId,
    channel: ChannelId,
) -> Result<(Instance, Channel), GetError> {
    let instance = write.instance(caller, instance, Action::WriteChannels).await?;
    let found = store::channels::find(&mut write.tx, instance.id, channel).await?;
    Ok((instance, found.ok_or_else(|| AccessError::not_found("channel", channel))?))
}

/// What a secret is sealed for: it opens in its own channel only.
pub(crate) fn seal_owner(tenant: TenantId, instance: InstanceId, channel: ChannelId) -> String {
    format!("{tenant}/{instance}/{channel}")
}

fn name_taken(error: StoreError, name: &str) -> WriteChannelError {
    if error.breaks(Constraint::ChannelTaken) {
        return NameTaken { pointer: "/name", name: name.to_owned() }.into();
    }
    WriteChannelError::Store(error)
}

fn check(channel: &Channel) -> Result<(), Invalid> {
    let mut check = Check::default();
    check.name("/name", &channel.name);
    check.finish()
}

fn audit(
    write: &mut Write<'_>,
    instance: &Instance,
    action: &'static str,
    before: Option<&Channel>,
    after: Option<&Channel>,
) {
    let id = before.or(after).map(|channel| channel.id.to_string()).unwrap_or_default();
    let (before, after) = (before.map(summary), after.map(summary));
    write.audit_in(instance, Audited { action, resource: "channel", id: &id, before, after });
}

/// Of the URL the host alone: its path and query may hold a secret of the receiver's.
fn summary(channel: &Channel) -> Value {
    let host = Target::parse(&channel.url).ok().map(|target| target.host().to_owned());
    json!({ "name": channel.name, "kind": channel.kind, "host": host, "enabled": channel.enabled })
}
