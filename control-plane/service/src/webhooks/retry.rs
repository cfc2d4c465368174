//! When a delivery that failed is tried again. Pure: chance comes in.

use chrono::{DateTime, TimeDelta, Utc};

/// How long a delivery is tried.
pub const GIVE_UP_AFTER: TimeDelta = TimeDelta::hours(24);
/// The pauses after the first attempts; the last one again and again.
const PAUSES_SECS: [i64; 10] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 14_400, 14_400];
/// A pause is longer by up to this part of it, so that what failed together does not come back together.
const JITTER_PERCENT: i64 = 20;

/// When to try again after so many attempts; none: give up. The last attempt is made when the time is over.
#[must_use]
pub fn next_attempt(
    created_at: DateTime<Utc>,
    attempts: u32,
    now: DateTime<Utc>,
    chance: u8,
) -> Option<DateTime<Utc>> {
    let end = created_at + GIVE_UP_AFTER;
    if now >= end {
        return None;
    }
    let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(PAUSES_SECS.len() - 1);
    let pause = TimeDelta::seconds(PAUSES_SECS[at]);
    let jitter = pause * i32::from(chance) / 255 * i32::try_from(JITTER_PERCENT).unwrap_or(0) / 100;
    Some((now + pause + jitter).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_after_a_day() {
        let created = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let mut now = created;
        let mut attempts = 0;
        let mut pauses = Vec::new();
        loop {
            attempts += 1;
            let Some(next) = next_attempt(created, attempts, now, 0) else { break };
            pauses.push((next - now).num_seconds());
            now = next;
        }
        assert_eq!(
            pauses,
            [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 14_400, 14_400, 14_400, 14_400, 1_045]
        );
        assert_eq!(now, created + GIVE_UP_AFTER, "the last attempt is at the end of the day");
        assert_eq!(attempts, 14);
    }

    #[test]
    fn chance_makes_a_pause_longer_by_a_fifth_at_most() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let after = |chance| next_attempt(now, 3, now, chance).expect("again") - now;
        assert_eq!(after(0), TimeDelta::seconds(120));
        assert_eq!(after(255), TimeDelta::seconds(144));
    }
}
