/** Channels: where alarms are told. */
import { NotificationOutlined, PlusOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Button, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useInstance, usePermission } from '../../layout/instance';
import { EmptyState } from '../../ui/empty';
import { Loaded } from '../../ui/loaded';
import { Page, Panel } from '../../ui/page';
import { type Channel, channelsQuery } from '../alarms/queries';
import { DeleteChannel } from './delete';
import { Deliveries } from './deliveries';
import { ChannelForm } from './form';
import { SecretModal } from './secret';
import { ChannelTable } from './table';

export default function ChannelsPage() {
  const { t } = useTranslation('channels');
  const { id: instanceId } = useInstance();
  const { allowed, reason } = usePermission('channels:write');
  const query = useQuery(channelsQuery(instanceId));
  const [editing, setEditing] = useState<Channel | 'new' | null>(null);
  const [deleting, setDeleting] = useState<Channel | null>(null);
  const [looking, setLooking] = useState<Channel | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const create = (
    <Tooltip title={reason}>
      <Button type="primary" icon={<PlusOutlined />} disabled={!allowed} onClick={() => setEditing('new')}>
        {t('create')}
      </Button>
    </Tooltip>
  );
  return (
    <Page title={t('title')} sentence={t('sentence')} actions={create}>
      <Panel flush>
        <Loaded query={query}>
          {({ items }) => items.length === 0
            ? <EmptyState icon={<NotificationOutlined />} title={t('emptyTitle')} actions={create}>{t('emptyText')}</EmptyState>
            : (
              <ChannelTable channels={items} allowed={allowed} onEdit={setEditing} onDelete={setDeleting}
                onLook={setLooking} onSecret={setSecret} />
            )}
        </Loaded>
      </Panel>
      <ChannelForm channel={editing} onClose={() => setEditing(null)} onSecret={setSecret} />
      <SecretModal secret={secret} onClose={() => setSecret(null)} />
      <DeleteChannel channel={deleting} onClose={() => setDeleting(null)} />
      <Deliveries channel={looking} onClose={() => setLooking(null)} />
    </Page>
  );
}
