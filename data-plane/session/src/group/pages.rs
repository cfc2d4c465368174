//! A group's way through the log: what it takes from the feed, which pages it asks for, and what of them it wants.

use std::ops::Range;

use engine::Pos;

use super::Group;

/// Records between two returned messages that one page reads through.
const AGAIN_GAP_RECORDS: u64 = 1_024;

/// The part of the log of which a page is to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupPage {
    /// From where to where; the page may cover less, from the start on.
    pub range: Range<Pos>,
    /// It is read once more, for what was returned: bounds of the queue do not apply, for most of it is finished.
    pub is_again: bool,
}

impl<M: Copy + Ord> Group<M> {
    /// Whether it takes from the log and not from the feed.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.reading.is_behind()
    }

    /// Whether a message of the feed is to be handed out now: then follows [`sent`](Self::sent),
    /// [`pass_over`](Self::pass_over) or [`leave`](Self::leave). To be asked of each once, in the feed's order.
    #[must_use]
    pub fn shows(&mut self, pos: Pos) -> bool {
        self.reading.shows(pos)
    }

    /// Whether a message of a page is to be handed out: it was not yet, or was returned.
    #[must_use]
    pub fn wants(&self, pos: Pos) -> bool {
        pos >= self.read_to() || self.returned.contains(&pos)
    }

    /// The message is on its way to the member that was [chosen](Self::choose).
    pub fn sent(&mut self, pos: Pos, to: M) {
        debug_assert!(self.wants(pos), "handed out once");
        self.pass_over(pos);
        self.pending.insert(pos, to);
        self.members.charge(to);
    }

    /// Nobody will get the message: its time is over, or no packet can hold it.
    pub fn pass_over(&mut self, pos: Pos) {
        if !self.returned.remove(&pos) {
            self.reading.took(pos);
        }
    }

    /// There is no room for the message, which is [wanted](Self::wants) or [shown](Self::shows): it stays in the log. A
    /// page that was being taken ends here.
    pub fn leave(&mut self, pos: Pos) {
        self.again = None;
        if !self.returned.contains(&pos) {
            self.reading.leave(pos);
        }
    }

    /// The page to read now. `None`: the group is live, awaits one already, has nobody with room for it, or too much is
    /// open. To be asked after members have changed or have room again, after acknowledgements and pages, and when
    /// something was left to the log. `committed` is how far the log has come.
    pub fn ask(&mut self, committed: Pos) -> Option<GroupPage> {
        if !self.is_behind() || self.again.is_some() || self.reading.is_asking() || self.credit() == 0 {
            return None;
        }
        if let Some(range) = self.returned_together() {
            self.again = Some(range.clone());
            return Some(GroupPage { range, is_again: true });
        }
        let range = self.reading.ask(committed)?;
        Some(GroupPage { range, is_again: false })
    }

    /// Where the oldest returned messages stand that lie near one another: what was finished between those that do not is
    /// not read again.
    fn returned_together(&self) -> Option<Range<Pos>> {
        let &first = self.returned.first()?;
        let mut last = first;
        for &pos in &self.returned {
            if pos.record - last.record > AGAIN_GAP_RECORDS {
                break;
            }
            last = pos;
        }
        Some(first..last.successor())
    }

    /// Whether the page that begins at `from` is the one that is awaited: any other is void.
    #[must_use]
    pub fn page_holds(&self, from: Pos) -> bool {
        match &self.again {
            Some(again) => again.start == from,
            None => self.reading.page_holds(from),
        }
    }

    /// No page will come: the log could not be read. The group may ask again.
    pub fn give_up(&mut self) {
        self.again = None;
        self.reading.give_up();
    }

    /// The page that was asked for was taken whole, up to `next`. `watermark` is how far the feed has come at this
    /// moment. The answer is how many returned messages were to be in it and were not: the log holds them no longer.
    pub fn turn(&mut self, next: Pos, watermark: Pos) -> usize {
        let Some(again) = self.again.take() else {
            self.reading.turn(next, watermark);
            if !self.returned.is_empty() {
                self.reading.leave(self.reading.next());
            }
            return 0;
        };
        let count = self.returned.len();
        self.returned.retain(|pos| !(again.start..next).contains(pos));
        count - self.returned.len()
    }

    /// The bounds of its queue are exceeded: what stands before `pos` and was not handed out is passed over. What was
    /// returned was let in before, and stays.
    pub fn skip_to(&mut self, pos: Pos) {
        self.reading.skip_to(pos);
    }

    /// The feed has been taken in up to `watermark`: a group that is live has had all of it.
    pub fn advance(&mut self, watermark: Pos) {
        self.reading.advance(watermark);
    }
}
