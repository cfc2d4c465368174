//! What is answered about shared subscriptions: how they stand on the workers, and what waits for each in the log.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::shared_group::{
    SHARED_GROUPS_PER_ANSWER_MAX, SharedGroupKey, SharedGroupState, SharedGroupsAnswer, SharedGroupsQuery,
};
use contract::time::UnixMillis;
use engine::{Envelope, Pos, QueryError, Replay, ReplayFilter, ReplayQuery};
use replica::InstanceRules;

use super::NodeApi;
use super::answers::{Answer, failure, query_of};
use crate::control::Control;
use crate::groups::GroupFigures;

/// How long one call counts; what is left then is for the next one.
const COUNT_TIME_MAX: Duration = Duration::from_secs(2);

/// Behind everything that is in the log: a range that ends there ends where the log does.
const HEAD: Pos = Pos { record: u64::MAX, index: 0 };

/// What there is to count.
pub(super) struct Asked {
    query: SharedGroupsQuery,
    groups: Vec<(SharedGroupKey, GroupFigures)>,
}

/// Asks the workers for the groups that are wanted, in the order of their keys.
pub(super) async fn ask(control: &Control, query_string: &str) -> Result<Asked, Answer> {
    let malformed = || Answer::problem(StatusCode::BAD_REQUEST, "malformed_query");
    let query: SharedGroupsQuery = query_of(query_string).ok_or_else(malformed)?;
    let key = |it: GroupFigures| {
        (SharedGroupKey { group: it.group.to_string(), filter: it.filter.to_string() }, it)
    };
    let groups = control.list_groups(query.instance).await.ok_or_else(Answer::failed)?;
    let mut groups: Vec<_> = groups.into_iter().map(key).collect();
    groups.retain(|(key, _)| {
        query.group.as_ref().is_none_or(|group| key.group == *group)
            && query.after.as_ref().is_none_or(|after| key > after)
    });
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Asked { query, groups })
}

/// `GET /node/v1/shared-groups`. Blocks on the disk.
pub(super) fn count(api: &NodeApi, asked: Asked) -> Answer {
    let Asked { query, groups } = asked;
    let Some(rules) = api.replica.instance(query.instance) else {
        return Answer::problem(StatusCode::NOT_FOUND, Refusal::InstanceUnknown.name());
    };
    let replay = &**api.control.node().durable.replay();
    let limit = usize::try_from(query.limit.clamp(1, SHARED_GROUPS_PER_ANSWER_MAX)).unwrap_or(1);
    let began = now();
    let mut answer = SharedGroupsAnswer::default();
    for (key, figures) in groups {
        let is_late = !answer.items.is_empty() && now() > began + COUNT_TIME_MAX;
        if answer.items.len() == limit || is_late {
            answer.has_more = true;
            break;
        }
        match state(replay, &query, &rules, (api.now)(), key, &figures) {
            Ok(state) => answer.items.push(state),
            Err(error) => {
                let (status, code) = failure(error);
                return Answer::problem(status, code);
            }
        }
    }
    Answer::ok(&answer)
}

#[expect(clippy::disallowed_methods, reason = "a shell: how long a call has counted")]
fn now() -> Instant {
    Instant::now()
}

fn state(
    replay: &dyn Replay,
    asked: &SharedGroupsQuery,
    rules: &InstanceRules,
    now: UnixMillis,
    key: SharedGroupKey,
    figures: &GroupFigures,
) -> Result<SharedGroupState, QueryError> {
    let filters = [ReplayFilter { filter: &figures.filter, since: Pos::START }];
    let waits_secs = rules.document.limits.queued_secs_max;
    let ahead = ReplayQuery {
        filters: &filters,
        from: figures.read_to,
        to: HEAD,
        qos_min: Qos::AtLeastOnce,
        history_only: false,
        stored_since: UnixMillis(now.0.saturating_sub(waits_secs * 1_000)),
        messages_max: 1,
        bytes_max: 1,
    };
    let begun =
        ReplayQuery { from: figures.cursor, to: figures.read_to, stored_since: UnixMillis(0), ..ahead };
    let open = figures.in_flight + figures.returned;
    let waiting = replay.backlog(asked.instance, &ahead)?;
    let (mut bytes, mut complete) = (waiting.bytes, !waiting.lost);
    let mut oldest_from = ahead;
    if open > 0 {
        // Among what was begun only the messages are counted: their bytes are taken from the mean of all that is there.
        let all = replay.backlog(asked.instance, &begun)?;
        complete &= !all.lost;
        bytes += all.bytes / all.messages.max(1) * open.min(all.messages);
        oldest_from = ReplayQuery { to: HEAD, ..begun };
    }
    let messages = waiting.messages + open;
    let oldest =
        if messages > 0 { replay.replay(asked.instance, &oldest_from)?.messages } else { Vec::new() };
    let oldest = oldest.first().and_then(|oldest| Envelope::from_record(&oldest.record).ok());
    Ok(SharedGroupState {
        key,
        members_connected: figures.members_connected,
        members_away: figures.members_away,
        in_flight: figures.in_flight,
        waiting_messages: messages,
        waiting_bytes: bytes,
        oldest_at: oldest.map(|oldest| oldest.stored_at),
        complete,
    })
}
