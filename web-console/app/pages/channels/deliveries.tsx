/** What was sent to a channel, and what became of it. */
import { useQuery } from '@tanstack/react-query';
import { Drawer, Table, type TableColumnsType } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { EmptyState } from '../../ui/empty';
import { Loaded } from '../../ui/loaded';
import { Status } from '../../ui/status';
import { Time } from '../../ui/time';
import { type Channel, deliveriesQuery } from '../alarms/queries';

type Delivery = Schema<'Delivery'>;

const TONES = { pending: 'warn', delivered: 'ok', failed: 'bad' } as const;

export function Deliveries({ channel, onClose }: { channel: Channel | null; onClose: () => void }) {
  const { t } = useTranslation('channels');
  return (
    <Drawer open={channel !== null} onClose={onClose} size={640} title={t('deliveriesTitle', { name: channel?.name ?? '' })}
      destroyOnHidden>
      {channel !== null && <List channelId={channel.id} />}
    </Drawer>
  );
}

function List({ channelId }: { channelId: string }) {
  const { t } = useTranslation(['channels', 'common']);
  const { id: instanceId } = useInstance();
  const query = useQuery(deliveriesQuery(instanceId, channelId));
  const columns: TableColumnsType<Delivery> = [
    { title: t('event'), key: 'event', render: (_, { event }) => <code>{event}</code> },
    {
      title: t('common:state'), key: 'state', render: (_, delivery) => (
        <>
          <Status tone={TONES[delivery.state]}>{t(`deliveryStates.${delivery.state}`)}</Status>
          <div className="soft">{outcome(delivery)}</div>
          {delivery.state === 'pending' && delivery.attempts > 0 && (
            <div className="soft">{t('nextAttempt')} <Time at={delivery.next_attempt_at} style="relative" /></div>
          )}
        </>
      ),
    },
    { title: t('attempts'), dataIndex: 'attempts', width: 90 },
    { title: t('common:createdAt'), key: 'at', render: (_, { created_at }) => <Time at={created_at} style="relative" /> },
  ];
  return (
    <Loaded query={query}>
      {({ items }) => items.length === 0
        ? <EmptyState title={t('noDeliveries')}>{t('noDeliveriesText')}</EmptyState>
        : <Table rowKey="id" size="small" columns={columns} dataSource={items} pagination={false} />}
    </Loaded>
  );
}

function outcome({ last_status: status, last_error: error }: Delivery): string {
  return [status == null ? '' : `HTTP ${status}`, error ?? ''].filter((part) => part !== '').join(' · ');
}
