/** Alarms that are open, or those that are over. */
import { BellOutlined, CheckCircleOutlined } from '@ant-design/icons';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Button, Table, type TableColumnsType } from 'antd';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useInstance, usePermission } from '../../layout/instance';
import { EmptyState } from '../../ui/empty';
import { ErrorNotice } from '../../ui/error';
import { useFormat } from '../../ui/language';
import { Panel } from '../../ui/page';
import { Badge, Status } from '../../ui/status';
import { Time } from '../../ui/time';
import { Acknowledge } from './acknowledge';
import { type Alarm, alarmsQuery, type Rule, type Shown } from './queries';

export const SEVERITY_TONES = { info: 'accent', warning: 'warn', critical: 'bad' } as const;
const STATE_TONES = { firing: 'bad', acknowledged: 'warn', resolved: 'ok' } as const;

type Properties = { shown: Shown; rules: Rule[] | undefined; create: ReactNode };

export function AlarmList({ shown, rules, create }: Properties) {
  const { t } = useTranslation(['alarms', 'common']);
  const { id: instanceId } = useInstance();
  const [taking, setTaking] = useState<Alarm | null>(null);
  const query = useInfiniteQuery(alarmsQuery(instanceId, shown));
  const alarms = query.data?.pages.flatMap(({ items }) => items) ?? [];
  const columns = useColumns(shown, setTaking);
  if (query.isSuccess && alarms.length === 0) return <Panel flush><Nothing shown={shown} rules={rules} create={create} /></Panel>;
  return (
    <>
      {query.isError && <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />}
      <Panel flush>
        <Table rowKey="id" size="middle" columns={columns} dataSource={alarms} loading={query.isPending} pagination={false} />
        {query.hasNextPage && (
          <div className="load-more">
            <Button loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>{t('common:loadMore')}</Button>
          </div>
        )}
      </Panel>
      <Acknowledge alarm={taking} onClose={() => setTaking(null)} />
    </>
  );
}

function useColumns(shown: Shown, onTake: (alarm: Alarm) => void): TableColumnsType<Alarm> {
  const { t } = useTranslation(['alarms', 'common']);
  const { number, duration } = useFormat();
  const { allowed } = usePermission('alarms:write');
  const lasted = ({ fired_at, resolved_at }: Alarm) => resolved_at == null ? '' : duration((Date.parse(resolved_at) - Date.parse(fired_at)) / 1000);
  return [
    {
      title: t('alarm'), key: 'rule', render: (_, { rule_name: name, severity }) => (
        <><Badge tone={SEVERITY_TONES[severity]}>{t(`common:severity.${severity}`)}</Badge> <strong className="long">{name}</strong></>
      ),
    },
    { title: t('common:state'), key: 'state', render: (_, { state }) => <Status tone={STATE_TONES[state]}>{t(`states.${state}`)}</Status> },
    {
      title: t('value'), key: 'value', responsive: ['sm'],
      render: (_, { value, threshold }) => <span className="numbers">{number(value)} <span className="soft">/ {number(threshold)}</span></span>,
    },
    { title: t('since'), key: 'fired', render: (_, { fired_at }) => <Time at={fired_at} style={shown === 'open' ? 'relative' : 'minute'} /> },
    ...(shown === 'resolved' ? [{ title: t('lasted'), key: 'lasted', responsive: ['md' as const], render: (_: unknown, alarm: Alarm) => lasted(alarm) }] : []),
    {
      title: t('acknowledgedBy'), key: 'by', responsive: ['md'],
      render: (_, { acknowledged_by: by, note }) => (
        <>{by ?? <span className="soft">–</span>}{note != null && <div className="soft">{note}</div>}</>
      ),
    },
    {
      key: 'actions', align: 'end', render: (_, alarm) => alarm.state === 'firing' && (
        <Button size="small" disabled={!allowed} onClick={() => onTake(alarm)}>{t('acknowledge')}</Button>
      ),
    },
  ];
}

function Nothing({ shown, rules, create }: Properties) {
  const { t } = useTranslation('alarms');
  if (rules === undefined) return null;
  if (rules.length === 0) {
    return <EmptyState icon={<BellOutlined />} title={t('noRules')} actions={create}>{t('noRulesText')}</EmptyState>;
  }
  return (
    <EmptyState icon={<CheckCircleOutlined />} title={t(shown === 'open' ? 'noneOpen' : 'noneResolved')}>
      {t('watching', { count: rules.filter(({ enabled }) => enabled).length })}
    </EmptyState>
  );
}
