/** Alarms that are open, or those that are over. */
import { BellOutlined, CheckCircleOutlined } from '@ant-design/icons';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Button, Table, type TableColumnsType } from 'antd';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { sessionQuery } from '../../api/queries';
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
      {(alarms.length > 0 || !query.isError) && <Panel flush>
        <Table rowKey="id" size="middle" columns={columns} dataSource={alarms} loading={query.isPending} pagination={false} />
        {query.hasNextPage && (
          <div className="load-more">
            <Button loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>{t('common:loadMore')}</Button>
          </div>
        )}
      </Panel>}
      <Acknowledge alarm={taking} onClose={() => setTaking(null)} />
    </>
  );
}

function useColumns(shown: Shown, onTake: (alarm: Alarm) => void): TableColumnsType<Alarm> {
  const { t } = useTranslation(['alarms', 'common']);
  const { number, duration } = useFormat();
  const { allowed } = usePermission('alarms:write');
  const who = useWho();
  const stateOf = ({ state }: Alarm) => <Status tone={STATE_TONES[state]}>{t(`states.${state}`)}</Status>;
  const lasted = ({ fired_at, resolved_at }: Alarm) => resolved_at == null ? '' : duration((Date.parse(resolved_at) - Date.parse(fired_at)) / 1000);
  return [
    {
      title: t('alarm'), key: 'rule', render: (_, alarm) => (
        <>
          <Badge tone={SEVERITY_TONES[alarm.severity]}>{t(`common:severity.${alarm.severity}`)}</Badge>{' '}
          <strong className="long">{alarm.rule_name}</strong>
          <div className="narrow">{stateOf(alarm)} · <Time at={alarm.fired_at} style="relative" /></div>
        </>
      ),
    },
    { title: t('common:state'), key: 'state', responsive: ['md'], render: (_, alarm) => stateOf(alarm) },
    {
      title: t('value'), key: 'value', responsive: ['sm'],
      render: (_, { value, threshold }) => <span className="numbers">{number(value)} <span className="soft">/ {number(threshold)}</span></span>,
    },
    {
      title: t('since'), key: 'fired', responsive: ['md'],
      render: (_, { fired_at }) => <Time at={fired_at} style={shown === 'open' ? 'relative' : 'minute'} />,
    },
    ...(shown === 'resolved' ? [{ title: t('lasted'), key: 'lasted', responsive: ['md' as const], render: (_: unknown, alarm: Alarm) => lasted(alarm) }] : []),
    {
      title: t('acknowledgedBy'), key: 'by', responsive: ['md'],
      render: (_, { acknowledged_by: by, note }) => (
        <><span className="long">{who(by)}</span>{note != null && <div className="soft">{note}</div>}</>
      ),
    },
    {
      key: 'actions', align: 'end', render: (_, alarm) => alarm.state === 'firing' && (
        <Button size="small" disabled={!allowed} onClick={() => onTake(alarm)}>{t('acknowledge')}</Button>
      ),
    },
  ];
}

/** Who has taken an alarm on; of members other than the one who asks, the API tells the ID alone. */
function useWho(): (by: string | null | undefined) => string {
  const { t } = useTranslation('alarms');
  const { data: session } = useQuery(sessionQuery);
  return (by) => {
    if (by == null) return '–';
    if (by === 'platform') return t('byPlatform');
    const id = by.replace(/^member:/, '');
    return id === session?.member.id ? session.member.email : t('byMember', { id });
  };
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
