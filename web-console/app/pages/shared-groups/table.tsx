/** The groups: their members and what waits for them. */
import { Button, Table, type TableColumnsType, Tooltip } from 'antd';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../ui/language';
import { Status } from '../../ui/status';
import { Time } from '../../ui/time';
import type { SharedGroup } from './query';

type Properties = { groups: SharedGroup[]; hasMore: boolean; loadingMore: boolean; onMore: () => void };

export function GroupTable({ groups, hasMore, loadingMore, onMore }: Properties) {
  const { t } = useTranslation(['sharedGroups', 'common']);
  const { bytes, number } = useFormat();
  const explained = (title: string, meaning: string) => <Tooltip title={meaning}>{title}</Tooltip>;
  const columns: TableColumnsType<SharedGroup> = [
    {
      title: t('group'), key: 'group', render: (_, group) => (
        <>
          <strong className="mono long">{group.group}</strong>
          <div className="narrow mono long">{group.topic_filter}</div>
          <div className="narrow"><Members group={group} /></div>
        </>
      ),
    },
    {
      title: t('filter'), key: 'filter', responsive: ['md'],
      render: (_, { topic_filter: filter }) => <span className="mono long">{filter}</span>,
    },
    { title: t('members'), key: 'members', responsive: ['md'], render: (_, group) => <Members group={group} /> },
    {
      title: explained(t('inFlight'), t('inFlightMeaning')), key: 'in-flight', align: 'end', responsive: ['md'],
      render: (_, { in_flight: count }) => <span className="numbers">{number(count)}</span>,
    },
    {
      title: explained(t('backlog'), t('backlogMeaning')), key: 'backlog', align: 'end',
      render: (_, group) => (
        <>
          <Backlog group={group} />
          {group.waiting_messages > 0 && (
            <>
              <div className="narrow soft nowrap">{bytes(group.waiting_bytes)}</div>
              {group.oldest_at != null && <div className="narrow soft"><Time at={group.oldest_at} style="relative" /></div>}
            </>
          )}
        </>
      ),
    },
    {
      title: t('size'), key: 'size', align: 'end', responsive: ['md'],
      render: (_, { waiting_bytes: size }) => <span className="numbers nowrap">{bytes(size)}</span>,
    },
    {
      title: explained(t('oldest'), t('oldestMeaning')), key: 'oldest', width: 150, responsive: ['md'],
      render: (_, { oldest_at: at, waiting_messages: waiting }) => (waiting === 0
        ? <span className="soft">{t('nothingWaits')}</span> : <Time at={at} style="relative" />),
    },
  ];
  return (
    <>
      <Table rowKey={({ group, topic_filter: filter }) => `${group}/${filter}`} size="middle" columns={columns}
        dataSource={groups} pagination={false} />
      {hasMore && (
        <div className="load-more"><Button loading={loadingMore} onClick={onMore}>{t('common:loadMore')}</Button></div>
      )}
    </>
  );
}

/** How many are there, and whether anybody works. */
function Members({ group: { members_connected: connected, members_away: away } }: { group: SharedGroup }) {
  const { t } = useTranslation('sharedGroups');
  const text = [
    ...(connected > 0 || away === 0 ? [t('connected', { count: connected })] : []),
    ...(away > 0 ? [t('away', { count: away })] : []),
  ].join(' · ');
  const status = <Status tone={connected > 0 ? 'ok' : 'warn'}>{text}</Status>;
  return connected > 0 ? status : <Tooltip title={t('nobody')}><span>{status}</span></Tooltip>;
}

function Backlog({ group: { waiting_messages: waiting, complete } }: { group: SharedGroup }) {
  const { t } = useTranslation('sharedGroups');
  const { number } = useFormat();
  const count = <span className="numbers">{number(waiting)}</span>;
  return complete ? count : <Tooltip title={t('notWholeMeaning')}><span>{t('notWhole')} {count}</span></Tooltip>;
}
