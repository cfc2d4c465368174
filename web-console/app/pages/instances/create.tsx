/** The form of a new instance. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Checkbox, Form, Input, Radio, Select, Switch } from 'antd';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { api, callApplied, type Schema, WAIT } from '../../api/client';
import { plansQuery } from '../../api/queries';
import { FormDrawer } from '../../ui/form-drawer';
import { useFormat } from '../../ui/language';

type Values = Required<Omit<Schema<'CreateInstanceRequest'>, 'labels' | 'durability' | 'queue_overflow' | 'shared_strategy'>>;

const INITIAL: Omit<Values, 'plan'> = {
  name: '', topic_mode: 'provisioned', authentication: ['password', 'token'], delete_protection: false,
};

type Properties = { tenantId: string; open: boolean; onClose: () => void };

export function CreateInstance({ tenantId, open, onClose }: Properties) {
  const { t } = useTranslation('instances');
  const client = useQueryClient();
  const navigate = useNavigate();
  const [form] = Form.useForm<Values>();
  const plans = usePlanChoice();
  const only = plans[0]?.value;
  useEffect(() => {
    if (open && only !== undefined && form.getFieldValue('plan') === undefined) form.setFieldValue('plan', only);
  }, [open, only, form]);
  const submit = async (body: Values) => {
    const { data } = await callApplied(api.POST('/v1/tenants/{tenant_id}/instances', {
      params: { path: { tenant_id: tenantId }, ...WAIT }, body,
    }));
    await client.invalidateQueries({ queryKey: ['instances', tenantId] });
    onClose();
    await navigate({ to: '/instances/$instanceId/get-started', params: { instanceId: data.id } });
  };
  return (
    <FormDrawer<Values> open={open} title={t('createTitle')} form={form} initial={{ ...INITIAL, ...(only && { plan: only }) }} onSubmit={submit}
      onClose={onClose} call={(body) => ({ method: 'POST', path: `/v1/tenants/${tenantId}/instances`, body })}>
      <Form.Item name="name" label={t('name')} extra={t('nameHelp')}
        rules={[{ required: true, whitespace: true, message: t('nameRequired') }]}>
        <Input autoFocus maxLength={100} autoComplete="off" />
      </Form.Item>
      <Form.Item name="plan" label={t('plan')} extra={t('planHelp')} rules={[{ required: true }]}>
        <Select options={plans} />
      </Form.Item>
      <TopicModeField />
      <AuthenticationField />
      <Form.Item name="delete_protection" label={t('deleteProtection')} extra={t('deleteProtectionHelp')}
        valuePropName="checked">
        <Switch />
      </Form.Item>
    </FormDrawer>
  );
}

/** The plans that an instance may begin to use, each with what it allows. */
export function usePlanChoice(): { value: string; label: string }[] {
  const { t } = useTranslation('instances');
  const { compact } = useFormat();
  const { data } = useQuery(plansQuery);
  return (data?.items ?? []).filter(({ retired }) => !retired).map(({ name, limits }) => ({
    value: name,
    label: `${name} · ${t('planLimits', {
      connections: compact(limits.connections_max ?? 0), messages: compact(limits.messages_in_per_sec ?? 0),
    })}`,
  }));
}

export function TopicModeField() {
  const { t } = useTranslation('instances');
  return (
    <Form.Item name="topic_mode" label={t('topicMode')} rules={[{ required: true }]}>
      <Radio.Group className="choices">
        {(['provisioned', 'open'] as const).map((mode) => (
          <Radio key={mode} value={mode}>
            {t(mode)}<div className="soft">{t(`${mode}Help`)}</div>
          </Radio>
        ))}
      </Radio.Group>
    </Form.Item>
  );
}

export function AuthenticationField() {
  const { t } = useTranslation('instances');
  const options = [
    { value: 'password', label: t('withPassword') },
    { value: 'token', label: t('withToken') },
  ];
  return (
    <Form.Item name="authentication" label={t('authentication')}
      rules={[{ required: true, type: 'array', min: 1, message: t('authenticationRequired') }]}>
      <Checkbox.Group options={options} className="choices" />
    </Form.Item>
  );
}
