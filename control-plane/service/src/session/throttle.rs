//! The throttle of sign-ins: so many attempts per account, so many per address, in a window. An attempt is counted
//! before it is judged, so that many at one time are not all let through.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use store::throttle::Attempts;
use store::{PgConnection, StoreError};

use super::{ChangePasswordError, SignInError};
use crate::core::Core;
use crate::seal::sha256;

/// The attempts on one account in a window.
pub const ACCOUNT_ATTEMPTS_MAX: u64 = 10;
/// The attempts from one address in a window: more, since an office may have one address.
pub const ADDRESS_ATTEMPTS_MAX: u64 = 100;
/// How long a window lasts.
pub const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// There were too many attempts.
#[derive(Debug)]
pub(crate) enum Throttled {
    LockedOut { retry_after_secs: u64 },
    Store(StoreError),
}

/// Counts an attempt on an account.
pub(crate) async fn count_account(
    core: &Core,
    connection: &mut PgConnection,
    email: &str,
) -> Result<(), Throttled> {
    let now = core.now();
    let counted = store::throttle::count(connection, &account(email), now, WINDOW).await;
    judge(counted.map_err(Throttled::Store)?, ACCOUNT_ATTEMPTS_MAX, now)
}

/// Counts an attempt from an address.
pub(crate) async fn count_address(
    core: &Core,
    connection: &mut PgConnection,
    from: IpAddr,
) -> Result<(), Throttled> {
    let now = core.now();
    let counted = store::throttle::count(connection, &address(from), now, WINDOW).await;
    judge(counted.map_err(Throttled::Store)?, ADDRESS_ATTEMPTS_MAX, now)
}

/// Who knows the password has made no attempt on the account.
pub(crate) async fn forget_account(connection: &mut PgConnection, email: &str) -> Result<(), StoreError> {
    store::throttle::delete(connection, &account(email)).await
}

/// Takes back the one attempt from an address that was right; others from there may be somebody else's.
pub(crate) async fn forgive_address(connection: &mut PgConnection, from: IpAddr) -> Result<(), StoreError> {
    store::throttle::forgive(connection, &address(from)).await
}

fn judge(counted: Attempts, max: u64, now: DateTime<Utc>) -> Result<(), Throttled> {
    if counted.attempts <= max {
        return Ok(());
    }
    let left = (counted.window_end - now).num_seconds().max(1);
    Err(Throttled::LockedOut { retry_after_secs: left.unsigned_abs() })
}

fn account(email: &str) -> Vec<u8> {
    sha256(format!("account {email}").as_bytes())
}

/// An IPv6 network of 64 bits is one customer's: its addresses count as one.
fn address(from: IpAddr) -> Vec<u8> {
    let subject = match from.to_canonical() {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("network {a:x}:{b:x}:{c:x}:{d:x}")
        }
    };
    sha256(subject.as_bytes())
}

impl From<Throttled> for SignInError {
    fn from(throttled: Throttled) -> Self {
        match throttled {
            Throttled::LockedOut { retry_after_secs } => Self::LockedOut { retry_after_secs },
            Throttled::Store(error) => Self::Store(error),
        }
    }
}

impl From<Throttled> for ChangePasswordError {
    fn from(throttled: Throttled) -> Self {
        match throttled {
            Throttled::LockedOut { retry_after_secs } => Self::LockedOut { retry_after_secs },
            Throttled::Store(error) => Self::Store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_count_as_one() {
        let subject = |text: &str| address(text.parse().expect("an address"));
        assert_eq!(subject("2001:db8:1:2::1"), subject("2001:db8:1:2:ffff::9"));
        assert_ne!(subject("2001:db8:1:2::1"), subject("2001:db8:1:3::1"));
        assert_eq!(subject("192.0.2.7"), subject("::ffff:192.0.2.7"));
        assert_ne!(subject("192.0.2.7"), subject("192.0.2.8"));
    }
}
