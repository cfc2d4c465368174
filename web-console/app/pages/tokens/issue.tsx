/** Issuing a token: one drawer, then the token, once. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, Form, Input, InputNumber, Modal, Select } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, call, type Schema } from '../../api/client';
import { limitsQuery } from '../../api/queries';
import { useInstance } from '../../layout/instance';
import { CopyField } from '../../ui/copy';
import { FormDrawer } from '../../ui/form-drawer';
import { EMPTY_GRANT, type Grant, GrantFields } from '../../ui/grants';
import { LabelField } from '../../ui/label-field';
import { parseLabels } from '../../ui/labels';
import { useFormat } from '../../ui/language';
import { Time } from '../../ui/time';

type Values = { client_id: string; ttl: number; unit: number; labels: string; grants: Grant[] };
type Issued = Schema<'IssuedToken'>;

const UNITS = [['minutes', 60], ['hours', 3_600], ['days', 86_400]] as const;
const INITIAL: Values = { client_id: '', ttl: 1, unit: 86_400, labels: '', grants: [EMPTY_GRANT] };
/** Above this, some devices with small buffers fail. */
const SMALL_DEVICE_BYTES = 200;

const bodyOf = ({ client_id, ttl, unit, labels, grants }: Values) => ({
  client_id, ttl_secs: Math.round(ttl * unit), labels: parseLabels(labels ?? '') ?? {}, grants,
});

export function IssueToken({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation('tokens');
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const [form] = Form.useForm<Values>();
  const [issued, setIssued] = useState<Issued | null>(null);
  const path = `/v1/instances/${instanceId}/tokens`;
  const submit = async (values: Values) => {
    const token = await call(api.POST('/v1/instances/{instance_id}/tokens', {
      params: { path: { instance_id: instanceId } }, body: bodyOf(values),
    }));
    await client.invalidateQueries({ queryKey: ['tokens', instanceId] });
    onClose();
    setIssued(token);
  };
  return (
    <>
      <FormDrawer<Values> open={open} title={t('issueTitle')} form={form} initial={INITIAL} action={t('issue')} width={700}
        call={(values) => ({ method: 'POST', path, body: bodyOf(values) })} onSubmit={submit} onClose={onClose}>
        <Form.Item name="client_id" label={t('client')} extra={t('clientHelp')}
          rules={[{ required: true, whitespace: true, message: t('clientRequired') }]}>
          <Input autoFocus autoComplete="off" className="mono" />
        </Form.Item>
        <LifetimeField />
        <GrantFields />
        <LabelField />
      </FormDrawer>
      <IssuedModal issued={issued} onClose={() => setIssued(null)} />
    </>
  );
}

function LifetimeField() {
  const { t } = useTranslation('tokens');
  const { duration } = useFormat();
  const { id } = useInstance();
  const limits = useQuery(limitsQuery(id));
  const longest = limits.data?.items.find(({ name }) => name === 'token_ttl_secs_max')?.value;
  return (
    <Form.Item label={t('lifetime')} required
      extra={longest === undefined ? undefined : t('lifetimeHelp', { longest: duration(longest) })}>
      <div className="row">
        <Form.Item name="ttl" noStyle rules={[{ required: true, message: t('lifetimeRequired') }]}>
          <InputNumber min={1} max={100_000} aria-label={t('lifetime')} />
        </Form.Item>
        <Form.Item name="unit" noStyle>
          <Select style={{ width: 130 }} aria-label={t('unit')}
            options={UNITS.map(([name, value]) => ({ value, label: t(`units.${name}`) }))} />
        </Form.Item>
      </div>
    </Form.Item>
  );
}

function IssuedModal({ issued, onClose }: { issued: Issued | null; onClose: () => void }) {
  const { t } = useTranslation(['tokens', 'common']);
  const { bytes } = useFormat();
  const { label } = useInstance();
  return (
    <Modal open={issued !== null} title={t('issuedTitle')} onCancel={onClose} footer={null} width={620} mask={{ closable: false }}>
      {issued !== null && (
        <div className="stack">
          <Alert type="warning" showIcon title={t('common:shownOnce')} />
          <CopyField label={t('token')} value={issued.token} wrap />
          <CopyField label={t('username')} value={`${issued.client_id ?? 'client'}@${label}`} />
          <div className="soft">
            {t('expires')} <Time at={issued.expires_at} style="minute" /> · {t('length', { size: bytes(issued.bytes) })}
            {issued.bytes > SMALL_DEVICE_BYTES && <div>{t('lengthHelp')}</div>}
          </div>
        </div>
      )}
    </Modal>
  );
}
