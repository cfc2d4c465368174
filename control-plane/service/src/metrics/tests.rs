//! Which points a chart gets.

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn query(from: Option<&str>, to: Option<&str>, step_secs: Option<u64>) -> MetricsQuery {
    MetricsQuery { metrics: Vec::new(), from: from.map(at), to: to.map(at), step_secs }
}

const NOW: &str = "2026-11-23T08:00:07.250Z";

#[test]
fn the_points_are_whole_steps_around_what_is_asked() {
    for (from, to, step_secs, expected) in [
        (None, None, None, ("2026-11-23T07:00:00Z", 10, 361)),
        (None, Some("2026-11-23T07:00:00Z"), None, ("2026-11-23T06:00:00Z", 10, 360)),
        (Some("2026-11-23T07:59:58Z"), None, None, ("2026-11-23T07:59:50Z", 10, 2)),
        (Some("2026-11-23T06:00:00Z"), Some("2026-11-23T08:00:00Z"), None, ("2026-11-23T06:00:00Z", 10, 720)),
        (
            Some("2026-11-23T06:00:00Z"),
            Some("2026-11-23T08:00:00.001Z"),
            None,
            ("2026-11-23T06:00:00Z", 20, 361),
        ),
        (
            Some("2026-11-22T08:00:00Z"),
            Some("2026-11-23T08:00:00Z"),
            None,
            ("2026-11-22T08:00:00Z", 120, 720),
        ),
        (Some("2026-10-24T08:00:07.250Z"), None, None, ("2026-10-24T08:00:00Z", 7_200, 361)),
        (Some("2026-11-23T07:10:00Z"), None, Some(3_600), ("2026-11-23T07:00:00Z", 3_600, 2)),
        (
            Some("2026-11-23T08:00:00Z"),
            Some("2026-11-23T09:00:00Z"),
            Some(60),
            ("2026-11-23T08:00:00Z", 60, 60),
        ),
    ] {
        let steps = find_steps(&query(from, to, step_secs), at(NOW)).expect("a chart");
        let found = (time(steps.from), steps.step, steps.points);
        assert_eq!(found, (at(expected.0), expected.1, expected.2), "{from:?} to {to:?} by {step_secs:?}");
    }
}

#[test]
fn what_makes_no_chart_is_refused_by_its_name() {
    let hour = Some("2026-11-23T07:00:00Z");
    for (query, named) in [
        (query(Some("2026-11-23T08:00:08Z"), None, None), "from"),
        (query(hour, hour, None), "from"),
        (query(Some("2026-10-24T08:00:07Z"), None, None), "from"),
        (query(Some("1969-12-31T23:59:59Z"), Some("1970-01-01T00:00:09Z"), None), "from"),
        (query(hour, None, Some(0)), "step_secs"),
        (query(hour, None, Some(15)), "step_secs"),
        (query(hour, None, Some(86_410)), "step_secs"),
        (query(Some("2026-11-23T05:00:00Z"), None, Some(10)), "step_secs"),
    ] {
        let error = find_steps(&query, at(NOW)).expect_err(named);
        assert!(
            matches!(error, QueryMetricsError::Parameter { name, .. } if name == named),
            "{query:?}: {error}"
        );
    }
}

#[test]
fn metrics_are_those_of_the_table() {
    let find =
        |names: &[&str]| find_metrics(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(find(&[]).expect("all").len(), METRICS.len());
    let found = find(&["dropped", "connections"]).expect("two");
    assert_eq!(found.iter().map(|metric| metric.name).collect::<Vec<_>>(), ["dropped", "connections"]);
    for names in [&["speed"][..], &[""], &["connections", "connections"]] {
        assert!(find(names).is_err(), "{names:?}");
    }
}

#[tokio::test]
async fn a_chart_whose_making_fails_is_no_empty_chart() {
    let made = aside(|| -> Vec<Series> { panic!("on purpose") }).await;
    assert!(matches!(made, Err(QueryMetricsError::Failed(_))));
    assert_eq!(aside(|| 7).await.expect("made"), 7);
}
