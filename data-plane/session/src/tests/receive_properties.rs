//! What holds for every sequence of messages of a client, of their repetitions, and of the moments when they are safe.

use std::collections::{BTreeSet, VecDeque};

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use mqtt::client::{self, ServerPacket};
use mqtt::{Packet, PacketId, Publish, ReasonCode, Version};
use proptest::prelude::*;

use super::script::settings_of;
use crate::{Accepted, Asked, Close, Millis, Session, Settings, Sink};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message with an identifier of a few.
    Publish { packet_id: u16, qos: Qos, later: bool },
    /// Releases one that was received, counted from the oldest.
    Release(usize),
    /// The oldest message that is not safe yet is.
    Commit,
    /// It will not be: in 5.0 the client is told.
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    let qos = prop::sample::select(vec![Qos::AtLeastOnce, Qos::ExactlyOnce]);
    prop_oneof![
        4 => (1_u16..12, qos, any::<bool>())
            .prop_map(|(packet_id, qos, later)| Step::Publish { packet_id, qos, later }),
        2 => (0_usize..12).prop_map(Step::Release),
        3 => Just(Step::Commit),
        1 => Just(Step::Fail),
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

    fn subscribe(&mut self, _filter: &TopicFilter, asked: &Asked) -> Result<Qos, Refusal> {
        Ok(asked.options.qos)
    }

    fn unix_now(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn is_own(&self, _publisher: &str) -> bool {
        false
    }

    fn unsubscribe(&mut self, _filter: &TopicFilter) {}

    fn refused(&mut self, refusal: Refusal) {
        assert_eq!(refusal, Refusal::StorageUnavailable, "nothing else goes wrong");
    }

    fn close(&mut self, close: Close) {
        panic!("{close:?}");
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Open,
    Safe,
    Lost,
}

/// The client's end and the store.
struct Model {
    version: Version,
    /// Messages that were handed on and not acknowledged, in order; what they wait for.
    unacknowledged: VecDeque<(PacketId, Qos, Fate)>,
    /// Identifiers of QoS 2 from the first PUBLISH to PUBREL.
    open: BTreeSet<PacketId>,
    /// Those of them of which PUBREC has come.
    received: Vec<PacketId>,
}

impl Model {
    fn new(version: Version) -> Self {
        Self { version, unacknowledged: VecDeque::new(), open: BTreeSet::new(), received: Vec::new() }
    }

    /// Messages that count against what the client may have unacknowledged.
    fn quota_used(&self) -> usize {
        self.open.len() + self.unacknowledged.iter().filter(|it| it.1 == Qos::AtLeastOnce).count()
    }

    fn look(&mut self, output: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(frame) = mqtt::frame(&output[at..], usize::MAX).expect("lawful") {
            at += frame.total;
            let (packet_id, qos, reason) = match client::decode(self.version, frame).expect("lawful") {
                ServerPacket::PubAck(packet_id, reason) => (packet_id, Qos::AtLeastOnce, reason),
                ServerPacket::PubRec(packet_id, reason) => (packet_id, Qos::ExactlyOnce, reason),
                ServerPacket::PubComp(_, reason) => {
                    assert_eq!(reason, ReasonCode::Success, "it was received");
                    continue;
                }
                other @ (ServerPacket::ConnAck { .. }
                | ServerPacket::Publish(_)
                | ServerPacket::PubRel(..)
                | ServerPacket::SubAck { .. }
                | ServerPacket::UnsubAck { .. }
                | ServerPacket::PingResp
                | ServerPacket::Disconnect(_)
                | ServerPacket::Auth(_)) => panic!("{other:?} was not asked for"),
            };
            if qos == Qos::ExactlyOnce && self.received.contains(&packet_id) {
                continue; // of a repetition
            }
            let (expected, level, fate) = self.unacknowledged.pop_front().expect("one was owed");
            assert_eq!((packet_id, qos), (expected, level), "in order");
            assert_ne!(fate, Fate::Open, "{packet_id} is acknowledged before it is safe");
            assert_eq!(reason.is_error(), fate == Fate::Lost, "{packet_id}");
            if qos == Qos::ExactlyOnce {
                if reason.is_error() {
                    self.open.remove(&packet_id);
                } else {
                    self.received.push(packet_id);
                }
            }
        }
        output.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_handed_on_once_and_acknowledged_in_order_when_it_is_safe(
        version in prop::sample::select(vec![Version::V311, Version::V5]),
        receive_max in prop_oneof![1_u16..20, Just(u16::MAX)],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let settings = Settings { receive_max, ..settings_of(version) };
        let mut session = Session::new(Millis(0), settings);
        let (mut taken, mut model, mut expected) = (Taken::default(), Model::new(version), 0);
        for step in steps {
            match step {
                Step::Publish { packet_id, qos, later } => {
                    let id = PacketId::new(packet_id).expect("from 1");
                    let is_new = qos == Qos::AtLeastOnce || !model.open.contains(&id);
                    // A client of 5.0 keeps to what it was told.
                    if version.is_v5() && is_new && model.quota_used() >= usize::from(receive_max) {
                        continue;
                    }
                    taken.later = later;
                    if qos == Qos::AtLeastOnce || model.open.insert(id) {
                        expected += 1;
                        model.unacknowledged.push_back((id, qos, if later { Fate::Open } else { Fate::Safe }));
                    }
                    let publish = Publish { qos, topic: "t", packet_id: Some(id), ..Publish::default() };
                    session.handle(Millis(0), Packet::Publish(publish), &mut taken);
                }
                Step::Release(at) => {
                    if at < model.received.len() {
                        let packet_id = model.received.remove(at);
                        model.open.remove(&packet_id);
                        session.handle(Millis(0), Packet::PubRel(packet_id, ReasonCode::Success), &mut taken);
                    }
                }
                Step::Commit => {
                    if let Some(oldest) = model.unacknowledged.iter_mut().find(|it| it.2 == Fate::Open) {
                        oldest.2 = Fate::Safe;
                        session.committed(oldest.0, &mut taken.output);
                    }
                }
                Step::Fail => {
                    let oldest = model.unacknowledged.iter_mut().find(|it| it.2 == Fate::Open);
                    if let Some(oldest) = oldest.filter(|_| version.is_v5()) {
                        oldest.2 = Fate::Lost;
                        session.not_committed(oldest.0, Refusal::StorageUnavailable, &mut taken);
                    }
                }
            }
            model.look(&mut taken.output);
            prop_assert_eq!(taken.count, expected);
            let safe = model.unacknowledged.front().is_some_and(|it| it.2 != Fate::Open);
            prop_assert!(!safe, "what is safe and first is acknowledged at once");
        }
    }
}
