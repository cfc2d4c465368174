/** The queries that several pages share. A page's own query stands beside the page. */
import { queryOptions } from '@tanstack/react-query';
import { api, call, newestGeneration, rememberCsrfToken } from './client';

/** How often a live page asks again. */
export const LIVE_MILLIS = 10_000;
/** The most that one page of a list holds. */
export const PAGE_LIMIT = 200;

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async () => {
    const session = await call(api.GET('/v1/session'));
    rememberCsrfToken(session.csrf_token);
    return session;
  },
  staleTime: 300_000,
  retry: false,
});

/** Every tenant, for those who run the platform. */
export const tenantsQuery = queryOptions({
  queryKey: ['tenants'],
  queryFn: () => call(api.GET('/v1/tenants', { params: { query: { limit: PAGE_LIMIT } } })),
});

export const tenantQuery = (tenantId: string) => queryOptions({
  queryKey: ['tenant', tenantId],
  queryFn: () => call(api.GET('/v1/tenants/{tenant_id}', { params: { path: { tenant_id: tenantId } } })),
  staleTime: 60_000,
});

export const instancesQuery = (tenantId: string, deleted = false) => queryOptions({
  queryKey: ['instances', tenantId, { deleted }],
  queryFn: () => call(api.GET('/v1/tenants/{tenant_id}/instances', {
    params: { path: { tenant_id: tenantId }, query: { limit: PAGE_LIMIT, sort: 'name', deleted } },
  })),
});

export const instanceQuery = (instanceId: string) => queryOptions({
  queryKey: ['instance', instanceId],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}', { params: { path: { instance_id: instanceId } } })),
});

export const endpointsQuery = (instanceId: string) => queryOptions({
  queryKey: ['endpoints', instanceId],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}/endpoints', {
    params: { path: { instance_id: instanceId } },
  })),
  staleTime: 60_000,
});

export const limitsQuery = (instanceId: string) => queryOptions({
  queryKey: ['limits', instanceId],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}/limits', { params: { path: { instance_id: instanceId } } })),
  staleTime: 30_000,
});

export const plansQuery = queryOptions({
  queryKey: ['plans'],
  queryFn: () => call(api.GET('/v1/plans', { params: { query: { limit: PAGE_LIMIT } } })),
  staleTime: 300_000,
});

export const topicsQuery = (instanceId: string) => queryOptions({
  queryKey: ['topics', instanceId],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}/topics', {
    params: { path: { instance_id: instanceId }, query: { limit: PAGE_LIMIT, sort: 'name' } },
  })),
});

/** How many nodes run the newest configuration that this console has seen made; where it has seen none, the newest. */
export const rolloutQuery = (instanceId: string) => queryOptions({
  queryKey: ['rollout', instanceId],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}/rollout', {
    params: { path: { instance_id: instanceId }, query: { generation: newestGeneration() || undefined } },
  })),
  refetchInterval: LIVE_MILLIS,
});
