//! Messages of the log on their way to a lasting session: from the feed while it keeps up, else in pages from the log.
//!
//! A session that takes from the feed is *live*: everything before its `next` was taken on, and so the feed's next
//! message stands there or beyond. When it has no room, it leaves that message and all that follow to the log and is
//! *replaying*: it holds nothing but the position. It asks for one page at a time, as long as it has room, up to the
//! watermark of that moment. When a page has been taken on up to there, and the feed has brought nothing for this
//! session since it was asked for, the session is live again at the present watermark; if the feed has brought
//! something, the next page begins with that.

use std::ops::Range;

use contract::qos::Qos;
use contract::time::UnixMillis;
use engine::{Envelope, Pos};
use mqtt::PacketId;

use super::attached::{Attached, Launch};
use super::{Delivered, Session, bytes};
use crate::lasting::{Flight, Grant, Step};
use crate::message::{Message, Rendering};
use crate::outbox::DropReason;
use crate::sink::{PassedOver, Sink};

/// Where a page goes.
struct Page<'a, 'b, S: Sink> {
    now: UnixMillis,
    rendering: &'a mut Rendering,
    sink: &'a mut S,
    /// The topic of the last message that was looked at, and what is granted for it: messages of one topic come one after
    /// the other, and subscriptions stay what they are within a page.
    granted: Option<(&'b str, Grant)>,
}

impl Session {
    /// A message of the feed, on a subscription that was granted `granted`. A clean session takes it like any other; a
    /// lasting one that replays leaves it to the log, unless it is for QoS 0: such a one is not stored for it.
    pub fn deliver_logged(
        &mut self,
        pos: Pos,
        message: &mut Message<'_>,
        granted: Qos,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let qos = message.qos_for(granted);
        let waiting = self.waiting_bytes();
        let Some(attached) = self.attached.as_deref_mut().filter(|_| qos != Qos::AtMostOnce) else {
            return self.deliver(message, granted, output);
        };
        if attached.is_replaying {
            if attached.asked.is_none_or(|to| pos >= to) {
                attached.missed.get_or_insert(pos);
            }
            return Delivered::Replaying;
        }
        if pos < attached.lasting.sending.next() {
            return Delivered::Replaying; // a page has brought it
        }
        let size = message.form(qos).size_bytes();
        if size == 0 {
            attached.lasting.sending.move_to(pos.successor());
            return Delivered::Dropped(DropReason::TooLong);
        }
        let is_full = output.len() + waiting + size > self.bounds.outbox_bytes_max as usize;
        let room = !is_full && attached.lasting.sending.has_room(attached.window);
        let launched = if room { attached.launch(Some(pos), qos, || message.keep(qos)) } else { None };
        let Some(launched) = launched else {
            attached.lasting.sending.move_to(pos);
            attached.is_replaying = true;
            return Delivered::Replaying;
        };
        attached.lasting.sending.move_to(pos.successor());
        match launched {
            Launch::Now(packet_id) => {
                message.form(qos).append_to(output, Some(packet_id));
                Delivered::Sent(bytes(size))
            }
            Launch::Gated => Delivered::Waiting(bytes(size)),
        }
    }

    /// Whether [`wanted_page`](Self::wanted_page) is worth asking: cheap, for after each packet.
    #[inline]
    #[must_use]
    pub fn wants_page(&self) -> bool {
        self.closed.is_none()
            && self.attached.as_ref().is_some_and(|it| it.is_replaying && it.asked.is_none())
    }

    /// The part of the log from which it wants a page now, the end exclusive; the page may cover less, from the start
    /// on. `None`: it wants none, has no room, or has asked already. `watermark` is that of its worker, `pending_bytes`
    /// is what waits for the network.
    ///
    /// To be asked after attaching, after [`Delivered::Replaying`], after each packet of the client, page and commit,
    /// and when the network has taken output. [`Lasting::replay_filters`](crate::Lasting::replay_filters) says what to
    /// look for, at QoS 1 and 2.
    pub fn wanted_page(&mut self, watermark: Pos, pending_bytes: usize) -> Option<Range<Pos>> {
        let waiting = self.waiting_bytes();
        let is_closed = self.closed.is_some();
        let attached = self.attached.as_deref_mut().filter(|it| it.is_replaying && it.asked.is_none())?;
        let sending = &mut attached.lasting.sending;
        let from = sending.next();
        if is_closed || from >= watermark {
            if sending.unsent() == 0 && !is_closed {
                attached.is_replaying = false;
            }
            return None;
        }
        if sending.unsent() == 0 && !sending.has_room(attached.window) {
            return None;
        }
        if pending_bytes + waiting > self.bounds.outbox_bytes_max as usize / 2 {
            return None;
        }
        attached.asked = Some(watermark);
        attached.missed = None;
        Some(from..watermark)
    }

    /// No page will come: the log could not be read. The session may ask again.
    pub fn give_up_page(&mut self) {
        if let Some(attached) = self.attached.as_deref_mut() {
            attached.asked = None;
        }
    }

    /// The page that was asked for: the messages that match any of the filters, in the order of the log, nothing left
    /// out before `next`. What there is no room for is left to a later page. `watermark` is that of this moment.
    pub fn take_page<'a>(
        &mut self,
        page: impl IntoIterator<Item = (Pos, Envelope<'a>)>,
        next: Pos,
        watermark: Pos,
        now: UnixMillis,
        rendering: &mut Rendering,
        sink: &mut impl Sink,
    ) {
        let mut place = Page { now, rendering, sink, granted: None };
        let is_closed = self.closed.is_some();
        let asked = self.attached.as_deref_mut().and_then(|it| it.asked.take());
        let Some(to) = asked.filter(|_| !is_closed) else { return };
        for (pos, envelope) in page {
            let waiting = self.waiting_bytes();
            let room_max = (self.bounds.outbox_bytes_max as usize).saturating_sub(waiting);
            let Some(attached) = self.attached.as_deref_mut() else { return };
            if pos < attached.lasting.sending.next() {
                continue;
            }
            attached.abandon_before(pos);
            if !attached.take(pos, &envelope, room_max, waiting == 0, &mut place) {
                return attached.lasting.sending.move_to(pos);
            }
            attached.lasting.sending.move_to(pos.successor());
        }
        let Some(attached) = self.attached.as_deref_mut() else { return };
        attached.abandon_before(next);
        attached.lasting.sending.move_to(next);
        if attached.lasting.sending.next() >= to {
            attached.is_replaying = attached.missed.is_some();
            attached.lasting.sending.move_to(attached.missed.take().unwrap_or(watermark));
        }
    }
}

impl Attached {
    /// Takes a message of a page on, or passes it over; false: there is no room.
    fn take<'b, S: Sink>(
        &mut self,
        pos: Pos,
        envelope: &Envelope<'b>,
        room_max: usize,
        is_quiet: bool,
        page: &mut Page<'_, 'b, S>,
    ) -> bool {
        let flight = self.lasting.sending.at(pos);
        let qos = match flight {
            Some((_, Flight { is_open: true, .. })) => return true,
            Some((_, Flight { step: Step::Once, .. })) => Qos::AtLeastOnce,
            Some(_) => Qos::ExactlyOnce,
            None if self.lasting.sending.is_done(pos) => return true,
            None => match self.granted(envelope.topic, pos, page).map(|granted| granted.min(envelope.qos)) {
                Some(qos @ (Qos::AtLeastOnce | Qos::ExactlyOnce)) => qos,
                Some(Qos::AtMostOnce) | None => return true,
            },
        };
        let was_sent = flight.is_some_and(|(_, flight)| flight.step != Step::Assigned);
        let mut message = page.rendering.message(envelope.topic, envelope.payload, qos);
        let size = message.form(qos).size_bytes();
        let why = if size == 0 {
            Some(PassedOver::TooLong)
        } else {
            let is_over = envelope.expires_at.is_some_and(|at| at <= page.now) && !was_sent;
            is_over.then_some(PassedOver::MessageExpired)
        };
        if let Some(why) = why {
            self.pass_over(flight);
            page.sink.passed_over(pos, why);
            return true;
        }
        let pending = page.sink.output().len();
        let is_full = pending + size > room_max && !(is_quiet && pending == 0);
        if is_full || flight.is_none() && !self.lasting.sending.has_room(self.window) {
            return false;
        }
        let launched = match flight {
            Some((packet_id, flight)) => self.send_again(packet_id, flight, &mut message),
            None => match self.launch(Some(pos), qos, || message.keep(qos)) {
                Some(launched) => launched,
                None => return false,
            },
        };
        page.sink.took(pos, bytes(size));
        if let Launch::Now(packet_id) = launched {
            let form = if was_sent { message.again(qos) } else { message.form(qos) };
            page.sink.release(form, Some(packet_id));
        }
        true
    }

    /// The QoS granted for a message of a page; `None` when it is for no subscription.
    fn granted<'b, S: Sink>(&self, topic: &'b str, pos: Pos, page: &mut Page<'_, 'b, S>) -> Option<Qos> {
        let known = page.granted.filter(|(known, grant)| *known == topic && grant.holds_at(pos));
        let (_, grant) = known.unwrap_or_else(|| (topic, self.lasting.granted(topic, pos)));
        page.granted = Some((topic, grant));
        grant.qos
    }

    /// What is in flight since an earlier connection is sent again under its identifier [MQTT-4.4.0-1].
    fn send_again(&mut self, packet_id: PacketId, flight: Flight, message: &mut Message<'_>) -> Launch {
        if flight.step == Step::Assigned {
            return self.first_publish(packet_id, flight.stamp, || message.keep(Qos::ExactlyOnce));
        }
        self.lasting.sending.step(packet_id, flight.step, flight.stamp);
        Launch::Now(packet_id)
    }

    fn pass_over(&mut self, flight: Option<(PacketId, Flight)>) {
        let Some((packet_id, flight)) = flight else { return };
        if let Some(stamp) = self.lasting.abandon(packet_id, flight.step) {
            self.gate(stamp, super::gates::Effect::PubRel(packet_id));
        }
    }
}
