import { expect, it } from 'vitest';
import type { Chart } from '../../util/series';
import { limitUse } from './limit-use';
import { stateOf } from './state-of';

const chart: Chart = {
  from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:00:20Z', step_secs: 10,
  series: [
    { metric: 'connections', kind: 'gauge', values: [80, 60] },
    { metric: 'messages_in', kind: 'counter', values: [100, 400] },
  ],
};

it('takes the service\'s count, else the peak of a gauge, else the highest rate; fullest first', () => {
  const uses = limitUse([
    { name: 'topics_max', unit: 'topics', value: 100, used: 55 },
    { name: 'connections_max', unit: 'connections', value: 100, used: null },
    { name: 'messages_in_per_sec', unit: 'messages', value: 400 },
    { name: 'outbox_bytes_max', unit: 'bytes', value: 10 },
  ], chart);
  expect(uses.map(({ name, used, peak }) => [name, used, peak])).toEqual([
    ['connections_max', 80, true], ['topics_max', 55, false], ['messages_in_per_sec', 40, true],
  ]);
});

it.each([
  ['running', { applied: 3, reachable: 3, unreachable: 0 }, 'healthy'],
  ['running', { applied: 2, reachable: 3, unreachable: 0 }, 'applying'],
  ['running', { applied: 3, reachable: 3, unreachable: 1 }, 'unreachable'],
  ['running', { applied: 0, reachable: 0, unreachable: 1 }, 'noNode'],
  ['running', undefined, 'noNode'],
  ['suspended', { applied: 3, reachable: 3, unreachable: 0 }, 'suspended'],
] as const)('%s with %o is said as %s', (state, rollout, kind) => expect(stateOf(state, rollout)).toBe(kind));
