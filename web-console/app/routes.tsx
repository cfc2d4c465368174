/** Every page and its address. A page is loaded when it is opened. */
import {
  createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, redirect,
} from '@tanstack/react-router';
import type { QueryClient } from '@tanstack/react-query';
import type { ComponentType } from 'react';
import { asApiError } from './api/errors';
import { queryClient } from './api/query-client';
import { sessionQuery } from './api/queries';
import { InstanceLayout } from './layout/instance';
import { NoTenant, PageFailed, PageMissing } from './layout/missing';
import { Shell } from './layout/shell';
import { landing } from './layout/landing';
import { parseSearch, stringifySearch } from './util/search';

const root = createRootRouteWithContext<{ queryClient: QueryClient }>()({
  notFoundComponent: PageMissing,
  errorComponent: PageFailed,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  component: lazyRouteComponent(() => import('./pages/sign-in/page')),
});

/** Everything that somebody must be signed in for. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Shell,
  notFoundComponent: PageMissing,
  errorComponent: PageFailed,
  beforeLoad: async ({ location }) => {
    try {
      await queryClient.ensureQueryData(sessionQuery);
    } catch (thrown) {
      if (asApiError(thrown).code !== 'not_signed_in') throw thrown;
      const next = location.href === '/' ? {} : { next: location.href };
      throw redirect({ to: '/sign-in', search: next as never });
    }
  },
});

const start = createRoute({
  getParentRoute: () => inside,
  path: '/',
  beforeLoad: async () => {
    throw redirect({ to: await landing() } as never);
  },
});

const noTenant = createRoute({ getParentRoute: () => inside, path: '/no-tenant', component: NoTenant });

const tenant = createRoute({ getParentRoute: () => inside, path: '/tenants/$tenantId' });
const instance = createRoute({
  getParentRoute: () => inside, path: '/instances/$instanceId', component: InstanceLayout,
});

type Load = () => Promise<{ default: ComponentType }>;

function tenantPage<Path extends string>(path: Path, page: Load) {
  return createRoute({ getParentRoute: () => tenant, path, component: lazyRouteComponent(page) });
}

function instancePage<Path extends string>(path: Path, page: Load) {
  return createRoute({ getParentRoute: () => instance, path, component: lazyRouteComponent(page) });
}

const tree = root.addChildren([
  signIn,
  inside.addChildren([
    start,
    noTenant,
    tenant.addChildren([tenantPage('/instances', () => import('./pages/instances/page'))]),
    instance.addChildren([
      instancePage('/overview', () => import('./pages/overview/page')),
      instancePage('/get-started', () => import('./pages/get-started/page')),
      instancePage('/settings', () => import('./pages/settings/page')),
      instancePage('/messages', () => import('./pages/messages/page')),
      instancePage('/tokens', () => import('./pages/tokens/page')),
      instancePage('/credentials', () => import('./pages/credentials/page')),
      instancePage('/shared-subscriptions', () => import('./pages/shared-groups/page')),
      instancePage('/alarms', () => import('./pages/alarms/page')),
      instancePage('/channels', () => import('./pages/channels/page')),
      instancePage('/topics', () => import('./pages/topics/page')),
    ]),
  ]),
]);

export const router = createRouter({
  routeTree: tree,
  context: { queryClient },
  parseSearch,
  stringifySearch,
  defaultPreload: 'intent',
  scrollRestoration: true,
  defaultErrorComponent: PageFailed,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
