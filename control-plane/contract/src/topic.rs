//! Topic names and topic filters: parsed once, valid ever after.
//!
//! Bytes are compared as they are: no case folding and no Unicode normalisation [MQTT-4.7.3-4].

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most bytes a topic name or filter may have, since its length travels in two bytes [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TopicError {
    /// [MQTT-4.7.3-1]
    #[error("a topic has at least one character")]
    Empty,
    /// [MQTT-4.7.3-3]
    #[error("a topic has at most 65535 bytes")]
    TooLong,
    /// [MQTT-4.7.3-2]
    #[error("a topic holds no null character")]
    Null,
    /// [MQTT-3.3.2-2]
    #[error("a topic name holds no wildcard")]
    WildcardInName,
    /// [MQTT-4.7.1-2]
    #[error("`#` stands only in the last level")]
    HashNotLast,
    /// [MQTT-4.7.1-2], [MQTT-4.7.1-3]
    #[error("a wildcard fills its whole level")]
    PartialWildcard,
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    Ok(())
}

/// Whether `text` is a topic name, without keeping it: the form for the path of a message.
#[inline]
pub fn check_name(text: &str) -> Result<(), TopicError> {
    check_text(text)?;
    // No branch per byte, so that the compiler may look at many bytes at a time.
    let found = text.bytes().fold(false, |found, byte| found | matches!(byte, 0 | b'+' | b'#'));
    if found { Err(error_in_name(text)) } else { Ok(()) }
}

/// What is wrong with a name that holds a null character or a wildcard: the first of them.
#[cold]
fn error_in_name(text: &str) -> TopicError {
    match text.find(['\0', '+', '#']) {
        Some(at) if text.as_bytes().get(at) == Some(&0) => TopicError::Null,
        _ => TopicError::WildcardInName,
    }
}

/// Whether `text` is a topic filter, without keeping it.
pub fn check_filter(text: &str) -> Result<(), TopicError> {
    check_text(text)?;
    if text.as_bytes().contains(&0) {
        return Err(TopicError::Null);
    }
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "#" if levels.peek().is_some() => return Err(TopicError::HashNotLast),
            "#" | "+" => {}
            other if other.contains(['+', '#']) => return Err(TopicError::PartialWildcard),
            _ => {}
        }
    }
    Ok(())
}

/// The number of levels of a topic name or filter: one more than its slashes.
#[inline]
#[must_use]
pub fn levels(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'/').count() + 1
}

/// The first level of a topic name or filter: the name of the topic resource it belongs to.
#[inline]
#[must_use]
pub fn first_level(text: &str) -> &str {
    text.split('/').next().unwrap_or(text)
}

macro_rules! topic_text {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text as the client wrote it.
            #[inline]
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// So that a map of them is asked with a text.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TopicError;
            fn from_str(text: &str) -> Result<Self, TopicError> {
                $check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

topic_text!(
    /// What a message is published to: at least one character, no wildcard, no null character.
    TopicName, check_name
);
topic_text!(
    /// What a subscription names: levels that may be `+` (any one level) and a last `#` (this level and all below).
    TopicFilter, check_filter
);

impl TopicFilter {
    /// Whether a message published to `topic` is for this filter.
    ///
    /// A wildcard in the first level matches no topic that begins with `$` [MQTT-4.7.2-1].
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.split('/');
        for level in self.0.split('/') {
            if level == "#" {
                return true;
            }
            match names.next() {
                Some(name) if level == "+" || level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether every topic that `other` matches is matched by this filter too: what a grant must do for a
    /// subscription.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if other.0.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut others = other.0.split('/');
        for level in self.0.split('/') {
            if level == "#" {
                return true;
            }
            match others.next() {
                Some("#") | None => return false,
                Some(theirs) if level == "+" || level == theirs => {}
                Some(_) => return false,
            }
        }
        others.next().is_none()
    }
}

#[cfg(feature = "utoipa")]
mod schema {
    use super::{TopicFilter, TopicName};
    use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
    use utoipa::openapi::{RefOr, Schema};

    fn text(description: &str) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .min_length(Some(1))
            .max_length(Some(super::TOPIC_BYTES_MAX))
            .description(Some(description))
            .into()
    }

    impl utoipa::PartialSchema for TopicFilter {
        fn schema() -> RefOr<Schema> {
            text("An MQTT topic filter: `+` stands for one level, a last `#` for all that follow")
        }
    }
    impl utoipa::ToSchema for TopicFilter {}

    impl utoipa::PartialSchema for TopicName {
        fn schema() -> RefOr<Schema> {
            text("An MQTT topic name: no wildcard, no null character")
        }
    }
    impl utoipa::ToSchema for TopicName {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, hits: &[&str], misses: &[&str]) {
        let filter: TopicFilter = filter.parse().expect("a valid filter");
        for topic in hits {
            assert!(filter.matches(topic), "{filter} must match {topic}");
        }
        for topic in misses {
            assert!(!filter.matches(topic), "{filter} must not match {topic}");
        }
    }

    #[test]
    fn wildcards() {
        check("sport/+", &["sport/", "sport/tennis"], &["sport", "sport/a/b"]);
        check("sport/#", &["sport", "sport/a/b", "sport/"], &["sports", "/sport"]);
        check("+/monitor", &["a/monitor", "é/monitor", "/monitor"], &["$SYS/monitor", "monitor"]);
        check("#", &["a", "é/a", "/", "a//b"], &["$SYS/x", "$"]);
        check("$SYS/#", &["$SYS/uptime", "$SYS"], &["SYS/uptime"]);
        check("+/+", &["/finance", "a/b"], &["finance", "a/b/c", "$a/b"]);
        check("a//b", &["a//b"], &["a/b", "a/x/b"]);
    }

    #[test]
    fn what_is_no_filter() {
        for (text, error) in [
            ("", TopicError::Empty),
            ("a\0b", TopicError::Null),
            ("a/#/b", TopicError::HashNotLast),
            ("a#", TopicError::PartialWildcard),
            ("a+/b", TopicError::PartialWildcard),
            ("+a", TopicError::PartialWildcard),
            ("##", TopicError::PartialWildcard),
        ] {
            assert_eq!(text.parse::<TopicFilter>(), Err(error), "{text:?}");
        }
        assert!("a".repeat(TOPIC_BYTES_MAX).parse::<TopicFilter>().is_ok());
        assert_eq!("a".repeat(TOPIC_BYTES_MAX + 1).parse::<TopicFilter>(), Err(TopicError::TooLong));
    }

    #[test]
    fn what_is_no_name() {
        for (text, error) in
            [("", TopicError::Empty), ("a\0", TopicError::Null), ("a/+", TopicError::WildcardInName)]
        {
            assert_eq!(text.parse::<TopicName>(), Err(error), "{text:?}");
        }
        assert_eq!(check_name("a/é//$b"), Ok(()));
    }

    #[test]
    fn a_grant_covers_what_it_wholly_contains() {
        for (grant, filter, covered) in [
            ("a/#", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/+/c", true),
            ("a/#", "a/#", true),
            ("a/#", "#", false),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+", "+/b", false),
            ("a/+/#", "a/#", false),
            ("a/b", "a/+", false),
            ("#", "a/+/#", true),
            ("#", "$SYS/#", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/+", true),
        ] {
            let (grant, filter): (TopicFilter, TopicFilter) =
                (grant.parse().expect("a filter"), filter.parse().expect("a filter"));
            assert_eq!(grant.covers(&filter), covered, "{grant} over {filter}");
        }
    }

    #[test]
    fn levels_and_first_level() {
        assert_eq!((levels("a"), levels("a/b"), levels("/"), levels("a//b")), (1, 2, 2, 3));
        assert_eq!((first_level("a/b"), first_level("a"), first_level("/a")), ("a", "a", ""));
    }
}
