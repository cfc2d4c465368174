//! What every [`Replay`](crate::Replay) finds retained: the last message of each topic, in the order of the log.

use std::collections::BTreeMap;

use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::{Outcomes, Subject, append, batch, instance, message, rich_message};
use crate::{Envelope, KEY_BYTES_MAX, RETAINED_PREFIX};

const NOW: UnixMillis = UnixMillis(1_000_000);

fn filter(text: &str) -> TopicFilter {
    text.parse().expect("a filter of a test")
}

/// A message that is retained, and not stored for anybody else.
const fn retained<'a>(topic: &'a str, payload: &'a [u8]) -> Envelope<'a> {
    Envelope { retain: true, retention: None, history: false, ..message(topic, payload) }
}

/// Topics and payloads of all that is found, on pages of so many.
fn look_up<S: Subject>(subject: &S, of: u128, filter: &TopicFilter, limit: usize) -> Vec<(String, Vec<u8>)> {
    let (mut after, mut found) = (None, Vec::new());
    for _ in 0..10_000 {
        let page = subject.replay().retained(instance(of), filter, after.as_deref(), NOW, limit);
        let page = page.expect("an engine that works");
        assert!(page.messages.len() <= limit.max(1));
        for message in &page.messages {
            let envelope = Envelope::from_record(&message.record).expect("a record");
            assert!(envelope.retain && envelope.instance == instance(of));
            found.push((envelope.topic.to_owned(), envelope.payload.to_vec()));
        }
        let Some(next) = page.next else { return found };
        assert!(after.is_none_or(|after| after < next), "a page leads on");
        after = Some(next);
    }
    panic!("the pages of {filter} have no end");
}

/// Of a topic's retained messages the last in the log stands, within a batch too; an empty one deletes
/// [MQTT-3.3.1-5], [MQTT-3.3.1-10].
pub fn the_last_message_of_a_topic_is_retained<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let all = filter("#");
    let found = |of| look_up(&subject, of, &all, 10);
    let one = |topic: &str, payload: &[u8]| (topic.to_owned(), payload.to_vec());
    append(subject.log(), 1, &[retained("a", b"1"), message("b", b"not retained"), retained("b", b"2")]);
    assert_eq!(found(1), [one("a", b"1"), one("b", b"2")]);
    append(subject.log(), 2, &[retained("a", b"3"), retained("a", b"4"), retained("b", b"")]);
    assert_eq!(found(1), [one("a", b"4")]);
    append(subject.log(), 3, &[retained("b", b""), retained("b", b"5"), message("a", b"6")]);
    assert_eq!(found(1), [one("a", b"4"), one("b", b"5")]);
    let logged =
        Envelope { qos: Qos::ExactlyOnce, retention: message("a", b"").retention, ..retained("a", b"7") };
    append(subject.log(), 4, &[logged, Envelope { instance: instance(2), ..retained("b", b"8") }]);
    assert_eq!(found(1), [one("a", b"7"), one("b", b"5")]);
    assert_eq!((found(2), found(3)), (vec![one("b", b"8")], vec![]), "instances are apart");
}

/// Whatever the topics and the filter: what is found is what a plain search through them finds, in the order of their
/// bytes, on pages of any size.
pub fn retained_messages_are_those_of_a_plain_search<S: Subject>(make: impl Fn() -> S) {
    const LEVELS: [&str; 9] = ["", "a", "a-", "b", "a!", "$x", "ab", "é", "0"];
    const FILTERS: [&str; 26] = [
        "#", "+", "+/#", "+/+", "+/+/+", "/", "/#", "/+", "a", "a/#", "a/+", "a/+/a", "a/+/#", "+/a",
        "+/a/#", "+/a/+", "+/+/a", "$x", "$x/#", "$x/+", "a-/#", "a//+", "+//b", "é/+/é", "none/#", "a/b/0",
    ];
    let subject = make();
    let mut topics = BTreeMap::new();
    let outcomes = Outcomes::new(1_000);
    let mut submitted = 0;
    for (number, first) in LEVELS.iter().enumerate() {
        for second in LEVELS {
            let mut round: Vec<_> = LEVELS.iter().map(|third| format!("{first}/{second}/{third}")).collect();
            round.push(format!("{first}/{second}"));
            round.extend((!first.is_empty()).then(|| (*first).to_owned()));
            round.retain(|topic| topic.len() % 3 != number % 3);
            let messages: Vec<_> = round.iter().map(|topic| retained(topic, topic.as_bytes())).collect();
            if !messages.is_empty() {
                outcomes.submit(subject.log(), submitted, 0, batch(&messages));
                submitted += 1;
            }
            topics.extend(round.into_iter().map(|topic| (topic.clone(), topic.into_bytes())));
        }
    }
    for _ in 0..submitted {
        outcomes.next();
    }
    for text in FILTERS {
        let filter = filter(text);
        let matching = topics.iter().filter(|(topic, _)| filter.matches(topic));
        let expected: Vec<_> = matching.map(|(topic, payload)| (topic.clone(), payload.clone())).collect();
        for limit in [1, 3, 1_000] {
            assert_eq!(look_up(&subject, 1, &filter, limit), expected, "{text} by {limit}");
        }
    }
}

/// A retained message is whole: what it was published with is given with it, and replaced with it.
pub fn retained_messages_keep_their_content<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let rich = Envelope { stored_at: UnixMillis(7), retain: true, ..rich_message("a/b", b"1") };
    for (id, envelope) in (1..).zip([rich, retained("a/b", b"2"), rich]) {
        append(subject.log(), id, &[envelope, retained("a/c", b"")]);
        for text in ["a/b", "a/+", "#"] {
            let page =
                subject.replay().retained(instance(1), &filter(text), None, NOW, 10).expect("it works");
            let records: Vec<_> =
                page.messages.iter().map(|it| Envelope::from_record(&it.record).expect("a record")).collect();
            assert_eq!(records, [envelope], "{text}");
        }
    }
}

/// What has expired is not found; the longest topic that can be retained is.
pub fn expired_messages_are_left_out<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let longest = "t".repeat(KEY_BYTES_MAX - RETAINED_PREFIX.len());
    let until = |at, topic| Envelope { expires_at: Some(UnixMillis(at)), ..retained(topic, b"x") };
    let (over, good) = (until(NOW.0, "a/1"), until(NOW.0 + 1, "a/2"));
    append(subject.log(), 1, &[over, good, retained("a/3", b"x"), retained(&longest, b"x")]);
    let topics = |text: &str| {
        let found = look_up(&subject, 1, &filter(text), 1);
        found.into_iter().map(|(topic, _)| topic).collect::<Vec<_>>()
    };
    assert_eq!(topics("#"), ["a/2", "a/3", longest.as_str()]);
    assert_eq!((topics("a/1"), topics("a/2")), (vec![], vec!["a/2".to_owned()]));
    assert_eq!(topics(&longest), [longest.as_str()]);
}
