/** A rule's condition as a sentence. */
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../ui/language';
import { useReasonWords } from '../../ui/reason';
import type { Condition } from './queries';

/** The metrics that a rule can watch, and how they add up. */
export const METRICS = {
  connections: 'gauge', connects: 'counter', disconnects: 'counter', messages_in: 'counter', messages_out: 'counter',
  bytes_in: 'counter', bytes_out: 'counter', messages_stored: 'counter', unmatched: 'counter', refused: 'counter',
  dropped: 'counter',
} as const;

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.keys(METRICS) as MetricName[];

export function isMetric(name: string): name is MetricName {
  return name in METRICS;
}

export function useConditionWords(): (condition: Condition, forSecs: number) => string {
  const { t } = useTranslation('alarms');
  const { number, duration } = useFormat();
  const reasons = useReasonWords();
  return (condition, forSecs) => {
    const { metric, reason, compare, value, window_secs: window } = condition;
    const name = isMetric(metric) ? t(`metrics.${metric}`) : metric;
    const narrowed = reason == null || (metric !== 'refused' && metric !== 'dropped')
      ? name : t('withReason', { name, reason: reasons.title(metric, reason) });
    const gauge = isMetric(metric) && METRICS[metric] === 'gauge';
    const span = gauge ? '' : t('within', { span: duration(window) });
    const held = forSecs === 0 ? '' : t('held', { span: duration(forSecs) });
    return [narrowed, t(`compare.${compare}`), number(value), span, held].filter((part) => part !== '').join(' ');
  };
}
