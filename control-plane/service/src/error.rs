//! The facts of which the errors of the operations are made. Each operation's own enum stands beside it.

pub use store::StoreError;

use crate::access::AccessError;

/// A limit is reached.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{scope} `{subject}` has {used} of {value} in `{name}`")]
pub struct LimitReached {
    /// The limit's name, as in the table of limits.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// How much is in use.
    pub used: u64,
    /// What kind of thing it bounds: `instance`.
    pub scope: &'static str,
    /// The name of that thing.
    pub subject: String,
}

/// The thing has changed since the caller read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the current revision is `{current}`")]
pub struct RevisionMismatch {
    /// The revision that it has now.
    pub current: i64,
}

/// Something of this name exists.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{name}` is taken")]
pub struct NameTaken {
    /// Where in the body the name stands, as a JSON pointer.
    pub pointer: &'static str,
    /// The name.
    pub name: String,
}

/// The operation does not fit the thing's state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongState(pub String);

/// Members of a request that are no good.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{} of the request is no good", .0.first().map_or("a member", |field| field.pointer.as_str()))]
pub struct Invalid(pub Vec<FieldError>);

/// One member of a request that is no good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// Where in the body, as a JSON pointer.
    pub pointer: String,
    /// What is wrong, for programs: `too_long`, `out_of_bounds`, `invalid`, `required`, `unknown`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
}

impl Invalid {
    /// One member that is no good.
    #[must_use]
    pub fn field(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self(vec![FieldError { pointer: pointer.to_owned(), code, detail: detail.into() }])
    }
}

/// Why one thing was not shown.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// It is not there for this caller.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a list was not shown.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It is not there for this caller.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The cursor is none that a list of this kind has given.
    #[error("the cursor is not one of this list")]
    InvalidCursor,
    /// The list cannot be sorted so.
    #[error("a list is sorted by `created_at`, `-created_at`, `name` or `-name`")]
    InvalidSort,
    /// A page has 1 to 200 items.
    #[error("`limit` may be 1 to 200, not {0}")]
    InvalidLimit(u32),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a thing was not changed, where nothing but these can stand in the way.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// It is not there for this caller, or not to be changed by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It has changed meanwhile.
    #[error(transparent)]
    Revision(#[from] RevisionMismatch),
    /// The request is no good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Its state forbids it.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a thing was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// It is not there for this caller, or not to be deleted by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It has changed meanwhile.
    #[error(transparent)]
    Revision(#[from] RevisionMismatch),
    /// Its state forbids it.
    #[error(transparent)]
    State(#[from] WrongState),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets an error that has the two variants of [`GetError`] take it in.
macro_rules! takes_get_error {
    ($($error:ty),* $(,)?) => {$(
        impl From<$crate::error::GetError> for $error {
            fn from(error: $crate::error::GetError) -> Self {
                match error {
                    $crate::error::GetError::Access(error) => Self::Access(error),
                    $crate::error::GetError::Store(error) => Self::Store(error),
                }
            }
        }
    )*};
}
pub(crate) use takes_get_error;

takes_get_error!(ListError, UpdateError, DeleteError);
