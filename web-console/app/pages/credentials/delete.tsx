/** Deleting a credential. */
import { useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, callApplied, WAIT } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { ConfirmByName } from '../../ui/confirm';
import type { Credential } from './query';

export function DeleteCredential({ credential, onClose }: { credential: Credential | null; onClose: () => void }) {
  const { t } = useTranslation(['credentials', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const remove = async () => {
    if (credential === null) return;
    await callApplied(api.DELETE('/v1/instances/{instance_id}/credentials/{credential_id}', {
      params: {
        path: { instance_id: instanceId, credential_id: credential.id },
        header: { ...WAIT.header, 'If-Match': `"${credential.revision}"` },
      },
    }));
    await client.invalidateQueries({ queryKey: ['credentials', instanceId] });
    message.success(t('common:deleted'));
  };
  const name = credential?.username ?? '';
  return (
    <ConfirmByName open={credential !== null} title={t('deleteTitle', { name })} name={name} onConfirm={remove} onClose={onClose}>
      {t('deleteText')}
    </ConfirmByName>
  );
}
