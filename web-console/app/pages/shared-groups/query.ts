/** The list of shared subscriptions, asked again as long as the page is open. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import { api, call, type Schema } from '../../api/client';
import { LIVE_MILLIS, PAGE_LIMIT } from '../../api/queries';

export type SharedGroup = Schema<'SharedGroup'>;

export const sharedGroupsQuery = (instanceId: string) => infiniteQueryOptions({
  queryKey: ['shared-groups', instanceId],
  queryFn: ({ pageParam: cursor }) => call(api.GET('/v1/instances/{instance_id}/shared-groups', {
    params: {
      path: { instance_id: instanceId },
      query: { limit: PAGE_LIMIT, ...(cursor !== null && { cursor }) },
    },
  })),
  initialPageParam: null as string | null,
  getNextPageParam: ({ next_cursor: next }): string | null => next ?? null,
  refetchInterval: LIVE_MILLIS,
});
