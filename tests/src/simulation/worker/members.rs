//! The clients of a worker as members of groups, whose home may be anywhere.

use contract::qos::Qos;
use engine::Pos;
use router::ClientKey;
use session::{Granted, Lasting};

use super::Worker;
use crate::simulation::groups::{Handed, Mail, Membership};
use crate::simulation::site::Site;
use crate::simulation::surroundings::Name;

/// The number that a session knows a group by.
fn number(group: ClientKey) -> u64 {
    u64::from(group.slot())
}

fn group_of(number: u64) -> ClientKey {
    ClientKey::new(u32::try_from(number).expect("a slot"), 0)
}

impl Worker {
    /// What was said to this worker.
    pub(in super::super) fn take_mail(&mut self, mail: &Mail, site: &Site) {
        self.renew_homes(site);
        match mail {
            Mail::Deliver(handed) => self.take_handed(handed, site),
            Mail::Done(..) | Mail::Back(..) | Mail::Ready(..) => self.hear_member(mail),
        }
    }

    fn take_handed(&mut self, handed: &Handed, site: &Site) {
        let Handed { group, client: key, pos, granted, qos, topic, payload } = handed;
        let member = (self.at, *key);
        let Some(client) = self.clients.get_mut(key) else {
            if let Some(pos) = pos.filter(|_| site.conditions.glue.share_goes_back) {
                site.tell_home(*group, Mail::Back(*group, member, pos, false));
            }
            return;
        };
        let mut message = self.rendering.message(topic, payload, *qos);
        let Some(pos) = *pos else {
            let (session, output) = (&mut client.session, &mut client.output);
            let _ = session.deliver_shared(
                number(*group),
                Pos::START,
                &mut message,
                Granted::of(Qos::AtMostOnce),
                output,
            );
            return;
        };
        let (session, output) = (&mut client.session, &mut client.output);
        match session.deliver_shared(number(*group), pos, &mut message, Granted::of(*granted), output) {
            None => {
                client.full_for.insert(*group);
                site.tell_home(*group, Mail::Back(*group, member, pos, true));
            }
            Some(_) if *granted == Qos::AtMostOnce => site.tell_home(*group, Mail::Done(*group, member, pos)),
            Some(_) => {}
        }
    }

    /// Members that had no room say so when they have some.
    pub(super) fn say_ready(&mut self, site: &Site) {
        for (key, client) in &mut self.clients {
            if client.full_for.is_empty() || !client.session.has_shared_room(client.output.len()) {
                continue;
            }
            for group in std::mem::take(&mut client.full_for) {
                site.tell_home(group, Mail::Ready(group, (self.at, *key)));
            }
        }
    }

    /// Tells what a call of a session has done with messages of groups.
    pub(super) fn tell_shared(
        &mut self,
        key: ClientKey,
        done: &[(u64, Pos)],
        left: &[ClientKey],
        site: &Site,
    ) {
        for &(group, pos) in done {
            let group = group_of(group);
            site.tell_home(group, Mail::Done(group, (self.at, key), pos));
        }
        for &group in left {
            let Some(client) = self.clients.get_mut(&key) else { return };
            client.full_for.remove(&group);
            for pos in client.session.take_shared(number(group)) {
                site.tell_home(group, Mail::Back(group, (self.at, key), pos, false));
            }
        }
    }

    /// A connection has ended: what its client has not acknowledged goes back.
    pub(super) fn return_shared(&self, key: ClientKey, shared: &[(u64, Pos)], site: &Site) {
        for &(group, pos) in shared.iter().filter(|_| site.conditions.glue.share_goes_back) {
            let group = group_of(group);
            site.tell_home(group, Mail::Back(group, (self.at, key), pos, false));
        }
    }
}

/// A lasting session's memberships have no connection any more.
pub(super) fn disconnect_shared(name: &Name, lasting: &Lasting, site: &Site) {
    for (filter, ..) in lasting.subscriptions() {
        site.set_connection(&(name.0, filter.clone()), name, None);
    }
}

/// A membership that has no connection yet.
pub(super) const fn away(granted: Qos) -> Membership {
    Membership { connection: None, granted, lasting: true }
}
