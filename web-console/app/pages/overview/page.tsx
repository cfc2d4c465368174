/** The state of an instance at one look: one sentence, five numbers, their course, what is nearly used up or refused. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { metricsQuery } from '../../api/metrics';
import { useInstance } from '../../layout/instance';
import { useRange } from '../../ui/address';
import { ErrorNotice } from '../../ui/error';
import { Page } from '../../ui/page';
import { RangePicker } from '../../ui/range-picker';
import { Status } from '../../ui/status';
import type { Chart } from '../../util/series';
import { Charts } from './charts';
import { Firing } from './firing';
import { FirstTime } from './first-time';
import { LimitPanel } from './limits';
import { Numbers } from './numbers';
import { ReasonPanel } from './reasons';
import { StateSentence } from './state';
import './page.css';

/** What is drawn before the first answer. */
const NOTHING: Chart = { from: '1970-01-01T00:00:00Z', to: '1970-01-01T00:00:00Z', step_secs: 10, series: [] };

export default function OverviewPage() {
  const { t } = useTranslation(['overview', 'common']);
  const { id, name } = useInstance();
  const [range, setRange] = useRange('1h');
  const query = useQuery(metricsQuery(id, range));
  const chart = query.data ?? NOTHING;
  const live = range.kind === 'live';
  return (
    <Page
      title={t('title')}
      tabTitle={`${t('title')} · ${name}`}
      sentence={<StateSentence />}
      actions={(
        <>
          <Status tone={live && !query.isError ? 'ok' : 'idle'}>{live ? t('common:live') : t('common:paused')}</Status>
          <RangePicker value={range} onChange={setRange} />
        </>
      )}
    >
      {query.isError && <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />}
      <Firing />
      <FirstTime />
      <Numbers chart={chart} range={range} waiting={query.isPending} />
      <Charts chart={chart} />
      <div className="overview-foot">
        <LimitPanel chart={chart} />
        <ReasonPanel chart={chart} metric="refused" />
        <ReasonPanel chart={chart} metric="dropped" />
      </div>
    </Page>
  );
}
