//! Pages of lists: which rows, in which order, from where on.

use std::collections::HashMap;

use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::{Labels, PgConnection, StoreError};

/// What a list is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortKey {
    /// The time of making.
    CreatedAt,
    /// The name.
    Name,
}

/// The place after which a page begins: the last row of the page before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The row's sort key, as text.
    pub key: String,
    /// The row's id, as text.
    pub id: String,
}

/// Which rows of a list, and in which order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The most rows.
    pub limit: u32,
    /// Where to begin.
    pub after: Option<Position>,
    /// By what to sort.
    pub sort: SortKey,
    /// Whether the largest come first.
    pub descending: bool,
    /// Only rows of exactly this name.
    pub name: Option<String>,
    /// Only rows whose name begins with this.
    pub prefix: Option<String>,
    /// Only rows that carry all of these labels.
    pub labels: Labels,
    /// Whether to count the rows too, up to [`COUNT_MAX`].
    pub count: bool,
}

/// The highest total that is counted.
pub const COUNT_MAX: u32 = 10_000;

/// From which table a list is read. Every text of it is part of the statement and so must be ours.
pub(crate) struct Source {
    /// The table, with what it is joined to.
    pub(crate) from: &'static str,
    /// What all rows must fulfil.
    pub(crate) filter: &'static str,
    /// The column that bounds the list to one owner.
    pub(crate) owner: &'static str,
    /// The id's column.
    pub(crate) id: &'static str,
    /// The id's type.
    pub(crate) id_type: &'static str,
    /// What the list calls a name; sorted by bytes.
    pub(crate) name: &'static str,
    /// The column with the time of making.
    pub(crate) created_at: &'static str,
    /// The column with the labels, if there is one.
    pub(crate) labels: Option<&'static str>,
}

/// What a column of a row must be.
pub(crate) enum Matching {
    /// This id; an index can serve it.
    Id(&'static str, Uuid),
    /// This text.
    Text(&'static str, String),
}

/// The ids of one page, in order.
pub struct Keys {
    /// The ids as text.
    pub(crate) ids: Vec<String>,
    /// Where the next page begins; none after the last.
    pub next: Option<Position>,
    /// How many rows there are, up to [`COUNT_MAX`], if that was asked.
    pub total: Option<u32>,
}

impl Keys {
    /// The ids, where they are UUIDs.
    pub(crate) fn uuids(&self) -> Vec<Uuid> {
        self.ids.iter().filter_map(|id| id.parse().ok()).collect()
    }
}

/// One page of rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rows<T> {
    /// The rows, in order.
    pub rows: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next: Option<Position>,
    /// How many rows there are, up to [`COUNT_MAX`], if that was asked.
    pub total: Option<u32>,
}

impl Keys {
    /// Puts the rows, read in any order, into the order of the page; one that went away meanwhile is left out.
    pub(crate) fn order<T>(self, rows: impl IntoIterator<Item = T>, id: impl Fn(&T) -> String) -> Rows<T> {
        let mut by_id: HashMap<String, T> = rows.into_iter().map(|row| (id(&row), row)).collect();
        Rows {
            rows: self.ids.iter().filter_map(|id| by_id.remove(id)).collect(),
            next: self.next,
            total: self.total,
        }
    }
}

/// The ids of one page of `source`, of this owner only if there is one.
pub(crate) async fn keys(
    connection: &mut PgConnection,
    source: &Source,
    owner: Option<Uuid>,
    listing: &Listing,
) -> Result<Keys, StoreError> {
    keys_matching(connection, source, owner, listing, &[]).await
}

/// The same of those rows alone whose columns have these values.
pub(crate) async fn keys_matching(
    connection: &mut PgConnection,
    source: &Source,
    owner: Option<Uuid>,
    listing: &Listing,
    matching: &[Matching],
) -> Result<Keys, StoreError> {
    let (key, key_type) = match listing.sort {
        SortKey::CreatedAt => (source.created_at, "timestamptz"),
        SortKey::Name => (source.name, "text"),
    };
    let (compare, direction) = if listing.descending { (" < (", " DESC") } else { (" > (", " ASC") };
    let mut query = QueryBuilder::<Postgres>::new("SELECT (");
    query.push(source.id).push(")::text, (").push(key).push(")::text FROM ");
    push_filters(&mut query, source, owner, listing, matching);
    if let Some(after) = &listing.after {
        query.push(" AND (").push(key).push(", ").push(source.id).push(")").push(compare);
        query.push_bind(after.key.clone()).push("::").push(key_type).push(", ");
        query.push_bind(after.id.clone()).push("::").push(source.id_type).push(")");
    }
    query.push(" ORDER BY ").push(key).push(direction).push(", ").push(source.id).push(direction);
    query.push(" LIMIT ").push_bind(i64::from(listing.limit) + 1);
    let mut rows: Vec<(String, String)> = query.build_query_as().fetch_all(&mut *connection).await?;
    let limit = usize::try_from(listing.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next = last.map(|(id, key)| Position { key: key.clone(), id: id.clone() });
    let total =
        if listing.count { Some(count(connection, source, owner, listing, matching).await?) } else { None };
    Ok(Keys { ids: rows.into_iter().map(|(id, _)| id).collect(), next, total })
}

fn push_filters(
    query: &mut QueryBuilder<Postgres>,
    source: &Source,
    owner: Option<Uuid>,
    listing: &Listing,
    matching: &[Matching],
) {
    query.push(source.from).push(" WHERE ").push(source.filter);
    for matching in matching {
        match matching {
            Matching::Id(column, id) => query.push(" AND ").push(*column).push(" = ").push_bind(*id),
            Matching::Text(column, text) => {
                query.push(" AND (").push(*column).push(")::text = ").push_bind(text.clone())
            }
        };
    }
    if let Some(owner) = owner {
        query.push(" AND ").push(source.owner).push(" = ").push_bind(owner);
    }
    if let Some(name) = &listing.name {
        query.push(" AND ").push(source.name).push(" = ").push_bind(name.clone());
    }
    if let Some(prefix) = &listing.prefix {
        query.push(" AND ").push(source.name).push(" ^@ ").push_bind(prefix.clone());
    }
    if let (Some(labels), false) = (source.labels, listing.labels.is_empty()) {
        query.push(" AND ").push(labels).push(" @> ").push_bind(Json(listing.labels.clone()));
    }
}

async fn count(
    connection: &mut PgConnection,
    source: &Source,
    owner: Option<Uuid>,
    listing: &Listing,
    matching: &[Matching],
) -> Result<u32, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT count(*) FROM (SELECT 1 FROM ");
    push_filters(&mut query, source, owner, listing, matching);
    query.push(" LIMIT ").push_bind(i64::from(COUNT_MAX)).push(") AS counted");
    let total: i64 = query.build_query_scalar().fetch_one(connection).await?;
    Ok(u32::try_from(total).unwrap_or(COUNT_MAX))
}
