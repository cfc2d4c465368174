/** Five numbers with their course and their change against yesterday. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { yesterdayQuery } from '../../api/metrics';
import { useInstance } from '../../layout/instance';
import { useFormat } from '../../ui/language';
import { Sparkline } from '../../ui/sparkline';
import type { Range } from '../../util/range';
import { type Chart, mean, newest, rates, total, type Values, valuesOf } from '../../util/series';

type Kind = 'now' | 'rate' | 'sum';
type Row = { name: 'connections' | 'messagesIn' | 'messagesOut' | 'dropped' | 'refused'; metric: string; kind: Kind; tone: 1 | 2 | 3 | 4 };

const ROWS: Row[] = [
  { name: 'connections', metric: 'connections', kind: 'now', tone: 1 },
  { name: 'messagesIn', metric: 'messages_in', kind: 'rate', tone: 1 },
  { name: 'messagesOut', metric: 'messages_out', kind: 'rate', tone: 2 },
  { name: 'dropped', metric: 'dropped', kind: 'sum', tone: 3 },
  { name: 'refused', metric: 'refused', kind: 'sum', tone: 4 },
];

/** What is compared with yesterday: the mean of what stands, the sum of what happened. */
function compared(values: Values, kind: Kind): number | null {
  return kind === 'now' ? mean(values) : total(values);
}

type Properties = { chart: Chart; range: Range; waiting: boolean };

export function Numbers({ chart, range, waiting }: Properties) {
  const { id } = useInstance();
  const { data: yesterday } = useQuery(yesterdayQuery(id, range));
  return (
    <div className="overview-numbers">
      {ROWS.map((row) => (
        <Card key={row.name} row={row} range={range} waiting={waiting} values={valuesOf(chart, row.metric)}
          step={chart.step_secs} before={yesterday === undefined ? [] : valuesOf(yesterday, row.metric)} />
      ))}
    </div>
  );
}

type CardProperties = { row: Row; range: Range; waiting: boolean; values: Values; step: number; before: Values };

function Card({ row: { name, kind, tone }, range, waiting, values, step, before }: CardProperties) {
  const { t } = useTranslation(['overview', 'common']);
  const { compact, change } = useFormat();
  const line = kind === 'rate' ? rates(values, step) : values;
  const value = kind === 'sum' ? total(values) : newest(line)?.value ?? null;
  const changed = change(compared(values, kind), compared(before, kind));
  const unit = kind === 'rate' ? t('numbers.perSec') : kind === 'now' ? ''
    : range.kind === 'live' ? t('numbers.inRange', { range: t(`common:range.${range.preset}`) }) : t('numbers.inOwnRange');
  return (
    <section className="panel number-card" aria-busy={waiting}>
      <h2>{t(`numbers.${name}`)}</h2>
      <div className="number-value numbers">{value === null ? '–' : compact(value)}<small>{unit}</small></div>
      <Sparkline values={line} tone={tone} />
      <div className="number-change">
        {changed === null ? t('numbers.noYesterday') : t('numbers.against', { change: changed })}
      </div>
    </section>
  );
}
