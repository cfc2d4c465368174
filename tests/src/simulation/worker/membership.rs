//! Who comes to a worker and who goes: CONNECT, takeover, clean starts, ends of connections, and what was stored.

use std::collections::BTreeSet;

use contract::qos::Qos;
use mqtt::{ReasonCode, encode};
use router::{ClientKey, Subscriber};
use session::{Ended, EndedSession, Lasting, Session, Settings};

use super::members::{away, disconnect_shared};
use super::{Connected, Kept, Worker};
use crate::simulation::account::{Wrong, number_of};
use crate::simulation::groups::shared;
use crate::simulation::scene::Scene;
use crate::simulation::site::Site;
use crate::simulation::surroundings::{Connecting, Name, SUBSCRIPTIONS_MAX};

impl Worker {
    /// Takes a session in that was stored. The route table learns that messages are to be logged for it.
    pub fn restore(&mut self, name: Name, mut lasting: Box<Lasting>, site: &Site) -> Result<(), Wrong> {
        lasting.set_rules(site.conditions.rules);
        if lasting.detached_at().is_none() && site.conditions.glue.away_from_start {
            lasting.set_detached_at(Some(site.time_of_day()));
        }
        let filters: BTreeSet<_> = lasting
            .subscriptions()
            .filter(|(filter, granted, _)| granted.qos() != Qos::AtMostOnce && shared(filter).is_none())
            .map(|(filter, ..)| filter.clone())
            .collect();
        for (filter, granted, since) in
            lasting.subscriptions().filter(|(filter, ..)| shared(filter).is_some())
        {
            site.join(&(name.0, filter.clone()), &name, away(granted.qos()), Some(since));
        }
        let mut routes = site.routes[name.0].borrow_mut();
        for filter in &filters {
            routes.insert_lasting(filter).map_err(|refusal| format!("a filter is refused: {refusal:?}"))?;
        }
        self.sessions.insert(name, Kept { filters, ..Kept::new(site, lasting) });
        Ok(())
    }

    pub(super) fn connect(&mut self, connecting: Connecting, site: &Site, scene: &mut Scene) {
        let Connecting { name, wire, clean, .. } = &connecting;
        scene.trace.note(format_args!("worker {} CONNECT of {name:?} on wire {wire} clean {clean}", self.at));
        self.latest.insert(name.clone(), *wire);
        let before = self.clients.iter().find(|(_, client)| client.name == *name).map(|(key, _)| *key);
        if let Some(before) = before {
            self.end(before, site, scene);
        }
        // Also who does not ask for a clean one waits until the one before can not come back.
        if self.discarding.contains_key(name) || *clean && self.sessions.contains_key(name) {
            self.discard(name, site);
            self.making.debts.connacks.push(connecting);
        } else {
            self.begin(connecting, site, scene);
        }
    }

    /// Ends a lasting session whose client is away.
    pub(super) fn discard(&mut self, name: &Name, site: &Site) {
        self.forget(name, site);
        self.delete(name);
    }

    /// Ends it in memory.
    pub(super) fn forget(&mut self, name: &Name, site: &Site) {
        if let Some(kept) = self.sessions.remove(name) {
            let mut routes = site.routes[name.0].borrow_mut();
            for filter in &kept.filters {
                routes.remove_lasting(filter);
            }
        }
        site.leave_all(name);
    }

    /// Answers CONNECT.
    pub(super) fn begin(&mut self, connecting: Connecting, site: &Site, scene: &mut Scene) {
        let Connecting { name, wire, version, client, clean, will } = connecting;
        self.keys += 1;
        let key = ClientKey::new(self.keys, 0);
        let mut output = Vec::new();
        let expiry_secs = site.plan.session_expiry_secs;
        let settings = Settings { will, client, expiry_secs, ..Settings::new(version, site.bounds) };
        let will = settings.will.as_ref().and_then(|will| number_of(&will.payload));
        let is_present = !clean && self.sessions.contains_key(&name);
        let said = mqtt::ConnackProperties::default();
        encode::connack(&mut output, version, is_present, ReasonCode::Success, &said);
        let session = Session::new(site.millis(), settings.clone());
        self.clients.insert(
            key,
            Connected { name: name.clone(), wire, session, output, will, full_for: BTreeSet::new() },
        );
        if clean {
            return;
        }
        let watermark = self.watermark;
        // What it may have left is replaced, or goes with the first that is written.
        let follows = !is_present && self.discarding.remove(&name).is_some();
        let kept = self.sessions.entry(name.clone()).or_insert_with(|| {
            let mut lasting = Box::new(Lasting::new(&name.1, watermark));
            lasting.set_rules(site.conditions.rules);
            Kept { follows, ..Kept::new(site, lasting) }
        });
        kept.pages = None;
        let lasting = kept.away.take().expect("its client was away");
        for (filter, granted, _) in lasting.subscriptions() {
            if shared(filter).is_some() {
                site.set_connection(&(name.0, filter.clone()), &name, Some((self.at, key)));
                continue;
            }
            let (qos, is_special) = (granted.qos(), granted.is_special());
            let subscriber = Subscriber { worker: self.id, client: key, qos, is_special };
            let inserted = site.routes[name.0].borrow_mut().insert(filter, subscriber, SUBSCRIPTIONS_MAX);
            inserted.expect("few subscriptions");
        }
        self.call(key, site, scene, |session, _, sink| {
            *session = Session::attach(site.millis(), settings, lasting, sink);
        });
    }

    /// The connection of a client is over.
    pub(in super::super) fn end(&mut self, key: ClientKey, site: &Site, scene: &mut Scene) {
        let Some(mut client) = self.clients.remove(&key) else { return };
        scene.wires[client.wire].write(&mut client.output);
        scene.wires[client.wire].close();
        let mut routes = site.routes[client.name.0].borrow_mut();
        for (filter, _) in client.session.subscriptions() {
            routes.remove(filter, self.id, key);
        }
        drop(routes);
        scene.trace.note(format_args!("worker {} ends {:?} on wire {}", self.at, client.name, client.wire));
        scene.account.ended_by_node(&client.name, site.now.get());
        let EndedSession { will, lasting, shared } = client.session.end(Ended::Closed);
        if lasting.is_none() {
            site.leave_all(&client.name);
        }
        self.return_shared(key, &shared, site);
        if let Some(mut lasting) = lasting {
            disconnect_shared(&client.name, &lasting, site);
            lasting.set_detached_at(Some(site.time_of_day()));
            if let Some(kept) = self.sessions.get_mut(&client.name) {
                kept.away = Some(lasting);
                if kept.is_doomed {
                    self.discard(&client.name, site);
                }
            }
        }
        if let Some(will) = will {
            self.publish_will(&client.name, &will, site, scene);
        }
    }
}
