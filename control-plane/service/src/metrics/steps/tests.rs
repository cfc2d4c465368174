//! Which value belongs to which step.

use contract::metrics::{InstanceSample, find};

use super::super::chunk::values_of;
use super::*;

/// The minute of the tables, and its first second.
const MINUTE: u64 = 30_000_000;
const BEGIN: u64 = MINUTE * 60;

fn sample(connections: u64, messages_in: u64) -> InstanceSample {
    InstanceSample { connections, messages_in, ..InstanceSample::default() }
}

/// Slots by source and second, with connections and messages.
fn chunk(slots: &[(u64, u8, u64, u64)]) -> Chunk {
    let mut chunk = Chunk::default();
    for (source, second, connections, messages_in) in slots {
        chunk.add(Source(*source), *second, values_of(&sample(*connections, *messages_in)));
    }
    chunk
}

fn lines(steps: Steps, told: &[(u64, Chunk)], counted: &[(u64, Chunk)]) -> [Vec<Option<u64>>; 2] {
    let metrics = [find("connections").expect("one"), find("messages_in").expect("one")];
    let mut chart = Chart::new(steps, &metrics);
    for (minute, chunk) in told {
        chart.tell(*minute, chunk);
    }
    for (minute, chunk) in counted {
        chart.add(*minute, chunk);
    }
    let series = chart.series(&metrics);
    assert_eq!(
        series.iter().map(|line| line.metric.name).collect::<Vec<_>>(),
        ["connections", "messages_in"]
    );
    [series[0].values.clone(), series[1].values.clone()]
}

#[test]
fn counters_are_summed_and_of_gauges_the_largest_counts() {
    let told = [(MINUTE, chunk(&[(1, 0, 0, 0), (1, 10, 0, 0), (1, 20, 0, 0), (1, 30, 0, 0)]))];
    let counted = [(MINUTE, chunk(&[(1, 0, 5, 1), (1, 10, 9, 2), (1, 30, 2, 8)]))];
    let all = |values: &[Option<u64>]| values.to_vec();
    let steps = |from, step, points| Steps { from, step, points };
    for (what, steps, connections, messages) in [
        (
            "each slot; nobody has told of the last two",
            steps(BEGIN, 10, 6),
            all(&[Some(5), Some(9), Some(0), Some(2), None, None]),
            all(&[Some(1), Some(2), Some(0), Some(8), None, None]),
        ),
        (
            "two slots a step",
            steps(BEGIN, 20, 3),
            all(&[Some(9), Some(2), None]),
            all(&[Some(3), Some(8), None]),
        ),
        ("the minute", steps(BEGIN, 60, 1), all(&[Some(9)]), all(&[Some(11)])),
        (
            "what is outside is left out",
            steps(BEGIN - 20, 20, 2),
            all(&[None, Some(9)]),
            all(&[None, Some(3)]),
        ),
        ("another time", steps(BEGIN + 600, 10, 1), all(&[None]), all(&[None])),
    ] {
        assert_eq!(lines(steps, &told, &counted), [connections, messages], "{what}");
    }
}

#[test]
fn nodes_are_added_up_before_the_largest_is_taken() {
    let counted = [(MINUTE, chunk(&[(1, 0, 5, 1), (2, 0, 4, 1), (1, 10, 7, 1), (2, 10, 1, 1)]))];
    let steps = Steps { from: BEGIN, step: 60, points: 1 };
    assert_eq!(lines(steps, &[], &counted), [vec![Some(9)], vec![Some(4)]]);
}

#[test]
fn shorter_slots_do_not_multiply_a_gauge() {
    let counted = [(MINUTE, chunk(&[(1, 0, 5, 1), (1, 1, 6, 1), (1, 2, 4, 1), (2, 0, 3, 1), (2, 1, 3, 1)]))];
    let steps = Steps { from: BEGIN, step: 10, points: 1 };
    assert_eq!(lines(steps, &[], &counted), [vec![Some(9)], vec![Some(5)]]);
}

#[test]
fn there_is_a_line_for_each_reason_that_occurred() {
    let metrics = [find("refused").expect("one"), find("dropped").expect("one")];
    let refused = BTreeMap::from([("token_expired".to_owned(), 2), ("not_authorized".to_owned(), 1)]);
    let mut chunk = Chunk::default();
    chunk.add(Source(1), 0, values_of(&InstanceSample { refused, ..InstanceSample::default() }));
    let mut chart = Chart::new(Steps { from: BEGIN, step: 30, points: 2 }, &metrics);
    chart.add(MINUTE, &chunk);
    let series = chart.series(&metrics);
    let lines: Vec<_> = series.iter().map(|it| (it.reason.as_deref(), it.values.clone())).collect();
    assert_eq!(
        lines,
        [(Some("not_authorized"), vec![Some(1), None]), (Some("token_expired"), vec![Some(2), None])]
    );
}

#[test]
fn sums_stay_within_their_number() {
    let counted = [(MINUTE, chunk(&[(1, 0, u64::MAX, u64::MAX), (2, 0, 5, 5)]))];
    let steps = Steps { from: BEGIN, step: 60, points: 1 };
    assert_eq!(lines(steps, &[], &counted), [vec![Some(u64::MAX)], vec![Some(u64::MAX)]]);
}
