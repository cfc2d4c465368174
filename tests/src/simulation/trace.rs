//! What happened in a run, in order: all of it as one number, so that two runs can be compared, and the end of it as
//! text, for whoever looks for a mistake.

use std::collections::VecDeque;
use std::fmt::{Arguments, Write as _};

/// Lines that are kept.
const LINES_MAX: usize = 400;

/// A run so far.
#[derive(Debug)]
pub struct Trace {
    steps: u64,
    digest: u64,
    lines: VecDeque<String>,
    line: String,
}

impl Default for Trace {
    fn default() -> Self {
        Self { steps: 0, digest: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new(), line: String::new() }
    }
}

impl Trace {
    /// One thing that happened.
    pub fn note(&mut self, what: Arguments<'_>) {
        self.steps += 1;
        self.line.clear();
        let _ = write!(self.line, "{:>6} {what}", self.steps);
        for byte in self.line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut line = if self.lines.len() < LINES_MAX {
            String::new()
        } else {
            self.lines.pop_front().unwrap_or_default()
        };
        std::mem::swap(&mut line, &mut self.line);
        self.lines.push_back(line);
    }

    /// How much has happened: the time of the simulation, in which everything has its place.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.steps
    }

    /// One number for all that happened.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The last things that happened, the oldest first.
    #[must_use]
    pub fn tail(&self) -> String {
        self.lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}
