//! The specification of the route table.

mod hostile;
mod lasting;
mod model;
mod table;

use std::sync::Arc;

use contract::qos::Qos;
use contract::topic::TopicFilter;

use crate::{ClientKey, Epochs, RouteTable, Scratch, Subscriber, WorkerId};

/// A seed that stands for one chosen by chance.
const SEED: u64 = 0x1D0F_5EED;

/// No bound.
const ANY: u64 = u64::MAX;

fn filter(text: &str) -> TopicFilter {
    text.parse().expect("a filter")
}

fn worker(index: usize) -> WorkerId {
    WorkerId::new(index).expect("a worker")
}

fn subscriber(worker_index: usize, slot: u32, qos: Qos) -> Subscriber {
    Subscriber { worker: worker(worker_index), client: ClientKey::new(slot, 0), qos, is_special: false }
}

fn table() -> (RouteTable, Arc<Epochs>) {
    let epochs = Arc::new(Epochs::new());
    (RouteTable::new(SEED, Arc::clone(&epochs)), epochs)
}

/// Who wants the topic, as (worker, slot, QoS).
fn matches(table: &RouteTable, topic: &str) -> Vec<(usize, u32, u8)> {
    let set = table.matches(topic, &mut Scratch::new());
    set.iter().map(|it| (it.worker.index(), it.client.slot(), it.qos.bits())).collect()
}
