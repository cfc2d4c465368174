/** A chart over time: lines with their values under the cursor, in the zone and theme that are shown. */
import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type uPlot from 'uplot';
import { newest, type Values } from '../util/series';
import { drawChart, type Steps, type Style, type Tone } from './chart-plot';
import { useFormat } from './language';
import { useDark } from './theme';
import './chart.css';

/** `dashed`: a line that often lies on another one; `mark`: one that was not measured, such as a threshold. */
export type ChartLine = { label: string; values: Values; tone: Tone; dashed?: boolean; mark?: boolean };

type Properties = {
  /** What the chart shows, for those who do not see it. */
  label: string;
  /** Seconds since 1970 at which each value's step begins. */
  moments: number[];
  lines: ChartLine[];
  format: (value: number) => string;
  height?: number;
  /** The scale ends at least here, so that little does not look like much; 1, when left out. */
  least?: number;
  /** Of what the scale's steps are: whole numbers, powers of two for bytes; as it fits, when left out. */
  steps?: Steps;
  /** Charts with the same key share their cursor. */
  syncKey?: string;
};

export function Chart({ label, moments, lines, format, height = 180, least = 1, steps, syncKey }: Properties) {
  const { t } = useTranslation('overview');
  const { utc, time } = useFormat();
  const dark = useDark();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const data = useMemo(() => [moments, ...lines.map(({ values }) => values)] as uPlot.AlignedData, [moments, lines]);
  const latest = useRef({ data, format });
  latest.current = { data, format };
  const shape = JSON.stringify(lines.map(({ tone, dashed = false, mark = false }): Style => ({ tone, dashed, mark })));

  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const { chart, stop } = drawChart(element, {
      data: latest.current.data, styles: JSON.parse(shape) as Style[], height, utc, least, steps,
      noData: t('charts.noData'), syncKey, onCursor: setCursor, format: (value) => latest.current.format(value),
    });
    plot.current = chart;
    return () => {
      plot.current = null;
      stop();
    };
    // `dark` stands here since the colours are read from the page when the chart is drawn.
  }, [shape, height, utc, dark, least, steps, syncKey, t]);
  useEffect(() => plot.current?.setData(data), [data]);

  const shown = lines.map((line) => {
    const value = cursor === null ? newest(line.values)?.value : line.values[cursor];
    return { ...line, text: value === null || value === undefined ? '–' : format(value) };
  });
  const at = cursor === null ? undefined : moments[cursor];
  return (
    <figure className="chart" role="group" aria-label={`${label}. ${shown.map((line) => `${line.label} ${line.text}`).join(', ')}`}>
      <figcaption className="chart-legend">
        {shown.map((line) => (
          <span key={line.label}>
            <i style={{ background: `var(--series-${line.tone})` }} aria-hidden="true" />
            {line.label} <strong className="numbers">{line.text}</strong>
          </span>
        ))}
        <time className="soft numbers">{at === undefined ? '' : time(new Date(at * 1000), 'clock')}</time>
      </figcaption>
      <div ref={place} style={{ height }} aria-hidden="true" />
    </figure>
  );
}
