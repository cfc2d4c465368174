/** Name, plan, and what the instance accepts. */
import { useQueryClient } from '@tanstack/react-query';
import { App, Button, Form, Input, Select, Switch, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, callApplied, type Schema, WAIT } from '../../api/client';
import { useInstance, usePermission } from '../../layout/instance';
import { ShowCall } from '../../ui/call';
import { InstanceDurabilityField } from '../../ui/durability';
import { ErrorNotice } from '../../ui/error';
import { Panel } from '../../ui/page';
import { AppliedBadge } from '../../ui/status';
import { AuthenticationField, TopicModeField, usePlanChoice } from '../instances/create';

type Values = Required<Pick<Schema<'Instance'>,
  'name' | 'topic_mode' | 'authentication' | 'durability' | 'queue_overflow' | 'shared_strategy' | 'delete_protection'
>> & { plan: string };

const OVERFLOWS = ['drop_oldest', 'drop_new', 'disconnect'] as const satisfies readonly Values['queue_overflow'][];
const STRATEGIES = ['round_robin', 'sticky', 'least_in_flight'] as const satisfies readonly Values['shared_strategy'][];

export function General() {
  const { t } = useTranslation(['instances', 'common']);
  const instance = useInstance();
  const { allowed, reason } = usePermission('instances:write');
  const [form] = Form.useForm<Values>();
  const save = useSave();
  const initial: Values = {
    name: instance.name, topic_mode: instance.topic_mode, authentication: instance.authentication,
    durability: instance.durability, queue_overflow: instance.queue_overflow,
    shared_strategy: instance.shared_strategy, delete_protection: instance.delete_protection, plan: instance.plan.name,
  };
  const plans = usePlanChoice();
  const choice = plans.some(({ value }) => value === initial.plan)
    ? plans : [{ value: initial.plan, label: initial.plan }, ...plans];
  const call = () => {
    const { plan: _, ...body } = form.getFieldsValue();
    return { method: 'PATCH', path: `/v1/instances/${instance.id}`, body };
  };
  return (
    <Panel title={t('general')} extra={<ShowCall call={call} />}>
      <Form<Values> key={instance.revision} form={form} layout="vertical" requiredMark={false} initialValues={initial}
        disabled={!allowed} onFinish={(values) => void save.run(values)}>
        <Form.Item name="name" label={t('name')} rules={[{ required: true, whitespace: true, message: t('nameRequired') }]}>
          <Input maxLength={100} autoComplete="off" />
        </Form.Item>
        <Form.Item name="plan" label={t('plan')}><Select options={choice} /></Form.Item>
        <TopicModeField />
        <AuthenticationField />
        <InstanceDurabilityField />
        <Form.Item name="queue_overflow" label={t('queueOverflow')} required>
          <Select options={OVERFLOWS.map((value) => ({ value, label: t(`overflow.${value}`) }))} />
        </Form.Item>
        <Form.Item name="shared_strategy" label={t('sharedStrategy')} extra={t('sharedStrategyHelp')} required>
          <Select options={STRATEGIES.map((value) => ({ value, label: t(`strategies.${value}`) }))} />
        </Form.Item>
        <Form.Item name="delete_protection" label={t('deleteProtection')} extra={t('deleteProtectionHelp')}
          valuePropName="checked">
          <Switch />
        </Form.Item>
        {save.error !== null && <div style={{ marginBottom: 16 }}><ErrorNotice error={save.error} /></div>}
        <div className="row">
          <Tooltip title={reason}>
            <Button type="primary" htmlType="submit" loading={save.busy}>{t('common:save')}</Button>
          </Tooltip>
          <AppliedBadge applied={save.applied} />
        </div>
      </Form>
    </Panel>
  );
}

/** Saves what has changed: the plan by its own verb, the rest by a patch. */
function useSave() {
  const { t } = useTranslation('common');
  const instance = useInstance();
  const client = useQueryClient();
  const { message } = App.useApp();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [applied, setApplied] = useState<string | null>(null);
  const run = async ({ plan, ...body }: Values) => {
    setBusy(true);
    setError(null);
    const path = { instance_id: instance.id };
    try {
      const patched = await callApplied(api.PATCH('/v1/instances/{instance_id}', {
        params: { path, header: { ...WAIT.header, 'If-Match': `"${instance.revision}"` } }, body,
      }));
      const last = plan === instance.plan.name ? patched
        : await callApplied(api.POST('/v1/instances/{instance_id}/change-plan', { params: { path, ...WAIT }, body: { plan } }));
      setApplied(last.applied);
      message.success(t('saved'));
      await client.invalidateQueries({
        predicate: ({ queryKey: [kind] }) => ['instance', 'instances', 'limits'].includes(kind as string),
      });
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };
  return { run, busy, error, applied };
}
