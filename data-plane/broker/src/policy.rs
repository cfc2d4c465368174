//! May this be published, may this be subscribed to? The one place that decides, asked when a client connects with a
//! will, publishes to a topic it has not published to lately, subscribes, and when its will is due.
//!
//! What is not granted is denied. Topics that begin with `$` are the platform's own: a grant opens `$SYS` to those who
//! subscribe, and nothing opens any to those who publish.

use contract::durability::DurabilityClass;
use contract::feed::{TopicHistory, TopicMode};
use contract::grant::{Grants, PublishRights};
use contract::limits::InstanceLimits;
use contract::p2p;
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::subscription::SubscriptionFilter;
use contract::topic::{self, TOPIC_BYTES_MAX, TopicFilter};
use engine::RetentionClass;
use mqtt::Content;
use replica::InstanceRules;

/// The largest payload that can be stored: a batch of the log holds it beside the longest names.
const STORED_PAYLOAD_BYTES_MAX: u64 = engine::BATCH_BYTES_MAX as u64 - 256 * 1024;

/// The first level of the topics in which an instance is told about itself.
pub(crate) const SYS: &str = "$SYS";

/// How a message goes by way of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Logged {
    /// How long it is kept there at least.
    pub(crate) retention: RetentionClass,
    /// Queries show it.
    pub(crate) history: bool,
    /// It is for the history alone: nobody loses a message if it is not stored.
    pub(crate) history_alone: bool,
}

impl Logged {
    /// A message that is stored only because one before it was, which it must not overtake.
    pub(crate) const BEHIND: Self =
        Self { retention: RetentionClass::Day, history: false, history_alone: false };
}

/// Everything there is to know about publishing to one topic: to be kept beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verdict {
    /// Nothing may be published, for this reason.
    refusal: Option<Refusal>,
    rights: PublishRights,
    payload_bytes_max: u64,
    /// How long its messages are kept; none: they are not stored for their own sake.
    pub(crate) history: Option<RetentionClass>,
    class: DurabilityClass,
    /// How long messages are kept for lasting sessions.
    queued: RetentionClass,
}

impl Verdict {
    /// What `grants` and the rules of the instance say about `topic`.
    pub(crate) fn of(rules: &InstanceRules, grants: &Grants, topic: &str) -> Self {
        Self::with_rights(rules, grants.publish_rights(topic), topic)
    }

    /// The same of whoever has these rights to the topic.
    pub(crate) fn with_rights(rules: &InstanceRules, rights: PublishRights, topic: &str) -> Self {
        let rule = rules.topics.get(topic::first_level(topic));
        let limits = &rules.document.limits;
        // A message for one client is kept for nobody else, and shown to nobody else later.
        let is_to_one = p2p::receiver(topic).is_some();
        let rights = if is_to_one { rights.without_retain() } else { rights };
        let provisioned = rule.is_some() || rules.document.topic_mode == TopicMode::Open;
        let is_too_long = topic.len() as u64 > limits.topic_bytes_max
            || is_to_one && topic.len() + p2p::STORED_PREFIX.len() > TOPIC_BYTES_MAX;
        let refusal = if is_too_long {
            Some(Refusal::TopicBytesMax)
        } else if topic::levels(topic) as u64 > limits.topic_levels_max {
            Some(Refusal::TopicLevelsMax)
        } else if topic.starts_with('$') || !rights.any() {
            Some(Refusal::NotAuthorized)
        } else {
            (!provisioned).then_some(Refusal::TopicNotProvisioned)
        };
        let history = rule.and_then(|rule| rule.history).filter(|_| !is_to_one);
        let history = history.map(|history| RetentionClass::for_secs(history.retention_secs));
        let class = class_of(rules, topic);
        let queued = RetentionClass::for_secs(limits.queued_secs_max);
        let longest = if history.is_some() { STORED_PAYLOAD_BYTES_MAX } else { u64::MAX };
        let payload_bytes_max =
            rule.and_then(|rule| rule.payload_bytes_max).map_or(longest, |max| max.min(longest));
        Self { refusal, rights, payload_bytes_max, history, class, queued }
    }

    /// How a message goes that may be published; none: it is relayed. `lasting`: a lasting session wants it.
    #[inline]
    pub(crate) fn logged(&self, qos: Qos, retain: bool, lasting: bool) -> Option<Logged> {
        let is_queued = qos != Qos::AtMostOnce
            && match self.class {
                DurabilityClass::Relay => false,
                DurabilityClass::Logged => lasting,
                DurabilityClass::Always | DurabilityClass::Synced => true,
            };
        if self.history.is_none() && !is_queued && !retain {
            return None;
        }
        let queued = if is_queued { self.queued } else { RetentionClass::Day };
        Some(Logged {
            retention: self.history.map_or(queued, |history| history.max(queued)),
            history: self.history.is_some(),
            history_alone: !is_queued && !retain,
        })
    }

    /// Whether messages of this QoS are taken only where they are stored for good before they are acknowledged.
    pub(crate) fn needs_synced(&self, qos: Qos) -> bool {
        self.class == DurabilityClass::Synced && qos != Qos::AtMostOnce
    }

    /// Whether one message may be published.
    #[inline]
    pub(crate) fn check(&self, qos: Qos, retain: bool, payload: &[u8]) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if !self.rights.allow(qos, retain) {
            return Err(Refusal::NotAuthorized);
        }
        if payload.len() as u64 > self.payload_bytes_max {
            return Err(Refusal::PayloadBytesMax);
        }
        Ok(())
    }
}

/// Whether a message may have these properties with this payload. What it does not have costs nothing: to be asked only
/// of one that has some.
pub(crate) fn check_content(
    limits: &InstanceLimits,
    content: Content<'_>,
    payload: &[u8],
) -> Result<(), Refusal> {
    if content.size_bytes() as u64 > limits.properties_bytes_max {
        return Err(Refusal::PropertiesBytesMax);
    }
    if content.user_properties().iter().count() as u64 > limits.user_properties_max {
        return Err(Refusal::UserPropertiesMax);
    }
    if content.payload_is_text() && std::str::from_utf8(payload).is_err() {
        return Err(Refusal::PayloadFormatInvalid);
    }
    Ok(())
}

/// Which messages of a topic are logged.
pub(crate) fn class_of(rules: &InstanceRules, topic: &str) -> DurabilityClass {
    let rule = rules.topics.get(topic::first_level(topic));
    rule.and_then(|rule| rule.durability).unwrap_or(rules.document.durability)
}

/// Whether a message is too long to be stored.
pub(crate) const fn is_too_long_to_store(payload: &[u8]) -> bool {
    payload.len() as u64 > STORED_PAYLOAD_BYTES_MAX
}

/// Whether a filter is one of `$SYS`, in which an instance is told about itself.
pub(crate) fn is_sys(filter: &TopicFilter) -> bool {
    topic::first_level(filter.as_str()) == SYS
}

/// The QoS to which a subscription is granted. A filter whose first level is a wildcard needs no provisioned topic: it
/// hears only what may be published.
pub(crate) fn subscribe_qos(
    rules: &InstanceRules,
    grants: &Grants,
    filter: &TopicFilter,
    asked: Qos,
) -> Result<Qos, Refusal> {
    let text = filter.as_str();
    if is_sys(filter) {
        return grants.subscribe_qos(filter, asked).ok_or(Refusal::NotAuthorized);
    }
    if text.starts_with('$') {
        return Err(Refusal::NotAuthorized);
    }
    let granted = grants.subscribe_qos(filter, asked).ok_or(Refusal::NotAuthorized)?;
    let first = topic::first_level(text);
    let provisioned = rules.document.topic_mode == TopicMode::Open
        || matches!(first, "+" | "#")
        || rules.topics.contains_key(first);
    if provisioned { Ok(granted) } else { Err(Refusal::TopicNotProvisioned) }
}

/// The QoS to which a share of a subscription is granted.
pub(crate) fn shared_qos(
    rules: &InstanceRules,
    grants: &Grants,
    filter: &TopicFilter,
    asked: Qos,
) -> Result<Qos, Refusal> {
    // What each worker says to its own clients cannot be shared out.
    if is_sys(filter) { Err(Refusal::NotAuthorized) } else { subscribe_qos(rules, grants, filter, asked) }
}

/// The QoS to which a subscription from an earlier time on is granted. It takes the rights to subscribe and to replay, and
/// a topic of which history is kept.
pub(crate) fn replay_qos(
    rules: &InstanceRules,
    grants: &Grants,
    filter: &TopicFilter,
    asked: Qos,
) -> Result<Qos, Refusal> {
    let subscribed = subscribe_qos(rules, grants, filter, asked)?;
    let granted = grants.replay_qos(filter, subscribed).ok_or(Refusal::NotAuthorized)?;
    if histories(rules, filter).next().is_some() { Ok(granted) } else { Err(Refusal::HistoryNotKept) }
}

/// Whether grants allow what was subscribed to before, as it was granted then.
pub(crate) fn still_grants(grants: &Grants, filter: &TopicFilter, granted: Qos) -> bool {
    let now = if filter.as_str().starts_with('$') {
        match SubscriptionFilter::of(filter.clone()) {
            Ok(SubscriptionFilter::Plain(filter) | SubscriptionFilter::Shared { filter, .. }) => {
                grants.subscribe_qos(&filter, granted)
            }
            Ok(SubscriptionFilter::Replay { filter, .. }) => grants.replay_qos(&filter, granted),
            Err(_) => None,
        }
    } else {
        grants.subscribe_qos(filter, granted)
    };
    now >= Some(granted)
}

/// The histories of the topics that a filter may match, each with the topic's name.
pub(crate) fn histories<'a>(
    rules: &'a InstanceRules,
    filter: &'a TopicFilter,
) -> impl Iterator<Item = (&'a str, &'a TopicHistory)> {
    let first = topic::first_level(filter.as_str());
    let may_match = move |name: &str| matches!(first, "+" | "#") || first == name;
    let kept = rules.topics.iter().filter_map(|(name, rule)| Some((&**name, rule.history.as_ref()?)));
    kept.filter(move |(name, _)| may_match(name))
}

#[cfg(test)]
mod tests {
    use contract::time::UnixMillis;
    use mqtt::ContentWriter;
    use replica::TopicRule;

    use super::*;
    use crate::testing;

    fn rules(topic_mode: TopicMode) -> InstanceRules {
        let mut rules = testing::rules(1);
        rules.document.topic_mode = topic_mode;
        rules.document.limits =
            InstanceLimits { topic_bytes_max: 16, topic_levels_max: 3, ..InstanceLimits::default() };
        let topics = [("up", None), ("small", Some(2))];
        let topics = topics.map(|(name, payload_bytes_max)| {
            (name.into(), TopicRule { payload_bytes_max, ..TopicRule::default() })
        });
        rules.topics = std::sync::Arc::new(topics.into_iter().collect());
        rules
    }

    fn grants(json: &str) -> Grants {
        serde_json::from_str(json).expect("grants")
    }

    #[test]
    fn publishing() {
        let all = grants(
            r##"[{"actions":["publish"],"topic_filter":"#","qos_max":1},
                              {"actions":["publish"],"topic_filter":"$SYS/#"}]"##,
        );
        let up = grants(r#"[{"actions":["publish"],"topic_filter":"up/#","qos_max":0}]"#);
        let provisioned = rules(TopicMode::Provisioned);
        let open = rules(TopicMode::Open);
        for (rules, grants, topic, qos, expected) in [
            (&provisioned, &all, "up/x", Qos::AtLeastOnce, Ok(())),
            (&provisioned, &all, "up", Qos::AtLeastOnce, Ok(())),
            (&provisioned, &all, "upper", Qos::AtMostOnce, Err(Refusal::TopicNotProvisioned)),
            (&open, &all, "upper", Qos::AtMostOnce, Ok(())),
            (&provisioned, &all, "up/x", Qos::ExactlyOnce, Err(Refusal::NotAuthorized)),
            (&provisioned, &up, "up/x", Qos::AtLeastOnce, Err(Refusal::NotAuthorized)),
            (&provisioned, &up, "small/x", Qos::AtMostOnce, Err(Refusal::NotAuthorized)),
            (&open, &all, "$SYS/x", Qos::AtMostOnce, Err(Refusal::NotAuthorized)),
            (&provisioned, &all, "up/x/y/z", Qos::AtMostOnce, Err(Refusal::TopicLevelsMax)),
            (&provisioned, &all, "up/0123456789abcd", Qos::AtMostOnce, Err(Refusal::TopicBytesMax)),
            (&provisioned, &all, "small", Qos::AtMostOnce, Err(Refusal::PayloadBytesMax)),
            (&provisioned, &Grants::default(), "up/x", Qos::AtMostOnce, Err(Refusal::NotAuthorized)),
        ] {
            let verdict = Verdict::of(rules, grants, topic);
            assert_eq!(verdict.check(qos, false, b"123"), expected, "{topic} {qos:?}");
            assert!(verdict.check(qos, true, b"").is_err(), "{topic} retained");
        }
    }

    #[test]
    fn a_message_for_one_client_is_kept_for_nobody() {
        let mut rules = rules(TopicMode::Provisioned);
        let history = TopicHistory { retention_secs: 60, retention_bytes: None, since: UnixMillis(0) };
        let rule = TopicRule { history: Some(history), ..TopicRule::default() };
        rules.topics = std::sync::Arc::new([("up".into(), rule)].into_iter().collect());
        for (topic, retained, history) in [
            ("up/x/c", Ok(()), Some(RetentionClass::Day)),
            ("up/p2p", Ok(()), Some(RetentionClass::Day)),
            ("up/p2p/c", Err(Refusal::NotAuthorized), None),
            ("down/p2p/c", Err(Refusal::TopicNotProvisioned), None),
        ] {
            let verdict = Verdict::with_rights(&rules, PublishRights::ALL, topic);
            assert_eq!(verdict.check(Qos::AtLeastOnce, true, b""), retained, "{topic}");
            assert_eq!(verdict.history, history, "{topic}");
        }
        let longest = format!("up/p2p/{}", "x".repeat(TOPIC_BYTES_MAX - "up/p2p/".len()));
        rules.document.limits.topic_bytes_max = TOPIC_BYTES_MAX as u64;
        let verdict = Verdict::with_rights(&rules, PublishRights::ALL, &longest);
        let refused = verdict.check(Qos::AtMostOnce, false, b"");
        assert_eq!(refused, Err(Refusal::TopicBytesMax), "its name in the log is longer");
    }

    #[test]
    fn which_messages_are_logged() {
        let none = None;
        let day = |history| Some(Logged { retention: RetentionClass::Day, history, history_alone: false });
        let alone = Some(Logged { retention: RetentionClass::Week, history: true, history_alone: true });
        let kept = Some(Logged { retention: RetentionClass::Week, history: true, history_alone: false });
        let history = Some(RetentionClass::Week);
        let (at_most, at_least) = (Qos::AtMostOnce, Qos::AtLeastOnce);
        for (class, history, qos, retain, lasting, expected) in [
            (DurabilityClass::Relay, None, at_least, false, true, none),
            (DurabilityClass::Relay, None, at_least, true, false, day(false)),
            (DurabilityClass::Relay, history, at_least, false, true, alone),
            (DurabilityClass::Logged, None, at_least, false, false, none),
            (DurabilityClass::Logged, None, at_least, false, true, day(false)),
            (DurabilityClass::Logged, None, at_most, false, true, none),
            (DurabilityClass::Logged, None, at_most, true, false, day(false)),
            (DurabilityClass::Logged, history, at_most, false, true, alone),
            (DurabilityClass::Logged, history, at_least, false, true, kept),
            (DurabilityClass::Always, None, at_least, false, false, day(false)),
            (DurabilityClass::Always, None, at_most, false, true, none),
            (DurabilityClass::Synced, None, Qos::ExactlyOnce, false, false, day(false)),
        ] {
            let mut verdict = Verdict::of(&rules(TopicMode::Open), &Grants::default(), "up");
            (verdict.class, verdict.history) = (class, history);
            let logged = verdict.logged(qos, retain, lasting);
            assert_eq!(logged, expected, "{class:?} {history:?} {qos:?} {retain} {lasting}");
        }
    }

    #[test]
    fn subscribing() {
        let grants = grants(r##"[{"actions":["subscribe"],"topic_filter":"#","qos_max":1}]"##);
        for (mode, filter, expected) in [
            (TopicMode::Provisioned, "up/#", Ok(Qos::AtLeastOnce)),
            (TopicMode::Provisioned, "+/x", Ok(Qos::AtLeastOnce)),
            (TopicMode::Provisioned, "#", Ok(Qos::AtLeastOnce)),
            (TopicMode::Provisioned, "down/#", Err(Refusal::TopicNotProvisioned)),
            (TopicMode::Open, "down/#", Ok(Qos::AtLeastOnce)),
            (TopicMode::Open, "$SYS/#", Err(Refusal::NotAuthorized)),
            (TopicMode::Open, "$SYS/broker/uptime", Err(Refusal::NotAuthorized)),
            (TopicMode::Open, "$p2p/#", Err(Refusal::NotAuthorized)),
            (TopicMode::Open, "$share/group/up/#", Err(Refusal::NotAuthorized)),
        ] {
            let filter = filter.parse().expect("a filter");
            assert_eq!(subscribe_qos(&rules(mode), &grants, &filter, Qos::ExactlyOnce), expected, "{filter}");
            let nothing = subscribe_qos(&rules(mode), &Grants::default(), &filter, Qos::AtMostOnce);
            assert_eq!(nothing, Err(Refusal::NotAuthorized), "{filter}");
        }
    }

    #[test]
    fn what_the_instance_is_told_about_itself_takes_a_grant_that_says_so() {
        let all = r#"[{"actions":["subscribe","replay"],"topic_filter":"$SYS/#","qos_max":1},
                      {"actions":["subscribe","replay"],"topic_filter":"$p2p/#"}]"#;
        let (grants, rules) = (grants(all), rules(TopicMode::Provisioned));
        for (filter, expected) in [
            ("$SYS/#", Ok(Qos::AtLeastOnce)),
            ("$SYS/broker/uptime", Ok(Qos::AtLeastOnce)),
            ("$SYSTEM/#", Err(Refusal::NotAuthorized)),
            ("$p2p/#", Err(Refusal::NotAuthorized)),
        ] {
            let filter = filter.parse().expect("a filter");
            assert_eq!(subscribe_qos(&rules, &grants, &filter, Qos::ExactlyOnce), expected, "{filter}");
            let shared = shared_qos(&rules, &grants, &filter, Qos::ExactlyOnce);
            assert_eq!(shared, Err(Refusal::NotAuthorized), "{filter}");
            assert!(replay_qos(&rules, &grants, &filter, Qos::AtMostOnce).is_err(), "{filter}");
        }
    }

    #[test]
    fn what_a_message_may_have_besides() {
        let limits =
            InstanceLimits { properties_bytes_max: 64, user_properties_max: 2, ..InstanceLimits::default() };
        let (text, pair) =
            (ContentWriter::new().payload_format(true), |it: ContentWriter| it.user_property("", ""));
        for (content, payload, expected) in [
            (ContentWriter::new(), &b"\xff"[..], Ok(())),
            (ContentWriter::new().payload_format(false), b"\xff", Ok(())),
            (text.clone(), b"\xff", Err(Refusal::PayloadFormatInvalid)),
            (text.clone(), "\u{e9}".as_bytes(), Ok(())),
            (pair(pair(text.clone())), b"", Ok(())),
            (pair(pair(pair(text.clone()))), b"", Err(Refusal::UserPropertiesMax)),
            (text.clone().content_type(&"x".repeat(59)), b"", Ok(())),
            (text.content_type(&"x".repeat(60)), b"", Err(Refusal::PropertiesBytesMax)),
        ] {
            assert_eq!(check_content(&limits, content.content(), payload), expected, "{content:?}");
        }
    }
}
