//! Wills: published when a client has gone, or when one whose session is kept has been away for long enough.

use std::rc::Rc;

use contract::feed::InstanceState;
use contract::grant::PublishRights;
use contract::refusal::Refusal;
use contract::topic;
use mqtt::{Content, Publish};
use replica::InstanceRules;
use session::Will;

use crate::delivery::Passing;
use crate::local_instance::LocalInstance;
use crate::metrics::DropReason;
use crate::owed::Owing;
use crate::policy::{self, Logged, Verdict};
use crate::publish::{Taken, expiry};
use crate::to_one;
use crate::worker::Worker;

impl Worker {
    /// Publishes the will of a session whose client has been away for a while. It was granted when the client went; what
    /// that had to show is not kept.
    pub(crate) fn publish_kept_will(
        &self,
        instance: &Rc<LocalInstance>,
        client_id: &str,
        will: &Will,
        rules: &InstanceRules,
    ) -> Result<(), Refusal> {
        if rules.document.state != InstanceState::Running {
            return Err(Refusal::InstanceSuspended);
        }
        self.publish_will_with(instance, client_id, will, rules, PublishRights::ALL, 0)
    }

    /// Publishes a will on behalf of somebody with these rights, behind the append of this number.
    pub(crate) fn publish_will_with(
        &self,
        instance: &Rc<LocalInstance>,
        client_id: &str,
        will: &Will,
        rules: &InstanceRules,
        rights: PublishRights,
        behind: u64,
    ) -> Result<(), Refusal> {
        let verdict = Verdict::with_rights(rules, rights, will.topic.as_str());
        verdict.check(will.qos, will.retain, &will.payload)?;
        let publish = Publish {
            qos: will.qos,
            retain: will.retain,
            topic: will.topic.as_str(),
            payload: &will.payload,
            expiry_secs: will.expiry_secs,
            content: Content::from_stored(&will.content),
            ..Publish::default()
        };
        if !publish.content.is_empty() {
            policy::check_content(&rules.document.limits, publish.content, publish.payload)?;
        }
        let route = self.route(instance, publish.topic);
        let logged = to_one::logged_by(instance, &verdict, &route, publish.qos, publish.retain);
        let logged = self.hold_to_disk(instance, logged);
        // It cannot wait for messages of its topic that are still on their way through the log: it goes behind them.
        let fading = instance.fading.class_of(publish.topic, self.last_settled());
        let fading = fading.filter(|_| logged.is_none());
        let is_behind = fading.is_some() || behind > self.last_settled();
        let logged = logged.or(is_behind.then_some(Logged::BEHIND));
        if logged.is_some() {
            self.may_log(instance, &verdict, &publish, 0)?;
        }
        instance.counts.came_in(publish.topic.len() + publish.payload.len());
        if logged.is_some() && !self.can_append(&publish, client_id) {
            instance.counts.dropped(DropReason::StorageUnavailable, 1);
            return Ok(());
        }
        let expires_at = publish.expiry_secs.map(expiry);
        let taken = Taken { route, logged, expires_at };
        match taken.logged {
            None => {
                self.hand_over(instance, &taken.route, &Passing::accepted(&publish, expires_at, client_id));
            }
            Some(logged) => self.append(instance, &taken, logged, &publish, client_id, Owing::Nobody),
        }
        if let Some(class) = fading {
            instance.fading.add(topic::first_level(publish.topic), class, self.last_append());
        }
        Ok(())
    }
}
