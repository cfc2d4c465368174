/** A time range as the address holds it: `now-1h` while live, two fixed moments once paused or shared. */
export const PRESETS = ['15m', '1h', '6h', '24h', '7d', '30d'] as const;
export type Preset = (typeof PRESETS)[number];

const SECS: Record<Preset, number> = {
  '15m': 900, '1h': 3_600, '6h': 21_600, '24h': 86_400, '7d': 604_800, '30d': 2_592_000,
};

export type Range = { kind: 'live'; preset: Preset } | { kind: 'fixed'; from: Date; to: Date };

export function parseRange(text: string | undefined, otherwise: Preset): Range {
  const preset = PRESETS.find((one) => text === `now-${one}`);
  if (preset !== undefined) return { kind: 'live', preset };
  const [from, to] = (text ?? '').split('~').map((part) => new Date(part));
  if (from !== undefined && to !== undefined && from.getTime() < to.getTime()) return { kind: 'fixed', from, to };
  return { kind: 'live', preset: otherwise };
}

export function printRange(range: Range): string {
  return range.kind === 'live'
    ? `now-${range.preset}`
    : `${range.from.toISOString()}~${range.to.toISOString()}`;
}

/** The moments that a range means now. */
export function momentsOf(range: Range, now: number): { from: Date; to: Date } {
  if (range.kind === 'fixed') return { from: range.from, to: range.to };
  return { from: new Date(now - SECS[range.preset] * 1000), to: new Date(now) };
}
