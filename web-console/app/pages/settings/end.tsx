/** Suspending, resuming and deleting an instance. */
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { App, Button, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, callApplied, WAIT } from '../../api/client';
import { useInstance, usePermission } from '../../layout/instance';
import { ConfirmByName } from '../../ui/confirm';
import { useErrorToast } from '../../ui/error';
import { useFormat } from '../../ui/language';
import { Panel } from '../../ui/page';
import { prefer } from '../../util/preferences';
import { restorableUntil } from '../instances/restorable';

export function EndOfInstance() {
  const { t } = useTranslation('instances');
  return (
    <Panel title={t('danger')} flush>
      <SuspendRow />
      <DeleteRow />
    </Panel>
  );
}

function SuspendRow() {
  const { t } = useTranslation('instances');
  const { id, name, state, suspended_reason } = useInstance();
  const { allowed, reason } = usePermission('instances:write');
  const { modal, message } = App.useApp();
  const client = useQueryClient();
  const toast = useErrorToast();
  const suspended = state === 'suspended';
  const act = async () => {
    const params = { path: { instance_id: id }, ...WAIT };
    try {
      await callApplied(suspended
        ? api.POST('/v1/instances/{instance_id}/resume', { params })
        : api.POST('/v1/instances/{instance_id}/suspend', { params }));
      message.success(t(suspended ? 'resumed' : 'suspended'));
      await client.invalidateQueries({ queryKey: ['instance', id] });
      await client.invalidateQueries({ queryKey: ['instances'] });
    } catch (thrown) {
      toast(thrown);
    }
  };
  const ask = () => {
    if (suspended) return void act();
    modal.confirm({
      title: t('suspendConfirm', { name }), content: t('suspendHelp'), okText: t('suspend'), onOk: act,
      okButtonProps: { danger: true },
    });
  };
  const mayResume = !suspended || suspended_reason === 'tenant';
  return (
    <div className="end-row">
      <span className="soft">{t(suspended ? 'resumeHelp' : 'suspendHelp')}</span>
      <Tooltip title={reason}>
        <Button disabled={!allowed || !mayResume} onClick={ask}>{t(suspended ? 'resume' : 'suspend')}</Button>
      </Tooltip>
    </div>
  );
}

function DeleteRow() {
  const { t } = useTranslation(['instances', 'common']);
  const { id, name, tenant_id, delete_protection } = useInstance();
  const { allowed, reason } = usePermission('instances:delete');
  const { time } = useFormat();
  const { message } = App.useApp();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const remove = async () => {
    await callApplied(api.DELETE('/v1/instances/{instance_id}', { params: { path: { instance_id: id }, ...WAIT } }));
    prefer({ instanceId: null });
    message.success(t('common:deleted'));
    await navigate({ to: '/tenants/$tenantId/instances', params: { tenantId: tenant_id } });
    client.removeQueries({ queryKey: ['instance', id] });
    await client.invalidateQueries({ queryKey: ['instances', tenant_id] });
  };
  return (
    <div className="end-row">
      <span className="soft">{delete_protection ? t('deleteProtected') : t('deleteHelp')}</span>
      <Tooltip title={reason}>
        <Button danger disabled={!allowed || delete_protection} onClick={() => setAsking(true)}>{t('delete')}</Button>
      </Tooltip>
      <ConfirmByName open={asking} title={t('deleteTitle', { name })} name={name} action={t('delete')}
        onConfirm={remove} onClose={() => setAsking(false)}>
        {t('deleteText', { until: time(restorableUntil(new Date()), 'minute') })}
      </ConfirmByName>
    </div>
  );
}
