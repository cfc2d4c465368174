/** The firing alarms of an instance: the bell and the overview show them. */
import { queryOptions } from '@tanstack/react-query';
import { api, call } from './client';
import { LIVE_MILLIS } from './queries';

/** As many as the bell counts. */
const FIRING_MAX = 50;

export const firingQuery = (instanceId: string) => queryOptions({
  queryKey: ['alarms', instanceId, 'firing'],
  queryFn: () => call(api.GET('/v1/instances/{instance_id}/alarms', {
    params: { path: { instance_id: instanceId }, query: { state: 'firing', limit: FIRING_MAX } },
  })),
  refetchInterval: LIVE_MILLIS,
});
