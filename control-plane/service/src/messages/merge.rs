//! One list out of several nodes' logs. Pure: what the nodes answer comes in, pages come out.
//!
//! Each log keeps its own order; between logs the time of storing decides, and the node's number where that is equal.
//! As long as a log that goes on has nothing in hand, nothing is given out: its next message may be the first.

use std::collections::VecDeque;

use contract::message::{MessageId, MessagesAnswer, Order, StoredMessage};

use super::Missing;

/// One node's log on its way into the list.
#[derive(Debug)]
pub(super) struct Log {
    /// Which shard it counts as.
    pub(super) number: u16,
    /// Messages in hand.
    ahead: VecDeque<StoredMessage>,
    /// What those in hand lie behind, as the node calls it: the last given out, or where it was last asked from.
    behind: Option<MessageId>,
    /// What lies behind those in hand.
    rest: Rest,
    /// Whether the log was whole wherever it was looked at.
    pub(super) whole: bool,
    /// Why it cannot be asked, if so.
    pub(super) missing: Option<Missing>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    /// Whatever comes behind this message.
    After(Option<MessageId>),
    Nothing,
}

/// Where a log stands between two pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Behind this message; at the beginning where there is none.
    After(Option<MessageId>),
    /// At its end.
    End,
    /// It could not be asked, and is left out to the end of the list: its messages would stand at a wrong place.
    Left,
}

/// A log's next question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ask {
    /// Behind which message to look; at the beginning where there is none.
    pub(super) after: Option<MessageId>,
}

/// Why a merge has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// The page is full and something follows.
    Full,
    /// Some log must be asked for more first.
    Ask,
    /// Nothing follows.
    End,
}

impl Log {
    pub(super) fn at(number: u16, place: Place) -> Self {
        let (behind, rest, missing) = match place {
            Place::After(after) => (after, Rest::After(after), None),
            Place::End => (None, Rest::Nothing, None),
            Place::Left => (None, Rest::Nothing, Some(Missing::Unreachable)),
        };
        Self { number, ahead: VecDeque::new(), behind, rest, whole: true, missing }
    }

    /// What to ask next; none when there is nothing to ask.
    pub(super) fn to_ask(&self) -> Option<Ask> {
        match self.rest {
            Rest::After(after) if self.ahead.is_empty() && self.missing.is_none() => Some(Ask { after }),
            Rest::After(_) | Rest::Nothing => None,
        }
    }

    /// Takes an answer to [`Log::to_ask`].
    pub(super) fn take(&mut self, answer: MessagesAnswer) {
        let rest = answer.next.map_or(Rest::Nothing, |next| Rest::After(Some(next)));
        if answer.items.is_empty() && rest == self.rest && rest != Rest::Nothing {
            // It would be asked the same for ever.
            self.lose(Missing::Failed);
            return;
        }
        if let Rest::After(after) = self.rest {
            self.behind = after;
        }
        self.rest = rest;
        self.whole &= answer.complete;
        self.ahead.extend(answer.items);
    }

    /// It cannot be asked.
    pub(super) fn lose(&mut self, why: Missing) {
        self.missing = Some(why);
        self.rest = Rest::Nothing;
    }

    /// Where the next page goes on.
    pub(super) fn place(&self) -> Place {
        match self.rest {
            _ if self.missing.is_some() => Place::Left,
            _ if !self.ahead.is_empty() => Place::After(self.behind),
            Rest::After(after) => Place::After(after),
            Rest::Nothing => Place::End,
        }
    }
}

/// Moves messages into `page` until it has `limit` or must stop.
pub(super) fn merge(
    logs: &mut [&mut Log],
    order: Order,
    limit: usize,
    page: &mut Vec<StoredMessage>,
) -> Stop {
    loop {
        if logs.iter().any(|log| log.to_ask().is_some()) {
            return Stop::Ask;
        }
        let Some(log) = first(logs, order) else { return Stop::End };
        if page.len() >= limit {
            return Stop::Full;
        }
        if let Some(mut message) = log.ahead.pop_front() {
            log.behind = Some(message.id);
            message.id.shard = log.number;
            page.push(message);
        }
    }
}

/// The log whose message in hand comes first.
fn first<'a>(logs: &'a mut [&mut Log], order: Order) -> Option<&'a mut Log> {
    let rank = |log: &Log| {
        let at = log.ahead.front().map_or(0, |message| message.stored_at.0);
        let time = match order {
            Order::Newest => u64::MAX - at,
            Order::Oldest => at,
        };
        (time, log.number)
    };
    logs.iter_mut().map(|log| &mut **log).filter(|log| !log.ahead.is_empty()).min_by_key(|log| rank(log))
}

#[cfg(test)]
mod tests {
    use contract::base64::Base64;
    use contract::message::MessageProperties;
    use contract::qos::Qos;
    use contract::time::UnixMillis;

    use super::*;

    fn id(record: u64) -> MessageId {
        MessageId { shard: 0, record, index: 0 }
    }

    /// A node's whole log: message `n` was stored at the n-th time.
    fn messages(times: &[u64]) -> Vec<StoredMessage> {
        let message = |(at, &time): (usize, &u64)| StoredMessage {
            id: id(at as u64),
            topic: "a".to_owned(),
            client_id: None,
            qos: Qos::AtLeastOnce,
            retain: false,
            stored_at: UnixMillis(time),
            bytes: 0,
            payload: Base64::default(),
            expires_at: None,
            properties: MessageProperties::default(),
            content: Vec::new(),
        };
        times.iter().enumerate().map(message).collect()
    }

    /// What a node answers that looks at `step` messages a call.
    fn answer(times: &[u64], order: Order, after: Option<MessageId>, step: usize) -> MessagesAnswer {
        let mut all = messages(times);
        if order == Order::Newest {
            all.reverse();
        }
        let from = after.map_or(0, |after| {
            all.iter().position(|message| message.id == after).expect("a position that it gave") + 1
        });
        let items: Vec<_> = all[from..].iter().take(step).cloned().collect();
        let next = (from + items.len() < all.len()).then(|| items.last().expect("some").id);
        MessagesAnswer { items, next, covered_from: UnixMillis(0), complete: true }
    }

    /// Every page of a list, each begun from the places of the one before.
    fn pages(nodes: &[&[u64]], order: Order, limit: usize, step: usize) -> Vec<Vec<(u16, u64)>> {
        let mut places = vec![Place::After(None); nodes.len()];
        let mut pages = Vec::new();
        loop {
            let mut logs: Vec<Log> =
                places.iter().zip(0..).map(|(place, number)| Log::at(number, *place)).collect();
            let mut page = Vec::new();
            let stop = loop {
                match merge(&mut logs.iter_mut().collect::<Vec<_>>(), order, limit, &mut page) {
                    Stop::Ask => {
                        for (log, times) in logs.iter_mut().zip(nodes) {
                            if let Some(Ask { after }) = log.to_ask() {
                                log.take(answer(times, order, after, step));
                            }
                        }
                    }
                    stop @ (Stop::Full | Stop::End) => break stop,
                }
            };
            pages.push(page.iter().map(|it| (it.id.shard, it.stored_at.0)).collect());
            places = logs.iter().map(Log::place).collect();
            if stop == Stop::End {
                return pages;
            }
        }
    }

    #[test]
    fn every_message_comes_once_and_in_order_however_it_is_cut() {
        let nodes: [&[u64]; 3] = [&[1, 4, 4, 9], &[2, 3, 4, 8, 10, 11], &[]];
        for (limit, step) in [(1, 1), (2, 1), (3, 2), (4, 10), (10, 3), (100, 100)] {
            for order in [Order::Newest, Order::Oldest] {
                let pages = pages(&nodes, order, limit, step);
                assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit), "{pages:?}");
                let mut times: Vec<u64> = pages.concat().into_iter().map(|(_, time)| time).collect();
                if order == Order::Newest {
                    times.reverse();
                }
                assert_eq!(times, [1, 2, 3, 4, 4, 4, 8, 9, 10, 11], "{limit} {step} {order:?}");
            }
        }
    }

    #[test]
    fn a_full_page_after_which_nothing_follows_is_the_last() {
        assert_eq!(pages(&[&[1, 2]], Order::Oldest, 2, 2), [[(0, 1), (0, 2)]]);
    }

    #[test]
    fn a_lost_log_holds_up_nobody_and_stays_away() {
        let mut logs = [Log::at(0, Place::After(None)), Log::at(1, Place::After(None))];
        let mut page = Vec::new();
        let mut go_on = |logs: &mut [Log; 2]| {
            merge(&mut logs.iter_mut().collect::<Vec<_>>(), Order::Oldest, 9, &mut page)
        };
        assert_eq!(go_on(&mut logs), Stop::Ask);
        logs[0].take(answer(&[5], Order::Oldest, None, 9));
        assert_eq!(go_on(&mut logs), Stop::Ask, "the other may be earlier");
        logs[1].lose(Missing::TimedOut);
        assert_eq!(go_on(&mut logs), Stop::End);
        assert_eq!((page.len(), logs[1].place()), (1, Place::Left));
        assert_eq!(Log::at(1, Place::Left).to_ask(), None);
    }

    #[test]
    fn a_node_that_goes_on_without_going_on_is_lost() {
        let stuck = || MessagesAnswer {
            items: Vec::new(),
            next: Some(id(7)),
            covered_from: UnixMillis(0),
            complete: true,
        };
        let mut log = Log::at(0, Place::After(None));
        log.take(stuck());
        assert_eq!(log.to_ask(), Some(Ask { after: Some(id(7)) }), "it has looked and found nothing");
        log.take(stuck());
        assert_eq!(log.missing, Some(Missing::Failed));
    }
}
