//! Who comes to a worker and who goes: CONNECT, takeover, clean starts, ends of connections, and what was stored.

use std::collections::BTreeSet;

use contract::qos::Qos;
use engine::Change;
use mqtt::{ConnectReturnCode, encode};
use router::{ClientKey, Subscriber};
use session::{Ended, Lasting, Part, Session, Settings};

use super::{Connected, Kept, Worker, document_key};
use crate::simulation::account::Wrong;
use crate::simulation::scene::Scene;
use crate::simulation::site::{Site, instance_id};
use crate::simulation::surroundings::{Connecting, Name, SUBSCRIPTIONS_MAX};

impl Worker {
    /// Takes a session in that was stored. The route table learns that messages are to be logged for it.
    pub fn restore(&mut self, name: Name, mut lasting: Box<Lasting>, site: &Site) -> Result<(), Wrong> {
        lasting.set_rules(site.rules);
        if lasting.detached_at().is_none() {
            lasting.set_detached_at(Some(site.time_of_day()));
        }
        let filters: BTreeSet<_> = lasting
            .subscriptions()
            .filter(|(_, qos, _)| *qos != Qos::AtMostOnce)
            .map(|(filter, ..)| filter.clone())
            .collect();
        let mut routes = site.routes[name.0].borrow_mut();
        for filter in &filters {
            routes.insert_lasting(filter).map_err(|refusal| format!("a filter is refused: {refusal:?}"))?;
        }
        let kept = Kept { incarnation: next_incarnation(site), filters, away: Some(lasting) };
        self.sessions.insert(name, kept);
        Ok(())
    }

    pub(super) fn connect(&mut self, connecting: Connecting, site: &Site, scene: &mut Scene) {
        let Connecting { name, wire, clean } = &connecting;
        scene.trace.note(format_args!("worker {} CONNECT of {name:?} on wire {wire} clean {clean}", self.at));
        self.latest.insert(name.clone(), *wire);
        let before = self.clients.iter().find(|(_, client)| client.name == *name).map(|(key, _)| *key);
        if let Some(before) = before {
            self.end(before, site, scene);
        }
        if *clean && (self.sessions.contains_key(name) || self.discarding.contains(name)) {
            self.discard(name, site);
            self.making.debts.connacks.push(connecting);
        } else {
            self.begin(connecting, site, scene);
        }
    }

    /// Ends a lasting session whose client is away.
    fn discard(&mut self, name: &Name, site: &Site) {
        if let Some(kept) = self.sessions.remove(name) {
            let mut routes = site.routes[name.0].borrow_mut();
            for filter in &kept.filters {
                routes.remove_lasting(filter);
            }
        }
        self.discarding.insert(name.clone());
        for part in Part::ALL {
            let key = document_key(part, &name.1);
            let change = Change { instance: instance_id(name.0), key: &key, body: None };
            self.making.batch.change(&change).expect("a short key");
        }
    }

    /// Answers CONNECT.
    pub(super) fn begin(&mut self, connecting: Connecting, site: &Site, scene: &mut Scene) {
        let Connecting { name, wire, clean } = connecting;
        self.keys += 1;
        let key = ClientKey::new(self.keys, 0);
        let mut output = Vec::new();
        let settings = Settings { keep_alive_secs: 0, will: None, bounds: site.bounds };
        let is_present = !clean && self.sessions.contains_key(&name);
        encode::connack(&mut output, is_present, ConnectReturnCode::Accepted);
        let session = Session::new(site.millis(), settings.clone());
        self.clients.insert(key, Connected { name: name.clone(), wire, session, output });
        if clean {
            return;
        }
        let watermark = self.watermark;
        let kept = self.sessions.entry(name.clone()).or_insert_with(|| {
            let mut lasting = Box::new(Lasting::new(&name.1, watermark));
            lasting.set_rules(site.rules);
            lasting.set_expiry_secs(86_400);
            Kept { incarnation: next_incarnation(site), filters: BTreeSet::new(), away: Some(lasting) }
        });
        let lasting = kept.away.take().expect("its client was away");
        for (filter, qos, _) in lasting.subscriptions() {
            let subscriber = Subscriber { worker: self.id, client: key, qos };
            let inserted = site.routes[name.0].borrow_mut().insert(filter, subscriber, SUBSCRIPTIONS_MAX);
            inserted.expect("few subscriptions");
        }
        self.call(key, site, scene, |session, _, sink| {
            *session = Session::attach(site.millis(), settings, lasting, sink);
        });
    }

    /// The connection of a client is over.
    pub(super) fn end(&mut self, key: ClientKey, site: &Site, scene: &mut Scene) {
        let Some(mut client) = self.clients.remove(&key) else { return };
        scene.wires[client.wire].write(&mut client.output);
        scene.wires[client.wire].close();
        let mut routes = site.routes[client.name.0].borrow_mut();
        for (filter, _) in client.session.subscriptions() {
            routes.remove(filter, self.id, key);
        }
        drop(routes);
        scene.trace.note(format_args!("worker {} ends {:?} on wire {}", self.at, client.name, client.wire));
        if let Some(mut lasting) = client.session.end(Ended::Closed).lasting {
            lasting.set_detached_at(Some(site.time_of_day()));
            if let Some(kept) = self.sessions.get_mut(&client.name) {
                kept.away = Some(lasting);
            }
        }
    }
}

fn next_incarnation(site: &Site) -> u64 {
    site.incarnations.set(site.incarnations.get() + 1);
    site.incarnations.get()
}
