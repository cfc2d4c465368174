//! Lists: `limit`, `cursor`, `sort`, `name`, `q`, `label.<name>`, `count`, and nothing else but what a list adds.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use service::page::ListQuery;

use crate::problem::Problem;

/// The most labels one list may be filtered by.
pub(crate) const LABEL_FILTERS_MAX: usize = 8;

/// What a list understands beside `limit`, `cursor`, `sort` and `count`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ListSpec {
    /// Whether `name` and `q` filter it.
    pub names: bool,
    /// Whether `label.<name>` filters it.
    pub labels: bool,
    /// Its own parameters.
    pub others: &'static [&'static str],
}

/// The list of a kind of thing that has names and labels.
pub(crate) const NAMED: ListSpec = ListSpec { names: true, labels: true, others: &[] };

/// The query part of a URL, as the caller wrote it.
#[derive(Debug)]
pub(crate) struct RawQuery(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for RawQuery {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.uri.query().map(str::to_owned)))
    }
}

/// What was asked of a list.
#[derive(Debug, Default)]
pub(crate) struct ListParameters {
    /// What every list understands.
    pub query: ListQuery,
    /// The list's own parameters.
    pub others: BTreeMap<String, String>,
}

impl RawQuery {
    /// The parameters of a list.
    pub(crate) fn list(&self, spec: &ListSpec) -> Result<ListParameters, Problem> {
        let mut parameters = ListParameters::default();
        for (name, value) in self.pairs()? {
            parameters.set(name, value, spec)?;
        }
        Ok(parameters)
    }

    /// The parameters of what is no list; only those named are allowed.
    pub(crate) fn only(&self, allowed: &[&str]) -> Result<BTreeMap<String, String>, Problem> {
        let pairs = self.pairs()?;
        for (name, _) in &pairs {
            if !allowed.contains(&name.as_str()) {
                return Err(Problem::parameter(name, "there is no such parameter here"));
            }
        }
        Ok(pairs.into_iter().collect())
    }

    /// The parameters, decoded, none twice.
    fn pairs(&self) -> Result<Vec<(String, String)>, Problem> {
        let query = self.0.as_deref().unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::parameter(name, "given twice"));
            }
        }
        Ok(pairs)
    }
}

/// A parameter's value as a `T`.
pub(crate) fn value<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::parameter(name, format_args!("`{text}`: {error}")))
}

impl ListParameters {
    fn set(&mut self, name: String, text: String, spec: &ListSpec) -> Result<(), Problem> {
        match name.as_str() {
            "limit" => self.query.limit = Some(value(&name, &text)?),
            "cursor" => self.query.cursor = Some(text),
            "sort" => self.query.sort = Some(text),
            "count" => self.query.count = value(&name, &text)?,
            "name" if spec.names => self.query.name = Some(text),
            "q" if spec.names => self.query.prefix = Some(text),
            other if spec.others.contains(&other) => {
                self.others.insert(name, text);
            }
            other => match other.strip_prefix("label.").filter(|label| spec.labels && !label.is_empty()) {
                Some(label) if self.query.labels.len() < LABEL_FILTERS_MAX => {
                    self.query.labels.insert(label.to_owned(), text);
                }
                Some(_) => return Err(Problem::parameter(other, "too many labels")),
                None => return Err(Problem::parameter(other, "this list has no such parameter")),
            },
        }
        Ok(())
    }
}

/// Defines the answer of one list, with a name of its own in the document.
macro_rules! list_of {
    ($(#[$doc:meta])* $name:ident of $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, serde::Serialize, utoipa::ToSchema)]
        pub(crate) struct $name {
            /// The items of this page.
            pub items: Vec<$item>,
            /// Where the next page begins; null exactly when nothing follows.
            pub next_cursor: Option<String>,
            /// How many there are in all, at most 10000; only when `count=true` was asked.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub total: Option<u32>,
        }

        impl<T> From<service::page::Page<T>> for $name
        where
            $item: From<T>,
        {
            fn from(page: service::page::Page<T>) -> Self {
                let items = page.items.into_iter().map(<$item>::from).collect();
                Self { items, next_cursor: page.next_cursor, total: page.total }
            }
        }
    };
}
pub(crate) use list_of;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::ProblemCode;

    fn parse(query: &str) -> Result<ListParameters, Problem> {
        RawQuery(Some(query.to_owned())).list(&ListSpec { others: &["deleted"], ..NAMED })
    }

    #[test]
    fn what_is_left_out_is_left_to_the_rules() {
        let parameters = RawQuery(None).list(&NAMED).expect("parses");
        assert_eq!(parameters.query, ListQuery::default());
    }

    #[test]
    fn every_parameter_is_understood() {
        let query =
            "limit=7&sort=name&name=a%2Bb+c&q=ca&label.site=x&label.b%2Fc=y&count=true&deleted=true&cursor=z";
        let ListParameters { query, others } = parse(query).expect("parses");
        assert_eq!(
            (query.limit, query.sort.as_deref(), query.cursor.as_deref()),
            (Some(7), Some("name"), Some("z"))
        );
        assert_eq!(query.name.as_deref(), Some("a+b c"), "an encoded plus is a plus, a plain one a blank");
        assert_eq!(query.prefix.as_deref(), Some("ca"));
        let labels: Vec<String> =
            query.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["b/c=y", "site=x"]);
        assert!(query.count);
        assert_eq!(others.into_iter().collect::<Vec<_>>(), [("deleted".to_owned(), "true".to_owned())]);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let labels: Vec<String> = (0..=LABEL_FILTERS_MAX).map(|n| format!("label.l{n}=1")).collect();
        for (query, name) in [
            ("limit=-1", "`limit`"),
            ("limit=x", "`limit`"),
            ("limit=1&limit=1", "`limit`"),
            ("count=1", "`count`"),
            ("colour=red", "`colour`"),
            ("label.=red", "`label.`"),
            (labels.join("&").as_str(), "`label.l8`"),
        ] {
            let problem = parse(query).expect_err(query);
            assert_eq!(problem.code(), ProblemCode::InvalidParameter, "{query}");
            assert!(problem.detail().contains(name), "{query}: {}", problem.detail());
        }
        let bare = RawQuery(Some("name=a".into())).list(&ListSpec::default()).expect_err("no names here");
        assert_eq!(bare.code(), ProblemCode::InvalidParameter);
        assert!(RawQuery(Some("a=1".into())).only(&["b"]).is_err());
        assert_eq!(RawQuery(Some("a=1".into())).only(&["a"]).expect("allowed")["a"], "1");
    }
}
