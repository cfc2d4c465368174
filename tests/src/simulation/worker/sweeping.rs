//! What becomes due while nobody is connected, and wills, whether they are published with the end of a connection or
//! later.

use mqtt::Publish;
use session::{Due, Will};

use super::{SHARD, Worker};
use crate::simulation::account::number_of;
use crate::simulation::scene::Scene;
use crate::simulation::site::Site;
use crate::simulation::surroundings::{Name, Relayed};

/// A will goes into the log when there is so much room.
const WILL_BYTES: usize = 4_096;

impl Worker {
    /// Does what is due of sessions whose clients are away.
    pub(super) fn sweep(&mut self, site: &Site, scene: &mut Scene) {
        let names: Vec<_> = self.sessions.keys().cloned().collect();
        for name in names {
            self.sweep_session(&name, site, scene);
        }
    }

    pub(super) fn sweep_session(&mut self, name: &Name, site: &Site, scene: &mut Scene) {
        let now = site.time_of_day();
        loop {
            let Some(lasting) = self.sessions.get_mut(name).and_then(|kept| kept.away.as_mut()) else {
                return;
            };
            let waits = lasting.will().is_some() && site.now.get() < site.wills_not_before;
            match if waits { None } else { lasting.due(now) } {
                Some(Due::Will(will)) => self.publish_will(name, &will, site, scene),
                Some(Due::Expired) => {
                    scene.trace.note(format_args!("the session of {name:?} has expired"));
                    scene.account.session_is_over(name);
                    self.forget(name, site);
                    if site.conditions.glue.delete_expired {
                        self.delete(name);
                    }
                    return;
                }
                None => return,
            }
        }
    }

    /// Publishes a will on behalf of its client.
    pub(super) fn publish_will(&mut self, name: &Name, will: &Will, site: &Site, scene: &mut Scene) {
        let publish = Publish {
            dup: false,
            qos: will.qos,
            retain: will.retain,
            topic: will.topic.as_str(),
            packet_id: None,
            payload: &will.payload,
            ..Publish::default()
        };
        let Some(number) = number_of(publish.payload) else { return };
        let route = site.routes[name.0].borrow().matches(publish.topic, &mut self.scratch);
        scene.trace.note(format_args!("worker {} publishes the will {number} of {name:?}", self.at));
        if self.making.is_logged(site, name, &publish, &route) {
            if site.log.room_bytes(SHARD, self.origin()) < WILL_BYTES {
                return scene.account.will_dropped(number);
            }
            self.making.append(site, name, &publish);
            self.making.debts.wills.push(number);
            if !site.conditions.glue.will_with_session {
                self.held_back.insert(name.clone());
            }
        } else {
            let (topic, payload) = (publish.topic.to_owned(), publish.payload.to_vec());
            let relayed = Relayed { route, topic, payload, qos: publish.qos };
            scene.account.will_published(number);
            self.relay(name.0, &relayed, site, &mut scene.account);
        }
    }
}
