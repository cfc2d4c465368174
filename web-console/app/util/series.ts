/** Arithmetic over what was counted: pure, on the API's form of a chart. */
export type Values = (number | null)[];
export type Series = { metric: string; kind: 'gauge' | 'counter'; reason?: string | null; values: Values };
export type Chart = { from: string; to: string; step_secs: number; series: Series[] };

/** The values of a metric, over all its reasons; all null where it is not there. */
export function valuesOf(chart: Chart, metric: string): Values {
  const lines = chart.series.filter((line) => line.metric === metric);
  const length = Math.max(0, ...chart.series.map(({ values }) => values.length));
  if (lines.length === 0) {
    // A metric by reason has no line when nothing happened: zero wherever anything at all is known.
    const known = chart.series.filter(({ metric: other }) => other === 'connections');
    const byReason = metric === 'refused' || metric === 'dropped';
    return Array.from({ length }, (_, at) => (byReason && known.some(({ values }) => values[at] != null) ? 0 : null));
  }
  return Array.from({ length }, (_, at) => lines.reduce<number | null>((sum, { values }) => {
    const value = values[at] ?? null;
    return value === null ? sum : (sum ?? 0) + value;
  }, null));
}

/** A counter as a rate per second. */
export function rates(values: Values, stepSecs: number): Values {
  return values.map((value) => (value === null ? null : value / stepSecs));
}

export function total(values: Values): number | null {
  return values.reduce<number | null>((sum, value) => (value === null ? sum : (sum ?? 0) + value), null);
}

export function mean(values: Values): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

export function highest(values: Values): number | null {
  return values.reduce<number | null>((top, value) => (value === null ? top : Math.max(top ?? value, value)), null);
}

/** The newest value that is known, with its place. */
export function newest(values: Values): { value: number; at: number } | null {
  for (let at = values.length - 1; at >= 0; at -= 1) {
    const value = values[at];
    if (value !== null && value !== undefined) return { value, at };
  }
  return null;
}

/** The sums by reason, largest first, without zeros. */
export function byReason(chart: Chart, metric: string): { reason: string; count: number }[] {
  return chart.series
    .filter((line) => line.metric === metric && line.reason != null)
    .map((line) => ({ reason: line.reason ?? '', count: total(line.values) ?? 0 }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count);
}

/** At most `points` values, each the largest of its stretch: for lines in little room. */
export function thinned(values: Values, points: number): Values {
  if (values.length <= points) return values;
  return Array.from({ length: points }, (_, at) =>
    highest(values.slice(Math.floor((at * values.length) / points), Math.floor(((at + 1) * values.length) / points))));
}

/** Seconds since 1970 at which each value's step begins. */
export function moments(chart: Chart, length: number): number[] {
  const from = new Date(chart.from).getTime() / 1000;
  return Array.from({ length }, (_, at) => from + at * chart.step_secs);
}
