//! Where the effects of a session go. It holds no logic: the caller's side of the agreement.

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use mqtt::{PacketId, Publish, PublishForm};

/// How a connection comes to its end by the session's decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// The client said DISCONNECT; its will is void [MQTT-3.14.4-3].
    Disconnected,
    /// The client is sent away. Its will stands.
    Refused(Refusal),
}

/// What a session asks of its surroundings, in the order in which it happens.
///
/// Every refusal is told exactly once: to [`refused`](Self::refused) when the connection goes on, to
/// [`close`](Self::close) when it does not. So the two of them are the place to count, and [`publish`](Self::publish)
/// and [`subscribe`](Self::subscribe), which only answer with a refusal, are not.
pub trait Sink {
    /// The client's output buffer. The session only ever appends whole packets.
    fn output(&mut self) -> &mut Vec<u8>;

    /// A message that had to wait for an acknowledgement and is now due. It must not overtake one that was delivered
    /// before it [MQTT-4.6.0-6]: a caller that holds such messages back puts it behind them.
    fn release(&mut self, form: &PublishForm, packet_id: Option<PacketId>) {
        form.append_to(self.output(), packet_id);
    }

    /// A message of the client, borrowed from the read buffer; QoS 0 or 1, never retained. `Ok`: it has been accepted
    /// in the sense of its durability class, and PUBACK may be written.
    fn publish(&mut self, publish: &Publish<'_>) -> Result<(), Refusal>;

    /// The client wants what `filter` matches, at `asked` (0 or 1) at most. `Ok` is the QoS granted: from here on
    /// messages may be delivered. The same filter may come again, and then replaces the subscription [MQTT-3.8.4-3].
    fn subscribe(&mut self, filter: &TopicFilter, asked: Qos) -> Result<Qos, Refusal>;

    /// The client wants no more of a filter that it had subscribed to.
    fn unsubscribe(&mut self, filter: &TopicFilter);

    /// Something was refused and the connection goes on: a message of QoS 0 was dropped, a filter was answered 0x80.
    fn refused(&mut self, refusal: Refusal);

    /// The connection is over: what is in the output buffer is sent, then the socket is closed. Comes once at most,
    /// and nothing after it.
    fn close(&mut self, close: Close);
}
