/** The form of a rule: a sentence to fill in, and the last day of the metric with the times it would have fired. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { App, Form, Input, InputNumber, Radio, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { FormDrawer } from '../../ui/form-drawer';
import { useFormat } from '../../ui/language';
import { useReasonWords } from '../../ui/reason';
import { Preview } from './preview';
import { channelsQuery, type Rule } from './queries';
import { type RuleValues, ruleBodyOf, ruleValuesOf } from './values';
import { METRIC_NAMES, METRICS } from './words';

const WINDOWS = [10, 60, 300, 900, 3_600];
const DURATIONS = [0, 10, 60, 300, 900];
const REPEATS = [0, 900, 3_600, 28_800];

export function RuleForm({ rule, onClose }: { rule: Rule | 'new' | null; onClose: () => void }) {
  const { t } = useTranslation(['alarms', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const [form] = Form.useForm<RuleValues>();
  const before = rule === 'new' ? null : rule;
  const path = `/v1/instances/${instanceId}/alarm-rules`;
  const submit = async (values: RuleValues) => {
    const body = ruleBodyOf(values);
    await (before === null
      ? call(api.POST('/v1/instances/{instance_id}/alarm-rules', {
        params: { path: { instance_id: instanceId } }, body: { ...body, enabled: true },
      }))
      : call(api.PATCH('/v1/instances/{instance_id}/alarm-rules/{alarm_rule_id}', {
        params: {
          path: { instance_id: instanceId, alarm_rule_id: before.id }, header: { 'If-Match': `"${before.revision}"` },
        },
        body,
      })));
    await client.invalidateQueries({ queryKey: ['alarm-rules', instanceId] });
    message.success(t(before === null ? 'common:created' : 'common:saved'));
    onClose();
  };
  return (
    <FormDrawer<RuleValues> open={rule !== null} form={form} initial={ruleValuesOf(before)} width={640}
      title={before === null ? t('createRule') : t('editRule', { name: before.name })}
      action={before === null ? t('common:create') : t('common:save')} onSubmit={submit} onClose={onClose}
      call={(values) => ({
        method: before === null ? 'POST' : 'PATCH', path: before === null ? path : `${path}/${before.id}`, body: ruleBodyOf(values),
      })}>
      <Form.Item name="name" label={t('common:name')} rules={[{ required: true, whitespace: true, message: t('nameRequired') }]}>
        <Input autoFocus maxLength={100} autoComplete="off" />
      </Form.Item>
      <ConditionFields />
      <Preview />
      <Form.Item name="severity" label={t('severity')} required>
        <Radio.Group optionType="button" options={(['info', 'warning', 'critical'] as const).map((value) => ({
          value, label: t(`common:severity.${value}`),
        }))} />
      </Form.Item>
      <TellFields />
    </FormDrawer>
  );
}

function ConditionFields() {
  const { t } = useTranslation('alarms');
  const { duration } = useFormat();
  const metric = Form.useWatch<RuleValues['metric']>('metric');
  const compare = Form.useWatch<RuleValues['compare']>('compare');
  const forSecs = Form.useWatch<number>('for_secs');
  const windowSecs = Form.useWatch<number>('window_secs');
  const spans = (choices: number[], own: number | undefined) =>
    withOwn(choices, own).map((secs) => ({ value: secs, label: secs === 0 ? t('atOnce') : duration(secs) }));
  const byReason = metric === 'refused' || metric === 'dropped';
  return (
    <>
      <div className="rule-row">
        <Form.Item name="metric" label={t('when')} required>
          <Select options={METRIC_NAMES.map((value) => ({ value, label: t(`metrics.${value}`) }))} />
        </Form.Item>
        {byReason && <ReasonField metric={metric} />}
        <Form.Item name="compare" label={t('is')} required>
          <Select options={(['above', 'below'] as const).map((value) => ({ value, label: t(`compare.${value}`) }))} />
        </Form.Item>
        <Form.Item name="value" label={t('threshold')} rules={[{ required: true, message: t('valueRequired') }]}>
          <InputNumber min={0} precision={0} style={{ width: '100%' }} />
        </Form.Item>
      </div>
      <div className="rule-row">
        {metric !== undefined && METRICS[metric] === 'counter' && (
          <Form.Item name="window_secs" label={t('window')} required><Select options={spans(WINDOWS, windowSecs)} /></Form.Item>
        )}
        <Form.Item name="for_secs" label={t('for')} required><Select options={spans(DURATIONS, forSecs)} /></Form.Item>
        <Form.Item name="clear_value" label={t(compare === 'below' ? 'clearsAbove' : 'clearsBelow')} dependencies={['value', 'compare']}
          rules={[
            { required: true, message: t('valueRequired') },
            ({ getFieldValue }) => ({
              validator: (_, clear: number) => {
                const value = getFieldValue('value') as number;
                const good = getFieldValue('compare') === 'below' ? clear >= value : clear <= value;
                return good ? Promise.resolve() : Promise.reject(new Error(t('clearSide')));
              },
            }),
          ]}>
          <InputNumber min={0} precision={0} style={{ width: '100%' }} />
        </Form.Item>
      </div>
    </>
  );
}

/** The choices of a form, with the value of a rule that another client of the API has made. */
function withOwn(choices: number[], own: number | null | undefined): number[] {
  return own == null || choices.includes(own) ? choices : [...choices, own].sort((a, b) => a - b);
}

function ReasonField({ metric }: { metric: 'refused' | 'dropped' }) {
  const { t } = useTranslation('alarms');
  const reasons = useReasonWords();
  return (
    <Form.Item name="reason" label={t('reason')}>
      <Select showSearch={{ optionFilterProp: 'label' }} popupMatchSelectWidth={false} options={[
        { value: '', label: t('anyReason') },
        ...reasons.list(metric).map((value) => ({ value, label: reasons.title(metric, value) })),
      ]} />
    </Form.Item>
  );
}

function TellFields() {
  const { t } = useTranslation('alarms');
  const { duration } = useFormat();
  const { id: instanceId } = useInstance();
  const { data } = useQuery(channelsQuery(instanceId));
  const channels = (data?.items ?? []).map(({ id, name }) => ({ value: id, label: name }));
  const repeat = Form.useWatch<number>('repeat_secs');
  const none = data !== undefined && channels.length === 0;
  return (
    <>
      <Form.Item name="channels" label={t('tell')} extra={none
        ? <>{t('noChannels')} <Link to="/instances/$instanceId/channels" params={{ instanceId }}>{t('toChannels')}</Link></>
        : undefined}>
        <Select mode="multiple" options={channels} placeholder={t('tellNobody')} />
      </Form.Item>
      <Form.Item name="repeat_secs" label={t('repeat')} required>
        <Select style={{ width: 200 }} options={withOwn(REPEATS, repeat).map((secs) => ({ value: secs, label: secs === 0 ? t('never') : duration(secs) }))} />
      </Form.Item>
    </>
  );
}
