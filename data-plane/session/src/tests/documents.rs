//! What is written is what is read, and nothing that is read can break anything.

use contract::qos::Qos;
use engine::Pos;
use mqtt::Version;
use proptest::prelude::*;

use super::kept::{Documents, Kept};
use super::script::{Scribe, bounds, settings, settings_of};
use crate::{Bounds, Granted, Lasting, Millis, RestoreError, Session, StoredParts, Will};

/// A session in some state, and its documents.
fn written(steps: &[(u8, u16)]) -> Documents {
    let mut kept = Kept::subscribed(Bounds { in_flight_max: 20, ..bounds() });
    let mut record = 5;
    for &(step, number) in steps {
        record += u64::from(number % 700);
        let packet_id = number % 40 + 1;
        let script = match step {
            0..3 => format!("logged a {} {record}", number % 3),
            3 => format!("write\nstored\npuback {packet_id}"),
            4 => format!("write\nstored\npubrec {packet_id}"),
            5 => format!("write\nstored\npubcomp {packet_id}"),
            6 => format!("publish safe/a 2 {packet_id}\ncommitted {packet_id}"),
            7 => format!("subscribe 9 {number}/+:{}", number % 3),
            8 => format!("unsubscribe 9 {number}/+ #"),
            9 => format!("deliver b 2 granted {}", number % 3),
            _ => format!("mark {record}\ntick\nreconnect\nwant\npage next {record}"),
        };
        // Words that come at a wrong time close the session, and a write may have nothing to write.
        let script = script.replace("write\nstored\n", "");
        let _ = kept.run(&script);
        if kept.play.session.is_closed() {
            kept.run("reconnect");
        }
    }
    let lasting = kept.play.session.lasting_mut().expect("it lasts");
    whole(lasting)
}

/// All documents of a session.
fn whole(lasting: &mut Lasting) -> Documents {
    let mut documents = Documents::default();
    let topic = "t".parse().expect("a topic");
    let (payload, content) = ([1; 3].into(), [3, 0, 1, b'x'].into());
    let will = Will {
        topic,
        payload,
        qos: Qos::ExactlyOnce,
        retain: true,
        delay_secs: 300,
        expiry_secs: Some(70),
        content,
    };
    lasting.set_will(None);
    lasting.set_will(Some(Box::new(will)));
    lasting.checkpoint();
    lasting.receive(mqtt::PacketId::MAX, true);
    let id = lasting.write_changes(|part, bytes| documents.put(part, bytes));
    if let Some(id) = id {
        lasting.changes_committed(id);
    }
    documents
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(steps in prop::collection::vec((0_u8..11, any::<u16>()), 0..120)) {
        let first = written(&steps);
        let mut restored = first.restore();
        prop_assert!(!restored.has_changes());
        prop_assert_eq!(whole(&mut restored).0, first.0);
    }

    #[test]
    fn no_bytes_break_anything(
        session in bytes(), progress in bytes(), received in bytes(),
        steps in prop::collection::vec((0_u8..11, any::<u16>()), 0..40),
        part in 0_usize..3, at in any::<prop::sample::Index>(), to in any::<u8>(), is_cut in any::<bool>(),
    ) {
        let _ = attach(&[Some(session), Some(progress), Some(received)]);
        let Documents(mut parts) = written(&steps);
        let damaged = parts[part].as_mut().expect("all were written");
        let at = at.index(damaged.len());
        damaged[at] = to;
        if is_cut {
            damaged.truncate(at);
        }
        let _ = attach(&parts);
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0_u8), Just(1_u8), any::<u8>()], 0..60).prop_map(|mut bytes| {
        bytes.insert(0, if bytes.len() % 2 == 0 { 1 } else { 2 });
        bytes
    })
}

/// Begins with such documents, if they can be read.
fn attach(parts: &[Option<Vec<u8>>; 3]) -> Result<(), RestoreError> {
    let [session, progress, received] = parts;
    let stored = StoredParts {
        session: session.as_deref().unwrap_or_default(),
        progress: progress.as_deref(),
        received: received.as_deref(),
    };
    let lasting = Box::new(Lasting::restore(&stored)?);
    let mut scribe = Scribe::default();
    let mut session = Session::attach(Millis(0), settings(), lasting, &mut scribe);
    let head = Pos::of_record(u64::MAX);
    if session.wanted_page(head, 0).is_some() {
        let mut rendering = crate::Rendering::new();
        session.take_page([], head, head, contract::time::UnixMillis(0), &mut rendering, &mut scribe);
    }
    session.advance(head, Millis(u64::MAX));
    session.write_changes(|_, _| {});
    Ok(())
}

#[test]
fn documents_of_another_version_or_missing_or_longer_are_none() {
    let Documents([session, progress, received]) = written(&[]);
    let (session, progress, received) = (session.expect("s"), progress.expect("p"), received.expect("q"));
    let whole = [session.clone(), progress.clone(), received.clone()];
    for part in 0..3 {
        for (change, expected) in [
            ("version", RestoreError::Version(9)),
            ("longer", RestoreError::Damaged),
            ("empty", RestoreError::Truncated),
        ] {
            let mut parts = whole.clone().map(Some);
            let bytes = parts[part].as_mut().expect("there");
            match change {
                "version" => bytes[0] = 9,
                "longer" => bytes.push(0),
                _ => bytes.clear(),
            }
            assert_eq!(attach(&parts), Err(expected), "{change} of {part}");
        }
    }
    assert_eq!(attach(&[Some(session.clone()), None, None]), Err(RestoreError::Missing));
    assert_eq!(attach(&[Some(session), Some(progress), None]), Ok(()));
}

#[test]
fn a_thousand_in_flight_take_about_three_kilobytes() {
    let mut kept = Kept::subscribed(Bounds { in_flight_max: 1_000, ..bounds() });
    for record in 0..1_000 {
        kept.run(&format!("logged a 2 {}", 5 + record * 3));
    }
    let Documents([_, progress, _]) = whole(kept.play.session.lasting_mut().expect("it lasts"));
    let size = progress.expect("written").len();
    assert!(size < 3_300, "{size}");
}

#[test]
fn an_idle_session_is_a_few_hundred_bytes() {
    assert!(size_of::<Lasting>() <= 600, "{}", size_of::<Lasting>());
}

/// A session that could not be stored would lock its client out.
#[test]
fn no_client_makes_a_document_that_is_too_long() {
    let longest = Bounds { topic_bytes_max: u16::MAX, subscriptions_max: u32::MAX, ..bounds() };
    let mut kept = Kept::new(longest);
    let filter = |at: u32| format!("{at:05}{}", "x".repeat(60_000));
    let granted = (0..100).filter(|&at| {
        let effects = kept.run(&format!("subscribe 1 {}:1", filter(at)));
        assert_eq!(effects.contains("refused client_subscriptions_max"), !effects.contains("subscribe "));
        effects.contains("subscribe ")
    });
    assert_eq!(granted.count(), 34, "in two MiB");
    kept.run("write\nstored\nwant\nlogged a 1 5");
    assert!(kept.run(&format!("subscribe 2 {}:2", filter(0))).contains("subscribe "), "it is held already");
    for at in 0..34 {
        kept.run(&format!("unsubscribe 3 {}\nsubscribe 4 {}:1", filter(at), filter(100 + at)));
    }
    let mut session = 0;
    kept.play.session.write_changes(|part, bytes| {
        if part == crate::Part::Session {
            session = bytes.len();
        }
    });
    assert!((3_000_000..engine::DOCUMENT_BYTES_MAX).contains(&session), "{session}");
}

/// As release 0.1 wrote it: a version, flags, owner, expiry, since when it is away, a will with its delay, two
/// subscriptions, and one that has ended.
const VERSION_1: &[u8] = b"\x01\x03\x08client/a\x90\x1c\x80\xd0\x95\xff\xbc\x31\x03\x1e\x01w\x03bye\
    \x02\x03a/+\x02\xac\x02\x02\x01b\x00\x00\x00\x01\x01c\x05\x00";

#[test]
fn documents_of_version_1_are_read() {
    let parts = StoredParts { session: VERSION_1, progress: Some(b"\x01\xa2\x02\0\0\0\0"), received: None };
    let restored = Lasting::restore(&parts).expect("an older one");
    assert_eq!((restored.owner(), restored.expiry_secs()), ("client/a", 3_600));
    assert_eq!(restored.detached_at(), Some(contract::time::UnixMillis(1_700_000_000_000)));
    assert_eq!(restored.cursor(), Pos::of_record(290));
    let will = restored.will().expect("it has one");
    assert_eq!((will.topic.as_str(), &*will.payload, will.qos), ("w", &b"bye"[..], Qos::AtLeastOnce));
    assert_eq!((will.retain, will.delay_secs, will.expiry_secs, will.content.len()), (true, 30, None, 0));
    let held: Vec<_> =
        restored.subscriptions().map(|(filter, granted, pos)| (filter.as_str(), granted, pos)).collect();
    let since = Pos { record: 300, index: 2 };
    let expected = [
        ("a/+", Granted::of(Qos::ExactlyOnce), since),
        ("b", Granted::of(Qos::AtMostOnce), Pos::of_record(0)),
    ];
    assert_eq!(held, expected);
}

/// What only version 2 can say is damage in version 1: nobody has written it.
#[test]
fn a_document_of_version_1_with_what_it_cannot_hold_is_damaged() {
    let progress: &[u8] = b"\x01\xa2\x02\0\0\0\0";
    for at in 0..VERSION_1.len() {
        let mut session = VERSION_1.to_vec();
        // The flags of the will, and what was granted for `a/+`.
        if (VERSION_1[at], VERSION_1.get(at + 1)) == (0x03, Some(&0x1e)) {
            session[at] |= 0b1_1000;
        } else if VERSION_1[..at].ends_with(b"a/+") {
            session[at] |= 0b1100;
        } else {
            continue;
        }
        let parts = StoredParts { session: &session, progress: Some(progress), received: None };
        assert_eq!(Lasting::restore(&parts).err(), Some(RestoreError::Damaged), "{at}");
    }
}

#[test]
fn a_session_of_5_0_is_there_again_with_all_that_was_asked() {
    let mut kept = Kept::with(settings_of(Version::V5));
    kept.run("subscribe 1 a:2np id=268435455\nsubscribe 2 b/#:1p");
    let lasting = kept.play.session.lasting_mut().expect("it lasts");
    let documents = whole(lasting);
    assert_eq!(documents.0[0].as_ref().map(|session| session[0]), Some(2));
    let restored = documents.restore();
    assert!(restored.subscriptions().eq(lasting.subscriptions()));
    assert!(restored.subscriptions().all(|(_, granted, _)| granted.is_special()));
    let will = restored.will().expect("it has one");
    assert_eq!((Some(will), will.expiry_secs), (lasting.will(), Some(70)));
    assert_eq!(mqtt::Content::from_stored(&will.content).content_type(), Some("x"));
}
