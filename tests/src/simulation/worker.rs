//! One worker of the node: its clients and sessions, and the shape of its rounds. What has come in is taken first; then
//! packets are read; then what sessions have changed goes into the batch that holds the messages they came with; then
//! the batch is handed in, and what was written is sent.

mod membership;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use engine::{Append, Batch, BatchId, Change, Envelope, Pos, Shard};
use router::{ClientKey, Scratch, WorkerId};
use session::{Lasting, Part, Rendering, Session};

use super::account::Wrong;
use super::scene::Scene;
use super::site::{Lookup, Site, Wanted, instance_id};
use super::surroundings::{Connecting, Debts, Effects, Making, Name, Relayed, Surroundings};
use super::wire::WireId;

/// The one shard of the log.
pub const SHARD: Shard = Shard(0);

/// Packets that are read of a client in one round.
const PACKETS_MAX: usize = 4;

/// A worker reads only while the log takes so much from it.
const ROOM_BYTES: usize = 64 * 1024;

/// A connected client.
struct Connected {
    name: Name,
    wire: WireId,
    session: Session,
    output: Vec<u8>,
}

/// What a worker knows of a lasting session, whether its client is here or away.
struct Kept {
    /// Never that of another session.
    incarnation: u64,
    /// Filters for which messages are logged.
    filters: BTreeSet<TopicFilter>,
    /// The session itself, while its client is away.
    away: Option<Box<Lasting>>,
}

/// A worker.
pub struct Worker {
    at: usize,
    id: WorkerId,
    clients: BTreeMap<ClientKey, Connected>,
    sessions: BTreeMap<Name, Kept>,
    /// Names whose session was discarded, which may not be safe yet: it could come back.
    discarding: BTreeSet<Name>,
    /// The connection that is a name's now, from its CONNECT on.
    latest: BTreeMap<Name, WireId>,
    connecting: VecDeque<Connecting>,
    making: Making,
    /// Messages for other workers.
    crossing: BTreeMap<usize, Batch>,
    /// Handed in and not settled, the oldest first.
    pending: VecDeque<Debts>,
    number: u64,
    keys: u32,
    pub(super) watermark: Pos,
    pub(super) rendering: Rendering,
    scratch: Scratch,
}

// --- the round ---
impl Worker {
    /// A worker without clients, of a log that goes on at `head`.
    ///
    /// # Panics
    /// When there are too many.
    #[must_use]
    pub fn new(at: usize, head: Pos) -> Self {
        Self {
            at,
            id: WorkerId::new(at).expect("few workers"),
            clients: BTreeMap::new(),
            sessions: BTreeMap::new(),
            discarding: BTreeSet::new(),
            latest: BTreeMap::new(),
            connecting: VecDeque::new(),
            making: Making::default(),
            crossing: BTreeMap::new(),
            pending: VecDeque::new(),
            number: 1,
            keys: 0,
            watermark: head,
            rendering: Rendering::new(),
            scratch: Scratch::new(),
        }
    }

    /// A connection that the front has accepted.
    pub fn accept(&mut self, connecting: Connecting) {
        self.connecting.push_back(connecting);
    }

    /// One round.
    pub fn round(&mut self, site: &Site, scene: &mut Scene) -> Result<(), Wrong> {
        self.take_arrivals(site, scene)?;
        while let Some(connecting) = self.connecting.pop_front() {
            self.connect(connecting, site, scene);
        }
        let keys: Vec<_> = self.clients.keys().copied().collect();
        for key in keys {
            self.read(key, site, scene)?;
        }
        self.ask_for_pages(site);
        self.write_sessions();
        self.send_crossing(site);
        self.submit(site, scene);
        self.flush(site, scene);
        self.check_bounds(site)
    }

    /// However many messages wait for a client, little of it is in memory.
    fn check_bounds(&self, site: &Site) -> Result<(), Wrong> {
        // What the connection before had in flight may come to what this one has.
        let in_flight_max = 2 * usize::from(site.bounds.in_flight_max);
        for client in self.clients.values() {
            let (in_flight, waiting) = (client.session.in_flight(), client.session.waiting_bytes());
            if usize::from(in_flight) > in_flight_max || waiting > site.bounds.outbox_bytes_max as usize {
                return Err(format!(
                    "{:?} has {in_flight} in flight and {waiting} bytes waiting",
                    client.name
                ));
            }
        }
        Ok(())
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let has_output = self.clients.values().any(|client| !client.output.is_empty());
        let is_written =
            self.sessions.values().all(|kept| kept.away.as_ref().is_none_or(|it| !it.has_changes()))
                && self.clients.values().all(|client| !client.session.has_changes());
        self.pending.is_empty() && self.connecting.is_empty() && is_written && !has_output
    }

    /// Lasting sessions, here or away.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn instance_of(&self, key: ClientKey) -> Option<usize> {
        self.clients.get(&key).map(|client| client.name.0)
    }

    fn read(&mut self, key: ClientKey, site: &Site, scene: &mut Scene) -> Result<(), Wrong> {
        let Some(client) = self.clients.get(&key) else { return Ok(()) };
        let wire = client.wire;
        for _ in 0..=scene.chance.below(PACKETS_MAX) {
            if site.log.room_bytes(SHARD, self.origin()) < ROOM_BYTES || !self.clients.contains_key(&key) {
                return Ok(());
            }
            let Some(bytes) = scene.wires[wire].next_for_node() else {
                if scene.wires[wire].client_gone {
                    self.end(key, site, scene);
                }
                return Ok(());
            };
            let frame = mqtt::frame(&bytes, usize::MAX).ok().flatten().ok_or("no whole packet")?;
            let packet = mqtt::decode(frame).map_err(|error| format!("no packet of a client: {error}"))?;
            let now = site.millis();
            self.call(key, site, scene, |session, _, sink| session.handle(now, packet, sink));
        }
        Ok(())
    }

    fn flush(&mut self, site: &Site, scene: &mut Scene) {
        for client in self.clients.values_mut() {
            scene.wires[client.wire].write(&mut client.output);
            client.session.advance(self.watermark, site.millis());
        }
    }

    /// Calls a client's session, and does what comes of it.
    pub(super) fn call(
        &mut self,
        key: ClientKey,
        site: &Site,
        scene: &mut Scene,
        call: impl FnOnce(&mut Session, &mut Rendering, &mut Surroundings<'_>),
    ) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let kept = client.session.is_lasting().then(|| self.sessions.get_mut(&client.name)).flatten();
        let mut sink = Surroundings {
            site,
            name: &client.name,
            key,
            worker: self.id,
            watermark: self.watermark,
            output: &mut client.output,
            making: &mut self.making,
            scratch: &mut self.scratch,
            kept: kept.map(|kept| &mut kept.filters),
            effects: Effects::default(),
        };
        call(&mut client.session, &mut self.rendering, &mut sink);
        let effects = sink.effects;
        let instance = client.name.0;
        for (filter, qos) in effects.subscribed {
            self.look_up(site, key, instance, Wanted::Retained(filter, qos, None));
        }
        for relayed in effects.relayed {
            self.relay(instance, &relayed);
        }
        if let Some(close) = effects.closed {
            scene.trace.note(format_args!("node closes {key:?}: {close:?}"));
            self.end(key, site, scene);
        }
    }

    pub(super) fn look_up(&self, site: &Site, client: ClientKey, instance: usize, wanted: Wanted) {
        let lookup = Lookup { worker: self.at, client, instance, wanted };
        site.lookups.borrow_mut().push_back(lookup);
    }

    fn ask_for_pages(&mut self, site: &Site) {
        for (key, client) in &mut self.clients {
            let Some(range) = client.session.wanted_page(self.watermark, client.output.len()) else {
                continue;
            };
            let filters = client.session.lasting().into_iter().flat_map(Lasting::replay_filters);
            let filters = filters.map(|(filter, since)| (filter.clone(), since)).collect();
            let wanted = Wanted::Page(filters, range);
            let lookup = Lookup { worker: self.at, client: *key, instance: client.name.0, wanted };
            site.lookups.borrow_mut().push_back(lookup);
        }
    }
}

// --- messages ---
impl Worker {
    fn relay(&mut self, instance: usize, relayed: &Relayed) {
        let Relayed { route, topic, payload, qos } = relayed;
        self.deliver(route.of(self.id), topic, payload, *qos, None);
        let others = (0..u64::BITS as usize).filter(|at| *at != self.at && route.workers() & (1 << at) != 0);
        for other in others {
            let envelope = Envelope {
                instance: instance_id(instance),
                qos: *qos,
                retain: false,
                history: false,
                retention: None,
                stored_at: contract::time::UnixMillis(0),
                expires_at: None,
                workers: 0,
                topic,
                publisher: "",
                payload,
            };
            self.crossing.entry(other).or_default().append(&envelope).expect("a short message");
        }
    }

    fn send_crossing(&mut self, site: &Site) {
        for (other, batch) in std::mem::take(&mut self.crossing) {
            site.doors.cross(other, batch.as_bytes().into());
        }
    }

    /// Delivers a message of the instance to its receivers here.
    pub(super) fn route_here(
        &mut self,
        instance: usize,
        pos: Option<Pos>,
        envelope: &Envelope<'_>,
        site: &Site,
    ) {
        let route = site.routes[instance].borrow().matches(envelope.topic, &mut self.scratch);
        self.deliver(route.of(self.id), envelope.topic, envelope.payload, envelope.qos, pos);
    }

    fn deliver(&mut self, to: &[router::Target], topic: &str, payload: &[u8], qos: Qos, pos: Option<Pos>) {
        for target in to {
            let Some(client) = self.clients.get_mut(&target.client()) else { continue };
            let mut message = self.rendering.message(topic, payload, qos);
            let (session, output) = (&mut client.session, &mut client.output);
            let _ = match pos {
                Some(pos) => session.deliver_logged(pos, &mut message, target.qos(), output),
                None => session.deliver(&mut message, target.qos(), output),
            };
        }
    }
}

// --- into the log ---
impl Worker {
    fn origin(&self) -> u16 {
        u16::try_from(self.at).unwrap_or(u16::MAX)
    }

    fn write_sessions(&mut self) {
        let Making { batch, debts, .. } = &mut self.making;
        let mut put = |name: &Name, part: Part, body: &[u8]| {
            let key = document_key(part, &name.1);
            let change = Change { instance: instance_id(name.0), key: &key, body: Some(body) };
            batch.change(&change).expect("a short document");
        };
        for client in self.clients.values_mut().filter(|client| client.session.is_lasting()) {
            let name = &client.name;
            if let Some(id) = client.session.write_changes(|part, body| put(name, part, body)) {
                let incarnation = self.sessions.get(name).map_or(0, |kept| kept.incarnation);
                debts.written.push((name.clone(), incarnation, id));
            }
        }
        for (name, kept) in &mut self.sessions {
            let Some(lasting) = &mut kept.away else { continue };
            if let Some(id) = lasting.write_changes(|part, body| put(name, part, body)) {
                debts.written.push((name.clone(), kept.incarnation, id));
            }
        }
    }

    fn submit(&mut self, site: &Site, scene: &mut Scene) {
        if self.making.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.making.batch);
        let debts = std::mem::take(&mut self.making.debts);
        scene.trace.note(format_args!(
            "worker {} hands in {} messages, {} sessions, {} bytes",
            self.at,
            batch.len(),
            debts.written.len(),
            batch.as_bytes().len()
        ));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&site.run);
        id[8..].copy_from_slice(&self.number.to_be_bytes());
        id[8] = u8::try_from(self.at).unwrap_or(u8::MAX);
        self.number += 1;
        let (doors, at) = (site.doors.clone(), self.at);
        let completion = Box::new(move |settled| doors.hold(at, settled));
        let append = Append { id: BatchId(id), origin: self.origin(), batch, completion };
        match site.log.submit(SHARD, append) {
            Ok(()) => self.pending.push_back(debts),
            Err(refused) => {
                scene.trace.note(format_args!("the log refuses: {}", refused.why));
                self.settle_debts(debts, false, site, scene);
            }
        }
    }

    /// Hears what became of the oldest batch.
    pub(super) fn settle(&mut self, is_stored: bool, site: &Site, scene: &mut Scene) {
        if let Some(debts) = self.pending.pop_front() {
            self.settle_debts(debts, is_stored, site, scene);
        }
    }

    fn settle_debts(&mut self, debts: Debts, is_stored: bool, site: &Site, scene: &mut Scene) {
        let Debts { owed, written, connacks, topics } = debts;
        for topic in topics {
            let left = self.making.fading.get_mut(&topic).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if left == 0 {
                self.making.fading.remove(&topic);
            }
        }
        for (name, incarnation, id) in written {
            let Some(kept) = self.sessions.get_mut(&name).filter(|kept| kept.incarnation == incarnation)
            else {
                continue;
            };
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
            if is_stored {
                self.discarding.remove(&connecting.name);
            }
            if is_stored && self.latest.get(&connecting.name) == Some(&connecting.wire) {
                self.begin(connecting, site, scene);
            } else {
                scene.wires[connecting.wire].close();
            }
        }
    }
}

/// The key of a session's document.
#[must_use]
pub fn document_key(part: Part, client_id: &str) -> Vec<u8> {
    [part.prefix(), client_id].concat().into_bytes()
}
