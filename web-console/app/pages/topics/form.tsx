/** The form of a topic, new or changed. */
import { useQueryClient } from '@tanstack/react-query';
import { App, Form, Input, InputNumber, Select, Switch } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, callApplied, type Schema, WAIT } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { TopicDurabilityField } from '../../ui/durability';
import { FormDrawer } from '../../ui/form-drawer';
import { useFormat } from '../../ui/language';
import { bodyOf, RETENTIONS, type TopicValues, valuesOf } from './values';

type Topic = Schema<'Topic'>;

export function TopicForm({ topic, onClose }: { topic: Topic | 'new' | null; onClose: () => void }) {
  const { t } = useTranslation(['topics', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId, durability } = useInstance();
  const [form] = Form.useForm<TopicValues>();
  const before = topic === 'new' ? null : topic;
  const initial = valuesOf(before);
  const submit = async (values: TopicValues) => {
    const { applied } = await (before === null
      ? callApplied(api.POST('/v1/instances/{instance_id}/topics', {
        params: { path: { instance_id: instanceId }, ...WAIT }, body: { name: values.name.trim(), ...bodyOf(values) },
      }))
      : callApplied(api.PATCH('/v1/instances/{instance_id}/topics/{topic}', {
        params: {
          path: { instance_id: instanceId, topic: before.name },
          header: { ...WAIT.header, 'If-Match': `"${before.revision}"` },
        },
        body: bodyOf(values),
      })));
    await client.invalidateQueries({ queryKey: ['topics', instanceId] });
    const done = t(before === null ? 'common:created' : 'common:saved');
    message.success(applied === null ? done : `${done} · ${t('common:applied', { applied })}`);
    onClose();
  };
  const call = (values: TopicValues) => before === null
    ? { method: 'POST', path: `/v1/instances/${instanceId}/topics`, body: { name: values.name, ...bodyOf(values) } }
    : { method: 'PATCH', path: `/v1/instances/${instanceId}/topics/${before.name}`, body: bodyOf(values) };
  return (
    <FormDrawer<TopicValues> open={topic !== null} form={form} initial={initial} call={call} onSubmit={submit}
      onClose={onClose} title={before === null ? t('createTitle') : t('editTitle', { name: before.name })}
      action={before === null ? t('common:create') : t('common:save')}>
      <Form.Item name="name" label={t('name')} extra={t('nameHelp')} rules={[
        { required: true, whitespace: true, message: t('nameRequired') },
        { pattern: /^[^/+#$][^/+#]*$/, message: t('nameForm') },
      ]}>
        <Input autoFocus={before === null} disabled={before !== null} autoComplete="off" className="mono" />
      </Form.Item>
      <Form.Item name="description" label={t('description')}><Input maxLength={200} /></Form.Item>
      <HistoryFields />
      <TopicDurabilityField ofInstance={durability} />
      <Form.Item name="payload_kib" label={t('payloadMax')} extra={t('payloadHelp')}>
        <InputNumber min={1} max={262_144} suffix="KiB" style={{ width: 180 }} placeholder={t('asPlan')} />
      </Form.Item>
    </FormDrawer>
  );
}

function HistoryFields() {
  const { t } = useTranslation('topics');
  const { duration } = useFormat();
  const enabled = Form.useWatch<boolean>('history');
  const own = Form.useWatch<number>('retention_secs');
  const choices = own !== undefined && !RETENTIONS.includes(own) ? [...RETENTIONS, own] : RETENTIONS;
  return (
    <>
      <Form.Item name="history" label={t('history')} extra={t('historyHelp')} valuePropName="checked" required>
        <Switch />
      </Form.Item>
      {enabled === true && (
        <>
          <Form.Item name="retention_secs" label={t('retention')} required>
            <Select style={{ width: 180 }} options={choices.map((secs) => ({ value: secs, label: duration(secs) }))} />
          </Form.Item>
          <Form.Item name="retention_mib" label={t('retentionBytes')} extra={t('retentionBytesHelp')}>
            <InputNumber min={1} max={1_048_576} suffix="MiB" style={{ width: 180 }} placeholder={t('noBound')} />
          </Form.Item>
        </>
      )}
    </>
  );
}
