/** The instance that the pages below it are about, and what the signed-in member may do with it. */
import { useQuery } from '@tanstack/react-query';
import { Outlet, useParams } from '@tanstack/react-router';
import { Alert } from 'antd';
import { createContext, useContext, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../api/client';
import { allows, type Permission, type Standing, standingsIn } from '../api/permissions';
import { instanceQuery, sessionQuery, tenantQuery } from '../api/queries';
import { Loaded } from '../ui/loaded';
import { prefer } from '../util/preferences';

type Instance = Schema<'Instance'>;
type Value = { instance: Instance; standings: Standing[] };

const Context = createContext<Value | null>(null);

export function useInstance(): Instance {
  return useValue().instance;
}

/** Whether the member may do this in the instance, and if not, the sentence that says so. */
export function usePermission(permission: Permission): { allowed: boolean; reason: string | undefined } {
  const { t } = useTranslation();
  const allowed = allows(useValue().standings, permission);
  return { allowed, reason: allowed ? undefined : t('notAllowed', { permission }) };
}

function useValue(): Value {
  const value = useContext(Context);
  if (value === null) throw new Error('a page of an instance stands below its layout');
  return value;
}

export function InstanceLayout() {
  const { instanceId } = useParams({ strict: false });
  const query = useQuery(instanceQuery(instanceId ?? ''));
  useEffect(() => {
    if (query.isSuccess) prefer({ instanceId: instanceId ?? null });
  }, [query.isSuccess, instanceId]);
  return (
    <div className={query.isError ? 'page' : ''}>
      <Loaded query={query}>{(instance) => <Inside key={instance.id} instance={instance} />}</Loaded>
    </div>
  );
}

function Inside({ instance }: { instance: Instance }) {
  const { t } = useTranslation('layout');
  const { data: session } = useQuery(sessionQuery);
  const { data: tenant } = useQuery(tenantQuery(instance.tenant_id));
  if (session === undefined) return null;
  const standings = standingsIn(session, instance.tenant_id);
  const visiting = !session.tenants.some(({ id }) => id === instance.tenant_id);
  return (
    <Context.Provider value={{ instance, standings }}>
      {visiting && <Alert banner type="warning" title={t('operatorBanner')} />}
      {tenant?.state === 'suspended' && <Alert banner type="error" title={t('suspendedTenant')} />}
      {instance.state === 'suspended' && (
        <Alert banner type="error" title={t(`suspendedInstance.${instance.suspended_reason ?? 'operator'}`)} />
      )}
      <Outlet />
    </Context.Provider>
  );
}
