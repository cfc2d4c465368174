/** The list of credentials, by user name. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import { api, call, type Schema } from '../../api/client';

export type Credential = Schema<'Credential'>;

const PAGE_CREDENTIALS = 50;

/** Those whose user name begins with `user`, or all. */
export const credentialsQuery = (instanceId: string, user: string) => infiniteQueryOptions({
  queryKey: ['credentials', instanceId, user],
  queryFn: ({ pageParam }) => call(api.GET('/v1/instances/{instance_id}/credentials', {
    params: {
      path: { instance_id: instanceId },
      query: {
        limit: PAGE_CREDENTIALS, sort: 'name', ...(user !== '' && { q: user }),
        ...(pageParam !== null && { cursor: pageParam }),
      },
    },
  })),
  initialPageParam: null as string | null,
  getNextPageParam: ({ next_cursor }) => next_cursor ?? null,
});
