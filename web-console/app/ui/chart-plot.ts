/** The drawing behind a chart: axes, gaps, and a hatch where nothing is known yet. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export type Steps = 'whole' | 'bytes';
export type Tone = 1 | 2 | 3 | 4 | 5;
export type Style = { tone: Tone; dashed: boolean; mark: boolean };

type Request = {
  data: uPlot.AlignedData;
  styles: Style[];
  height: number;
  utc: boolean;
  noData: string;
  least: number;
  steps: Steps | undefined;
  syncKey: string | undefined;
  format: (value: number) => string;
  onCursor: (at: number | null) => void;
};

const DAY_SECS = 86_400;
const STEPS = {
  whole: Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat(),
  bytes: Array.from({ length: 44 }, (_, power) => 2 ** power),
};
/** A hatch narrower than this says nothing. */
const HATCH_PIXELS_MIN = 24;

export function drawChart(place: HTMLElement, request: Request): { chart: uPlot; stop: () => void } {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const { styles, height, utc, format, least, steps, onCursor, syncKey } = request;
  const measured = styles.map(({ mark }) => !mark);
  const hatch: Hatch = [color('line'), color('text-faint'), color('surface')];
  const axis: uPlot.Axis = {
    stroke: color('text-faint'), grid: { stroke: color('line'), width: 1 }, ticks: { show: false },
    font: '11px system-ui, sans-serif',
  };
  const chart = new uPlot({
    width: Math.max(place.clientWidth, 120),
    height,
    padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { size: 6 },
      ...(syncKey === undefined ? {} : { sync: { key: syncKey, setSeries: false } }),
    },
    tzDate: (secs) => (utc ? uPlot.tzDate(new Date(secs * 1000), 'Etc/UTC') : new Date(secs * 1000)),
    scales: { y: { range: (_, __, max) => [0, scaleEnd(max, least)] } },
    series: [{}, ...styles.map(({ tone, dashed }, at) => ({
      stroke: color(`series-${tone}`), width: 1.5, points: { show: false }, ...(dashed && { dash: [4, 4] }),
      ...(at === 0 ? { fill: `${color(`series-${tone}`)}14` } : {}),
    }))],
    axes: [
      { ...axis, size: 28, space: 72, values: (_, splits, __, ___, step) => splits.map((secs) => stamp(secs, step, utc)) },
      { ...axis, ...(steps && { incrs: STEPS[steps] }), size: 58, space: 34, values: (_, splits) => splits.map((value) => format(value)) },
    ],
    hooks: {
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
      drawClear: [(plot) => hatchUnknown(plot, measured, hatch, request.noData)],
    },
  }, request.data, place);
  const observer = new ResizeObserver(() => {
    if (place.clientWidth > 0) chart.setSize({ width: place.clientWidth, height });
  });
  observer.observe(place);
  return {
    chart,
    stop: () => {
      observer.disconnect();
      chart.destroy();
    },
  };
}

/** The end of the scale: a little above the highest value. */
function scaleEnd(max: number | null, least: number): number {
  return Math.max((max ?? 0) * 1.12, least);
}

function stamp(secs: number, step: number, utc: boolean): string {
  const shift = utc ? 0 : -new Date(secs * 1000).getTimezoneOffset() * 60;
  const text = new Date((secs + shift) * 1000).toISOString();
  if (step >= DAY_SECS) return text.slice(5, 10);
  return step >= 60 ? text.slice(11, 16) : text.slice(11, 19);
}

/** The colours of the hatch: its lines, its words, the ground below them. */
type Hatch = [line: string, text: string, ground: string];

/** Hatches the time before the first known value: an empty chart would look like silence. */
function hatchUnknown(plot: uPlot, measured: boolean[], [line, text, ground]: Hatch, words: string): void {
  const [moments, ...lines] = plot.data;
  const first = moments.findIndex((_, at) => lines.some((values, index) => measured[index] && values[at] != null));
  const { left, top, width, height } = plot.bbox;
  const end = first < 0 ? left + width : plot.valToPos(moments[first] ?? 0, 'x', true);
  const ratio = uPlot.pxRatio;
  if (end - left < HATCH_PIXELS_MIN * ratio) return;
  const { ctx } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, end - left, height);
  ctx.clip();
  ctx.strokeStyle = line;
  ctx.lineWidth = ratio;
  for (let x = left - height; x < end; x += 9 * ratio) {
    ctx.beginPath();
    ctx.moveTo(x, top + height);
    ctx.lineTo(x + height, top);
    ctx.stroke();
  }
  if (end - left > 90 * ratio) {
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = 'center';
    ctx.textBaseline = 'middle';
    const [x, y, half] = [(left + end) / 2, top + height * 0.42, ctx.measureText(words).width / 2 + 6 * ratio];
    ctx.fillStyle = ground;
    ctx.fillRect(x - half, y - 9 * ratio, 2 * half, 18 * ratio);
    ctx.fillStyle = text;
    ctx.fillText(words, x, y);
  }
  ctx.restore();
}
