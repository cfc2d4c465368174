//! What PostgreSQL says: passed on to tracing, its end kept for messages. It writes no file.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// How many lines are kept for a message about a failure.
const LINES_MAX: usize = 20;
/// A longer line is taken in parts.
const LINE_BYTES_MAX: u64 = 2048;

/// The last lines said.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogTail(Arc<Mutex<VecDeque<String>>>);

impl LogTail {
    /// Reads to the end of `output`, that is until the last process that writes to it is gone.
    pub(crate) fn follow(&self, output: impl Read) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut output).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            // FATAL ends one connection, which its client learns by itself; PANIC ends the server.
            if text.contains("PANIC:") {
                tracing::warn!(target: "postgres", "{text}");
            } else {
                tracing::debug!(target: "postgres", "{text}");
            }
            self.push(text);
        }
    }

    fn push(&self, text: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(text);
    }

    /// The last lines as one text.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_in_bounded_pieces() {
        let tail = LogTail::default();
        let long = "x".repeat(5000);
        let said: Vec<String> = (0..LINES_MAX).map(|n| format!("line {n}")).collect();
        tail.follow(format!("{}\n{long}\nlast", said.join("\n")).as_bytes());
        let text = tail.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0], "line 4");
        assert_eq!(lines.last(), Some(&"last"));
        assert!(lines.iter().all(|line| line.len() as u64 <= LINE_BYTES_MAX));
    }
}
