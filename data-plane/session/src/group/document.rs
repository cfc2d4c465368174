//! The document of a group: how far it has read, and what before that is open. Messages at members are returned ones
//! after a crash: they are handed out again.

use engine::Pos;

use super::{CHECKPOINT_ACKNOWLEDGEMENTS, CHECKPOINT_MILLIS, GROUP_OPEN_MAX, Group, IDLE_CHECKPOINT_MILLIS};
use crate::lasting::RestoreError;
use crate::lasting::document::{ORIGIN, Reader, Writer};
use crate::time::Millis;

/// What the key of a group's document begins with; the group's name, a slash and the filter follow.
pub const GROUP_PREFIX: &str = "g/";

impl<M: Copy + Ord> Group<M> {
    /// The group that a document holds. `since` is the smallest of its members' subscriptions: what the document says of
    /// the time before, it says of another group of the same name.
    pub fn restore(document: &[u8], since: Pos, now: Millis) -> Result<Self, RestoreError> {
        let mut reader = Reader::new(document)?;
        let mut open = Vec::new();
        let mut from = ORIGIN;
        for _ in 0..reader.count()? {
            let pos = reader.pos(from)?;
            if !open.is_empty() && pos <= from || open.len() >= GROUP_OPEN_MAX {
                return Err(RestoreError::Damaged);
            }
            open.push(pos);
            from = pos;
        }
        let read_to = reader.pos(from)?;
        if open.last().is_some_and(|&last| last >= read_to) {
            return Err(RestoreError::Damaged);
        }
        reader.end()?;
        let mut restored = Self::new(read_to.max(since), now);
        restored.returned = open.into_iter().filter(|&pos| pos >= since).collect();
        restored.recorded = restored.cursor();
        Ok(restored)
    }

    /// Writes the document. What it says counts as stored, until [`write_failed`](Self::write_failed) says otherwise.
    pub fn write(&mut self, out: &mut Vec<u8>, now: Millis) {
        let mut open: Vec<Pos> = self.pending.keys().chain(&self.returned).copied().collect();
        open.sort_unstable();
        let mut writer = Writer::new(out);
        writer.count(open.len());
        let mut from = ORIGIN;
        for pos in open {
            from = writer.pos(from, pos);
        }
        writer.pos(from, self.read_to());
        self.acknowledged = 0;
        self.recorded = self.cursor();
        self.recorded_at = now;
    }

    /// What was written is not stored: it is to be written again, a while later.
    pub fn write_failed(&mut self) {
        self.acknowledged = self.acknowledged.max(1);
    }

    /// Whether something is not in the document.
    #[must_use]
    pub fn has_unwritten(&self) -> bool {
        self.acknowledged > 0 || self.cursor() != self.recorded
    }

    /// When the document is to be written at the latest; `None`: nothing has changed.
    #[must_use]
    pub fn checkpoint_at(&self) -> Option<Millis> {
        // A long document is written less often.
        let open = u32::try_from(self.open()).unwrap_or(u32::MAX);
        match self.acknowledged {
            acknowledged if acknowledged >= CHECKPOINT_ACKNOWLEDGEMENTS.max(open / 2) => {
                Some(self.recorded_at)
            }
            1.. => Some(self.recorded_at.after(CHECKPOINT_MILLIS)),
            0 => self.has_unwritten().then(|| self.recorded_at.after(IDLE_CHECKPOINT_MILLIS)),
        }
    }

    /// Whether the document is to be written now.
    #[must_use]
    pub fn checkpoint_due(&self, now: Millis) -> bool {
        self.checkpoint_at().is_some_and(|at| now >= at)
    }
}
