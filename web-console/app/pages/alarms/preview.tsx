/** The last day of what the rule watches, and how often it would have fired; redrawn as one edits. */
import { useQuery } from '@tanstack/react-query';
import { Form } from 'antd';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { metricsQuery } from '../../api/metrics';
import { useInstance } from '../../layout/instance';
import { Chart } from '../../ui/chart';
import { useFormat } from '../../ui/language';
import type { Range } from '../../util/range';
import { moments, type Series, valuesOf } from '../../util/series';
import { compared, firings } from './forecast';
import { type RuleValues, WINDOW_SECS } from './values';
import { METRICS } from './words';
import './preview.css';

const DAY: Range = { kind: 'live', preset: '24h' };

export function Preview() {
  const { t } = useTranslation('alarms');
  const { compact, bytes } = useFormat();
  const { id } = useInstance();
  const { data } = useQuery(metricsQuery(id, DAY));
  const form = Form.useFormInstance<RuleValues>();
  const watched = Form.useWatch((values: RuleValues) => values, { form, preserve: true });
  const shown = useMemo(() => {
    if (data === undefined || watched?.metric === undefined) return null;
    const { metric, reason, window_secs } = watched;
    const lines: Series[] = reason?.trim()
      ? data.series.filter((line) => line.metric !== metric || line.reason === reason.trim()) : data.series;
    const values = compared(valuesOf({ ...data, series: lines }, metric), data.step_secs, window_secs ?? WINDOW_SECS, METRICS[metric]);
    return { values, at: moments(data, values.length), step: data.step_secs };
  }, [data, watched]);
  if (shown === null || watched === undefined) return null;
  const count = firings(shown.values, shown.step, watched).length;
  const inBytes = watched.metric === 'bytes_in' || watched.metric === 'bytes_out';
  const threshold = shown.values.map(() => watched.value ?? null);
  return (
    <section className="rule-preview" aria-label={t('lastDay')}>
      <Chart label={t(`metrics.${watched.metric}`)} moments={shown.at} height={140} format={inBytes ? bytes : compact}
        steps={inBytes ? 'bytes' : 'whole'} lines={[
        { label: t(`metrics.${watched.metric}`), values: shown.values, tone: 1 },
        { label: t('threshold'), values: threshold, tone: 3, mark: true },
      ]} />
      <p className="soft">{t('wouldHaveFired', { count })}</p>
    </section>
  );
}
