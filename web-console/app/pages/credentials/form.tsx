/** The form of a credential, new or changed. */
import { useQueryClient } from '@tanstack/react-query';
import { App, Form, Input } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call, callApplied, WAIT } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { FormDrawer } from '../../ui/form-drawer';
import { EMPTY_GRANT, type Grant, GrantFields } from '../../ui/grants';
import { LabelField } from '../../ui/label-field';
import { type Labels, parseLabels, printLabels } from '../../ui/labels';
import type { Credential } from './query';
import type { Secret } from './secret';

type Values = { username: string; client_id: string; labels: string; grants: Grant[] };

type Properties = {
  credential: Credential | 'new' | null;
  onClose: () => void;
  onSecret: (secret: Secret) => void;
};

function valuesOf(credential: Credential | null): Values {
  const grants = credential === null || credential.grants.length === 0 ? [EMPTY_GRANT] : credential.grants;
  return {
    username: credential?.username ?? '', client_id: credential?.client_id ?? '',
    labels: printLabels(credential?.labels ?? {}), grants,
  };
}

const common = ({ client_id, grants }: Values) => ({ client_id: client_id?.trim() || null, grants });

/** Labels to set, and with null those to take away. */
function patchedLabels(before: Labels, text: string): Record<string, string | null> {
  const after = parseLabels(text ?? '') ?? {};
  const gone = Object.keys(before).filter((name) => !(name in after));
  return { ...Object.fromEntries(gone.map((name) => [name, null])), ...after };
}

export function CredentialForm({ credential, onClose, onSecret }: Properties) {
  const { t } = useTranslation(['credentials', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const [form] = Form.useForm<Values>();
  const before = credential === 'new' ? null : credential;
  const created = (values: Values) => ({
    kind: 'password' as const, username: values.username.trim(), ...common(values), labels: parseLabels(values.labels ?? '') ?? {},
  });
  const changed = (values: Values) => ({
    ...common(values), labels: patchedLabels(before?.labels ?? {}, values.labels),
  });
  const submit = async (values: Values) => {
    if (before === null) {
      const made = await call(api.POST('/v1/instances/{instance_id}/credentials', {
        params: { path: { instance_id: instanceId }, ...WAIT }, body: created(values),
      }));
      onSecret({ username: made.username, secret: made.secret });
    } else {
      await callApplied(api.PATCH('/v1/instances/{instance_id}/credentials/{credential_id}', {
        params: {
          path: { instance_id: instanceId, credential_id: before.id },
          header: { ...WAIT.header, 'If-Match': `"${before.revision}"` },
        },
        body: changed(values) as never,
      }));
      message.success(t('common:saved'));
    }
    await client.invalidateQueries({ queryKey: ['credentials', instanceId] });
    onClose();
  };
  const path = `/v1/instances/${instanceId}/credentials`;
  return (
    <FormDrawer<Values> open={credential !== null} form={form} initial={valuesOf(before)} width={700}
      title={before === null ? t('createTitle') : t('editTitle', { name: before.username })}
      action={before === null ? t('common:create') : t('common:save')} onSubmit={submit} onClose={onClose}
      call={(values) => before === null
        ? { method: 'POST', path, body: created(values) }
        : { method: 'PATCH', path: `${path}/${before.id}`, body: changed(values) }}>
      <Form.Item name="username" label={t('username')} rules={[{ required: true, whitespace: true, message: t('usernameRequired') }]}>
        <Input autoFocus={before === null} disabled={before !== null} autoComplete="off" className="mono" />
      </Form.Item>
      <Form.Item name="client_id" label={t('client')} extra={t('clientHelp')}>
        <Input autoComplete="off" className="mono" />
      </Form.Item>
      <GrantFields />
      <LabelField />
    </FormDrawer>
  );
}
