import { describe, expect, it } from 'vitest';
import type { Chart } from '../../util/series';
import type { Demo } from './demo';
import type { Arrived } from './live-check';
import { progressOf } from './progress';

const issuedAt = Date.UTC(2026, 0, 1, 0, 1);
const demo = { topic: 'demo', issuedAt } as Demo;
const arrived = { topic: 'demo/hello' } as Arrived;

function connects(values: number[]): Chart {
  return {
    from: '2026-01-01T00:00:00.000Z', to: '2026-01-01T00:02:00.000Z', step_secs: 30,
    series: [{ metric: 'connects', kind: 'counter', values }],
  };
}

describe('the step "connected"', () => {
  it.each([
    ['nothing but this browser', [0, 0, 1, 0], 1, false],
    ['another client', [0, 0, 1, 1], 1, true],
    ['a busy instance says nothing', [5, 0, 3, 3], 1, false],
  ])('%s', (_, values, own, done) => {
    expect(progressOf(demo, { messages: [], connects: own }, connects(values)).connected).toBe(done);
  });

  it('is done with the first message', () => {
    expect(progressOf(demo, { messages: [arrived], connects: 1 }, undefined))
      .toEqual({ token: true, connected: true, message: 'demo/hello' });
  });
});

it('nothing is done before there is a token', () => {
  expect(progressOf(null, { messages: [], connects: 0 }, connects([0, 0, 9, 9])))
    .toEqual({ token: false, connected: false, message: null });
});
