//! Bounds of what people write: names, labels, descriptions.

use std::collections::BTreeMap;

use contract::grant::Grants;
use store::Labels;

use crate::error::{FieldError, Invalid};

/// The longest name of a thing, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 100;
/// The longest description, in bytes.
pub(crate) const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// The most labels of one thing.
pub(crate) const LABELS_MAX: usize = 32;
/// The longest name of a label, in bytes.
pub(crate) const LABEL_NAME_BYTES_MAX: usize = 63;
/// The longest value of a label, in bytes.
pub(crate) const LABEL_VALUE_BYTES_MAX: usize = 256;

/// Collects what is no good, so that a caller hears all of it at once.
#[derive(Default)]
pub(crate) struct Check(Vec<FieldError>);

impl Check {
    pub(crate) fn fail(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.to_owned(), code, detail: detail.into() });
    }

    pub(crate) fn finish(self) -> Result<(), Invalid> {
        if self.0.is_empty() { Ok(()) } else { Err(Invalid(self.0)) }
    }

    /// A name that people give: not empty, not too long, nothing invisible at its ends, no control character.
    pub(crate) fn name(&mut self, pointer: &str, name: &str) {
        if name.is_empty() {
            self.fail(pointer, "required", "a name has at least one character");
        } else if name.chars().count() > NAME_CHARS_MAX {
            self.fail(pointer, "too_long", format!("a name has at most {NAME_CHARS_MAX} characters"));
        } else if name.trim() != name || name.chars().any(char::is_control) {
            self.fail(pointer, "invalid", "a name has no space at its ends and no control character");
        }
    }

    pub(crate) fn description(&mut self, pointer: &str, text: &str) {
        if text.len() > DESCRIPTION_BYTES_MAX {
            self.fail(pointer, "too_long", format!("at most {DESCRIPTION_BYTES_MAX} bytes"));
        } else if text.contains('\0') {
            self.fail(pointer, "invalid", "no null character");
        }
    }

    pub(crate) fn labels(&mut self, labels: &Labels) {
        if labels.len() > LABELS_MAX {
            self.fail("/labels", "too_many", format!("at most {LABELS_MAX} labels"));
        }
        for (name, value) in labels {
            let pointer = format!("/labels/{}", name.replace('~', "~0").replace('/', "~1"));
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            if name.is_empty() || name.len() > LABEL_NAME_BYTES_MAX || !name.chars().all(good) {
                let detail = format!(
                    "a label's name is 1 to {LABEL_NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `/`"
                );
                self.fail(&pointer, "invalid", detail);
            }
            if value.len() > LABEL_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
                let detail = format!("a label's value has at most {LABEL_VALUE_BYTES_MAX} bytes, no control");
                self.fail(&pointer, "invalid", detail);
            }
        }
    }

    /// A client identifier or subject: text as MQTT knows it, without what would be special in a topic, within bounds.
    pub(crate) fn client_id(&mut self, pointer: &str, text: &str, bytes_max: u64) {
        if text.is_empty() {
            self.fail(pointer, "required", "at least one character");
        } else if text.len() as u64 > bytes_max {
            self.fail(pointer, "too_long", format!("at most {bytes_max} bytes"));
        } else if text.contains('\0') || text == "." || text == ".." {
            self.fail(pointer, "invalid", "no null character, and neither `.` nor `..`");
        }
    }

    pub(crate) fn grants(&mut self, grants: &Grants, topic_bytes_max: u64) {
        for (at, grant) in grants.as_slice().iter().enumerate() {
            if grant.actions.is_empty() {
                self.fail(&format!("/grants/{at}/actions"), "required", "at least one action");
            }
            if grant.topic_filter.as_str().len() as u64 > topic_bytes_max {
                let detail = format!("at most {topic_bytes_max} bytes");
                self.fail(&format!("/grants/{at}/topic_filter"), "too_long", detail);
            }
        }
    }

    pub(crate) fn email(&mut self, pointer: &str, email: &str) {
        let parts = email.split_once('@');
        let good = parts
            .is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty() && !domain.contains('@'));
        let plain = !email.chars().any(|c| c.is_control() || c.is_whitespace());
        if !good || !plain || email.len() > 254 {
            self.fail(pointer, "invalid", "an address such as `li@example.com`");
        }
    }
}

/// The labels after a patch: a value sets, none takes away.
pub(crate) fn patched(labels: &Labels, patch: &BTreeMap<String, Option<String>>) -> Labels {
    let mut labels = labels.clone();
    for (name, value) in patch {
        match value {
            Some(value) => labels.insert(name.clone(), value.clone()),
            None => labels.remove(name),
        };
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(what: impl FnOnce(&mut Check), codes: &[&str]) {
        let mut check = Check::default();
        what(&mut check);
        let found: Vec<&str> = check.0.iter().map(|field| field.code).collect();
        assert_eq!(found, codes);
    }

    #[test]
    fn names_at_their_bounds() {
        check(|it| it.name("/name", &"é".repeat(NAME_CHARS_MAX)), &[]);
        check(|it| it.name("/name", &"é".repeat(NAME_CHARS_MAX + 1)), &["too_long"]);
        check(|it| it.name("/name", ""), &["required"]);
        check(|it| it.name("/name", " a"), &["invalid"]);
        check(|it| it.name("/name", "a\nb"), &["invalid"]);
    }

    #[test]
    fn labels_at_their_bounds() {
        let label = |name: &str, value: &str| Labels::from([(name.to_owned(), value.to_owned())]);
        check(|it| it.labels(&label("site/a.b-c_d", "北京")), &[]);
        check(|it| it.labels(&label("", "x")), &["invalid"]);
        check(|it| it.labels(&label("a b", "x")), &["invalid"]);
        check(|it| it.labels(&label(&"a".repeat(LABEL_NAME_BYTES_MAX + 1), "x")), &["invalid"]);
        check(|it| it.labels(&label("a", &"x".repeat(LABEL_VALUE_BYTES_MAX))), &[]);
        check(|it| it.labels(&label("a", &"x".repeat(LABEL_VALUE_BYTES_MAX + 1))), &["invalid"]);
        let many: Labels = (0..=LABELS_MAX).map(|at| (format!("l{at}"), String::new())).collect();
        check(|it| it.labels(&many), &["too_many"]);
    }

    #[test]
    fn client_ids_and_addresses() {
        check(|it| it.client_id("/client_id", "car-001", 7), &[]);
        check(|it| it.client_id("/client_id", "car-0001", 7), &["too_long"]);
        check(|it| it.client_id("/client_id", "..", 7), &["invalid"]);
        check(|it| it.client_id("/client_id", "a\0", 7), &["invalid"]);
        for (email, codes) in
            [("li@example.com", &[][..]), ("li", &["invalid"]), ("@x", &["invalid"]), ("a b@x", &["invalid"])]
        {
            check(|it| it.email("/email", email), codes);
        }
    }

    #[test]
    fn a_patch_sets_and_takes_away() {
        let labels = Labels::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let patch = BTreeMap::from([("a".to_owned(), None), ("c".to_owned(), Some("3".to_owned()))]);
        let expected = Labels::from([("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())]);
        assert_eq!(patched(&labels, &patch), expected);
    }
}
