//! What becomes due while the client is away.

use contract::qos::Qos;
use contract::time::UnixMillis;
use engine::Pos;

use super::kept::Documents;
use super::script::{Scribe, settings};
use crate::{Due, Ended, EndedSession, Lasting, Millis, Part, Session, Settings, Will};

#[expect(clippy::unnecessary_box_returns, reason = "a session holds it so")]
fn will(delay_secs: u32) -> Box<Will> {
    let topic = "will/a".parse().expect("a topic");
    Box::new(Will {
        topic,
        payload: b"gone"[..].into(),
        qos: Qos::AtLeastOnce,
        retain: true,
        delay_secs,
        expiry_secs: None,
        content: Box::default(),
    })
}

fn attached(delay_secs: u32, script: &str) -> Session {
    let lasting = Box::new(Lasting::new("owner", Pos::START));
    let settings = Settings { will: Some(will(delay_secs)), ..settings() };
    let mut scribe = Scribe::default();
    let mut session = Session::attach(Millis(0), settings, lasting, &mut scribe);
    if script == "disconnect" {
        session.handle(Millis(0), mqtt::Packet::Disconnect(mqtt::Disconnect::default()), &mut scribe);
    }
    session
}

#[test]
fn a_will_is_published_at_once_or_waits_or_is_void() {
    for (delay_secs, script, ended, published, kept) in [
        (0, "", Ended::Closed, true, false),
        (9, "", Ended::Closed, false, true),
        (0, "disconnect", Ended::Closed, false, false),
        (9, "disconnect", Ended::Closed, false, false),
        (0, "", Ended::NodeStopping, false, true),
    ] {
        let EndedSession { will, lasting, .. } = attached(delay_secs, script).end(ended);
        let lasting = lasting.expect("it lasts");
        let outcome = (will.is_some(), lasting.will().is_some());
        assert_eq!(outcome, (published, kept), "{delay_secs} {script:?} {ended:?}");
    }
}

#[test]
fn will_and_end_are_due_in_their_time() {
    let mut lasting = attached(9, "").end(Ended::Closed).lasting.expect("it lasts");
    assert_eq!((lasting.next_due(), lasting.due(UnixMillis(u64::MAX))), (None, None), "not detached yet");
    lasting.set_detached_at(Some(UnixMillis(1_000)));
    assert_eq!((lasting.next_due(), lasting.due(UnixMillis(9_999))), (Some(UnixMillis(10_000)), None));
    assert_eq!(lasting.due(UnixMillis(10_000)), Some(Due::Will(will(9))));
    assert_eq!((lasting.next_due(), lasting.due(UnixMillis(100_999))), (Some(UnixMillis(101_000)), None));
    assert_eq!(lasting.due(UnixMillis(101_000)), Some(Due::Expired));
}

#[test]
fn a_will_waits_no_longer_than_its_session_lasts_and_comes_before_the_end() {
    let mut lasting = attached(1_000, "").end(Ended::Closed).lasting.expect("it lasts");
    lasting.set_detached_at(Some(UnixMillis(0)));
    assert_eq!(lasting.due(UnixMillis(100_000)), Some(Due::Will(will(1_000))));
    assert_eq!(lasting.due(UnixMillis(100_000)), Some(Due::Expired));
}

#[test]
fn a_client_that_comes_back_ends_the_waiting_and_its_new_will_stands() {
    let mut lasting = attached(9, "").end(Ended::Closed).lasting.expect("it lasts");
    lasting.set_detached_at(Some(UnixMillis(0)));
    let session = Session::attach(Millis(0), settings(), lasting, &mut Scribe::default());
    assert_eq!(session.will(), None);
    let lasting = session.lasting().expect("it lasts");
    assert_eq!((lasting.detached_at(), lasting.next_due(), lasting.expiry_secs()), (None, None, 100));
}

#[test]
fn owner_expiry_and_will_are_there_after_a_crash() {
    let mut lasting = attached(9, "").end(Ended::Closed).lasting.expect("it lasts");
    lasting.set_detached_at(Some(UnixMillis(77)));
    let mut documents = Documents::default();
    assert!(lasting.write_changes(|part, bytes| documents.put(part, bytes)).is_some());
    let restored = documents.restore();
    assert_eq!((restored.owner(), restored.expiry_secs()), ("owner", 100));
    assert_eq!((restored.detached_at(), restored.will()), (Some(UnixMillis(77)), Some(&*will(9))));
    assert!(!restored.has_changes());
}

#[test]
fn that_a_will_was_published_is_written_with_it_whatever_is_under_way() {
    let parts = |lasting: &mut Lasting| {
        let mut parts = Vec::new();
        lasting.write_changes(|part, _| parts.push(part));
        parts
    };
    let mut session = attached(0, "");
    session.write_changes(|_, _| {});
    let mut lasting = session.end(Ended::Closed).lasting.expect("it lasts");
    assert_eq!(parts(&mut lasting), [Part::Session], "with the end of the connection");

    let mut lasting = attached(9, "").end(Ended::Closed).lasting.expect("it lasts");
    lasting.set_detached_at(Some(UnixMillis(0)));
    assert_eq!(parts(&mut lasting), [Part::Session, Part::Progress]);
    lasting.set_expiry_secs(50);
    assert_eq!(parts(&mut lasting), [], "what nothing depends on waits");
    assert_eq!(lasting.due(UnixMillis(10_000)), Some(Due::Will(will(9))));
    assert_eq!(parts(&mut lasting), [Part::Session], "when it is due");
}
