/** The form of a channel, new or changed. */
import { useQueryClient } from '@tanstack/react-query';
import { App, Form, Input } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { FormDrawer } from '../../ui/form-drawer';
import type { Channel } from '../alarms/queries';

type Values = { name: string; url: string };
type Properties = { channel: Channel | 'new' | null; onClose: () => void; onSecret: (secret: string) => void };

const valuesOf = (channel: Channel | null): Values => ({ name: channel?.name ?? '', url: channel?.url ?? '' });
const bodyOf = ({ name, url }: Values) => ({ name: name.trim(), url: url.trim() });

export function ChannelForm({ channel, onClose, onSecret }: Properties) {
  const { t } = useTranslation(['channels', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const [form] = Form.useForm<Values>();
  const before = channel === 'new' ? null : channel;
  const created = (values: Values) => ({ ...bodyOf(values), kind: 'webhook' as const, enabled: true });
  const submit = async (values: Values) => {
    if (before === null) {
      const made = await call(api.POST('/v1/instances/{instance_id}/channels', {
        params: { path: { instance_id: instanceId } }, body: created(values),
      }));
      onSecret(made.secret);
    } else {
      await call(api.PATCH('/v1/instances/{instance_id}/channels/{channel_id}', {
        params: {
          path: { instance_id: instanceId, channel_id: before.id }, header: { 'If-Match': `"${before.revision}"` },
        },
        body: bodyOf(values),
      }));
      message.success(t('common:saved'));
    }
    await client.invalidateQueries({ queryKey: ['channels', instanceId] });
    onClose();
  };
  const path = `/v1/instances/${instanceId}/channels`;
  return (
    <FormDrawer<Values> open={channel !== null} form={form} initial={valuesOf(before)}
      title={before === null ? t('create') : t('editTitle', { name: before.name })}
      action={before === null ? t('common:create') : t('common:save')} onSubmit={submit} onClose={onClose}
      call={(values) => before === null
        ? { method: 'POST', path, body: created(values) }
        : { method: 'PATCH', path: `${path}/${before.id}`, body: bodyOf(values) }}>
      <Form.Item name="name" label={t('common:name')} rules={[{ required: true, whitespace: true, message: t('nameRequired') }]}>
        <Input autoFocus maxLength={100} autoComplete="off" />
      </Form.Item>
      <Form.Item name="url" label={t('url')} extra={t('urlHelp')} rules={[{ required: true, whitespace: true, message: t('urlRequired') }]}>
        <Input type="url" autoComplete="off" className="mono" placeholder="https://" />
      </Form.Item>
    </FormDrawer>
  );
}
