/** The course of messages, connections, bytes and losses; one cursor for all. */
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { Chart as Plot, type ChartLine } from '../../ui/chart';
import { useFormat } from '../../ui/language';
import { Panel } from '../../ui/page';
import { type Chart, moments, rates, valuesOf } from '../../util/series';

/** Where each chart's scale ends at least, and of what its steps are. */
const SCALES = {
  messages: { least: 1 },
  connections: { least: 4, steps: 'whole' },
  bytes: { least: 1024, steps: 'bytes' },
  lost: { least: 4, steps: 'whole' },
} as const;

export function Charts({ chart }: { chart: Chart }) {
  const { t } = useTranslation('overview');
  const { compact, bytes } = useFormat();
  const at = useMemo(() => moments(chart, valuesOf(chart, 'connections').length), [chart]);
  const lines = useMemo(() => {
    const rate = (metric: string) => rates(valuesOf(chart, metric), chart.step_secs);
    return {
      messages: [
        { label: t('charts.in'), values: rate('messages_in'), tone: 1 },
        { label: t('charts.out'), values: rate('messages_out'), tone: 2 },
        { label: t('charts.stored'), values: rate('messages_stored'), tone: 5, dashed: true },
      ],
      connections: [{ label: t('charts.connected'), values: valuesOf(chart, 'connections'), tone: 1 }],
      bytes: [
        { label: t('charts.in'), values: rate('bytes_in'), tone: 1 },
        { label: t('charts.out'), values: rate('bytes_out'), tone: 2 },
      ],
      lost: [
        { label: t('charts.dropped'), values: valuesOf(chart, 'dropped'), tone: 3 },
        { label: t('charts.unmatched'), values: valuesOf(chart, 'unmatched'), tone: 5 },
      ],
    } satisfies Record<string, ChartLine[]>;
  }, [chart, t]);
  return (
    <div className="overview-charts">
      {(['messages', 'connections', 'bytes', 'lost'] as const).map((name) => (
        <Panel key={name} title={t(`charts.${name}`)}>
          <Plot label={t(`charts.${name}`)} moments={at} lines={lines[name]} syncKey="overview"
            format={name === 'bytes' ? bytes : compact} {...SCALES[name]} />
        </Panel>
      ))}
    </div>
  );
}
