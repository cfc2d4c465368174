//! A million retained messages as devices have them: three levels, device and metric behind the provisioned topic, a short
//! payload. Each is known by its number, so that what comes back can be checked.

use super::case::TOPIC;

/// Metrics of each device, the last of them rarely.
const METRICS: [&str; 10] = [
    "temperature",
    "humidity",
    "pressure",
    "battery",
    "voltage",
    "current",
    "position",
    "status",
    "firmware",
    "uptime",
];
/// What one device in a hundred has in the place of its last metric.
const RARE_METRIC: &str = "fault";
const RARE_EVERY: usize = 100;
/// Payload bytes.
const PAYLOAD_MIN: usize = 32;
const PAYLOAD_MAX: usize = 64;

/// One message of so many matches.
pub(crate) const DENSE_EVERY: usize = METRICS.len();
pub(crate) const DENSE_FILTER: &str = "bench/+/temperature";
/// One message of so many matches.
pub(crate) const SPARSE_EVERY: usize = METRICS.len() * RARE_EVERY;
pub(crate) const SPARSE_FILTER: &str = "bench/+/fault";

/// The topic of message `number`.
pub(crate) fn topic(number: usize) -> String {
    let (device, metric) = (number / METRICS.len(), number % METRICS.len());
    let is_rare = metric == METRICS.len() - 1 && device.is_multiple_of(RARE_EVERY);
    let metric = if is_rare { RARE_METRIC } else { METRICS[metric] };
    format!("{TOPIC}/device-{device:06}/{metric}")
}

/// The payload of message `number`.
pub(crate) fn payload(number: usize) -> Vec<u8> {
    let bytes = PAYLOAD_MIN + scattered(number, PAYLOAD_MAX - PAYLOAD_MIN + 1);
    let mut payload = format!("{{\"number\":{number},\"value\":\"").into_bytes();
    // Digits that no compression finds a pattern in.
    let mut digits = number as u64;
    while payload.len() < bytes - 2 {
        digits = digits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        payload.push(b'a' + u8::try_from((digits >> 40) % 26).unwrap_or(0));
    }
    payload.extend_from_slice(b"\"}");
    payload
}

/// A number below `below`, another one for each `number`, spread evenly.
pub(crate) fn scattered(number: usize, below: usize) -> usize {
    let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from((mixed >> 20) % below.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contract::topic::TopicFilter;

    use super::*;

    #[test]
    fn every_message_has_a_topic_of_its_own_and_a_payload_of_the_right_length() {
        let topics: BTreeSet<_> = (0..10_000).map(topic).collect();
        assert_eq!(topics.len(), 10_000);
        assert!(topics.iter().all(|topic| topic.split('/').count() == 3));
        let lengths: BTreeSet<_> = (0..10_000).map(|number| payload(number).len()).collect();
        assert_eq!(lengths, (PAYLOAD_MIN..=PAYLOAD_MAX).collect());
    }

    #[test]
    fn the_filters_match_as_many_as_they_say() {
        for (filter, every) in [(DENSE_FILTER, DENSE_EVERY), (SPARSE_FILTER, SPARSE_EVERY)] {
            let filter: TopicFilter = filter.parse().expect("a filter");
            let matches = (0..10_000).filter(|&number| filter.matches(&topic(number)));
            assert_eq!(matches.count(), 10_000 / every, "{filter}");
        }
    }
}
