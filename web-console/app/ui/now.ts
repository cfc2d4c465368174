/** One clock for everything on the page that ages. */
import { useSyncExternalStore } from 'react';

function clock(periodMillis: number) {
  let now = Date.now();
  const listeners = new Set<() => void>();
  let timer: number | undefined;
  const tick = () => {
    now = Date.now();
    for (const listener of listeners) listener();
  };
  return {
    now: () => now,
    subscribe: (listener: () => void) => {
      if (listeners.size === 0) {
        now = Date.now();
        timer = window.setInterval(tick, periodMillis);
      }
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) window.clearInterval(timer);
      };
    },
  };
}

const slow = clock(10_000);
const fast = clock(1_000);

/** Now in milliseconds; shown anew every ten seconds, or every second where a countdown is shown. */
export function useNow(every: 'second' | 'tenSeconds' = 'tenSeconds'): number {
  const source = every === 'second' ? fast : slow;
  useSyncExternalStore(source.subscribe, source.now);
  // Not the last tick: what has just been made would lie in the future.
  return Date.now();
}
