//! What holds for every sequence of deliveries, acknowledgements and reads.

use std::collections::VecDeque;

use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{Packet, PacketId, ReasonCode, Version};
use proptest::prelude::*;

use super::script::{Scribe, bounds, deliver, settings_of};
use crate::{Bounds, ClientSide, Delivered, DropReason, Millis, Rendering, Session, Settings};

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver {
        qos: Qos,
        payload: usize,
    },
    /// Acknowledges one of those in flight, counted from the oldest.
    Acknowledge(usize),
    /// Says of one of them that it does not want it: only in 5.0.
    Refuse(usize),
    /// An identifier that may or may not be in flight.
    Stray(u16),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::sample::select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]), 0_usize..60)
            .prop_map(|(qos, payload)| Step::Deliver { qos, payload }),
        4 => (0_usize..200).prop_map(Step::Acknowledge),
        1 => (0_usize..200).prop_map(Step::Refuse),
        1 => (1_u16..300).prop_map(Step::Stray),
        2 => Just(Step::Read),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Ack,
    Rec,
    Comp,
}

/// The client's end, and what must have reached it.
#[derive(Default)]
struct Model {
    /// Packet identifiers that the client has and has not acknowledged to the end, oldest first, with the answer that
    /// is due next.
    in_flight: Vec<(PacketId, Answer)>,
    /// Numbers of the messages of QoS 1 and 2 that were taken on and have not come yet.
    expected: VecDeque<u32>,
    /// How much of the output has been looked at.
    read: usize,
}

impl Model {
    fn look(&mut self, version: Version, output: &[u8]) {
        while let Some(frame) = mqtt::frame(&output[self.read..], usize::MAX).expect("lawful") {
            self.read += frame.total;
            match client::decode(version, frame).expect("lawful") {
                ServerPacket::Publish(publish) => {
                    let Some(packet_id) = publish.packet_id else { continue };
                    let number = u32::from_be_bytes(publish.payload[..4].try_into().expect("four bytes"));
                    assert_eq!(self.expected.pop_front(), Some(number), "in order, none left out");
                    assert!(self.in_flight.iter().all(|it| it.0 != packet_id), "{packet_id} is in use");
                    let exactly_once = publish.qos == Qos::ExactlyOnce;
                    self.in_flight.push((packet_id, if exactly_once { Answer::Rec } else { Answer::Ack }));
                }
                ServerPacket::PubRel(packet_id, reason) => {
                    assert_eq!(reason, ReasonCode::Success);
                    let released = self.in_flight.iter_mut().find(|it| it.0 == packet_id);
                    let Some((_, answer)) = released else { panic!("{packet_id} is not in flight") };
                    assert_eq!(*answer, Answer::Rec, "released when it was received");
                    *answer = Answer::Comp;
                }
                other @ (ServerPacket::ConnAck { .. }
                | ServerPacket::PubAck(..)
                | ServerPacket::PubRec(..)
                | ServerPacket::PubComp(..)
                | ServerPacket::SubAck { .. }
                | ServerPacket::UnsubAck { .. }
                | ServerPacket::PingResp
                | ServerPacket::Disconnect(_)
                | ServerPacket::Auth(_)) => panic!("{other:?} was not asked for"),
            }
        }
    }

    /// The next answer to one of those in flight.
    fn answer(&mut self, at: usize, reason: ReasonCode) -> Option<Packet<'static>> {
        let &(packet_id, answer) = self.in_flight.get(at)?;
        Some(match answer {
            Answer::Rec => {
                if reason.is_error() {
                    self.in_flight.remove(at);
                }
                Packet::PubRec(packet_id, reason)
            }
            Answer::Ack => {
                self.in_flight.remove(at);
                Packet::PubAck(packet_id, reason)
            }
            Answer::Comp => {
                self.in_flight.remove(at);
                Packet::PubComp(packet_id, ReasonCode::Success)
            }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_on_arrives_once_in_order_and_within_the_bounds(
        version in prop::sample::select(vec![Version::V311, Version::V5]),
        in_flight_max in prop_oneof![1_u16..8, 60_u16..70, 120_u16..140],
        receive_max in prop_oneof![1_u16..10, Just(u16::MAX)],
        outbox_messages_max in 1_u32..10,
        outbox_bytes_max in prop_oneof![100_u32..1_000, Just(1_000_000)],
        steps in prop::collection::vec(step(), 1..500),
    ) {
        let bounds = Bounds { outbox_messages_max, outbox_bytes_max, in_flight_max, ..bounds() };
        // Only a client of 5.0 says how much it takes.
        let receive_max = if version.is_v5() { receive_max } else { u16::MAX };
        let client = ClientSide { receive_max, ..ClientSide::default() };
        let mut session = Session::new(Millis(0), Settings { bounds, client, ..settings_of(version) });
        let in_flight_max = in_flight_max.min(receive_max);
        let (mut scribe, mut rendering, mut model) = (Scribe::of(version), Rendering::new(), Model::default());
        let mut released = 0;
        for (number, step) in (0_u32..).zip(steps) {
            match step {
                Step::Deliver { qos, payload } => {
                    let payload = [&number.to_be_bytes()[..], &vec![0; payload]].concat();
                    let mut message = rendering.message("t", &payload, qos);
                    let delivered = deliver(&mut session, &mut message, Qos::ExactlyOnce, &mut scribe.output);
                    if qos != Qos::AtMostOnce && !matches!(delivered, Delivered::Dropped(_)) {
                        model.expected.push_back(number);
                    }
                    if delivered == Delivered::Dropped(DropReason::OutboxMessages) {
                        prop_assert_eq!(session.waiting(), outbox_messages_max as usize);
                    }
                }
                Step::Refuse(at) => {
                    let refused = version.is_v5().then(|| model.answer(at, ReasonCode::UnspecifiedError));
                    if let Some(packet) = refused.flatten() {
                        session.handle(Millis(0), packet, &mut scribe);
                    }
                }
                Step::Acknowledge(at) => {
                    if let Some(packet) = model.answer(at, ReasonCode::Success) {
                        released += usize::from(matches!(packet, Packet::PubRec(..)));
                        session.handle(Millis(0), packet, &mut scribe);
                    }
                }
                Step::Stray(packet_id) => {
                    let packet_id = PacketId::new(packet_id).expect("from 1");
                    if model.in_flight.iter().all(|it| it.0 != packet_id) {
                        session.handle(Millis(0), Packet::PubAck(packet_id, ReasonCode::Success), &mut scribe);
                        session.handle(Millis(0), Packet::PubComp(packet_id, ReasonCode::Success), &mut scribe);
                    }
                }
                Step::Read => {
                    scribe.output.clear();
                    model.read = 0;
                    released = 0;
                }
            }
            model.look(version, &scribe.output);
            prop_assert_eq!(usize::from(session.in_flight()), model.in_flight.len());
            prop_assert!(session.in_flight() <= in_flight_max);
            prop_assert!(session.waiting() <= outbox_messages_max as usize);
            prop_assert_eq!(session.waiting(), model.expected.len());
            prop_assert!(session.waiting() == 0 || session.in_flight() == in_flight_max, "it waits for a reason");
            let bytes = scribe.output.len() + session.waiting_bytes();
            // A message waits with room for its packet identifier, so leaving the outbox adds nothing; four bytes of
            // PUBREL answer as many of PUBREC.
            prop_assert!(bytes <= outbox_bytes_max as usize + 4 * released);
        }
    }
}
