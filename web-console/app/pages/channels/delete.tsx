/** Deleting a channel. */
import { useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { ConfirmByName } from '../../ui/confirm';
import type { Channel } from '../alarms/queries';

export function DeleteChannel({ channel, onClose }: { channel: Channel | null; onClose: () => void }) {
  const { t } = useTranslation(['channels', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const remove = async () => {
    if (channel === null) return;
    await call(api.DELETE('/v1/instances/{instance_id}/channels/{channel_id}', {
      params: { path: { instance_id: instanceId, channel_id: channel.id } },
    }));
    await client.invalidateQueries({ predicate: ({ queryKey: [kind] }) => kind === 'channels' || kind === 'alarm-rules' });
    message.success(t('common:deleted'));
  };
  const name = channel?.name ?? '';
  return (
    <ConfirmByName open={channel !== null} title={t('deleteTitle', { name })} name={name} onConfirm={remove} onClose={onClose}>
      {t('deleteText')}
    </ConfirmByName>
  );
}
