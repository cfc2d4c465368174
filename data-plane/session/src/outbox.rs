//! Messages of QoS 1 and 2 that wait until the client has acknowledged earlier ones. Bounded, and says so.

use std::collections::VecDeque;
use std::sync::Arc;

use contract::time::UnixMillis;

use crate::message::Kept;

/// Why a message did not reach a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DropReason {
    /// `outbox_messages_max`: too many messages wait for acknowledgements.
    OutboxMessages,
    /// `outbox_bytes_max`: the client does not read what it is sent.
    OutboxBytes,
    /// No PUBLISH packet can hold it.
    TooLong,
    /// It is larger than the client said that it takes [MQTT-3.1.2-24], and is passed over [MQTT-3.1.2-25].
    ClientPacketBytes,
    /// Its time is over [MQTT-3.3.2-5].
    MessageExpired,
}

impl DropReason {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::OutboxMessages,
        Self::OutboxBytes,
        Self::TooLong,
        Self::ClientPacketBytes,
        Self::MessageExpired,
    ];

    /// The name in counters and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutboxMessages => "outbox_messages_max",
            Self::OutboxBytes => "outbox_bytes_max",
            Self::TooLong => "message_too_long",
            Self::ClientPacketBytes => "client_packet_bytes_max",
            Self::MessageExpired => "message_expired",
        }
    }
}

/// The waiting messages, oldest first. Their bytes are shared with everyone else who waits for the same message.
#[derive(Default, Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<Arc<Kept>>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, message: Arc<Kept>) {
        self.bytes += message.form.size_bytes();
        self.waiting.push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Arc<Kept>> {
        let message = self.waiting.pop_front()?;
        debug_assert!(self.bytes >= message.form.size_bytes(), "added when it was pushed");
        self.bytes -= message.form.size_bytes();
        Some(message)
    }

    /// Takes out the next one if its time is over; the answer is its bytes.
    pub(crate) fn pop_if_over(&mut self, now: impl FnOnce() -> UnixMillis) -> Option<usize> {
        let next = self.waiting.front().filter(|next| next.expires_at.is_some())?;
        let is_over = next.is_over(now());
        let message = if is_over { self.pop() } else { None };
        message.map(|message| message.form.size_bytes())
    }
}
