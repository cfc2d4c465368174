//! A lasting session played from a text, over connections and crashes. Besides the words of the plain script:
//!
//! ```text
//! write            the end of a round: what has changed is handed in; says which parts were
//! stored | lost    the oldest of that is stored, or will not be
//! mark 9           the watermark of its worker
//! logged a 1 5     a message of the feed: topic, QoS, record; granted QoS 2
//! want | want 12   asks whether it wants a page, up to the watermark or to there
//! page 3:a:1 4:b:2:own next 9  the page: record, topic, QoS, whether it is the client's `own` or `retain`; what it goes up to
//! skip 7           passes over what is before
//! tick             the watermark and the time are told
//! reconnect        the connection ends and another begins, in one process
//! crash            the process ends; another one restores what was stored
//! ```

use std::collections::VecDeque;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use engine::{Envelope, Pos};

use super::script::{Play, bounds, qos, settings, value};
use crate::{Bounds, ChangeId, Ended, Lasting, Part, Session, Settings, Sink, StoredParts};

/// Bytes of the documents, by part.
#[derive(Clone, Default)]
pub(super) struct Documents(pub(super) [Option<Vec<u8>>; 3]);

impl Documents {
    pub(super) fn put(&mut self, part: Part, bytes: &[u8]) {
        let at = Part::ALL.iter().position(|it| *it == part).expect("one of them");
        self.0[at] = Some(bytes.to_vec());
    }

    /// Later ones take the place of earlier ones.
    pub(super) fn adopt(&mut self, later: Self) {
        for (held, later) in self.0.iter_mut().zip(later.0) {
            *held = later.or(held.take());
        }
    }

    pub(super) fn restore(&self) -> Lasting {
        let [session, progress, received] = &self.0;
        let parts = StoredParts {
            session: session.as_deref().expect("it was written"),
            progress: progress.as_deref(),
            received: received.as_deref(),
        };
        Lasting::restore(&parts).expect("as it was written")
    }
}

/// A lasting session, its surroundings and its storage.
pub(super) struct Kept {
    pub(super) play: Play,
    pub(super) settings: Settings,
    stored: Documents,
    handed_in: VecDeque<(ChangeId, Documents)>,
}

pub(super) fn envelope<'a>(topic: &'a str, qos: Qos, payload: &'a [u8]) -> Envelope<'a> {
    Envelope {
        instance: "00000000-0000-0000-0000-000000000000".parse().expect("an identifier"),
        qos,
        retain: false,
        retention: None,
        history: false,
        expires_at: topic.starts_with("old").then_some(UnixMillis(1)),
        stored_at: UnixMillis(0),
        workers: 0,
        content: &[],
        topic,
        publisher: "",
        payload,
    }
}

impl Kept {
    /// A new session that is subscribed to everything, with that stored, live at record 1.
    pub(super) fn subscribed(bounds: Bounds) -> Self {
        let mut kept = Self::new(bounds);
        let effects = kept.run("subscribe 1 #:2\nwrite\nstored\nwant");
        assert!(effects.ends_with("write s p\nsend SUBACK 1 2\n"), "{effects}");
        kept
    }

    pub(super) fn new(bounds: Bounds) -> Self {
        Self::with(Settings { bounds, ..settings() })
    }

    pub(super) fn with(settings: Settings) -> Self {
        let mut play = Play::new(settings.clone());
        play.scribe.watermark = 1;
        let lasting = Box::new(Lasting::new("owner", Pos::START));
        play.session = Session::attach(play.now, settings.clone(), lasting, &mut play.scribe);
        Self { play, settings, stored: Documents::default(), handed_in: VecDeque::new() }
    }

    pub(super) fn run(&mut self, script: &str) -> String {
        for line in script.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            self.step(&words);
        }
        self.play.run("")
    }

    fn step(&mut self, words: &[&str]) {
        let Play { session, scribe, rendering, now } = &mut self.play;
        let watermark = Pos::of_record(scribe.watermark);
        match words {
            ["write"] => {
                let mut documents = Documents::default();
                let mut line = "write".to_owned();
                let id = session.write_changes(|part, bytes| {
                    documents.put(part, bytes);
                    line.push(' ');
                    line.push_str(part.prefix().trim_end_matches('/'));
                });
                scribe.line(format_args!("{line}"));
                self.handed_in.extend(id.map(|id| (id, documents)));
            }
            ["stored"] => {
                let (id, documents) = self.handed_in.pop_front().expect("something was handed in");
                self.stored.adopt(documents);
                session.changes_committed(id, scribe);
            }
            ["lost"] => {
                let (id, _) = self.handed_in.pop_front().expect("something was handed in");
                session.changes_failed(id, Refusal::StorageUnavailable, scribe);
            }
            ["mark", record] => scribe.watermark = record.parse().expect("a number"),
            ["logged", topic, published, record, more @ ..] => {
                let pos = Pos::of_record(record.parse().expect("a number"));
                let message = rendering.message(topic, b"payload", qos(published));
                let expires_at = value(more, "expires").map(UnixMillis);
                let mut message = message.with_expiry(expires_at, scribe.unix_now());
                let delivered =
                    session.deliver_logged(pos, &mut message, Qos::ExactlyOnce, &mut scribe.output);
                self.play.note(topic, delivered);
            }
            ["want", head @ ..] => {
                let pending = scribe.output.len();
                let head = head.first().map(|record| record.parse().expect("a number"));
                if let Some(wanted) = session.wanted_page(head.map_or(watermark, Pos::of_record), pending) {
                    scribe.line(format_args!("want {} to {}", wanted.start.record, wanted.end.record));
                }
            }
            ["page", messages @ .., "next", next] => {
                let page = messages.iter().map(|message| {
                    let [record, topic, published, more @ ..] = &*message.split(':').collect::<Vec<_>>()
                    else {
                        panic!("{message}")
                    };
                    let pos = Pos::of_record(record.parse().expect("a number"));
                    let publisher = if more.contains(&"own") { "me" } else { "" };
                    let retain = more.contains(&"retain");
                    (pos, Envelope { publisher, retain, ..envelope(topic, qos(published), b"payload") })
                });
                let next = Pos::of_record(next.parse().expect("a number"));
                session.take_page(page, next, watermark, UnixMillis(1_000), rendering, scribe);
            }
            ["skip", record] => session.skip_to(Pos::of_record(record.parse().expect("a number"))),
            ["tick"] => session.advance(watermark, *now),
            ["reconnect"] => self.away(|_| ()),
            ["crash"] => {
                self.handed_in.clear();
                let lasting = Box::new(self.stored.restore());
                self.connect(lasting);
            }
            plain => self.play.step(plain),
        }
    }

    /// The connection ends, something is done, and another begins.
    pub(super) fn away(&mut self, act: impl FnOnce(&mut Lasting)) {
        let now = self.play.now;
        let nobody = Session::new(now, self.settings.clone());
        let before = std::mem::replace(&mut self.play.session, nobody);
        let mut lasting = before.end(Ended::Closed).lasting.expect("it lasts");
        lasting.set_detached_at(Some(UnixMillis(now.0)));
        act(&mut lasting);
        self.connect(lasting);
    }

    fn connect(&mut self, lasting: Box<Lasting>) {
        let play = &mut self.play;
        play.step(&["read"]);
        play.session = Session::attach(play.now, self.settings.clone(), lasting, &mut play.scribe);
    }
}

/// Plays `script` with a session that is subscribed to everything; indentation does not count.
#[track_caller]
pub(super) fn check(script: &str, expected: &str) {
    check_within(bounds(), script, expected);
}

#[track_caller]
pub(super) fn check_within(bounds: Bounds, script: &str, expected: &str) {
    let effects = Kept::subscribed(bounds).run(script);
    let lines = expected.lines().map(str::trim).filter(|line| !line.is_empty());
    let expected: String = lines.fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(effects, expected, "of the script {script}");
}
