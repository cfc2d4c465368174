/** Where somebody who has signed in lands: the instance last looked at, the only one there is, else the list. */
import { queryClient } from '../api/query-client';
import { instanceQuery, instancesQuery, sessionQuery, tenantsQuery } from '../api/queries';
import { preferences } from '../util/preferences';

export async function landing(): Promise<string> {
  const session = await queryClient.ensureQueryData(sessionQuery);
  const last = preferences().instanceId;
  if (last !== null) {
    const there = await queryClient.ensureQueryData(instanceQuery(last)).catch(() => null);
    if (there !== null && there.state !== 'deleting') return `/instances/${last}/overview`;
  }
  const tenantId = session.tenants[0]?.id ?? (await firstTenant(session.member.operator));
  if (tenantId === null) return '/no-tenant';
  const { items } = await queryClient.ensureQueryData(instancesQuery(tenantId));
  const [only, ...others] = items;
  return only !== undefined && others.length === 0
    ? `/instances/${only.id}/overview`
    : `/tenants/${tenantId}/instances`;
}

async function firstTenant(operator: boolean): Promise<string | null> {
  if (!operator) return null;
  const { items } = await queryClient.ensureQueryData(tenantsQuery);
  return items[0]?.id ?? null;
}
