/** The message query of the page: what the address holds, and how the API is asked. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import { api, call, type Schema } from '../../api/client';
import type { AddressState } from '../../ui/address';
import { momentsOf, type Range } from '../../util/range';

export type Message = Schema<'Message'>;
export type Order = 'newest' | 'oldest';

export type Criteria = { filter: string; clientId: string; id: string; order: Order };

export const PAGE_MESSAGES = 50;
/** How often a followed query is asked again. */
export const FOLLOW_MILLIS = 3_000;

export function criteriaOf({ filter, client, id, order }: AddressState): Criteria {
  return {
    filter: filter ?? '', clientId: client ?? '', id: id ?? '', order: order === 'oldest' ? 'oldest' : 'newest',
  };
}

export function addressOf({ filter, clientId, id, order }: Criteria): AddressState {
  const some = (text: string) => (text.trim() === '' ? undefined : text.trim());
  return { filter: some(filter), client: some(clientId), id: some(id), order: order === 'oldest' ? order : undefined };
}

/** Where a page of the list begins: all pages of one list are of the same moments. */
type Place = { cursor: string; from: string; to: string };

/** The parameters of the API for these criteria, those that narrow nothing left out. */
export function parametersOf({ filter, clientId, id, order }: Criteria, moments: { from: string; to: string }) {
  return {
    ...(filter !== '' && { topic_filter: filter }),
    ...(clientId !== '' && { client_id: clientId }),
    ...(id !== '' && { id }),
    ...moments,
    order,
  };
}

export const messagesQuery = (instanceId: string, criteria: Criteria, range: Range, follow: boolean) => infiniteQueryOptions({
  queryKey: ['messages', instanceId, criteria, range],
  queryFn: async ({ pageParam }) => {
    const { cursor, ...moments } = pageParam ?? { cursor: undefined, ...isoMoments(range) };
    const page = await call(api.GET('/v1/instances/{instance_id}/messages', {
      params: {
        path: { instance_id: instanceId },
        query: {
          ...parametersOf(criteria, moments), include: 'payload', limit: PAGE_MESSAGES,
          ...(cursor !== undefined && { cursor }),
        },
      },
    }));
    return { ...page, moments };
  },
  initialPageParam: null as Place | null,
  getNextPageParam: ({ next_cursor, moments }): Place | null =>
    next_cursor == null ? null : { cursor: next_cursor, ...moments },
  refetchInterval: follow ? FOLLOW_MILLIS : false,
  // What was stored is as it is; only asking again shows what is new.
  refetchOnWindowFocus: false,
  gcTime: 0,
});

function isoMoments(range: Range): { from: string; to: string } {
  const { from, to } = momentsOf(range, Date.now());
  return { from: from.toISOString(), to: to.toISOString() };
}
