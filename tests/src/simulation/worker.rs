//! One worker of the node: its clients and sessions, and the shape of its rounds. What has come in is taken first; then
//! packets are read; then what sessions have changed goes into the batch that holds the messages they came with; then
//! the batch is handed in, and what was written is sent.

mod homes;
mod members;
mod membership;
mod settling;
mod sweeping;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use contract::topic::TopicFilter;
use engine::{Append, Batch, BatchId, Envelope, Pos, Shard};
use router::{ClientKey, Scratch, WorkerId};
use session::{Delivered, Lasting, Part, PassedOver, Rendering, Session};

use super::account::{Account, Number, Wrong};
use super::groups::Text;
use super::paging::PageWanted;
use super::scene::Scene;
use super::site::{Lookup, Site, Wanted, instance_id};
use super::surroundings::{Connecting, Debts, Effects, Making, Name, Relayed, Surroundings};
use super::wire::WireId;
use homes::{Home, Shared};

pub use homes::group_key;

/// The one shard of the log.
pub const SHARD: Shard = Shard(0);

/// Packets that are read of a client in one round.
const PACKETS_MAX: usize = 4;

/// A worker reads only while the log takes so much from it.
const ROOM_BYTES: usize = 64 * 1024;

/// Pages after which it is seen again whether too much waits.
const PAGES_PER_CHECK: u32 = 3;

/// A connected client.
struct Connected {
    name: Name,
    wire: WireId,
    session: Session,
    output: Vec<u8>,
    /// What its will says.
    will: Option<Number>,
    /// Groups that it has told that it has no room.
    full_for: BTreeSet<ClientKey>,
}

/// What a worker knows of a lasting session, whether its client is here or away.
struct Kept {
    /// Never that of another session.
    incarnation: u64,
    /// Filters for which messages are logged.
    filters: BTreeSet<TopicFilter>,
    /// The session itself, while its client is away.
    away: Option<Box<Lasting>>,
    /// There may be a document of the session before it, of messages received: that goes with its first own one.
    follows: bool,
    /// Too much has waited for it: it ends with the connection.
    is_doomed: bool,
    /// Pages since it was last seen whether too much waits; none: it has yet to be.
    pages: Option<u32>,
    /// A part of the log that is passed over when it is come to.
    skip: Option<(Pos, Pos)>,
}

impl Kept {
    fn new(site: &Site, away: Box<Lasting>) -> Self {
        site.incarnations.set(site.incarnations.get() + 1);
        Self {
            incarnation: site.incarnations.get(),
            filters: BTreeSet::new(),
            away: Some(away),
            follows: false,
            is_doomed: false,
            pages: None,
            skip: None,
        }
    }
}

/// A worker.
pub struct Worker {
    at: usize,
    id: WorkerId,
    clients: BTreeMap<ClientKey, Connected>,
    sessions: BTreeMap<Name, Kept>,
    /// Names whose session was discarded, which may not be safe yet: it could come back. Each with the
    /// number of the deletion that is on its way into the log, if one is.
    discarding: BTreeMap<Name, Option<u64>>,
    deletions: u64,
    /// Sessions that are not written in this round: where a rule is broken.
    held_back: BTreeSet<Name>,
    /// The connection that is a name's now, from its CONNECT on.
    latest: BTreeMap<Name, WireId>,
    /// Groups that are at home here.
    homes: BTreeMap<ClientKey, Home>,
    /// Groups that have ended and may have left a document; with whether its deletion is under way.
    ending: BTreeMap<Text, bool>,
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
            discarding: BTreeMap::new(),
            deletions: 0,
            held_back: BTreeSet::new(),
            latest: BTreeMap::new(),
            homes: BTreeMap::new(),
            ending: BTreeMap::new(),
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
        self.sweep(site, scene);
        while let Some(connecting) = self.connecting.pop_front() {
            self.connect(connecting, site, scene);
        }
        let keys: Vec<_> = self.clients.keys().copied().collect();
        for key in keys {
            self.read(key, site, scene)?;
        }
        self.ask_for_pages(site);
        self.ask_for_groups(site);
        self.write_sessions();
        self.write_groups(site, scene);
        self.held_back.clear();
        self.send_crossing(site);
        self.submit(site, scene);
        self.flush(site, scene);
        self.say_ready(site);
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
        let has_work =
            !self.pending.is_empty() || !self.connecting.is_empty() || !self.making.batch.is_empty();
        !has_work && self.ending.is_empty() && self.discarding.is_empty() && is_written && !has_output
    }

    /// Lasting sessions, here or away.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn name_of(&self, key: ClientKey) -> Option<Name> {
        self.clients.get(&key).map(|client| client.name.clone())
    }

    /// Too much waits for a session: it ends with its connection.
    pub(super) fn doom(&mut self, name: &Name) {
        if let Some(kept) = self.sessions.get_mut(name) {
            kept.is_doomed = true;
        }
    }

    /// From here to there the log is passed over for a session when it comes to it.
    pub(super) fn set_skip(&mut self, name: &Name, skip: Option<(Pos, Pos)>) {
        if let Some(kept) = self.sessions.get_mut(name) {
            kept.skip = skip;
        }
    }

    fn read(&mut self, key: ClientKey, site: &Site, scene: &mut Scene) -> Result<(), Wrong> {
        let Some(client) = self.clients.get(&key) else { return Ok(()) };
        let wire = client.wire;
        for _ in 0..=scene.chance.below(PACKETS_MAX) {
            let has_room = site.log.room_bytes(SHARD, self.origin()) >= ROOM_BYTES;
            let Some(will) = self.clients.get(&key).filter(|_| has_room).map(|client| client.will) else {
                return Ok(());
            };
            let Some(bytes) = scene.wires[wire].next_for_node() else {
                if scene.wires[wire].client_gone {
                    self.end(key, site, scene);
                }
                return Ok(());
            };
            let frame = mqtt::frame(&bytes, usize::MAX).ok().flatten().ok_or("no whole packet")?;
            let Some(version) = self.clients.get(&key).map(|client| client.session.version()) else {
                return Ok(());
            };
            let packet =
                mqtt::decode(version, frame).map_err(|error| format!("no packet of a client: {error}"))?;
            if let (mqtt::Packet::Disconnect(_), Some(will)) = (&packet, will) {
                scene.account.heard_goodbye(will);
            }
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
        let (name, now) = (&client.name, site.time_of_day().0);
        for pos in effects.took {
            scene.account.took(name, pos, now);
        }
        for (pos, why) in effects.passed_over {
            scene.trace.note(format_args!("{name:?} does not get what stands at {pos}: {why:?}"));
            match why {
                PassedOver::MessageExpired => scene.account.expired(name, pos, now),
                PassedOver::TooLong | PassedOver::ClientPacketBytes => {}
            }
        }
        for (filter, granted) in effects.subscribed {
            self.look_up(site, key, instance, Wanted::Retained(filter, granted, None));
        }
        self.tell_shared(key, &effects.shared_done, &effects.left, site);
        for relayed in effects.relayed {
            self.relay(instance, &relayed, site, &mut scene.account);
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
            let Some(kept) = self.sessions.get_mut(&client.name) else { continue };
            let is_checked = kept.pages.is_some_and(|pages| pages < PAGES_PER_CHECK);
            kept.pages = Some(if is_checked { kept.pages.unwrap_or(0) + 1 } else { 0 });
            // What is passed over already is not counted again.
            let bounds = site.plan.queue.filter(|_| !is_checked && kept.skip.is_none());
            let wanted = Wanted::Page(PageWanted { filters, range, bounds, skip: kept.skip });
            let lookup = Lookup { worker: self.at, client: *key, instance: client.name.0, wanted };
            site.lookups.borrow_mut().push_back(lookup);
        }
    }
}

// --- messages ---
impl Worker {
    fn relay(&mut self, instance: usize, relayed: &Relayed, site: &Site, account: &mut Account) {
        let Relayed { route, topic, payload, qos } = relayed;
        self.deliver(route.of(self.id), Shared { topic, payload, qos: *qos, pos: None }, site, account);
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
                content: &[],
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
        account: &mut Account,
    ) {
        let route = site.routes[instance].borrow().matches(envelope.topic, &mut self.scratch);
        let Envelope { topic, payload, qos, .. } = *envelope;
        self.deliver(route.of(self.id), Shared { topic, payload, qos, pos }, site, account);
    }

    fn deliver(&mut self, to: &[router::Target], message: Shared<'_>, site: &Site, account: &mut Account) {
        let Shared { topic, payload, qos, pos } = message;
        for target in to {
            let Some(client) = self.clients.get_mut(&target.client()) else {
                self.share(target.client(), message, site);
                continue;
            };
            let mut message = self.rendering.message(topic, payload, qos);
            let (session, output) = (&mut client.session, &mut client.output);
            let special = target.is_special().then(|| session.special(topic, false)).flatten();
            let delivered = match (special, pos) {
                (Some(special), pos) => session.deliver_special(pos, &mut message, &special, output),
                (None, Some(pos)) => session.deliver_logged(pos, &mut message, target.qos(), output),
                (None, None) => session.deliver(&mut message, target.qos(), output),
            };
            if let (Delivered::Sent(_) | Delivered::Waiting(_), Some(pos)) = (delivered, pos) {
                account.took_live(&client.name, pos);
            }
        }
    }
}

// --- into the log ---
impl Worker {
    fn origin(&self) -> u16 {
        u16::try_from(self.at).unwrap_or(u16::MAX)
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
}

/// The key of a session's document.
#[must_use]
pub fn document_key(part: Part, client_id: &str) -> Vec<u8> {
    [part.prefix(), client_id].concat().into_bytes()
}
