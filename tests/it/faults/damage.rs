//! Files that were changed while the broker was stopped: a torn end, a flipped byte, in every kind of file. It starts,
//! says what is damaged, and serves the rest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tests::fault_broker::{Installed, copy_directory, files_below};
use tests::{AtLeastOnce, ExactlyOnce, wait_for};
use tokio::time::timeout;

/// Messages that the broker has before anything is damaged, and the bytes of each: two small segments and a half.
const MESSAGES: usize = 600;
const PAYLOAD_BYTES: usize = 4_096;

/// Those of them that wait for the lasting session.
const WAITING: usize = MESSAGES / 3;

/// What has not come after so long does not come.
const SILENCE: Duration = Duration::from_millis(700);

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Journal,
    Sealed,
    Documents,
    Replica,
}

impl Kind {
    /// The kind of a file, by its path below the broker's directory; none: what may be lost at any time.
    fn of(path: &Path) -> Option<Self> {
        let text = path.to_string_lossy();
        let name = path.file_name()?.to_string_lossy();
        match text.split('/').next()? {
            "log" if text.starts_with("log/documents") => Some(Self::Documents),
            "log" if name.starts_with("journal") => Some(Self::Journal),
            "log" if name.starts_with("history") => Some(Self::Sealed),
            "replica" => Some(Self::Replica),
            _ => None,
        }
    }
}

/// A broker with messages in its journal and in sealed segments, a retained message, and a lasting session with
/// messages that wait for it; stopped, with a copy of everything beside it.
struct Stopped {
    broker: Installed,
    copy: PathBuf,
}

impl Stopped {
    async fn new() -> Self {
        let mut broker = Installed::installing().small_segments().start().await;
        let session = broker.client("sleeper").lasting();
        session.connect().await.subscribed("kept/0/#", AtLeastOnce).await.disconnect().await;
        let mut mouth = broker.connect("mouth").await;
        let payload = "x".repeat(PAYLOAD_BYTES);
        for number in 0..MESSAGES {
            mouth.publish(&format!("kept/{}/{number}", number % 3), &payload, AtLeastOnce).await;
        }
        mouth.send_publish("state", "on", AtLeastOnce, true).await;
        mouth.ping().await;
        let log = broker.broker_directory().join("log");
        let is_sealed = |file: &PathBuf| file.to_string_lossy().starts_with("history");
        wait_for("sealed segments", async || files_below(&log).iter().any(is_sealed)).await;
        broker.stop().await;
        let copy = broker.beside("copy");
        copy_directory(&broker.broker_directory(), &copy);
        Self { broker, copy }
    }

    /// The files of a kind, the longest first.
    fn files(&self, kind: Kind) -> Vec<PathBuf> {
        let mut files = files_below(&self.copy);
        files.retain(|file| Kind::of(file) == Some(kind));
        let bytes = |file: &PathBuf| std::fs::metadata(self.copy.join(file)).expect("it is there").len();
        files.sort_by_key(|file| std::cmp::Reverse(bytes(file)));
        files
    }

    /// Everything as it was at the stop, but for this file; then it is started. Answers what it says.
    async fn start_with(&mut self, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let directory = self.broker.broker_directory();
        copy_directory(&self.copy, &directory);
        let path = directory.join(file);
        let mut bytes = std::fs::read(&path).expect("read");
        change(&mut bytes);
        std::fs::write(&path, bytes).expect("written");
        let said = self.broker.start().await;
        self.broker.wait_until_serving().await;
        said
    }

    /// New messages come and go, kept and looked for.
    async fn serves(&self, what: &Path) {
        let mut mouth = self.broker.connect("mouth-2").await;
        // A node whose copy of the configuration was damaged asks for it anew, and knows of no history until it has it.
        wait_for("the history to be kept", async || {
            mouth.publish("kept/probe", "is it?", AtLeastOnce).await;
            self.newest().await.as_deref() == Some("kept/probe")
        })
        .await;
        let mut ear = self.broker.connect("ear").await.subscribed("kept/new", ExactlyOnce).await;
        mouth.publish("kept/new", "news", ExactlyOnce).await;
        ear.expect("kept/new", "news").await;
        assert_eq!(self.newest().await.as_deref(), Some("kept/new"), "{}", what.display());
    }

    /// The topic of the newest message that a query finds.
    async fn newest(&self) -> Option<String> {
        self.page().await["items"][0]["topic"].as_str().map(str::to_owned)
    }

    async fn page(&self) -> Value {
        let instance = self.broker.instance();
        instance.api.get(&instance.path("/messages?order=newest&limit=200")).await.ok().clone()
    }

    /// How many messages a query over everything finds, page by page, and whether it says that this is all.
    async fn found(&self) -> (usize, bool) {
        let instance = self.broker.instance();
        let (mut found, mut is_complete, mut path) =
            (0, true, instance.path("/messages?order=oldest&limit=200"));
        loop {
            let page = instance.api.get(&path).await.ok().clone();
            let items = page["items"].as_array().expect("a list").iter();
            found += items.filter(|item| item["topic"] != "kept/probe").count();
            is_complete &= page["coverage"]["complete"] == true;
            let Some(cursor) = page["next_cursor"].as_str() else { return (found, is_complete) };
            path = instance.path(&format!("/messages?order=oldest&limit=200&cursor={cursor}"));
        }
    }
}

/// What is left for those who come after something was damaged.
#[derive(Debug)]
struct Left {
    /// Messages that a query finds, and whether it says that these are all.
    found: (usize, bool),
    /// What the lasting session gets; none: it is refused.
    session: Option<(bool, usize)>,
    /// Whether the retained message is there.
    is_retained: bool,
    /// Everything that the broker has said of itself, from its start to its end.
    said: String,
}

impl Stopped {
    async fn left(&mut self, said: String) -> Left {
        let found = self.found().await;
        let session = self.session().await;
        let mut ear = self.broker.connect("ear-2").await.subscribed("state", AtLeastOnce).await;
        let is_retained = timeout(SILENCE, ear.message()).await.is_ok_and(|message| message.retain);
        let health = self.broker.health().await;
        let ended = self.broker.stop().await;
        Left { found, session, is_retained, said: format!("{said}\n{health}\n{ended}") }
    }

    /// Whether the broker knows the lasting session, and how much has waited for it.
    async fn session(&self) -> Option<(bool, usize)> {
        let mut sleeper = self.broker.client("sleeper").lasting().try_connect().await.ok()?;
        let (is_present, mut messages) = (sleeper.session_present(), 0);
        while timeout(SILENCE, sleeper.message()).await.is_ok() {
            messages += 1;
        }
        Some((is_present, messages))
    }
}

impl Left {
    /// Nothing is missing.
    fn is_whole(&self) -> bool {
        self.found.0 > MESSAGES && self.session == Some((true, WAITING)) && self.is_retained
    }

    /// For whoever reads the output.
    fn short(&self) -> String {
        let Self { found, session, is_retained, said } = self;
        let health = said.lines().find(|line| line.contains("message log")).unwrap_or("ok");
        format!("found {found:?}, session {session:?}, retained {is_retained}; {health}")
    }

    /// What is missing is not passed over in silence.
    fn is_said(&self) -> bool {
        let said = self.said.to_lowercase();
        !self.found.1
            || ["damage", "lost", "cannot be read", "made anew"].iter().any(|word| said.contains(word))
    }
}

type Change = fn(&mut Vec<u8>);

/// What a file holds, without the room behind it that it has taken ahead.
fn filled(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1)
}

/// One byte is another one: at the beginning, in the middle, at the end.
const FLIPS: [(&str, Change); 3] = [
    ("its fourth byte", |bytes| bytes[3] ^= 0x10),
    ("the byte in its middle", |bytes| {
        let middle = filled(bytes) / 2;
        bytes[middle] ^= 0x10;
    }),
    ("its last byte", |bytes| {
        let last = filled(bytes) - 1;
        bytes[last] ^= 0x10;
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_said_and_the_rest_is_served() {
    let mut stopped = Stopped::new().await;
    for kind in [Kind::Journal, Kind::Sealed, Kind::Documents, Kind::Replica] {
        let files = stopped.files(kind);
        assert!(!files.is_empty(), "{kind:?}: there is none in {:?}", files_below(&stopped.copy));
        for (what, change) in FLIPS {
            let said = stopped.start_with(&files[0], change).await;
            stopped.serves(&files[0]).await;
            let left = stopped.left(said).await;
            let case = format!("{}, {what}: {left:#?}", files[0].display());
            println!("{}, {what}: {}", files[0].display(), left.short());
            assert!(!left.said.contains("panicked"), "{case}");
            assert!(left.is_whole() || left.is_said(), "{case}");
            assert!(left.found.0 > MESSAGES / 4, "only what is damaged is lost: {case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_costs_what_is_torn() {
    let mut stopped = Stopped::new().await;
    for kind in [Kind::Journal, Kind::Sealed, Kind::Documents, Kind::Replica] {
        let file = stopped.files(kind).swap_remove(0);
        let said = stopped.start_with(&file, |bytes| bytes.truncate(filled(bytes) - 7)).await;
        stopped.serves(&file).await;
        let left = stopped.left(said).await;
        let case = format!("{}: {left:#?}", file.display());
        println!("{}: {}", file.display(), left.short());
        assert!(!left.said.contains("panicked"), "{case}");
        // The end of a journal that lacks something is what every crash leaves: nobody was told of it.
        assert!(kind == Kind::Journal || left.is_whole() || left.is_said(), "{case}");
        assert!(left.found.0 > MESSAGES / 4, "only what is torn is lost: {case}");
    }
}
