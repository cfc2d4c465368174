/** When a rule would have fired, over values that are known: the service's rule on the steps of a chart. */
import type { Values } from '../../util/series';

export type Watch = {
  compare: 'above' | 'below';
  value: number;
  clear_value: number;
  window_secs: number;
  for_secs: number;
};

/**
 * What the rule compares at each step: a gauge's value, a counter's sum over the window. Null where a part is unknown.
 * Of a window that is no whole number of steps, the share that it is of them.
 */
export function compared(values: Values, stepSecs: number, windowSecs: number, kind: 'gauge' | 'counter'): Values {
  if (kind === 'gauge') return values;
  const steps = Math.max(1, Math.round(windowSecs / stepSecs));
  const share = windowSecs / (steps * stepSecs);
  return values.map((_, at) => {
    const window = values.slice(Math.max(0, at + 1 - steps), at + 1);
    return window.some((value) => value === null) ? null : share * window.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  });
}

/** The steps at which it would have begun to fire. */
export function firings(values: Values, stepSecs: number, watch: Watch): number[] {
  const above = watch.compare === 'above';
  const holds = (value: number) => (above ? value >= watch.value : value <= watch.value);
  const clears = (value: number) => (above ? value <= watch.clear_value : value >= watch.clear_value);
  const begun: number[] = [];
  let since: number | null = null;
  let firing = false;
  values.forEach((value, at) => {
    if (value === null) return;
    if (firing) {
      if (clears(value)) firing = false;
      since = null;
    } else if (!holds(value)) {
      since = null;
    } else {
      since ??= at;
      if ((at - since) * stepSecs >= watch.for_secs) {
        firing = true;
        begun.push(at);
      }
    }
  });
  return begun;
}
