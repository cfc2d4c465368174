//! Other programs: the product's own binary and the clients of Debian.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

pub use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::wait::wait_for;

/// Names the binary under test; unset, it is looked for beside this test's own.
pub const BINARY_VARIABLE: &str = "IOTMQ_TEST_BINARY";

/// The longest that a program may be silent while a test waits for its words: a first start makes a database.
pub const SILENCE_MAX: Duration = Duration::from_mins(1);

/// Lines that may wait to be read; a program that says more has to wait.
const LINES_MAX: usize = 10_000;

/// A running program and the lines it prints. Dropped, it is killed.
pub struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// Every line that has been read so far.
    pub heard: Vec<String>,
}

/// The binary under test.
#[must_use]
pub fn iotmq() -> Command {
    let path = std::env::var_os(BINARY_VARIABLE).map_or_else(beside_the_tests, PathBuf::from);
    assert!(path.is_file(), "no `{}`: `cargo build --bin iotmq`, or set {BINARY_VARIABLE}", path.display());
    Command::new(path)
}

/// `target/<profile>/iotmq`, from `target/<profile>/deps/it-…`.
fn beside_the_tests() -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    test.ancestors().nth(2).expect("a test lies in `deps`").join("iotmq")
}

impl Program {
    /// Starts it; standard output and standard error are read as one.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (send, lines) = mpsc::channel(LINES_MAX);
        forward(child.stdout.take().expect("piped"), send.clone());
        forward(child.stderr.take().expect("piped"), send);
        Self { child, lines, heard: Vec::new() }
    }

    /// The next line; none at the end of the output.
    pub async fn line(&mut self) -> Option<String> {
        let Ok(line) = timeout(SILENCE_MAX, self.lines.recv()).await else {
            panic!("silent for {SILENCE_MAX:?}; before that it said {:#?}", self.heard)
        };
        self.heard.extend(line.clone());
        line
    }

    /// Reads until a line contains `text` and answers that line.
    pub async fn line_with(&mut self, text: &str) -> String {
        self.line_that(text, |line| line.contains(text)).await
    }

    /// Reads until a line begins with `text`, but for spaces, and answers that line.
    pub async fn line_beginning(&mut self, text: &str) -> String {
        self.line_that(text, |line| line.trim_start().starts_with(text)).await
    }

    async fn line_that(&mut self, what: &str, is_meant: impl Fn(&str) -> bool) -> String {
        while let Some(line) = self.line().await {
            if is_meant(&line) {
                return line;
            }
        }
        panic!("it ended before it said {what:?}; it said {:#?}", self.heard)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Waits for its end; answers whether it succeeded, and everything it has said.
    pub async fn ended(mut self) -> (bool, String) {
        while self.line().await.is_some() {}
        wait_for("the end of a program", async || !self.runs()).await;
        let success = self.child.wait().expect("our own child").success();
        (success, self.heard.join("\n"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("process ids are small"));
        kill(pid, signal).expect("our own child, not waited for yet");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn forward(stream: impl Read + Send + 'static, send: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
}
