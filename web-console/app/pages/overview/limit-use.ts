/** How much of each limit is used: as the service counts it, or as the range's highest rate shows. */
import { type Chart, highest, valuesOf } from '../../util/series';

export type Limit = { name: string; unit: string; value: number; used?: number | null };
export type Use = { name: string; unit: string; value: number; used: number; share: number; peak: boolean };

/** Limits whose use is a metric: of a gauge its peak, of a counter its highest rate. */
const MEASURED: Record<string, { metric: string; rate: boolean }> = {
  connections_max: { metric: 'connections', rate: false },
  connects_per_sec: { metric: 'connects', rate: true },
  messages_in_per_sec: { metric: 'messages_in', rate: true },
  messages_out_per_sec: { metric: 'messages_out', rate: true },
  bytes_in_per_sec: { metric: 'bytes_in', rate: true },
  bytes_out_per_sec: { metric: 'bytes_out', rate: true },
};

/** Every limit whose use is known, fullest first. */
export function limitUse(limits: Limit[], chart: Chart): Use[] {
  return limits.flatMap(({ name, unit, value, used }) => {
    const measured = MEASURED[name];
    const peak = measured === undefined ? null : highest(valuesOf(chart, measured.metric));
    const rate = measured?.rate ? (peak ?? 0) / chart.step_secs : peak;
    const use = used ?? (measured === undefined || peak === null ? null : rate);
    if (use === null || value <= 0) return [];
    return [{ name, unit, value, used: use, share: use / value, peak: used == null }];
  }).sort((a, b) => b.share - a.share);
}
