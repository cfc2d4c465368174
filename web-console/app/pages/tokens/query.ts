/** The list of tokens, the newest first. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import { api, call, type Schema } from '../../api/client';

export type Token = Schema<'Token'>;

const PAGE_TOKENS = 50;

/** Whose tokens: those of a client identifier, or all. */
export const tokensQuery = (instanceId: string, clientId: string) => infiniteQueryOptions({
  queryKey: ['tokens', instanceId, clientId],
  queryFn: ({ pageParam }) => call(api.GET('/v1/instances/{instance_id}/tokens', {
    params: {
      path: { instance_id: instanceId },
      query: {
        limit: PAGE_TOKENS, sort: '-created_at', ...(clientId !== '' && { q: clientId }),
        ...(pageParam !== null && { cursor: pageParam }),
      },
    },
  })),
  initialPageParam: null as string | null,
  getNextPageParam: ({ next_cursor }) => next_cursor ?? null,
});
