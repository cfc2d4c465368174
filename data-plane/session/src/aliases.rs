//! Topic aliases: numbers that stand for topics on one connection, those of the client and ours. Never kept beyond it.

use std::hash::BuildHasher;
use std::num::NonZeroU16;
use std::sync::Arc;

use contract::refusal::Refusal;

/// Aliases that we use towards one client, at most: what they stand for is held in memory.
const OURS_MAX: u16 = 32;

/// Topics that are shorter are said: an alias would hardly be.
const TOPIC_BYTES_MIN: usize = 8;

/// The client's aliases.
#[derive(Debug)]
pub(crate) struct Theirs {
    /// The highest that it may use; what it was told.
    max: u16,
    /// Longer topics are not held: whoever takes the messages refuses them.
    topic_bytes_max: u16,
    /// By alias, from 1 on; as long as the highest that was used.
    topics: Vec<Option<Arc<str>>>,
}

impl Theirs {
    pub(crate) const fn new(max: u16, topic_bytes_max: u16) -> Self {
        Self { max, topic_bytes_max, topics: Vec::new() }
    }

    pub(crate) fn find(&self, alias: NonZeroU16) -> Option<&str> {
        self.topics.get(usize::from(alias.get() - 1))?.as_deref()
    }

    /// The topic of a message that came with an alias: the one that it stands for, or the one it stands for from now on.
    /// Above the maximum it is refused [MQTT-3.3.2-9], and so is one without a topic that stands for none. After a topic
    /// that is too long it stands for none.
    pub(crate) fn resolve(&mut self, alias: NonZeroU16, topic: &str) -> Result<Arc<str>, Refusal> {
        if alias.get() > self.max {
            return Err(Refusal::TopicAliasInvalid);
        }
        let at = usize::from(alias.get() - 1);
        let known = self.topics.get(at).and_then(Option::as_ref);
        if topic.is_empty() {
            return known.cloned().ok_or(Refusal::ProtocolError);
        }
        if let Some(known) = known.filter(|known| ***known == *topic) {
            return Ok(Arc::clone(known));
        }
        if topic.len() > usize::from(self.topic_bytes_max) {
            if let Some(slot) = self.topics.get_mut(at) {
                *slot = None;
            }
            return Ok(topic.into());
        }
        if at >= self.topics.len() {
            self.topics.resize(at + 1, None);
        }
        let topic: Arc<str> = topic.into();
        self.topics[at] = Some(Arc::clone(&topic));
        Ok(topic)
    }
}

/// How a topic is said with an alias.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Alias {
    pub(crate) number: NonZeroU16,
    /// The client knows what it stands for: the topic is left out.
    pub(crate) is_known: bool,
}

#[derive(Default, Debug)]
struct Slot {
    topic: Option<Box<str>>,
    /// It was used since another topic wanted its place.
    is_used: bool,
}

/// Our aliases. Each topic has one place at which it may stand, and gives way there only when it has not been used since
/// another came by: so a few topics that come often have theirs, however many come once.
#[derive(Debug)]
pub(crate) struct Ours {
    slots: Box<[Slot]>,
}

impl Ours {
    /// As many as the client allows, within reason; `None`: it allows none.
    pub(crate) fn new(max: u16) -> Option<Self> {
        let slots: Box<[Slot]> = (0..max.min(OURS_MAX)).map(|_| Slot::default()).collect();
        (!slots.is_empty()).then_some(Self { slots })
    }

    /// How a topic is said in a message that goes out at once; `None`: without an alias. If it does go out, that is to
    /// be [noted](Self::note).
    pub(crate) fn find(&mut self, topic: &str) -> Option<Alias> {
        if topic.len() < TOPIC_BYTES_MIN {
            return None;
        }
        let at = self.place(topic);
        let slot = &mut self.slots[at];
        let is_known = slot.topic.as_deref() == Some(topic);
        if !is_known && slot.is_used {
            slot.is_used = false;
            return None;
        }
        let number = u16::try_from(at + 1).ok().and_then(NonZeroU16::new)?;
        Some(Alias { number, is_known })
    }

    /// A message with this alias is on its way to the client, and none can overtake it.
    pub(crate) fn note(&mut self, alias: Alias, topic: &str) {
        let slot = &mut self.slots[usize::from(alias.number.get() - 1)];
        slot.is_used = true;
        if !alias.is_known {
            slot.topic = Some(topic.into());
        }
    }

    fn place(&self, topic: &str) -> usize {
        let hash = foldhash::fast::FixedState::default().hash_one(topic);
        usize::try_from(hash % self.slots.len() as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).expect("from 1")
    }

    /// [MQTT-3.3.2-8], [MQTT-3.3.2-9], [MQTT-3.3.2-10], [MQTT-3.3.2-12]
    #[test]
    fn an_alias_stands_for_the_last_topic_that_it_came_with() {
        let mut theirs = Theirs::new(3, 9);
        assert_eq!(theirs.resolve(alias(1), ""), Err(Refusal::ProtocolError));
        for (number, topic, meant) in [
            (1, "a", "a"),
            (1, "", "a"),
            (3, "b", "b"),
            (1, "c", "c"),
            (1, "", "c"),
            (3, "", "b"),
            (3, "b", "b"),
        ] {
            assert_eq!(theirs.resolve(alias(number), topic).as_deref(), Ok(meant));
        }
        assert_eq!(theirs.resolve(alias(2), ""), Err(Refusal::ProtocolError));
        assert_eq!(theirs.resolve(alias(4), "a"), Err(Refusal::TopicAliasInvalid));
        assert_eq!(Theirs::new(0, 9).resolve(alias(1), "a"), Err(Refusal::TopicAliasInvalid));
    }

    /// It goes on to be refused, and no client has us hold it.
    #[test]
    fn a_topic_that_is_too_long_is_not_held() {
        let mut theirs = Theirs::new(3, 4);
        assert_eq!(theirs.resolve(alias(3), "a/b/c").as_deref(), Ok("a/b/c"));
        assert!(theirs.topics.is_empty());
        assert_eq!(theirs.resolve(alias(2), "a/bc").as_deref(), Ok("a/bc"));
        assert_eq!(theirs.resolve(alias(2), "a/b/c").as_deref(), Ok("a/b/c"));
        assert_eq!(theirs.find(alias(2)), None);
        assert_eq!(theirs.resolve(alias(2), ""), Err(Refusal::ProtocolError));
    }

    #[test]
    fn a_topic_that_comes_often_keeps_its_alias() {
        let mut ours = Ours::new(1).expect("one");
        let mut say = |topic: &str| {
            let alias = ours.find(topic)?;
            ours.note(alias, topic);
            Some(alias.is_known)
        };
        assert_eq!(say("often/often"), Some(false));
        for _ in 0..5 {
            assert_eq!(say("often/often"), Some(true));
            assert_eq!(say("once/once/once"), None);
        }
        assert_eq!(say("another/topic"), Some(false), "nobody has used it since");
        assert_eq!(say("often/often"), None);
        assert_eq!(say("short"), None);
    }

    #[test]
    fn no_client_has_us_hold_more_than_a_few_topics() {
        assert!(Ours::new(0).is_none());
        assert_eq!(Ours::new(u16::MAX).expect("some").slots.len(), usize::from(OURS_MAX));
    }
}
