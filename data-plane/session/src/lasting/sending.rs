//! What a lasting session has sent or is to send: how far it has come in the log, which packet identifier stands for
//! which message, and what is finished beyond the first that is not. No message is kept here.

use std::collections::VecDeque;

use engine::Pos;
use hashbrown::HashMap;
use mqtt::PacketId;

use super::ascending::Ascending;
use super::changes::Stamp;

/// Finished positions beyond the cursor that are remembered, for each message that may be in flight.
const DONE_PER_WINDOW: usize = 4;

/// For so many flights memory is kept when there is none.
const KEPT_FLIGHTS: usize = 16;

/// How far the delivery of a message has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// QoS 1: until PUBACK.
    Once,
    /// QoS 2: the identifier is given, nothing has been sent.
    Assigned,
    /// QoS 2: PUBLISH was sent, maybe on an earlier connection.
    Sent,
    /// QoS 2: PUBREC has come, or the message has gone and the client is to forget it all the same.
    Received,
    /// QoS 2: PUBREL was sent.
    Released,
    /// QoS 2: PUBCOMP has come; the identifier rests until that is safe.
    Completed,
}

/// A message with a packet identifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flight {
    /// Where it is in the log; `None`: it is in no log, and is lost with the connection.
    pub(crate) pos: Option<Pos>,
    pub(crate) step: Step,
    /// The change that brought it to this step.
    pub(crate) stamp: Stamp,
    /// Whether it counts for the window: something of it was sent on this connection, or is about to be.
    pub(crate) is_open: bool,
}

/// The messages of one lasting session.
#[derive(Debug)]
pub(crate) struct Sending {
    /// In no order that anybody may see.
    flights: HashMap<PacketId, Flight, foldhash::fast::FixedState>,
    /// How many of them are not of QoS 1.
    exactly_once: usize,
    /// Those of them that are in the log and not finished.
    positions: Ascending<PacketId>,
    /// Finished ones behind the cursor.
    done: Ascending<()>,
    /// Everything before it was looked at.
    next: Pos,
    /// Identifiers that rest.
    resting: VecDeque<(Stamp, PacketId)>,
    last_id: u16,
    /// Flights that are open.
    open: usize,
    /// Flights that wait for their message to be found in the log again.
    unsent: usize,
}

impl Sending {
    pub(crate) fn new(next: Pos) -> Self {
        Self {
            flights: HashMap::default(),
            exactly_once: 0,
            positions: Ascending::default(),
            done: Ascending::default(),
            next,
            resting: VecDeque::new(),
            last_id: 0,
            open: 0,
            unsent: 0,
        }
    }

    /// The first message that is not finished.
    pub(crate) fn cursor(&self) -> Pos {
        self.positions.first().map_or(self.next, |pos| pos.min(self.next))
    }

    pub(crate) const fn next(&self) -> Pos {
        self.next
    }

    pub(crate) const fn open(&self) -> usize {
        self.open
    }

    pub(crate) const fn unsent(&self) -> usize {
        self.unsent
    }

    pub(crate) fn get(&self, packet_id: PacketId) -> Option<Flight> {
        self.flights.get(&packet_id).copied()
    }

    pub(crate) fn at(&self, pos: Pos) -> Option<(PacketId, Flight)> {
        let packet_id = self.positions.get(pos)?;
        Some((packet_id, self.get(packet_id)?))
    }

    /// In the order of the identifiers.
    pub(crate) fn flights(&self) -> Vec<(PacketId, Flight)> {
        let mut flights: Vec<_> =
            self.flights.iter().map(|(&packet_id, &flight)| (packet_id, flight)).collect();
        flights.sort_unstable_by_key(|(packet_id, _)| *packet_id);
        flights
    }

    /// Those that are in no log, or are there no more, in the order of the identifiers.
    pub(crate) fn elsewhere(&self) -> Vec<(PacketId, Flight)> {
        // Mostly there are none, and this is asked often.
        if self.flights.len() == self.positions.len() {
            return Vec::new();
        }
        let mut flights = self.flights();
        flights.retain(|(_, flight)| flight.pos.is_none());
        flights
    }

    /// In the order of the log.
    pub(crate) fn in_log(&self) -> impl Iterator<Item = (Pos, PacketId, Flight)> {
        self.positions.iter().filter_map(|&(pos, packet_id)| Some((pos, packet_id, self.get(packet_id)?)))
    }

    /// Those of them that are not of QoS 1, and stand at `from` or behind.
    pub(crate) fn exactly_once_from(&self, from: Pos) -> impl Iterator<Item = (Pos, PacketId, Flight)> {
        let all = (self.exactly_once > 0).then(|| self.in_log());
        all.into_iter().flatten().filter(move |it| it.0 >= from && it.2.step != Step::Once)
    }

    /// Those of them that stand behind `from`, or there, and before `to`.
    pub(crate) fn in_log_between(&self, from: Pos, to: Pos) -> impl Iterator<Item = (Pos, PacketId, Flight)> {
        let between = self.positions.between(from, to);
        between.filter_map(|&(pos, packet_id)| Some((pos, packet_id, self.get(packet_id)?)))
    }

    /// Whether what stands there is finished, as far as it is behind the cursor.
    #[inline]
    pub(crate) fn is_done(&self, pos: Pos) -> bool {
        self.done.get(pos).is_some()
    }

    /// What is finished from a position on.
    pub(crate) fn done_from(&self, from: Pos) -> impl ExactSizeIterator<Item = Pos> {
        let end = Pos { record: u64::MAX, index: u16::MAX };
        self.done.between(from, end).map(|(pos, ())| *pos)
    }

    /// Everything before `next` was looked at.
    pub(crate) fn move_to(&mut self, next: Pos) {
        self.next = self.next.max(next);
        self.forget_done();
    }

    /// A new connection begins where the first unfinished message is.
    pub(crate) fn rewind(&mut self) {
        self.next = self.cursor();
    }

    /// The connection has gone: what is in flight waits to be found in the log again.
    pub(crate) fn ground(&mut self) {
        for flight in self.flights.values_mut() {
            flight.is_open = false;
        }
        self.open = 0;
        self.unsent = self.positions.len();
    }

    /// Whether one more message may be sent, with so many in flight at most. While one that is in flight holds the
    /// cursor, only so much is finished behind it. That counts neither where the next message holds the cursor itself,
    /// nor before all that is in flight has been found again: it would wait for itself.
    pub(crate) fn has_room(&self, window: usize) -> bool {
        let is_behind = self.positions.first().is_some_and(|pos| pos < self.next);
        let is_held =
            is_behind && self.unsent == 0 && self.done.len() >= window.saturating_mul(DONE_PER_WINDOW);
        self.open < window && !is_held && self.flights.len() < usize::from(u16::MAX)
    }

    /// An identifier that is not in use. They go round in a range of twice the window, or wider if so many are in use.
    pub(crate) fn free_id(&mut self, window: usize) -> Option<PacketId> {
        let range = window.saturating_mul(2).max(self.flights.len().saturating_add(window));
        let range = u16::try_from(range).unwrap_or(u16::MAX);
        for _ in 0..range {
            self.last_id = if self.last_id >= range { 1 } else { self.last_id + 1 };
            let free = PacketId::new(self.last_id).filter(|packet_id| !self.flights.contains_key(packet_id));
            if free.is_some() {
                return free;
            }
        }
        None
    }

    /// Puts a message in flight.
    pub(crate) fn insert(&mut self, packet_id: PacketId, flight: Flight) {
        if let Some(pos) = flight.pos {
            self.positions.insert(pos, packet_id);
            self.unsent += usize::from(!flight.is_open);
        }
        self.open += usize::from(flight.is_open);
        self.exactly_once += usize::from(flight.step != Step::Once);
        let before = self.flights.insert(packet_id, flight);
        debug_assert!(before.is_none(), "{packet_id} is in use");
    }

    /// What is in flight has come to another step, and is open.
    pub(crate) fn step(&mut self, packet_id: PacketId, step: Step, stamp: Stamp) {
        let Some(flight) = self.flights.get_mut(&packet_id) else { return };
        if !flight.is_open {
            flight.is_open = true;
            self.open += 1;
            self.unsent -= usize::from(flight.pos.is_some());
        }
        self.exactly_once += usize::from(step != Step::Once);
        self.exactly_once -= usize::from(flight.step != Step::Once);
        flight.step = step;
        flight.stamp = stamp;
    }

    /// A message is finished, and its identifier free.
    pub(crate) fn finish(&mut self, packet_id: PacketId) {
        if let Some(flight) = self.forget(packet_id) {
            self.close(&flight);
        }
    }

    /// A message is finished; its identifier rests until the change is safe.
    pub(crate) fn complete(&mut self, packet_id: PacketId, stamp: Stamp) {
        let Some(flight) = self.flights.get_mut(&packet_id) else { return };
        let was = *flight;
        *flight = Flight { pos: None, step: Step::Completed, stamp, is_open: false };
        self.exactly_once += usize::from(was.step == Step::Once);
        self.close(&was);
        self.resting.push_back((stamp, packet_id));
    }

    /// Frees the identifiers that have rested long enough.
    pub(crate) fn wake(&mut self, is_safe: impl Fn(Stamp) -> bool) {
        while let Some((_, packet_id)) = self.resting.pop_front_if(|(stamp, _)| is_safe(*stamp)) {
            self.free_early(packet_id);
        }
    }

    /// Frees an identifier that rests, whether it has rested long enough or not.
    pub(crate) fn free_early(&mut self, packet_id: PacketId) {
        if self.get(packet_id).is_some_and(|flight| flight.step == Step::Completed) {
            self.forget(packet_id);
        }
    }

    fn forget(&mut self, packet_id: PacketId) -> Option<Flight> {
        let flight = self.flights.remove(&packet_id)?;
        self.exactly_once -= usize::from(flight.step != Step::Once);
        // A session that is idle is small.
        if self.flights.is_empty() && self.flights.capacity() > KEPT_FLIGHTS {
            self.flights = HashMap::default();
        }
        Some(flight)
    }

    /// Whether an identifier would still rest, though a test may have freed it.
    pub(crate) fn is_resting(&self, packet_id: PacketId) -> bool {
        self.resting.iter().any(|(_, resting)| *resting == packet_id)
    }

    fn close(&mut self, flight: &Flight) {
        if flight.is_open {
            self.open -= 1;
        } else if flight.pos.is_some() {
            self.unsent -= 1;
        }
        if let Some(pos) = flight.pos {
            self.positions.remove(pos);
            self.finish_at(pos);
        }
    }

    /// What stands at a position is finished, or was never for this client.
    pub(crate) fn finish_at(&mut self, pos: Pos) {
        // Mostly the cursor is past it by that.
        if pos >= self.cursor() {
            self.done.insert(pos, ());
        }
        self.forget_done();
    }

    /// What stands at a position will not be sent. The next connection need not look at it again, unless so much is
    /// finished behind a message that is not that no more is remembered.
    pub(crate) fn pass_over(&mut self, pos: Pos, window: usize) {
        if self.done.len() < window.saturating_mul(DONE_PER_WINDOW) {
            self.finish_at(pos);
        }
    }

    fn forget_done(&mut self) {
        if self.done.len() > 0 {
            self.done.forget_before(self.cursor());
        }
    }
}
