//! What every engine does with documents that change with the log.

use std::time::Duration;

use contract::ids::InstanceId;
use contract::time::UnixMillis;

use super::{Outcomes, PATIENCE, SHARD, Subject, append, batch, instance, message, wait};
use crate::{Batch, Change, Document, Envelope, Key, Pos, Rev, State, WriteError};

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).expect("a key of a test")
}

const fn change<'a>(of: InstanceId, key: &'a str, body: Option<&'a [u8]>) -> Change<'a> {
    Change { instance: of, key: key.as_bytes(), body }
}

fn load<S: State>(state: &S, of: u128, name: &str) -> Option<Document> {
    wait(state.load(instance(of), &key(name))).expect("an engine that works")
}

/// A batch's changes are seen once it is completed, and are no messages.
pub fn changes_are_seen_with_their_batch<S: Subject + State>(make: impl Fn() -> S) {
    let subject = make();
    let outcomes = Outcomes::new(4);
    let mut mixed = Batch::new();
    mixed.change(&change(instance(1), "a", Some(b"1"))).expect("fits");
    mixed.append(&message("t", b"x")).expect("fits");
    mixed.change(&change(instance(2), "a", Some(b"2"))).expect("fits");
    mixed.change(&change(instance(1), "a", Some(b"3"))).expect("fits");
    outcomes.submit(subject.log(), 1, 0, mixed.clone());
    let committed = outcomes.next();
    assert_eq!((committed.record, committed.messages), (1, 1));
    let body = |of| load(&subject, of, "a").map(|it| it.body);
    assert_eq!((body(1), body(2)), (Some(b"3".to_vec()), Some(b"2".to_vec())), "the last change stands");
    let mut alone = Batch::new();
    alone.change(&change(instance(1), "a", None)).expect("fits");
    outcomes.submit(subject.log(), 2, 0, alone.clone());
    let committed = outcomes.next();
    assert_eq!((committed.record, committed.messages), (2, 0));
    assert_eq!((body(1), body(2)), (None, Some(b"2".to_vec())));
    let page = subject.log().read(SHARD, Pos::START, usize::MAX).expect("nothing was trimmed");
    assert!(
        page.batches.into_iter().map(|it| it.batch).eq([mixed, alone]),
        "batches are read as they were submitted"
    );
}

/// Who compares and sets meets what a batch has changed, under a revision that has grown.
pub fn a_change_is_met_by_who_compares<S: Subject + State>(make: impl Fn() -> S) {
    let subject = make();
    let put = |body: &[u8], expect| wait(subject.put(instance(1), &key("a"), body.to_vec(), expect));
    let first = put(b"1", Rev::ABSENT).expect("there is none");
    let outcomes = Outcomes::new(1);
    let mut changed = Batch::new();
    changed.change(&change(instance(1), "a", Some(b"2"))).expect("fits");
    outcomes.submit(subject.log(), 1, 0, changed);
    outcomes.next();
    let found = load(&subject, 1, "a").expect("it was put");
    assert!(found.rev > first);
    assert_eq!(put(b"3", first), Err(WriteError::Conflict { found: found.rev }));
    assert!(put(b"3", found.rev).expect("it is the one that was seen") > found.rev);
    assert_eq!(load(&subject, 1, "a").map(|it| it.body), Some(b"3".to_vec()));
}

/// A message with the retain flag is the document of its topic, and an empty one deletes it [MQTT-3.3.1-10]; the last in
/// the order of the log stands.
pub fn retained_messages_are_documents<S: Subject + State>(make: impl Fn() -> S) {
    let subject = make();
    let retained = |topic, payload| Envelope { retain: true, ..message(topic, payload) };
    let expected = |envelope: &Envelope<'_>| batch(&[*envelope]).as_bytes()[4..].to_vec();
    let body = |topic: &str| load(&subject, 1, &format!("r/{topic}")).map(|it| it.body);
    let last = retained("a", b"3");
    append(subject.log(), 1, &[retained("a", b"1"), retained("b", b"2"), last, message("c", b"4")]);
    assert_eq!(body("a"), Some(expected(&last)));
    assert_eq!((body("b"), body("c")), (Some(expected(&retained("b", b"2"))), None));
    assert_eq!(load(&subject, 2, "r/a"), None, "instances are apart");
    append(subject.log(), 2, &[retained("b", b"5"), retained("a", b""), retained("d", b"")]);
    assert_eq!((body("a"), body("d")), (None, None));
    assert_eq!(body("b"), Some(expected(&retained("b", b"5"))));
}

/// Whose time is over is deleted without anybody asking for it [MQTT-3.3.2-5], and nothing else: neither what expires
/// later, nor what has taken its place, before or after.
pub fn a_retained_message_is_deleted_when_its_time_is_over<S: Subject + State>(make: impl Fn() -> S) {
    const LOOK_AGAIN: Duration = Duration::from_millis(10);
    let subject = make();
    let until = |at: u64, topic, payload| Envelope {
        retain: true,
        expires_at: Some(UnixMillis(at)),
        ..message(topic, payload)
    };
    let body = |topic: &str| load(&subject, 1, &format!("r/{topic}")).map(|it| it.body);
    let is_deleted = |topic: &str| {
        let looks = PATIENCE.as_millis() / LOOK_AGAIN.as_millis();
        (0..looks).any(|_| {
            let is_deleted = body(topic).is_none();
            if !is_deleted {
                std::thread::sleep(LOOK_AGAIN);
            }
            is_deleted
        })
    };
    let kept = Envelope { retain: true, ..message("b", b"kept") };
    let (later, other) = (until(u64::MAX, "c", b"later"), until(u64::MAX, "b", b"other"));
    append(subject.log(), 1, &[until(1, "a", b"over"), until(2, "b", b"over"), later]);
    append(subject.log(), 2, &[kept]);
    assert!(is_deleted("a"));
    let expected = |envelope: &Envelope<'_>| Some(batch(&[*envelope]).as_bytes()[4..].to_vec());
    assert_eq!((body("b"), body("c")), (expected(&kept), expected(&later)));
    append(subject.log(), 3, &[until(1, "b", b"over"), other, until(1, "c", b"over")]);
    assert!(is_deleted("c"));
    assert_eq!(body("b"), expected(&other));
    let again = Envelope { topic: "c", ..kept };
    append(subject.log(), 4, &[again, until(1, "d", b"over")]);
    assert!(is_deleted("d"));
    assert_eq!(body("c"), expected(&again));
}
