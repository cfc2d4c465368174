//! Messages of QoS 1 and 2 that wait until the client has acknowledged earlier ones. Bounded, and says so.

use std::collections::VecDeque;
use std::sync::Arc;

use mqtt::PublishForm;

/// Why a message did not reach a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DropReason {
    /// `outbox_messages_max`: too many messages wait for acknowledgements.
    OutboxMessages,
    /// `outbox_bytes_max`: the client does not read what it is sent.
    OutboxBytes,
    /// No PUBLISH packet can hold it.
    TooLong,
}

impl DropReason {
    /// Every reason.
    pub const ALL: &[Self] = &[Self::OutboxMessages, Self::OutboxBytes, Self::TooLong];

    /// The name in counters and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutboxMessages => "outbox_messages_max",
            Self::OutboxBytes => "outbox_bytes_max",
            Self::TooLong => "message_too_long",
        }
    }
}

/// The waiting messages, oldest first. Their bytes are shared with everyone else who waits for the same message.
#[derive(Default, Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<Arc<PublishForm>>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, form: Arc<PublishForm>) {
        self.bytes += form.size_bytes();
        self.waiting.push_back(form);
    }

    pub(crate) fn pop(&mut self) -> Option<Arc<PublishForm>> {
        let form = self.waiting.pop_front()?;
        debug_assert!(self.bytes >= form.size_bytes(), "added when it was pushed");
        self.bytes -= form.size_bytes();
        Some(form)
    }
}
