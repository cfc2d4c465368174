//! What a session can do besides when it outlives its connection. On a clean one these calls do nothing.

use engine::Pos;
use mqtt::{ReasonCode, encode};

use super::attached::Attached;
use super::gates::Effect;
use super::{Session, Settings, bytes};
use crate::lasting::{ChangeId, Lasting, Part, Step};
use crate::outbox::DropReason;
use crate::sink::{PassedOver, Sink};
use crate::time::Millis;
use contract::refusal::Refusal;

impl Session {
    /// The session of a client whose CONNECT without `clean session`, or in 5.0 with an expiry or of a session that was
    /// kept, was accepted at `now`: a new one, or the one that
    /// was kept for it. To be called once CONNACK is in the output. What the client has said PUBREC to is released
    /// again at once; the rest of what is in flight is sent again, with DUP and its identifier, when
    /// [`take_page`](Self::take_page) brings it: the session replays from its cursor on.
    ///
    /// The will of `settings` takes the place of the one that was kept, and so does the expiry. One of 0 seconds says that
    /// the session ends with this connection: until then it is a lasting one like any other.
    pub fn attach(
        now: Millis,
        mut settings: Settings,
        mut lasting: Box<Lasting>,
        sink: &mut impl Sink,
    ) -> Self {
        lasting.set_detached_at(None);
        lasting.set_will(settings.will.take());
        lasting.set_expiry_secs(settings.expiry_secs);
        let mut session = Self::new(now, settings);
        if let Some(v5) = &mut session.v5 {
            v5.ends_with_connection = lasting.expiry_secs() == 0;
        }
        let mut released = Vec::new();
        let attached = Attached::new(now, lasting, session.version, &session.bounds, &mut released);
        session.attached = Some(Box::new(attached));
        if !released.is_empty() {
            sink.output().extend_from_slice(&released);
        }
        session
    }

    /// Whether it outlives its connection.
    #[inline]
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        self.attached.is_some()
    }

    /// What of it outlives its connection.
    #[must_use]
    pub fn lasting(&self) -> Option<&Lasting> {
        self.attached.as_ref().map(|attached| &*attached.lasting)
    }

    /// The same, to be changed. What concerns messages goes through the session's own calls.
    pub fn lasting_mut(&mut self) -> Option<&mut Lasting> {
        self.attached.as_mut().map(|attached| &mut *attached.lasting)
    }

    /// See [`Lasting::skip_to`]. What was sent on this connection stays in flight.
    pub fn skip_to(&mut self, pos: Pos) {
        if let Some(attached) = self.attached.as_deref_mut().filter(|it| pos > it.lasting.cursor()) {
            attached.abandon_before(pos);
            attached.lasting.skip_to(pos);
        }
    }

    /// Everything before `watermark` has been taken in by its worker: a session that takes from the feed has had
    /// it. Marks progress to be written, ten seconds after an acknowledgement at the latest. To be called now and then,
    /// for each lasting session that is attached and is still shown what the feed brings. Of one that is closed nothing
    /// is moved: what has come since waits for the next connection.
    pub fn advance(&mut self, watermark: Pos, now: Millis) {
        let is_open = self.closed.is_none();
        if let Some(attached) = self.attached.as_deref_mut().filter(|_| is_open) {
            attached.advance(watermark, now);
        }
    }

    /// When [`advance`](Self::advance) is to be called at the latest, because the client has acknowledged what no
    /// document knows of; `None`: nothing.
    #[must_use]
    pub fn checkpoint_at(&self) -> Option<Millis> {
        self.attached.as_ref().and_then(|attached| attached.checkpoint_at())
    }

    /// See [`Lasting::has_changes`].
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.lasting().is_some_and(Lasting::has_changes)
    }

    /// See [`Lasting::write_changes`].
    pub fn write_changes(&mut self, put: impl FnMut(Part, &[u8])) -> Option<ChangeId> {
        self.lasting_mut()?.write_changes(put)
    }

    /// See [`Lasting::changes_committed`]. Whatever waited for it is said now.
    pub fn changes_committed(&mut self, id: ChangeId, sink: &mut impl Sink) {
        let Some(attached) = self.attached.as_deref_mut() else { return };
        attached.lasting.changes_committed(id);
        if self.closed.is_some() {
            return;
        }
        for effect in attached.open_gates() {
            self.take_effect(effect, sink);
        }
        self.send_waiting(sink);
    }

    /// See [`Lasting::changes_failed`]. The client is sent away: it would wait in vain.
    pub fn changes_failed(&mut self, id: ChangeId, refusal: Refusal, sink: &mut impl Sink) {
        let Some(attached) = self.attached.as_deref_mut() else { return };
        attached.lasting.changes_failed(id);
        attached.gates.clear();
        attached.gated_bytes = 0;
        if self.closed.is_none() {
            self.refuse(refusal, sink);
        }
    }

    fn take_effect(&mut self, effect: Effect, sink: &mut impl Sink) {
        let Some(attached) = self.attached.as_deref_mut() else { return };
        match effect {
            Effect::SubAck(packet_id, codes, why) => self.write_suback(packet_id, &codes, why, sink.output()),
            Effect::UnsubAck(packet_id, codes) => {
                encode::unsuback(sink.output(), self.version, packet_id, codes.iter().copied());
            }
            Effect::Publish(packet_id, kept) => {
                attached.gated_bytes -= kept.form.size_bytes();
                if kept.expires_at.is_some() && kept.is_over(sink.unix_now()) {
                    let pos = attached.lasting.sending.get(packet_id).and_then(|flight| flight.pos);
                    // Nothing was sent under the identifier, so there is nothing to release.
                    let _ = attached.lasting.abandon(packet_id, Step::Assigned);
                    let Some(pos) = pos else {
                        let size = bytes(kept.form.size_bytes());
                        return sink.dropped_waiting(DropReason::MessageExpired, size);
                    };
                    return sink.passed_over(pos, PassedOver::MessageExpired);
                }
                attached.note_sent(packet_id);
                sink.release(&kept.form, Some(packet_id), kept.expires_at);
            }
            Effect::PubRel(packet_id) => {
                attached.note_released(packet_id);
                encode::pubrel(sink.output(), self.version, packet_id, ReasonCode::Success);
            }
            Effect::PubComp(packet_id, reason) => {
                encode::pubcomp(sink.output(), self.version, packet_id, reason);
            }
            Effect::Repeat(packet_id) => {
                self.committed(packet_id, sink.output());
            }
        }
    }
}
