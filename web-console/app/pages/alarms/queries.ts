/** The rules, alarms and channels of an instance. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { api, call, type Schema } from '../../api/client';
import { LIVE_MILLIS, PAGE_LIMIT } from '../../api/queries';

export type Rule = Schema<'AlarmRule'>;
export type Alarm = Schema<'Alarm'>;
export type Condition = Schema<'AlarmCondition'>;
export type Channel = Schema<'Channel'>;

const PAGE_ALARMS = 50;

export const rulesQuery = (instanceId: string) => queryOptions({
  queryKey: ['alarm-rules', instanceId],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}/alarm-rules', {
    params: { path: { instance_id: instanceId }, query: { limit: PAGE_LIMIT, sort: 'name' } },
  })),
  refetchInterval: LIVE_MILLIS,
});

export type Shown = 'open' | 'resolved';

/** Alarms that are open, or those that are over; the newest first. */
export const alarmsQuery = (instanceId: string, shown: Shown) => infiniteQueryOptions({
  queryKey: ['alarms', instanceId, shown],
  queryFn: async ({ pageParam }) => {
    const ask = (state: Alarm['state'], limit: number, cursor?: string) => call(api.GET('/v1/instances/{instance_id}/alarms', {
      params: {
        path: { instance_id: instanceId },
        query: { state, sort: '-created_at', limit, ...(cursor !== undefined && { cursor }) },
      },
    }));
    if (shown === 'resolved') return ask('resolved', PAGE_ALARMS, pageParam ?? undefined);
    // A rule has at most one open alarm, so the open ones fit on one page.
    const [firing, acknowledged] = await Promise.all([ask('firing', PAGE_LIMIT), ask('acknowledged', PAGE_LIMIT)]);
    return { items: [...firing.items, ...acknowledged.items], next_cursor: null };
  },
  initialPageParam: null as string | null,
  getNextPageParam: ({ next_cursor }) => next_cursor ?? null,
  refetchInterval: LIVE_MILLIS,
});

export const channelsQuery = (instanceId: string) => queryOptions({
  queryKey: ['channels', instanceId],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}/channels', {
    params: { path: { instance_id: instanceId }, query: { limit: PAGE_LIMIT, sort: 'name' } },
  })),
});

export const deliveriesQuery = (instanceId: string, channelId: string) => queryOptions({
  queryKey: ['deliveries', instanceId, channelId],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}/channels/{channel_id}/deliveries', {
    params: { path: { instance_id: instanceId, channel_id: channelId }, query: { limit: 50, sort: '-created_at' } },
  })),
  refetchInterval: LIVE_MILLIS,
});
