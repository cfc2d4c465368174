//! One client's turn: read once, take the packets apart, hand them to its session. What it may not do now, because of
//! a rate or for want of room, stays unread: the peer's own window then holds it back, and nothing accepted is lost.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::{DecodeError, Frame, Packet, Publish, kind};

use crate::buckets::{Bucket, Micros};
use crate::client::{Client, Ending, Pause};
use crate::durable_appends::record_bytes;
use crate::schedule::Timer;
use crate::sink::ClientSink;
use crate::transport::Received;
use crate::worker::Worker;

/// What one turn reads at most.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;

/// Packets of one turn: a read full of small messages.
const TURN_PACKETS_MAX: usize = 1_024;

/// The beginning of a packet up to this long is put in front of what is read next; a longer one is added to.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// A topic to which no message can be published without failing: how tests fail on purpose.
#[cfg(test)]
pub(crate) const FAILS: &str = "fails/on/purpose";

/// A topic of which no message can be delivered that has come from another worker.
#[cfg(test)]
pub(crate) const FAILS_CROSSED: &str = "fails/elsewhere";

/// What comes of a look at a client.
enum Turn {
    /// It has more to do: behind the others.
    Again,
    /// It is called when there is something to do.
    Wait,
    /// It is no longer this worker's.
    Over,
}

/// What became of the next packet.
enum Took {
    /// It was taken, and the next one may be looked at.
    It,
    /// It was taken, and the next one may not be looked at now.
    Last,
    /// It stays unread.
    Nothing,
}

impl Took {
    #[inline]
    const fn and(goes_on: bool) -> Self {
        if goes_on { Self::It } else { Self::Last }
    }
}

impl Worker {
    /// Gives a client its turns until it is gone.
    pub(crate) async fn serve(self: Rc<Self>, client: Rc<Client>) {
        poll_fn(|cx| {
            client.keep_waker(cx.waker());
            // A failure costs the client whose turn it was, and nobody else.
            let turn = catch_unwind(AssertUnwindSafe(|| self.turn(&client, cx)));
            match turn {
                Ok(Turn::Over) => Poll::Ready(()),
                Ok(Turn::Wait) => Poll::Pending,
                Ok(Turn::Again) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Err(_) => {
                    self.panics.set(self.panics.get() + 1);
                    self.close(&client, Ending::Refused(Refusal::InternalError));
                    Poll::Pending
                }
            }
        })
        .await;
    }

    fn turn(&self, client: &Rc<Client>, cx: &mut Context<'_>) -> Turn {
        if client.transport.borrow().is_none() {
            return Turn::Over;
        }
        self.open_round();
        if client.is_blocked.get() && is_writable(client, cx) {
            client.is_blocked.set(false);
            self.note_output(client);
        }
        let is_over = client.is_ending() || self.is_stopping.get();
        if is_over || client.pause.get().is_some() || !self.take_turn(client) {
            return Turn::Wait;
        }
        client.is_resumed.set(false);
        loop {
            if client.is_ending() || client.pause.get().is_some() || !self.may_read(client) {
                return Turn::Wait;
            }
            if client.has_unread.get() {
                self.take_received(client);
                if client.has_unread.get() && client.pause.get().is_none() {
                    return Turn::Again;
                }
                continue;
            }
            match self.read(client, cx) {
                Poll::Pending => return Turn::Wait,
                Poll::Ready(more) if more || client.has_unread.get() => return Turn::Again,
                Poll::Ready(_) => {}
            }
        }
    }

    /// Whether the client may be read now. If not, it is called when it may.
    fn may_read(&self, client: &Rc<Client>) -> bool {
        let instance = &client.instance;
        let wait = instance.wait(self.now());
        if wait == 0 && self.has_room(instance) {
            let full =
                client.is_blocked.get() && client.output.borrow().len() >= instance.paces().outbox_bytes_max;
            client.pause.set(full.then_some(Pause::Output));
            return !full;
        }
        client.pause.set(Some(Pause::Instance));
        instance.waiting.borrow_mut().push_back(client.key);
        if wait > 0 && !instance.is_timed.replace(true) {
            self.schedule_wait(wait, Timer::Instance(instance.shared.id));
        }
        false
    }

    /// Reads once. Ready: whether the socket may hold more than was asked for.
    fn read(&self, client: &Rc<Client>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut buffer = self.read_buffer.borrow_mut();
        let kept = client.received.borrow().len();
        let front = if kept <= COPIED_BYTES_MAX { kept } else { 0 };
        let (received, has_more_to_write) = match client.transport.borrow_mut().as_mut() {
            Some(transport) => {
                let received = std::task::ready!(transport.poll_receive(cx, &mut buffer[front..]));
                (received, transport.has_more_to_write())
            }
            None => return Poll::Pending,
        };
        if has_more_to_write {
            self.note_output(client);
        }
        let (bytes, is_full) = match received {
            Received::Bytes(bytes, more) => (bytes, more),
            Received::Nothing => return Poll::Ready(true),
            Received::End => {
                self.close(client, Ending::Gone);
                return Poll::Ready(false);
            }
            Received::Broken(refusal) => {
                self.close(client, Ending::Refused(refusal));
                return Poll::Ready(false);
            }
        };
        if front < kept {
            client.received.borrow_mut().extend_from_slice(&buffer[..bytes]);
            drop(buffer);
            self.take_received(client);
        } else {
            if kept > 0 {
                let received = client.received.take();
                buffer[..kept].copy_from_slice(&received);
            }
            let bytes = &buffer[..kept + bytes];
            let used = self.take_packets(client, bytes);
            client.received.borrow_mut().extend_from_slice(&bytes[used..]);
        }
        Poll::Ready(is_full)
    }

    /// Takes packets from what was received before.
    fn take_received(&self, client: &Rc<Client>) {
        let mut received = client.received.take();
        let used = self.take_packets(client, &received);
        if used < received.len() {
            received.drain(..used);
            *client.received.borrow_mut() = received;
        }
    }

    /// Takes whole packets from the front of `bytes`; the answer is how many bytes they were.
    fn take_packets(&self, client: &Rc<Client>, bytes: &[u8]) -> usize {
        let packet_bytes_max = client.instance.paces().packet_bytes_max;
        client.has_unread.set(false);
        let mut aliased = String::new();
        let used = self.take_each(client, bytes, packet_bytes_max, &mut aliased);
        if aliased.capacity() > 0 {
            self.aliased.replace(aliased);
        }
        used
    }

    /// `aliased`: memory for the topic of a message that has an alias for it, borrowed when it is needed.
    fn take_each(
        &self,
        client: &Rc<Client>,
        bytes: &[u8],
        packet_bytes_max: usize,
        aliased: &mut String,
    ) -> usize {
        let mut used = 0;
        for _ in 0..TURN_PACKETS_MAX {
            let frame = match mqtt::frame(&bytes[used..], packet_bytes_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => return used,
                Err(error) => {
                    self.refuse(client, error);
                    return bytes.len();
                }
            };
            let took = match frame.kind() {
                kind::PUBLISH => self.take_publish(client, frame, aliased),
                kind::PUBACK | kind::PUBREC | kind::PUBREL | kind::PUBCOMP => {
                    self.take_acknowledgement(client, frame)
                }
                _ => self.take_other(client, frame),
            };
            match took {
                Took::Nothing => break,
                Took::Last => {
                    used += frame.total;
                    break;
                }
                Took::It => used += frame.total,
            }
            if client.is_ending() {
                return bytes.len();
            }
        }
        client.has_unread.set(used < bytes.len());
        used
    }

    #[cold]
    fn refuse(&self, client: &Rc<Client>, error: DecodeError) {
        self.close(client, Ending::Refused(error.refusal_in(client.version)));
    }

    /// Hands a message to the session, and on. It is not moved: it is large.
    #[inline]
    fn take_publish(&self, client: &Rc<Client>, frame: Frame<'_>, aliased: &mut String) -> Took {
        let decoded = mqtt::decode_publish(client.version, frame);
        let publish = match &decoded {
            Ok(publish) => publish,
            Err(error) => {
                self.refuse(client, *error);
                return Took::It;
            }
        };
        let named;
        let publish = if publish.topic.is_empty() {
            named = self.name_topic(client, publish, aliased);
            &named
        } else {
            publish
        };
        if self.awaits_log(client, publish) {
            return Took::Nothing;
        }
        #[cfg(test)]
        assert!(publish.topic != FAILS, "on purpose");
        if publish.qos == Qos::ExactlyOnce && client.lasting().is_some() {
            // That it was received is noted from here on, and must not go into a batch that the message does not fit in.
            self.make_room_in_batch(record_bytes(publish, &client.client_id));
        }
        let mut sink = ClientSink::new(self, client, frame.total);
        if let Some(session) = client.session.borrow_mut().as_mut() {
            session.handle_publish(self.millis(), publish, &mut sink);
        }
        let (taken, wrote) = sink.done();
        self.see_to(client, wrote);
        let mut has_room = true;
        if let Some(taken) = taken {
            if publish.content.is_empty() {
                self.pass_on(client, &taken, publish);
            } else {
                self.pass_on_content(client, &taken, publish);
            }
            // What is acknowledged next must have somewhere to go too.
            has_room = taken.route.elsewhere == 0 || self.has_room(&client.instance);
        }
        // Also what was refused is paid for, or refusing it would cost the others their turns.
        Took::and(self.pace_publish(client) && has_room)
    }

    /// Puts the topic into a message that has an alias for it. Where that stands for none it stays without one.
    #[cold]
    fn name_topic<'a>(&self, client: &Client, publish: &Publish<'a>, aliased: &'a mut String) -> Publish<'a> {
        if aliased.capacity() == 0 {
            *aliased = self.aliased.take();
        }
        aliased.clear();
        let session = client.session.borrow();
        let topic =
            session.as_ref().zip(publish.topic_alias).and_then(|(it, alias)| it.topic_of_alias(alias));
        aliased.push_str(topic.unwrap_or_default());
        Publish { topic: aliased, ..*publish }
    }

    /// Hands what acknowledges a message to the session, in either direction.
    #[inline]
    fn take_acknowledgement(&self, client: &Rc<Client>, frame: Frame<'_>) -> Took {
        match mqtt::decode_acknowledgement(client.version, frame) {
            Ok((packet_id, reason)) => {
                let mut sink = ClientSink::new(self, client, frame.total);
                if let Some(session) = client.session.borrow_mut().as_mut() {
                    let (now, kind) = (self.millis(), frame.kind());
                    session.handle_acknowledgement(now, kind, packet_id, reason, &mut sink);
                }
                let (_, wrote) = sink.done();
                self.see_to(client, wrote);
            }
            Err(error) => self.refuse(client, error),
        }
        Took::It
    }

    /// Hands any other packet to the session.
    #[inline(never)]
    fn take_other(&self, client: &Rc<Client>, frame: Frame<'_>) -> Took {
        let packet = match mqtt::decode(client.version, frame) {
            Ok(packet) => packet,
            Err(error) => {
                self.refuse(client, error);
                return Took::It;
            }
        };
        let proves = matches!(packet, Packet::Auth(_));
        let subscribes = proves || matches!(packet, Packet::Subscribe(_) | Packet::Unsubscribe(_));
        let mut sink = ClientSink::new(self, client, frame.total);
        if let Some(session) = client.session.borrow_mut().as_mut() {
            session.handle(self.millis(), packet, &mut sink);
        }
        let (_, wrote) = sink.done();
        self.see_to(client, wrote);
        if proves {
            self.withdraw_ungranted(client);
        }
        Took::and(!subscribes || self.pace_subscribe(client))
    }

    /// What follows from a packet in any case.
    #[inline]
    fn see_to(&self, client: &Rc<Client>, wrote: bool) {
        if wrote {
            self.note_output(client);
        }
        if client.stored().is_some() {
            self.tend(client);
        }
    }

    /// Whether the client, and its instance, may go on publishing after what they have published.
    #[inline]
    fn pace_publish(&self, client: &Rc<Client>) -> bool {
        let paces = client.instance.paces();
        let wait = client.inbound.wait(self.now(), &paces.client_in);
        if wait > 0 {
            self.pause_for(client, wait);
        }
        wait == 0 && client.instance.wait(self.now()) == 0
    }

    fn pace_subscribe(&self, client: &Rc<Client>) -> bool {
        let rates = client.instance.paces().client_subscribes;
        let bucket = client.subscribes.get_or_init(|| Box::new(Bucket::full(self.now(), &rates)));
        bucket.take(self.now(), &rates, 1, 0);
        let wait = bucket.wait(self.now(), &rates);
        if wait > 0 {
            self.pause_for(client, wait);
        }
        wait == 0
    }

    fn pause_for(&self, client: &Client, wait: Micros) {
        client.pause.set(Some(Pause::Rate));
        self.schedule_wait(wait, Timer::Resume(client.key));
    }

    /// Lets a client be read again that was faster than it may, if its rates, as they are now, allow it.
    pub(crate) fn resume_paid(&self, client: &Client) {
        if client.pause.get() != Some(Pause::Rate) {
            return;
        }
        let (now, paces) = (self.now(), client.instance.paces());
        let inbound = client.inbound.wait(now, &paces.client_in);
        let subscribes =
            client.subscribes.get().map_or(0, |bucket| bucket.wait(now, &paces.client_subscribes));
        match inbound.max(subscribes) {
            0 => client.resume(),
            wait => self.schedule_wait(wait, Timer::Resume(client.key)),
        }
    }
}

fn is_writable(client: &Client, cx: &mut Context<'_>) -> bool {
    client.transport.borrow().as_ref().is_some_and(|transport| transport.poll_writable(cx).is_ready())
}

/// What a peer is told, or would be, of bytes that are no packet.
pub(crate) const fn refusal_of(error: DecodeError) -> Refusal {
    error.refusal()
}
