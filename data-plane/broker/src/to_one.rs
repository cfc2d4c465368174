//! Messages for one client, by its identifier: [`p2p`](contract::p2p). They pass by the route table. Whether the client is
//! there, or has a session that will get them, is known on its worker and looked at when they come there.

use contract::p2p;
use contract::qos::Qos;

use crate::client::Pause;
use crate::delivery::{InLog, Passing, Wanted, message};
use crate::local_instance::LocalInstance;
use crate::policy::{Logged, Verdict};
use crate::routes::{Route, ToOne};
use crate::worker::Worker;

impl Worker {
    /// Delivers a message to the one it is for, on this worker.
    #[cold]
    pub(crate) fn deliver_to_one(
        &self,
        instance: &LocalInstance,
        to_one: &ToOne,
        passing: &Passing<'_>,
        at: Option<InLog>,
    ) {
        let key = instance.clients.borrow().get(&*to_one.client_id).copied();
        let Some(client) = key.and_then(|key| self.client(key)) else {
            // A session that is kept finds it in the log.
            let waits =
                at.is_some() && passing.qos != Qos::AtMostOnce && has_session(instance, &to_one.client_id);
            if !waits {
                instance.counts.matched_nobody();
            }
            return;
        };
        // Nothing comes before its CONNACK [MQTT-3.2.0-1]. What its session finds in the log comes behind it.
        let is_early = client.pause.get() == Some(Pause::Welcome);
        let is_found = client.lasting().is_some() && at.is_some() && passing.qos != Qos::AtMostOnce;
        if is_early && !is_found {
            instance.counts.matched_nobody();
            return;
        }
        let mut rendering = self.rendering.borrow_mut();
        let passing = Passing { topic: p2p::named(passing.topic), ..*passing };
        let mut message = message(&mut rendering, &passing);
        let paces = instance.paces();
        let wanted = Wanted::Plain(Qos::ExactlyOnce);
        self.deliver_to(&client, &mut message, wanted, passing.qos, at.map(|at| at.pos), &paces);
    }
}

/// How a message goes that may be published, as its topic and those who want it have it; before anything is said of
/// what is on its way already.
pub(crate) fn logged_by(
    instance: &LocalInstance,
    verdict: &Verdict,
    route: &Route,
    qos: Qos,
    retain: bool,
) -> Option<Logged> {
    let is_lasting = route.is_lasting() && route.to_one().is_none_or(|to| may_last(instance, route, to));
    verdict.logged(qos, retain, is_lasting)
}

/// Whether it is known on this worker that nobody gets a message that is in no log.
#[inline]
pub(crate) fn reaches_nobody(instance: &LocalInstance, route: &Route) -> bool {
    match route.to_one() {
        None => route.workers() == 0,
        Some(to_one) => route.elsewhere == 0 && !instance.clients.borrow().contains_key(&*to_one.client_id),
    }
}

/// Whether the one for whom a message is has a lasting session, or may have: on another worker that is not known.
fn may_last(instance: &LocalInstance, route: &Route, to_one: &ToOne) -> bool {
    route.elsewhere != 0 || has_session(instance, &to_one.client_id)
}

fn has_session(instance: &LocalInstance, client_id: &str) -> bool {
    instance.lasting.borrow().get(client_id).is_some_and(|session| !session.is_gone())
}
