//! Messages for the client that are in no log, or are at hand: whether and in which form each goes out, and what waits.

use std::sync::Arc;

use contract::qos::Qos;
use contract::topic::TopicFilter;
use engine::Pos;
use mqtt::PacketId;

use super::attached::Launch;
use super::{Delivered, Session, bytes};
use crate::aliases::Alias;
use crate::granted::{Granted, Special};
use crate::lasting::is_wild;
use crate::message::{Message, Shape};
use crate::outbox::DropReason;
use crate::sink::Sink;

impl Session {
    /// A message for this client, on a subscription that was granted `granted` and is not
    /// [special](crate::Granted::is_special).
    ///
    /// At QoS 0 it is copied into `output`. At QoS 1 and 2 it gets a packet identifier; when as many messages are in flight
    /// as may be, it waits. Where either would be more than the client's bounds, it is dropped. A message is counted
    /// here, once, whether it is sent at once or later.
    #[inline]
    pub fn deliver(&mut self, message: &mut Message<'_>, granted: Qos, output: &mut Vec<u8>) -> Delivered {
        if self.has_aliases {
            return self.deliver_aliased(message, granted, output);
        }
        let qos = message.qos_for(granted);
        let form = message.shared_form(self.version, qos);
        let size = form.size_bytes();
        let total = output.len() + self.waiting_bytes() + size;
        if self.cannot_send(size) || total > self.bounds.outbox_bytes_max as usize {
            return self.send_otherwise(message, qos, output);
        }
        if qos == Qos::AtMostOnce {
            form.append_to(output, None);
        } else if self.attached.is_none()
            && let Some(packet_id) = self.in_flight.take()
        {
            debug_assert!(self.outbox.is_none(), "what waits goes first");
            form.append_to(output, Some(packet_id));
            if qos == Qos::ExactlyOnce {
                self.note_exactly_once(packet_id);
            }
        } else {
            return self.send_otherwise(message, qos, output);
        }
        Delivered::Sent(bytes(size))
    }

    /// A message that was kept for its topic, made by [`Rendering::retained`](crate::Rendering::retained), to a new
    /// subscription. To a lasting session it goes like a message that is in no log: what is lost with the connection
    /// comes again with the next SUBSCRIBE.
    pub fn deliver_retained(
        &mut self,
        message: &mut Message<'_>,
        granted: Granted,
        output: &mut Vec<u8>,
    ) -> Delivered {
        debug_assert!(message.is_kept(), "made as one");
        let ids = granted.subscription_id();
        let shape = Shape { ids: ids.as_slice(), ..self.shape(message, message.qos_for(granted.qos())) };
        self.send(message, &shape, output)
    }

    /// What becomes of a message of this topic, of a client of which a subscription to it may be
    /// [special](crate::Granted::is_special): what all that match and want it ask for, together. `None`: none does. `is_own`: the client
    /// has published it.
    #[must_use]
    pub fn special(&self, topic: &str, is_own: bool) -> Option<Special> {
        let mut special = self.lasting().and_then(|lasting| lasting.special(topic, None, is_own));
        // Of a lasting session only replays are here, which are no filters of what comes.
        if self.attached.is_none() {
            let plain = self.subscriptions.get(topic);
            let wild = (self.wild > 0).then(|| self.subscriptions.iter()).into_iter().flatten();
            let wild = wild.filter(|(filter, _)| is_wild(filter) && filter.matches(topic));
            for &granted in plain.into_iter().chain(wild.map(|(_, granted)| granted)) {
                Special::add(&mut special, granted, is_own);
            }
        }
        special
    }

    /// A message for which [`special`](Self::special) has said so: goes like one of [`deliver`](Self::deliver), or of
    /// [`deliver_logged`](Self::deliver_logged) when it stands in the log at `pos`.
    pub fn deliver_special(
        &mut self,
        pos: Option<Pos>,
        message: &mut Message<'_>,
        special: &Special,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let qos = message.qos_for(special.qos);
        let retain = message.retain_for(special.is_retain_as_published);
        let shape = Shape { retain, ids: &special.ids, ..self.shape(message, qos) };
        match pos.filter(|_| self.is_lasting() && qos != Qos::AtMostOnce) {
            Some(pos) => self.send_logged(pos, message, &shape, output),
            None => self.send_aliased(message, &shape, output),
        }
    }

    /// The form that is shared by all who are alike.
    pub(crate) fn shape<'a>(&self, message: &Message<'_>, qos: Qos) -> Shape<'a> {
        let (is_v5, retain) = (self.version.is_v5(), message.is_kept());
        Shape { is_v5, qos, retain, alias: None, ids: &[] }
    }

    #[cold]
    fn send_otherwise(&mut self, message: &mut Message<'_>, qos: Qos, output: &mut Vec<u8>) -> Delivered {
        let shape = self.shape(message, qos);
        self.send(message, &shape, output)
    }

    #[cold]
    fn deliver_aliased(
        &mut self,
        message: &mut Message<'_>,
        granted: Qos,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let shape = self.shape(message, message.qos_for(granted));
        self.send_aliased(message, &shape, output)
    }

    /// With a topic alias, if there is one and the message goes out now: what waits says its topic, for by the time it
    /// goes the alias may stand for another.
    pub(super) fn send_aliased(
        &mut self,
        message: &mut Message<'_>,
        shape: &Shape<'_>,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let goes_at_once = self.goes_at_once(shape.qos);
        let alias = if goes_at_once { self.fitting_alias(message, shape, output.len()) } else { None };
        let delivered = self.send(message, &Shape { alias, ..*shape }, output);
        if let (Some(alias), Delivered::Sent(_)) = (alias, delivered) {
            self.note_alias(alias, message.topic());
        }
        delivered
    }

    /// How the topic is said in a message that goes out at once. An alias that the client does not know yet comes with its
    /// topic, and takes more bytes than the topic alone: where these would be too many, the message goes without it.
    pub(super) fn fitting_alias(
        &mut self,
        message: &mut Message<'_>,
        shape: &Shape<'_>,
        pending_bytes: usize,
    ) -> Option<Alias> {
        let alias = self.find_alias(message.topic())?;
        if alias.is_known {
            return Some(alias);
        }
        let size = message.form(&Shape { alias: Some(alias), ..*shape }).size_bytes();
        let total = pending_bytes + self.waiting_bytes() + size;
        let fits = !self.cannot_send(size) && total <= self.bounds.outbox_bytes_max as usize;
        fits.then_some(alias)
    }

    fn goes_at_once(&self, qos: Qos) -> bool {
        let has_window = match (&self.attached, qos) {
            (_, Qos::AtMostOnce) => return true,
            (None, Qos::AtLeastOnce | Qos::ExactlyOnce) => !self.in_flight.is_full(),
            // Its identifier has to be safe first.
            (Some(_), Qos::ExactlyOnce) => false,
            (Some(attached), Qos::AtLeastOnce) => attached.has_window_for_others(),
        };
        has_window && self.outbox.is_none()
    }

    /// In whatever form, and whatever becomes of it.
    fn send(&mut self, message: &mut Message<'_>, shape: &Shape<'_>, output: &mut Vec<u8>) -> Delivered {
        let form = message.form(shape);
        let size = form.size_bytes();
        if self.cannot_send(size) {
            return Delivered::Dropped(Self::why_not(message, size));
        }
        if output.len() + self.waiting_bytes() + size > self.bounds.outbox_bytes_max as usize {
            return Delivered::Dropped(DropReason::OutboxBytes);
        }
        if shape.qos == Qos::AtMostOnce {
            form.append_to(output, None);
        } else if self.attached.is_some() {
            return self.send_relayed(message, shape, size, output);
        } else if let Some(packet_id) = self.in_flight.take() {
            debug_assert!(self.outbox.is_none(), "what waits goes first");
            form.append_to(output, Some(packet_id));
            if shape.qos == Qos::ExactlyOnce {
                self.note_exactly_once(packet_id);
            }
        } else {
            return self.wait(message, shape, size);
        }
        Delivered::Sent(bytes(size))
    }

    #[cold]
    fn note_exactly_once(&mut self, packet_id: PacketId) {
        self.exchanges.get_or_insert_default().sent.insert(packet_id);
    }

    /// Whether a form of so many bytes is none, or is larger than the client takes.
    #[inline]
    pub(super) fn cannot_send(&self, size: usize) -> bool {
        size.wrapping_sub(1) >= self.packet_bytes_max as usize
    }

    #[cold]
    pub(super) fn why_not(message: &Message<'_>, size: usize) -> DropReason {
        match size {
            0 if message.is_over() => DropReason::MessageExpired,
            0 => DropReason::TooLong,
            _ => DropReason::ClientPacketBytes,
        }
    }

    #[cold]
    fn wait(&mut self, message: &mut Message<'_>, shape: &Shape<'_>, size: usize) -> Delivered {
        if self.waiting() >= self.bounds.outbox_messages_max as usize {
            return Delivered::Dropped(DropReason::OutboxMessages);
        }
        self.outbox.get_or_insert_default().push(message.keep(shape));
        Delivered::Waiting(bytes(size))
    }

    /// A message of QoS 1 or 2 that is in no log, for a lasting session: it is in flight without a position, and lost
    /// with the connection. At QoS 2 its identifier has to be safe before it is sent all the same, since the client
    /// remembers it.
    fn send_relayed(
        &mut self,
        message: &mut Message<'_>,
        shape: &Shape<'_>,
        size: usize,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let attached =
            self.attached.as_deref_mut().filter(|it| it.has_window_for_others() && self.outbox.is_none());
        match attached.and_then(|attached| attached.launch(None, shape.qos, || message.keep(shape))) {
            None => self.wait(message, shape, size),
            Some(Launch::Gated) => Delivered::Waiting(bytes(size)),
            Some(Launch::Now(packet_id)) => {
                message.same_form(shape).append_to(output, Some(packet_id));
                Delivered::Sent(bytes(size))
            }
        }
    }

    /// Sends what waits, as far as there is room. What is over by now is not sent [MQTT-3.3.2-5].
    #[cold]
    pub(super) fn send_waiting(&mut self, sink: &mut impl Sink) {
        let Some(outbox) = &mut self.outbox else { return };
        loop {
            if let Some(size) = outbox.pop_if_over(|| sink.unix_now()) {
                sink.dropped_waiting(DropReason::MessageExpired, bytes(size));
                continue;
            }
            let has_window = match self.attached.as_deref() {
                None => !self.in_flight.is_full(),
                Some(attached) => attached.has_window_for_others(),
            };
            let Some(kept) = (if has_window { outbox.pop() } else { None }) else { break };
            let qos = kept.form.qos();
            let packet_id = match self.attached.as_deref_mut() {
                None => self.in_flight.take(),
                Some(attached) => match attached.launch(None, qos, || Arc::clone(&kept)) {
                    Some(Launch::Now(packet_id)) => Some(packet_id),
                    Some(Launch::Gated) | None => continue,
                },
            };
            if let (Qos::ExactlyOnce, Some(packet_id), None) = (qos, packet_id, &self.attached) {
                self.exchanges.get_or_insert_default().sent.insert(packet_id);
            }
            sink.release(&kept.form, packet_id, kept.expires_at);
        }
        if outbox.len() == 0 {
            self.outbox = None;
        }
    }

    /// What was granted for a filter, as it was written in the SUBSCRIBE.
    #[must_use]
    pub fn find_granted(&self, filter: &TopicFilter) -> Option<Granted> {
        let stored = self.lasting().and_then(|lasting| lasting.find_granted(filter));
        stored.or_else(|| self.subscriptions.get(filter).copied())
    }
}
