//! What holds for every sequence of messages of a client, of their repetitions, and of the moments when they are safe.

use std::collections::{BTreeSet, VecDeque};

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use mqtt::client::{self, ServerPacket};
use mqtt::{Packet, PacketId, Publish};
use proptest::prelude::*;

use super::script::settings;
use crate::{Accepted, Close, Millis, Session, Sink};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message with an identifier of a few.
    Publish { packet_id: u16, qos: Qos, later: bool },
    /// Releases one that was received, counted from the oldest.
    Release(usize),
    /// The oldest message that is not safe yet is.
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    let qos = prop::sample::select(vec![Qos::AtLeastOnce, Qos::ExactlyOnce]);
    prop_oneof![
        4 => (1_u16..12, qos, any::<bool>())
            .prop_map(|(packet_id, qos, later)| Step::Publish { packet_id, qos, later }),
        2 => (0_usize..12).prop_map(Step::Release),
        3 => Just(Step::Commit),
    ]
}

/// What was handed on: nothing else of the surroundings is asked here.
#[derive(Default)]
struct Taken {
    output: Vec<u8>,
    later: bool,
    count: usize,
}

impl Sink for Taken {
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn publish(&mut self, _publish: &Publish<'_>) -> Result<Accepted, Refusal> {
        self.count += 1;
        Ok(if self.later { Accepted::Later } else { Accepted::Now })
    }

    fn subscribe(&mut self, _filter: &TopicFilter, asked: Qos) -> Result<Qos, Refusal> {
        Ok(asked)
    }

    fn unsubscribe(&mut self, _filter: &TopicFilter) {}

    fn refused(&mut self, refusal: Refusal) {
        panic!("{refusal:?}");
    }

    fn close(&mut self, close: Close) {
        panic!("{close:?}");
    }
}

/// The client's end and the store.
#[derive(Default)]
struct Model {
    /// Messages that were handed on and not acknowledged, in order; whether they are safe.
    unacknowledged: VecDeque<(PacketId, Qos, bool)>,
    /// Identifiers of QoS 2 from the first PUBLISH to PUBREL.
    open: BTreeSet<PacketId>,
    /// Those of them of which PUBREC has come.
    received: Vec<PacketId>,
}

impl Model {
    fn look(&mut self, output: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(frame) = mqtt::frame(&output[at..], usize::MAX).expect("lawful") {
            at += frame.total;
            let (packet_id, qos) = match client::decode(frame).expect("lawful") {
                ServerPacket::PubAck(packet_id) => (packet_id, Qos::AtLeastOnce),
                ServerPacket::PubRec(packet_id) => (packet_id, Qos::ExactlyOnce),
                ServerPacket::PubComp(_) => continue,
                other @ (ServerPacket::ConnAck { .. }
                | ServerPacket::Publish(_)
                | ServerPacket::PubRel(_)
                | ServerPacket::SubAck { .. }
                | ServerPacket::UnsubAck(_)
                | ServerPacket::PingResp) => panic!("{other:?} was not asked for"),
            };
            if qos == Qos::ExactlyOnce && self.received.contains(&packet_id) {
                continue; // of a repetition
            }
            let (expected, level, is_safe) = self.unacknowledged.pop_front().expect("one was owed");
            assert_eq!((packet_id, qos), (expected, level), "in order");
            assert!(is_safe, "{packet_id} is acknowledged before it is safe");
            if qos == Qos::ExactlyOnce {
                self.received.push(packet_id);
            }
        }
        output.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_handed_on_once_and_acknowledged_in_order_when_it_is_safe(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut session = Session::new(Millis(0), settings());
        let (mut taken, mut model, mut expected) = (Taken::default(), Model::default(), 0);
        for step in steps {
            match step {
                Step::Publish { packet_id, qos, later } => {
                    let id = PacketId::new(packet_id).expect("from 1");
                    taken.later = later;
                    if qos == Qos::AtLeastOnce || model.open.insert(id) {
                        expected += 1;
                        model.unacknowledged.push_back((id, qos, !later));
                    }
                    let publish = Publish {
                        dup: false, qos, retain: false, topic: "t", packet_id: Some(id), payload: b"",
                    };
                    session.handle(Millis(0), Packet::Publish(publish), &mut taken);
                }
                Step::Release(at) => {
                    if at < model.received.len() {
                        let packet_id = model.received.remove(at);
                        model.open.remove(&packet_id);
                        session.handle(Millis(0), Packet::PubRel(packet_id), &mut taken);
                    }
                }
                Step::Commit => {
                    if let Some(oldest) = model.unacknowledged.iter_mut().find(|it| !it.2) {
                        oldest.2 = true;
                        session.committed(oldest.0, &mut taken.output);
                    }
                }
            }
            model.look(&mut taken.output);
            prop_assert_eq!(taken.count, expected);
            let safe = model.unacknowledged.front().is_some_and(|it| it.2);
            prop_assert!(!safe, "what is safe and first is acknowledged at once");
        }
    }
}
