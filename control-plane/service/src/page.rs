//! Lists: what may be asked of one, and its opaque cursors.

use contract::base64::Base64;
use serde::{Deserialize, Serialize};
use store::page::{Listing, Position, Rows, SortKey};
use store::{Labels, StoreError};

use crate::error::ListError;

/// The most items of one page.
pub const LIMIT_MAX: u32 = 200;
/// The items of a page when nobody says.
pub const LIMIT_DEFAULT: u32 = 50;

/// What a caller asks of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListQuery {
    /// The most items, 1 to [`LIMIT_MAX`]; [`LIMIT_DEFAULT`] when none.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub cursor: Option<String>,
    /// `created_at`, `name`, or one of them with `-` before it; newest first when none.
    pub sort: Option<String>,
    /// Only things of exactly this name.
    pub name: Option<String>,
    /// Only things whose name begins with this.
    pub prefix: Option<String>,
    /// Only things that carry all of these labels.
    pub labels: Labels,
    /// Whether to count them too.
    pub count: bool,
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; none exactly when nothing follows.
    pub next_cursor: Option<String>,
    /// How many there are in all, up to 10 000, when that was asked.
    pub total: Option<u32>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(each).collect(),
            next_cursor: self.next_cursor,
            total: self.total,
        }
    }
}

/// What a cursor says. It is only ever read back by the list that gave it.
#[derive(Serialize, Deserialize)]
struct Cursor {
    sort: String,
    key: String,
    id: String,
}

const SORT_DEFAULT: &str = "-created_at";

impl ListQuery {
    fn sort(&self) -> &str {
        self.sort.as_deref().unwrap_or(SORT_DEFAULT)
    }

    pub(crate) fn listing(&self) -> Result<Listing, ListError> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(ListError::InvalidLimit(limit));
        }
        let (key, descending) = match self.sort().strip_prefix('-') {
            Some(key) => (key, true),
            None => (self.sort(), false),
        };
        let sort = match key {
            "created_at" => SortKey::CreatedAt,
            "name" => SortKey::Name,
            _ => return Err(ListError::InvalidSort),
        };
        let after = self.cursor.as_deref().map(|cursor| self.position(cursor)).transpose()?;
        Ok(Listing {
            limit,
            after,
            sort,
            descending,
            name: self.name.clone(),
            prefix: self.prefix.clone(),
            labels: self.labels.clone(),
            count: self.count,
        })
    }

    fn position(&self, cursor: &str) -> Result<Position, ListError> {
        let json = Base64::decode(cursor).ok_or(ListError::InvalidCursor)?;
        let cursor: Cursor = serde_json::from_slice(&json.0).map_err(|_| ListError::InvalidCursor)?;
        if cursor.sort != self.sort() {
            return Err(ListError::InvalidCursor);
        }
        Ok(Position { key: cursor.key, id: cursor.id })
    }

    /// The page of what the store has found. A value that it cannot compare with was in the cursor, which nobody
    /// but a list may make.
    pub(crate) fn page<T>(&self, found: Result<Rows<T>, StoreError>) -> Result<Page<T>, ListError> {
        let rows = match found {
            Err(StoreError::Value(_)) if self.cursor.is_some() => return Err(ListError::InvalidCursor),
            other => other?,
        };
        let next_cursor = rows.next.map(|Position { key, id }| {
            let json = serde_json::to_vec(&Cursor { sort: self.sort().to_owned(), key, id });
            Base64(json.expect("texts have a JSON form")).encode()
        });
        Ok(Page { items: rows.rows, next_cursor, total: rows.total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(change: impl FnOnce(&mut ListQuery)) -> Result<Listing, ListError> {
        let mut query = ListQuery::default();
        change(&mut query);
        query.listing()
    }

    #[test]
    fn bounds_and_sorts() {
        let plain = query(|_| ()).expect("a listing");
        assert_eq!((plain.limit, plain.sort, plain.descending), (50, SortKey::CreatedAt, true));
        assert!(query(|it| it.limit = Some(200)).is_ok());
        assert!(matches!(query(|it| it.limit = Some(201)), Err(ListError::InvalidLimit(201))));
        assert!(matches!(query(|it| it.limit = Some(0)), Err(ListError::InvalidLimit(0))));
        let by_name = query(|it| it.sort = Some("name".to_owned())).expect("a listing");
        assert_eq!((by_name.sort, by_name.descending), (SortKey::Name, false));
        assert!(matches!(query(|it| it.sort = Some("size".to_owned())), Err(ListError::InvalidSort)));
    }

    #[test]
    fn a_cursor_leads_back_and_only_into_its_own_order() {
        let rows =
            Rows { rows: vec![1], next: Some(Position { key: "k".into(), id: "i".into() }), total: None };
        let cursor = ListQuery::default().page(Ok(rows)).expect("a page").next_cursor;
        let back = query(|it| it.cursor = cursor.clone()).expect("a listing");
        assert_eq!(back.after, Some(Position { key: "k".into(), id: "i".into() }));
        for wrong in [Some("?".to_owned()), Some("e30".to_owned())] {
            assert!(matches!(query(|it| it.cursor = wrong), Err(ListError::InvalidCursor)));
        }
        let other = query(|it| (it.cursor, it.sort) = (cursor, Some("name".to_owned())));
        assert!(matches!(other, Err(ListError::InvalidCursor)));
    }
}
