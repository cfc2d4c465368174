/** The fields of a message's properties of MQTT 5.0, folded away until somebody wants them. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Collapse, Form, Input, InputNumber, Select } from 'antd';
import { useTranslation } from 'react-i18next';

export function PropertyFields() {
  const { t } = useTranslation('messages');
  return (
    <Collapse size="small" className="publish-properties" items={[{
      key: 'properties', label: t('properties'), forceRender: true, children: <Fields />,
    }]} />
  );
}

function Fields() {
  const { t } = useTranslation('messages');
  return (
    <>
      <p className="soft publish-properties-help">{t('propertiesHelp')}</p>
      <Form.Item name="expires_in_secs" label={t('expiresIn')} extra={t('expiresInHelp')}>
        <InputNumber min={1} max={4_294_967_295} precision={0} style={{ width: '100%' }} />
      </Form.Item>
      <Form.Item name={['properties', 'payload_format']} label={t('payloadFormat')}>
        <Select allowClear placeholder={t('notSaid')}
          options={(['text', 'bytes'] as const).map((value) => ({ value, label: t(`payloadFormats.${value}`) }))} />
      </Form.Item>
      <Form.Item name={['properties', 'content_type']} label={t('contentType')}>
        <Input autoComplete="off" placeholder="application/json" className="mono" />
      </Form.Item>
      <Form.Item name={['properties', 'response_topic']} label={t('responseTopic')} rules={[
        { pattern: /^[^+#]*$/, message: t('responseTopicForm') },
      ]}>
        <Input autoComplete="off" placeholder="vehicle/car-001/up/answer" className="mono" />
      </Form.Item>
      <Form.Item name={['properties', 'correlation_data']} label={t('correlationData')} extra={t('correlationDataHelp')}>
        <Input autoComplete="off" className="mono" />
      </Form.Item>
      <UserProperties />
    </>
  );
}

function UserProperties() {
  const { t } = useTranslation('messages');
  return (
    <Form.Item label={t('userProperties')}>
      <Form.List name={['properties', 'user_properties']}>
        {(rows, { add, remove }) => (
          <div className="stack publish-pairs">
            {rows.map(({ key, name }) => (
              <div key={key} className="publish-pair">
                <Form.Item name={[name, 'name']} noStyle>
                  <Input autoComplete="off" className="mono" placeholder={t('propertyName')} aria-label={t('propertyName')} />
                </Form.Item>
                <Form.Item name={[name, 'value']} noStyle>
                  <Input autoComplete="off" className="mono" placeholder={t('propertyValue')} aria-label={t('propertyValue')} />
                </Form.Item>
                <Button type="text" icon={<DeleteOutlined />} aria-label={t('removeProperty')} onClick={() => remove(name)} />
              </div>
            ))}
            <div><Button size="small" icon={<PlusOutlined />} onClick={() => add()}>{t('addProperty')}</Button></div>
          </div>
        )}
      </Form.List>
    </Form.Item>
  );
}
