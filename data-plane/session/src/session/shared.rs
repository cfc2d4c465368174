//! Messages of shared subscriptions on their way to one member: which of them are unacknowledged on this connection. A
//! member keeps nothing of them: whatever it does not finish goes back to its group.

use std::collections::BTreeMap;

use contract::qos::Qos;
use engine::Pos;
use mqtt::{PacketId, PublishHead, Version};

use super::attached::Launch;
use super::{Delivered, Session, bytes};
use crate::granted::Granted;
use crate::message::{Message, Shape};
use crate::sink::Sink;

/// The highest QoS that is granted on a shared subscription: a message that goes from member to member has no packet
/// identifier by which the next one would know it.
pub const SHARED_QOS_MAX: Qos = Qos::AtLeastOnce;

/// What was sent and is not acknowledged: of which group, and where it stands in the log.
#[derive(Default, Debug)]
pub(super) struct Shared {
    flights: BTreeMap<PacketId, (u64, Pos)>,
}

impl Shared {
    pub(super) fn into_flights(self) -> impl Iterator<Item = (u64, Pos)> {
        self.flights.into_values()
    }
}

impl Message<'_> {
    /// Whether it is not too large for a member of a group, by the largest packet that the member's client of 5.0 takes
    /// [MQTT-3.1.2-24].
    ///
    /// It is not rendered for that: a group may have many members.
    #[must_use]
    pub fn fits_share(&self, granted: Granted, packet_bytes_max: u32) -> bool {
        let ids = granted.subscription_id();
        let head = PublishHead {
            expiry_secs: self.expires_at().map(|_| 0),
            subscription_ids: ids.as_slice(),
            content: self.content(),
            ..PublishHead::plain(
                Version::V5,
                self.topic(),
                self.qos_for(granted.qos()).min(SHARED_QOS_MAX),
                false,
            )
        };
        head.size_bytes(self.payload().len()) <= packet_bytes_max as usize
    }
}

impl Session {
    /// A message of a group, by the number that the caller knows the group by, on a shared subscription that was granted
    /// `granted`. `None`: there is no room, nothing was done, and the message is to go back to its group.
    /// [`has_shared_room`](Self::has_shared_room) says when there is some again.
    ///
    /// At QoS 1 it is in flight like any other, and [`Sink::shared_done`](crate::Sink::shared_done) tells when it is
    /// acknowledged, with whatever reason code [MQTT-4.8.2-6]. At QoS 0 it is done with this call, as is one that is
    /// dropped because it cannot be sent.
    pub fn deliver_shared(
        &mut self,
        group: u64,
        pos: Pos,
        message: &mut Message<'_>,
        granted: Granted,
        output: &mut Vec<u8>,
    ) -> Option<Delivered> {
        if self.closed.is_some() {
            return None;
        }
        let qos = message.qos_for(granted.qos()).min(SHARED_QOS_MAX);
        let waiting = self.waiting_bytes();
        let retain = message.retain_for(granted.is_retain_as_published());
        let ids = granted.subscription_id();
        let shape = Shape { retain, ids: ids.as_slice(), ..self.shape(message, qos) };
        let form = message.form(&shape);
        let size = form.size_bytes();
        if self.cannot_send(size) {
            return Some(Delivered::Dropped(Self::why_not(message, size)));
        }
        let is_quiet = output.is_empty() && waiting == 0;
        let is_full = output.len() + waiting + size > self.bounds.outbox_bytes_max as usize;
        if self.outbox.is_some() || is_full && !is_quiet {
            return None;
        }
        if qos == Qos::AtMostOnce {
            form.append_to(output, None);
            return Some(Delivered::Sent(bytes(size)));
        }
        let packet_id = match self.attached.as_deref_mut() {
            None => self.in_flight.take()?,
            Some(attached) if !attached.has_window_for_others() => return None,
            Some(attached) => match attached.launch(None, qos, || message.keep(&shape)) {
                Some(Launch::Now(packet_id)) => packet_id,
                Some(Launch::Gated) | None => return None,
            },
        };
        message.same_form(&shape).append_to(output, Some(packet_id));
        self.shared.get_or_insert_default().flights.insert(packet_id, (group, pos));
        Some(Delivered::Sent(bytes(size)))
    }

    /// Whether a message of a group would find room, if it is not a very long one. `pending_bytes` is what waits for
    /// the network.
    #[must_use]
    pub fn has_shared_room(&self, pending_bytes: usize) -> bool {
        let has_window = match &self.attached {
            None => !self.in_flight.is_full(),
            Some(attached) => attached.has_window_for_others(),
        };
        let is_light = pending_bytes + self.waiting_bytes() <= self.bounds.outbox_bytes_max as usize / 2;
        self.closed.is_none() && self.outbox.is_none() && has_window && is_light
    }

    /// The client is no member of the group any more: what it has of it unacknowledged is to go back. Its
    /// acknowledgements are heard in silence.
    #[must_use]
    pub fn take_shared(&mut self, group: u64) -> Vec<Pos> {
        let Some(shared) = &mut self.shared else { return Vec::new() };
        let taken =
            shared.flights.extract_if(.., |_, (of, _)| *of == group).map(|(_, (_, pos))| pos).collect();
        if shared.flights.is_empty() {
            self.shared = None;
        }
        taken
    }

    /// What the client has unacknowledged, by group.
    #[must_use]
    pub fn shared_in_flight(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| shared.flights.len())
    }

    /// The client has acknowledged what it has under this identifier.
    #[cold]
    pub(super) fn finish_shared(&mut self, packet_id: PacketId, sink: &mut impl Sink) {
        let Some(shared) = &mut self.shared else { return };
        let Some((group, pos)) = shared.flights.remove(&packet_id) else { return };
        if shared.flights.is_empty() {
            self.shared = None;
        }
        sink.shared_done(group, pos);
    }
}
