/** Publishing a message as an application. */
import { useQueryClient } from '@tanstack/react-query';
import { App, Form, Input, Radio } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call, type Schema } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { FormDrawer } from '../../ui/form-drawer';

type Values = { topic: string; data: string; qos: 0 | 1 | 2 };
type Body = Schema<'PublishRequest'>;

const bodyOf = ({ topic, data, qos }: Values): Body => ({
  topic, payload: { encoding: 'utf8', data: data ?? '' }, qos, retain: false,
});

export function PublishForm({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation('messages');
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const [form] = Form.useForm<Values>();
  const path = `/v1/instances/${instanceId}/messages/publish`;
  const submit = async (values: Values) => {
    const { stored, matched } = await call(api.POST('/v1/instances/{instance_id}/messages/publish', {
      params: { path: { instance_id: instanceId } }, body: bodyOf(values),
    }));
    message.success(t(stored ? 'publishedStored' : 'published', { count: matched }));
    await client.invalidateQueries({ queryKey: ['messages', instanceId] });
    onClose();
  };
  return (
    <FormDrawer<Values> open={open} title={t('publishTitle')} form={form} initial={{ topic: '', data: '', qos: 1 }}
      action={t('publish')} onSubmit={submit} onClose={onClose}
      call={(values) => ({ method: 'POST', path, body: bodyOf(values) })}>
      <Form.Item name="topic" label={t('topic')} extra={t('publishTopicHelp')} rules={[
        { required: true, message: t('topicRequired') }, { pattern: /^[^+#$][^+#]*$/, message: t('topicForm') },
      ]}>
        <Input autoFocus autoComplete="off" className="mono" />
      </Form.Item>
      <Form.Item name="data" label={t('body')}><Input.TextArea rows={8} className="mono" /></Form.Item>
      <Form.Item name="qos" label="QoS" required>
        <Radio.Group options={[0, 1, 2].map((qos) => ({ value: qos, label: String(qos) }))} optionType="button" />
      </Form.Item>
    </FormDrawer>
  );
}
