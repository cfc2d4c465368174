//! Grants: what a temporary token or a credential may do. What is not granted is denied.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::qos::Qos;
use crate::topic::TopicFilter;

/// What a grant lets its holder do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Send messages.
    Publish,
    /// Ask for messages.
    Subscribe,
    /// Ask, with the right to subscribe, for messages that were stored before.
    Replay,
}

/// One right: actions on the topics that a filter matches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What may be done; at least one action.
    pub actions: Vec<Action>,
    /// On which topics. A subscription must lie wholly within it.
    pub topic_filter: TopicFilter,
    /// The highest quality of service: a publication above it is refused, a subscription above it is granted this
    /// much. 2 when left out.
    #[serde(default = "Grant::qos_default")]
    pub qos_max: Qos,
    /// Whether a publication may be retained. False when left out.
    #[serde(default)]
    pub retain: bool,
}

impl Grant {
    const fn qos_default() -> Qos {
        Qos::ExactlyOnce
    }
}

/// The grants of one principal; the pure decision over them. An empty list denies everything.
///
/// In a document, a grant that this release cannot read is passed over: it grants nothing, and its neighbours stand.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Grants(Vec<Grant>);

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Readable {
            Grant(Grant),
            OfALaterRelease(IgnoredAny),
        }
        let grants = Vec::<Readable>::deserialize(deserializer)?;
        let readable = grants.into_iter().filter_map(|it| match it {
            Readable::Grant(grant) => Some(grant),
            Readable::OfALaterRelease(_) => None,
        });
        Ok(Self(readable.collect()))
    }
}

/// Every answer about publishing to one topic: one bit for each QoS, without and with retain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PublishRights(u8);

impl PublishRights {
    /// Nothing is allowed.
    pub const NONE: Self = Self(0);

    /// Everything is allowed.
    pub const ALL: Self = Self(0b11_1111);

    /// Whether a publication with this QoS and retain flag is allowed.
    #[inline]
    #[must_use]
    pub const fn allow(self, qos: Qos, retain: bool) -> bool {
        self.0 & (1 << (qos.bits() + if retain { 3 } else { 0 })) != 0
    }

    /// Whether anything at all is allowed.
    #[inline]
    #[must_use]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// The same for messages that are not to be kept for their topic.
    #[must_use]
    pub const fn without_retain(self) -> Self {
        Self(self.0 & 0b111)
    }
}

impl Grants {
    /// The grants in the given order; order does not matter, since there are no denials among them.
    #[must_use]
    pub fn new(grants: Vec<Grant>) -> Self {
        Self(grants)
    }

    /// The grants one by one.
    #[must_use]
    pub fn as_slice(&self) -> &[Grant] {
        &self.0
    }

    /// What may be published to `topic`: to be kept beside the topic, not asked for each message.
    #[must_use]
    pub fn publish_rights(&self, topic: &str) -> PublishRights {
        let mut bits = 0;
        for grant in &self.0 {
            if grant.actions.contains(&Action::Publish) && grant.topic_filter.matches(topic) {
                let of_qos = (1_u8 << (grant.qos_max.bits() + 1)) - 1;
                bits |= of_qos;
                if grant.retain {
                    bits |= of_qos << 3;
                }
            }
        }
        PublishRights(bits)
    }

    /// The QoS to which a subscription to `filter` is granted; `None` when it is denied.
    #[must_use]
    pub fn subscribe_qos(&self, filter: &TopicFilter, asked: Qos) -> Option<Qos> {
        self.qos_of(Action::Subscribe, filter).map(|max| max.min(asked))
    }

    /// The QoS to which a subscription to `filter` from an earlier time on is granted: it takes the right to subscribe
    /// and the one to replay. `None` when it is denied.
    #[must_use]
    pub fn replay_qos(&self, filter: &TopicFilter, asked: Qos) -> Option<Qos> {
        let replay = self.qos_of(Action::Replay, filter)?;
        self.subscribe_qos(filter, asked).map(|granted| granted.min(replay))
    }

    /// The best of the grants for this action that cover the filter.
    fn qos_of(&self, action: Action, filter: &TopicFilter) -> Option<Qos> {
        self.0
            .iter()
            .filter(|grant| grant.actions.contains(&action) && grant.topic_filter.covers(filter))
            .map(|grant| grant.qos_max)
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(json: &str) -> Grants {
        serde_json::from_str(json).expect("grants")
    }

    #[test]
    fn nothing_granted_is_everything_denied() {
        let none = Grants::default();
        assert!(!none.publish_rights("a").any());
        assert_eq!(none.subscribe_qos(&"a".parse().expect("a filter"), Qos::AtMostOnce), None);
    }

    #[test]
    fn publishing_is_bounded_by_filter_qos_and_retain() {
        let grants = grants(
            r#"[{"actions":["publish"],"topic_filter":"up/#","qos_max":1},
                {"actions":["publish"],"topic_filter":"up/state","qos_max":0,"retain":true},
                {"actions":["subscribe"],"topic_filter":"down/#"}]"#,
        );
        let (up, state, down) = (
            grants.publish_rights("up/x"),
            grants.publish_rights("up/state"),
            grants.publish_rights("down/x"),
        );
        assert!(up.allow(Qos::AtMostOnce, false) && up.allow(Qos::AtLeastOnce, false));
        assert!(!up.allow(Qos::ExactlyOnce, false) && !up.allow(Qos::AtMostOnce, true));
        assert!(state.allow(Qos::AtLeastOnce, false) && state.allow(Qos::AtMostOnce, true));
        assert!(!state.allow(Qos::AtLeastOnce, true));
        assert!(!down.any());
    }

    #[test]
    fn a_subscription_gets_the_best_covering_grant() {
        let grants = grants(
            r#"[{"actions":["subscribe"],"topic_filter":"down/#","qos_max":0},
                {"actions":["subscribe","publish"],"topic_filter":"down/urgent/+","qos_max":1}]"#,
        );
        for (filter, asked, granted) in [
            ("down/x", Qos::AtLeastOnce, Some(Qos::AtMostOnce)),
            ("down/urgent/x", Qos::ExactlyOnce, Some(Qos::AtLeastOnce)),
            ("down/urgent/x", Qos::AtMostOnce, Some(Qos::AtMostOnce)),
            ("#", Qos::AtMostOnce, None),
            ("up/x", Qos::AtMostOnce, None),
        ] {
            assert_eq!(grants.subscribe_qos(&filter.parse().expect("a filter"), asked), granted, "{filter}");
        }
    }

    #[test]
    fn a_replay_takes_two_rights() {
        let grants = grants(
            r#"[{"actions":["subscribe","replay"],"topic_filter":"log/#","qos_max":1},
                {"actions":["subscribe"],"topic_filter":"live/#"},
                {"actions":["replay"],"topic_filter":"live/+"},
                {"actions":["replay"],"topic_filter":"past/#"},
                {"actions":["publish"],"topic_filter":"up/#"}]"#,
        );
        for (filter, subscribe, replay) in [
            ("log/a", Some(Qos::AtLeastOnce), Some(Qos::AtLeastOnce)),
            ("live/a", Some(Qos::ExactlyOnce), Some(Qos::ExactlyOnce)),
            ("live/a/b", Some(Qos::ExactlyOnce), None),
            ("past/a", None, None),
            ("up/a", None, None),
            ("#", None, None),
        ] {
            let filter = filter.parse().expect("a filter");
            assert_eq!(grants.subscribe_qos(&filter, Qos::ExactlyOnce), subscribe, "{filter}");
            assert_eq!(grants.replay_qos(&filter, Qos::ExactlyOnce), replay, "{filter}");
        }
        assert!(!grants.publish_rights("past/a").any() && !grants.publish_rights("log/a").any());
        let asked = grants.replay_qos(&"log/a".parse().expect("a filter"), Qos::AtMostOnce);
        assert_eq!(asked, Some(Qos::AtMostOnce), "never more than was asked for");
    }

    #[test]
    fn a_grant_of_a_later_release_grants_nothing_and_harms_no_other() {
        let later = r#"[{"actions":["publish"],"topic_filter":"a","only_on":"monday"},
                        {"actions":["publish","teleport"],"topic_filter":"a"},
                        {"actions":["publish"],"topic_filter":"b"}, 7]"#;
        let grants = grants(later);
        assert!(!grants.publish_rights("a").any(), "what bounds it is not understood");
        assert!(grants.publish_rights("b").allow(Qos::AtMostOnce, false));
        assert_eq!(grants.as_slice().len(), 1);
    }

    #[test]
    fn one_grant_alone_is_read_strictly() {
        assert!(
            serde_json::from_str::<Grant>(r#"{"actions":["publish"],"topic_filter":"a","qos":1}"#).is_err()
        );
    }
}
