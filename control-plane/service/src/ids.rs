//! New ids: UUIDv7 of the services' own clock.

use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

use crate::clock::millis;
use crate::seal::random;

/// A new UUIDv7 of this moment.
#[must_use]
pub fn new_id(now: DateTime<Utc>) -> Uuid {
    Builder::from_unix_timestamp_millis(millis(now).0, &random::<10>()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_bears_its_moment() {
        let now = DateTime::from_timestamp_millis(1_795_000_000_123).expect("a time");
        let id = contract::ids::TokenId(new_id(now));
        assert_eq!(id.issued_at(), Some(millis(now)));
        assert_ne!(new_id(now), new_id(now));
    }
}
