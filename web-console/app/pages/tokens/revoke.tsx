/** Revoking: one token, a client's, those with a label; then on how many nodes it is applied. */
import { useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Form, Input, Modal, Radio } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, call, type Schema } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { ShowCall } from '../../ui/call';
import { ErrorNotice } from '../../ui/error';
import { parseLabels } from '../../ui/labels';
import { Badge } from '../../ui/status';
import type { Token } from './query';

/** What is to be revoked, before the person has said more. */
export type Target = { kind: 'token'; token: Token } | { kind: 'client'; clientId: string };

type Values = { by: 'token' | 'client' | 'labels' | 'all'; clientId: string; labels: string; reason: string };
type Revoked = Schema<'Revoked'>;

/** Long enough that nodes that can be reached have all said so. */
const WAIT_LONG = { header: { Prefer: 'wait=5' } } as const;

export function RevokeTokens({ target, onClose }: { target: Target | null; onClose: () => void }) {
  const { t } = useTranslation('tokens');
  return (
    <Modal open={target !== null} title={t('revokeTitle')} onCancel={onClose} footer={null} destroyOnHidden>
      {target !== null && <RevokeForm target={target} onClose={onClose} />}
    </Modal>
  );
}

function bodyOf(target: Target, { by, clientId, labels, reason }: Values): Schema<'RevokeTokensRequest'> {
  const why = reason?.trim() ? { reason: reason.trim() } : {};
  if (by === 'token' && target.kind === 'token') return { ids: [target.token.id], ...why };
  if (by === 'client') return { client_id: clientId, ...why };
  if (by === 'labels') return { labels: parseLabels(labels) ?? {}, ...why };
  return { issued_before: new Date().toISOString(), ...why };
}

function RevokeForm({ target, onClose }: { target: Target; onClose: () => void }) {
  const { t } = useTranslation(['tokens', 'common']);
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const [form] = Form.useForm<Values>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [revoked, setRevoked] = useState<Revoked | null>(null);
  const path = `/v1/instances/${instanceId}/tokens/revoke`;
  const submit = async (values: Values) => {
    setBusy(true);
    setError(null);
    try {
      setRevoked(await call(api.POST('/v1/instances/{instance_id}/tokens/revoke', {
        params: { path: { instance_id: instanceId }, ...WAIT_LONG }, body: bodyOf(target, values),
      })));
      await client.invalidateQueries({ queryKey: ['tokens', instanceId] });
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };
  if (revoked !== null) return <Outcome revoked={revoked} onClose={onClose} />;
  return (
    <Form<Values> form={form} layout="vertical" requiredMark={false} initialValues={initialOf(target)}
      onFinish={(values) => void submit(values)}>
      <Selector target={target} />
      <Form.Item name="reason" label={t('reason')}><Input maxLength={200} autoComplete="off" /></Form.Item>
      <Alert type="warning" showIcon title={t('revokeWarning')} style={{ marginBottom: 16 }} />
      {error !== null && <div style={{ marginBottom: 16 }}><ErrorNotice error={error} /></div>}
      <div className="row" style={{ justifyContent: 'space-between' }}>
        <ShowCall call={() => ({ method: 'POST', path, body: bodyOf(target, form.getFieldsValue(true)) })} />
        <span className="row">
          <Button onClick={onClose}>{t('common:cancel')}</Button>
          <Button danger type="primary" htmlType="submit" loading={busy}>{t('revoke')}</Button>
        </span>
      </div>
    </Form>
  );
}

function initialOf(target: Target): Values {
  const clientId = target.kind === 'token' ? target.token.client_id ?? '' : target.clientId;
  return { by: target.kind === 'token' ? 'token' : 'client', clientId, labels: '', reason: '' };
}

function Selector({ target }: { target: Target }) {
  const { t } = useTranslation('tokens');
  const by = Form.useWatch<Values['by']>('by');
  const choices = [
    ...(target.kind === 'token' ? ['token'] as const : []), 'client', 'labels', 'all',
  ] as const;
  return (
    <>
      <Form.Item name="by" label={t('revokeWhat')}>
        <Radio.Group className="choices" options={choices.map((value) => ({ value, label: t(`by.${value}`) }))} />
      </Form.Item>
      {by === 'client' && (
        <Form.Item name="clientId" label={t('client')} rules={[{ required: true, whitespace: true, message: t('clientRequired') }]}>
          <Input autoComplete="off" className="mono" />
        </Form.Item>
      )}
      {by === 'labels' && (
        <Form.Item name="labels" label={t('labels')} rules={[
          { required: true, whitespace: true, message: t('labelsRequired') },
          {
            validator: (_, text: string) =>
              parseLabels(text ?? '') === null ? Promise.reject(new Error(t('labelsRequired'))) : Promise.resolve(),
          },
        ]}>
          <Input placeholder="fleet=a, site=north" autoComplete="off" />
        </Form.Item>
      )}
    </>
  );
}

/** What the revocation has done, counted up until every reachable node has applied it. */
function Outcome({ revoked, onClose }: { revoked: Revoked; onClose: () => void }) {
  const { t } = useTranslation(['tokens', 'common']);
  useEffect(() => {
    document.getElementById('revoked-close')?.focus();
  }, []);
  const { applied, reachable, unreachable } = revoked;
  const whole = applied === reachable;
  return (
    <div className="stack" role="status">
      <div className="row">
        <strong>{t('revokedCount', { count: revoked.revoked })}</strong>
        {applied != null && reachable != null && (
          <Badge tone={whole ? 'ok' : 'warn'}>{t('common:applied', { applied: `${applied}/${reachable}` })}</Badge>
        )}
      </div>
      {revoked.sessions_closed != null && <div>{t('closedCount', { count: revoked.sessions_closed })}</div>}
      {unreachable != null && unreachable > 0 && (
        <Alert type="warning" showIcon title={t('unreachable', { count: unreachable })} />
      )}
      <div style={{ textAlign: 'end' }}>
        <Button id="revoked-close" type="primary" onClick={onClose}>{t('common:close')}</Button>
      </div>
    </div>
  );
}
