/** What can be done with a credential besides changing it: enable, disable, generate a new secret. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call, type Schema, WAIT } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { useErrorToast } from '../../ui/error';
import type { Credential } from './query';
import type { Secret } from './secret';

export function useCredentialVerbs(credential: Credential, onSecret: (secret: Secret) => void) {
  const { t } = useTranslation('credentials');
  const { message } = App.useApp();
  const client = useQueryClient();
  const toast = useErrorToast();
  const { id: instanceId } = useInstance();
  const params = { path: { instance_id: instanceId, credential_id: credential.id }, ...WAIT };
  const done = () => client.invalidateQueries({ queryKey: ['credentials', instanceId] });
  const toggle = useMutation({
    mutationFn: () => credential.state === 'enabled'
      ? call(api.POST('/v1/instances/{instance_id}/credentials/{credential_id}/disable', { params }))
      : call(api.POST('/v1/instances/{instance_id}/credentials/{credential_id}/enable', { params })),
    onSuccess: async () => {
      message.success(t(credential.state === 'enabled' ? 'disabled' : 'enabled'));
      await done();
    },
    onError: toast,
  });
  const rotate = useMutation({
    mutationFn: (which: Schema<'SecretSlot'>) =>
      call(api.POST('/v1/instances/{instance_id}/credentials/{credential_id}/rotate', { params, body: { which } })),
    onSuccess: async ({ username, secret }) => {
      onSecret({ username, secret });
      await done();
    },
    onError: toast,
  });
  return { busy: toggle.isPending || rotate.isPending, toggle: () => toggle.mutate(), rotate: rotate.mutate };
}
