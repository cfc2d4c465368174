//! What waits in the log for a lasting session or a group, as it is held to its bounds: when it is seen whether that is
//! too much, and which of it is passed over. The looking itself is done elsewhere, off the workers.

use std::cell::Cell;
use std::ops::Range;

use contract::durability::QueueOverflow;
use contract::time::UnixMillis;
use engine::Pos;
use replica::InstanceRules;

use crate::clock::unix_now;
use crate::local_instance::LocalInstance;
use crate::lookups::{Page, PageWanted, QueueBounds, Since};
use crate::metrics::DropReason;

/// Pages after which it is seen again whether too much waits.
const PAGES_PER_CHECK: u32 = 16;

/// How long a page is waited with for which there is room for less than half a window.
const LITTLE_ROOM_MILLIS: u64 = 100;

/// The bounds of one queue, as far as they have been kept.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Pages that were asked for since it was last held to its bounds; none: it has yet to be.
    pages: Cell<Option<u32>>,
    /// What was stored before is too old. It moves on when that is counted, and not between.
    stored_since: Cell<UnixMillis>,
    /// A range of the log that is passed over when it is come to.
    skip: Cell<Option<(Pos, Pos)>>,
    /// From when on a page is asked for also where there is little room, in milliseconds on the clock of the node; 0: there
    /// was more.
    asks_from: Cell<u64>,
}

impl Queue {
    /// What is to be looked up to go on. `overflow` says what gives way when too much waits.
    pub(crate) fn wanted(
        &self,
        rules: &InstanceRules,
        overflow: QueueOverflow,
        filters: Vec<Since>,
        range: Range<Pos>,
        messages_max: usize,
    ) -> PageWanted {
        let limits = &rules.document.limits;
        let skip = self.skip.get();
        // What is passed over already need not be counted again.
        let is_due = skip.is_none() && self.pages.get().is_none_or(|pages| pages >= PAGES_PER_CHECK);
        if is_due {
            self.pages.set(Some(0));
            self.stored_since
                .set(UnixMillis(unix_now().0.saturating_sub(limits.queued_secs_max.saturating_mul(1_000))));
        } else {
            self.pages.set(self.pages.get().map(|pages| pages.saturating_add(1)));
        }
        let bounds =
            QueueBounds { messages: limits.queued_messages_max, bytes: limits.queued_bytes_max, overflow };
        PageWanted {
            filters,
            from: range.start,
            to: range.end,
            messages_max,
            stored_since: self.stored_since.get(),
            bounds: is_due.then_some(bounds),
            skip,
        }
    }

    /// Until when to wait with a page for which there is little room, now that it is `now`; none: it has been long enough.
    /// Whoever is to acknowledge may do nothing more before it has got more.
    pub(crate) fn waits_until(&self, now: u64) -> Option<u64> {
        if self.asks_from.get() == 0 {
            self.asks_from.set(now + LITTLE_ROOM_MILLIS);
        }
        Some(self.asks_from.get()).filter(|at| now < *at)
    }

    /// A page is asked for.
    pub(crate) fn asks(&self) {
        self.asks_from.set(0);
    }

    /// It is held to its bounds with the next page: what the last one has found of that came to nothing, or more may have
    /// come while nobody was there.
    pub(crate) fn check_next(&self) {
        self.pages.set(None);
    }

    /// A page has been taken, and everything before `next` is behind it.
    pub(crate) fn come_to(&self, page: &Page, next: Pos) {
        self.skip.set(page.skip.filter(|(_, end)| next < *end));
    }
}

/// Counts what of a queue nobody will get. `whose` names the session or the group.
pub(crate) fn count_passed(instance: &LocalInstance, whose: &str, page: &Page) {
    for &(reason, messages) in &page.passed {
        instance.counts.dropped(reason, messages);
        tracing::debug!(
            instance.id = %instance.shared.id, queue = whose, reason = reason.name(), messages,
            "messages that waited are passed over"
        );
    }
    if page.lost {
        instance.counts.dropped(DropReason::QueueLost, 1);
        tracing::warn!(
            instance.id = %instance.shared.id, queue = whose, "part of what waited is gone from the log"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn wanted(queue: &Queue) -> PageWanted {
        let range = Pos::of_record(1)..Pos::of_record(9);
        queue.wanted(&testing::rules(1), QueueOverflow::DropNew, Vec::new(), range, 10)
    }

    /// What is too old is passed over only where it is counted.
    #[test]
    fn the_bounds_move_when_they_are_counted_and_not_between() {
        let queue = Queue::default();
        let first = wanted(&queue);
        assert!(first.bounds.is_some() && first.stored_since > UnixMillis(0));
        queue.stored_since.set(UnixMillis(7));
        for _ in 0..PAGES_PER_CHECK {
            let page = wanted(&queue);
            assert_eq!((page.bounds.is_some(), page.stored_since), (false, UnixMillis(7)));
        }
        let checked = wanted(&queue);
        assert!(checked.bounds.is_some() && checked.stored_since > UnixMillis(7));
    }

    #[test]
    fn little_room_is_waited_with_for_a_while_and_no_longer() {
        let queue = Queue::default();
        assert_eq!([5, 60, 104].map(|now| queue.waits_until(now)), [Some(105); 3]);
        assert_eq!(queue.waits_until(105), None);
        queue.asks();
        assert_eq!(queue.waits_until(200), Some(300));
    }

    #[test]
    fn a_range_that_is_passed_over_is_come_to_before_it_is_counted_again() {
        let queue = Queue::default();
        let asked = wanted(&queue);
        let skip = Some((Pos::of_record(5), Pos::of_record(9)));
        let page = Page { skip, ..Page::empty(&asked) };
        queue.come_to(&page, Pos::of_record(5));
        queue.check_next();
        for _ in 0..=PAGES_PER_CHECK {
            let page = wanted(&queue);
            assert_eq!((page.bounds.is_some(), page.skip), (false, skip));
            assert_eq!(page.stored_since, asked.stored_since);
        }
        queue.come_to(&page, Pos::of_record(9));
        let page = wanted(&queue);
        assert_eq!((page.bounds.is_some(), page.skip), (true, None));
    }
}
