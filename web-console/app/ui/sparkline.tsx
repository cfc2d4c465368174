/** A line in little room: the shape of the last hour, nothing to read off. */
import { highest, thinned, type Values } from '../util/series';

const WIDTH = 120;
const HEIGHT = 28;
const POINTS = 60;

/** The path of the known values; a gap where one is unknown. */
export function sparkPath(values: Values): string {
  const line = thinned(values, POINTS);
  const top = Math.max(highest(line) ?? 0, 1e-9);
  const step = line.length > 1 ? WIDTH / (line.length - 1) : WIDTH;
  let pen = 'M';
  return line.map((value, at) => {
    if (value === null) {
      pen = 'M';
      return '';
    }
    const point = `${pen}${(at * step).toFixed(1)} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 4)).toFixed(1)}`;
    pen = 'L';
    return point;
  }).join('');
}

export function Sparkline({ values, tone = 1 }: { values: Values; tone?: 1 | 2 | 3 | 4 | 5 }) {
  return (
    <svg className="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={sparkPath(values)} fill="none" stroke={`var(--series-${tone})`} strokeWidth="1.5"
        vectorEffect="non-scaling-stroke" strokeLinejoin="round" />
    </svg>
  );
}
