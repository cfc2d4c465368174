//! What a replay finds in the log: where it begins, and page by page what history shows from there on. It blocks on the
//! disk, on the threads that look things up.

use std::panic::{AssertUnwindSafe, catch_unwind};

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::{self, TopicFilter};
use engine::{Envelope, Pos, QueryError, Replay, ReplayFilter, ReplayPage, ReplayQuery};
use replica::InstanceRules;
use router::ClientKey;

use crate::clock::unix_now;
use crate::lookups::{PAGE_BYTES_MAX, PAGE_MESSAGES_MAX};
use crate::policy;

/// A part of what a replay is for.
#[derive(Debug)]
pub(crate) struct PastWanted {
    pub(super) reader: ClientKey,
    pub(super) filter: TopicFilter,
    /// There for the first page: what is to be known before it.
    pub(super) beginning: Option<Beginning>,
    pub(super) from: Pos,
    pub(super) to: Pos,
    /// As many messages as the client has room for.
    pub(super) messages_max: usize,
    /// What was stored before this moment is left out.
    pub(super) stored_since: UnixMillis,
}

/// The topics with a bound in bytes that a filter may match, each with the bound.
#[derive(Debug)]
pub(super) struct Beginning(Vec<(Box<str>, u64)>);

/// Topics of which what stands before a position is hidden, since more of them was stored than is shown.
#[derive(Debug, Default)]
pub(crate) struct Floors(Vec<(Box<str>, Pos)>);

impl Floors {
    fn hides(&self, name: &str, pos: Pos) -> bool {
        self.0.iter().any(|(hidden, until)| **hidden == *name && pos < *until)
    }
}

/// What was found of it.
#[derive(Debug)]
pub(crate) struct Past {
    pub(super) reader: ClientKey,
    pub(super) found: Result<PastPage, QueryError>,
}

/// A page of a replay.
#[derive(Debug)]
pub(super) struct PastPage {
    pub(super) page: ReplayPage,
    /// There with the first page.
    pub(super) floors: Option<Floors>,
}

/// Looks a part up. A failure costs the client whom it was for.
pub(crate) fn find_past(replay: &dyn Replay, instance: InstanceId, wanted: &PastWanted) -> Past {
    let found = catch_unwind(AssertUnwindSafe(|| find(replay, instance, wanted)));
    Past { reader: wanted.reader, found: found.unwrap_or(Err(QueryError::Failed)) }
}

fn find(replay: &dyn Replay, instance: InstanceId, wanted: &PastWanted) -> Result<PastPage, QueryError> {
    let (mut from, mut floors) = (wanted.from, None);
    if let Some(beginning) = &wanted.beginning {
        from = replay.position_at(instance, wanted.stored_since)?.clamp(from, wanted.to);
        floors = Some(beginning.floors(replay, instance, wanted.to)?);
    }
    let filters = [ReplayFilter { filter: &wanted.filter, since: Pos::START }];
    let query = ReplayQuery {
        messages_max: wanted.messages_max,
        stored_since: wanted.stored_since,
        ..shown(&filters, from, wanted.to)
    };
    let nothing = ReplayPage { messages: Vec::new(), next: wanted.to, lost: false };
    let page = if from < wanted.to { replay.replay(instance, &query)? } else { nothing };
    Ok(PastPage { page, floors })
}

impl Beginning {
    pub(super) fn of(rules: &InstanceRules, filter: &TopicFilter) -> Self {
        let kept = policy::histories(rules, filter);
        Self(kept.filter_map(|(name, history)| Some((name.into(), history.retention_bytes?))).collect())
    }

    /// Where the newest messages of each topic begin that are not more than its bound.
    fn floors(&self, replay: &dyn Replay, instance: InstanceId, to: Pos) -> Result<Floors, QueryError> {
        let floor = |(name, bytes_max): &(Box<str>, u64)| {
            // The topics of a name are those that begin with this level, and the level alone.
            let Ok(filter) = format!("{name}/#").parse::<TopicFilter>() else { return Ok(None) };
            let filters = [ReplayFilter { filter: &filter, since: Pos::START }];
            let floor = replay.newest(instance, &shown(&filters, Pos::START, to), u64::MAX, *bytes_max)?;
            Ok((floor > Pos::START).then(|| (name.clone(), floor)))
        };
        let floors: Result<Vec<_>, QueryError> = self.0.iter().map(floor).collect();
        Ok(Floors(floors?.into_iter().flatten().collect()))
    }
}

/// What is in histories, of any QoS.
fn shown<'a>(filters: &'a [ReplayFilter<'a>], from: Pos, to: Pos) -> ReplayQuery<'a> {
    ReplayQuery {
        filters,
        from,
        to,
        qos_min: Qos::AtMostOnce,
        history_only: true,
        stored_since: UnixMillis(0),
        messages_max: PAGE_MESSAGES_MAX,
        bytes_max: PAGE_BYTES_MAX,
    }
}

/// Before this moment history shows nothing that a filter may match.
pub(super) fn shown_since(rules: &InstanceRules, filter: &TopicFilter) -> UnixMillis {
    let kept = policy::histories(rules, filter).map(|(_, history)| history.shown_since(unix_now()));
    kept.min().unwrap_or(UnixMillis(u64::MAX))
}

/// Whether history shows a message that was stored before it was asked for.
pub(super) fn is_shown(rules: &InstanceRules, floors: &Floors, envelope: &Envelope<'_>, pos: Pos) -> bool {
    let name = topic::first_level(envelope.topic);
    let history = rules.topics.get(name).and_then(|rule| rule.history.as_ref());
    history.is_some_and(|history| envelope.stored_at >= history.shown_since(unix_now()))
        && !floors.hides(name, pos)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use engine::memory::{Memory, MemoryOptions};
    use engine::{Append, Batch, BatchId, Committed, Log as _, RetentionClass};

    use super::*;
    use crate::durable::SHARD;
    use crate::testing::instance_id;

    /// A log with a message of each of these topics, stored at these moments; and where it goes on.
    fn log(messages: &[(u64, &str)]) -> (Memory, Pos) {
        let memory = Memory::start(MemoryOptions::new(unix_now));
        let mut next = Pos::START;
        for (number, &(stored_at, topic)) in (0_u128..).zip(messages) {
            let mut batch = Batch::new();
            let envelope = Envelope {
                instance: instance_id(1),
                qos: Qos::AtLeastOnce,
                retain: false,
                retention: Some(RetentionClass::Week),
                history: true,
                expires_at: None,
                stored_at: UnixMillis(stored_at),
                workers: 1,
                content: &[],
                topic,
                publisher: "mouth",
                payload: b"payload",
            };
            batch.append(&envelope).expect("a message");
            let (told, completed) = mpsc::sync_channel(1);
            let completion = Box::new(move |completed| told.send(completed).expect("somebody waits"));
            let append = Append { id: BatchId(number.to_le_bytes()), origin: 0, batch, completion };
            memory.submit(SHARD, append).expect("room");
            let Committed { record, .. } = completed.recv().expect("an outcome").expect("is stored");
            next = Pos::of_record(record).successor();
        }
        (memory, next)
    }

    fn wanted(filter: &str, stored_since: u64, to: Pos, bounds: &[(&str, u64)]) -> PastWanted {
        let bounds = bounds.iter().map(|&(name, bytes_max)| (name.into(), bytes_max)).collect();
        PastWanted {
            reader: ClientKey::new(0, 0),
            filter: filter.parse().expect("a filter"),
            beginning: Some(Beginning(bounds)),
            from: Pos::START,
            to,
            messages_max: 100,
            stored_since: UnixMillis(stored_since),
        }
    }

    fn found(memory: &Memory, wanted: &PastWanted) -> (Vec<(String, Pos)>, Pos, Floors) {
        let found = find_past(memory, instance_id(1), wanted).found.expect("can be read");
        let of = |record: &[u8]| Envelope::from_record(record).expect("a record").topic.to_owned();
        let messages = found.page.messages.iter().map(|it| (of(&it.record), it.pos)).collect();
        (messages, found.page.next, found.floors.expect("with the first page"))
    }

    /// The clocks of two workers, or one that was set back.
    #[test]
    fn moments_need_not_be_in_the_order_of_the_log() {
        let (memory, head) = log(&[(10, "a/1"), (30, "a/2"), (20, "a/3"), (40, "a/4"), (50, "b")]);
        for (since, topics) in
            [(0, &["a/1", "a/2", "a/3", "a/4"][..]), (25, &["a/2", "a/4"]), (40, &["a/4"]), (51, &[])]
        {
            let (messages, next, _) = found(&memory, &wanted("a/+", since, head, &[]));
            assert!(messages.iter().map(|it| &*it.0).eq(topics.iter().copied()), "{since}: {messages:?}");
            assert!(next >= messages.last().map_or(head, |last| last.1.successor()), "{since}");
        }
    }

    #[test]
    fn a_beginning_behind_the_part_is_its_end() {
        let (memory, head) = log(&[(10, "a"), (20, "a")]);
        let (all, ..) = found(&memory, &wanted("a", 0, head, &[]));
        let (messages, next, _) = found(&memory, &wanted("a", u64::MAX, all[1].1, &[]));
        assert_eq!((messages.len(), next), (0, all[1].1));
    }

    #[test]
    fn of_a_topic_with_a_bound_in_bytes_the_newest_are_shown() {
        let (memory, head) = log(&[(10, "a"), (20, "b"), (30, "a/x"), (40, "a"), (50, "ab")]);
        let (all, _, floors) = found(&memory, &wanted("#", 0, head, &[("a", 130), ("b", 1_000_000)]));
        let hidden: Vec<_> = all
            .iter()
            .filter(|(topic, pos)| floors.hides(topic::first_level(topic), *pos))
            .map(|(topic, _)| &**topic)
            .collect();
        assert_eq!(hidden, ["a"], "two of three fit, and other topics are none of it");
        let (_, _, floors) = found(&memory, &wanted("#", 0, head, &[("a", 10)]));
        assert!(
            all.iter()
                .filter(|(topic, _)| topic::first_level(topic) == "a")
                .all(|it| floors.hides("a", it.1))
        );
    }
}
