//! The specification of envelope and batch.

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;
use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    Batch, BatchError, CHANGE_HEADER_BYTES, Change, DOCUMENT_BYTES_MAX, Entries, Entry, Envelope,
    EnvelopeError, Envelopes, KEY_BYTES_MAX, RECORD_HEADER_BYTES, RetentionClass,
};

/// What [`Envelope`] borrows.
#[derive(Clone, Debug)]
struct Owned {
    instance: u128,
    qos: Qos,
    retain: bool,
    retention: Option<RetentionClass>,
    history: bool,
    expires_at: Option<u64>,
    stored_at: u64,
    workers: u64,
    content: Vec<u8>,
    topic: String,
    publisher: String,
    payload: Vec<u8>,
}

impl Owned {
    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            instance: InstanceId(Uuid::from_u128(self.instance)),
            qos: self.qos,
            retain: self.retain,
            retention: self.retention,
            history: self.history,
            expires_at: self.expires_at.map(UnixMillis),
            stored_at: UnixMillis(self.stored_at),
            workers: self.workers,
            content: &self.content,
            topic: &self.topic,
            publisher: &self.publisher,
            payload: &self.payload,
        }
    }
}

fn any_message() -> impl Strategy<Value = Owned> {
    let qos = prop::sample::select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]);
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    let retention = prop::option::of(prop::sample::select(RetentionClass::ALL.to_vec()));
    let numbers = (any::<u128>(), any::<u64>(), any::<u64>(), prop::option::of(any::<u64>()));
    let flags = any::<(bool, bool)>();
    let content = prop_oneof![Just(vec![]), prop::collection::vec(any::<u8>(), 0..30)];
    (numbers, qos, flags, retention, content, "\\PC{0,20}", "\\PC{0,10}", payload).prop_map(
        |(numbers, qos, (retain, history), retention, content, topic, publisher, payload)| Owned {
            instance: numbers.0,
            qos,
            retain,
            retention,
            history,
            expires_at: numbers.3,
            stored_at: numbers.1,
            workers: numbers.2,
            content,
            topic,
            publisher,
            payload,
        },
    )
}

fn batch(messages: &[Owned]) -> Batch {
    let mut batch = Batch::new();
    for message in messages {
        batch.append(&message.envelope()).expect("short enough");
    }
    batch
}

/// One message: `a/b` by `c` with one byte of payload.
fn example() -> Owned {
    Owned {
        instance: 0x0102_0304_0506_0708_090A_0B0C_0D0E_0F10,
        qos: Qos::AtLeastOnce,
        retain: true,
        retention: Some(RetentionClass::Week),
        history: true,
        expires_at: None,
        stored_at: 0x1122,
        workers: 0b11 << 62,
        content: Vec::new(),
        topic: "a/b".into(),
        publisher: "c".into(),
        payload: vec![0xFF],
    }
}

#[test]
fn the_form_is_this_byte_for_byte() {
    let expected: &[u8] = &[
        3, 0b10, 0, 0, // version; messages with the retain flag
        45, 0, 0, 0, // bytes that follow
        0b1101, 3, // in the history, retained, QoS 1; a week
        3, 0, 1, 0, 0, 0, // topic, publisher
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, // instance
        0x22, 0x11, 0, 0, 0, 0, 0, 0, // stored at
        0, 0, 0, 0, 0, 0, 0, 0xC0, // workers
        b'a', b'/', b'b', b'c', 0xFF,
    ];
    assert_eq!(batch(&[example()]).as_bytes(), expected);
    assert_eq!(example().envelope().size_bytes(), expected.len() - 4);
}

#[test]
fn an_expiry_stands_behind_the_header() {
    let plain = example();
    let expiring = Owned { expires_at: Some(0x0102), ..plain.clone() };
    let (plain, with) = (batch(&[plain]).into_bytes(), batch(std::slice::from_ref(&expiring)).into_bytes());
    assert_eq!((with[4], with[8]), (53, 0b1_1101));
    assert_eq!(with[9..48], plain[9..48]);
    assert_eq!((&with[48..56], &with[56..]), (&[2, 1, 0, 0, 0, 0, 0, 0][..], &plain[48..]));
    let envelope = expiring.envelope();
    assert_eq!([0x0101, 0x0102].map(|now| envelope.is_expired(UnixMillis(now))), [false, true]);
    assert!(!example().envelope().is_expired(UnixMillis(u64::MAX)));
}

#[test]
fn content_stands_in_front_of_the_topic() {
    let plain = example();
    let with_content = Owned { content: vec![1, 1, 2], ..plain.clone() };
    let (plain, with) =
        (batch(&[plain]).into_bytes(), batch(std::slice::from_ref(&with_content)).into_bytes());
    assert_eq!((with[4], with[8]), (50, 0b10_1101));
    assert_eq!(with[9..48], plain[9..48]);
    assert_eq!((&with[48..53], &with[53..]), (&[3, 0, 1, 1, 2][..], &plain[48..]));
    let both = batch(&[Owned { expires_at: Some(0x0102), ..with_content }]).into_bytes();
    assert_eq!((both[4], both[8]), (58, 0b11_1101));
    assert_eq!((&both[48..56], &both[56..]), (&[2, 1, 0, 0, 0, 0, 0, 0][..], &with[48..]));
}

/// What was written before there was content is read, and would be written so today.
#[test]
fn a_batch_of_an_earlier_release_is_read() {
    let stored: &[u8] = include_bytes!("../testdata/batch-without-content.bin");
    let read = Batch::from_bytes(stored.to_vec()).expect("a batch");
    let expected = [
        example(),
        Owned { retain: false, payload: b"alike".to_vec(), ..example() },
        Owned { expires_at: Some(0x0102), history: false, topic: "é".into(), ..example() },
        Owned { retention: None, publisher: String::new(), payload: Vec::new(), ..example() },
    ];
    assert_eq!(
        read.iter().collect::<Result<Vec<_>, _>>(),
        Ok(expected.iter().map(Owned::envelope).collect::<Vec<_>>())
    );
    assert_eq!(batch(&expected).as_bytes(), stored);
}

#[test]
fn the_form_of_a_change_is_this_byte_for_byte() {
    let put = change(b"s/a", Some(&[0xFF]));
    let mut batch = Batch::new();
    batch.change(&put).expect("short enough");
    let expected: &[u8] = &[
        3, 0b1, 0, 0, // version; changes
        28, 0, 0, 0, // bytes that follow
        0x80, 0, // a document put
        3, 0, // key
        0, 0, 0, 0, // nothing
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, // instance
        b's', b'/', b'a', 0xFF,
    ];
    assert_eq!(batch.as_bytes(), expected);
    assert_eq!(put.size_bytes(), expected.len() - 4);
    let mut deleted = Batch::new();
    deleted.change(&change(b"s/a", None)).expect("short enough");
    assert_eq!((deleted.as_bytes()[8], deleted.as_bytes().len()), (0x81, expected.len() - 1));
}

fn change<'a>(key: &'a [u8], body: Option<&'a [u8]>) -> Change<'a> {
    Change { instance: example().envelope().instance, key, body }
}

#[test]
fn changes_stand_between_messages_and_are_not_counted() {
    let mut batch = Batch::new();
    let changes = [change(b"a", Some(b"1")), change(b"b", None), change(b"a", Some(b""))];
    let plain = Owned { retain: false, ..example() };
    batch.change(&changes[0]).expect("fits");
    assert_eq!(
        (batch.len(), batch.is_empty(), batch.has_changes(), batch.has_retained()),
        (0, false, true, false)
    );
    batch.append(&plain.envelope()).expect("fits");
    batch.change(&changes[1]).expect("fits");
    batch.change(&changes[2]).expect("fits");
    assert!(!batch.has_retained());
    batch.append(&example().envelope()).expect("fits");
    assert_eq!((batch.len(), batch.has_retained(), batch.has_documents()), (2, true, true));
    let messages: Vec<_> = batch.iter().map(|it| it.expect("whole")).collect();
    assert_eq!(messages, [plain.envelope(), example().envelope()]);
    assert_eq!(batch.changes().collect::<Result<Vec<_>, _>>().as_deref(), Ok(&changes[..]));
    for (record, envelope) in batch.records().zip(messages) {
        assert_eq!(Envelope::from_record(record.expect("whole").bytes), Ok(envelope));
    }
    let order = batch.entries().map(|it| matches!(it.expect("whole"), Entry::Change(_)));
    assert_eq!(order.collect::<Vec<_>>(), [true, false, true, true, false]);
    assert_eq!(Batch::from_bytes(batch.as_bytes().to_vec()), Ok(batch.clone()));
    batch.clear();
    assert!(batch.is_empty() && !batch.has_documents());
}

#[test]
fn a_header_that_does_not_say_what_is_there_is_refused() {
    let mut mixed = batch(&[example()]);
    mixed.change(&change(b"a", None)).expect("fits");
    for content in 0..=255 {
        let mut bytes = mixed.as_bytes().to_vec();
        bytes[1] = content;
        let read = Batch::from_bytes(bytes);
        assert_eq!(read.err(), (content != 0b11).then_some(BatchError::Header), "{content}");
    }
}

#[test]
fn a_change_that_does_not_fit_leaves_no_trace() {
    let (key, body) = (vec![1; KEY_BYTES_MAX + 1], vec![2; DOCUMENT_BYTES_MAX + 1]);
    for too_long in [change(&key, None), change(b"", None), change(b"a", Some(&body))] {
        let mut none = Batch::new();
        assert_eq!(none.change(&too_long), Err(EnvelopeError::TooLong));
        assert_eq!(none, Batch::new());
    }
    let longest = change(&key[1..], Some(&body[1..]));
    let mut batch = Batch::new();
    batch.change(&longest).expect("it fits");
    assert!(batch.as_bytes().len() <= crate::BATCH_BYTES_MAX);
    assert_eq!(batch.changes().next(), Some(Ok(longest)));
}

#[test]
fn a_damaged_change_is_an_error_and_the_end() {
    let mut good = Batch::new();
    for _ in 0..2 {
        good.change(&change(b"ab", Some(b"body"))).expect("fits");
    }
    for (at, value, error) in [
        (4, 200, EnvelopeError::Truncated),
        (4, 23, EnvelopeError::Truncated),
        (8, 0b1000_0010, EnvelopeError::Flags),
        (8, 0x81, EnvelopeError::Truncated),
        (9, 1, EnvelopeError::Flags),
        (10, 0, EnvelopeError::Truncated),
        (10, 7, EnvelopeError::Truncated),
        (12, 1, EnvelopeError::Flags),
        (15, 1, EnvelopeError::Flags),
    ] {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = value;
        assert_eq!(
            Entries::read(&bytes).expect("a batch").collect::<Vec<_>>(),
            [Err(error)],
            "byte {at} = {value}"
        );
        assert_eq!(Envelopes::read(&bytes).expect("a batch").collect::<Vec<_>>(), [Err(error)], "byte {at}");
        assert_eq!(Batch::from_bytes(bytes), Err(BatchError::Record(error)), "byte {at} = {value}");
    }
}

#[test]
fn no_message_is_no_bytes() {
    let empty = Batch::new();
    assert!(empty.is_empty() && empty.as_bytes().is_empty());
    assert_eq!(Envelopes::read(empty.as_bytes()).expect("a batch").count(), 0);
    assert_eq!(Batch::with_memory(vec![7; 9]), empty);
}

#[test]
fn memory_is_used_again() {
    let mut batch = batch(&[example(), example()]);
    let memory = batch.as_bytes().as_ptr();
    batch.clear();
    assert!(batch.is_empty());
    batch.append(&example().envelope()).expect("short enough");
    assert_eq!((batch.len(), batch.iter().count(), batch.as_bytes().as_ptr()), (1, 1, memory));
    let mut next = Batch::with_memory(batch.into_bytes());
    next.append(&example().envelope()).expect("short enough");
    assert_eq!((next.len(), next.as_bytes().as_ptr()), (1, memory));
}

#[test]
fn a_message_that_does_not_fit_leaves_no_trace() {
    let long = "x".repeat(65_536);
    let longest = &long[1..];
    for envelope in [
        Envelope { topic: &long, ..example().envelope() },
        Envelope { publisher: &long, ..example().envelope() },
        Envelope { content: long.as_bytes(), ..example().envelope() },
    ] {
        let mut none = Batch::new();
        assert_eq!(none.append(&envelope), Err(EnvelopeError::TooLong));
        assert_eq!(none, Batch::new());
        let mut one = batch(&[example()]);
        assert_eq!(one.append(&envelope), Err(EnvelopeError::TooLong));
        assert_eq!(one, batch(&[example()]));
    }
    let mut fits = Batch::new();
    let content = longest.as_bytes();
    assert_eq!(content.len(), crate::CONTENT_BYTES_MAX);
    let example = example();
    let widest = Envelope { topic: longest, publisher: longest, content, ..example.envelope() };
    fits.append(&widest).expect("it fits");
    assert_eq!(fits.iter().next(), Some(Ok(widest)));
}

#[test]
fn another_form_is_refused_by_name() {
    for (bytes, error) in [
        (&[3, 0, 0][..], BatchError::Truncated),
        (&[2, 0, 0, 0], BatchError::Version(2)),
        (&[0, 0, 0, 0, 9], BatchError::Version(0)),
        (&[3, 0, 0, 1], BatchError::Header),
        (&[3, 4, 0, 0], BatchError::Header),
    ] {
        assert_eq!(Envelopes::read(bytes).map(Iterator::count), Err(error));
    }
    assert_eq!(BatchError::Version(2).to_string(), "a batch has the form of version 2, not 3");
}

#[test]
fn a_damaged_record_is_an_error_and_the_end() {
    let good = batch(&[example(), example()]).into_bytes();
    for (at, value, error) in [
        (4, 200, EnvelopeError::Truncated),
        (7, 255, EnvelopeError::Truncated),
        (4, 39, EnvelopeError::Truncated),
        (4, 41, EnvelopeError::Truncated),
        (8, 0b011, EnvelopeError::Flags),
        (8, 0b100_0000, EnvelopeError::Flags),
        (8, 0b1000_0000, EnvelopeError::Flags),
        (8, 0b10_1101, EnvelopeError::Truncated),
        (9, 5, EnvelopeError::Flags),
        (14, 1, EnvelopeError::Flags),
        (10, 255, EnvelopeError::Truncated),
        (12, 9, EnvelopeError::Truncated),
        (48, 0xFF, EnvelopeError::Text),
        (51, 0xFF, EnvelopeError::Text),
    ] {
        let mut bytes = good.clone();
        bytes[at] = value;
        let read: Vec<_> = Envelopes::read(&bytes).expect("a batch").collect();
        assert_eq!(read, [Err(error)], "byte {at} = {value}");
        assert_eq!(Batch::from_bytes(bytes), Err(BatchError::Record(error)), "byte {at} = {value}");
    }
}

#[test]
fn damaged_content_is_an_error_and_the_end() {
    let good = batch(&[Owned { content: vec![1, 2], ..example() }]).into_bytes();
    // Its length is too long by far, so long that the topic is cut, and none.
    for (length, error) in
        [(255, EnvelopeError::Truncated), (6, EnvelopeError::Truncated), (0, EnvelopeError::Flags)]
    {
        let mut bytes = good.clone();
        bytes[48] = length;
        assert_eq!(Envelopes::read(&bytes).expect("a batch").collect::<Vec<_>>(), [Err(error)], "{length}");
    }
    let short = [&[3, 0, 0, 0, 41, 0, 0, 0, 0b10_0000, 0, 0, 0, 0, 0][..], &[0; 35]].concat();
    let read: Vec<_> = Envelopes::read(&short).expect("a batch").collect();
    assert_eq!(read, [Err(EnvelopeError::Truncated)], "half a length");
}

proptest! {
    /// A publisher's messages come many at a time: those that are like the first are the same bytes however they are
    /// added, and are known as what they are when they are read.
    #[test]
    fn messages_that_are_alike_are_as_if_each_were_appended_whole(
        runs in prop::collection::vec((any_message(), prop::collection::vec(any_message(), 0..4)), 0..5),
    ) {
        let (mut alike, mut whole) = (Batch::new(), Batch::new());
        let mut expected = Vec::new();
        for (first, others) in runs {
            alike.append(&first.envelope()).expect("short enough");
            whole.append(&first.envelope()).expect("short enough");
            expected.push((first.clone(), false));
            for Owned { qos, retain, payload, .. } in others {
                alike.append_alike(qos, retain, &payload).expect("short enough");
                let other = Owned { qos, retain, payload, ..first.clone() };
                whole.append(&other.envelope()).expect("short enough");
                expected.push((other, true));
            }
        }
        prop_assert_eq!(alike.as_bytes(), whole.as_bytes());
        prop_assert_eq!((alike.len(), alike.has_retained()), (whole.len(), whole.has_retained()));
        prop_assert_eq!(&Batch::from_bytes(alike.as_bytes().to_vec()), &Ok(whole));
        let mut before: Option<Envelope<'_>> = None;
        for (at, record) in alike.records().enumerate() {
            let record = record.expect("it was appended");
            let Envelope { qos, retain, payload, .. } = record.envelope;
            prop_assert_eq!(record.envelope, expected[at].0.envelope());
            prop_assert_eq!(Envelope::from_record(record.bytes), Ok(record.envelope));
            let is_like = before.is_some_and(|it| record.envelope == Envelope { qos, retain, payload, ..it });
            prop_assert!(is_like || !record.is_alike);
            // The second of many says that it is worth a look.
            prop_assert!(record.is_alike || at < 2 || !expected[at].1 || !expected[at - 1].1);
            before = Some(record.envelope);
        }
        prop_assert_eq!(alike.records().count(), expected.len());
    }

    #[test]
    fn what_was_appended_is_read(messages in prop::collection::vec(any_message(), 0..20)) {
        let batch = batch(&messages);
        prop_assert_eq!(batch.len() as usize, messages.len());
        let read: Result<Vec<_>, _> = Envelopes::read(batch.as_bytes()).expect("a batch").collect();
        let written: Vec<_> = messages.iter().map(Owned::envelope).collect();
        prop_assert_eq!(read.as_deref(), Ok(&*written));
        let size: usize = written.iter().map(Envelope::size_bytes).sum();
        prop_assert_eq!(batch.as_bytes().len(), if messages.is_empty() { 0 } else { size + 4 });
        for (record, envelope) in batch.records().zip(written) {
            let record = record.expect("it was appended");
            prop_assert_eq!(record.envelope, envelope);
            prop_assert_eq!(record.bytes, &batch.as_bytes()[record.at..record.at + record.bytes.len()]);
            prop_assert_eq!(Envelope::from_record(record.bytes), Ok(envelope));
        }
        prop_assert_eq!(Batch::from_bytes(batch.as_bytes().to_vec()), Ok(batch));
    }

    #[test]
    fn a_batch_that_is_cut_gives_what_is_whole_and_one_error(
        messages in prop::collection::vec(any_message(), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let batch = batch(&messages);
        let bytes = &batch.as_bytes()[..4 + cut.index(batch.as_bytes().len() - 4)];
        let read: Vec<_> = Envelopes::read(bytes).expect("a batch").collect();
        let mut end = 4;
        let mut expected = Vec::new();
        for message in &messages {
            let start = end;
            end += message.envelope().size_bytes();
            if end <= bytes.len() {
                expected.push(Ok(message.envelope()));
            } else if start < bytes.len() {
                expected.push(Err(EnvelopeError::Truncated));
            }
        }
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(mut bytes in prop::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        if header && bytes.len() >= 4 {
            bytes[..4].copy_from_slice(&[3, 3, 0, 0]);
        }
        if let Ok(envelopes) = Envelopes::read(&bytes) {
            prop_assert!(envelopes.count() <= bytes.len() / RECORD_HEADER_BYTES + 1);
        }
        if let Ok(entries) = Entries::read(&bytes) {
            prop_assert!(entries.count() <= bytes.len() / CHANGE_HEADER_BYTES + 1);
        }
    }

    #[test]
    fn a_damaged_batch_is_read_to_an_end(
        messages in prop::collection::vec(any_message(), 1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = batch(&messages).into_bytes();
        let length = bytes.len() - 4;
        for (at, value) in damage {
            bytes[4 + at.index(length)] = value;
        }
        let read = Envelopes::read(&bytes).expect("a batch");
        prop_assert!(read.clone().count() <= bytes.len() / RECORD_HEADER_BYTES + 1);
        prop_assert!(read.filter(Result::is_err).count() <= 1);
    }
}

#[test]
fn a_batch_that_was_emptied_has_no_message_to_be_like() {
    let mut emptied = batch(&[example()]);
    emptied.clear();
    assert!(emptied.append_alike(Qos::AtLeastOnce, false, b"x").is_err());
    assert!(emptied.is_empty());
}
