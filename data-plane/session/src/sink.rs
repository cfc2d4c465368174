//! Where the effects of a session go. It holds no logic: the caller's side of the agreement.

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::Pos;
use mqtt::{Auth, PacketId, Publish, PublishForm};

use crate::granted::Asked;
use crate::message::left_secs;
use crate::outbox::DropReason;

/// How a connection comes to its end by the session's decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// The client said DISCONNECT.
    Disconnected {
        /// Its will stands: it gave another reason than that it goes in peace, which only 5.0 can say. Else the will is
        /// void [MQTT-3.14.4-3].
        with_will: bool,
    },
    /// The client is sent away. Its will stands.
    Refused(Refusal),
}

/// When a message is acknowledged that was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Accepted {
    /// At once.
    Now,
    /// At once, and nobody is subscribed to its topic: in 5.0 the client is told.
    Unmatched,
    /// When it is safe, which the session is told by [`Session::committed`](crate::Session::committed) or
    /// [`Session::not_committed`](crate::Session::not_committed), for each such message of QoS 1 or 2 once and in
    /// their order. At QoS 0 it means the same as `Now`: there is nothing to send.
    Later,
}

/// Why a message of the log did not go to the client, and will not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PassedOver {
    /// Its time is over.
    MessageExpired,
    /// No PUBLISH packet can hold it.
    TooLong,
    /// It is larger than the client said that it takes.
    ClientPacketBytes,
}

impl PassedOver {
    /// The name in counters and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessageExpired => "message_expired",
            Self::TooLong => "message_too_long",
            Self::ClientPacketBytes => "client_packet_bytes_max",
        }
    }
}

/// What a session asks of its surroundings, in the order in which it happens.
///
/// Every refusal is told exactly once: to [`refused`](Self::refused) when the connection goes on, to
/// [`close`](Self::close) when it does not. So the two of them are the place to count, and [`publish`](Self::publish)
/// and [`subscribe`](Self::subscribe), which only answer with a refusal, are not.
pub trait Sink {
    /// The client's output buffer. The session only ever appends whole packets.
    fn output(&mut self) -> &mut Vec<u8>;

    /// A message that had to wait, for an acknowledgement or for its identifier to be safe, and is now due; or one of a
    /// page. It has been counted: when it was delivered, or by [`took`](Self::took). It must not overtake one that was
    /// delivered before it [MQTT-4.6.0-6]: a caller that holds such messages back puts it behind them. From `expires_at` on it is not to be sent: then the
    /// caller says so to [`Session::retract`](crate::Session::retract).
    fn release(&mut self, form: &PublishForm, packet_id: Option<PacketId>, expires_at: Option<UnixMillis>) {
        match expires_at {
            None => form.append_to(self.output(), packet_id),
            Some(at) => {
                let left = left_secs(at, self.unix_now());
                form.append_expiring(self.output(), packet_id, left);
            }
        }
    }

    /// A message of a page was taken on, with so many bytes: it is sent now, or once its packet identifier is safe. This
    /// is where it is counted; its bytes come by [`release`](Self::release).
    fn took(&mut self, _pos: Pos, _bytes: u32) {}

    /// A message of the log will not go to the client, though it may have been [taken on](Self::took).
    fn passed_over(&mut self, _pos: Pos, _why: PassedOver) {}

    /// From where in the log on a subscription holds. Asked of the sink of a lasting session, right after
    /// [`subscribe`](Self::subscribe): everything before has been taken in by the client's worker, and what stands there
    /// and beyond will be delivered to the new subscription. Of a shared one it is where its group began.
    fn since(&self, _filter: &TopicFilter) -> Pos {
        Pos::START
    }

    /// The client has acknowledged a message of a group, see [`Session::deliver_shared`](crate::Session::deliver_shared).
    fn shared_done(&mut self, _group: u64, _pos: Pos) {}

    /// The time of day, as it is told to nobody and only compared: whether messages that wait for the client are over.
    fn unix_now(&self) -> UnixMillis;

    /// A message in no log that waited, for an acknowledgement or for its identifier to be safe, and was counted then, will
    /// not be sent after all.
    fn dropped_waiting(&mut self, _why: DropReason, _bytes: u32) {}

    /// Whether a message of the log was published by this client, by what [`Envelope::publisher`](engine::Envelope) says.
    /// Asked only where a subscription is not for the client's own messages.
    fn is_own(&self, publisher: &str) -> bool;

    /// A message of the client, borrowed from the read buffer. Its topic is never empty, and an alias of it is settled.
    /// `Ok`: it has been accepted in the sense of its durability class, and is acknowledged now or later.
    ///
    /// What becomes of a refused one is the session's affair: at QoS 0 it is dropped; else 5.0 has a word for most
    /// refusals, and 3.1.1 for none.
    fn publish(&mut self, publish: &Publish<'_>) -> Result<Accepted, Refusal>;

    /// A message of QoS 2 that has come before and must not be handed on again: it is only to be paid for.
    fn repeated(&mut self, _publish: &Publish<'_>) {}

    /// The client wants what `filter` matches, at the QoS of `asked` at most. `Ok` is the QoS granted: from here on
    /// messages may be delivered, and to a subscription that [is special](Asked::is_special) by
    /// [`Session::deliver_special`](crate::Session::deliver_special). The same filter may come again, and then replaces
    /// the subscription with its options [MQTT-3.8.4-3]. Which retained messages it brings says
    /// `asked.options.retain_handling`, together with `asked.is_new`.
    fn subscribe(&mut self, filter: &TopicFilter, asked: &Asked) -> Result<Qos, Refusal>;

    /// The client wants no more of a filter that it had subscribed to.
    fn unsubscribe(&mut self, filter: &TopicFilter);

    /// A step of enhanced authentication by the client, within the connection. Its answer is written by whoever knows
    /// what it is.
    fn auth(&mut self, _auth: &Auth<'_>) -> Result<(), Refusal> {
        Err(Refusal::ProtocolError)
    }

    /// Something was refused and the connection goes on: a message of QoS 0 was dropped, a filter or a message of 5.0 was
    /// answered with a reason code from 0x80 on.
    fn refused(&mut self, refusal: Refusal);

    /// The connection is over: what is in the output buffer is sent, then the socket is closed. Comes once at most,
    /// and nothing after it.
    fn close(&mut self, close: Close);
}
