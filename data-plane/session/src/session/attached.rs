//! A lasting session while it has a connection: what is in flight on it, what waits for a change to be safe, and whether
//! it takes from the feed or from the log.

use std::collections::VecDeque;
use std::sync::Arc;

use contract::qos::Qos;
use contract::refusal::Refusal;
use engine::Pos;
use mqtt::{PacketId, ReasonCode, Version, encode};

use super::gates::{Effect, Gate};
use crate::bounds::Bounds;
use crate::lasting::{Flight, Lasting, Part, Stamp, Step};
use crate::message::Kept;
use crate::time::Millis;

/// Messages in flight to one client at most: half of the identifiers, for as many may rest.
const WINDOW_MAX: u16 = 32_767;

/// Progress that holds no message up is written after so long.
const CHECKPOINT_MILLIS: u32 = 10_000;

/// A cursor that only has moved is written after so long.
const IDLE_CHECKPOINT_MILLIS: u32 = 600_000;

/// What becomes of a message that gets an identifier.
pub(super) enum Launch {
    /// It is to be sent under it now.
    Now(PacketId),
    /// It is sent when the identifier is safe.
    Gated,
}

/// What PUBREC is answered with.
pub(super) enum PubRecAnswer {
    PubRel,
    /// PUBREL, for what is not in flight.
    Unknown,
    /// Nothing for now.
    Later,
    /// Nothing: the client has refused the message, and has done with it.
    Over,
}

#[derive(Debug)]
pub(super) struct Attached {
    pub(super) lasting: Box<Lasting>,
    version: Version,
    /// Messages in flight at one time, at most.
    pub(super) window: usize,
    pub(super) gates: VecDeque<Gate>,
    /// Of the messages that wait in gates.
    pub(super) gated_bytes: usize,
    /// Takes from the log and not from the feed.
    pub(super) is_replaying: bool,
    /// A page was asked for that reaches up to here.
    pub(super) asked: Option<Pos>,
    /// The first message of the feed that was left to the log since then.
    pub(super) missed: Option<Pos>,
    /// When progress was last looked at and written.
    recorded_at: Millis,
}

impl Attached {
    /// What is in flight waits to be found in the log again, and what the client has said PUBREC to is released once
    /// more, in the order of PUBREC [MQTT-4.4.0-1], [MQTT-4.6.0-4].
    pub(super) fn new(
        now: Millis,
        mut lasting: Box<Lasting>,
        version: Version,
        bounds: &Bounds,
        output: &mut Vec<u8>,
    ) -> Self {
        lasting.sending.ground();
        lasting.sending.rewind();
        let mut attached = Self {
            lasting,
            version,
            window: usize::from(bounds.in_flight_max.min(WINDOW_MAX)),
            gates: VecDeque::new(),
            gated_bytes: 0,
            is_replaying: true,
            asked: None,
            missed: None,
            recorded_at: now,
        };
        let mut flights = attached.lasting.sending.flights();
        flights.sort_by_key(|(_, flight)| flight.stamp);
        for (packet_id, flight) in flights {
            attached.resume(packet_id, flight, output);
        }
        attached
    }

    fn resume(&mut self, packet_id: PacketId, flight: Flight, output: &mut Vec<u8>) {
        match flight.step {
            Step::Released => {
                self.lasting.sending.step(packet_id, Step::Released, flight.stamp);
                encode::pubrel(output, self.version, packet_id, ReasonCode::Success);
            }
            Step::Received => {
                self.lasting.sending.step(packet_id, Step::Received, flight.stamp);
                if self.lasting.changes.is_safe(Part::Progress, flight.stamp) {
                    self.lasting.sending.step(packet_id, Step::Released, flight.stamp);
                    encode::pubrel(output, self.version, packet_id, ReasonCode::Success);
                } else {
                    self.gate(flight.stamp, Effect::PubRel(packet_id));
                }
            }
            // In no log: it went with the connection before.
            Step::Once | Step::Assigned | Step::Sent if flight.pos.is_none() => {
                if let Some(stamp) = self.lasting.abandon(packet_id, flight.step) {
                    self.gate(stamp, Effect::PubRel(packet_id));
                }
            }
            Step::Once | Step::Assigned | Step::Sent | Step::Completed => {}
        }
    }

    pub(super) fn gate(&mut self, stamp: Stamp, effect: Effect) {
        self.gates.push_back(Gate { stamp, effect });
    }

    /// Takes out what waits no longer.
    pub(super) fn open_gates(&mut self) -> Vec<Effect> {
        let mut opened = Vec::new();
        for gate in std::mem::take(&mut self.gates) {
            if self.lasting.changes.is_safe(gate.effect.part(), gate.stamp) {
                opened.push(gate.effect);
            } else {
                self.gates.push_back(gate);
            }
        }
        opened
    }

    /// Puts a message of QoS 1 or 2 in flight; `None`: there is no room. `form` is asked for when it has to be kept.
    pub(super) fn launch(
        &mut self,
        pos: Option<Pos>,
        qos: Qos,
        form: impl FnOnce() -> Arc<Kept>,
    ) -> Option<Launch> {
        let packet_id = self.lasting.sending.free_id(self.window)?;
        let mut flight = Flight { pos, step: Step::Once, stamp: Stamp::default(), is_open: true };
        if qos != Qos::ExactlyOnce {
            self.lasting.sending.insert(packet_id, flight);
            return Some(Launch::Now(packet_id));
        }
        flight.step = Step::Assigned;
        flight.stamp = self.lasting.changes.make(Part::Progress);
        self.lasting.sending.insert(packet_id, flight);
        Some(self.first_publish(packet_id, flight.stamp, form))
    }

    /// The first PUBLISH under an identifier of QoS 2: as soon as that is safe.
    pub(super) fn first_publish(
        &mut self,
        packet_id: PacketId,
        stamp: Stamp,
        form: impl FnOnce() -> Arc<Kept>,
    ) -> Launch {
        let rules = self.lasting.rules();
        let is_broken = !rules.assign_before_publish
            || !rules.record_before_reuse && self.lasting.sending.is_resting(packet_id);
        if is_broken || self.lasting.changes.is_safe(Part::Progress, stamp) {
            self.lasting.sending.step(packet_id, Step::Sent, stamp);
            return Launch::Now(packet_id);
        }
        self.lasting.sending.step(packet_id, Step::Assigned, stamp);
        let form = form();
        self.gated_bytes += form.form.size_bytes();
        self.gate(stamp, Effect::Publish(packet_id, form));
        Launch::Gated
    }

    /// The first PUBLISH goes out.
    pub(super) fn note_sent(&mut self, packet_id: PacketId) {
        if let Some(flight) = self.lasting.sending.get(packet_id) {
            self.lasting.sending.step(packet_id, Step::Sent, flight.stamp);
        }
    }

    /// PUBREL goes out.
    pub(super) fn note_released(&mut self, packet_id: PacketId) {
        if let Some(flight) = self.lasting.sending.get(packet_id) {
            self.lasting.sending.step(packet_id, Step::Released, flight.stamp);
        }
    }

    /// Whether one more message may be sent and not be acknowledged.
    pub(super) fn has_window(&self) -> bool {
        self.lasting.sending.open() < self.window
    }

    /// Whether one more that the session does not find in the log by itself may be put in flight. What is to be sent again
    /// goes first: in a small window it would wait for ever behind the others.
    pub(super) fn has_window_for_others(&self) -> bool {
        self.has_window() && self.lasting.sending.unsent() == 0
    }

    /// An identifier that is not in flight is passed over.
    pub(super) fn on_puback(&mut self, packet_id: PacketId) -> Result<(), Refusal> {
        match self.lasting.sending.get(packet_id) {
            Some(Flight { step: Step::Once, pos, .. }) => {
                self.lasting.sending.finish(packet_id);
                if pos.is_some() {
                    self.lasting.note_acknowledged();
                }
                Ok(())
            }
            Some(Flight { step: Step::Completed, .. }) | None => Ok(()),
            Some(_) => Err(Refusal::ProtocolError),
        }
    }

    /// `is_refused`: with a reason code from 0x80 on, which ends the exchange [MQTT-4.3.3-4].
    pub(super) fn on_pubrec(
        &mut self,
        packet_id: PacketId,
        is_refused: bool,
    ) -> Result<PubRecAnswer, Refusal> {
        match self.lasting.sending.get(packet_id).map(|flight| flight.step) {
            Some(Step::Once) => Err(Refusal::ProtocolError),
            Some(Step::Sent) if is_refused => {
                let stamp = self.lasting.changes.make(Part::Progress);
                self.lasting.sending.complete(packet_id, stamp);
                Ok(PubRecAnswer::Over)
            }
            _ if is_refused => Ok(PubRecAnswer::Later),
            Some(Step::Sent) => {
                let stamp = self.lasting.changes.make(Part::Progress);
                if !self.lasting.rules().record_before_release {
                    self.lasting.sending.step(packet_id, Step::Released, stamp);
                    return Ok(PubRecAnswer::PubRel);
                }
                self.lasting.sending.step(packet_id, Step::Received, stamp);
                self.gate(stamp, Effect::PubRel(packet_id));
                Ok(PubRecAnswer::Later)
            }
            // Of PUBREL that waits, or of an identifier under which nothing was sent.
            Some(Step::Received | Step::Assigned) => Ok(PubRecAnswer::Later),
            Some(Step::Released | Step::Completed) => Ok(PubRecAnswer::PubRel),
            None => Ok(PubRecAnswer::Unknown),
        }
    }

    pub(super) fn on_pubcomp(&mut self, packet_id: PacketId) -> Result<(), Refusal> {
        match self.lasting.sending.get(packet_id).map(|flight| flight.step) {
            Some(Step::Released) => {
                let stamp = self.lasting.changes.make(Part::Progress);
                self.lasting.sending.complete(packet_id, stamp);
                if !self.lasting.rules().record_before_reuse {
                    self.lasting.sending.free_early(packet_id);
                }
                Ok(())
            }
            Some(Step::Completed) | None => Ok(()),
            Some(Step::Once | Step::Assigned | Step::Sent | Step::Received) => Err(Refusal::ProtocolError),
        }
    }

    /// What cannot be found again before `pos` is brought to its end. It stands at `next` or behind: what is before was
    /// found.
    pub(super) fn abandon_before(&mut self, pos: Pos) {
        for (packet_id, stamp) in self.lasting.abandon_between(self.lasting.sending.next(), pos) {
            self.gate(stamp, Effect::PubRel(packet_id));
        }
    }

    /// Moves the cursor on, and marks progress when that is worth a write.
    pub(super) fn advance(&mut self, watermark: Pos, now: Millis) {
        if !self.is_replaying {
            self.lasting.sending.move_to(watermark);
        }
        let is_due = if self.lasting.has_acknowledged() {
            now >= self.recorded_at.after(CHECKPOINT_MILLIS)
        } else {
            self.lasting.has_moved() && now >= self.recorded_at.after(IDLE_CHECKPOINT_MILLIS)
        };
        if is_due {
            self.lasting.checkpoint();
            self.recorded_at = now;
        }
    }

    /// When acknowledgements that hold no message up are to be written.
    pub(super) fn checkpoint_at(&self) -> Option<Millis> {
        self.lasting.has_acknowledged().then(|| self.recorded_at.after(CHECKPOINT_MILLIS))
    }

    /// The connection has gone.
    pub(super) fn detach(self) -> Box<Lasting> {
        let mut lasting = self.lasting;
        if lasting.has_acknowledged() || lasting.has_moved() {
            lasting.checkpoint();
        }
        lasting.sending.ground();
        lasting
    }
}
