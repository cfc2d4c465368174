//! What of sessions goes into a batch, and what follows when the batch is stored, or is not.

use contract::refusal::Refusal;
use engine::{Batch, Change};
use session::Part;

use super::{Kept, Worker, document_key};
use crate::simulation::scene::Scene;
use crate::simulation::site::{Site, instance_id};
use crate::simulation::surroundings::{Debts, Making, Name};

impl Worker {
    /// Writes what sessions have changed, and deletes what is left of those that have ended.
    pub(super) fn write_sessions(&mut self) {
        let Making { batch, debts, .. } = &mut self.making;
        for client in self.clients.values_mut().filter(|client| client.session.has_changes()) {
            let name = &client.name;
            let Some(kept) = self.sessions.get(name) else { continue };
            clear_before(batch, kept, name);
            if let Some(id) = client.session.write_changes(|part, body| put(batch, name, part, Some(body))) {
                debts.written.push((name.clone(), kept.incarnation, id));
            }
        }
        for (name, kept) in &mut self.sessions {
            if kept.away.as_ref().is_none_or(|away| !away.has_changes()) || self.held_back.contains(name) {
                continue;
            }
            clear_before(batch, kept, name);
            let written = |part: Part, body: &[u8]| put(batch, name, part, Some(body));
            if let Some(id) = kept.away.as_mut().and_then(|away| away.write_changes(written)) {
                debts.written.push((name.clone(), kept.incarnation, id));
            }
        }
        let again: Vec<_> = self.discarding.iter().filter(|(_, by)| by.is_none()).collect();
        for name in again.into_iter().map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.delete(&name);
        }
    }

    /// Deletes what is stored of a session that has ended.
    pub(super) fn delete(&mut self, name: &Name) {
        self.deletions += 1;
        self.discarding.insert(name.clone(), Some(self.deletions));
        self.making.debts.deleted.push((name.clone(), self.deletions));
        for part in Part::ALL {
            put(&mut self.making.batch, name, part, None);
        }
    }

    /// Hears what became of the oldest batch.
    pub(in super::super) fn settle(&mut self, is_stored: bool, site: &Site, scene: &mut Scene) {
        if let Some(debts) = self.pending.pop_front() {
            self.settle_debts(debts, is_stored || !site.conditions.glue.failure_is_told, site, scene);
        }
    }

    pub(super) fn settle_debts(&mut self, debts: Debts, is_stored: bool, site: &Site, scene: &mut Scene) {
        let Debts { owed, written, connacks, deleted, topics, wills, groups, ended } = debts;
        self.settle_groups(&groups, &ended, is_stored);
        for topic in topics {
            self.making.settle_topic(&topic);
        }
        for will in wills.into_iter().filter(|_| !is_stored) {
            scene.account.will_dropped(will);
        }
        for (name, by) in deleted {
            if self.discarding.get(&name) == Some(&Some(by)) {
                if is_stored {
                    self.discarding.remove(&name);
                } else {
                    self.discarding.insert(name, None);
                }
            }
        }
        for (name, incarnation, id) in written {
            let Some(kept) = self.sessions.get_mut(&name).filter(|kept| kept.incarnation == incarnation)
            else {
                continue;
            };
            kept.follows &= !is_stored;
            match &mut kept.away {
                Some(lasting) if is_stored => lasting.changes_committed(id),
                Some(lasting) => lasting.changes_failed(id),
                None => {
                    let key =
                        self.clients.iter().find(|(_, client)| client.name == name).map(|(key, _)| *key);
                    let Some(key) = key else { continue };
                    self.call(key, site, scene, |session, _, sink| {
                        if is_stored {
                            session.changes_committed(id, sink);
                        } else {
                            session.changes_failed(id, Refusal::StorageUnavailable, sink);
                        }
                    });
                }
            }
        }
        for (key, packet_id) in owed {
            if is_stored {
                if let Some(client) = self.clients.get_mut(&key) {
                    client.session.committed(packet_id, &mut client.output);
                }
            } else {
                self.call(key, site, scene, |session, _, sink| {
                    session.not_committed(packet_id, Refusal::StorageUnavailable, sink);
                });
            }
        }
        for connecting in connacks {
            if is_stored && self.latest.get(&connecting.name) == Some(&connecting.wire) {
                self.begin(connecting, site, scene);
            } else {
                scene.wires[connecting.wire].close();
            }
        }
    }
}

fn put(batch: &mut Batch, name: &Name, part: Part, body: Option<&[u8]>) {
    let key = document_key(part, &name.1);
    batch.change(&Change { instance: instance_id(name.0), key: &key, body }).expect("a short document");
}

/// What a session before it may have left and it does not write itself goes first.
fn clear_before(batch: &mut Batch, kept: &Kept, name: &Name) {
    if kept.follows {
        put(batch, name, Part::Received, None);
    }
}
