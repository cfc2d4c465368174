//! Messages of the log on their way to a lasting session: from the feed while it keeps up, else in pages from the log.
//!
//! A session that takes from the feed is *live*: everything before its `next` was taken on, and so the feed's next
//! message stands there or beyond. When it has no room, it leaves that message and all that follow to the log and is
//! *replaying*: it holds nothing but the position. It asks for one page at a time, as long as it has room, up to the
//! watermark of that moment. When a page has been taken on up to there, and the feed has brought nothing for this
//! session since it was asked for, the session is live again at the present watermark; if the feed has brought
//! something, the next page begins with that.

use std::ops::Range;
use std::sync::Arc;

use contract::qos::Qos;
use contract::time::UnixMillis;
use engine::{Envelope, Pos};
use mqtt::{Content, PacketId};

use super::attached::{Attached, Launch};
use super::{Delivered, Session, bytes};
use crate::granted::Special;
use crate::lasting::{Flight, Grant, Step};
use crate::message::{Kept, Message, Rendering, Shape};
use crate::sink::{PassedOver, Sink};

/// Where a page goes.
struct Page<'a, 'b, S: Sink> {
    now: UnixMillis,
    rendering: &'a mut Rendering,
    sink: &'a mut S,
    /// For a client of 5.0.
    is_v5: bool,
    /// The largest packet that it takes.
    packet_bytes_max: usize,
    /// The topic of the last message that was looked at, and what is granted for it: messages of one topic come one after
    /// the other, and subscriptions stay what they are within a page.
    granted: Option<(&'b str, Grant)>,
}

impl Session {
    /// A message of the feed, on a subscription that was granted `granted` and is not
    /// [special](crate::Granted::is_special). A clean session takes it like any other; a
    /// lasting one that replays leaves it to the log, unless it is for QoS 0: such a one is not stored for it.
    pub fn deliver_logged(
        &mut self,
        pos: Pos,
        message: &mut Message<'_>,
        granted: Qos,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let qos = message.qos_for(granted);
        if qos == Qos::AtMostOnce || self.attached.is_none() {
            return self.deliver(message, granted, output);
        }
        let shape = self.shape(message, qos);
        self.send_logged(pos, message, &shape, output)
    }

    /// The same of a lasting session, at QoS 1 or 2. With a topic alias, if there is one and the message goes out now.
    pub(super) fn send_logged(
        &mut self,
        pos: Pos,
        message: &mut Message<'_>,
        shape: &Shape<'_>,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let goes_at_once = self.attached.as_ref().is_some_and(|attached| !attached.is_replaying);
        let has_alias = shape.qos == Qos::AtLeastOnce && goes_at_once;
        let alias = if has_alias { self.fitting_alias(message, shape, output.len()) } else { None };
        let delivered = self.take_logged(pos, message, &Shape { alias, ..*shape }, output);
        if let (Some(alias), Delivered::Sent(_)) = (alias, delivered) {
            self.note_alias(alias, message.topic());
        }
        delivered
    }

    fn take_logged(
        &mut self,
        pos: Pos,
        message: &mut Message<'_>,
        shape: &Shape<'_>,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let waiting = self.waiting_bytes();
        let Some(attached) = self.attached.as_deref_mut() else { return Delivered::Replaying };
        if attached.is_replaying {
            if attached.asked.is_none_or(|to| pos >= to) {
                attached.missed.get_or_insert(pos);
            }
            return Delivered::Replaying;
        }
        if pos < attached.lasting.sending.next() {
            return Delivered::Replaying; // a page has brought it
        }
        let size = message.form(shape).size_bytes();
        // As `cannot_send` says.
        if size.wrapping_sub(1) >= self.packet_bytes_max as usize {
            attached.lasting.sending.pass_over(pos, attached.window);
            attached.lasting.sending.move_to(pos.successor());
            return Delivered::Dropped(Self::why_not(message, size));
        }
        let is_full = output.len() + waiting + size > self.bounds.outbox_bytes_max as usize;
        let room = !is_full && attached.lasting.sending.has_room(attached.window);
        let launched =
            if room { attached.launch(Some(pos), shape.qos, || message.keep(shape)) } else { None };
        let Some(launched) = launched else {
            attached.lasting.sending.move_to(pos);
            attached.is_replaying = true;
            return Delivered::Replaying;
        };
        attached.lasting.sending.move_to(pos.successor());
        match launched {
            Launch::Now(packet_id) => {
                message.same_form(shape).append_to(output, Some(packet_id));
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
        let waiting = self.waiting_beside_pages();
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
        // What is sent again counts for the window too [MQTT-3.3.4-9].
        if sending.open() >= attached.window || sending.unsent() == 0 && !sending.has_room(attached.window) {
            return None;
        }
        if pending_bytes + waiting > self.bounds.outbox_bytes_max as usize / 2 {
            return None;
        }
        attached.asked = Some(watermark);
        attached.missed = None;
        Some(from..watermark)
    }

    /// Bytes that have to go before what a page brings. What is in no log is not among them while something has to be sent
    /// again: it waits for that itself, and each would wait for the other.
    fn waiting_beside_pages(&self) -> usize {
        match self.attached.as_deref() {
            Some(attached) if attached.lasting.sending.unsent() > 0 => attached.gated_bytes,
            Some(_) | None => self.waiting_bytes(),
        }
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
        let (is_v5, packet_bytes_max) = (self.version.is_v5(), self.packet_bytes_max as usize);
        let mut place = Page { now, rendering, sink, is_v5, packet_bytes_max, granted: None };
        let is_closed = self.closed.is_some();
        let asked = self.attached.as_deref_mut().and_then(|it| it.asked.take());
        let Some(to) = asked.filter(|_| !is_closed) else { return };
        for (pos, envelope) in page {
            let waiting = self.waiting_beside_pages();
            let room_max = (self.bounds.outbox_bytes_max as usize).saturating_sub(waiting);
            let Some(attached) = self.attached.as_deref_mut() else { return };
            if pos < attached.lasting.sending.next() {
                continue;
            }
            attached.abandon_before(pos);
            if !attached.take(pos, &envelope, room_max, waiting == 0, &mut place) {
                attached.lasting.sending.move_to(pos);
                return self.send_waiting(place.sink);
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
        self.send_waiting(place.sink);
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
        let wanted = match flight {
            Some((_, Flight { is_open: true, .. })) => return true,
            None if self.lasting.sending.is_done(pos) => return true,
            // Sent again as it was, whatever its subscription has become; its identifiers are those of now.
            Some((_, Flight { step, .. })) => {
                let qos = if step == Step::Once { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
                let special =
                    if self.lasting.has_special() { self.wanted(pos, envelope, page) } else { None };
                Special { qos, ..special.unwrap_or(Special::plain(qos)) }
            }
            None => match self.wanted(pos, envelope, page) {
                Some(wanted) if wanted.qos.min(envelope.qos) != Qos::AtMostOnce => wanted,
                Some(_) | None => return true,
            },
        };
        let was_sent = flight.is_some_and(|(_, flight)| flight.step != Step::Assigned);
        let qos = if flight.is_some() { wanted.qos } else { wanted.qos.min(envelope.qos) };
        let message = page.rendering.message(envelope.topic, envelope.payload, qos);
        let message =
            message.with_content(Content::from_stored(envelope.content)).with_retain(envelope.retain);
        let expires_at = envelope.expires_at;
        let mut message = message.with_expiry(expires_at, page.now).sent_before(was_sent);
        let retain = message.retain_for(wanted.is_retain_as_published);
        let shape = Shape { is_v5: page.is_v5, qos, retain, alias: None, ids: &wanted.ids };
        let size = message.form(&shape).size_bytes();
        let why = match size {
            0 if message.is_over() => Some(PassedOver::MessageExpired),
            0 => Some(PassedOver::TooLong),
            _ => (size > page.packet_bytes_max).then_some(PassedOver::ClientPacketBytes),
        };
        if let Some(why) = why {
            self.pass_over(pos, flight);
            page.sink.passed_over(pos, why);
            return true;
        }
        let pending = page.sink.output().len();
        let is_full = pending + size > room_max && !(is_quiet && pending == 0);
        if is_full || !self.has_window() || flight.is_none() && !self.lasting.sending.has_room(self.window) {
            return false;
        }
        let launched = match flight {
            Some((packet_id, flight)) => self.send_again(packet_id, flight, || message.keep(&shape)),
            None => match self.launch(Some(pos), qos, || message.keep(&shape)) {
                Some(launched) => launched,
                None => return false,
            },
        };
        page.sink.took(pos, bytes(size));
        if let Launch::Now(packet_id) = launched {
            let form = if was_sent { message.again(&shape) } else { message.same_form(&shape) };
            page.sink.release(form, Some(packet_id), expires_at.filter(|_| !was_sent));
        }
        true
    }

    /// What its subscriptions ask for with a message of a page; `None` when it is for none of them.
    fn wanted<'b, S: Sink>(
        &self,
        pos: Pos,
        envelope: &Envelope<'b>,
        page: &mut Page<'_, 'b, S>,
    ) -> Option<Special> {
        if !self.lasting.has_special() {
            return self.granted(envelope.topic, pos, page).map(Special::plain);
        }
        let is_own = !envelope.publisher.is_empty() && page.sink.is_own(envelope.publisher);
        self.lasting.special(envelope.topic, Some(pos), is_own)
    }

    /// The QoS granted for a message of a page; `None` when it is for no subscription.
    fn granted<'b, S: Sink>(&self, topic: &'b str, pos: Pos, page: &mut Page<'_, 'b, S>) -> Option<Qos> {
        let known = page.granted.filter(|(known, grant)| *known == topic && grant.holds_at(pos));
        let (_, grant) = known.unwrap_or_else(|| (topic, self.lasting.granted(topic, pos)));
        page.granted = Some((topic, grant));
        grant.qos
    }

    /// What is in flight since an earlier connection is sent again under its identifier [MQTT-4.4.0-1].
    fn send_again(
        &mut self,
        packet_id: PacketId,
        flight: Flight,
        form: impl FnOnce() -> Arc<Kept>,
    ) -> Launch {
        if flight.step == Step::Assigned {
            return self.first_publish(packet_id, flight.stamp, form);
        }
        self.lasting.sending.step(packet_id, flight.step, flight.stamp);
        Launch::Now(packet_id)
    }

    fn pass_over(&mut self, pos: Pos, flight: Option<(PacketId, Flight)>) {
        let Some((packet_id, flight)) = flight else {
            return self.lasting.sending.pass_over(pos, self.window);
        };
        if let Some(stamp) = self.lasting.abandon(packet_id, flight.step) {
            self.gate(stamp, super::gates::Effect::PubRel(packet_id));
        }
    }
}
