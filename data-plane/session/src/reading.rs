//! How somebody goes through the log who is no session: a group of clients that share a filter, or a replay. From the
//! feed while it keeps up, else in pages. What is found is not kept here, and nothing is read here.
//!
//! It is *live* when everything before [`next`](Reading::next) was taken, and so the feed's next message stands there or
//! beyond. What it cannot take it leaves to the log, with all that follows, and is *behind*. Then it asks for one page
//! at a time, up to where the log has come at that moment. When a page was taken up to there and the feed has brought
//! nothing since it was asked for, it is live again; if the feed has, the next page begins with that.

use std::ops::Range;

use engine::Pos;

/// How far somebody has come in the log, and from where the next message is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    next: Pos,
    is_behind: bool,
    asked: Option<Range<Pos>>,
    /// The first message of the feed that was left to the log since a page was asked for, and is not in that page.
    missed: Option<Pos>,
}

impl Reading {
    /// One that begins with the message at `at`, in the log.
    #[must_use]
    pub const fn behind(at: Pos) -> Self {
        Self { next: at, is_behind: true, asked: None, missed: None }
    }

    /// Everything before it was taken.
    #[must_use]
    pub const fn next(&self) -> Pos {
        self.next
    }

    /// Whether it takes from the log and not from the feed.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether a message of the feed is to be taken now. If not, a page has brought it, or will. To be asked of each
    /// message of the feed once, in the feed's order.
    #[must_use]
    pub fn shows(&mut self, pos: Pos) -> bool {
        if !self.is_behind {
            return pos >= self.next;
        }
        if self.asked.as_ref().is_none_or(|asked| pos >= asked.end) {
            self.missed.get_or_insert(pos);
        }
        false
    }

    /// The message at `pos` was taken, or is for nobody.
    pub fn took(&mut self, pos: Pos) {
        self.move_to(pos.successor());
    }

    /// There is no room for the message at `pos`: it is left to the log, and so is what follows. A page that was being
    /// taken ends here.
    pub fn leave(&mut self, pos: Pos) {
        self.move_to(pos);
        self.is_behind = true;
        self.asked = None;
    }

    /// The part of the log of which a page is to be read now; the page may cover less, from the start on. `None`: it is
    /// live, or has asked already, or nothing is there and it is live from now on. `committed` is how far the log has
    /// come: the feed has shown nothing from there on.
    pub fn ask(&mut self, committed: Pos) -> Option<Range<Pos>> {
        if !self.is_behind || self.asked.is_some() {
            return None;
        }
        self.missed = None;
        if self.next >= committed {
            self.is_behind = false;
            return None;
        }
        self.asked = Some(self.next..committed);
        self.asked.clone()
    }

    /// Whether a page is awaited.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether the page that begins at `from` is the one that is awaited: any other is void.
    #[must_use]
    pub fn page_holds(&self, from: Pos) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.start == from)
    }

    /// No page will come: the log could not be read. It may ask again.
    pub fn give_up(&mut self) {
        self.asked = None;
    }

    /// The page that was asked for was taken whole: everything before `next` was looked at. `watermark` is how far the
    /// feed has come at this moment.
    pub fn turn(&mut self, next: Pos, watermark: Pos) {
        let Some(asked) = self.asked.take() else { return };
        self.move_to(next);
        if self.next >= asked.end {
            let missed = self.missed.take();
            self.is_behind = missed.is_some();
            self.move_to(missed.unwrap_or(watermark));
        }
    }

    /// Everything before `pos` is passed over. A page that begins before it stays awaited.
    pub fn skip_to(&mut self, pos: Pos) {
        self.move_to(pos);
    }

    /// The feed has been taken in up to `watermark`: one that is live has had all of it.
    pub fn advance(&mut self, watermark: Pos) {
        if !self.is_behind {
            self.move_to(watermark);
        }
    }

    fn move_to(&mut self, next: Pos) {
        self.next = self.next.max(next);
    }
}
