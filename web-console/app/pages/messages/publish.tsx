/** Publishing a message as an application. */
import { useQueryClient } from '@tanstack/react-query';
import { App, Form, Input, Radio, Segmented, Switch } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call, type Schema } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { FormDrawer } from '../../ui/form-drawer';
import { base64, hexBytes } from './body';
import { propertiesOf, type TypedProperties } from './properties';
import { PropertyFields } from './property-fields';

/** How the payload is typed. */
type Written = 'text' | 'hex';
type Values = {
  topic: string; written: Written; data: string; qos: 0 | 1 | 2; retain: boolean;
  expires_in_secs?: number | null; properties?: TypedProperties;
};
type Body = Schema<'PublishRequest'>;

const INITIAL: Values = { topic: '', written: 'text', data: '', qos: 1, retain: false };

function payloadOf(written: Written, data: string): Body['payload'] {
  return written === 'text'
    ? { encoding: 'utf8', data }
    : { encoding: 'base64', data: base64(hexBytes(data) ?? new Uint8Array()) };
}

function bodyOf({ topic, written, data, qos, retain, expires_in_secs, properties: typed }: Values): Body {
  const properties = propertiesOf(typed);
  return {
    topic: (topic ?? '').trim(), payload: payloadOf(written, data ?? ''), qos, retain,
    ...(expires_in_secs != null && { expires_in_secs }),
    ...(properties !== undefined && { properties }),
  };
}

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
    <FormDrawer<Values> open={open} title={t('publishTitle')} form={form} initial={INITIAL}
      action={t('publish')} onSubmit={submit} onClose={onClose}
      call={(values) => ({ method: 'POST', path, body: bodyOf(values) })}>
      <Form.Item name="topic" label={t('topic')} extra={t('publishTopicHelp')} rules={[
        { required: true, message: t('topicRequired') }, { pattern: /^[^+#$][^+#]*$/, message: t('topicForm') },
      ]}>
        <Input autoFocus autoComplete="off" className="mono" />
      </Form.Item>
      <BodyFields />
      <Form.Item name="qos" label="QoS" required>
        <Radio.Group options={[0, 1, 2].map((qos) => ({ value: qos, label: String(qos) }))} optionType="button" />
      </Form.Item>
      <Form.Item name="retain" label={t('retain')} extra={t('retainHelp')} valuePropName="checked" required>
        <Switch />
      </Form.Item>
      <PropertyFields />
    </FormDrawer>
  );
}

function BodyFields() {
  const { t } = useTranslation('messages');
  const written = Form.useWatch<Written>('written');
  return (
    <Form.Item label={t('body')} required>
      <Form.Item name="written" noStyle>
        <Segmented<Written> aria-label={t('bodyWritten')} className="publish-written"
          options={(['text', 'hex'] as const).map((value) => ({ value, label: t(`forms.${value}`) }))} />
      </Form.Item>
      <Form.Item name="data" noStyle dependencies={['written']} rules={[
        ({ getFieldValue }) => ({
          validator: (_, data: string) => getFieldValue('written') === 'hex' && hexBytes(data ?? '') === null
            ? Promise.reject(new Error(t('hexForm'))) : Promise.resolve(),
        }),
      ]}>
        <Input.TextArea rows={8} className="mono" aria-label={t('body')} spellCheck={false}
          placeholder={written === 'hex' ? '00 ff 1a' : undefined} />
      </Form.Item>
    </Form.Item>
  );
}
