/** Which steps are done, from what has been seen. */
import { type Chart, moments, valuesOf } from '../../util/series';
import type { Demo } from './demo';
import type { LiveCheck } from './live-check';

export type Progress = { token: boolean; connected: boolean; message: string | null };

type Seen = Pick<LiveCheck, 'messages' | 'connects'>;

export function progressOf(demo: Demo | null, live: Seen, chart: Chart | undefined): Progress {
  const message = live.messages.at(-1)?.topic ?? null;
  return {
    token: demo !== null,
    connected: message !== null || (demo !== null && chart !== undefined && somebodyElse(demo.issuedAt, live.connects, chart)),
    message: demo === null ? null : message,
  };
}

/**
 * Whether a client other than this browser has connected since the token was issued. Metrics name no client, so this
 * is said only where nothing had connected before: in a busy instance the first message tells.
 */
function somebodyElse(since: number, own: number, chart: Chart): boolean {
  const connects = valuesOf(chart, 'connects');
  const at = moments(chart, connects.length);
  const sum = (wanted: (begins: number) => boolean) =>
    connects.reduce<number>((all, count, index) => all + (wanted(at[index] ?? 0) ? count ?? 0 : 0), 0);
  const begin = Math.floor(since / 1000) - chart.step_secs;
  return sum((begins) => begins < begin) === 0 && sum((begins) => begins >= begin) > own;
}
