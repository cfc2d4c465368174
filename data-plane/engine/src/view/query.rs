//! Answers a query over all segments: merges, limits, reads the messages, and says what it has covered.

use contract::base64::Base64;
use contract::ids::InstanceId;
use contract::message::{
    MESSAGES_PER_ANSWER_MAX, MessageId, MessageProperties, MessagesAnswer, Order, StoredMessage,
};
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::merge::{Merge, Next, just_before, table};
use super::row::Row;
use super::rules::{Rule, limit_bytes, rules};
use super::table::{Damaged, place};
use super::walk::Wanted;
use super::{Source, View};
use crate::{BATCH_BYTES_MAX, Envelope, FoundMessage, HistoryQuery, HistoryRules, Pos};

/// The most bytes of records that are read for one answer, but for one message.
const READ_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The messages that the query selects, of those that the rules show. Reads the disk; draws nothing from a clock.
#[must_use]
pub fn query(
    view: &View<'_>,
    instance: InstanceId,
    query: &HistoryQuery,
    history: &HistoryRules,
) -> MessagesAnswer {
    let filter = query.topic_filter.as_ref();
    let mut rules = rules(history, filter);
    let complete = limit_bytes(&mut rules, view, instance) && view.whole;
    let covered_from = covered_from(view, &rules, query, history.now);
    let mut answer = MessagesAnswer { items: Vec::new(), next: None, covered_from, complete };

    let Ok(after) = cursor(view, query) else { return answer };
    let mut wanted = Wanted::new(rules, query.order);
    wanted.filter = filter;
    wanted.client = query.client_id.as_deref();
    (wanted.from, wanted.to) = (query.from.0, query.to.0);
    wanted.after = after;
    let mut merge = Merge::new(view.sources.iter(), instance, &wanted, query.rows_max.max(1));
    let mut room = Room::of(query);
    let mut last = None;
    loop {
        match merge.next(&wanted) {
            Next::End => break,
            Next::Stopped(pos) => {
                answer.next = Some(pos.message_id(view.shard));
                break;
            }
            // A segment that takes the place of another may stand beside it for a moment.
            Next::Found(row, _) if last == Some(row.pos) => {}
            Next::Found(row, source) => {
                if !room.take(&row, answer.items.is_empty()) {
                    answer.next = Some(just_before(row.pos, query.order).message_id(view.shard));
                    break;
                }
                last = Some(row.pos);
                match message(view, source, instance, &row, query.payload_bytes_max) {
                    Ok(message) => {
                        room.charge(message.content.len() as u64);
                        answer.items.push(message);
                    }
                    Err(Damaged) => answer.complete = false,
                }
            }
        }
    }
    answer.complete &= !merge.is_damaged;
    answer
}

/// One message with its whole payload, if it is there, whole and shown by the rules; and whether everything that it
/// could have stood in was read.
#[must_use]
pub fn get(view: &View<'_>, instance: InstanceId, id: MessageId, history: &HistoryRules) -> FoundMessage {
    let pos = Pos::from(id);
    if id.shard != view.shard.0 {
        return FoundMessage { message: None, complete: true };
    }
    let mut complete = view.whole;
    for source in view.sources {
        // Damage in one segment does not hide what another one has.
        match message_at(view, source, instance, pos) {
            Ok(None) => {}
            Err(Damaged) => complete = false,
            Ok(Some((row, message))) => {
                let topic: Option<TopicFilter> = message.topic.parse().ok();
                let mut rules = topic.as_ref().map_or_else(Vec::new, |topic| rules(history, Some(topic)));
                // The message is whole; what may be lost is the knowledge of how much is shown before it.
                let complete = limit_bytes(&mut rules, view, instance);
                let is_shown = rules.first().is_some_and(|rule| rule.shows(&row));
                return FoundMessage { message: is_shown.then_some(message), complete };
            }
        }
    }
    FoundMessage { message: None, complete }
}

fn message_at(
    view: &View<'_>,
    source: &Source<'_>,
    instance: InstanceId,
    pos: Pos,
) -> Result<Option<(Row, StoredMessage)>, Damaged> {
    let Some(row) = row_at(source, instance, pos)? else { return Ok(None) };
    Ok(Some((row, message(view, source, instance, &row, u64::MAX)?)))
}

fn row_at(source: &Source<'_>, instance: InstanceId, pos: Pos) -> Result<Option<Row>, Damaged> {
    let Some(mut table) = table(source, instance) else { return Ok(None) };
    let number = place(&mut *table, pos)?;
    if number >= table.rows() {
        return Ok(None);
    }
    Ok(Some(table.row(number)?).filter(|row| row.pos == pos))
}

/// How much more an answer may hold.
struct Room {
    items: u32,
    payload_bytes_max: u64,
    answer_bytes: u64,
    read_bytes: u64,
    /// What was shown beside payloads has filled the answer.
    is_spent: bool,
}

impl Room {
    fn of(query: &HistoryQuery) -> Self {
        Self {
            items: query.limit.clamp(1, MESSAGES_PER_ANSWER_MAX),
            payload_bytes_max: query.payload_bytes_max,
            answer_bytes: query.answer_bytes_max,
            read_bytes: READ_BYTES_MAX,
            is_spent: false,
        }
    }

    /// Takes the room of what a message shows beside its payload, which is known once it is read.
    const fn charge(&mut self, bytes: u64) {
        self.is_spent |= bytes > self.answer_bytes;
        self.answer_bytes = self.answer_bytes.saturating_sub(bytes);
    }

    /// Takes the room that a message needs; the first has it always.
    fn take(&mut self, row: &Row, is_first: bool) -> bool {
        let bytes = u64::from(row.bytes);
        let shown = bytes.min(self.payload_bytes_max);
        let fits = is_first || (bytes <= self.read_bytes && shown <= self.answer_bytes && !self.is_spent);
        if self.items == 0 || !fits {
            return false;
        }
        self.items -= 1;
        self.read_bytes = self.read_bytes.saturating_sub(bytes);
        self.answer_bytes = self.answer_bytes.saturating_sub(shown);
        true
    }
}

/// The cursor in this shard; an error when everything in the shard lies in front of it.
fn cursor(view: &View<'_>, query: &HistoryQuery) -> Result<Option<Pos>, ()> {
    let Some(after) = query.after else { return Ok(None) };
    match (after.shard.cmp(&view.shard.0), query.order) {
        (std::cmp::Ordering::Equal, _) => Ok(Some(Pos::from(after))),
        (std::cmp::Ordering::Less, Order::Oldest) | (std::cmp::Ordering::Greater, Order::Newest) => Ok(None),
        (std::cmp::Ordering::Less, Order::Newest) | (std::cmp::Ordering::Greater, Order::Oldest) => Err(()),
    }
}

/// The earliest moment from which on nothing that the query could match has been dropped or hidden.
fn covered_from(view: &View<'_>, rules: &[Rule<'_>], query: &HistoryQuery, now: UnixMillis) -> UnixMillis {
    let of_rules = rules.iter().map(|rule| rule.visible_from.max(rule.whole_from)).max();
    let from = of_rules.unwrap_or(now.0).max(view.dropped_before.0).max(query.from.0);
    UnixMillis(from.min(query.to.0))
}

/// Reads the message of a row.
fn message(
    view: &View<'_>,
    source: &Source<'_>,
    instance: InstanceId,
    row: &Row,
    payload_bytes_max: u64,
) -> Result<StoredMessage, Damaged> {
    let length = usize::try_from(row.bytes).map_err(|_| Damaged)?;
    if length > BATCH_BYTES_MAX {
        return Err(Damaged);
    }
    let mut record = vec![0; length];
    source.bytes.read_at(u64::from(row.offset), &mut record).map_err(|_| Damaged)?;
    if crc32fast::hash(&record) != row.checksum {
        return Err(Damaged);
    }
    let envelope = Envelope::from_record(&record).map_err(|_| Damaged)?;
    if envelope.instance != instance {
        return Err(Damaged);
    }
    let shown = usize::try_from(payload_bytes_max).unwrap_or(usize::MAX).min(envelope.payload.len());
    Ok(StoredMessage {
        id: row.pos.message_id(view.shard),
        topic: envelope.topic.into(),
        client_id: (!envelope.publisher.is_empty()).then(|| envelope.publisher.into()),
        qos: envelope.qos,
        retain: envelope.retain,
        stored_at: envelope.stored_at,
        bytes: envelope.payload.len() as u64,
        payload: Base64(envelope.payload[..shown].into()),
        expires_at: envelope.expires_at,
        properties: MessageProperties::default(),
        content: envelope.content.into(),
    })
}
