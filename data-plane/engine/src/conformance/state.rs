//! What every [`State`] does.

use super::{instance, wait};
use crate::{DOCUMENT_BYTES_MAX, Document, Key, Rev, State, WriteError};

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).expect("a key of a test")
}

fn put<S: State>(state: &S, of: u128, name: &str, body: &[u8], expect: Rev) -> Result<Rev, WriteError> {
    wait(state.put(instance(of), &key(name), body.to_vec(), expect))
}

fn load<S: State>(state: &S, of: u128, name: &str) -> Option<Document> {
    wait(state.load(instance(of), &key(name))).expect("an engine that works")
}

/// Two threads count in one document: no count is lost, since of two writers that saw one revision one succeeds.
pub fn of_two_writers_one_succeeds<S: State>(make: impl Fn() -> S) {
    const COUNTS: u32 = 200;
    let state = &make();
    let count = || {
        let mut conflicts = 0_u64;
        for _ in 0..COUNTS {
            loop {
                let found = load(state, 1, "count");
                let (rev, counted) = found.map_or((Rev::ABSENT, 0), |document| {
                    let body = document.body.try_into().expect("four bytes were put");
                    (document.rev, u32::from_be_bytes(body))
                });
                match put(state, 1, "count", &(counted + 1).to_be_bytes(), rev) {
                    Ok(new) => {
                        assert!(new > rev, "a revision grows");
                        break;
                    }
                    Err(WriteError::Conflict { found }) => {
                        assert_ne!(found, rev, "a conflict names what stands there");
                        conflicts += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        conflicts
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(count), scope.spawn(count)];
        threads.map(|thread| thread.join().expect("it does not panic"))
    });
    let counted = load(state, 1, "count").expect("it was put").body;
    assert_eq!(counted, (2 * COUNTS).to_be_bytes());
}

/// A revision never comes back, even for a document that was deleted and put again.
pub fn revisions_grow_across_deletion<S: State>(make: impl Fn() -> S) {
    let state = &make();
    assert_eq!(load(state, 1, "a"), None);
    let first = put(state, 1, "a", b"1", Rev::ABSENT).expect("there is none");
    assert!(first > Rev::ABSENT);
    assert_eq!(put(state, 1, "a", b"2", Rev::ABSENT), Err(WriteError::Conflict { found: first }));
    let second = put(state, 1, "a", b"2", first).expect("it is the one that was seen");
    assert!(second > first);
    let delete = |expect| wait(state.delete(instance(1), &key("a"), expect));
    assert_eq!(delete(first), Err(WriteError::Conflict { found: second }));
    assert_eq!(delete(second), Ok(()));
    assert_eq!(load(state, 1, "a"), None);
    assert_eq!(delete(second), Err(WriteError::Conflict { found: Rev::ABSENT }));
    assert_eq!(delete(Rev::ABSENT), Ok(()), "that there is none is what was expected");
    assert_eq!(put(state, 1, "a", b"3", second), Err(WriteError::Conflict { found: Rev::ABSENT }));
    let third = put(state, 1, "a", b"3", Rev::ABSENT).expect("there is none again");
    assert!(third > second);
    assert_eq!(load(state, 1, "a"), Some(Document { rev: third, body: b"3".to_vec() }));
}

/// A scan gives what begins with the prefix, in the order of keys, page by page.
pub fn a_scan_is_in_order_and_bounded<S: State>(make: impl Fn() -> S) {
    let state = &make();
    for name in ["b/2", "a/1", "b/10", "b", "b/1", "c/1", "b/\u{ff}"] {
        put(state, 1, name, name.as_bytes(), Rev::ABSENT).expect("there is none");
    }
    let scan = |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(key);
        let found = wait(state.scan(instance(1), prefix.as_bytes(), after.as_ref(), limit));
        let names = found.expect("an engine that works").into_iter().map(|(key, document)| {
            assert_eq!(key.as_bytes(), document.body);
            String::from_utf8(document.body).expect("text was put")
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(scan("b/", None, 10), ["b/1", "b/10", "b/2", "b/\u{ff}"]);
    assert_eq!(scan("b/", None, 2), ["b/1", "b/10"]);
    assert_eq!(scan("b/", Some("b/10"), 10), ["b/2", "b/\u{ff}"]);
    assert_eq!(scan("b/", Some("a/1"), 1), ["b/1"], "`after` in front of the prefix leaves nothing out");
    assert_eq!(scan("b/", Some("c"), 10), [""; 0]);
    assert_eq!(scan("", None, 10).len(), 7);
    assert_eq!(scan("", None, 0), [""; 0]);
}

/// Nothing of one instance is seen or changed through another's id.
pub fn documents_of_instances_are_apart<S: State>(make: impl Fn() -> S) {
    let state = &make();
    let one = put(state, 1, "a", b"one's", Rev::ABSENT).expect("there is none");
    assert_eq!(load(state, 2, "a"), None);
    assert_eq!(put(state, 2, "a", b"two's", one), Err(WriteError::Conflict { found: Rev::ABSENT }));
    assert!(wait(state.scan(instance(2), b"", None, 10)).expect("an engine that works").is_empty());
    put(state, 2, "a", b"two's", Rev::ABSENT).expect("there is none");
    assert_eq!(wait(state.delete(instance(1), &key("a"), one)), Ok(()));
    assert_eq!(load(state, 2, "a").map(|document| document.body), Some(b"two's".to_vec()));
    assert!(wait(state.scan(instance(1), b"", None, 10)).expect("an engine that works").is_empty());
}

/// A scan of all instances gives the same documents, each with its instance, page by page.
pub fn a_scan_of_all_instances_is_in_order_and_bounded<S: State>(make: impl Fn() -> S) {
    let state = &make();
    for (of, name) in [(2, "b/1"), (1, "a/9"), (3, "b/"), (1, "b/2"), (1, "b/1"), (3, "c"), (2, "a")] {
        put(state, of, name, name.as_bytes(), Rev::ABSENT).expect("there is none");
    }
    let scan = |prefix: &str, after: Option<(u128, &str)>, limit| {
        let after = after.map(|(of, name)| (instance(of), key(name)));
        let after = after.as_ref().map(|(instance, key)| (*instance, key));
        let found = wait(state.scan_all(prefix.as_bytes(), after, limit)).expect("an engine that works");
        let names = found.into_iter().map(|(instance, key, document)| {
            assert_eq!(key.as_bytes(), document.body);
            (instance.0.as_u128(), String::from_utf8(document.body).expect("text was put"))
        });
        names.collect::<Vec<_>>()
    };
    let all = [(1, "b/1"), (1, "b/2"), (2, "b/1"), (3, "b/")].map(|(of, name)| (of, name.to_owned()));
    assert_eq!(scan("b/", None, 10), all);
    assert_eq!(scan("b/", None, 3), all[..3]);
    for (behind, (of, name)) in (1..).zip(&all) {
        assert_eq!(scan("b/", Some((*of, name)), 10), all[behind..]);
    }
    assert_eq!(
        scan("b/", Some((1, "c")), 10),
        all[2..],
        "`after` behind the prefix leaves the next instance"
    );
    assert_eq!(scan("b/", Some((2, "a")), 1), all[2..3]);
    assert_eq!(scan("", None, 10).len(), 7);
    assert_eq!(scan("b/", None, 0), []);
}

/// The longest document is taken, a longer one is not.
pub fn what_is_too_long_is_refused<S: State>(make: impl Fn() -> S) {
    let state = &make();
    let longest = vec![7; DOCUMENT_BYTES_MAX];
    let rev = put(state, 1, "a", &longest, Rev::ABSENT).expect("it is as long as may be");
    assert_eq!(put(state, 1, "a", &vec![7; DOCUMENT_BYTES_MAX + 1], rev), Err(WriteError::TooLong));
    assert_eq!(load(state, 1, "a"), Some(Document { rev, body: longest }));
}
