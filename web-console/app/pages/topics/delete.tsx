/** Deleting a topic. */
import { useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, callApplied, type Schema, WAIT } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { ConfirmByName } from '../../ui/confirm';

type Properties = { topic: Schema<'Topic'> | null; onClose: () => void };

export function DeleteTopic({ topic, onClose }: Properties) {
  const { t } = useTranslation(['topics', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId, topic_mode: mode } = useInstance();
  const remove = async () => {
    if (topic === null) return;
    await callApplied(api.DELETE('/v1/instances/{instance_id}/topics/{topic}', {
      params: {
        path: { instance_id: instanceId, topic: topic.name },
        header: { ...WAIT.header, 'If-Match': `"${topic.revision}"` },
      },
    }));
    await client.invalidateQueries({ queryKey: ['topics', instanceId] });
    message.success(t('common:deleted'));
  };
  return (
    <ConfirmByName open={topic !== null} title={t('deleteTitle', { name: topic?.name ?? '' })} name={topic?.name ?? ''}
      onConfirm={remove} onClose={onClose}>
      {t(mode === 'provisioned' ? 'deleteText' : 'deleteTextOpen')}
    </ConfirmByName>
  );
}
