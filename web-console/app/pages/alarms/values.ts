/** Between a rule of the API and the values of its form. */
import type { Schema } from '../../api/client';
import type { Rule } from './queries';
import type { MetricName } from './words';

/** The window of a rule that has not said one: a gauge has none to choose. */
export const WINDOW_SECS = 60;

export type RuleValues = {
  name: string;
  severity: Schema<'Severity'>;
  metric: MetricName;
  reason: string;
  compare: 'above' | 'below';
  value: number;
  clear_value: number;
  window_secs: number;
  for_secs: number;
  channels: string[];
  /** 0: told once. */
  repeat_secs: number;
};

export function ruleValuesOf(rule: Rule | null): RuleValues {
  const condition = rule?.condition;
  return {
    name: rule?.name ?? '',
    severity: rule?.severity ?? 'warning',
    metric: (condition?.metric ?? 'connections') as MetricName,
    reason: condition?.reason ?? '',
    compare: condition?.compare ?? 'above',
    value: condition?.value ?? 100,
    clear_value: condition?.clear_value ?? 80,
    window_secs: condition?.window_secs ?? WINDOW_SECS,
    for_secs: rule?.for_secs ?? 60,
    channels: rule?.channels ?? [],
    repeat_secs: rule?.repeat_secs ?? 0,
  };
}

export function ruleBodyOf(values: RuleValues): Omit<Schema<'CreateAlarmRuleRequest'>, 'enabled'> {
  const {
    name, severity, metric, reason, compare, value, clear_value, window_secs = WINDOW_SECS, for_secs, channels, repeat_secs,
  } = values;
  return {
    name: name.trim(),
    severity,
    condition: {
      kind: 'threshold', metric, reason: reason?.trim() ? reason.trim() : null, compare, window_secs, value, clear_value,
    },
    for_secs,
    channels,
    repeat_secs: repeat_secs === 0 ? null : repeat_secs,
  };
}
