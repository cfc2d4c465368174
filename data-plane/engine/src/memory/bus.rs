//! The bus in memory: bounded queues.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use contract::ids::InstanceId;

use super::{Memory, lock};
use crate::{Address, Answer, BUS_MESSAGE_BYTES_MAX, Bus, BusMessage, Inbox, OpenError, Room, SendError};

/// Where messages can arrive.
#[derive(Default)]
pub(super) struct Inboxes(Mutex<Open>);

#[derive(Default)]
struct Open {
    /// Those whose inbox was dropped are left out at the next opening.
    queues: Vec<(Address, Weak<Mutex<Queue>>)>,
    is_stopped: bool,
}

struct Queue {
    messages: VecDeque<BusMessage>,
    bytes: usize,
    room: Room,
    dropped: u64,
    reader: Option<Waker>,
    is_stopped: bool,
}

struct MemoryInbox(Arc<Mutex<Queue>>);

impl Inboxes {
    pub(super) fn stop(&self) {
        let mut open = lock(&self.0);
        open.is_stopped = true;
        for queue in open.queues.drain(..).filter_map(|(_, queue)| queue.upgrade()) {
            let mut queue = lock(&queue);
            queue.is_stopped = true;
            queue.wake();
        }
    }
}

impl Queue {
    fn push(&mut self, message: BusMessage) {
        let bytes = self.bytes + message.bytes.len();
        if self.messages.len() >= self.room.messages_max || bytes > self.room.bytes_max {
            self.dropped += 1;
            return;
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        self.wake();
    }

    fn pop(&mut self) -> Option<BusMessage> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes.len();
        Some(message)
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Option<BusMessage>> {
        match self.pop() {
            Some(message) => Poll::Ready(Some(message)),
            None if self.is_stopped => Poll::Ready(None),
            None => {
                self.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Bus for Memory {
    fn send(&self, instance: InstanceId, to: Address, bytes: Vec<u8>) -> Result<(), SendError> {
        if bytes.len() > BUS_MESSAGE_BYTES_MAX {
            return Err(SendError::TooLong);
        }
        let open = lock(&self.bus.0);
        if open.is_stopped {
            return Err(SendError::Stopped);
        }
        for (_, queue) in open.queues.iter().filter(|(address, _)| *address == to) {
            if let Some(queue) = queue.upgrade() {
                lock(&queue).push(BusMessage { instance, bytes: bytes.clone() });
            }
        }
        Ok(())
    }

    fn open(&self, address: Address, room: Room) -> Result<Box<dyn Inbox>, OpenError> {
        let mut open = lock(&self.bus.0);
        if open.is_stopped {
            return Err(OpenError::Stopped);
        }
        open.queues.retain(|(_, queue)| queue.strong_count() > 0);
        let messages = VecDeque::new();
        let queue = Queue { messages, bytes: 0, room, dropped: 0, reader: None, is_stopped: false };
        let queue = Arc::new(Mutex::new(queue));
        open.queues.push((address, Arc::downgrade(&queue)));
        Ok(Box::new(MemoryInbox(queue)))
    }
}

impl Inbox for MemoryInbox {
    fn receive(&mut self) -> Answer<'_, Option<BusMessage>> {
        Box::pin(std::future::poll_fn(|context| lock(&self.0).poll(context)))
    }

    fn try_receive(&mut self) -> Option<BusMessage> {
        lock(&self.0).pop()
    }

    fn dropped(&self) -> u64 {
        lock(&self.0).dropped
    }
}
