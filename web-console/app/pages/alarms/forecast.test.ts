import { describe, expect, it } from 'vitest';
import { compared, firings, type Watch } from './forecast';

const watch: Watch = { compare: 'above', value: 10, clear_value: 5, window_secs: 60, for_secs: 0 };

describe('when a rule would have fired', () => {
  it.each([
    ['at once without a duration', [1, 10, 11], watch, [1]],
    ['not again before it has cleared', [10, 7, 10, 5, 10], watch, [0, 4]],
    ['only after it has held for the duration', [10, 10, 1, 10, 10, 10], { ...watch, for_secs: 20 }, [5]],
    ['an unknown value changes nothing', [10, null, 10], { ...watch, for_secs: 20 }, [2]],
    ['below, the other way round', [20, 10, 12, 15, 9], { ...watch, compare: 'below', clear_value: 15 }, [1, 4]],
  ] as const)('%s', (_, values, rule, at) => {
    expect(firings([...values], 10, rule as Watch)).toEqual(at);
  });

  it('compares the sum of a counter over the window', () => {
    expect(compared([1, 2, 3, null, 4], 10, 20, 'counter')).toEqual([1, 3, 5, null, null]);
    expect(compared([10, 30], 60, 30, 'counter')).toEqual([5, 15]);
    expect(compared([1, 2], 10, 20, 'gauge')).toEqual([1, 2]);
  });
});
