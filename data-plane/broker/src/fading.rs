//! Topics of an instance, on one worker, whose messages went by way of the log until lately: one may still be on that
//! way, and must not be overtaken. Appends are known here by their numbers only.

use std::cell::{Cell, RefCell};

use contract::topic;
use engine::RetentionClass;

/// The topics; as many as have ceased to be stored since the oldest append whose outcome is not known.
#[derive(Debug, Default)]
pub(crate) struct Fading {
    topics: RefCell<Vec<FadingTopic>>,
    /// The largest number among them; 0: there are none.
    until: Cell<u64>,
}

#[derive(Debug)]
struct FadingTopic {
    /// Its first level.
    name: Box<str>,
    /// How long its messages were kept.
    class: RetentionClass,
    /// The number of the last append in which there may be some.
    until: u64,
}

impl Fading {
    /// Messages of a topic may be in any append up to this one, made or in the making.
    pub(crate) fn add(&self, name: &str, class: RetentionClass, append: u64) {
        let mut topics = self.topics.borrow_mut();
        topics.retain(|topic| *topic.name != *name);
        topics.push(FadingTopic { name: name.into(), class, until: append });
        self.until.set(self.until.get().max(append));
    }

    /// Whether there are no such topics.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.until.get() == 0
    }

    /// How long messages of this topic were kept, if a message of it must wait until what was stored before it has been
    /// delivered. `settled` is the number of the last append of which that is known.
    #[inline]
    pub(crate) fn class_of(&self, topic: &str, settled: u64) -> Option<RetentionClass> {
        if self.is_empty() { None } else { self.find(topic::first_level(topic), settled) }
    }

    #[cold]
    fn find(&self, name: &str, settled: u64) -> Option<RetentionClass> {
        self.forget(settled);
        self.topics.borrow().iter().find(|topic| *topic.name == *name).map(|topic| topic.class)
    }

    /// Forgets what has come out of the log.
    pub(crate) fn forget(&self, settled: u64) {
        let mut topics = self.topics.borrow_mut();
        topics.retain(|topic| topic.until > settled);
        if topics.is_empty() {
            *topics = Vec::new();
        }
        self.until.set(topics.iter().map(|topic| topic.until).max().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_fades_until_its_last_append_has_come_out_of_the_log() {
        let fading = Fading::default();
        assert_eq!(fading.class_of("up/x", 0), None);
        fading.add("up", RetentionClass::Day, 3);
        fading.add("down", RetentionClass::Week, 5);
        assert_eq!(fading.class_of("up/x", 2), Some(RetentionClass::Day));
        assert_eq!(fading.class_of("uplink/x", 2), None);
        assert_eq!((fading.class_of("up/x", 3), fading.topics.borrow().len()), (None, 1));
        assert_eq!(fading.class_of("down", 4), Some(RetentionClass::Week));
        fading.add("down", RetentionClass::Month, 7);
        assert_eq!(fading.class_of("down", 6), Some(RetentionClass::Month));
        assert_eq!((fading.class_of("down", 7), fading.topics.borrow().len()), (None, 0));
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_too() {
        let fading = Fading::default();
        for append in 1..1_000 {
            fading.forget(append - 1);
            fading.add(&format!("topic-{append}"), RetentionClass::Day, append);
        }
        assert_eq!(fading.topics.borrow().len(), 1);
    }
}
