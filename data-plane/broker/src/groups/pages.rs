//! What waits in the log for a group, at its home: asked for page by page as far as its members have room, and handed
//! out when it has come.

use std::rc::Rc;

use contract::durability::QueueOverflow;
use contract::time::UnixMillis;
use engine::{Envelope, QueryError};
use router::ClientKey;
use session::GroupPage;

use super::Home;
use crate::clock::unix_now;
use crate::delivery::{Passing, message};
use crate::lookups::{LOOKUPS_PER_WORKER_MAX, Lookup, PAGE_MESSAGES_MAX, Page, PageWanted, Wanted};
use crate::metrics::DropReason;
use crate::queue::count_passed;
use crate::worker::Worker;

/// After how many milliseconds a page is asked for again, when too many were reading.
const BUSY_MILLIS: u64 = 50;

/// After how many milliseconds a page is asked for again that could not be read.
const FAILED_MILLIS: u64 = 10_000;

impl Worker {
    pub(super) fn ask_group_page(&self, home: &Rc<Home>) {
        // Half a window at a time: a page for each acknowledgement would cost more than what it brings.
        let (credit, is_worth) = {
            let core = home.core.borrow();
            (core.credit(), core.is_worth_a_page())
        };
        if credit == 0 || home.asked.borrow().is_some() || !home.core.borrow().is_behind() {
            return;
        }
        if !is_worth && let Some(at) = home.queue.waits_until(self.millis().0) {
            return self.set_group_timer(home, at);
        }
        if self.millis().0 < home.rests_until.get() {
            self.set_group_timer(home, home.rests_until.get());
            return;
        }
        if self.looking.get() >= LOOKUPS_PER_WORKER_MAX {
            if !home.waits_for_look.replace(true) {
                self.waiting_to_look.borrow_mut().push_back(home.group.key);
            }
            return;
        }
        let committed = self.node.crossing.committed(self.id);
        let page = {
            let mut core = home.core.borrow_mut();
            // None is under way: one that is awaited all the same was lost by a failure.
            core.give_up();
            core.ask(committed)
        };
        home.queue.asks();
        let Some(page) = page else { return };
        let wanted = page_wanted(home, &page, credit);
        *home.asked.borrow_mut() = Some(page);
        self.looking.set(self.looking.get() + 1);
        self.node.lookups.ask(Lookup {
            worker: self.id,
            client: home.group.key,
            instance: home.instance.shared.id,
            wanted: Wanted::Page(wanted),
        });
    }

    /// A group may have something looked up now, and takes its turn at once: whoever is called behind it counts on that.
    pub(crate) fn call_group(&self, key: ClientKey) {
        if let Some(home) = self.find_home(key) {
            home.waits_for_look.set(false);
            self.refresh_home(&home);
            if !self.is_stopping.get() && !home.is_over.get() {
                self.ask_group_page(&home);
            }
            self.note_home(&home);
        }
    }

    /// Takes in what was looked up for a group.
    pub(crate) fn take_group_page(&self, key: ClientKey, page: &Page) {
        let Some(home) = self.find_home(key) else { return };
        let Some(asked) = home.asked.take() else { return };
        if let Some(error) = page.failed {
            home.core.borrow_mut().give_up();
            home.queue.check_next();
            let wait = if error == QueryError::Busy { BUSY_MILLIS } else { FAILED_MILLIS };
            if error != QueryError::Busy {
                tracing::error!(
                    %error, instance.id = %home.instance.shared.id, group = home.group.text.as_str(),
                    "what waits for a shared subscription cannot be read"
                );
            }
            home.rests_until.set(self.millis().0 + wait);
            self.set_group_timer(&home, home.rests_until.get());
            return;
        }
        self.note_home(&home);
        if !home.core.borrow().page_holds(asked.range.start) {
            home.queue.check_next();
            return;
        }
        count_passed(&home.instance, home.group.text.as_str(), page);
        if let Some(begins) = page.begins {
            home.core.borrow_mut().skip_to(begins);
        }
        self.refresh_home(&home);
        if !self.is_stopping.get() && !home.is_over.get() && self.hand_out_page(&home, page) {
            let lost = home.core.borrow_mut().turn(page.next, self.watermark.get());
            home.instance.counts.dropped(DropReason::QueueLost, lost as u64);
        }
        if !asked.is_again {
            let next = home.core.borrow().read_to();
            home.queue.come_to(page, next);
        }
    }

    /// Hands out what a page has brought; false: there was no room for all of it, and the rest is in the log.
    fn hand_out_page(&self, home: &Home, page: &Page) -> bool {
        let now = unix_now();
        let mut rendering = self.rendering.borrow_mut();
        for found in &page.messages {
            let pos = found.pos;
            if !home.core.borrow().wants(pos) {
                continue;
            }
            let envelope = match Envelope::from_record(&found.record) {
                Ok(envelope) => envelope,
                Err(error) => {
                    tracing::error!(%error, "a logged message cannot be read");
                    home.core.borrow_mut().pass_over(pos);
                    continue;
                }
            };
            if envelope.expires_at.is_some_and(|at| at <= now) {
                home.instance.counts.dropped(DropReason::MessageExpired, 1);
                home.core.borrow_mut().pass_over(pos);
                continue;
            }
            let mut message = message(&mut rendering, &Passing::of(&envelope));
            if !self.hand_out(home, pos, &mut message, envelope.qos) {
                home.core.borrow_mut().leave(pos);
                return false;
            }
        }
        true
    }
}

/// What is to be looked up for a group that wants a part of the log.
fn page_wanted(home: &Home, page: &GroupPage, credit: usize) -> PageWanted {
    let filters = vec![(home.group.filter.clone(), home.group.start)];
    if page.is_again {
        // Its messages were let in before. Most of what stands between them is finished.
        return PageWanted {
            filters,
            from: page.range.start,
            to: page.range.end,
            messages_max: PAGE_MESSAGES_MAX,
            stored_since: UnixMillis(0),
            bounds: None,
            skip: None,
        };
    }
    let rules = home.instance.rules();
    let overflow = match rules.document.queue_overflow {
        // Nobody of many is to be sent away for it.
        QueueOverflow::Disconnect | QueueOverflow::DropOldest => QueueOverflow::DropOldest,
        QueueOverflow::DropNew => QueueOverflow::DropNew,
    };
    home.queue.wanted(&rules, overflow, filters, page.range.clone(), credit)
}
