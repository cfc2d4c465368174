//! What a worker, or a connection that is no client yet, counts for the slots of metrics: what is new since it was asked
//! the last time. An instance may come and go between two questions, and nothing is lost of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use contract::ids::InstanceId;
use contract::metrics::InstanceSample;
use contract::refusal::Refusal;

use crate::command::Command;
use crate::control::Control;
use crate::local_instance::LocalInstance;
use crate::metrics::{Counts, RefusalAtomics};
use crate::slots::Sampled;
use crate::worker::Worker;

impl Worker {
    /// What is new, by instance.
    pub(crate) fn sample(&self) -> BTreeMap<InstanceId, Counts> {
        let mut sampled = self.unsampled.take();
        for (id, instance) in &*self.instances.borrow() {
            let counts = instance.counts.sample();
            if counts != Counts::default() {
                sampled.entry(*id).or_default().add(&counts);
            }
        }
        sampled
    }

    /// Keeps what was counted of an instance that is forgotten here.
    pub(crate) fn keep_counts(&self, instance: &LocalInstance) {
        self.forgotten.borrow_mut().add(&instance.counts.read());
        let unsampled = instance.counts.sample();
        if unsampled != Counts::default() {
            self.unsampled.borrow_mut().entry(instance.shared.id).or_default().add(&unsampled);
        }
    }
}

impl Control {
    /// What is new on the whole node.
    pub(crate) async fn sample(&self) -> Sampled {
        let mut sampled = Sampled::default();
        for answer in self.ask(Command::Sample).await {
            for (instance, counts) in answer.await.unwrap_or_default() {
                add(sampled.instances.entry(instance).or_default(), &counts);
            }
        }
        for (instance, refused) in self.node().refused.take_untold() {
            let told = match instance {
                Some(instance) => &mut sampled.instances.entry(instance).or_default().refused,
                None => &mut sampled.refused_before_instance,
            };
            add_by_name(told, refused.iter().map(|(refusal, count)| (refusal.name(), *count)));
        }
        for (instance, connections) in self.connections() {
            sampled.instances.entry(instance).or_default().connections = connections;
        }
        sampled
    }
}

fn add(sample: &mut InstanceSample, counts: &Counts) {
    sample.connects += counts.connects;
    sample.disconnects += counts.disconnects;
    sample.messages_in += counts.messages_in;
    sample.messages_out += counts.messages_out;
    sample.bytes_in += counts.bytes_in;
    sample.bytes_out += counts.bytes_out;
    sample.messages_stored += counts.messages_stored;
    sample.unmatched += counts.messages_unmatched;
    add_by_name(&mut sample.refused, counts.refused.iter().map(|(refusal, count)| (refusal.name(), *count)));
    add_by_name(&mut sample.dropped, counts.dropped.iter().map(|(reason, count)| (reason.name(), *count)));
}

fn add_by_name<'a>(sums: &mut BTreeMap<String, u64>, counts: impl Iterator<Item = (&'a str, u64)>) {
    for (name, count) in counts {
        *sums.entry(name.to_owned()).or_default() += count;
    }
}

/// What connections were refused that are no clients yet: in all, and what is new of each instance; of none, where it
/// was not known which.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    total: RefusalAtomics,
    /// Bounded by the instances that the node knows.
    untold: Mutex<Untold>,
}

type Untold = HashMap<Option<InstanceId>, BTreeMap<Refusal, u64>>;

impl Refusals {
    /// Counts one; `instance` is what the connection has named, be it true or not.
    pub(crate) fn add(&self, instance: Option<InstanceId>, refusal: Refusal) {
        self.total.add(refusal);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        *untold.entry(instance).or_default().entry(refusal).or_default() += 1;
    }

    /// Since the node was started.
    pub(crate) fn read(&self) -> BTreeMap<Refusal, u64> {
        self.total.read()
    }

    /// What is new.
    pub(crate) fn take_untold(&self) -> Untold {
        std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
