import { describe, expect, it } from 'vitest';
import { byReason, type Chart, highest, mean, moments, newest, rates, thinned, total, valuesOf } from './series';

const chart: Chart = {
  from: '2026-01-01T00:00:00.000Z', to: '2026-01-01T00:00:40.000Z', step_secs: 10,
  series: [
    { metric: 'connections', kind: 'gauge', values: [null, 3, 5, 4] },
    { metric: 'refused', kind: 'counter', reason: 'token_expired', values: [null, 1, 0, 2] },
    { metric: 'refused', kind: 'counter', reason: 'not_authorized', values: [null, null, 7, null] },
  ],
};

describe('values', () => {
  it('of several reasons add up where any is known', () =>
    expect(valuesOf(chart, 'refused')).toEqual([null, 1, 7, 2]));
  it('of a metric by reason without a line are zero where anything is known', () =>
    expect(valuesOf(chart, 'dropped')).toEqual([null, 0, 0, 0]));
  it('of an absent metric are unknown', () =>
    expect(valuesOf(chart, 'messages_in')).toEqual([null, null, null, null]));
});

it('sums, means and peaks pass over what is unknown', () => {
  const values = valuesOf(chart, 'connections');
  expect([total(values), mean(values), highest(values)]).toEqual([12, 4, 5]);
  expect([total([null]), mean([]), highest([null])]).toEqual([null, null, null]);
});

it('the newest value is the last known one', () => {
  expect(newest([1, 2, null])).toEqual({ value: 2, at: 1 });
  expect(newest([null])).toBeNull();
});

it('a counter is a rate by its step', () => expect(rates([20, null, 5], 10)).toEqual([2, null, 0.5]));

it('reasons come largest first', () => expect(byReason(chart, 'refused')).toEqual([
  { reason: 'not_authorized', count: 7 }, { reason: 'token_expired', count: 3 },
]));

it('thinning keeps peaks', () => expect(thinned([1, 9, null, null, 3, 2], 3)).toEqual([9, null, 3]));

it('moments follow the step', () => {
  const start = Date.UTC(2026, 0, 1) / 1000;
  expect(moments(chart, 3)).toEqual([start, start + 10, start + 20]);
});
